"""Entry kinds `away` and `back`: a member is not there until a date, and is there again.

Who is away sits on no panel, is not on duty and does not seal; reviews of what it has bought are longer.

Source: docs/spec/charter.md#away
"""

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.deal_sweep import lengthen_reviews
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Moment
from tallystick.protocol.membership import is_away


class Away(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "away"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    AFTER_SALE: ClassVar[bool] = True

    until: Moment

    def apply(self, act: Act) -> None:
        """Raises EntryError: TOO_LATE."""
        member = act.state.members[act.author_id]
        if self.until <= act.at:
            raise EntryError(Reason.TOO_LATE, "until a date that has passed")
        # A date that is moved counts only for what it adds: nobody is away twice at one time.
        longer = self.until - max(act.at, member.away_until)
        act.state.members.set(act.author_id, msgspec.structs.replace(member, away_until=self.until))
        if longer > 0:
            lengthen_reviews(act, act.author_id, longer)


class Back(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "back"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    AFTER_SALE: ClassVar[bool] = True

    def apply(self, act: Act) -> None:
        """Raises EntryError: STATE."""
        member = act.state.members[act.author_id]
        if not is_away(member, act.at):
            raise EntryError(Reason.STATE, "not away")
        act.state.members.set(act.author_id, msgspec.structs.replace(member, away_until=act.at))
