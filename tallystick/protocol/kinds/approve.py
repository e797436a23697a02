"""Entry kind `approve`: the buyer takes what was delivered, for so many units and of such a grade.

Source: docs/spec/charter.md#approve
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Units


class Approve(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "approve"
    DEPARTED_MAY: ClassVar[bool] = True

    deal: Bytes32
    units: Units | None = None
    """Absent: all that was delivered."""
    grade: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    """Percent. Absent: 100."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, NOT_ACTIVE, STATE, UNITS, GRADE, tried in that
        order.
        """
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_side(act, deal, deal.buyer, "buyer")
        if deal.status != "disputed" or deal.approved:
            # Also while a rejection is disputed: the buyer may think again.
            deal_rules.check_status(deal, "delivered", "rejected")
        units = deal.delivered if self.units is None else self.units
        if units > deal.delivered:
            raise EntryError(Reason.UNITS, f"{deal.delivered} were delivered")
        grade = 100 if self.grade is None else self.grade
        if grade > deal.terms.max_grade:
            raise EntryError(Reason.GRADE, f"at most {deal.terms.max_grade}")
        deal_rules.approve(act, self.deal, deal, units, grade)
