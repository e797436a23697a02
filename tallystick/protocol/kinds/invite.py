"""Entry kind `invite`: a partner lets somebody ask to come in, with a one-time secret whose public key stands here.

Source: docs/spec/membership.md#invite
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Moment
from tallystick.protocol.records import Invite as InviteRow
from tallystick.protocol.records import KeyUse


class Invite(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "invite"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True

    key: Bytes32
    standing: Literal["observer", "contributor", "partner"]
    uses: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    expires: Moment

    def enrols(self) -> tuple[bytes, ...]:
        return (self.key,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: KEY_USED, TOO_LATE, tried in that order."""
        if self.key in act.state.keys:
            raise EntryError(Reason.KEY_USED, "invite")
        if self.expires <= act.at:
            raise EntryError(Reason.TOO_LATE, "the invitation has expired before it was signed")
        act.state.keys.set(self.key, KeyUse("invite", act.author_id))
        act.state.invites.set(act.cause, InviteRow(act.author_id, self.key, self.standing, self.uses, self.expires))
