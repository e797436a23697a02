"""What is to be said of a charter in a file, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.cli.text import clean


def charter_check(answer: Mapping[str, Any], what: str = "it") -> str:
    """That it is one, with warnings, and what so many partners can never meet; `what` is what the file is called."""
    lines = [f"{what} is a charter: {answer['name']}, hash {answer['hash'][:8]}"]
    lines += _listed("warnings, which stop nothing:", answer["lint"])
    if (partners := answer.get("partners")) is not None:
        never = answer["never"]
        lines += _listed(f"what {partners} partners can never meet:", never)
        lines += [] if never else [f"{partners} partners can meet every rule"]
    return "\n".join(map(clean, lines))


def _listed(title: str, rows: Sequence[Mapping[str, str]]) -> list[str]:
    return [title, *(f"  {row['path']}: {row['message']}" for row in rows)] if rows else []
