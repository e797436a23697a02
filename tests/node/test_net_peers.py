"""What waits to be sent to all peers of one node together, over real connections that nobody reads."""

from __future__ import annotations

import trio

from tallystick.node.transport import TransportLimits
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.support.transports import ANA, BO, all_running, connect, eventually, in_trio


def node(seed: bytes, limits: TransportLimits | None = None) -> Libp2pTransport:
    return Libp2pTransport(seed, listen=("/ip4/127.0.0.1/tcp/0",), limits=limits)


@in_trio
async def test_a_crowd_that_reads_nothing_leaves_room_for_others() -> None:
    """So much waits to be sent to all; whoever answers for most of it loses a connection, and what is queued there."""
    limits = TransportLimits(outboxes_bytes=2 * 1024 * 1024)
    ana, bo = node(ANA, limits), node(BO)
    crowd = [node(bytes([number]) * 32) for number in range(1, 6)]
    owners = {each.peer_key: b"mal" for each in crowd}
    ana.set_owner(lambda peer: owners.get(peer, peer))
    async with all_running(ana, bo, *crowd):
        for each in (bo, *crowd):
            await connect(each, ana)

        def fill(peer: bytes, size: int) -> None:
            while (link := ana._peers.links.get(peer)) is not None and ana.queued_bytes(peer) < size:
                if not ana.send(peer, bytes(100_000)):
                    assert link.dropped
                    return

        # What nobody reads fills the credit of one mebibyte first.
        fill(bo.peer_key, 1024 * 1024)
        await eventually(lambda: ana.queued_bytes(bo.peer_key) < 200_000)
        fill(bo.peer_key, 900_000)
        for _ in range(3):
            for each in crowd:
                fill(each.peer_key, 1_600_000)
                assert sum(map(ana.queued_bytes, ana.peers())) <= limits.outboxes_bytes
            await trio.sleep(0.01)
        assert bo.peer_key in ana.peers()
        assert len(ana.peers()) < 1 + len(crowd)
        assert ana._peers._queued.size_bytes == sum(map(ana.queued_bytes, ana.peers()))
        for peer in ana.peers():
            ana.disconnect(peer)
        assert ana._peers._queued.size_bytes == 0
