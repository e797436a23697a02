"""What the state keeps of members, devices, invitations, sealers and time: one immutable record a row.

Every record is encoded as a canonical array of its fields, in the order written here, and is a leaf of the state
root; a new field is therefore a new version of the rules. Records of deals are in `records_deal`.
"""

from typing import Literal

import msgspec

Standing = Literal["observer", "contributor", "partner"]
MemberStatus = Literal["applicant", "active", "departed", "refused"]
DeviceStatus = Literal["active", "frozen", "revoked", "retired"]
SealerStatus = Literal["requested", "active", "benched", "leaving"]


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of all rows: immutable, encoded as an array. None can be part of a circle, so the collector may pass by."""


class Founded(Record, frozen=True):
    """The one row that never changes: whose ledger this is."""

    ledger: bytes
    time: int
    """UTC milliseconds of block 1; periods and the first thirty days count from here."""
    founder: bytes
    """Member id; the same as the ledger's, but in a rehearsal, where ids are names."""


class Rules(Record, frozen=True):
    """Version of the rules, and the counters that give ticks and sealers their order."""

    version: int
    due_next: int
    sealer_next: int


class CharterRow(Record, frozen=True):
    """The charter in force, as canonical bytes, and how many there have been."""

    version: int
    data: bytes
    digest: bytes


class Member(Record, frozen=True):
    """An observer, contributor, partner or applicant. Its id is the id of its `join` entry, or of the founding."""

    standing: Standing
    status: MemberStatus
    recovery: bytes
    inviter: bytes | None
    since: int
    """Milliseconds at which it became a member; for an applicant, when it asked."""
    probation_until: int
    away_until: int = 0
    suspended_from: int = 0
    suspended_until: int = 0
    departed: int = 0
    """When it left or was expelled; 0 while it has not."""
    roles: tuple[str, ...] = ()
    """Ascending."""
    vouches: tuple[bytes, ...] = ()
    """Who vouches for this applicant (or for a contributor's promotion), in order."""
    agreed: tuple[bytes, ...] = ()
    """Members who agree that this one seals, in order."""
    referred: int = 0
    """Points its inviter has earned with it."""
    repaid: int = 0
    """Minor units of capital repaid."""
    leaver: str = ""
    """How its lots were treated when it went: keep-vested, keep-all, forfeit-all."""
    again: str = ""
    """The standing for which somebody who has departed applies again."""
    started: bool = False
    """It has had its points to begin with."""
    recovered: int = 0
    """When its partners gave it new keys; 0 for never."""


class Device(Record, frozen=True):
    """One signing key of a member and the head of its chain."""

    member: bytes
    node_key: bytes
    scope: Literal["all", "work"]
    status: DeviceStatus
    head_seq: int
    head: bytes
    since: int
    cut: tuple[int, bytes] | None = None
    """Last good (seq, id) of a revoked device."""


class KeyUse(Record, frozen=True):
    """A key that has been enrolled once, and therefore never again. A convicted node key never seals again."""

    use: Literal["signing", "node", "recovery", "invite", "convicted"]
    owner: bytes


class Invite(Record, frozen=True):
    """An invitation that can still be used."""

    author: bytes
    key: bytes
    standing: Standing
    uses: int
    expires: int


class Sealer(Record, frozen=True):
    """Somebody who seals, has asked to, or rests on the bench. Rows are numbered in the order of the requests."""

    member: bytes
    device: bytes
    node_key: bytes
    status: SealerStatus
    seen: int
    """Block time of its last READY or of its partner's last entry."""


class Tick(Record, frozen=True):
    """Something that falls due by itself."""

    what: str
    ref: bytes


class Fork(Record, frozen=True):
    """Two entries of one device that are not on one chain: the evidence that froze it."""

    seq: int
    first: bytes
    second: bytes


class Count(Record, frozen=True):
    """How much of a budget, cap or pair-cap one period has used."""

    value: int
    until: int
    """End of the period in milliseconds; the row is dropped when no entry can be dated back into it any more."""
