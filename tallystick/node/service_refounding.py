"""Founding anew with a running node: it makes the new ledger's store beside its own, and goes on with the old one.

Source: docs/spec/finality.md#the-document
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tallystick.node.clock import now_ms
from tallystick.node.errors import StoreError
from tallystick.node.refounding import refound

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.service import Node
    from tallystick.node.service_args import RefoundArgs


async def found_anew(node: Node, args: RefoundArgs, key: SecretKey | None) -> Any:
    """`re-found`: the next step with a document. Raises what `refound` raises."""
    if node.read_only is not None:
        raise node.read_only
    try:
        answer = refound(node.home, node.core, msgspec.structs.asdict(args), key or node.held, now_ms())
    except StoreError as error:
        node.disk_failed(error)
        raise
    node.perform(node.core.effects())
    return answer
