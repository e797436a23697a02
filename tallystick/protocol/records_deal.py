"""What the state keeps of lots, offers and deals: one immutable record a row."""

from typing import Literal

from tallystick.protocol.records import Record

Side = Literal["sell", "buy"]
Payer = Literal["pool", "buyer"]
OnSilence = Literal["approve", "lapse"]
DealStatus = Literal["accepted", "delivered", "waiting", "approved", "rejected", "disputed", "returned", "cancelled"]


class VestingTerms(Record, frozen=True):
    """Terms of a lot, those of the charter of the day it was earned. A duration of 0 means vested at once."""

    cliff: int = 0
    duration: int = 0
    from_lot: bool = False
    """The cliff counts from `earned`, not from joining."""
    leaver_good: str = "keep-vested"
    leaver_bad: str = "keep-vested"
    acceleration: bool = True


class Lot(Record, frozen=True):
    """Points earned at one time under one set of terms."""

    amount: int
    earned: int
    spent: int
    terms: VestingTerms


class Taken(Record, frozen=True):
    """What was taken from one lot to pay into an escrow, so that it can go back where it came from."""

    lot: Lot
    """The lot as it was before, which identifies it by (earned, terms, amount)."""
    amount: int


class Terms(Record, frozen=True):
    """What both sides of a deal signed."""

    price: int
    payer: Payer
    review: int
    on_silence: OnSilence
    late_per_day: int
    late_max: int
    max_grade: int
    cosign_above: int


class Offer(Record, frozen=True):
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


class Verdict(Record, frozen=True):
    """What one member of a panel found."""

    member: bytes
    grade: int


class Deal(Record, frozen=True):
    """An accepted offer, from the acceptance to its end. Its id is the id of the acceptance."""

    offer: bytes
    seller: bytes
    buyer: bytes
    step: str
    """Empty for a deal that no step describes."""
    units: int
    terms: Terms
    gross: int
    deadline: int
    """Milliseconds, 0 for none. A return for rework moves it by the time the buyer held the delivery."""
    accepted: int
    period: int
    """Length in ms of the budget period it was counted in; 0 when the buyer pays."""
    status: DealStatus
    taken: tuple[Taken, ...]
    """Lots a buyer paid from, oldest first, as far as they still lie in escrow; empty when the pool pays."""
    due: tuple[int, int] | None
    """The tick that stands for silence in the present status."""
    delivered: int = 0
    """Units delivered; 0 without a delivery, and again after a return."""
    delivered_at: int = 0
    returns: int = 0
    away: int = 0
    """Milliseconds by which reviews were longer because the buyer was away."""
    consents: tuple[bytes, ...] = ()
    """Sides that agree to cancel, in order."""
    approved: int = 0
    """Units approved; 0 without an approval."""
    grade: int = 0
    decided: int = 0
    """When it was approved or rejected."""
    paid: int = 0
    """Points the seller has received."""
    held: int = 0
    """Points that stay in escrow because the seller may still dispute them."""
    approval: bytes = b""
    """The entry that approved it; where silence did, the id of the deal."""
    disputed: int = 0
    """When the seller disputed the decision that stands; 0 where it has not."""
    panel: tuple[bytes, ...] = ()
    """Who decides the dispute, known once the block that sealed the dispute is."""
    verdicts: tuple[Verdict, ...] = ()
    """What the panel has found so far, in order."""
    original: tuple[int, int, int] | None = None
    """Units, grade and points as they were decided, where a correction has changed them since."""
    said: tuple[bytes, ...] = ()
    """Entries whose words are needed until it is closed, in order."""


class Corrected(Record, frozen=True):
    """What the last correction of a deal says. The deal itself has left the state long ago."""

    units: int
    grade: int
    paid: int


class Draw(Record, frozen=True):
    """A panel that is drawn as soon as the block that seals the dispute has an id. Its key is the deal."""

    height: int
    """Of that block."""
    size: int
    eligible: tuple[bytes, ...]
    """Ascending: who could sit on it at the moment of the dispute."""
