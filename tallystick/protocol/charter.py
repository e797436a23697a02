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
from dataclasses import dataclass, field
from typing import Final, Literal

from tallystick.protocol.charter_fields import (
    AMOUNT_MAX,
    COUNT_MAX,
    POOL_MAX,
    Choice,
    Currency,
    Duration,
    Flag,
    Fraction,
    Id,
    Ids,
    Prefixed,
    Table,
    Tables,
    Text,
    Whole,
    setting,
    table,
)

#: Most bytes of a canonical charter: a founding entry has room for 64 KiB in all.
SIZE_BYTES_MAX: Final = 48 * 1024
#: The role that every ledger has, whether its charter names it or not.
TREASURER: Final = "treasurer"

_POINTS: Final = Whole(0, AMOUNT_MAX)
_TOTAL: Final = Whole(0, POOL_MAX)
_COUNT: Final = Whole(0, COUNT_MAX)
_SOME: Final = Whole(1, COUNT_MAX)
_PERCENT: Final = Whole(0, 100)
_TITLE: Final = Text(0, 200)
_ON_SILENCE: Final = Choice(("approve", "lapse"))


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
    roles: dict[str, Role] = setting(Tables(Role), default=None, key="role")
    """With the treasurer, who always exists."""
    steps: dict[str, Step] = setting(Tables(Step), default=None, key="step")
    contributions: dict[str, Contribution] = setting(Tables(Contribution), default=None, key="contribution")
    open: Open | None = setting(Table(Open), default=None)
    rounds: dict[str, Round] = setting(Tables(Round), default=None, key="round")
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
