"""The market: offers that stand, and deals from their acceptance to their end.

Source: docs/spec/cli.md#deals
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.node.refusals import offer_refusal
from tallystick.node.resolve import resolve_member
from tallystick.protocol import deal_rules
from tallystick.protocol.deal_rules import award_shown, can_be_accepted

if TYPE_CHECKING:
    from tallystick.node.read_args import DealsArgs, OffersArgs
    from tallystick.node.view import View
    from tallystick.protocol.records_deal import Deal, Offer
    from tallystick.protocol.state import State

#: What silence does when its time comes, by the name of the tick.
SILENCE: Final = {
    "deal.undelivered": "ends: nothing was delivered",
    "deal.uncosigned": "is rejected: nobody cosigned",
    "deal.rejected": "the rejection is final",
    "deal.held": "the reduction is final",
    "deal.disputed": "is decided by the verdicts so far",
}


def deals(view: View, args: DealsArgs) -> list[dict[str, Any]]:
    """`deals{partner?, open?}`: all deals, closed ones included, by the time of their acceptance."""
    only = None if args.partner is None else resolve_member(view, args.partner)
    sealed = view.sealed
    found: dict[bytes, tuple[Deal, bool, bool]] = {}
    """Deal -> (as it is with everything pending, whether that is not sealed yet, whether it is open)."""
    if not args.open:
        found |= {deal_id: (deal, False, False) for deal_id, deal in view.archive.closed_deals()}
        found |= {deal_id: (deal, True, False) for deal_id, deal in view.preview.closed.items()}
    for deal_id, deal in view.preview.deals.items():
        found[deal_id] = (deal, not same_but_for_panel(sealed.deals.get(deal_id), deal), True)
    return [
        deal_row(view, deal_id, deal, pending=pending, is_open=is_open)
        for deal_id, (deal, pending, is_open) in sorted(found.items(), key=lambda item: (item[1][0].accepted, item[0]))
        if only is None or only in (deal.seller, deal.buyer)
    ]


def same_but_for_panel(sealed: Deal | None, deal: Deal) -> bool:
    """Whether nothing that waits to be sealed has changed a deal: its panel is drawn as the next block begins."""
    return sealed is not None and deal_rules.changed(sealed, panel=deal.panel) == deal


def deal_row(view: View, deal_id: bytes, deal: Deal, *, pending: bool, is_open: bool) -> dict[str, Any]:
    """One deal, with what a later correction says of it."""
    corrected = view.preview.corrected.get(deal_id)
    grade = deal.grade if corrected is None else corrected.grade
    approved = deal.approved if corrected is None else corrected.units
    return {
        "deal": deal_id.hex(),
        "offer": deal.offer.hex(),
        "step": deal.step or None,
        "seller": deal.seller.hex(),
        "buyer": deal.buyer.hex(),
        "units": deal.units,
        "price": deal.terms.price,
        "gross": deal.gross,
        "status": deal.status,
        "delivered": deal.delivered,
        "grade": grade or None,
        "award": award_shown(deal) if corrected is None else corrected.paid,
        "deadline": deal.deadline or None,
        "pending": pending,
        # Beyond what programs were promised.
        "open": is_open,
        "title": title(view, deal.step, deal.offer),
        "unit": unit(view, deal.step),
        "seller_name": view.name(deal.seller),
        "buyer_name": view.name(deal.buyer),
        "payer": deal.terms.payer,
        "accepted": deal.accepted,
        "delivered_at": deal.delivered_at or None,
        "decided": deal.decided or None,
        "approved": approved or None,
        "corrected": corrected is not None,
        "returns": deal.returns,
        "held": deal.held,
        "consents": [side.hex() for side in deal.consents],
        "panel": [member.hex() for member in deal.panel],
        "verdicts": [{"partner": each.member.hex(), "grade": each.grade} for each in deal.verdicts],
        "due": None if deal.due is None else deal.due[0],
        "due_what": silence(view, deal),
    }


def silence(view: View, deal: Deal) -> str | None:
    """What happens at `due` if nobody does anything."""
    return silence_of(view.preview, deal)


def silence_of(state: State, deal: Deal) -> str | None:
    """The same in a state that is at hand."""
    # What stands still, since the ledger was founded anew, ends by no silence.
    if deal.due is None or deal.due in state.held:
        return None
    what = state.tick_of(deal.due) or ""
    if what == "deal.unreviewed":
        return "is approved by silence" if deal.terms.on_silence == "approve" else "lapses: is rejected by silence"
    return SILENCE.get(what, what)


def title(view: View, step_id: str, offer_id: bytes) -> str | None:
    """What a deal or offer is about: the title of its step, or the words of the offer."""
    if not step_id:
        return view.word(offer_id, "title")
    step = view.ledger.charter.steps.get(step_id)
    return step_id if step is None else step.title


def unit(view: View, step_id: str) -> str | None:
    """What one unit is called."""
    step = view.ledger.charter.steps.get(step_id)
    return None if step is None else step.unit


def offers(view: View, args: OffersArgs) -> list[dict[str, Any]]:
    """`offers{partner?, all?}`: what can be accepted now, by expiry; with `all` whatever the state still knows."""
    only = None if args.partner is None else resolve_member(view, args.partner)
    sealed = view.sealed
    # A list: whether each can be accepted is tried out in the same state.
    rows = sorted(view.preview.offers.items(), key=lambda item: (item[1].expires, item[0]))
    return [
        offer_row(view, offer_id, offer, pending=sealed.offers.get(offer_id) != offer)
        for offer_id, offer in rows
        if (args.all or can_be_accepted(offer, view.moment)) and only in (None, offer.author, offer.to)
    ]


def offer_row(view: View, offer_id: bytes, offer: Offer, *, pending: bool) -> dict[str, Any]:
    """One offer; `refusal` says why it cannot be accepted, where nothing else in the row does."""
    stands = can_be_accepted(offer, view.moment)
    refusal = offer_refusal(view, offer_id, offer) if stands else None
    return {
        "offer": offer_id.hex(),
        "partner": offer.author.hex(),
        "name": view.name(offer.author),
        "side": offer.side,
        "step": offer.step or None,
        "title": title(view, offer.step, offer_id),
        "units": offer.units,
        "unit": unit(view, offer.step),
        "price": offer.terms.price,
        "gross": offer.units * offer.terms.price,
        "payer": offer.terms.payer,
        "to": None if offer.to is None else offer.to.hex(),
        "to_name": None if offer.to is None else view.name(offer.to),
        "deadline": offer.deadline or None,
        "expires": offer.expires,
        "copies": offer.copies,
        "endorsed": [member.hex() for member in offer.endorsed],
        "withdrawn": offer.withdrawn,
        "note": view.word(offer_id, "note"),
        "pending": pending,
        # Beyond what programs were promised.
        "refusal": None if refusal is None else str(refusal.reason),
        "refusal_detail": None if refusal is None else refusal.detail or None,
    }
