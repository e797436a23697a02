"""Corrections: an approval, or what somebody stated about money, should have said something else.

Nothing is changed by one person alone: the other side of a deal, or whoever confirms money, has to agree, and a third
partner too where a large deal pays more. Then the difference is posted. A correction is no base of a referral and
counts in no objective.

Source: docs/spec/charter.md#corrections
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.protocol import deal_rules, lots, money_rules
from tallystick.protocol.act import POINT
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS, asked
from tallystick.protocol.pay import account_of, hand_over
from tallystick.protocol.records_deal import Corrected
from tallystick.protocol.totals import received_name, total

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.records_money import Correction, Money

#: What nobody confirms lapses after so long.
LAPSE_MS: Final = 30 * DAY_MS


def open_correction(act: Act, row: Correction) -> None:
    """Keep a correction until it is confirmed, at most thirty days.

    Raises EntryError: ALREADY_DONE where another one of the same entry waits.
    """
    if act.state.corrections.of(row.target) is not None:
        raise EntryError(Reason.ALREADY_DONE, "another correction of it waits")
    due = act.wait(act.at + LAPSE_MS, "correction.lapse", act.cause)
    act.state.corrections.set(act.cause, msgspec.structs.replace(row, due=due))


def read_correction(act: Act, entry_id: bytes) -> Correction:
    """A correction that waits.

    Raises EntryError: NOT_FOUND.
    """
    row = act.state.corrections.get(entry_id)
    if row is None:
        raise EntryError(Reason.NOT_FOUND, "no correction that waits")
    return row


def drop(act: Act, correction_id: bytes) -> None:
    """It waits no more."""
    act.unschedule(act.state.corrections[correction_id].due)
    act.state.corrections.delete(correction_id)


# -- deals -------------------------------------------------------------------------------------------------------------


def is_of_deal(row: Correction) -> bool:
    """Whether a deal is corrected, and not a statement about money."""
    return row.units > 0


def may_need_cosign(deal: Deal, row: Correction) -> bool:
    """Whether it pays more on a deal above `cosign-above`."""
    above = deal.terms.cosign_above
    return bool(above and deal.gross > above and deal_rules.award_of(deal, row.units, row.grade).award > deal.paid)


def agree(act: Act, correction_id: bytes, row: Correction) -> None:
    """Note that the seller, or a third partner, agrees; once everybody has who must, it takes effect.

    Raises EntryError: what `correct_deal` raises.
    """
    deal = deal_rules.read_closed(act, row.target)
    sides = (deal.seller, deal.buyer)
    # Where nobody is there who could cosign, nobody is asked.
    waits = may_need_cosign(deal, row) and not row.cosigned and asked(1, act.state, act.at, without=sides)
    if not row.confirmed or waits:
        act.state.corrections.set(correction_id, row)
        return
    drop(act, correction_id)
    correct_deal(act, row.target, deal, row.units, row.grade)


def correct_deal(act: Act, deal_id: bytes, deal: Deal, units: int, grade: int) -> None:
    """Decide a deal anew, by its own terms and lateness, and move the difference.

    Raises EntryError: BALANCE where buyer or seller cannot pay it; TERMS_CHANGED, POOL_EMPTY, BUDGET_EXHAUSTED,
    PAIR_CAP where the pool cannot.
    """
    award, _, formula = deal_rules.award_of(deal, units, grade)
    formula = f"corrected: {formula}, {deal.paid} paid before"
    seller = account_of(deal.seller)
    if award > deal.paid:
        deal_rules.bring(act, deal, award - deal.paid, seller, formula)
        lots.add(act, deal.seller, award - deal.paid)
    elif award < deal.paid:
        less = deal.paid - award
        lots.take_whole(act, deal.seller, less)
        if deal.terms.payer == "buyer":
            hand_over(act, seller, deal.buyer, less, deal_rules.rule_of(deal), formula)
        else:
            act.post(POINT, seller, "pool", less, deal_rules.rule_of(deal), formula)
    act.state.corrected.set(deal_id, Corrected(units, grade, award))
    original = deal.original or (deal.approved, deal.grade, deal.paid)
    deal = deal_rules.changed(deal, approved=units, grade=grade, paid=award, original=original)
    act.state.closed.set(deal_id, deal)


# -- money -------------------------------------------------------------------------------------------------------------


def correct_money(act: Act, entry_id: bytes, row: Money, amount: int) -> None:
    """Book the difference to what was stated.

    Raises EntryError: BALANCE where less would remain than was used of it, or more is needed than there is; LIMIT.
    """
    more = amount - row.amount
    if row.kind == "donate" and amount < row.spent:
        raise EntryError(Reason.BALANCE, f"{row.spent} of the donation are spent")
    if row.kind == "paid":
        who = row.partner.hex()
        owed, paid = (act.state.balance(row.currency, f"{account}/{who}") for account in ("payable", "paid"))
        received = total(act.state, received_name(row.currency, row.partner))
        if more > owed or paid + more < received:
            raise EntryError(Reason.BALANCE, f"{owed} are owed, {paid} paid, {received} received")
    money_rules.book(act, row, more)
    act.state.money.set(entry_id, money_rules.changed(row, amount=amount))


TICKS: Final[Mapping[str, TickRule]] = {"correction.lapse": drop}
