"""Entry kind `return`: the buyer hands a delivery back and asks for rework; the reason stands in the annex.

Source: docs/spec/charter.md#deliver
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Return(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "return"
    DEPARTED_MAY: ClassVar[bool] = True

    deal: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, NOT_ACTIVE, STATE, tried in that order."""
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_side(act, deal, deal.buyer, "buyer")
        deal_rules.check_status(deal, "delivered")
        if deal.returns >= deal_rules.RETURNS_MAX:
            raise EntryError(Reason.NOT_ALLOWED, f"returned {deal.returns} times already: approve or reject")
        # The seller does not lose the time for which the buyer had it.
        deadline = deal.deadline + (act.at - deal.delivered_at) if deal.deadline else 0
        deal = deal_rules.changed(
            deal, status="accepted", delivered=0, delivered_at=0, deadline=deadline, returns=deal.returns + 1
        )
        deal_rules.wait_for_delivery(act, self.deal, deal, act.at)
