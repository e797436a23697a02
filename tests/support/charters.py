"""Charters for tests: small ones to build upon, a full one, and every valid one as a hypothesis strategy.

A document is the dict that TOML gives; `read_charter` makes a charter of it.
"""

import copy
import importlib.resources
from typing import Any

from hypothesis import strategies as st

from tallystick.protocol.charter import Charter, read_charter, read_toml
from tallystick.protocol.charter_fields import AMOUNT_MAX, COUNT_MAX, POOL_MAX
from tallystick.protocol.charter_templates import PACKAGE

Document = dict[str, Any]

#: The least that is a charter: one step that the pool pays.
SMALL: Document = {
    "charter": 1,
    "name": "Small",
    "points": {"pool": 100_000},
    "step": [{"id": "roast", "price": 12, "budget": 50_000}],
}

#: Every table and every setting, written out.
FULL: Document = {
    "charter": 1,
    "trial": False,
    "name": "Riverside Cafe",
    "purpose": "A cafe that two hundred partners own together",
    "points": {"name": "bean", "pool": 1_000_000, "start": 0},
    "objective": {"metric": "points-earned", "threshold": 500_000},
    "membership": {"sponsors": 3, "probation": "30d", "max-partners": 0},
    "referral": {"percent": 5, "period": "1y", "cap": 1_000},
    "leaver": {"good": "keep-vested", "bad": "keep-vested"},
    "vesting": {"cliff": "0s", "duration": "4y", "cliff-from": "joining"},
    "role": [{"id": "roaster", "max-holders": 0}],
    "step": [
        {
            "id": "roast",
            "title": "Roast coffee",
            "after": [],
            "unit": "kg",
            "price": 12,
            "payer": "pool",
            "sellers": ["roaster"],
            "buyers": [],
            "max-grade": 100,
            "budget": 50_000,
            "period": "30d",
            "pair-cap": 0,
            "review": "7d",
            "on-silence": "approve",
            "late-per-day": 0,
            "late-max": 100,
            "cosign-above": 0,
            "max-open": 20,
        }
    ],
    "contribution": [{"id": "share-post", "points": 1, "attest": 1, "cap": 10, "period": "1d", "budget": 0}],
    "open": {"max": 500, "endorse": 3, "budget": 10_000, "period": "30d", "review": "7d", "on-silence": "approve"},
    "round": [
        {
            "id": "founders",
            "currency": "CNY",
            "price": 3_000_000,
            "points": 1_000,
            "voucher": 3_000_000,
            "shares": 100,
            "max-per-partner": 1,
        }
    ],
    "donation": {"currency": "CNY"},
    "duty": {"size": 10, "term": "30d"},
    "dispute": {"panel": 3, "window": "7d"},
    "governance": {
        "weight": "partner",
        "quorum": "1/2",
        "pass": "1/2",
        "quorum-major": "2/3",
        "amend": "2/3",
        "expel": "3/4",
        "sale": "3/4",
        "early-sale": "9/10",
        "period": "7d",
        "suspension": "30d",
        "notice": "0s",
        "grace": "14d",
    },
    "finality": {"sealers": "all", "interval": "60s", "absence": "14d"},
    "sale": {"currency": "CNY", "preference": "capital-first", "acceleration": True},
}


def small_document(**tables: Any) -> Document:
    """The small document with some of its top-level keys added or replaced."""
    return copy.deepcopy(SMALL) | tables


def small_charter(**tables: Any) -> Charter:
    """The small charter with some of its top-level keys added or replaced."""
    return read_charter(small_document(**tables))


def changed(document: Document, path: str, value: object) -> Document:
    """A copy with one setting replaced, named as problems are: `step.roast.price`."""
    copied = copy.deepcopy(document)
    *tables, key = path.split(".")
    place: Any = copied
    for name in tables:
        place = next(row for row in place if row["id"] == name) if isinstance(place, list) else place[name]
    place[key] = value
    return copied


def template_text(name: str) -> str:
    """The TOML of one of the charters that come with the program."""
    return importlib.resources.files(PACKAGE).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def template(name: str) -> Charter:
    """One of the charters that come with the program."""
    return read_charter(read_toml(template_text(name)))


# -- strategies --

IDS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40)
CURRENCIES = st.sampled_from(["CNY", "EUR", "JPY"])
TOTALS = st.one_of(st.integers(0, 10_000), st.integers(0, POOL_MAX))
AMOUNTS = st.one_of(st.integers(0, 1_000), st.integers(0, AMOUNT_MAX))
COUNTS = st.one_of(st.integers(0, 20), st.integers(0, COUNT_MAX))
PERCENTS = st.integers(0, 100)
_LENGTHS = {"s": 3_153_600_000, "m": 52_560_000, "h": 876_000, "d": 36_500, "w": 5_214, "mo": 1_216, "y": 100}
_SILENCE = st.sampled_from(["approve", "lapse"])


@st.composite
def durations(draw: st.DrawFn, least: int = 1) -> str:
    """Durations in every unit, to a hundred years."""
    unit = draw(st.sampled_from(sorted(_LENGTHS)))
    short = st.integers(least, 60)
    return f"{draw(st.one_of(short, st.integers(least, _LENGTHS[unit])))}{unit}"


@st.composite
def fractions(draw: st.DrawFn) -> str:
    """Fractions above 0, up to 1."""
    bottom = draw(st.integers(1, 999_999_999))
    return f"{draw(st.integers(1, bottom))}/{bottom}"


def _tables(draw: st.DrawFn, required: dict[str, Any], optional: dict[str, Any], most: int = 3) -> list[Document]:
    ids = draw(st.lists(IDS, max_size=most, unique=True))
    return [{"id": each} | draw(st.fixed_dictionaries(required, optional=optional)) for each in ids]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Every kind of valid document, each optional setting sometimes left out."""
    currency = draw(CURRENCIES)
    zero = durations(least=0)
    some = st.integers(1, COUNT_MAX)
    roles = _tables(draw, {}, {"max-holders": COUNTS})
    role_ids = st.lists(st.sampled_from(["treasurer", *(row["id"] for row in roles)]), unique=True)
    steps = _tables(
        draw,
        {"price": AMOUNTS, "budget": TOTALS},
        {
            "title": WORDS,
            "unit": WORDS,
            "payer": st.sampled_from(["pool", "buyer"]),
            "sellers": role_ids,
            "buyers": role_ids,
            "max-grade": st.integers(100, 200),
            "period": durations(),
            "pair-cap": TOTALS,
            "review": durations(),
            "on-silence": _SILENCE,
            "late-per-day": PERCENTS,
            "late-max": PERCENTS,
            "cosign-above": TOTALS,
            "max-open": COUNTS,
        },
    )
    for step in steps:
        if draw(st.booleans()):
            step["after"] = draw(st.lists(st.sampled_from([row["id"] for row in steps]), unique=True))
        if step.get("payer") == "buyer" and draw(st.booleans()):
            del step["budget"]
    contributions = _tables(
        draw, {"points": AMOUNTS}, {"attest": COUNTS, "cap": COUNTS, "period": durations(), "budget": TOTALS}
    )
    rounds = _tables(
        draw,
        {"currency": st.just(currency), "price": AMOUNTS, "points": AMOUNTS},
        {"voucher": AMOUNTS, "shares": COUNTS, "max-per-partner": COUNTS},
    )
    metrics = ["points-earned", "deals-closed", "partners", "capital", *(f"units:{row['id']}" for row in steps)]
    sealers = ["all", "role:treasurer", *(f"role:{row['id']}" for row in roles)]
    table = st.fixed_dictionaries
    optional: dict[str, Any] = {
        "trial": st.booleans(),
        "purpose": WORDS,
        "objective": table({"metric": st.sampled_from(metrics), "threshold": TOTALS}),
        "membership": table({}, optional={"sponsors": some, "probation": zero, "max-partners": COUNTS}),
        "referral": table({"percent": PERCENTS}, optional={"period": durations(), "cap": TOTALS}),
        "leaver": table(
            {},
            optional={
                "good": st.sampled_from(["keep-vested", "keep-all"]),
                "bad": st.sampled_from(["keep-vested", "forfeit-all"]),
            },
        ),
        "vesting": table(
            {"cliff": st.sampled_from(["0s", "1d", "6mo"]), "duration": st.sampled_from(["6mo", "4y", "100y"])},
            optional={"cliff-from": st.sampled_from(["joining", "lot"])},
        ),
        "donation": table({"currency": CURRENCIES}),
        "duty": table({}, optional={"size": some, "term": durations()}),
        "dispute": table({}, optional={"panel": some, "window": durations()}),
        "governance": table(
            {},
            optional={
                "weight": st.sampled_from(["partner", "points"]),
                **dict.fromkeys(
                    ["quorum", "pass", "quorum-major", "amend", "expel", "sale", "early-sale"], fractions()
                ),
                "period": st.sampled_from(["1d", "7d", "100y"]),
                "suspension": durations(),
                "notice": st.sampled_from(["0s", "1h", "1d"]),
                "grace": zero,
            },
        ),
        "finality": table({}, optional={"sealers": st.sampled_from(sealers), "interval": zero, "absence": durations()}),
    }
    sale: dict[str, Any] = {
        "preference": st.sampled_from(["capital-first", "none"]),
        "acceleration": st.booleans(),
    }
    document: Document = {
        "charter": 1,
        "name": draw(WORDS),
        "points": draw(table({"pool": TOTALS}, optional={"name": WORDS, "start": AMOUNTS})),
        "sale": draw(table({"currency": st.just(currency)}, optional=sale)),
        **draw(table({}, optional=optional)),
    }
    for key, rows in (("role", roles), ("step", steps), ("contribution", contributions), ("round", rounds)):
        if draw(st.booleans()) or rows:
            document[key] = rows
    if not (steps or contributions or rounds) or draw(st.booleans()):
        document["open"] = draw(
            table(
                {"budget": TOTALS},
                optional={
                    "max": AMOUNTS,
                    "endorse": COUNTS,
                    "period": durations(),
                    "review": durations(),
                    "on-silence": _SILENCE,
                },
            )
        )
    return document


def charters() -> st.SearchStrategy[Charter]:
    """Every kind of valid charter."""
    return documents().map(read_charter)
