"""Entry kinds `recovery.change`, `recover.request`, `recover.approve`: another recovery key, and new keys from others.

Source: docs/spec/membership.md#recovery
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import devices
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Bytes64, Proof
from tallystick.protocol.kinds.device import DeviceBody
from tallystick.protocol.kinds.found import possession_proof
from tallystick.protocol.membership import is_active
from tallystick.protocol.records import KeyUse
from tallystick.protocol.records_device import Recovery

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry


#: Among two, whoever approves decides alone.
TWO: Final = 2
#: A signing key, a node key and a recovery key.
KEYS_NEW: Final = 3


class RecoveryChange(DeviceBody, frozen=True, kw_only=True):
    """A device and the old recovery key together name a new one."""

    KIND: ClassVar[str] = "recovery.change"

    old: Bytes32
    recovery: Bytes32
    consent: Bytes64
    """By the old key, over [old key, new key, device]."""
    possession: Bytes64
    """By the new key, over the same."""

    def enrols(self) -> tuple[bytes, ...]:
        return (self.recovery,)

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        payload = devices.possession_payload(self.old, self.recovery, entry.device)
        return (
            Proof(self.old, signed_bytes(SignType.RECOVERY, entry.ledger, payload), self.consent),
            Proof(self.recovery, signed_bytes(SignType.POSSESSION, entry.ledger, payload), self.possession),
        )

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_ALLOWED, KEY_USED, tried in that order."""
        state = act.state
        member = state.members[act.author_id]
        if member.recovery != self.old:
            raise EntryError(Reason.NOT_ALLOWED, "not the recovery key of this member")
        if self.recovery in state.keys:
            raise EntryError(Reason.KEY_USED, "recovery")
        state.keys.set(self.recovery, KeyUse("recovery", act.author_id))
        state.members.set(act.author_id, msgspec.structs.replace(member, recovery=self.recovery))


class RecoverRequest(DeviceBody, frozen=True, kw_only=True):
    """Somebody who has lost everything asks for new keys: the first entry of a device that is not known yet."""

    KIND: ClassVar[str] = "recover.request"
    INTRODUCES: ClassVar[bool] = True

    member: Bytes32
    node_key: Bytes32
    recovery: Bytes32
    """The new recovery key."""
    possession: Bytes64
    """By the node key, over [signing key, node key, recovery key]."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.member,)

    def enrols(self) -> tuple[bytes, ...]:
        return self.node_key, self.recovery

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        return (possession_proof(entry, self.node_key, self.recovery, self.possession),)

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE, NOT_A_MEMBER, NOT_ALLOWED, KEY_USED, LIMIT, tried in that order."""
        state = act.state
        entry = act.entry
        if entry is None or act.author is not None:
            raise EntryError(Reason.ALREADY_DONE, "this device has a member")
        member = state.members.get(self.member)
        if member is None or member.status not in ("active", "departed"):
            raise EntryError(Reason.NOT_A_MEMBER)
        partners = sum(1 for row in state.members.values() if row.standing == "partner" and is_active(row, act.at))
        if partners <= TWO:
            raise EntryError(Reason.NOT_ALLOWED, "among two, nobody could stop the other")
        new = {entry.device, self.node_key, self.recovery}
        if len(new) < KEYS_NEW or any(key in state.keys for key in new):
            raise EntryError(Reason.KEY_USED)
        if sum(1 for row in state.recoveries.values() if row.member == self.member) >= devices.REQUESTS_MAX:
            raise EntryError(Reason.LIMIT, "requests in the name of one member")
        lapse = act.wait(act.at + devices.LAPSE_MS, "recovery.lapse", entry.id)
        row = Recovery(self.member, entry.device, self.node_key, self.recovery, act.at, lapse)
        state.recoveries.set(entry.id, row)


class RecoverApprove(Body, frozen=True, kw_only=True):
    """A partner knows that it is the same person."""

    KIND: ClassVar[str] = "recover.approve"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False
    AFTER_SALE: ClassVar[bool] = True

    request: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.request,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, NOT_ALLOWED, ALREADY_DONE, tried in that order."""
        row = act.state.recoveries.get(self.request)
        if row is None:
            raise EntryError(Reason.NOT_FOUND, "no request that waits")
        if row.member == act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "in one's own case")
        if act.author_id in row.approved:
            raise EntryError(Reason.ALREADY_DONE)
        row = msgspec.structs.replace(row, approved=(*row.approved, act.author_id))
        if not row.ready and len(row.approved) >= devices.approvals_needed(act.state, row.member, act.at):
            row = msgspec.structs.replace(row, ready=act.at + devices.WAIT_MS)
            act.wait(row.ready, "recovery.due", self.request)
        act.state.recoveries.set(self.request, row)
