"""What a running node does to look after itself when a person asks: check the whole ledger, and this computer's part.

Source: docs/spec/api.md, docs/spec/storage.md#verify
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tallystick.node.clock import now_ms

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.service import Node
    from tallystick.node.service_args import VerifyArgs


async def verify(node: Node, args: VerifyArgs, key: SecretKey | None) -> Any:
    """`verify`: the ledger as it lies on the disk at this moment, recomputed beside the loop."""
    from tallystick.node.verify import verify as recompute

    return await node.aside.run(lambda archive, _ledger, _loose: recompute(archive))


async def doctor(node: Node, args: ReadArgs, key: SecretKey | None) -> Any:
    """`doctor`: every check, with whether all is well with it."""
    from tallystick.node.doctor import doctor as examine

    status = await node.do("GET", "status", {}, None)
    return await trio.to_thread.run_sync(lambda: examine(node.home, now=now_ms(), status=status))
