"""What happens to many deals at once: when a side goes away or departs, and when everything is sold.

Source: docs/spec/charter.md#deals
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol import deal_rules

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.state import State


def in_order_of_acceptance(state: State) -> list[bytes]:
    """Ids of all open deals, oldest first."""
    return sorted(state.deals, key=lambda deal_id: (state.deals[deal_id].accepted, deal_id))


def lengthen_reviews(act: Act, buyer: bytes, longer: int) -> None:
    """The buyer will be away: what it has under review waits longer, up to 14 days in all per deal."""
    deals = act.state.deals
    due = [
        (deal.due, deal_id)
        for deal_id, deal in deals.items()
        if deal.buyer == buyer and deal.status == "delivered" and deal.due is not None
    ]
    # In the order in which they fall due, so that two of one moment stay in their order.
    for key, deal_id in sorted(due):
        deal = deals[deal_id]
        extra = min(longer, deal_rules.AWAY_MS_MAX - deal.away)
        if extra:
            deal = deal_rules.changed(deal, away=deal.away + extra)
            deal_rules.wait(act, deal_id, deal, "deal.unreviewed", key[0] + extra)


def cancel_undelivered(act: Act, member_id: bytes) -> None:
    """A side has departed: its deals without a delivery end, and what is in escrow returns."""
    for deal_id in in_order_of_acceptance(act.state):
        deal = act.state.deals[deal_id]
        if deal.status == "accepted" and member_id in (deal.seller, deal.buyer):
            deal_rules.end(act, deal_id, deal, "cancelled", "returned: a side has departed")
