"""Reading charters: what is accepted, what is refused and how it is said, canonical bytes."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol import codec
from tallystick.protocol.charter import (
    SIZE_BYTES_MAX,
    Charter,
    CharterError,
    Problem,
    canonical,
    from_bytes,
    read_charter,
    read_toml,
)
from tallystick.protocol.charter_fields import ROWS_MAX, Table, Tables, document_key
from tests.support.charters import FULL, SMALL, changed, documents, small_charter, small_document

DAY = 86_400_000
YEAR = 365 * DAY
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "charter" / "cases.json").read_text(encoding="utf-8"))

#: For every setting: values at the edge of what is allowed, and values just beyond it.
COUNT = ([0, 10**9], [-1, 10**9 + 1, True, "1", 1.0, None])
SOME = ([1, 10**9], [0, 10**9 + 1, False])
POINTS = ([0, 10**12], [-1, 10**12 + 1, True, "12"])
TOTAL = ([0, 10**15], [-1, 10**15 + 1])
PERCENT = ([0, 100], [-1, 101])
WORD = (["x", "y" * 200, "豆 ☕"], ["", "y" * 201, "a\nb", "\x1b[2J", "\x85", 7])
TIME = (
    ["1s", "100y", "36500d", "1216mo"],
    ["0s", "101y", "36501d", "1217mo", "", "5", "5 d", "05d", "1.5h", "-1d", 60, "٣d", "1d\n"],
)
TIME_OR_ZERO = (["0s", "0d", "100y"], ["101y", "0", 0, None, "d"])
FRACTION = (["1/1", "1/999999999", "2/3"], ["0/1", "4/3", "1/0", "1/1000000000", "0.5", "1", 1, "-1/2", "1/2\n", "½"])
BOOL = ([True, False], [0, 1, "true", None])
ID_LIST = ([[], ["roaster"], ["treasurer", "roaster"]], ["roaster", ["Roaster"], ["roaster", "roaster"], [1], {}])
SILENCE = (["approve", "lapse"], ["Approve", "reject", "", None])
CODE = (["CNY"], ["cny", "CN", "CNYY", "", 156, "CN\u0178"])

EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "charter": ([1], [0, 2, True, "1", None]),
    "trial": BOOL,
    "name": WORD,
    "purpose": (["", "a\nb\tc", "y" * 40_000], ["a\rb", "\x00", "\udc80", 1]),
    "points.name": WORD,
    "points.pool": TOTAL,
    "points.start": POINTS,
    "objective.metric": (
        ["points-earned", "deals-closed", "partners", "capital", "units:roast"],
        ["units", "units:", "units:serve", "points", "units:roast\n"],
    ),
    "objective.threshold": TOTAL,
    "membership.sponsors": SOME,
    "membership.probation": TIME_OR_ZERO,
    "membership.max-partners": COUNT,
    "referral.percent": PERCENT,
    "referral.period": TIME,
    "referral.cap": TOTAL,
    "leaver.good": (["keep-vested", "keep-all"], ["forfeit-all", ""]),
    "leaver.bad": (["keep-vested", "forfeit-all"], ["keep-all", ["keep-vested"]]),
    "vesting.cliff": (["0s", "4y"], ["5y", "-1d", None]),
    "vesting.duration": TIME,
    "vesting.cliff-from": (["joining", "lot"], ["founding"]),
    "role.roaster.max-holders": COUNT,
    "step.roast.title": (["", "y" * 200], ["y" * 201, "a\nb", 1]),
    "step.roast.after": ([[], ["roast"]], [["serve"], "roast", [[]]]),
    "step.roast.unit": WORD,
    "step.roast.price": POINTS,
    "step.roast.payer": (["pool", "buyer"], ["seller"]),
    "step.roast.sellers": ID_LIST,
    "step.roast.buyers": ID_LIST,
    "step.roast.max-grade": ([100, 200], [99, 201]),
    "step.roast.budget": TOTAL,
    "step.roast.period": TIME,
    "step.roast.pair-cap": TOTAL,
    "step.roast.review": TIME,
    "step.roast.on-silence": SILENCE,
    "step.roast.late-per-day": PERCENT,
    "step.roast.late-max": PERCENT,
    "step.roast.cosign-above": TOTAL,
    "step.roast.max-open": COUNT,
    "contribution.share-post.points": POINTS,
    "contribution.share-post.attest": COUNT,
    "contribution.share-post.cap": COUNT,
    "contribution.share-post.period": TIME,
    "contribution.share-post.budget": TOTAL,
    "open.max": POINTS,
    "open.endorse": COUNT,
    "open.budget": TOTAL,
    "open.period": TIME,
    "open.review": TIME,
    "open.on-silence": SILENCE,
    "round.founders.currency": (["CNY"], [*CODE[1], "EUR"]),
    "round.founders.price": POINTS,
    "round.founders.points": POINTS,
    "round.founders.voucher": POINTS,
    "round.founders.shares": COUNT,
    "round.founders.max-per-partner": COUNT,
    "donation.currency": (["CNY", "EUR"], CODE[1]),
    "duty.size": SOME,
    "duty.term": TIME,
    "dispute.panel": SOME,
    "dispute.window": TIME,
    "governance.weight": (["partner", "points"], ["member"]),
    "governance.quorum": FRACTION,
    "governance.pass": FRACTION,
    "governance.quorum-major": FRACTION,
    "governance.amend": FRACTION,
    "governance.expel": FRACTION,
    "governance.sale": FRACTION,
    "governance.early-sale": FRACTION,
    "governance.period": TIME,
    "governance.suspension": TIME,
    "governance.notice": (["0s", "7d"], ["8d", "169h", 0]),
    "governance.grace": TIME_OR_ZERO,
    "finality.sealers": (["all", "role:roaster", "role:treasurer"], ["none", "role:", "role:baker", "roaster"]),
    "finality.interval": TIME_OR_ZERO,
    "finality.absence": TIME,
    "sale.currency": CODE,
    "sale.preference": (["capital-first", "none"], ["points-first"]),
    "sale.acceleration": BOOL,
}
IDS = (["a", "a" * 32, "a-9"], ["", "a" * 33, "A", "9a", "-a", "a_b", "a\n", "é", 1, None])


def problems_of(document: object) -> tuple[Problem, ...]:
    """What is wrong with a document."""
    with pytest.raises(CharterError) as caught:
        read_charter(document)
    return caught.value.problems


def paths_of(document: object) -> list[str]:
    """Where a document is wrong."""
    return [problem.path for problem in problems_of(document)]


def settings_of(cls: type, before: str = "") -> list[str]:
    """Paths of all settings, with the ids that FULL uses."""
    found: list[str] = []
    for each in dataclasses.fields(cls):
        if not each.metadata:
            continue
        key = document_key(each.name, each.metadata["key"])
        reader = each.metadata["reader"]
        if isinstance(reader, Table):
            found += settings_of(reader.cls, f"{key}.")
        elif isinstance(reader, Tables):
            found += settings_of(reader.cls, f"{key}.{FULL[key][0]['id']}.")
        elif key != "id":
            found.append(before + key)
    return found


def test_every_setting_has_its_edges() -> None:
    """A setting without a line in the table would be left out of the two tests below."""
    assert sorted(settings_of(Charter)) == sorted(EDGES)
    assert all(accepted and refused for accepted, refused in EDGES.values())


@pytest.mark.parametrize(("path", "value"), [(p, v) for p, (accepted, _) in EDGES.items() for v in accepted])
def test_edge_is_accepted(path: str, value: object) -> None:
    """The last allowed value of each setting is allowed."""
    assert read_charter(changed(FULL, path, value)).bytes


@pytest.mark.parametrize(("path", "value"), [(p, v) for p, (_, refused) in EDGES.items() for v in refused])
def test_beyond_the_edge_is_refused(path: str, value: object) -> None:
    """The first value beyond is refused, and the refusal names path and value and nothing else."""
    (problem,) = problems_of(changed(FULL, path, value))
    assert problem.path == path
    assert problem.value == value or (isinstance(value, list) and problem.value in value)
    assert problem.allowed


@pytest.mark.parametrize("key", ["role", "step", "contribution", "round"])
def test_ids_are_plain(key: str) -> None:
    """Ids are short ASCII words; an array of tables without a good id is named by its number."""
    for good in IDS[0]:
        document = changed(FULL, key, [FULL[key][0] | {"id": good}])
        if key == "role":
            document = changed(document, "step.roast.sellers", [])
        assert good in getattr(read_charter(document), f"{key}s")
    for bad in IDS[1]:
        document = changed(FULL, key, [*FULL[key], FULL[key][0] | {"id": bad}])
        assert paths_of(document) == [f"{key}[2].id"]
    assert paths_of(changed(FULL, key, FULL[key] * 2)) == [f"{key}[2].id"]


@pytest.mark.parametrize(
    "path",
    [
        "charter",
        "name",
        "points",
        "points.pool",
        "step.roast.price",
        "step.roast.budget",
        "contribution.share-post.points",
        "round.founders.currency",
        "round.founders.price",
        "round.founders.points",
        "objective.metric",
        "objective.threshold",
        "referral.percent",
        "vesting.duration",
        "donation.currency",
        "sale.currency",
        "open.budget",
    ],
)
def test_required_setting_is_missed(path: str) -> None:
    """What has no default must be there; the problem has no value."""
    document = copy.deepcopy(FULL)
    *tables, key = path.split(".")
    place: Any = document
    for name in tables:
        place = next(row for row in place if row["id"] == name) if isinstance(place, list) else place[name]
    del place[key]
    assert [(problem.path, problem.value) for problem in problems_of(document)] == [(path, None)]


@pytest.mark.parametrize("key", ["role", "step", "contribution", "round"])
def test_table_without_id_is_named_by_number(key: str) -> None:
    """Without an id the number of the table stands for it, counted from 1."""
    row = {name: value for name, value in FULL[key][0].items() if name != "id"}
    assert paths_of(changed(FULL, key, [*FULL[key], row])) == [f"{key}[2].id"]


def test_all_errors_are_reported_at_once() -> None:
    """Five different mistakes, five problems, each with path, value and what is allowed."""
    document = small_document(
        nmae="Cafe",
        role=[{"id": "roaster"}],
        step=[
            {"id": "roast", "price": -1, "budget": 10, "sellers": ["baker"]},
            {"id": "serve", "price": 3, "budget": "much", "review": "soon"},
        ],
    )
    found = {problem.path: problem for problem in problems_of(document)}
    assert set(found) == {"nmae", "step.roast.price", "step.roast.sellers", "step.serve.budget", "step.serve.review"}
    assert found["nmae"].allowed == 'no such key; did you mean "name"?'
    assert (found["step.roast.price"].value, found["step.roast.price"].allowed) == (
        -1,
        "a whole number from 0 to 1000000000000",
    )
    assert found["step.roast.sellers"].allowed == "a role of the charter: roaster, treasurer"
    assert str(found["step.serve.review"]).startswith('step.serve.review: found "soon"; allowed: a duration')


@pytest.mark.parametrize(
    ("key", "meant"), [("pair_cap", "pair-cap"), ("prise", "price"), ("latemax", "late-max"), ("Budget", "budget")]
)
def test_unknown_key_gets_the_nearest(key: str, meant: str) -> None:
    """A misspelt key is an error, with the key that was probably meant."""
    (problem,) = problems_of(changed(FULL, f"step.roast.{key}", 1))
    assert problem.path == f"step.roast.{key}"
    assert problem.allowed == f'no such key; did you mean "{meant}"?'


def test_many_unknown_keys_are_cheap() -> None:
    """A hostile document of unknown keys is refused with all of them, and shortened ones where they are long."""
    document = small_document(**{f"pointz{number}": 1 for number in range(2_000)}, **{"x" * 10_000: 1})
    paths = paths_of(document)
    assert len(paths) == 2_001
    assert max(map(len, paths)) < 100


def test_defaults_are_those_of_the_specification() -> None:
    """A charter that says little has the defaults."""
    charter = small_charter()
    step = charter.steps["roast"]
    assert (step.payer, step.sellers, step.max_grade, step.period, step.review) == ("pool", (), 100, 30 * DAY, 7 * DAY)
    assert (step.on_silence, step.late_per_day, step.late_max, step.max_open) == ("approve", 0, 100, 20)
    assert (step.pair_cap, step.cosign_above, step.title) == (0, 0, "roast")
    assert (charter.membership.sponsors, charter.membership.probation) == (3, 30 * DAY)
    assert (charter.leaver.good, charter.leaver.bad) == ("keep-vested", "keep-vested")
    assert (charter.dispute.panel, charter.dispute.window) == (3, 7 * DAY)
    rules = charter.governance
    assert (rules.quorum, rules.pass_, rules.quorum_major, rules.amend) == ((1, 2), (1, 2), (2, 3), (2, 3))
    assert (rules.expel, rules.sale, rules.early_sale) == ((3, 4), (3, 4), (9, 10))
    assert (rules.period, rules.suspension, rules.notice, rules.grace) == (7 * DAY, 30 * DAY, DAY, 14 * DAY)
    assert (charter.finality.sealers, charter.finality.interval, charter.finality.absence) == ("all", 60_000, 14 * DAY)
    assert (charter.sale.currency, charter.sale.preference, charter.sale.acceleration) == (None, "capital-first", True)
    optional = (charter.objective, charter.referral, charter.vesting, charter.open, charter.donation, charter.duty)
    assert optional == (None,) * 6
    assert charter.trial is False
    assert list(charter.roles) == ["treasurer"]
    assert small_charter(vesting={"duration": "4y"}).vesting.cliff == 180 * DAY  # type: ignore[union-attr]
    assert small_charter(referral={"percent": 5}).referral.period == YEAR  # type: ignore[union-attr]


def test_treasurer_may_be_written_out() -> None:
    """The role that always exists can be given a limit."""
    charter = small_charter(role=[{"id": "treasurer", "max-holders": 2}])
    assert charter.roles["treasurer"].max_holders == 2


def test_something_must_earn() -> None:
    """A charter without step, contribution, round or open work is none."""
    (problem,) = problems_of({"charter": 1, "name": "Empty", "points": {"pool": 1}})
    assert (problem.path, problem.value) == ("", None)
    assert read_charter({"charter": 1, "name": "Open", "points": {"pool": 1}, "open": {"budget": 0}}).open


def test_buyer_paid_step_needs_no_budget() -> None:
    """Only what the pool pays is budgeted."""
    assert small_charter(step=[{"id": "roast", "price": 1, "payer": "buyer"}]).steps["roast"].budget == 0
    assert paths_of(small_document(step=[{"id": "roast", "price": 1}])) == ["step.roast.budget"]


@pytest.mark.parametrize(
    "tables",
    [
        {"round": [{"id": "a", "currency": "EUR", "price": 1, "points": 1}]},
        {"donation": {"currency": "EUR"}},
        {"objective": {"metric": "capital", "threshold": 1}},
    ],
)
def test_money_needs_a_currency(tables: dict[str, Any]) -> None:
    """Whatever uses money asks for `sale.currency`."""
    assert paths_of(small_document(**tables)) == ["sale.currency"]
    assert small_charter(**tables, sale={"currency": "EUR"}).sale.currency == "EUR"


def test_rounds_may_differ_without_preference() -> None:
    """Only with capital-first must every round be in the currency of the sale."""
    rounds = [{"id": "a", "currency": "JPY", "price": 1, "points": 1}]
    assert small_charter(round=rounds, sale={"currency": "EUR", "preference": "none"}).rounds["a"].currency == "JPY"
    assert paths_of(small_document(round=rounds, sale={"currency": "EUR"})) == ["round.a.currency"]


def test_one_mistake_is_reported_once() -> None:
    """A cross check stays silent where a setting it needs is wrong already."""
    assert paths_of(changed(FULL, "vesting.cliff", "never")) == ["vesting.cliff"]
    assert paths_of(changed(FULL, "governance.period", "never")) == ["governance.period"]
    assert paths_of(changed(FULL, "step", "roast")) == ["step"]
    assert paths_of(changed(FULL, "role", {})) == ["role"]


@pytest.mark.parametrize("document", [None, [], "charter", 1, b"", True])
def test_no_table_is_no_charter(document: object) -> None:
    """Whatever is no table is refused without another error."""
    assert problems_of(document)


@pytest.mark.parametrize("key", [key for key, value in FULL.items() if isinstance(value, dict | list)])
def test_table_must_be_a_table(key: str) -> None:
    """Where a table belongs, nothing else will do."""
    for value in (1, "x", None, [[]], {"x": {}} if isinstance(FULL[key], list) else [1]):
        assert key in {path.split(".")[0].split("[")[0] for path in paths_of(changed(FULL, key, value))}


def test_arrays_are_bounded() -> None:
    """More tables than fit the canonical encoding are refused before anything else is done with them."""
    roles = [{"id": f"r{number}"} for number in range(ROWS_MAX + 1)]
    assert paths_of(small_document(role=roles)) == ["role"]
    assert len(small_charter(role=roles[:-1]).roles) == ROWS_MAX + 1
    names = [row["id"] for row in roles]
    assert "step.roast.sellers" in paths_of(changed(SMALL, "step.roast.sellers", names))


def test_size_is_bounded() -> None:
    """The canonical bytes may have 48 KiB, and not one more."""
    spare = SIZE_BYTES_MAX - len(canonical(small_document(purpose="x" * 40_000))) + 40_000
    assert len(canonical(small_document(purpose="x" * spare))) == SIZE_BYTES_MAX
    (problem,) = problems_of(small_document(purpose="x" * (spare + 1)))
    assert (problem.path, problem.value) == ("", SIZE_BYTES_MAX + 1)
    with pytest.raises(CharterError):
        from_bytes(codec.encode(small_document(purpose="x" * (spare + 1))))


def test_bytes_are_the_document_as_written() -> None:
    """No default is written in, so a later version can have others without changing what was agreed."""
    charter = small_charter()
    assert codec.decode(charter.bytes) == SMALL
    assert charter.hash == tagged_hash("charter", charter.bytes)
    assert from_bytes(charter.bytes) == charter
    assert from_bytes(bytes(bytearray(charter.bytes))) is from_bytes(charter.bytes)
    assert charter != small_charter(name="Other")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x80",
        b"\x90",
        b"\xc1",
        codec.encode(SMALL) + b"\0",
        codec.encode(SMALL)[:-1],
        b"\xdf" + b"\xff" * 4,
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    """Bytes that are not canonical, or are no table of rules, give a charter error and nothing else."""
    with pytest.raises(CharterError):
        from_bytes(data)


@pytest.mark.parametrize("case", VECTORS["accepted"], ids=lambda case: case["name"])
def test_vector_is_accepted(case: dict[str, Any]) -> None:
    """The golden hashes stay what they are: they are signed by those who join."""
    assert read_charter(case["document"]).hash.hex() == case["hash"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_vector_is_refused(case: dict[str, Any]) -> None:
    """One failure a case, named by its path."""
    assert paths_of(case["document"]) == [case["path"]]


def test_vectors_are_there() -> None:
    """An empty file would pass the two tests above."""
    assert len(VECTORS["accepted"]) >= 3
    assert len(VECTORS["refused"]) >= 15


@given(documents())
@settings(deadline=None)
def test_valid_document_round_trips(document: dict[str, Any]) -> None:
    """What is valid is encoded in one way and read back as itself."""
    charter = read_charter(copy.deepcopy(document))
    assert codec.decode(charter.bytes) == document
    assert from_bytes(charter.bytes) == charter
    assert dataclasses.astuple(from_bytes(charter.bytes)) == dataclasses.astuple(charter)


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@given(st.data())
@settings(deadline=None)
def test_validation_is_total(data: st.DataObject) -> None:
    """Whatever stands in any place: a charter, or problems that can be printed. Never another error."""
    path = data.draw(st.sampled_from([*EDGES, *FULL, "step.roast.id", "round.founders.id"]))
    document = changed(FULL, path, data.draw(JUNK))
    try:
        charter = read_charter(document)
    except CharterError as error:
        assert error.problems
        assert str(error)
    else:
        assert from_bytes(charter.bytes) == charter


@given(st.dictionaries(st.sampled_from(sorted(FULL)), JUNK))
@settings(deadline=None)
def test_junk_is_refused(document: dict[str, Any]) -> None:
    """Junk under the right names is refused with reasons."""
    assert problems_of(document)


def test_example_of_every_setting_is_read() -> None:
    """The full document is read as written."""
    charter = read_charter(FULL)
    assert charter.steps["roast"].sellers == ("roaster",)
    assert charter.rounds["founders"].max_per_partner == 1
    assert charter.vesting is not None
    assert charter.vesting.duration == 4 * YEAR
    assert charter.duty is not None
    assert charter.duty.size == 10
    assert read_toml('name = "x"') == {"name": "x"}
