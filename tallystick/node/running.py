"""A node on this machine from its home: opened with all that it needs, run until it is stopped, closed again.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import self_test
from tallystick.node import api
from tallystick.node.archive import Archive
from tallystick.node.collector import collecting_rarely
from tallystick.node.net_address import peer_id
from tallystick.node.service import Node

if TYPE_CHECKING:
    from tallystick.node.home import Home
    from tallystick.node.view import CatchingUpFact

log = logging.getLogger("tallystick.node")


@asynccontextmanager
async def open_node(
    home: Home,
    prefix: str | None,
    *,
    listen: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    mdns: bool = True,
) -> AsyncIterator[Node]:
    """Open a ledger with its transport and run it. Raises HomeError, StoreError, ListenError, SignatureError."""
    from dataclasses import replace

    from tallystick.node.transport_libp2p import Libp2pTransport

    self_test()
    config = home.read_config()
    config = replace(config, listen=config.listen if listen is None else tuple(listen), peers=(*config.peers, *peers))
    config = replace(config, mdns=config.mdns and mdns)
    lock = home.lock_run()
    try:
        ledger_id = home.choose_ledger(prefix or config.ledger)
        store = home.open_store(ledger_id, wait_s=5.0)
        try:
            archive = Archive(store, home.open_blobs(ledger_id))
            topic = tagged_hash("gossip", archive.ledger_id()).hex()[:32]
            transport = Libp2pTransport(
                home.read_node_key(),
                listen=config.listen,
                announce=config.announce,
                topic=topic,
                relays=config.relay,
            )
            node = Node(home, archive, transport, config)
            with collecting_rarely():
                async with node.running():
                    yield node
        finally:
            store.close()
    finally:
        lock.release()


async def run_node(
    home: Home,
    prefix: str | None,
    *,
    listen: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    mdns: bool = True,
    ready: Any = None,
) -> None:
    """Run a node with its local interface until SIGINT, SIGTERM or `tally stop`. `ready(node)` is called once."""
    async with open_node(home, prefix, listen=listen, peers=peers, mdns=mdns) as node:
        doors = api.open_doors(home, node.config.api_port)
        try:
            async with trio.open_nursery() as nursery:
                for listener, door in doors:
                    nursery.start_soon(api.serve, listener, node.do, door)
                nursery.start_soon(_until_signal, node.stopping)
                if ready is not None:
                    ready(node)
                log.info("node %s runs", peer_id(node.node_key.public))
                await node.stopping.wait()
                # The answer to `stop` is still on its way.
                await trio.sleep(0.05)
                nursery.cancel_scope.cancel()
        finally:
            for path in (home.socket_path(), home.api_path()):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            for listener, _ in doors:
                listener.close()
    log.info("stopped")


async def _until_signal(stopping: trio.Event) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            log.info("stopping on %s", signal.Signals(number).name)
            stopping.set()
            return


async def sync_once(
    home: Home,
    prefix: str | None,
    address: str | None,
    told: Callable[[CatchingUpFact | None], None] | None = None,
) -> dict[str, Any]:
    """Without a running node: meet the others once, and return. Raises UnreachableError, HomeError, StoreError."""
    # It is gone before anybody could dial it, so it listens nowhere and tells no address.
    async with open_node(home, prefix, listen=()) as node:
        return await node.sync(address, told)
