"""One thing that waits for somebody.

Source: docs/spec/cli.md#inbox
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.node.view import View

Item = dict[str, Any]


def item(
    view: View, what: str, item_id: bytes, text: str, *, deadline: int | None, partner: bytes | None, **more: Any
) -> Item:
    """`what` is the command that answers it, `item_id` what it is about, `deadline` in ms or None for none."""
    return {
        "what": what,
        "id": item_id.hex(),
        "text": text,
        "deadline": deadline,
        "partner": None if partner is None else partner.hex(),
        "name": None if partner is None else view.name(partner),
        **more,
    }
