"""Postings in words: one line each, with the rule and its arithmetic, and their sum.

    +32 roast 3 x 12 x 90% · sold to Bo · approved 2026-03-04 · entry 7f3a21c0 · charter v2 step.roast.price · block 118

Source: docs/spec/charter.md#explain
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.cli.text import clean, day, short
from tallystick.node.currency import VOTE, amount_text

Row = Mapping[str, Any]

#: What happened, by the kind of the entry or the name of the tick. What is not here is shown by that name.
_HAPPENED: Final = {
    "found": "founded",
    "join": "joined",
    "admit": "admitted",
    "accept": "accepted",
    "approve": "approved",
    "cosign": "cosigned",
    "cancel": "cancelled",
    "confirm": "corrected",
    "attest": "attested",
    "claim": "claimed",
    "receipt": "received",
    "transfer": "transferred",
    "vote": "voted",
    "use.voucher": "used",
    "verdict": "decided by the panel",
    "leave": "left",
    "paid": "paid",
    "cash": "booked",
    "deal.unreviewed": "approved by silence",
    "deal.undelivered": "ended without a delivery",
    "deal.uncosigned": "ended without a cosignature",
    "deal.rejected": "rejection final",
    "deal.held": "reduction final",
    "deal.disputed": "dispute ended",
}


def explain(answer: Sequence[Row], now_ms: int) -> str:
    """Every movement of an account, oldest first, and what they add up to."""
    if not answer:
        return "nothing has moved here yet"
    return "\n".join([*map(_movement, answer), *_sums(answer)])


def _movement(row: Row) -> str:
    amount, commodity = row["amount"], row["commodity"]
    about = row.get("about") or {}
    formula = shortened(row["formula"], amount, commodity)
    if commodity == VOTE:
        first: tuple[str, ...] = (str(row["account"]).rpartition("/")[2], str(row["formula"]))
        other = str(row.get("counter_name") or account_text(str(row["counter_account"])))
    else:
        first = (moved(amount, commodity), "" if commodity == "POINT" else commodity, about.get("step") or "", formula)
        other = _between(row, about)
    parts = [
        " ".join(filter(None, first)),
        other,
        f"{_happened(str(row['what']))} {day(row['when'])}",
        f"entry {short(row['entry'])}",
    ]
    parts += [_set_aside(row, about), _corrected(row, about)]
    version = row["charter"]
    parts.append(" ".join(filter(None, ("" if version is None else f"charter v{version}", row["rule"] or ""))))
    parts.append("pending" if row["block"] is None else f"block {row['block']}")
    return clean(" · ".join(filter(None, parts)))


#: Why what lies in escrow does not come back yet, by the status of the deal.
_WAITS: Final = {"rejected": "while {seller} may dispute", "disputed": "while a panel judges"}


def _set_aside(row: Row, about: Row) -> str:
    """Of what was put aside for a deal that has been rejected: that it is not lost, and what it waits for."""
    waits = _WAITS.get(about.get("status") or "") if about.get("open") else None
    if waits is None or row["amount"] >= 0 or not str(row["counter_account"]).startswith("escrow/"):
        return ""
    return "stays set aside " + waits.format(seller=about["seller_name"] or short(about["seller"]))


def _corrected(row: Row, about: Row) -> str:
    """Of what was paid for a deal that has been corrected: what it is now. The difference is a movement of its own."""
    seller = f"partner/{about.get('seller')}"
    if about.get("corrected") is None or row["what"] == "confirm":
        return ""
    accounts = (str(row["account"]), str(row["counter_account"]))
    is_paid = seller in accounts and any(each.startswith("escrow/") for each in accounts)
    return f"corrected since, to {about['corrected']}" if is_paid else ""


def _happened(what: str) -> str:
    """What a proposal has done is called by its type: `sale passed`."""
    status, _, kind = what.partition(".")
    return f"{kind} {status}" if status in ("passed", "failed") else _HAPPENED.get(what, what)


def _between(row: Row, about: Row) -> str:
    """The other side of the deal, or the account that the amount came from or went to."""
    owner = str(row["account"]).rpartition("/")[2]
    if about and owner == about["seller"]:
        return f"sold to {about['buyer_name'] or short(about['buyer'])}"
    if about and owner == about["buyer"]:
        return f"bought from {about['seller_name'] or short(about['seller'])}"
    other = account_text(str(row["counter_account"]), row.get("counter_name"))
    return f"{'from' if row['amount'] > 0 else 'to'} {other}"


def account_text(account: str, name: str | None = None) -> str:
    """An account by the name of whose it is, or with its id cut short; in a dry run it may have none yet."""
    noun, slash, owner = account.partition("/")
    if name:
        return name if noun == "partner" else f"{noun} of {name}"
    if owner == "new":
        return f"new {noun}"
    is_id = len(owner) == 64
    return f"{noun} {short(owner)}" if is_id else f"{noun}{slash}{owner}"


def moved(amount: int, commodity: str) -> str:
    """A movement with its sign, also where it is positive, in the unit that people write."""
    return f"{'+' if amount > 0 else ''}{amount_text(amount, commodity)}"


#: Where the arithmetic of money has an amount: `700 x 3 of 9 points`, and `2 x 300`, `100% sold for 900`.
_SHARED: Final = re.compile(r"([0-9]+)( x [0-9]+ of [0-9]+ points)")
_TOLD: Final = re.compile(r"([0-9]+ x |[0-9]+% sold for |costs of the sale: |capital: )([0-9]+)")


def shortened(formula: str | None, amount: int, commodity: str = "POINT") -> str:
    """The arithmetic without its result, which stands beside it; nothing where it is the result alone."""
    result = str(abs(amount))
    text = "" if formula in (None, result) else str(formula).removesuffix(f" = {result}")
    if commodity == "POINT":
        return text
    if (match := _SHARED.fullmatch(text)) is not None:
        return amount_text(int(match[1]), commodity) + match[2]
    if (match := _TOLD.fullmatch(text)) is not None:
        return match[1] + amount_text(int(match[2]), commodity)
    return text


def _sums(rows: Sequence[Row]) -> list[str]:
    """One line a commodity; rows of several accounts, as an entry has them, are not added up."""
    accounts = {(row["commodity"], row["account"]) for row in rows}
    if len({account for _, account in accounts}) > 1:
        return []
    sums: dict[str, int] = {}
    for row in rows:
        # What a vote weighs is no balance.
        if row["commodity"] == VOTE:
            continue
        sums[row["commodity"]] = sums.get(row["commodity"], 0) + row["amount"]
    return [f"= {amount_text(total, name)}{'' if name == 'POINT' else f' {name}'}" for name, total in sums.items()]
