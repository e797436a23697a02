"""Entry kind `accept`: another member takes an offer. This makes a deal, and its price moves into escrow.

Source: docs/spec/charter.md#accept
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from tallystick.protocol import budget, deal_rules, lots
from tallystick.protocol.act import POINT, Act
from tallystick.protocol.charter import Open, Step
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.kinds.offer import check_max, check_open, check_role
from tallystick.protocol.membership import DAY_MS, asked, is_active
from tallystick.protocol.pay import account_of
from tallystick.protocol.records_deal import Deal, Taken
from tallystick.protocol.records_deal import Offer as OfferRow

#: A deadline lies at most so far ahead of the acceptance.
DEADLINE_MS_MAX: Final = 365 * DAY_MS


class Accept(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "accept"
    SUSPENDED_MAY: ClassVar[bool] = False
    WORK_SCOPE: ClassVar[bool] = True

    offer: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.offer,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: OFFER_CLOSED, OFFER_TAKEN, OWN_OFFER, NOT_ADDRESSED, TOO_LATE, DEADLINE, NOT_ACTIVE,
        TERMS_CHANGED, ROLE, MAX_OPEN, CAP, NOT_ENDORSED, POOL_EMPTY, BUDGET_EXHAUSTED, PAIR_CAP, BALANCE, tried in that
        order. What is beyond 63 bits was no offer.
        """
        offer = act.state.offers.get(self.offer)
        if offer is None or offer.withdrawn or act.author is None:
            raise EntryError(Reason.OFFER_CLOSED)
        self._check_offer(act, offer)
        offerer = act.state.members[offer.author]
        if not is_active(offerer, act.at):
            raise EntryError(Reason.NOT_ACTIVE, "whoever offers")
        rules = deal_rules.rules_in_force(act.charter, offer.step, offer.terms)
        selling = offer.side == "sell"
        if isinstance(rules, Step):
            check_role(act, rules, "sell", offerer if selling else act.author)
            check_role(act, rules, "buy", act.author if selling else offerer)
            for side in (offer.author, act.author_id):
                check_open(act, rules, side, without=self.offer)
        elif offer.terms.payer == "pool":
            check_max(rules, offer.terms.price)
            _check_endorsed(act, rules, offer)
        seller, buyer = (offer.author, act.author_id) if selling else (act.author_id, offer.author)
        gross = deal_rules.gross_of(offer.units, offer.terms.price)
        taken = _fill_escrow(act, offer, rules, seller, buyer, gross, f"{offer.units} x {offer.terms.price} = {gross}")
        # The offer first: it has to know of the deal before anything can close the deal.
        act.state.offers.set(self.offer, msgspec.structs.replace(offer, copies=offer.copies - 1, deals=offer.deals + 1))
        due = act.schedule(deal_rules.undelivered_at(offer.deadline, act.at), "deal.undelivered", act.cause)
        deal = Deal(
            offer=self.offer,
            seller=seller,
            buyer=buyer,
            step=offer.step,
            units=offer.units,
            terms=offer.terms,
            gross=gross,
            deadline=offer.deadline,
            accepted=act.at,
            period=rules.period if offer.terms.payer == "pool" else 0,
            status="accepted",
            taken=taken,
            due=due,
        )
        act.state.deals.set(act.cause, deal)

    def _check_offer(self, act: Act, offer: OfferRow) -> None:
        """Raises EntryError: OFFER_TAKEN, OWN_OFFER, NOT_ADDRESSED, TOO_LATE, DEADLINE, tried in that order."""
        if not offer.copies:
            raise EntryError(Reason.OFFER_TAKEN)
        if offer.author == act.author_id:
            raise EntryError(Reason.OWN_OFFER)
        if offer.to is not None and offer.to != act.author_id:
            raise EntryError(Reason.NOT_ADDRESSED)
        if act.at > offer.expires:
            raise EntryError(Reason.TOO_LATE, "the offer has expired")
        if offer.deadline and act.at > offer.deadline:
            raise EntryError(Reason.DEADLINE, "it is over")
        if offer.deadline > act.at + DEADLINE_MS_MAX:
            raise EntryError(Reason.DEADLINE, "more than a year ahead")


def _check_endorsed(act: Act, rules: Open, offer: OfferRow) -> None:
    """Whether enough others want what the pool is to pay for; the acceptor's own word does not count.

    Raises EntryError: NOT_ENDORSED.
    """
    needed = asked(rules.endorse, act.state, act.at, without=(offer.author, act.author_id))
    given = sum(1 for member in offer.endorsed if member != act.author_id)
    if given < needed:
        raise EntryError(Reason.NOT_ENDORSED, f"{given} of {needed}")


def _fill_escrow(
    act: Act, offer: OfferRow, rules: Step | Open, seller: bytes, buyer: bytes, gross: int, formula: str
) -> tuple[Taken, ...]:
    """Move the price into the escrow of the new deal and say which lots a buyer paid from.

    Raises EntryError: POOL_EMPTY, BUDGET_EXHAUSTED, PAIR_CAP; BALANCE.
    """
    rule = deal_rules.price_rule(offer.step)
    escrow = deal_rules.escrow_of(act.cause)
    if offer.terms.payer == "buyer":
        taken = lots.take_whole(act, buyer, gross)
        act.post(POINT, account_of(buyer), escrow, gross, rule, formula)
        return taken
    budget.commit_of_pool(act, rules, budget.pair_of(seller, buyer), gross)
    act.post(POINT, "pool", escrow, gross, rule, formula)
    return ()
