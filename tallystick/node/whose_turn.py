"""Whose turn it is in a deal: who must do what, until when, and what silence does then.

Source: docs/spec/cli.md#dry-run, docs/spec/cli.md#show
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.node.currency import POINT, money_text
from tallystick.node.reads_deals import silence_of
from tallystick.node.refusals import signers
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.membership import full_partners

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.kinds.base import Body
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


def say(view: View, state: State, who: Iterable[bytes], what: str, kind: type[Body], *, word: str = "or") -> list[str]:
    """`Bo or Cy: cosign`; nothing where there is nobody.

    Only those who may sign that `kind` are named; where none of them may, that is said.
    """
    asked = sorted(who)
    able = signers(state, asked, kind, view.moment)
    if asked and not able:
        names, whose = _names(view, asked, "and"), f"{view.called(asked[0])}'s" if len(asked) == 1 else "their"
        return [f"{names} would have to {what.partition(';')[0]}, but no computer may sign that in {whose} name"]
    if len(able) > NAMES_MAX:
        some = "one of" if word == "or" else "all"
        return [f"{some} {len(able)} partners: {what}"]
    return [f"{_names(view, able, word)}: {what}"] if able else []


def _names(view: View, members: list[bytes], word: str) -> str:
    if len(members) > NAMES_MAX:
        return f"{len(members)} partners"
    names = [view.called(member) for member in members]
    return f" {word} ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def whose_turn(view: View, state: State, deal: Deal, now: int, *, is_cancel: bool = False) -> Turn:
    """Whose turn it is in an open deal. `is_cancel`: a side has just said that it would end it."""
    turn = Turn(until=None if deal.due is None else deal.due[0], silence=silence_of(state, deal))
    sides = (deal.seller, deal.buyer)

    def next_is(who: Iterable[bytes], what: str, kind: type[Body], *, word: str = "or") -> None:
        turn.next += say(view, state, who, what, kind, word=word)

    match deal.status:
        case "accepted" | "delivered" | "waiting" if is_cancel:
            next_is([deal.buyer if view.me == deal.seller else deal.seller], "cancel too", Cancel)
        case "accepted":
            next_is([deal.seller], "deliver", Deliver)
            if deal.deadline:
                turn.until, turn.silence = deal.deadline, "the delivery is late"
        case "delivered":
            next_is([deal.buyer], "approve, return or reject", Approve)
        case "waiting":
            next_is(full_partners(state, now, without=sides), "cosign", Cosign)
        case "rejected":
            next_is([deal.seller], "dispute, or let it stand", Dispute)
        case "approved":
            next_is([deal.seller], f"dispute, for the {money_text(deal.held, POINT)} held back", Dispute)
        case "disputed" if deal.panel:
            judged = {verdict.member for verdict in deal.verdicts}
            left = [member for member in deal.panel if member not in judged]
            next_is(left, "judge, with a verdict", Verdict, word="and")
        case "disputed":
            turn.next.append("a panel that is drawn when this is sealed: judge")
    return turn
