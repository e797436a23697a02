"""The audit in words: one short table for each thing that is worth a look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallystick.cli.text import clean, day, due, listed, short, table
from tallystick.node.currency import amount_text

Row = Mapping[str, Any]
Rows = Sequence[Row]


def audit(answer: Row, now_ms: int) -> str:
    """Every part that has something in it, and in one line those that have nothing."""
    parts = [f"{title}\n{part(answer[name], now_ms)}" for name, (title, part) in _PARTS.items() if answer[name]]
    nothing = [words for name, words in _NOTHING.items() if not answer[name]]
    if nothing:
        parts.append(f"nothing to see: {listed(nothing)}")
    return "\n\n".join(parts)


def _called(row: Row) -> str:
    return str(row["name"] or short(row["partner"]))


def _reciprocity(rows: Rows, now_ms: int) -> str:
    return table(
        ("one", "other", "sold", "points", "bought", "points back"),
        (
            (
                *(name or short(partner) for name, partner in zip(row["names"], row["partners"], strict=True)),
                row["deals"][0],
                row["points"][0],
                row["deals"][1],
                row["points"][1],
            )
            for row in rows
        ),
        right="sold points bought",
    )


def _concentration(rows: Rows, now_ms: int) -> str:
    return table(
        ("seller", "points", "of all", "buyers", "most from"),
        (
            (
                _called(row),
                row["points"],
                f"{row['percent']}%",
                row["buyers"],
                f"{row['largest_buyer_name'] or short(row['largest_buyer'])}, {row['largest_buyer_percent']}%",
            )
            for row in rows
        ),
        right="points buyers",
    )


def _silence(rows: Rows, now_ms: int) -> str:
    return table(
        ("buyer", "by silence", "of"),
        ((_called(row), row["silent"], row["approved"]) for row in rows),
        right="by_silence of",
    )


def _budgets(rows: Rows, now_ms: int) -> str:
    return table(
        ("rule", "used", "budget", "until"),
        ((row["rule"], row["used"], row["budget"], due(row["until"], now_ms)) for row in rows),
        right="used budget",
    )


def _devices(rows: Rows, now_ms: int) -> str:
    return table(
        ("device", "of", "status", "entries with one number"),
        ((short(row["device"]), _called(row), row["status"], ", ".join(map(short, row["entries"]))) for row in rows),
    )


def _overdue(rows: Rows, now_ms: int) -> str:
    return table(
        ("do", "id", "who", "since"),
        ((row["what"], short(row["id"]), _whose_turn(row), due(row["since"], now_ms)) for row in rows),
    )


def _whose_turn(row: Row) -> str:
    """Who should have done it; what somebody has written is for others to confirm."""
    return _called(row) if row["what"] in ("deliver", "approve") else f"others, for {_called(row)}"


def _lint(rows: Rows, now_ms: int) -> str:
    return "\n".join(f"{clean(row['path'])}: {clean(row['message'])}" for row in rows)


def _gaps(rows: Rows, now_ms: int) -> str:
    return table(
        ("entry", "kind", "by", "says", "sealed"),
        (
            (
                short(row["entry"]),
                row["kind"],
                "" if row["partner"] is None else _called(row),
                day(row["claimed"]),
                f"{day(row['sealed'])} in #{row['height']}",
            )
            for row in rows
        ),
    )


def _missing(rows: Rows, now_ms: int) -> str:
    return table(
        ("term", "until", "on duty"),
        (
            (
                day(row["from"]),
                day(row["until"]),
                ", ".join(name or short(partner) for name, partner in zip(row["names"], row["partners"], strict=True)),
            )
            for row in rows
        ),
    )


def _different(rows: Rows, now_ms: int) -> str:
    return table(
        ("term", "by", "currency", "counted", "book", "difference"),
        (
            (
                day(row["from"]),
                _called(row),
                row["currency"],
                *(amount_text(row[key], row["currency"]) for key in ("counted", "book", "difference")),
            )
            for row in rows
        ),
        right="counted book difference",
    )


def _donations(rows: Rows, now_ms: int) -> str:
    return table(
        ("donation", "by", "for", "currency", "amount", "spent", "left", "bought"),
        (
            (
                short(row["donation"]),
                _called(row),
                clean(row["purpose"] or ""),
                row["currency"],
                *(amount_text(row[key], row["currency"]) for key in ("amount", "spent", "left")),
                ", ".join(
                    f"{each['category']} {amount_text(each['amount'], row['currency'])} ({short(each['entry'])})"
                    for each in row["bought"]
                ),
            )
            for row in rows
        ),
        right="amount spent left",
    )


#: Part -> its title, and its table.
_PARTS: Final[Mapping[str, tuple[str, Callable[[Rows, int], str]]]] = {
    "devices": ("devices that were frozen or taken back", _devices),
    "reports_different": ("tills that did not hold what the book said", _different),
    "reports_missing": ("terms of duty without a report", _missing),
    "overdue": ("what somebody should have done by now", _overdue),
    "reciprocity": ("who sells to one another", _reciprocity),
    "concentration": ("who has got most of what was paid for deals", _concentration),
    "silence": ("who lets silence decide", _silence),
    "budgets": ("budgets in the present period", _budgets),
    "donations": ("what donations have bought", _donations),
    "gaps": ("entries that claim another time than that of their block", _gaps),
    "lint": ("rules that may hurt", _lint),
}
_NOTHING: Final[Mapping[str, str]] = {
    "devices": "contested devices",
    "reports_different": "differences in the till",
    "reports_missing": "missing reports",
    "overdue": "overdue decisions",
    "reciprocity": "deals in both directions",
    "silence": "decisions by silence",
    "donations": "donations",
    "gaps": "entries dated back",
    "lint": "weak rules",
}
