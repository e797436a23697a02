"""Entry kind `leave`: a member departs, of its own will, at the end of the block.

Source: docs/spec/charter.md#leaving
"""

from typing import ClassVar, Final, Literal

from tallystick.protocol.act import Act
from tallystick.protocol.departure import is_last
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.membership import DAY_MS

#: Whoever has been given new keys by others does not leave with what it holds before the owner had time to object.
RECOVERED_MS: Final = 90 * DAY_MS


class Leave(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "leave"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    AFTER_SALE: ClassVar[bool] = True

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE, TOO_EARLY, LAST_PARTNER, tried in that order."""
        leaving = frozenset(ref for what, ref in act.state.boundary.values() if what == "leave")
        if act.author_id in leaving:
            raise EntryError(Reason.ALREADY_DONE)
        member = act.state.members[act.author_id]
        if member.recovered and act.at < member.recovered + RECOVERED_MS:
            raise EntryError(Reason.TOO_EARLY, "90 days after a recovery")
        if is_last(act.state, act.author_id, act.at, gone=leaving):
            raise EntryError(Reason.LAST_PARTNER)
        act.at_boundary("leave", act.author_id)
