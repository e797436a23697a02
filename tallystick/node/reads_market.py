"""The market by step: what is offered and what is needed, and how the other side has dealt so far.

Source: docs/spec/cli.md#market
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.node.errors import HomeReason
from tallystick.node.reads_deals import offer_row
from tallystick.node.resolve import UnresolvedError
from tallystick.protocol.deal_rules import can_be_accepted

if TYPE_CHECKING:
    from tallystick.node.read_args import MarketArgs
    from tallystick.node.view import View
    from tallystick.protocol.charter import Step
    from tallystick.protocol.records_deal import Deal, Offer

#: The name of deals that no step describes.
OPEN: Final = "open"


@dataclass(slots=True)
class Past:
    """What somebody has done on one side of deals: as a seller, or as a buyer."""

    deals: int = 0
    approved: int = 0
    rejected: int = 0
    """Now rejected, or rejected for good."""
    disputed: int = 0
    """Decisions that the seller did not accept."""
    cancelled: int = 0
    returned: int = 0
    """Deliveries handed back for rework."""
    late: int = 0
    silent: int = 0
    """Decided by silence."""
    points: int = 0
    grades: int = 0
    """Sum of the grades of what was approved."""

    def add(self, deal: Deal, deal_id: bytes) -> None:
        """Count one more deal."""
        self.deals += 1
        self.approved += deal.status == "approved"
        self.rejected += deal.status in ("rejected", "returned")
        self.cancelled += deal.status == "cancelled"
        self.disputed += bool(deal.disputed)
        self.returned += deal.returns
        self.late += 0 < deal.deadline < deal.delivered_at
        self.silent += deal.status == "approved" and deal.approval == deal_id
        self.points += deal.paid
        self.grades += deal.grade if deal.status == "approved" else 0

    def to_json(self) -> dict[str, Any]:
        """The counts; the grade is the average in percent, rounded down, and null where nothing was approved."""
        return {
            "deals": self.deals,
            "approved": self.approved,
            "rejected": self.rejected,
            "disputed": self.disputed,
            "cancelled": self.cancelled,
            "returned": self.returned,
            "late": self.late,
            "silent": self.silent,
            "points": self.points,
            "grade": self.grades // self.approved if self.approved else None,
        }


def all_deals(view: View) -> dict[bytes, Deal]:
    """Every deal there is or was, as it is with everything pending."""
    deals = dict(view.archive.closed_deals())
    state = view.preview
    return deals | dict(state.closed.items()) | dict(state.deals.items())


def histories(deals: Iterable[tuple[bytes, Deal]]) -> dict[tuple[bytes, str], Past]:
    """What everybody has done, by member and side."""
    found: dict[tuple[bytes, str], Past] = {}
    for deal_id, deal in deals:
        for side, member in (("sell", deal.seller), ("buy", deal.buyer)):
            found.setdefault((member, side), Past()).add(deal, deal_id)
    return found


def market(view: View, args: MarketArgs) -> list[dict[str, Any]]:
    """`market{step?}`: the steps in the order of the charter, then what no step describes.

    `offers` are what somebody sells, `needs` what somebody wants to buy, each with the `history` of whoever asks.
    """
    if view.is_empty:
        return []
    charter = view.ledger.charter
    known = [*charter.steps, *([OPEN] if charter.open is not None else [])]
    if args.step is not None and args.step not in known:
        raise UnresolvedError(
            f"there is no step {args.step!r}", reason=HomeReason.NOT_FOUND, hint=f"there are: {', '.join(known)}"
        )
    past = histories(all_deals(view).items())
    sealed = view.sealed
    standing: dict[str, list[tuple[bytes, Offer]]] = {}
    for offer_id, offer in view.preview.offers.items():
        if can_be_accepted(offer, view.moment):
            standing.setdefault(offer.step or OPEN, []).append((offer_id, offer))
    out = []
    for name in known if args.step is None else [args.step]:
        rows = sorted(standing.get(name, ()), key=lambda item: (item[1].expires, item[0]))
        shown = [
            offer_row(view, offer_id, offer, pending=sealed.offers.get(offer_id) != offer)
            | {"history": past.get((offer.author, offer.side), Past()).to_json(), "mine": offer.author == view.me}
            for offer_id, offer in rows
        ]
        out.append(
            {
                **_about(charter.steps.get(name)),
                "offers": [row for row in shown if row["side"] == "sell"],
                "needs": [row for row in shown if row["side"] == "buy"],
            }
        )
    return out


def _about(step: Step | None) -> dict[str, Any]:
    if step is None:
        return {"step": None, "title": None, "unit": None, "price": None, "payer": None, "after": []}
    return {
        "step": step.id,
        "title": step.title,
        "unit": step.unit,
        "price": step.price,
        "payer": step.payer,
        "after": list(step.after),
    }
