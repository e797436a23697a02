"""What became of a statement about money: who confirmed it, what was corrected, what a donation has bought.

Every donation can be followed to what it bought, and every expense back to the donation it was paid from.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tallystick.protocol.money_rules import bought_with

if TYPE_CHECKING:
    from tallystick.node.archive_rows import OutcomeRow
    from tallystick.node.view import View
    from tallystick.protocol.records_money import Money

#: Entries that state something about money.
STATED: Final = frozenset(("subscribe", "donate", "cash", "use.voucher", "paid"))
#: Entries that book what was stated: at once, with a receipt, or when a correction is confirmed.
_BOOKED: Final = frozenset(("cash", "paid", "receipt", "confirm"))


def money_json(view: View, entry_id: bytes) -> dict[str, Any] | None:
    """What is known of a statement that waits or stands; None of one that has lapsed, and of other entries."""
    money = view.preview.money
    row = money.get(entry_id)
    if row is None:
        return None
    answer: dict[str, Any] = {
        "amount": row.amount,
        "currency": row.currency,
        "confirmed": row.due is None,
        "lapses": None if row.due is None else row.due[0],
    }
    if row.kind == "donate":
        answer |= {
            "spent": row.spent,
            "left": row.amount - row.spent,
            "bought": [_expense(money[each], each) for each in bought_with(view.preview, entry_id)],
        }
    if row.source:
        donation = money.get(row.source)
        answer["donation"] = {
            "donation": row.source.hex(),
            "partner": None if donation is None else donation.author.hex(),
            "name": None if donation is None else view.name(donation.author),
            "purpose": view.word(row.source, "purpose"),
        }
    return answer


def donations(view: View) -> Iterator[dict[str, Any]]:
    """Every confirmed donation, the oldest first, with what it has bought."""
    rows = ((row.at, entry_id) for entry_id, row in view.preview.money.items() if row.kind == "donate")
    for _, entry_id in sorted(rows):
        row = view.preview.money[entry_id]
        found = money_json(view, entry_id)
        if found is not None and found["confirmed"]:
            yield {
                "donation": entry_id.hex(),
                "partner": row.author.hex(),
                "name": view.name(row.author),
                "purpose": view.word(entry_id, "purpose"),
                **{key: found[key] for key in ("currency", "amount", "spent", "left", "bought")},
            }


def _expense(row: Money, entry_id: bytes) -> dict[str, Any]:
    return {"entry": entry_id.hex(), "amount": row.amount, "category": row.word, "when": row.at}


def booked(view: View, entry_id: bytes) -> Iterator[tuple[int, OutcomeRow]]:
    """(height, postings) of all that booked a statement, or what a donation was spent on, in order."""
    for height, row in view.archive.outcomes():
        if row.what in _BOOKED and entry_id in _statements(view, row.cause):
            yield height, row


def _statements(view: View, cause: bytes) -> Iterator[bytes]:
    """What an entry books: a statement, and the donation that an expense comes from."""
    entry = view.entry(cause)
    # Of a correction the receipt names the correction, and that names the statement.
    while entry is not None and entry.kind in ("receipt", "confirm", "correct"):
        entry = view.entry(entry.body["entry"])
    if entry is not None and entry.kind in STATED:
        yield entry.id
        source = entry.body.get("from")
        if isinstance(source, bytes):
            yield source
