"""Settlement: what everybody is paid when the whole or a part is sold, and dividends.

One pure plan (`plan`) says who gets what; a sale that has passed carries it out, and a question about a price asks
for it and takes everything back.

Source: docs/spec/charter.md#sale
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tallystick.protocol import lots
from tallystick.protocol.act import POINT, Act, Context
from tallystick.protocol.deal_sweep import in_order_of_acceptance, sell_out
from tallystick.protocol.money_rules import lapse_unconfirmed
from tallystick.protocol.pay import account_of
from tallystick.protocol.totals import total, used_name

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.state import State


class Share(NamedTuple):
    """What one member gets."""

    member: bytes
    capital: int
    """Minor units that repay what it has paid in."""
    money: int
    """Minor units for its points."""
    points: int
    """Points that are redeemed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Who gets what of a sale."""

    currency: str
    distributable: int
    shares: tuple[Share, ...]
    """Ascending by member; who gets and gives nothing is left out."""
    money: int
    """What all the points together are worth."""
    points: int
    """All points that are redeemed."""
    rest: int
    """What nobody has a point for; it stays in cash."""
    vouchers: tuple[tuple[bytes, str, int], ...]
    """Goods that the venture still owes: member, currency, minor units."""


def split(amount: int, weights: Mapping[bytes, int]) -> dict[bytes, int]:
    """Divide an amount by weights: each part rounded down, what is left to the largest remainders, then lower ids.

    The parts add up to the amount, or to 0 where nobody has a weight.
    """
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(weights, 0)
    parts = {key: amount * weight // whole for key, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda key: (-(amount * weights[key] % whole), key))
    for key in by_remainder[: amount - sum(parts.values())]:
        parts[key] += 1
    return parts


def unspent_donations(state: State, currency: str) -> int:
    """What has been given for a purpose and not been spent on it yet."""
    return sum(
        row.amount - row.spent
        for row in state.money.values()
        if row.kind == "donate" and row.due is None and row.currency == currency
    )


def capital_left(state: State, currency: str, member_id: bytes) -> int:
    """Capital that a member has paid in and got back neither as money nor as goods."""
    paid_in = -state.balance(currency, f"capital/{member_id.hex()}")
    return max(0, paid_in - state.members[member_id].repaid - total(state, used_name(currency, member_id)))


def plan(
    state: State, charter: Charter, currency: str, proceeds: int, costs: int, percent: int, time: int
) -> Settlement:
    """Who gets what. In a complete sale (100 percent) every deal has ended by now."""
    complete = percent == 100
    distributable = proceeds - costs
    if complete:
        spare = state.balance(currency, "cash") - unspent_donations(state, currency)
        distributable = max(0, distributable + spare)
    members = sorted(state.members)
    capital = dict.fromkeys(members, 0)
    if charter.sale.preference == "capital-first":
        owed = {member_id: capital_left(state, currency, member_id) for member_id in members}
        capital = split(min(distributable, sum(owed.values())), owed)
    rest = distributable - sum(capital.values())
    points = {
        member_id: lots.redeemable(state, member_id, time)
        if complete
        else lots.vested_of(state, member_id, time) * percent // 100
        for member_id in members
    }
    money = split(rest, points)
    shares = (Share(each, capital[each], money[each], points[each]) for each in members)
    return Settlement(
        currency=currency,
        distributable=distributable,
        shares=tuple(share for share in shares if any(share[1:])),
        money=sum(money.values()),
        points=sum(points.values()),
        rest=rest - sum(money.values()),
        vouchers=vouchers_left(state),
    )


def sell(act: Act, proceeds: int, costs: int, percent: int) -> bool:
    """A sale has passed; False where the charter has no currency for it any more.

    Raises EntryError: LIMIT.
    """
    currency = act.charter.sale.currency
    if currency is None:
        return False
    if percent == 100:
        end_everything(act)
    settlement = plan(act.state, act.charter, currency, proceeds, costs, percent, act.at)
    act.post(currency, "proceeds", "cash", proceeds, "sale", f"{percent}% sold for {proceeds}")
    act.post(currency, "cash", "expense/sale", costs, "sale", f"costs of the sale: {costs}")
    for share in settlement.shares:
        _pay(act, settlement, share, complete=percent == 100)
    if percent == 100:
        act.state.courses.set("", msgspec.structs.replace(act.state.course, sold=True))
    return True


def pay_dividend(act: Act, amount: int) -> bool:
    """A dividend has passed; False where there is less money than that which nobody has given for a purpose."""
    state = act.state
    currency = act.charter.sale.currency
    if currency is None or amount > state.balance(currency, "cash") - unspent_donations(state, currency):
        return False
    held = {member_id: state.balance(POINT, account_of(member_id)) for member_id in sorted(state.members)}
    whole = sum(held.values())
    for member_id, part in split(amount, held).items():
        formula = f"{amount} x {held[member_id]} of {whole} points = {part}"
        act.post(currency, "cash", f"payable/{member_id.hex()}", part, "dividend", formula)
    return True


def settlement_at(state: State, context: Context, proceeds: int, costs: int = 0, percent: int = 100) -> Settlement:
    """What a sale at this price would pay, decided at the time of the context. Leaves no trace.

    The charter must name a currency. Raises EntryError: LIMIT.
    """
    mark = state.mark()
    try:
        act = Act(state, context, context.time, context.ledger)
        if percent == 100:
            end_everything(act)
        currency = act.charter.sale.currency or ""
        return plan(state, act.charter, currency, proceeds, costs, percent, act.at)
    finally:
        state.rollback(mark)


def end_everything(act: Act) -> None:
    """Before the whole is sold every open deal ends, and money that nobody has confirmed does not come any more."""
    for deal_id in in_order_of_acceptance(act.state):
        sell_out(act, deal_id)
    lapse_unconfirmed(act)


def _pay(act: Act, settlement: Settlement, share: Share, *, complete: bool) -> None:
    currency = settlement.currency
    who = share.member.hex()
    if share.capital:
        act.post(currency, "cash", f"payable/{who}", share.capital, "sale.preference", f"capital: {share.capital}")
        member = act.state.members[share.member]
        act.state.members.set(share.member, msgspec.structs.replace(member, repaid=member.repaid + share.capital))
    if share.points:
        formula = f"{settlement.money} x {share.points} of {settlement.points} points = {share.money}"
        act.post(currency, "cash", f"payable/{who}", share.money, "sale", formula)
        act.post(POINT, account_of(share.member), "redeemed", share.points, "sale", f"{share.points} redeemed")
        if complete:
            lots.redeem(act, share.member)
        else:
            lots.take_vested(act, share.member, share.points)


def vouchers_left(state: State) -> tuple[tuple[bytes, str, int], ...]:
    """Goods that the venture still owes: member, currency, minor units; by member."""
    found = []
    for path, amount in state.accounts.items():
        commodity, account = path.split("/", 1)
        if commodity.startswith("VOUCHER-") and account.startswith("partner/"):
            found.append((bytes.fromhex(account.removeprefix("partner/")), commodity.removeprefix("VOUCHER-"), amount))
    return tuple(sorted(found))
