"""What several kinds and ticks do with a deal: read it, decide it, pay it, take it back, close it.

Every function writes into the state at `act.at`. A deal is an immutable row: each function takes the present one and
writes, or returns, the next.

Source: docs/spec/charter.md#deals
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from tallystick.protocol import budget, lots
from tallystick.protocol.act import INT_MAX, POINT
from tallystick.protocol.charter import Step
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS, asked
from tallystick.protocol.objective import count_award, count_units
from tallystick.protocol.pay import account_of, pay
from tallystick.protocol.records_deal import Terms

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.charter import Charter, Open
    from tallystick.protocol.records import Member
    from tallystick.protocol.records_deal import Deal, Offer, Payer
    from tallystick.protocol.state import State

#: A deal without a delivery ends so long after its deadline.
UNDELIVERED_MS: Final = 30 * DAY_MS
#: A delivery can be returned for rework so often.
RETURNS_MAX: Final = 3
#: Reviews of one deal are longer by at most this because the buyer is away.
AWAY_MS_MAX: Final = 14 * DAY_MS
#: Statuses in which a deal counts against `max-open`.
UNDECIDED: Final = ("accepted", "delivered", "waiting")
#: Statuses in which it has been decided what the seller gets, though a panel may still give more.
DECIDED: Final = ("approved", "rejected", "disputed", "returned")
#: Whoever decides a deal needs what these say.
WORDS_NEEDED: Final = frozenset(("deliver", "return", "reject", "dispute"))


# -- offers ----------------------------------------------------------------------------------------------------------


def terms_of(step: Step) -> Terms:
    """What the charter says today about deals of this step."""
    return Terms(
        price=step.price,
        payer=step.payer,
        review=step.review,
        on_silence=step.on_silence,
        late_per_day=step.late_per_day,
        late_max=step.late_max,
        max_grade=step.max_grade,
        cosign_above=step.cosign_above,
    )


def open_terms(rules: Open, points: int, payer: Payer) -> Terms:
    """What the charter says today about deals that no step describes; points and payer are the offerer's."""
    return Terms(
        price=points,
        payer=payer,
        review=rules.review,
        on_silence=rules.on_silence,
        late_per_day=0,
        late_max=0,
        max_grade=100,
        cosign_above=0,
    )


def rules_in_force(charter: Charter, step_id: str, terms: Terms) -> Step | Open:
    """The step of an offer (or what the charter says of offers without one); the terms must be those in force.

    Raises EntryError: TERMS_CHANGED.
    """
    rules = charter.steps.get(step_id) if step_id else charter.open
    if rules is None:
        raise EntryError(Reason.TERMS_CHANGED, budget.rule_of(step_id))
    in_force = terms_of(rules) if isinstance(rules, Step) else open_terms(rules, terms.price, terms.payer)
    if in_force != terms:
        raise EntryError(Reason.TERMS_CHANGED, budget.rule_of(step_id))
    return rules


def can_be_accepted(offer: Offer, at: int) -> bool:
    """Whether an offer is still on the market."""
    return bool(
        offer.copies and not offer.withdrawn and at <= offer.expires and (not offer.deadline or at <= offer.deadline)
    )


def open_count(state: State, member_id: bytes, step_id: str, at: int, *, without: bytes = b"") -> int:
    """What counts against `max-open`: undecided deals of the step, and own offers that can still be accepted."""
    deals = sum(1 for deal_id in state.deals.of(member_id, step_id) if state.deals[deal_id].status in UNDECIDED)
    return deals + sum(
        1
        for offer_id in state.offers.of(member_id, step_id)
        if offer_id != without and can_be_accepted(state.offers[offer_id], at)
    )


def gross_of(units: int, price: int) -> int:
    """What a whole deal costs.

    Raises EntryError: LIMIT.
    """
    gross = units * price
    if gross > INT_MAX:
        raise EntryError(Reason.LIMIT, f"{units} x {price}")
    return gross


def put_offer(act: Act, offer_id: bytes, offer: Offer) -> None:
    """Keep an offer while it can be accepted or a deal of it is open, and drop it otherwise."""
    if offer.deals or (offer.copies and not offer.withdrawn):
        act.state.offers.set(offer_id, offer)
    else:
        act.state.offers.delete(offer_id)


# -- deals -----------------------------------------------------------------------------------------------------------


#: The deal with some of its fields replaced.
changed: Final[Callable[..., Deal]] = msgspec.structs.replace


def read_closed(act: Act, deal_id: bytes) -> Deal:
    """A deal that has ended, as it was decided or last corrected up to now.

    What the archive holds may be from a later block, when a history is computed again; the state is of this moment.

    Raises EntryError: STATE where it has not, NOT_FOUND.
    """
    if deal_id in act.state.deals:
        raise EntryError(Reason.STATE, f"it is {act.state.deals[deal_id].status}")
    deal = act.state.closed.get(deal_id) or act.context.history.closed_deal(deal_id)
    if deal is None:
        raise EntryError(Reason.NOT_FOUND, "no such deal")
    row = act.state.corrected.get(deal_id)
    if row is not None:
        return changed(deal, approved=row.units, grade=row.grade, paid=row.paid)
    if deal.original is not None:
        approved, grade, paid = deal.original
        return changed(deal, approved=approved, grade=grade, paid=paid, original=None)
    return deal


def read_deal(act: Act, deal_id: bytes) -> Deal:
    """A deal that has not ended.

    Raises EntryError: DEAL_CLOSED, NOT_FOUND.
    """
    deal = act.state.deals.get(deal_id)
    if deal is not None:
        return deal
    if deal_id in act.state.closed or act.context.history.closed_deal(deal_id) is not None:
        raise EntryError(Reason.DEAL_CLOSED)
    raise EntryError(Reason.NOT_FOUND, "no such deal")


def check_side(act: Act, deal: Deal, side: bytes, word: str) -> None:
    """Whether the author is this side of the deal, and may still speak for it after a departure.

    Raises EntryError: NOT_ALLOWED, NOT_ACTIVE.
    """
    if act.author_id != side:
        raise EntryError(Reason.NOT_ALLOWED, f"only the {word} can do this")
    author = act.author
    if author is not None and author.status == "departed" and not 0 < deal.delivered_at <= author.departed:
        raise EntryError(Reason.NOT_ACTIVE, "it was not delivered before the departure")


def check_status(deal: Deal, *statuses: str) -> None:
    """Raises EntryError: STATE."""
    if deal.status not in statuses:
        raise EntryError(Reason.STATE, deal.status)


def wait(act: Act, deal_id: bytes, deal: Deal, what: str, time: int, **fields: Any) -> None:
    """Store the deal, with some fields replaced, and with a tick that stands for silence from now on.

    The tick before it is cancelled.
    """
    act.unschedule(deal.due)
    entry = act.entry
    if entry is not None and entry.annex_hash is not None and entry.kind in WORDS_NEEDED:
        fields["said"] = (*deal.said, entry.id)
    # An entry begins a wait for the other side; a tick that follows a silence needs no more than its moment.
    due = act.schedule(time, what, deal_id) if entry is None else act.wait(time, what, deal_id)
    act.state.deals.set(deal_id, changed(deal, due=due, **fields))


def wait_for_delivery(act: Act, deal_id: bytes, deal: Deal, since: int) -> None:
    """The tick that ends a deal without a delivery."""
    wait(act, deal_id, deal, "deal.undelivered", undelivered_at(deal.deadline, since))


def undelivered_at(deadline: int, since: int) -> int:
    """When it ends: 30 days after its deadline, or after `since` where that is later."""
    return max(deadline, since) + UNDELIVERED_MS


def close(act: Act, deal_id: bytes, deal: Deal, **fields: Any) -> None:
    """The deal is over: it leaves the state for the archive, some fields replaced; its offer if nothing keeps it."""
    state = act.state
    act.unschedule(deal.due)
    state.deals.delete(deal_id)
    state.draws.delete(deal_id)
    state.closed.set(deal_id, changed(deal, due=None, **fields))
    offer = state.offers.get(deal.offer)
    if offer is not None:
        put_offer(act, deal.offer, msgspec.structs.replace(offer, deals=offer.deals - 1))


def award_shown(deal: Deal) -> int | None:
    """What the seller has got so far; None until it is decided, and where it never was."""
    return deal.paid if deal.status in DECIDED else None


def escrow_of(deal_id: bytes) -> str:
    """The account that holds what a deal may still pay."""
    return f"escrow/{deal_id.hex()}"


def rule_of(deal: Deal) -> str:
    """Charter path of what pays for a deal."""
    return price_rule(deal.step)


def price_rule(step_id: str) -> str:
    """The same for a step, or for none."""
    return f"{budget.rule_of(step_id)}.price" if step_id else budget.rule_of("")


# -- decisions -------------------------------------------------------------------------------------------------------


class Award(NamedTuple):
    """What an approval gives, before anybody asks whether the payer has it."""

    award: int
    full: int
    """The same at grade 100 for everything that was delivered."""
    formula: str


def award_of(deal: Deal, units: int, grade: int) -> Award:
    """The arithmetic of an approval: units, grade, lateness; every division rounds down."""
    terms = deal.terms
    percent = 100 - late_percent(deal)
    award = units * terms.price * grade // 100 * percent // 100
    full = deal.delivered * terms.price * percent // 100
    late = f" x {percent}% (late)" if percent != 100 else ""
    return Award(award, full, f"{units} x {terms.price} x {grade}%{late} = {award}")


def late_percent(deal: Deal) -> int:
    """What is lost because the delivery came after the deadline, by days begun."""
    if not deal.deadline or deal.delivered_at <= deal.deadline:
        return 0
    days = -((deal.deadline - deal.delivered_at) // DAY_MS)
    return min(deal.terms.late_max, deal.terms.late_per_day * days)


def approve(act: Act, deal_id: bytes, deal: Deal, units: int, grade: int) -> None:
    """The buyer, or silence, approves. What needs a cosignature waits for it, the rest is paid at once."""
    # A dispute of the rejection before it has found its end.
    act.state.draws.delete(deal_id)
    deal = changed(
        deal,
        approved=units,
        grade=grade,
        decided=act.at,
        approval=act.cause,
        disputed=0,
        panel=(),
        verdicts=(),
    )
    if needs_cosign(act, deal):
        wait(act, deal_id, deal, "deal.uncosigned", act.at + deal.terms.review, status="waiting")
    else:
        settle(act, deal_id, deal)


def needs_cosign(act: Act, deal: Deal) -> bool:
    """Whether a third partner has to agree, and there is one."""
    above = deal.terms.cosign_above
    return bool(above and deal.gross > above and asked(1, act.state, act.at, without=(deal.seller, deal.buyer)))


def settle(act: Act, deal_id: bytes, deal: Deal) -> None:
    """Pay what was approved. What a reduction withheld stays in escrow while the seller may dispute it."""
    award, full, formula = award_of(deal, deal.approved, deal.grade)
    count_units(act.state, deal.step, deal.approved)
    deal = pay_up_to(act, deal_id, deal, award, formula)
    held = max(0, full - deal.paid)
    rest = max(0, deal.gross - deal.paid - held)
    if rest:
        deal = give_back(act, deal_id, deal, rest, f"{deal.gross} - {deal.paid} paid - {held} held = {rest}")
    if held:
        wait(act, deal_id, deal, "deal.held", act.at + act.charter.dispute.window, status="approved", held=held)
    else:
        close(act, deal_id, deal, status="approved", held=0)


def pay_up_to(act: Act, deal_id: bytes, deal: Deal, award: int, formula: str) -> Deal:
    """Pay what an award gives beyond what has been paid: from the escrow, and above it from the payer, if it can."""
    due = award - deal.paid
    lies = act.state.balance(POINT, escrow_of(deal_id))
    if due > lies and not _try_to_bring(act, deal, due - lies, escrow_of(deal_id)):
        due = lies
        formula += f", limited to {deal.paid + due}"
    count_award(act.state, deal, due)
    pay(act, escrow_of(deal_id), deal.seller, due, rule_of(deal), formula)
    if deal.terms.payer == "pool":
        refer(act, deal.seller, due)
    return changed(deal, paid=deal.paid + due, taken=lots.pay_out(deal.taken, due))


def _try_to_bring(act: Act, deal: Deal, extra: int, escrow: str) -> bool:
    """Bring into the escrow what an award has above it, or nothing where the payer cannot; say which."""
    try:
        bring(act, deal, extra, escrow, f"award above gross: {extra}")
    except EntryError:
        return False
    return True


def bring(act: Act, deal: Deal, extra: int, target: str, formula: str) -> None:
    """Bring from the payer what lies in no escrow, all of it or, with an error, nothing.

    Raises EntryError: BALANCE; TERMS_CHANGED, POOL_EMPTY, BUDGET_EXHAUSTED, PAIR_CAP.
    """
    if deal.terms.payer == "buyer":
        lots.take_whole(act, deal.buyer, extra)
        act.post(POINT, account_of(deal.buyer), target, extra, rule_of(deal), formula)
        return
    # Budget and pair-cap are those of the charter and period in force now, not those of the acceptance.
    rules = act.charter.steps.get(deal.step) if deal.step else act.charter.open
    if rules is None:
        raise EntryError(Reason.TERMS_CHANGED, budget.rule_of(deal.step))
    budget.commit_of_pool(act, rules, budget.pair_of(deal.seller, deal.buyer), extra)
    act.post(POINT, "pool", target, extra, rule_of(deal), formula)


def reject(act: Act, deal_id: bytes, deal: Deal) -> None:
    """The buyer, or silence, rejects. The escrow stays while the seller may dispute."""
    wait(
        act,
        deal_id,
        deal,
        "deal.rejected",
        act.at + act.charter.dispute.window,
        status="rejected",
        decided=act.at,
        approved=0,
        grade=0,
        approval=b"",
    )


def end(act: Act, deal_id: bytes, deal: Deal, status: str, why: str) -> None:
    """The deal ends without (further) pay: what is in escrow returns."""
    rest = act.state.balance(POINT, escrow_of(deal_id))
    deal = give_back(act, deal_id, changed(deal, status=status, held=0), rest, f"{rest} {why}")
    close(act, deal_id, deal)


def give_back(act: Act, deal_id: bytes, deal: Deal, amount: int, formula: str) -> Deal:
    """Return part of the escrow to where it came from, and uncount it within the period of the acceptance."""
    if not amount:
        return deal
    escrow = escrow_of(deal_id)
    if deal.terms.payer == "buyer":
        act.post(POINT, escrow, account_of(deal.buyer), amount, rule_of(deal), formula)
        return changed(deal, taken=lots.give_back(act, deal.buyer, deal.taken, amount))
    act.post(POINT, escrow, "pool", amount, rule_of(deal), formula)
    length = deal.period
    if length and budget.period_index(act, length, deal.accepted) == budget.period_index(act, length, act.at):
        budget.uncommit(act, deal.step, length, budget.pair_of(deal.seller, deal.buyer), amount)
    return deal


# -- referral --------------------------------------------------------------------------------------------------------


def refer(act: Act, member_id: bytes, earned: int) -> None:
    """Whoever invited this member earns a little with what the pool has just paid it, for a while."""
    rule = act.charter.referral
    state = act.state
    member = state.members[member_id]
    if rule is None or member.inviter is None or act.at >= member.since + rule.period or lots.is_forfeiting(member):
        return
    inviter: Member | None = state.members.get(member.inviter)
    # In a rehearsal somebody may have invited who comes later.
    if inviter is None or inviter.status == "departed":
        return
    amount = min(earned * rule.percent // 100, state.balance(POINT, "pool"))
    if rule.cap:
        amount = min(amount, max(0, rule.cap - member.referred))
    if not amount:
        return
    pay(act, "pool", member.inviter, amount, "referral.percent", f"{earned} x {rule.percent}%")
    state.members.set(member_id, msgspec.structs.replace(member, referred=member.referred + amount))
