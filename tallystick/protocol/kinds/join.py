"""Entry kind `join`: a newcomer asks to come in, with an invitation, and so becomes an applicant.

Source: docs/spec/membership.md#join
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.act import Act
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Bytes64, Proof
from tallystick.protocol.kinds.found import enrol_keys, possession_proof
from tallystick.protocol.records import Device, Member
from tallystick.protocol.records import Invite as InviteRow


class Join(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "join"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    INTRODUCES: ClassVar[bool] = True
    DEPARTED_MAY: ClassVar[bool] = True

    invite: Bytes32
    node_key: Bytes32
    recovery: Bytes32
    charter: Bytes32
    """Hash of the charter that the newcomer has read."""
    grant: Bytes64
    """By the invitation's key, over `grant_payload`."""
    possession: Bytes64
    member: Bytes32 | None = None
    """Of somebody who left and asks to come back: its old id. It signs with a device that it had, and names the keys
    that are enrolled already."""

    def introduces(self) -> bool:
        return self.member is None

    def refs(self) -> tuple[bytes, ...]:
        return (self.invite,)

    def enrols(self) -> tuple[bytes, ...]:
        return (self.node_key, self.recovery) if self.member is None else ()

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        invite = find(self.invite)
        if invite is None or invite.kind != "invite":
            raise EntryError(Reason.BAD_SIGNATURE, "it does not refer to an invitation")
        message = grant_message(entry.ledger, self.invite, entry.device, self.node_key, self.recovery, self.charter)
        return (
            Proof(invite.body["key"], message, self.grant),
            possession_proof(entry, self.node_key, self.recovery, self.possession),
        )

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE, INVITE_CLOSED, TERMS_CHANGED, KEY_USED, tried in that order; of who comes
        back ALREADY_DONE, NOT_ALLOWED instead of the last.
        """
        state = act.state
        entry = act.entry
        if entry is None or (act.author is not None and act.author.status != "departed"):
            raise EntryError(Reason.ALREADY_DONE, "this device has a member")
        invite = state.invites.get(self.invite)
        if invite is None or act.at > invite.expires:
            raise EntryError(Reason.INVITE_CLOSED)
        self._check_charter(act, entry)
        left = invite.uses - 1
        if left:
            state.invites.set(self.invite, InviteRow(invite.author, invite.key, invite.standing, left, invite.expires))
        else:
            state.invites.delete(self.invite)
        if act.author is not None:
            self._ask_again(act, act.author, invite)
            return
        state.members.set(
            entry.id,
            Member(
                standing=invite.standing,
                status="applicant",
                recovery=self.recovery,
                inviter=invite.author,
                since=act.at,
                probation_until=0,
            ),
        )
        state.devices.set(entry.device, Device(entry.id, self.node_key, "all", "active", 0, entry.id, act.at))
        enrol_keys(act, entry.id, device=entry.device, node_key=self.node_key, recovery=self.recovery)

    def _ask_again(self, act: Act, member: Member, invite: InviteRow) -> None:
        """Raises EntryError: ALREADY_DONE, NOT_ALLOWED."""
        if member.again:
            raise EntryError(Reason.ALREADY_DONE, "its application is open")
        device = act.device
        if device is None or (act.author_id, device.node_key, member.recovery) != (
            self.member,
            self.node_key,
            self.recovery,
        ):
            raise EntryError(Reason.NOT_ALLOWED, "the id or the keys of another")
        act.state.members.set(act.author_id, msgspec.structs.replace(member, again=invite.standing, vouches=()))

    def _check_charter(self, act: Act, entry: Entry) -> None:
        """The charter that was read is the one in force at the block cited, or the founding one."""
        history = act.context.history
        read = {history.charter_digest(1)}
        if entry.seal is not None:
            read.add(history.charter_digest(entry.seal[0]))
        else:
            read.add(act.state.charter_row.digest)
        if self.charter not in read:
            raise EntryError(Reason.TERMS_CHANGED, "the charter has changed since it was read")


def grant_message(
    ledger: bytes, invite: bytes, device: bytes, node_key: bytes, recovery: bytes, charter: bytes
) -> bytes:
    """What the invitation's secret signs, so that an invitation cannot be turned to other keys or terms."""
    payload = codec.encode([ledger, invite, device, node_key, recovery, charter])
    return signed_bytes(SignType.INVITE, ledger, payload)
