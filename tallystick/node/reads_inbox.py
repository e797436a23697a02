"""What waits for the person who asks, each with its deadline: one small function for each kind of thing.

Source: docs/spec/cli.md#inbox
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from tallystick.crypto.words import fingerprint
from tallystick.node.currency import POINT, money_text
from tallystick.node.inbox_item import Item, item
from tallystick.node.proposal_words import proposed
from tallystick.node.reads_deals import silence, title
from tallystick.node.reads_inbox_money import (
    claims_to_attest,
    corrections_to_confirm,
    money_to_confirm,
    payments_due,
    payments_to_acknowledge,
    reports_due,
)
from tallystick.node.refusals import PASSING, acceptance, may_sign
from tallystick.node.sealer_requests import sealer_requests
from tallystick.protocol.deal_rules import UNDECIDED, can_be_accepted
from tallystick.protocol.devices import speaks_against
from tallystick.protocol.governance import is_elector
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.recover import RecoverApprove
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.membership import is_full_partner, sponsors_needed

if TYPE_CHECKING:
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.records import Member
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.records_governance import Ballot


_Turn = tuple[str, str, bytes, int | None]
"""What to do, in words, the other side, until when."""


def inbox(view: View, args: ReadArgs) -> list[Item]:
    """`inbox{}`: what only I can do, or what the rules wait for from me; nearest deadline first, then without one."""
    me = view.me
    member = None if me is None else view.preview.members.get(me)
    if me is None or member is None:
        return []
    items = [
        each
        for source in SOURCES
        for each in source(view, me, member)
        if each["what"] not in KINDS or may_sign(view, me, KINDS[each["what"]])
    ]
    items.sort(key=lambda each: (each["deadline"] is None, each["deadline"] or 0, each["what"], each["id"]))
    return items


def _work(view: View, deal: Deal, offer_id: bytes) -> str:
    return f"{deal.units} x {title(view, deal.step, offer_id) or 'an open offer'}, {money_text(deal.gross, POINT)}"


# -- offers ------------------------------------------------------------------------------------------------------------


def offers_to_me(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Offers that nobody else can accept."""
    rows = [(offer_id, row) for offer_id, row in view.preview.offers.items() if row.to == me]
    for offer_id, offer in rows:
        if not can_be_accepted(offer, view.moment):
            continue
        refusal = acceptance(view, me, offer_id)
        if refusal is not None and refusal.reason not in PASSING:
            continue
        verb = "sell" if offer.side == "sell" else "buy"
        what = title(view, offer.step, offer_id) or "an open offer"
        points = money_text(offer.units * offer.terms.price, POINT)
        text = f"{view.called(offer.author)} offers to {verb}: {offer.units} x {what}, {points}"
        deadline = min(offer.expires, offer.deadline) if offer.deadline else offer.expires
        more = {"offer": offer_id.hex(), "refusal": None if refusal is None else str(refusal.reason)}
        yield item(view, "accept", offer_id, text, deadline=deadline, partner=offer.author, **more)


# -- deals -------------------------------------------------------------------------------------------------------------


def deals_of_mine(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Deals in which it is my turn, and those of others that need a third partner."""
    can_cosign = is_full_partner(member, view.moment)
    for deal_id, deal in list(view.preview.deals.items()):
        for turn in (_consent(view, me, deal), _turn(view, me, deal, can_cosign=can_cosign)):
            if turn is None:
                continue
            what, text, other, deadline = turn
            asked = {"deal": deal_id.hex(), "silence": silence(view, deal)}
            yield item(view, what, deal_id, text, deadline=deadline, partner=other, **asked)


def _consent(view: View, me: bytes, deal: Deal) -> _Turn | None:
    """The other side wants to cancel, and cannot do it alone."""
    other = deal.buyer if me == deal.seller else deal.seller
    if me not in (deal.seller, deal.buyer) or other not in deal.consents or deal.status not in UNDECIDED:
        return None
    due = None if deal.due is None else deal.due[0]
    return "cancel", f"{view.called(other)} wants to cancel: {_work(view, deal, deal.offer)}", other, due


def _turn(view: View, me: bytes, deal: Deal, *, can_cosign: bool) -> _Turn | None:
    """What the deal waits for from me, or None where it is not my turn."""
    due = None if deal.due is None else deal.due[0]
    work = _work(view, deal, deal.offer)
    seller, buyer = view.called(deal.seller), view.called(deal.buyer)
    is_side = me in (deal.seller, deal.buyer)
    status = deal.status
    if me == deal.seller:
        if status == "accepted":
            again = " again" if deal.returns else ""
            return "deliver", f"deliver{again} to {buyer}: {work}", deal.buyer, deal.deadline or due
        if status == "rejected" and not deal.disputed:
            return "dispute", f"{buyer} rejected, and you may dispute it: {work}", deal.buyer, due
        if status == "approved" and deal.held:
            return (
                "dispute",
                f"{money_text(deal.held, POINT)} held back, and you may dispute it: {work}",
                deal.buyer,
                due,
            )
    if me == deal.buyer and status == "delivered":
        return "approve", f"approve, return or reject what {seller} delivered: {work}", deal.seller, due
    if can_cosign and not is_side and status == "waiting":
        return "cosign", f"cosign what {buyer} approved for {seller}: {work}", deal.seller, due
    if status == "disputed" and me in deal.panel and all(verdict.member != me for verdict in deal.verdicts):
        return "verdict", f"judge between {seller} and {buyer}: {work}", deal.seller, due
    return None


# -- people ------------------------------------------------------------------------------------------------------------


def applicants(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Those who ask to come in, or to become partners, and for whom I have not vouched."""
    if not is_full_partner(member, view.moment):
        return
    needed = sponsors_needed(view.ledger.charter, view.preview, view.moment)
    for other_id, other in list(view.preview.members.items()):
        asks = other.status == "applicant" or (other.standing == "contributor" and other.vouches)
        if not asks or me in other.vouches:
            continue
        text = f"{view.called(other_id)} asks to come in as {other.standing}: {len(other.vouches)} of {needed} vouch"
        if other.status == "active":
            text = f"{view.called(other_id)} is to become a partner: {len(other.vouches)} of {needed} vouch"
        yield item(view, "admit", other_id, text, deadline=None, partner=other_id)


def sealers_to_agree(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Those who ask to seal, where sealers decide, I am one, and too few have agreed."""
    for each in sealer_requests(view):
        if me in each.missing and each.needed:
            called = view.called(each.member)
            text = f"{called} asks to seal: agree with `tally admit {called} --sealer`"
            yield item(view, "agree", each.member, text, deadline=None, partner=each.member)


def recoveries(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Requests for new keys: mine to stop if I have not made them, those of others to approve."""
    can_approve = is_full_partner(member, view.moment)
    for request_id, row in list(view.preview.recoveries.items()):
        name = view.called(row.member)
        if row.member == me and not row.vetoed:
            text = "somebody asks for new keys in your name: whatever you sign now stops it"
            device = view.preview.devices.get(view.device)
            if device is None or not speaks_against(row, device):
                text = "somebody asks for new keys in your name, and this computer is too new to stop it"
            yield item(view, "veto", request_id, text, deadline=row.ready or None, partner=me)
        elif row.member != me and can_approve and not row.ready and me not in row.approved:
            words = fingerprint(row.device)
            text = f"{name} asks for new keys: meet, compare the words ({words}), then `tally recover approve`"
            yield item(view, "recover", request_id, text, deadline=None, partner=row.member, fingerprint=words)


# -- votes -------------------------------------------------------------------------------------------------------------


def votes(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Open proposals on which I may vote and have not."""
    for proposal_id, row in list(view.preview.proposals.items()):
        ballot = row.ballot
        if row.status != "open" or any(vote.member == me for vote in row.votes):
            continue
        # The list of electors is fixed when the proposal is sealed; until then whoever would be on it may vote.
        may = is_elector(row, me, member, view.moment) if ballot is None else _is_on(ballot, me)
        if may:
            text = f"vote on the proposal of {view.called(row.author)}: {proposed(view, proposal_id, row, brief=True)}"
            deadline = None if ballot is None else ballot.end
            yield item(view, "vote", proposal_id, text, deadline=deadline, partner=row.author)


def _is_on(ballot: Ballot, me: bytes) -> bool:
    return any(elector.member == me for elector in ballot.electors)


#: What is asked -> the kind that answers it. What is not here is said, and no entry of its own answers it.
KINDS: Final[Mapping[str, type[Body]]] = {
    "accept": Accept,
    "admit": Admit,
    "agree": Admit,
    "approve": Approve,
    "attest": Attest,
    "cancel": Cancel,
    "confirm": Confirm,
    "cosign": Cosign,
    "deliver": Deliver,
    "dispute": Dispute,
    "paid": Paid,
    "receipt": Receipt,
    "received": Received,
    "recover": RecoverApprove,
    "report": Report,
    "verdict": Verdict,
    "vote": Vote,
}
Source = Callable[["View", bytes, "Member"], Iterator[Item]]
SOURCES: Final[tuple[Source, ...]] = (
    offers_to_me,
    deals_of_mine,
    applicants,
    sealers_to_agree,
    recoveries,
    votes,
    claims_to_attest,
    money_to_confirm,
    corrections_to_confirm,
    payments_due,
    payments_to_acknowledge,
    reports_due,
)
