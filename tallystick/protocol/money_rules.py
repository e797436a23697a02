"""What several kinds do with money: state it, confirm it, book it, let it lapse.

The book records money that changes hands elsewhere. Somebody states it, somebody on duty confirms it, and only then it
is booked. Cash may fall below zero: the book records, it does not forbid.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tallystick.protocol.act import INT_MAX, POINT
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS
from tallystick.protocol.pay import account_of, pay
from tallystick.protocol.totals import add_total, shares_name, used_name

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.records_money import Money
    from tallystick.protocol.state import State

#: What nobody confirms lapses after so long.
LAPSE_MS: Final = 30 * DAY_MS


def voucher_of(currency: str) -> str:
    """The commodity of goods that the venture owes, in this currency."""
    return f"VOUCHER-{currency}"


def currency_of(act: Act, currency: str | None) -> str:
    """The currency of a statement: what it names, or that of a sale.

    Raises EntryError: MALFORMED.
    """
    currency = currency or act.charter.sale.currency
    if currency is None:
        raise EntryError(Reason.MALFORMED, "no currency: the charter has no sale.currency")
    return currency


def changed(row: Money, **fields: Any) -> Money:
    """The statement with some of its fields replaced."""
    return msgspec.structs.replace(row, **fields)


# -- statements --------------------------------------------------------------------------------------------------------


def state_money(act: Act, row: Money) -> None:
    """Keep a statement until somebody confirms it, at most thirty days."""
    due = act.wait(act.at + LAPSE_MS, "money.lapse", act.cause)
    act.state.money.set(act.cause, changed(row, due=due))


def read_money(act: Act, entry_id: bytes) -> Money:
    """What an entry states about money, confirmed or waiting.

    Raises EntryError: NOT_FOUND.
    """
    row = act.state.money.get(entry_id)
    if row is None:
        raise EntryError(Reason.NOT_FOUND, "nothing about money that waits or stands")
    return row


def lapse(act: Act, entry_id: bytes) -> None:
    """Nobody has confirmed it: reserved shares are free again."""
    row = act.state.money[entry_id]
    act.unschedule(row.due)
    reserve(act, row, -row.shares)
    act.state.money.delete(entry_id)


def lapse_unconfirmed(act: Act) -> None:
    """Everything has been sold: subscriptions and donations that nobody has confirmed lapse."""
    waiting = [(row.due, entry_id) for entry_id, row in act.state.money.items() if row.due is not None]
    for _, entry_id in sorted(waiting):
        if act.state.money[entry_id].kind in ("subscribe", "donate"):
            lapse(act, entry_id)


def reserve(act: Act, row: Money, shares: int) -> None:
    """Count shares of a round, in all and of one member; a negative number frees them."""
    if shares:
        add_total(act.state, shares_name(row.word), shares)
        add_total(act.state, shares_name(row.word, row.author), shares)


# -- booking -----------------------------------------------------------------------------------------------------------


def confirm(act: Act, entry_id: bytes, row: Money) -> None:
    """Book what has been stated, and keep it: it can be corrected.

    Raises EntryError: ALONE, POOL_EMPTY for a subscription; NOT_FOUND, NOT_ALLOWED, BALANCE for an expense from a
    donation; BALANCE for a voucher; LIMIT.
    """
    act.unschedule(row.due)
    row = changed(row, due=None)
    if row.kind == "subscribe":
        _book_shares(act, row)
    else:
        book(act, row, row.amount)
    act.state.money.set(entry_id, row)


def _book_shares(act: Act, row: Money) -> None:
    """Raises EntryError: ALONE, POOL_EMPTY, LIMIT."""
    if row.points and not act.state.course.met:
        raise EntryError(Reason.ALONE, "no points before a second partner has joined")
    if act.state.balance(POINT, "pool") < row.points:
        raise EntryError(Reason.POOL_EMPTY)
    rule = f"round.{row.word}"
    who = row.author.hex()
    for commodity, source, target, amount, key in (
        (row.currency, f"capital/{who}", "cash", row.amount, "price"),
        (voucher_of(row.currency), "issued", account_of(row.author), row.voucher, "voucher"),
    ):
        act.post(commodity, source, target, amount, f"{rule}.{key}", _per_share(amount, row.shares))
    pay(act, "pool", row.author, row.points, f"{rule}.points", _per_share(row.points, row.shares))


def _per_share(amount: int, shares: int) -> str:
    return f"{shares} x {amount // shares} = {amount}"


def book(act: Act, row: Money, amount: int) -> None:
    """Post `amount` of what has been stated; a negative amount takes so much of it back.

    Raises EntryError: NOT_FOUND, NOT_ALLOWED, BALANCE, LIMIT.
    """
    match row.kind:
        case "donate":
            _move(act, row.currency, f"donation/{row.author.hex()}", "cash", amount, "donation")
        case "income":
            _move(act, row.currency, f"income/{row.word}", "cash", amount, "income")
        case "expense":
            if row.source:
                spend(act, row, amount)
            _move(act, row.currency, "cash", f"expense/{row.word}", amount, "expense")
        case "voucher":
            check_voucher(act, row, amount)
            _move(act, voucher_of(row.currency), account_of(row.author), "issued", amount, "voucher")
            add_total(act.state, used_name(row.currency, row.author), amount)
        case "paid":
            who = row.partner.hex()
            _move(act, row.currency, f"payable/{who}", f"paid/{who}", amount, "paid")
        case _:
            raise EntryError(Reason.NOT_ALLOWED, row.kind)


def _move(act: Act, commodity: str, source: str, target: str, amount: int, rule: str) -> None:
    if amount < 0:
        source, target = target, source
    act.post(commodity, source, target, abs(amount), rule, f"{abs(amount)}")


def check_voucher(act: Act, row: Money, amount: int) -> None:
    """Whether a member still has vouchers for so much.

    Raises EntryError: BALANCE.
    """
    left = act.state.balance(voucher_of(row.currency), account_of(row.author))
    if amount > left:
        raise EntryError(Reason.BALANCE, f"vouchers for {left}")


# -- donations ---------------------------------------------------------------------------------------------------------


def check_donation(act: Act, row: Money, amount: int) -> Money:
    """The donation that an expense comes from, which must have so much left.

    Raises EntryError: NOT_FOUND, NOT_ALLOWED, BALANCE.
    """
    donation = act.state.money.get(row.source)
    if donation is None or donation.kind != "donate" or donation.due is not None:
        raise EntryError(Reason.NOT_FOUND, "no confirmed donation")
    if donation.currency != row.currency:
        raise EntryError(Reason.NOT_ALLOWED, f"the donation is in {donation.currency}")
    left = donation.amount - donation.spent
    if amount > left:
        raise EntryError(Reason.BALANCE, f"{left} are left of the donation")
    return donation


def spend(act: Act, row: Money, amount: int) -> None:
    """Note on a donation what an expense has used of it.

    Raises EntryError: NOT_FOUND, NOT_ALLOWED, BALANCE.
    """
    donation = check_donation(act, row, amount)
    act.state.money.set(row.source, changed(donation, spent=donation.spent + amount))


def bought_with(state: State, donation_id: bytes) -> list[bytes]:
    """Confirmed expenses that were paid from a donation, oldest first; each row names its donation as `source`."""
    found = [
        (row.at, entry_id)
        for entry_id, row in state.money.items()
        if row.source == donation_id and row.kind == "expense" and row.due is None
    ]
    return [entry_id for _, entry_id in sorted(found)]


def unspent_donations(state: State, currency: str) -> int:
    """What is left of all confirmed donations in a currency: not for the partners to share."""
    return sum(
        row.amount - row.spent
        for row in state.money.values()
        if row.kind == "donate" and row.due is None and row.currency == currency
    )


def product(one: int, other: int) -> int:
    """A product that the book can hold.

    Raises EntryError: LIMIT.
    """
    if one * other > INT_MAX:
        raise EntryError(Reason.LIMIT, f"{one} x {other}")
    return one * other


TICKS: Final[Mapping[str, TickRule]] = {"money.lapse": lapse}
