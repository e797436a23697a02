"""Entry kind `dispute`: the seller does not agree with a rejection, or with an approval of less than was delivered.

Why stands in the annex. A panel of others decides.

Source: docs/spec/charter.md#dispute
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import deal_rules, disputes
from tallystick.protocol.act import Act
from tallystick.protocol.kinds.base import Body, Bytes32


class Dispute(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "dispute"
    DEPARTED_MAY: ClassVar[bool] = True

    deal: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, NOT_ACTIVE, STATE, tried in that order."""
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_side(act, deal, deal.seller, "seller")
        # An approved deal that is still here has something held.
        deal_rules.check_status(deal, "rejected", "approved")
        disputes.open_dispute(act, self.deal, deal)
