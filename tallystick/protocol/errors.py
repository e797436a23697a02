"""Refusals of the rules, each with one word from a closed list.

The words are protocol: vectors, logs, the local API, the documents and the command line all use the same ones.
What is merely *not yet* possible (a missing parent) is a return value elsewhere, never one of these errors.
"""

from enum import StrEnum

from tallystick.crypto.errors import TallystickError


class Reason(StrEnum):
    """Why bytes, an entry or a block are refused, or why a sealed entry is void."""

    # -- bytes are not canonical (DecodeError) --
    BAD_UTF8 = "bad-utf8"
    DUPLICATE_KEY = "duplicate-key"
    EXT = "ext"
    FLOAT = "float"
    INTEGER_RANGE = "integer-range"
    KEY_TYPE = "key-type"
    NOT_CANONICAL = "not-canonical"
    NOT_SHORTEST = "not-shortest"
    RESERVED_BYTE = "reserved-byte"
    TOO_DEEP = "too-deep"
    TOO_LARGE = "too-large"
    TOO_LONG = "too-long"
    TRAILING_BYTES = "trailing-bytes"
    TRUNCATED = "truncated"
    UNSORTED_KEYS = "unsorted-keys"

    # -- structure: the same answer on every node, for ever (EntryError on receipt) --
    BAD_ANNEX = "bad-annex"
    BAD_LINKS = "bad-links"
    BAD_SEAL = "bad-seal"
    BAD_SEQ = "bad-seq"
    BAD_SIGNATURE = "bad-signature"
    MALFORMED = "malformed"
    NOT_LINKED = "not-linked"
    OTHER_BRANCH = "other-branch"
    UNKNOWN_DEVICE = "unknown-device"
    UNKNOWN_KIND = "unknown-kind"
    WRONG_LEDGER = "wrong-ledger"

    # -- rules: a sealed entry is void with one of these (EntryError from a kind) --
    ALONE = "alone"
    ALREADY_DONE = "already-done"
    BALANCE = "balance"
    BUDGET_EXHAUSTED = "budget-exhausted"
    CAP = "cap"
    """More than the charter allows of it: in one deal, of one round, to one member, in one period."""
    DEADLINE = "deadline"
    DEAL_CLOSED = "deal-closed"
    DEVICE_FROZEN = "device-frozen"
    FORK = "fork"
    GRADE = "grade"
    INVITE_CLOSED = "invite-closed"
    KEY_USED = "key-used"
    LAST_PARTNER = "last-partner"
    """Nobody who is active would remain."""
    LEDGER_FULL = "ledger-full"
    LIMIT = "limit"
    MAX_OPEN = "max-open"
    NOT_ACTIVE = "not-active"
    NOT_ADDRESSED = "not-addressed"
    NOT_ALLOWED = "not-allowed"
    NOT_A_MEMBER = "not-a-member"
    NOT_A_PARTNER = "not-a-partner"
    NOT_AN_ELECTOR = "not-an-elector"
    """Others decide this proposal: who were partners when it was sealed, without the one it is about."""
    NOT_ENDORSED = "not-endorsed"
    """Too few partners have endorsed an open offer that the pool would pay."""
    NOT_FOUND = "not-found"
    NOT_JOINED = "not-joined"
    """It comes from, or touches, somebody who has not joined this ledger since it was founded anew."""
    NOT_ON_DUTY = "not-on-duty"
    """Somebody else has to do this: whoever is on duty, and not in a case of their own."""
    NOT_ON_PANEL = "not-on-panel"
    """Somebody else has been drawn to decide this dispute."""
    OFFER_CLOSED = "offer-closed"
    OFFER_TAKEN = "offer-taken"
    OWN_OFFER = "own-offer"
    PAIR_CAP = "pair-cap"
    POOL_EMPTY = "pool-empty"
    PROPOSAL_CLOSED = "proposal-closed"
    REVOKED = "revoked"
    ROLE = "role"
    SCOPE = "scope"
    SOLD = "sold"
    """The whole has been sold, and only what settles that is left to do."""
    STALE = "stale"
    STATE = "state"
    STILL_NEEDED = "still-needed"
    """Words of a deal or proposal that is not closed."""
    TERMS_CHANGED = "terms-changed"
    TOO_EARLY = "too-early"
    TOO_FEW_JOINED = "too-few-joined"
    """The ledger was founded anew, and no more than half of its partners have joined it."""
    TOO_FEW_SIGNED = "too-few-signed"
    """Fewer than half of the partners want to found the ledger anew."""
    TOO_LATE = "too-late"
    TRIAL = "trial"
    """Not before the charter has been ratified."""
    UNITS = "units"


class BlockReason(StrEnum):
    """Why a sealing message, a header, a certificate or a piece of evidence is refused."""

    BAD_BODY = "bad-body"
    BAD_FRONTIER = "bad-frontier"
    BAD_READYS = "bad-readys"
    BAD_SIGNATURE = "bad-signature"
    BAD_TIME = "bad-time"
    MALFORMED = "malformed"
    NO_CONTRADICTION = "no-contradiction"
    NOT_A_SEALER = "not-a-sealer"
    NOT_ASCENDING = "not-ascending"
    NOT_CANONICAL = "not-canonical"
    NOT_PROPOSER = "not-proposer"
    OTHER_BRANCH = "other-branch"
    OTHER_HEIGHT = "other-height"
    TOO_FEW = "too-few"
    UNKNOWN_TYPE = "unknown-type"
    WRONG_LEDGER = "wrong-ledger"


class DecodeError(TallystickError):
    """Bytes are not the one canonical encoding of a value; `offset` is where, if that is known."""

    def __init__(self, reason: Reason, offset: int | None = None) -> None:
        super().__init__(reason.value if offset is None else f"{reason.value} at byte {offset}")
        self.reason = reason
        self.offset = offset


class EntryError(TallystickError):
    """A well-formed entry that a rule refuses, for ever."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


class BlockError(TallystickError):
    """A block, vote or certificate that the rules refuse, for ever."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
