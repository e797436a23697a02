"""The journal: every posting of the ledger in its order, as bookkeeping programs want it.

Source: docs/spec/cli.md#export
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View


def journal(view: View, args: ReadArgs) -> list[dict[str, Any]]:
    """`journal{}`: what every sealed entry, tick and vote has moved, oldest first; `postings` are of one cause."""
    return [
        {
            "when": row.at,
            "height": height,
            "place": row.place,
            "what": row.what,
            "entry": row.cause.hex(),
            "charter": row.charter_version,
            "postings": [
                {
                    "commodity": commodity,
                    "from": source,
                    "to": target,
                    "amount": amount,
                    "rule": rule,
                    "formula": formula,
                }
                for commodity, source, target, amount, rule, formula in row.postings
            ],
        }
        for height, row in view.archive.outcomes()
    ]
