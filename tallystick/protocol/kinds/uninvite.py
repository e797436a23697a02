"""Entry kind `uninvite`: an invitation is taken back by whoever gave it. Applications by it stay.

Source: docs/spec/membership.md#invite
"""

from typing import ClassVar, Literal

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Uninvite(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "uninvite"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"

    invite: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.invite,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: INVITE_CLOSED, NOT_ALLOWED, tried in that order."""
        invite = act.state.invites.get(self.invite)
        if invite is None:
            raise EntryError(Reason.INVITE_CLOSED)
        if invite.author != act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "somebody else's invitation")
        act.state.invites.delete(self.invite)
