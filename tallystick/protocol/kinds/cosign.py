"""Entry kind `cosign`: a partner who is neither side agrees to the approval of a large deal, which is then paid.

Source: docs/spec/charter.md#approve
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Cosign(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "cosign"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False

    deal: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        deal = deal_rules.read_deal(act, self.deal)
        if act.author_id in (deal.seller, deal.buyer):
            raise EntryError(Reason.NOT_ALLOWED, "a side of the deal cannot cosign it")
        deal_rules.check_status(deal, "waiting")
        deal_rules.settle(act, self.deal, deal)
