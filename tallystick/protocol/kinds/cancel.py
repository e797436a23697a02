"""Entry kind `cancel`: a side ends a deal, alone where the rules say so, else as soon as both have said it.

Source: docs/spec/charter.md#cancel
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.records_deal import Deal


class Cancel(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "cancel"

    deal: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, STATE, ALREADY_DONE, tried in that order."""
        deal = deal_rules.read_deal(act, self.deal)
        if act.author_id not in (deal.seller, deal.buyer):
            raise EntryError(Reason.NOT_ALLOWED, "only a side of the deal can do this")
        deal_rules.check_status(deal, *deal_rules.UNDECIDED)
        if _may_alone(act, deal):
            deal_rules.end(act, self.deal, deal, "cancelled", "returned: cancelled")
            return
        if act.author_id in deal.consents:
            raise EntryError(Reason.ALREADY_DONE, "the other side has to cancel too")
        consents = (*deal.consents, act.author_id)
        deal = deal_rules.changed(deal, consents=consents)
        if len(consents) == 2:
            deal_rules.end(act, self.deal, deal, "cancelled", "returned: both cancelled")
        else:
            act.state.deals.set(self.deal, deal)


def _may_alone(act: Act, deal: Deal) -> bool:
    """The seller before any delivery; the buyer when it has waited in vain."""
    if deal.status != "accepted":
        return False
    if act.author_id == deal.seller:
        return not deal.returns
    return act.at > (deal.deadline or deal.accepted) + deal.terms.review
