"""A statement: everything that moved on the accounts of one member in a year, with what there was before and after.

A year is one of UTC, so that everybody's statement of it is the same.

Source: docs/spec/cli.md#statement
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tallystick.node.reads_explain import lines_of
from tallystick.node.resolve import resolve_member
from tallystick.protocol.act import POINT
from tallystick.protocol.lots import vested_of

if TYPE_CHECKING:
    from tallystick.node.read_args import StatementArgs
    from tallystick.node.view import View


def statement(view: View, args: StatementArgs) -> dict[str, Any]:
    """`statement{partner, year?}`: sealed movements of a year, or of all time, by account."""
    member = resolve_member(view, args.partner)
    first, last = (None, None) if args.year is None else (_begin(args.year), _begin(args.year + 1))
    accounts: dict[tuple[str, str], dict[str, Any]] = {}
    rows = []
    for line in lines_of(view, member):
        key = (line["commodity"], line["account"])
        account = accounts.setdefault(
            key, {"commodity": key[0], "account": key[1], "opening": 0, "in": 0, "out": 0, "closing": 0}
        )
        if last is not None and line["when"] >= last:
            continue
        account["closing"] += line["amount"]
        if first is not None and line["when"] < first:
            account["opening"] += line["amount"]
            continue
        account["in" if line["amount"] > 0 else "out"] += abs(line["amount"])
        rows.append(line)
    row = view.sealed.members.get(member)
    return {
        "ledger": view.ledger.id.hex(),
        "height": view.ledger.head.height,
        "partner": member.hex(),
        "name": view.name(member),
        "year": args.year,
        "from": first,
        "until": last,
        "points_name": view.ledger.charter.points.name,
        "vested_now": 0 if row is None else vested_of(view.sealed, member, view.moment),
        # Points first, then the rest by name.
        "accounts": [accounts[key] for key in sorted(accounts, key=lambda key: (key[0] != POINT, key))],
        "rows": rows,
    }


def _begin(year: int) -> int:
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
