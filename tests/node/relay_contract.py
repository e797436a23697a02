"""What every transport does for two nodes that only a third can reach, whatever it stands on."""

from __future__ import annotations

import trio

from tallystick.node.net_address import peer_id
from tallystick.node.transport import (
    FRAME_BYTES_MAX,
    DialReason,
    Frame,
    Gossip,
    PeerDown,
    PeerUp,
)
from tests.support.transports import (
    ANA,
    BO,
    CY,
    DIAL_S,
    Network,
    all_running,
    connect,
    connect_through,
    in_trio,
    next_of,
    refused,
)


class RelayContract:
    """Tests of a `network` fixture: Ana and Cy are both connected to Bo."""

    @in_trio
    async def test_frames_go_both_ways(self, network: Network) -> None:
        """A connection through a third node carries whole frames of every size, in order."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            await connect_through(bo, ana, cy)
            frames = [bytes([number]) * size for number, size in enumerate([1, 127, 65_535, FRAME_BYTES_MAX])]
            for one, other in ((ana, cy), (cy, ana)):
                for frame in frames:
                    assert one.send(other.peer_key, frame)
                for frame in frames:
                    assert await next_of(other, Frame) == Frame(peer=one.peer_key, data=frame)
            assert ana.peers() == sorted([bo.peer_key, cy.peer_key])
            await ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)
            await cy.dial_through(bo.peer_key, ana.peer_key, DIAL_S)

    @in_trio
    async def test_dial_through_says_why_it_failed(self, network: Network) -> None:
        """Each way of failing has its word; who is between may refuse, and nothing is passed on twice."""
        ana, bo, cy = network.transport(ANA), network.transport(BO, relays=False), network.transport(CY)
        async with all_running(ana, bo, cy):
            assert await refused(ana.dial_through(bo.peer_key, ana.peer_key, DIAL_S)) == DialReason.SELF
            assert await refused(ana.dial_through(bo.peer_key, bytes(32), DIAL_S)) == DialReason.NOT_ALLOWED
            assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.NO_RELAY
            await connect(ana, bo)
            assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.NO_RELAY
            await connect(cy, bo)
            assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.NO_RELAY
        assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.CLOSED

    @in_trio
    async def test_gate_holds_through_a_third(self, network: Network) -> None:
        """Who is no member for the far end gets no stream, whoever is between; and we ask our own gate first."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            cy.set_gate(lambda peer: peer == bo.peer_key)
            assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.NOT_ADMITTED
            assert await refused(cy.dial_through(bo.peer_key, ana.peer_key, DIAL_S)) == DialReason.NOT_ALLOWED
            assert ana.peers() == cy.peers() == [bo.peer_key]

    @in_trio
    async def test_direct_connection_takes_over(self, network: Network) -> None:
        """Once the other can be dialled, the way round is given up; a dial through a third then changes nothing."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            await connect_through(bo, ana, cy)
            await ana.dial(cy.addresses()[0], DIAL_S)
            for here, there in ((ana, cy), (cy, ana)):
                assert (await next_of(here, PeerDown)).peer == there.peer_key
                up = await next_of(here, PeerUp)
                assert (up.peer, up.relayed) == (there.peer_key, False)
            for here, there in ((ana, cy), (cy, ana)):
                await here.dial_through(bo.peer_key, there.peer_key, DIAL_S)
                assert here.send(there.peer_key, b"direct")
                assert (await there.events.receive()) == Frame(peer=here.peer_key, data=b"direct")

    @in_trio
    async def test_end_of_the_node_between_ends_it(self, network: Network) -> None:
        """Both ends hear of it; a new one is there as soon as the node between is."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, cy):
            for each in (ana, cy):
                each.set_gate({ana.peer_key, bo.peer_key, cy.peer_key}.__contains__)
            bo.set_gate(lambda _peer: True)
            async with bo.running():
                await ana.dial(bo.addresses()[0], DIAL_S)
                await cy.dial(bo.addresses()[0], DIAL_S)
                for each in (ana, cy):
                    await next_of(each, PeerUp)
                await connect_through(bo, ana, cy)
            for each in (ana, cy):
                down = {(await next_of(each, PeerDown)).peer for _ in range(2)}
                assert down == {ana.peer_key, bo.peer_key, cy.peer_key} - {each.peer_key}
                assert each.peers() == []

    @in_trio
    async def test_one_circuit_ends_and_no_other(self, network: Network) -> None:
        """Each circuit of a peer is apart: hanging up on one leaves the others, and the way to the node between."""
        ana, bo, cy, dora, eli = (network.transport(bytes([number]) * 32) for number in range(1, 6))
        others = (ana, dora, eli)
        async with all_running(ana, bo, cy, dora, eli):
            for each in (*others, cy):
                await connect(each, bo)
            for each in others:
                await connect_through(bo, each, cy)
            await connect_through(bo, ana, dora)
            ana.disconnect(cy.peer_key)
            assert (await next_of(cy, PeerDown)).peer == ana.peer_key
            for one, other in ((dora, cy), (cy, dora), (eli, cy), (ana, dora), (ana, bo), (cy, bo)):
                assert one.send(other.peer_key, b"still here")
                while (frame := await next_of(other, Frame)).peer != one.peer_key:
                    continue
                assert frame.data == b"still here"

    @in_trio
    async def test_gossip_and_knocks_go_through(self, network: Network) -> None:
        """A connection through a third node serves for all that any other serves for."""
        ana, bo, cy = (network.transport(seed, topic="tea" if seed != BO else None) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            await connect_through(bo, ana, cy)

            async def answer(peer: bytes, data: bytes) -> bytes | None:
                return peer_id(peer).encode() + data

            cy.set_knock_handler(answer)
            assert await ana.request(cy.peer_key, b"?", DIAL_S) == peer_id(ana.peer_key).encode() + b"?"
            async with trio.open_nursery() as nursery:

                async def publish() -> None:
                    while True:
                        ana.publish(b"news")
                        await trio.sleep(0.1)

                nursery.start_soon(publish)
                assert (await next_of(cy, Gossip)).author == ana.peer_key
                nursery.cancel_scope.cancel()
