"""The evidence of a deal as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.cli.text import clean, short, stamp, table


def evidence_text(answer: Mapping[str, Any]) -> str:
    """Every file, where it is, and who may have it."""
    rows = answer["files"]
    if not rows:
        return "no files were delivered in this deal"
    head = ("delivered", "file", "bytes", "sha-256", "for", "here")
    text = table(
        head,
        (
            (
                stamp(row["at"]),
                row["name"] or "(no name)",
                row["size"],
                short(row["sha256"]),
                "all members" if row["public"] else "who judges",
                _here(row),
            )
            for row in rows
        ),
        right="bytes",
    )
    written = [row["written"] for row in rows if row.get("written")]
    return "\n".join((text, *(f"written: {clean(each)}" for each in written)))


def _here(row: Mapping[str, Any]) -> str:
    if row["here"]:
        return "yes"
    if row["by_hand"]:
        return "too large: ask for it in another way"
    if not row["may_ask"]:
        return "not for you"
    return f"{row['bytes']} bytes so far" if row["bytes"] else "no"
