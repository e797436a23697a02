"""`tally peers` in words: who was seen when, how far each is, and on what way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.cli.text import short, stamp, table

Row = Mapping[str, Any]

_CLOCK_MS: Final = 2000
"""A clock that differs by less may differ by no more than a message takes."""


def peers(answer: Sequence[Row], now_ms: int) -> str:
    """Other nodes."""
    if not answer:
        return "no other node is known yet: `tally sync ADDRESS` meets one"
    return table(
        ("whose", "peer", "connected", "last contact", "height", "behind", "clock", "address"),
        (
            (
                "" if row["partner"] is None else row["name"] or short(row["partner"]),
                short(row["peer"]),
                _connected(row),
                stamp(row["seen"]) if row["seen"] else "never",
                row["height"],
                _lag(row),
                _clock(row["clock_ms"]),
                _where(row),
            )
            for row in answer
        ),
        right="height behind",
    )


def _where(row: Row) -> str:
    """The address, without the key that stands in another column; and why nobody answers there."""
    place, key, rest = (row["address"] or "").rpartition("/p2p/")
    text = place if key and "/" not in rest else row["address"] or ""
    return text if row["connected"] or not row["error"] else f"{text}: {row['error']}"


def _connected(row: Row) -> str:
    if not row["connected"]:
        return "no"
    return "through another" if row["relayed"] else "directly"


def _lag(row: Row) -> str:
    """How many blocks it lacks, or we do."""
    if row["height"] is None:
        return ""
    return f"we, {row['ahead']}" if row["ahead"] else str(row["behind"])


def _clock(clock_ms: int | None) -> str:
    """How far its clock is from ours, where that is more than the way of a message."""
    if clock_ms is None:
        return ""
    return f"{clock_ms / 1000:+.0f} s" if abs(clock_ms) >= _CLOCK_MS else "same"
