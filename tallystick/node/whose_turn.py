"""Whose turn it is in a deal: who must do what, until when, and what silence does then.

Source: docs/spec/cli.md#dry-run, docs/spec/cli.md#show
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.node.reads_deals import silence_of
from tallystick.protocol.membership import full_partners

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State

#: More names than this are told as a number.
NAMES_MAX: Final = 5


@dataclass(slots=True)
class Turn:
    """What a deal waits for."""

    next: list[str] = field(default_factory=list)
    """Who must act, and how: `Bo: deliver`."""
    until: int | None = None
    """In ms."""
    silence: str | None = None
    """What happens then, if nobody does."""

    def to_json(self) -> dict[str, Any]:
        return {"next": self.next, "until": self.until, "silence": self.silence}


def say(view: View, who: Iterable[bytes], what: str) -> list[str]:
    """`Bo or Cy: cosign`; nothing where there is nobody."""
    members = sorted(who)
    if len(members) > NAMES_MAX:
        return [f"one of {len(members)} partners: {what}"]
    return [f"{' or '.join(view.called(member) for member in members)}: {what}"] if members else []


def whose_turn(view: View, state: State, deal: Deal, now: int, *, is_cancel: bool = False) -> Turn:
    """Whose turn it is in an open deal. `is_cancel`: a side has just said that it would end it."""
    turn = Turn(until=None if deal.due is None else deal.due[0], silence=silence_of(state, deal))
    sides = (deal.seller, deal.buyer)
    match deal.status:
        case "accepted" | "delivered" | "waiting" if is_cancel:
            other = deal.buyer if view.me == deal.seller else deal.seller
            turn.next += say(view, [other], "cancel too")
        case "accepted":
            turn.next += say(view, [deal.seller], "deliver")
            if deal.deadline:
                turn.until, turn.silence = deal.deadline, "the delivery is late"
        case "delivered":
            turn.next += say(view, [deal.buyer], "approve, return or reject")
        case "waiting":
            turn.next += say(view, full_partners(state, now, without=sides), "cosign")
        case "rejected":
            turn.next += say(view, [deal.seller], "dispute, or let it stand")
        case "approved":
            turn.next += say(view, [deal.seller], f"dispute, for the {deal.held} points that are held")
        case "disputed" if deal.panel:
            judged = {verdict.member for verdict in deal.verdicts}
            names = [view.called(member) for member in deal.panel if member not in judged]
            turn.next += [f"{' and '.join(names)}: judge, with a verdict"] if names else []
        case "disputed":
            turn.next.append("a panel that is drawn when this is sealed: judge")
    return turn
