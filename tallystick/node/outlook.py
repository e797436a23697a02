"""What comes after an entry: who must act next, until when, and what one should know before signing.

It looks at the state in which the entry has been tried out, and says nothing about an entry that would be void.

Source: docs/spec/cli.md#dry-run
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tallystick.node.currency import POINT, money_text
from tallystick.node.parting import erasing, leaving, retiring
from tallystick.node.proposal_words import proposed, text_of
from tallystick.node.whose_turn import say, whose_turn
from tallystick.protocol import disputes
from tallystick.protocol.budget import rule_of
from tallystick.protocol.charter import Step
from tallystick.protocol.corrections import is_of_deal
from tallystick.protocol.duty import confirmers
from tallystick.protocol.governance import NOTICED, is_elector
from tallystick.protocol.kinds.accept import DEADLINE_MS_MAX, Accept
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.membership import asked, full_partners
from tallystick.protocol.settlement import unspent_donations

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.records_deal import Deal, Offer
    from tallystick.protocol.records_governance import Proposal
    from tallystick.protocol.state import State


@dataclass(slots=True)
class Outlook:
    """What comes next."""

    deadline: int | None = None
    """Until when somebody must act, in ms."""
    silence: str | None = None
    """What happens then, if nobody does."""
    next: list[str] = field(default_factory=list)
    """Who must act, and how: `Bo: deliver`."""
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "deadline": self.deadline,
            "silence": self.silence,
            "next": self.next,
            "remarks": self.remarks,
        }


class Looker:
    """Looks at the state after a trial."""

    def __init__(self, view: View, entry: Entry, now: int) -> None:
        self._view = view
        self._entry = entry
        self._now = now
        self.outlook = Outlook()

    def __call__(self, state: State) -> None:
        """Note what comes next. `state` has the entry applied, and is only read."""
        entry = self._entry
        offer = state.offers.get(entry.id)
        ref = entry.id if entry.kind == "accept" else entry.body.get("deal")
        deal = state.deals.get(ref) if isinstance(ref, bytes) else None
        if offer is not None:
            self._offer(state, offer)
        elif deal is not None:
            self._deal(state, deal)
        elif entry.kind == "propose":
            self._proposal(state)
        elif entry.kind == "leave":
            self.outlook.remarks += leaving(self._view, state, self._now)
        elif entry.kind == "device.retire":
            self.outlook.remarks += retiring(self._view, state)
        elif entry.kind == "erase":
            self.outlook.remarks += erasing(self._view, entry.body["entry"])
        elif entry.kind == "vote":
            self._vote(state)
        else:
            self._confirmation(state)

    def _say(self, state: State, who: Iterable[bytes], what: str, kind: type[Body], *, word: str = "or") -> None:
        self.outlook.next += say(self._view, state, who, what, kind, word=word)

    # -- by what was written -------------------------------------------------------------------------------------------

    def _offer(self, state: State, offer: Offer) -> None:
        self.outlook.deadline = min(offer.expires, offer.deadline) if offer.deadline else offer.expires
        self.outlook.silence = "the offer can no longer be accepted"
        if offer.to is not None:
            self._say(state, [offer.to], "accept", Accept)
        else:
            self.outlook.next.append("whoever wants to: accept")
        if offer.deadline > offer.expires + DEADLINE_MS_MAX:
            self.outlook.remarks.append("nobody will be able to accept it: its deadline is more than a year ahead")
        elif offer.deadline > self._now + DEADLINE_MS_MAX:
            self.outlook.remarks.append("nobody can accept it yet: its deadline is more than a year ahead")
        self._limits(state, offer)
        rules = self._view.ledger.charter.open
        if not offer.step and offer.terms.payer == "pool" and rules is not None and rules.endorse:
            self.outlook.remarks.append(f"{_partners(rules.endorse)} must endorse it first, or all others if fewer")

    def _limits(self, state: State, offer: Offer) -> None:
        """What one deal of so much would not fit into, whoever accepts."""
        charter = self._view.ledger.charter
        rules = charter.steps.get(offer.step) if offer.step else charter.open
        gross = offer.units * offer.terms.price
        if offer.terms.payer != "pool" or rules is None:
            return
        if gross > rules.budget:
            said = f"more than {rule_of(offer.step)}.budget, {money_text(rules.budget, POINT)} in a whole period"
        elif isinstance(rules, Step) and rules.pair_cap and gross > rules.pair_cap:
            said = f"more than {rule_of(offer.step)}.pair-cap, {money_text(rules.pair_cap, POINT)} in a whole period"
        elif gross > state.balance(POINT, "pool"):
            said = f"the pool holds {money_text(state.balance(POINT, 'pool'), POINT)}"
        else:
            return
        self.outlook.remarks.append(f"nobody can accept it: {money_text(gross, POINT)}, and {said}")

    def _deal(self, state: State, deal: Deal) -> None:
        turn = whose_turn(self._view, state, deal, self._now, is_cancel=self._entry.kind == "cancel")
        self.outlook.deadline, self.outlook.silence = turn.until, turn.silence
        self.outlook.next += turn.next
        sides = (deal.seller, deal.buyer)
        if self._entry.kind == "accept" and not disputes.eligible(state, self._now, *sides):
            self.outlook.remarks.append("nobody could sit on a panel: a rejection would stand")

    def _proposal(self, state: State) -> None:
        row = state.proposals.get(self._entry.id)
        if row is None:
            return
        self._say_what(state, self._entry.id, row)
        rules = self._view.ledger.charter.governance
        electors = [key for key, member in state.members.items() if is_elector(row, key, member, self._now)]
        self._say(state, electors, "vote", Vote, word="and")
        self.outlook.deadline = self._now + rules.period
        self.outlook.silence = "the vote ends"
        if row.what in NOTICED:
            self.outlook.remarks.append("before its notice is over it is decided only if all others say yes")

    def _vote(self, state: State) -> None:
        proposal_id = self._entry.body["proposal"]
        row = state.proposals.get(proposal_id)
        if row is None:
            return
        self.outlook.remarks.append(
            f"you vote {self._entry.body['choice']} on the proposal of {self._view.called(row.author)}"
        )
        self._say_what(state, proposal_id, row)
        if row.what == "amend":
            self.outlook.remarks.append(f"every change: `tally charter diff {proposal_id.hex()[:8]}`")
        if row.ballot is not None:
            self.outlook.deadline, self.outlook.silence = row.ballot.end, "the vote ends"

    def _say_what(self, state: State, proposal_id: bytes, row: Proposal) -> None:
        """What would be so if it passes, and why."""
        self.outlook.remarks.append(f"proposed: {proposed(self._view, proposal_id, row)}")
        currency = self._view.ledger.charter.sale.currency
        if row.what == "dividend" and currency is not None:
            free = state.balance(currency, "cash") - unspent_donations(state, currency)
            if row.amount > free:
                held = money_text(free, currency)
                self.outlook.remarks.append(f"the till holds {held} but for gifts: as things stand it would fail")
        why = None if row.what == "text" else text_of(self._view, proposal_id)
        if why:
            self.outlook.remarks.append(f"because: {' '.join(why.split())}")

    def _confirmation(self, state: State) -> None:
        """A small deed, money, or a correction, which waits for somebody's word."""
        entry_id = self._entry.id
        claim, money, correction = (
            state.claims.get(entry_id),
            state.money.get(entry_id),
            state.corrections.get(entry_id),
        )
        if claim is not None:
            needed = asked(claim.attest, state, self._now, without=(claim.author,))
            partners = full_partners(state, self._now, without=(claim.author,))
            self._say(state, partners, f"attest; {needed} needed", Attest)
            self._until(claim.due)
        elif money is not None and money.due is not None:
            self._say(state, confirmers(state, self._now, money.author), "confirm with a receipt", Receipt)
            self._until(money.due)
        elif correction is not None:
            deal = None
            if is_of_deal(correction):
                deal = state.closed.get(correction.target) or self._view.archive.closed_deal(correction.target)
            who = confirmers(state, self._now, correction.author) if deal is None else [deal.seller]
            self._say(state, who, "confirm", Confirm)
            self._until(correction.due)

    def _until(self, due: tuple[int, int] | None) -> None:
        if due is not None:
            self.outlook.deadline, self.outlook.silence = due[0], "it lapses"


def _partners(count: int) -> str:
    return f"{count} partner" if count == 1 else f"{count} partners"
