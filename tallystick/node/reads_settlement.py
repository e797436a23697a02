"""What everybody is owed and has been paid, and what a sale at some price would pay.

Source: docs/spec/cli.md#settlement
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallystick.node.errors import ExitCode, HomeReason, NodeError
from tallystick.node.read_args import ReadArgumentError
from tallystick.node.resolve import UnresolvedError
from tallystick.protocol.act import POINT
from tallystick.protocol.errors import EntryError
from tallystick.protocol.pay import account_of
from tallystick.protocol.settlement import Settlement, settlement_at, unspent_donations, vouchers_left
from tallystick.protocol.totals import received_name, total

if TYPE_CHECKING:
    from tallystick.node.read_args import SettlementArgs
    from tallystick.node.view import View

#: What `settlement` says of a member who gets nothing.
_NOTHING = {"capital": 0, "money": 0, "points": 0, "total": 0}


def settlement(view: View, args: SettlementArgs) -> dict[str, Any]:
    """`settlement{at?, costs?, percent?}`: what is owed and paid; with `at`, what a sale of that price would pay.

    Everything pending counts. Amounts are minor units.
    """
    if view.is_empty:
        raise UnresolvedError("the ledger is not here yet", reason=HomeReason.NOT_FOUND)
    currency = view.ledger.charter.sale.currency
    if currency is None:
        raise NodeError(
            "this ledger has no money: its charter names no sale.currency",
            reason="not-found",
            exit_code=ExitCode.NOT_FOUND,
        )
    plan = _plan(view, args)
    shares = {} if plan is None else _shares(plan)
    state = view.preview
    members = sorted(state.members.items(), key=lambda item: (item[1].since, item[0]))
    rows = []
    for member, row in members:
        who = member.hex()
        owed = {
            "payable": state.balance(currency, f"payable/{who}"),
            "paid": state.balance(currency, f"paid/{who}"),
            "received": total(state, received_name(currency, member)),
        }
        share = shares.get(member, _NOTHING)
        if row.status in ("active", "departed") or any(owed.values()) or share["total"]:
            rows.append({"partner": who, "name": view.name(member), **owed, **(share if plan is not None else {})})
    return {
        "ledger": view.ledger.id.hex(),
        "height": view.ledger.head.height,
        "currency": currency,
        "sold": state.course.sold,
        "cash": state.balance(currency, "cash"),
        "pending": len(view.ledger.pool),
        "pending_points": _pending_points(view),
        "vouchers": [
            {"partner": member.hex(), "name": view.name(member), "currency": currency, "amount": amount}
            for member, currency, amount in vouchers_left(state)
        ],
        "sale": None if plan is None else _sale(view, args, plan),
        "rows": rows,
    }


def _pending_points(view: View) -> int:
    """Points that partners have only by what is not sealed yet."""
    held = {member: view.preview.balance(POINT, account_of(member)) for member in view.preview.members}
    return sum(max(0, points - view.sealed.balance(POINT, account_of(member))) for member, points in held.items())


def _plan(view: View, args: SettlementArgs) -> Settlement | None:
    """Who would get what; None where no price is given."""
    if args.at is None:
        if args.costs or args.percent != 100:
            raise ReadArgumentError("costs and percent go with a price: `at`")
        return None
    if args.costs > args.at:
        raise ReadArgumentError("the costs are above the price")
    state = view.preview
    if state.course.sold:
        raise NodeError("the whole has been sold already", reason="sold", exit_code=ExitCode.REFUSED)
    try:
        return settlement_at(state, view.ledger.context(view.now), args.at, args.costs, args.percent)
    except EntryError as error:
        raise NodeError(str(error), reason=str(error.reason), exit_code=ExitCode.REFUSED) from error


def _shares(plan: Settlement) -> Mapping[bytes, dict[str, int]]:
    return {
        share.member: {
            "capital": share.capital,
            "money": share.money,
            "points": share.points,
            "total": share.capital + share.money,
        }
        for share in plan.shares
    }


def _sale(view: View, args: SettlementArgs, plan: Settlement) -> dict[str, Any]:
    return {
        "proceeds": args.at,
        "costs": args.costs,
        "percent": args.percent,
        "distributable": plan.distributable,
        # What the till holds for a purpose, which no sale shares out.
        "donations": unspent_donations(view.preview, plan.currency),
        "capital": sum(share.capital for share in plan.shares),
        "money": plan.money,
        "points": plan.points,
        "rest": plan.rest,
        "vouchers": [
            {"partner": member.hex(), "name": view.name(member), "currency": currency, "amount": amount}
            for member, currency, amount in plan.vouchers
        ],
    }
