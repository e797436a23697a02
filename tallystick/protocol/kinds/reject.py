"""Entry kind `reject`: the buyer does not take what was delivered; the reason stands in the annex.

The escrow stays while the seller may dispute it.

Source: docs/spec/charter.md#reject
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.kinds.base import Body, Bytes32


class Reject(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "reject"
    DEPARTED_MAY: ClassVar[bool] = True

    deal: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, NOT_ACTIVE, STATE, tried in that order."""
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_side(act, deal, deal.buyer, "buyer")
        deal_rules.check_status(deal, "delivered")
        deal_rules.reject(act, self.deal, deal)
