"""Entry kind `refuse`: a partner turns an application down, which ends it.

Source: docs/spec/membership.md#refuse
"""

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Refuse(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "refuse"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True

    member: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.member,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, STATE, tried in that order."""
        member = act.state.members.get(self.member)
        if member is None:
            raise EntryError(Reason.NOT_FOUND, "nobody has applied with this id")
        if member.again:
            # It stays what it was: somebody who has departed, and may ask another time.
            member = msgspec.structs.replace(member, again="", vouches=())
        elif member.status == "applicant":
            member = msgspec.structs.replace(member, status="refused", vouches=())
        else:
            raise EntryError(Reason.STATE, f"no application is open, it is {member.status}")
        act.state.members.set(self.member, member)
