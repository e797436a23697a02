"""What happens to many deals at once: when a side goes away or departs, and when everything is sold.

Source: docs/spec/charter.md#deals
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol import deal_rules
from tallystick.protocol.deal_ticks import TICKS

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State


def in_order_of_acceptance(state: State) -> list[bytes]:
    """Ids of all open deals, oldest first."""
    return sorted(state.deals, key=lambda deal_id: (state.deals[deal_id].accepted, deal_id))


def lengthen_reviews(act: Act, buyer: bytes, longer: int) -> None:
    """The buyer will be away: what it has under review waits longer, up to 14 days in all per deal."""
    state = act.state
    due = [
        (deal.due, deal_id)
        for deal_id, deal in state.deals.items()
        # What stands still needs no more time.
        if deal.buyer == buyer and deal.status == "delivered" and deal.due is not None and deal.due not in state.held
    ]
    # In the order in which they fall due, so that two of one moment stay in their order.
    for key, deal_id in sorted(due):
        deal = state.deals[deal_id]
        extra = min(longer, deal_rules.AWAY_MS_MAX - deal.away)
        if extra:
            fresh = state.fresh.get(key)
            act.unschedule(key)
            if fresh is None:
                moved = act.schedule(key[0] + extra, "deal.unreviewed", deal_id)
            else:
                # It was delivered in this block, and its review counts from then.
                moved = act.wait(key[0] + extra, "deal.unreviewed", deal_id, fresh[2])
            state.deals.set(deal_id, deal_rules.changed(deal, due=moved, away=deal.away + extra))


def sell_out(act: Act, deal_id: bytes) -> None:
    """Everything is sold: a deal ends now, for what was delivered and not rejected, whatever its terms say of silence.

    No cosignature is needed, nothing stays held, and a dispute is decided by the verdicts so far.
    """
    deal = act.state.deals[deal_id]
    match deal.status:
        case "accepted":
            deal_rules.end(act, deal_id, deal, "cancelled", "returned: everything is sold")
        case "delivered":
            deal = deal_rules.changed(deal, approved=deal.delivered, grade=100, decided=act.at, approval=deal_id)
            deal_rules.settle(act, deal_id, deal)
        case "waiting":
            deal_rules.settle(act, deal_id, deal)
    # What is left waits for its tick: a rejection, a reduction, a dispute and what may follow it.
    while (row := act.state.deals.get(deal_id)) is not None and row.due is not None:
        what = act.state.tick_of(row.due)
        act.unschedule(row.due)
        TICKS[what or ""](act, deal_id)


def cancel_undelivered(act: Act, member_id: bytes) -> None:
    """A side has departed: its deals without a delivery end, and what is in escrow returns."""
    for deal_id in in_order_of_acceptance(act.state):
        deal = act.state.deals[deal_id]
        if deal.status == "accepted" and member_id in (deal.seller, deal.buyer) and not _is_awaited(act.state, deal):
            deal_rules.end(act, deal_id, deal, "cancelled", "returned: a side has departed")


def _is_awaited(state: State, deal: Deal) -> bool:
    """Whether a side has not joined yet since the ledger was founded anew: then the deal stays as it is."""
    return deal.seller in state.awaited or deal.buyer in state.awaited
