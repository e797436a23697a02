"""What the state keeps of small deeds, money, corrections and duty: one immutable record a row."""

from typing import Literal

from tallystick.protocol.records import Record

MoneyKind = Literal["subscribe", "donate", "income", "expense", "voucher", "paid"]


class Claim(Record, frozen=True):
    """A small deed that waits for others to confirm it. What it says of the charter was in force when it was sealed."""

    author: bytes
    contribution: str
    count: int
    points: int
    """For one."""
    attest: int
    budget: int
    period: int
    attested: tuple[bytes, ...]
    """Who has confirmed it, in order."""
    due: tuple[int, int] | None
    """The tick at which it lapses."""


class Money(Record, frozen=True):
    """Something about money that somebody has stated. Its id is the id of the entry."""

    kind: MoneyKind
    author: bytes
    currency: str
    amount: int
    """Minor units, as last corrected."""
    at: int
    due: tuple[int, int] | None
    """The tick at which it lapses; None once it is confirmed."""
    word: str = ""
    """Category of an income or expense, round of a subscription."""
    partner: bytes = b""
    """Whom a payment was for."""
    source: bytes = b""
    """The donation that an expense was paid from."""
    spent: int = 0
    """What confirmed expenses have used of a donation."""
    shares: int = 0
    points: int = 0
    """What a subscription brings: points, and minor units of goods."""
    voucher: int = 0


class Correction(Record, frozen=True):
    """What a decision or a statement should have said, as long as nobody has confirmed that. Its id is the entry's."""

    target: bytes
    """The entry that is corrected; of a deal, the deal."""
    author: bytes
    due: tuple[int, int] | None
    units: int = 0
    """Of a deal; 0 where money is corrected."""
    grade: int = 0
    amount: int = 0
    confirmed: bool = False
    """The seller agrees, and a third partner has still to."""
    cosigned: bool = False


class Duty(Record, frozen=True):
    """The teams of one cycle, as they were drawn at its start."""

    cycle: int
    """From 0."""
    start: int
    term: int
    """Milliseconds for which a team serves."""
    teams: tuple[tuple[bytes, ...], ...]
    due: tuple[int, int]
    """The tick with which the next cycle begins."""
    before: tuple[bytes, ...] = ()
    """The last team of the cycle before, which may still have to report; its term began at `before_start`."""
    before_start: int = 0


class Report(Record, frozen=True):
    """What somebody on duty counted."""

    at: int
    counted: tuple[tuple[str, int, int], ...]
    """Currency, minor units counted, and what the book said at that moment."""
