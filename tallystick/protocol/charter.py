"""The charter: the rules of one ledger as one immutable value, with every default filled in.

A charter is written as TOML (`read_toml`), checked as a whole (`read_charter`) and kept in the ledger as canonical
bytes of the document as it was written (`canonical`, `from_bytes`). Durations are milliseconds, fractions are
(numerator, denominator), money is in minor units. Nothing here reads a file: callers bring the text.

The names of the fields are those of the document, with _ for -; arrays of tables are dicts by id in the order
written (`[[step]]` is `steps`). Where the document says that 0 is unlimited, the value is 0 here too.

Source: docs/spec/charter.md#document
"""

from __future__ import annotations

import builtins
import re
import tomllib
from dataclasses import dataclass, field, replace
from datetime import date, time
from functools import lru_cache
from typing import Any, Final, Literal, cast

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol import codec
from tallystick.protocol.charter_checks import cross_check
from tallystick.protocol.charter_fields import (
    AMOUNT_MAX,
    COUNT_MAX,
    POOL_MAX,
    Choice,
    Currency,
    Duration,
    Findings,
    Flag,
    Fraction,
    Id,
    Ids,
    Prefixed,
    Table,
    Tables,
    Text,
    Whole,
    read_table,
    setting,
    table,
)
from tallystick.protocol.errors import DecodeError

#: Most bytes of a canonical charter: a founding entry has room for 64 KiB in all.
SIZE_BYTES_MAX: Final = 48 * 1024
#: Most characters of a charter as text, with its comments.
TEXT_LENGTH_MAX: Final = 256 * 1024
#: The role that every ledger has, whether its charter names it or not.
TREASURER: Final = "treasurer"

_POINTS: Final = Whole(0, AMOUNT_MAX)
_TOTAL: Final = Whole(0, POOL_MAX)
_COUNT: Final = Whole(0, COUNT_MAX)
_SOME: Final = Whole(1, COUNT_MAX)
_PERCENT: Final = Whole(0, 100)
_TITLE: Final = Text(0, 200)
_ON_SILENCE: Final = Choice(("approve", "lapse"))

#: A key of many dotted parts costs the TOML parser the square of their number. A charter needs two.
_DOTTED: Final = re.compile(r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){16}""")
_PLACE: Final = re.compile(r" ?\(at line ([0-9]+), column ([0-9]+)\)$")
#: Tables in a charter lie at most this deep (document, table or array, row, list).
DEPTH_MAX: Final = 4
SHOWN_LENGTH_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a charter."""

    path: str
    """Such as `step.roast.price`; `step[2].price` (from 1) in a table without a usable id; empty for the whole."""
    value: object
    """What is there; None for nothing."""
    allowed: str

    def __str__(self) -> str:
        path = self.path or "the charter"
        if self.value is not None:
            return f"{path}: found {_shown(self.value)}; allowed: {self.allowed}"
        return f"{path}: missing; allowed: {self.allowed}" if self.path else f"{path}: wanted: {self.allowed}"


class CharterError(TallystickError):
    """A document is no charter; `problems` are all the reasons, in the order of the document's tables."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@table
class Points:
    name: str = setting(Text(1, 200), default="point")
    """What one point is called."""
    pool: int = setting(_TOTAL)
    """Points that can ever exist."""
    start: int = setting(_POINTS, default=0)


@table
class Objective:
    metric: str = setting(Prefixed(("points-earned", "deals-closed", "partners", "capital"), "units:"))
    threshold: int = setting(_TOTAL)

    @property
    def step(self) -> str | None:
        """The step whose units are counted, where the metric is one of units."""
        return self.metric.removeprefix("units:") if self.metric.startswith("units:") else None


@table
class Membership:
    sponsors: int = setting(_SOME, default=3)
    probation: int = setting(Duration(zero=True), default="30d")
    max_partners: int = setting(_COUNT, default=0)


@table
class Referral:
    percent: int = setting(_PERCENT)
    period: int = setting(Duration(), default="1y")
    cap: int = setting(_TOTAL, default=1_000)
    """Points per referred partner."""


@table
class Leaver:
    good: Literal["keep-vested", "keep-all"] = setting(Choice(("keep-vested", "keep-all")), default="keep-vested")
    bad: Literal["keep-vested", "forfeit-all"] = setting(Choice(("keep-vested", "forfeit-all")), default="keep-vested")


@table
class Vesting:
    cliff: int = setting(Duration(zero=True), default="6mo")
    duration: int = setting(Duration())
    cliff_from: Literal["joining", "lot"] = setting(Choice(("joining", "lot")), default="joining")


@table
class Role:
    id: str = setting(Id())
    max_holders: int = setting(_COUNT, default=0)


@table
class Step:
    id: str = setting(Id())
    title: str = setting(_TITLE, default="")
    """The id where the document has none."""
    after: tuple[str, ...] = setting(Ids(), default=[])
    unit: str = setting(Text(1, 200), default="unit")
    price: int = setting(_POINTS)
    payer: Literal["pool", "buyer"] = setting(Choice(("pool", "buyer")), default="pool")
    sellers: tuple[str, ...] = setting(Ids(), default=[])
    """Roles; empty means every partner."""
    buyers: tuple[str, ...] = setting(Ids(), default=[])
    max_grade: int = setting(Whole(100, 200), default=100)
    budget: int = setting(_TOTAL, default=0)
    """Points per period that may be committed. 0 where the buyer pays and the document has none."""
    period: int = setting(Duration(), default="30d")
    pair_cap: int = setting(_TOTAL, default=0)
    review: int = setting(Duration(), default="7d")
    on_silence: Literal["approve", "lapse"] = setting(_ON_SILENCE, default="approve")
    late_per_day: int = setting(_PERCENT, default=0)
    late_max: int = setting(_PERCENT, default=100)
    cosign_above: int = setting(_TOTAL, default=0)
    max_open: int = setting(_COUNT, default=20)

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.id)


@table
class Contribution:
    id: str = setting(Id())
    points: int = setting(_POINTS)
    attest: int = setting(_COUNT, default=1)
    cap: int = setting(_COUNT, default=10)
    """Count per partner and period."""
    period: int = setting(Duration(), default="1d")
    budget: int = setting(_TOTAL, default=0)
    """Points per period over all partners; 0 is unlimited."""


@table
class Open:
    max: int = setting(_POINTS, default=500)
    """Points per pool-paid deal; 0 is unlimited."""
    endorse: int = setting(_COUNT, default=3)
    budget: int = setting(_TOTAL)
    period: int = setting(Duration(), default="30d")
    review: int = setting(Duration(), default="7d")
    on_silence: Literal["approve", "lapse"] = setting(_ON_SILENCE, default="approve")


@table
class Round:
    id: str = setting(Id())
    currency: str = setting(Currency())
    price: int = setting(_POINTS)
    """Minor units per share."""
    points: int = setting(_POINTS)
    voucher: int = setting(_POINTS, default=3_000_000)
    """Minor units of goods per share."""
    shares: int = setting(_COUNT, default=100)
    max_per_partner: int = setting(_COUNT, default=1)


@table
class Donation:
    currency: str = setting(Currency())


@table
class Duty:
    size: int = setting(_SOME, default=10)
    term: int = setting(Duration(), default="30d")


@table
class Dispute:
    panel: int = setting(_SOME, default=3)
    window: int = setting(Duration(), default="7d")


@table
class Governance:
    weight: Literal["partner", "points"] = setting(Choice(("partner", "points")), default="partner")
    quorum: tuple[int, int] = setting(Fraction(), default="1/2")
    pass_: tuple[int, int] = setting(Fraction(), default="1/2")
    quorum_major: tuple[int, int] = setting(Fraction(), default="2/3")
    amend: tuple[int, int] = setting(Fraction(), default="2/3")
    expel: tuple[int, int] = setting(Fraction(), default="3/4")
    sale: tuple[int, int] = setting(Fraction(), default="3/4")
    early_sale: tuple[int, int] = setting(Fraction(), default="9/10")
    period: int = setting(Duration(), default="7d")
    suspension: int = setting(Duration(), default="30d")
    notice: int = setting(Duration(zero=True), default="24h")
    grace: int = setting(Duration(zero=True), default="14d")


@table
class Finality:
    sealers: str = setting(Prefixed(("all",), "role:"), default="all")
    """`all`, or `role:` and a role."""
    interval: int = setting(Duration(zero=True), default="60s")
    absence: int = setting(Duration(), default="14d")


@table
class Sale:
    currency: str | None = setting(Currency(), default=None)
    """None where the charter uses no money."""
    preference: Literal["capital-first", "none"] = setting(Choice(("capital-first", "none")), default="capital-first")
    acceleration: bool = setting(Flag(), default=True)


@table
class Charter:
    """One version of the rules. Two charters are equal when their bytes are."""

    schema: Literal[1] = setting(Whole(1, 1), key="charter")
    trial: bool = setting(Flag(), default=False)
    name: str = setting(Text(1, 200))
    purpose: str = setting(Text(0, SIZE_BYTES_MAX, lines=True), default="")
    points: Points = setting(Table(Points))
    objective: Objective | None = setting(Table(Objective), default=None)
    membership: Membership = setting(Table(Membership), default=Membership())
    referral: Referral | None = setting(Table(Referral), default=None)
    leaver: Leaver = setting(Table(Leaver), default=Leaver())
    vesting: Vesting | None = setting(Table(Vesting), default=None)
    roles: dict[str, Role] = setting(Tables(Role), default=[], key="role")
    """With the treasurer, who always exists."""
    steps: dict[str, Step] = setting(Tables(Step), default=[], key="step")
    contributions: dict[str, Contribution] = setting(Tables(Contribution), default=[], key="contribution")
    open: Open | None = setting(Table(Open), default=None)
    rounds: dict[str, Round] = setting(Tables(Round), default=[], key="round")
    donation: Donation | None = setting(Table(Donation), default=None)
    duty: Duty | None = setting(Table(Duty), default=None)
    dispute: Dispute = setting(Table(Dispute), default=Dispute())
    governance: Governance = setting(Table(Governance), default=Governance())
    finality: Finality = setting(Table(Finality), default=Finality())
    sale: Sale = setting(Table(Sale), default=Sale())
    bytes: builtins.bytes = field(default=b"", repr=False)
    """Canonical bytes of the document as written."""
    hash: builtins.bytes = b""
    """H("charter", bytes)."""

    def __eq__(self, other: object) -> bool:
        return self.bytes == other.bytes if isinstance(other, Charter) else NotImplemented

    def __hash__(self) -> int:
        return builtins.hash(self.bytes)


def read_charter(data: object) -> Charter:
    """Check a document and return the charter it is.

    Raises CharterError with everything that is wrong, never only the first.
    """
    findings = Findings()
    charter = read_table(Charter, data, "", findings)
    if isinstance(data, dict):
        cross_check(charter, data, findings)
    if findings.rows:
        raise CharterError(tuple(Problem(*row) for row in findings.rows))
    # Every value in it has passed a reader by now, so the encoder takes it.
    encoded = codec.encode(cast("Any", data))
    if len(encoded) > SIZE_BYTES_MAX:
        raise CharterError((Problem("", len(encoded), f"at most {SIZE_BYTES_MAX} bytes when encoded"),))
    charter.roles.setdefault(TREASURER, Role(id=TREASURER))
    return replace(charter, bytes=encoded, hash=tagged_hash("charter", encoded))


def canonical(data: object) -> builtins.bytes:
    """Return the bytes by which the ledger keeps this document.

    Raises CharterError.
    """
    return read_charter(data).bytes


@lru_cache(maxsize=32)
def from_bytes(data: builtins.bytes) -> Charter:
    """Read canonical bytes. The same bytes give the same value, and cost nothing the second time.

    Raises CharterError.
    """
    try:
        document = codec.decode(data, size_max=SIZE_BYTES_MAX)
    except DecodeError as error:
        raise CharterError((Problem("", None, f"canonical bytes, but these are not: {error}"),)) from None
    return read_charter(document)


def read_toml(text: str) -> dict[str, Any]:
    """Parse a charter written as TOML, without judging more than that it can be a charter.

    Numbers with a point, dates and times have no place in a charter. Where there are some, everything else that is
    wrong is reported with them.

    Raises CharterError; the path of a syntax error is its line and column.
    """
    document = parse_toml(text, TEXT_LENGTH_MAX)
    if _is_strange(document):
        # No setting takes such a value, so this raises, and names everything else that is wrong as well.
        read_charter(document)
    return document


def parse_toml(text: str, length_max: int) -> dict[str, Any]:
    """Parse TOML that somebody wrote by hand: a charter, or what holds one. Raises CharterError."""
    if len(text) > length_max:
        raise CharterError((Problem("", len(text), f"at most {length_max} characters"),))
    if (dotted := _DOTTED.search(text)) is not None:
        line = text.count("\n", 0, dotted.start()) + 1
        raise CharterError((Problem(f"line {line}", dotted[0], "keys of few dotted parts"),))
    try:
        return tomllib.loads(text, parse_float=_NoInteger)
    except RecursionError:
        raise CharterError((Problem("", None, "tables and lists that are not so deep in one another"),)) from None
    except tomllib.TOMLDecodeError as error:
        raise CharterError((_syntax_problem(str(error), text),)) from None
    except ValueError:
        # What is left is an integer of thousands of digits, which Python will not convert.
        raise CharterError((Problem("", None, "whole numbers of 64 bits"),)) from None


class _NoInteger:
    """A number with a point or an exponent, kept as it was written so that it can be shown."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _is_strange(document: object) -> bool:
    """Whether something in it is neither text, whole number, true, false, list nor table, or lies too deep."""
    stack = [(document, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, dict | list):
            if depth > DEPTH_MAX:
                return True
            stack.extend((each, depth + 1) for each in (value.values() if isinstance(value, dict) else value))
        elif type(value) not in (str, int, bool):
            return True
    return False


def _syntax_problem(message: str, text: str) -> Problem:
    """The parser's words, with its place as the path."""
    lines = text.split("\n")
    place = _PLACE.search(message)
    line, column = (int(place[1]), int(place[2])) if place else (len(lines), len(lines[-1]) + 1)
    words = message[: place.start()] if place else message.removesuffix(" (at end of document)")
    return Problem(f"line {line}, column {column}", lines[line - 1], f"TOML ({words})")


def _shown(value: object) -> str:
    """A value for a message, short whatever it is."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | time):
        return str(value)
    if isinstance(value, str):
        # A message goes to a terminal, which must not obey what is quoted in it.
        text = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in value[:SHOWN_LENGTH_MAX])
        return f'"{text}"' if len(value) <= SHOWN_LENGTH_MAX else f'"{text}..."'
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number beyond 64 bits"
    text = repr(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "..."
