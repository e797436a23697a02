"""Entry kind `transfer`: a member gives vested points to another; they arrive vested.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import ClassVar, Final

from tallystick.protocol import lots
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Positive
from tallystick.protocol.membership import DAY_MS, other_member
from tallystick.protocol.pay import account_of, hand_over
from tallystick.protocol.records_deal import VestingTerms

#: Whoever has been given new keys by others gives nothing away before the owner had time to object.
RECOVERED_MS: Final = 90 * DAY_MS


class Transfer(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "transfer"
    SUSPENDED_MAY: ClassVar[bool] = False

    to: Bytes32
    points: Positive

    def refs(self) -> tuple[bytes, ...]:
        return (self.to,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_ALLOWED, NOT_A_MEMBER, NOT_ACTIVE, TOO_EARLY, BALANCE, tried in that order."""
        author = act.author
        if author is None or self.to == act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "to oneself")
        if other_member(act.state, self.to).status == "departed":
            raise EntryError(Reason.NOT_ACTIVE, "it has departed")
        if author.recovered and act.at < author.recovered + RECOVERED_MS:
            raise EntryError(Reason.TOO_EARLY, "90 days after a recovery")
        lots.take_vested(act, act.author_id, self.points)
        hand_over(act, account_of(act.author_id), self.to, self.points, "transfer", f"{self.points}", VestingTerms())
