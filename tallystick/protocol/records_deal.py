"""What the state keeps of lots, offers and deals: one immutable record a row."""

from typing import Literal

from tallystick.protocol.records import Record

Side = Literal["sell", "buy"]
Payer = Literal["pool", "buyer"]
OnSilence = Literal["approve", "lapse"]
DealStatus = Literal[
    "accepted", "delivered", "waiting", "approved", "rejected", "disputed", "returned", "cancelled"
]


class VestingTerms(Record):
    """Terms of a lot, those of the charter of the day it was earned. A duration of 0 means vested at once."""

    cliff: int = 0
    duration: int = 0
    from_lot: bool = False
    """The cliff counts from `earned`, not from joining."""
    leaver_good: str = "keep-vested"
    leaver_bad: str = "keep-vested"
    acceleration: bool = True


class Lot(Record):
    """Points earned at one time under one set of terms."""

    amount: int
    earned: int
    spent: int
    terms: VestingTerms


class Taken(Record):
    """What was taken from one lot to pay into an escrow, so that it can go back where it came from."""

    lot: Lot
    """The lot as it was before, which identifies it by (earned, terms)."""
    amount: int


class Terms(Record):
    """What both sides of a deal signed."""

    price: int
    payer: Payer
    review: int
    on_silence: OnSilence
    late_per_day: int
    late_max: int
    max_grade: int
    cosign_above: int


class Offer(Record):
    """An offer that can still be accepted, or of which a deal is still open."""

    author: bytes
    side: Side
    step: str
    """Empty for an open offer."""
    units: int
    terms: Terms
    to: bytes | None
    deadline: int
    """Milliseconds, 0 for none."""
    expires: int
    copies: int
    """Copies left."""
    endorsed: tuple[bytes, ...]
    withdrawn: bool
    deals: int
    """Deals from it that are not closed."""


class Deal(Record):
    """An accepted offer, from the acceptance to its end."""

    offer: bytes
    seller: bytes
    buyer: bytes
    step: str
    units: int
    terms: Terms
    gross: int
    deadline: int
    accepted: int
    status: DealStatus
    taken: tuple[Taken, ...]
    """Lots a buyer paid from; empty when the pool paid."""
    due: tuple[int, int] | None
    """The tick that stands for silence in the present status."""
