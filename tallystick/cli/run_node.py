"""Where the event loop begins. The only module of the command line from which trio and libp2p are reached."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallystick.cli import output

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home


def run(home: Home, prefix: str | None, options: Options, *, listen: Sequence[str], peers: Sequence[str]) -> int:
    """Run the node until somebody stops it. Raises HomeError, StoreError, ListenError."""
    import trio

    from tallystick.node.service import run_node

    _log_to_stderr(options)
    done: list[Any] = []

    def ready(node: Any) -> None:
        addresses = list(node.core.sync.addresses)
        if options.json:
            output.result_json({"ledger": node.core.ledger.id.hex(), "addresses": addresses})
        else:
            output.result("\n".join(("the node runs; others reach it at", *(f"  {each}" for each in addresses))))
            output.note(options, "Ctrl-C stops it")
        sys.stdout.flush()
        done.append(node)

    trio.run(_run, run_node, home, prefix, tuple(listen), tuple(peers), ready)
    return 0


async def _run(
    run_node: Any, home: Home, prefix: str | None, listen: Sequence[str], peers: Sequence[str], ready: Any
) -> None:
    await run_node(home, prefix, listen=listen or None, peers=peers, ready=ready)


def sync_once(home: Home, prefix: str | None, address: str | None) -> dict[str, Any]:
    """Meet the others once, without a running node. Raises UnreachableError, HomeError, StoreError."""
    import trio

    from tallystick.node import service

    return trio.run(service.sync_once, home, prefix, address)


def _log_to_stderr(options: Options) -> None:
    level = logging.ERROR if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    root = logging.getLogger("tallystick")
    root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False
