"""Who has how many points: the sealed books, what of it is vested, and what everything pending would add.

Source: docs/spec/cli.md#points
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.node.resolve import resolve_member
from tallystick.protocol.act import POINT
from tallystick.protocol.lots import vested
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.node.read_args import PartnerArgs
    from tallystick.node.view import View

_ESCROW = f"{POINT}/escrow/"


def points(view: View, args: PartnerArgs) -> dict[str, Any]:
    """`points{partner?}`: all accounts, or the row of one partner. `issued` is negative: what all others add up to."""
    only = None if args.partner is None else resolve_member(view, args.partner)
    head = view.ledger.head
    after = {member: view.preview.balance(POINT, account_of(member)) for member in view.preview.members}
    members = dict(view.preview.members.items())
    sealed = view.sealed
    rows = []
    for member, row in sorted(members.items(), key=lambda item: (item[1].since, item[0])):
        balance = sealed.balance(POINT, account_of(member))
        pending = after[member] - balance
        has_account = row.standing != "observer" and row.status in ("active", "departed")
        if only not in (None, member) or not (has_account or balance or pending):
            continue
        lots = sealed.lots.of(member)
        joined = sealed.members[member].since if lots else 0
        rows.append(
            {
                "partner": member.hex(),
                "name": view.name(member),
                "points": balance,
                "vested": sum(vested(lot, view.moment, joined) for lot in lots),
                "pending": pending,
            }
        )
    return {
        "ledger": view.ledger.id.hex(),
        "height": head.height,
        "state_root": head.state_root.hex(),
        "unit": None if view.is_empty else view.ledger.charter.points.name,
        "pool": sealed.balance(POINT, "pool"),
        "escrow": sum(amount for path, amount in sealed.accounts.items() if path.startswith(_ESCROW)),
        "issued": sealed.balance(POINT, "issued"),
        "redeemed": sealed.balance(POINT, "redeemed"),
        "rows": rows,
    }
