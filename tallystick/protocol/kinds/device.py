"""Entry kinds `device.add`, `device.retire`, `device.revoke`, `device.claim`: the devices of one member.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.act import Act
from tallystick.protocol.devices import Cut, ask_to_revoke, check_room, enrol_device, possession_payload
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Bytes64, Proof
from tallystick.protocol.kinds.found import possession_proof
from tallystick.protocol.records import Device

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry

#: Devices that one claim revokes.
REVOKED_MAX: Final = 16
#: Kinds in whose body a member names its recovery key.
NAME_A_RECOVERY_KEY: Final = frozenset(("found", "join", "recovery.change", "recover.request"))


class DeviceBody(Body, frozen=True, kw_only=True):
    """What the kinds about devices have in common: everybody may, always, with a device that may do everything."""

    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    DEPARTED_MAY: ClassVar[bool] = True
    AFTER_SALE: ClassVar[bool] = True


class DeviceAdd(DeviceBody, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "device.add"

    device: Bytes32
    """The new signing key. What people call the device stands in the annex."""
    node_key: Bytes32
    scope: Literal["all", "work"]
    possession: Bytes64
    """By the new signing key, over [new signing key, new node key, key of the device that adds it]."""
    possession_node: Bytes64
    """By the new node key, over the same."""

    def enrols(self) -> tuple[bytes, ...]:
        return self.device, self.node_key

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        payload = possession_payload(self.device, self.node_key, entry.device)
        message = signed_bytes(SignType.POSSESSION, entry.ledger, payload)
        return Proof(self.device, message, self.possession), Proof(self.node_key, message, self.possession_node)

    def apply(self, act: Act) -> None:
        """Raises EntryError: LIMIT, KEY_USED, tried in that order."""
        check_room(act.state, act.author_id)
        # Its chain is empty: the first entry has the number 0 and nothing before it.
        device = Device(act.author_id, self.node_key, self.scope, "active", -1, b"", act.at)
        enrol_device(act, act.author_id, self.device, device)


class DeviceRetire(DeviceBody, frozen=True, kw_only=True):
    """The last entry of a device."""

    KIND: ClassVar[str] = "device.retire"

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE."""
        key = act.entry.device if act.entry is not None else b""
        if ("retire", key) in act.state.boundary.values():
            raise EntryError(Reason.ALREADY_DONE)
        act.at_boundary("retire", key)


class DeviceRevoke(DeviceBody, frozen=True, kw_only=True):
    """Another device of the same member is lost or stolen: what it wrote after `entry` does not count."""

    KIND: ClassVar[str] = "device.revoke"

    device: Bytes32
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """Number of its last good entry."""
    entry: Bytes32
    """Id of that."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.entry,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_ALLOWED, NOT_FOUND, ALREADY_DONE, tried in that order."""
        if act.entry is not None and self.device == act.entry.device:
            raise EntryError(Reason.NOT_ALLOWED, "a device retires, it does not revoke itself")
        ask_to_revoke(act, Cut(self.device, self.seq, self.entry), by_recovery=False)


class DeviceClaim(DeviceBody, frozen=True, kw_only=True):
    """A new device of somebody who has the recovery words: the first entry of the device."""

    KIND: ClassVar[str] = "device.claim"
    INTRODUCES: ClassVar[bool] = True

    member: Bytes32
    node_key: Bytes32
    recovery: Bytes32
    """The recovery key of the member."""
    source: Bytes32
    """The entry in which the member named that key."""
    consent: Bytes64
    """By the recovery key, over `claim_payload`."""
    possession: Bytes64
    """By the node key, over [signing key, node key, recovery key]."""
    revoke: Annotated[tuple[Cut, ...], msgspec.Meta(max_length=REVOKED_MAX)] | None = None
    """Devices to revoke, each with its last good entry."""

    def refs(self) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys((self.member, self.source)))

    def check(self) -> None:
        if self.revoke == ():
            raise EntryError(Reason.MALFORMED, "a list that is empty is left out")

    def enrols(self) -> tuple[bytes, ...]:
        return (self.node_key,)

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        source = find(self.source)
        if source is None or source.kind not in NAME_A_RECOVERY_KEY or source.body.get("recovery") != self.recovery:
            raise EntryError(Reason.BAD_SIGNATURE, "it does not refer to an entry that names this recovery key")
        payload = claim_payload(self.member, entry.device, self.node_key, self.revoke or ())
        return (
            Proof(self.recovery, signed_bytes(SignType.RECOVERY, entry.ledger, payload), self.consent),
            possession_proof(entry, self.node_key, self.recovery, self.possession),
        )

    def to_map(self) -> dict[str, Any]:
        body = super().to_map()
        if self.revoke is not None:
            body["revoke"] = [list(msgspec.structs.astuple(cut)) for cut in self.revoke]
        return body

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE, NOT_A_MEMBER, NOT_ALLOWED, LIMIT, KEY_USED, NOT_FOUND.

        Tried in that order.
        """
        entry = act.entry
        if entry is None or act.author is not None:
            raise EntryError(Reason.ALREADY_DONE, "this device has a member")
        member = act.state.members.get(self.member)
        if member is None or member.status not in ("active", "departed"):
            raise EntryError(Reason.NOT_A_MEMBER)
        if member.recovery != self.recovery:
            raise EntryError(Reason.NOT_ALLOWED, "the recovery key has changed since")
        check_room(act.state, self.member, (cut.device for cut in self.revoke or ()))
        device = Device(self.member, self.node_key, "all", "active", 0, entry.id, act.at)
        enrol_device(act, self.member, entry.device, device)
        for cut in self.revoke or ():
            ask_to_revoke(act, cut, by_recovery=True)


def claim_payload(member: bytes, device: bytes, node_key: bytes, revoke: tuple[Cut, ...]) -> bytes:
    """What the recovery key signs, so that its consent is good for these keys and these devices only."""
    return codec.encode([member, device, node_key, [list(msgspec.structs.astuple(cut)) for cut in revoke]])
