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


@in_trio
async def test_nobody_is_dropped_for_what_waits_nowhere() -> None:
    """Where the count of all that waits is wrong it is made anew; only what really waits costs somebody its place."""
    limits = TransportLimits(outboxes_bytes=2 * 1024 * 1024)
    ana, bo, cy = node(ANA, limits), node(BO), node(bytes([3]) * 32)
    async with all_running(ana, bo, cy):
        for each in (bo, cy):
            await connect(each, ana)
        # As of a session that none of the links knows any more.
        ana._peers._queued.size_bytes += 10 * limits.outboxes_bytes
        assert ana.send(bo.peer_key, bytes(1000))
        assert set(ana.peers()) == {bo.peer_key, cy.peer_key}
        assert ana._peers._queued.size_bytes == sum(map(ana.queued_bytes, ana.peers()))
        # It is bounded all the same, and ends with whoever has most.
        while (link := ana._peers.links.get(cy.peer_key)) is not None:
            ana._peers._queued.size_bytes += limits.outboxes_bytes // 4
            if not ana.send(cy.peer_key, bytes(100_000)):
                assert link.dropped
                break
        assert ana.peers() == [bo.peer_key]
        assert ana._peers._queued.size_bytes == ana.queued_bytes(bo.peer_key)


@in_trio
async def test_a_session_that_has_ended_leaves_nothing_behind() -> None:
    """What waited there is counted no more, also where its link was dropped without it."""
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        await connect(bo, ana)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None and link.session is not None
        for _ in range(20):
            ana.send(bo.peer_key, bytes(100_000))
        session, link.session = link.session, None
        assert session.queued_bytes > 0
        link.drop("for this test")
        await eventually(lambda: ana._peers._queued.size_bytes == 0)
        assert session.queued_bytes == 0
