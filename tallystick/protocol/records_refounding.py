"""What the state keeps of a ledger that was founded anew: one immutable record a row. Other ledgers have none."""

from tallystick.protocol.records import Record


class Refounded(Record, frozen=True):
    """From where this ledger goes on, and how many are back. One row: that of the last re-founding."""

    founding: bytes
    """The founding entry, which is the id of this ledger."""
    ledger: bytes
    """The ledger before."""
    height: int
    """Its last block that counts here."""
    block_id: bytes
    state_root: bytes
    time: int
    """Time of that block in ms: what was open then stands still from here."""
    at: int
    """When it was founded anew, in ms."""
    signed: tuple[bytes, ...]
    """Members who signed for it, ascending."""
    partners: int
    """How many partners there were who could sign."""
    joined: int
    """How many of them are back."""


class Awaited(Record, frozen=True):
    """A member of the ledger before who has not joined this one. The row goes when it does."""

    counts: bool
    """It is one of the partners of whom more than half are needed."""
    away_until: int
    """What its row said before; until it joins it is away."""
