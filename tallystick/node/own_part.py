"""What a refusal has to do with whoever asks: more than the rule can say, which looks at one entry and names nobody.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.receipt import Receipt

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.kinds.base import Body


def own_part(view: View, body: Body, reason: Reason) -> str:
    """What a refusal has to do with whoever asks, where the rule itself names nobody."""
    me, state = view.me, view.preview
    if reason == Reason.NOT_ACTIVE and me is not None and state.members[me].status != "active":
        status = state.members[me].status
        return "you have left" if status == "departed" else f"you are {status}"
    if reason == Reason.OFFER_TAKEN and isinstance(body, Accept):
        deals = (*state.deals.items(), *state.closed.items())
        mine = [key for key, deal in deals if deal.offer == body.offer and me in (deal.seller, deal.buyer)]
        return f"you did: deal {mine[0].hex()[:8]}" if mine else ""
    if reason == Reason.ALREADY_DONE and isinstance(body, Receipt):
        return _receipt_of(view, body.entry)
    return ""


def _receipt_of(view: View, stated: bytes) -> str:
    """Who has confirmed a statement about money, or that nobody had to."""
    from tallystick.node.reads_ledger import author_of, standing_of

    for entry in view.entries_with(stated):
        if entry.kind == Receipt.KIND and entry.body["entry"] == stated and not standing_of(view, entry)["reason"]:
            author = author_of(view, entry)
            receipt = entry.id.hex()[:8]
            if author == view.me:
                return f"by your receipt {receipt}"
            return f"by receipt {receipt}" + ("" if author is None else f" of {view.called(author)}")
    return "it needed no receipt: nobody else was on duty"
