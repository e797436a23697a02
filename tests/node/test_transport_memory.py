"""The transport in memory: the contract, and what its network can do to it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tallystick.node.transport import DialReason, Frame, PeerDown, Resumed, Transport
from tallystick.node.transport_memory import MemoryNetwork
from tests.node.relay_contract import RelayContract
from tests.node.transport_contract import TransportContract
from tests.support.transports import (
    ANA,
    BO,
    DIAL_S,
    all_running,
    connect,
    in_trio,
    next_of,
    refused,
)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


class TestContract(TransportContract):
    """A transport in memory is a transport."""


class TestRelayContract(RelayContract):
    """Two transports in memory reach each other through a third."""


def test_cut_line_times_out_until_it_is_healed(network: MemoryNetwork) -> None:
    """A cut ends the connection on both sides; dials time out; after healing they work."""

    async def main() -> None:
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            network.cut(ana, bo)
            await next_of(ana, PeerDown)
            await next_of(bo, PeerDown)
            assert await refused(bo.dial(ana.addresses()[0], 3600)) == DialReason.TIMEOUT
            assert await refused(ana.request(bo.addresses()[0], b"?", 3600)) == DialReason.TIMEOUT
            network.heal(ana, bo)
            await connect(bo, ana)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@in_trio
async def test_sleep_is_told(network: MemoryNetwork) -> None:
    """Who slept hears it after the end of its connections."""
    ana, bo = network.transport(ANA), network.transport(BO)
    async with all_running(ana, bo):
        await connect(ana, bo)
        ana.slept(90_000)
        assert isinstance(await ana.events.receive(), PeerDown | Resumed)
        assert isinstance(await ana.events.receive(), PeerDown | Resumed)
        assert ana.peers() == bo.peers() == []


@in_trio
async def test_order_of_events_is_the_order_of_calls(network: MemoryNetwork) -> None:
    """What one sends is there before the call returns, so a run can be repeated exactly."""
    ana, bo = network.transport(ANA), network.transport(BO)
    async with all_running(ana, bo):
        await connect(ana, bo)
        for number in range(10):
            assert ana.send(bo.peer_key, bytes([number]))
            assert bo.events.receive_nowait() == Frame(peer=ana.peer_key, data=bytes([number]))


def test_is_a_transport(network: MemoryNetwork) -> None:
    """The type checker agrees that it has every method of the contract."""
    transport: Transport = network.transport(ANA)
    assert len(transport.peer_key) == 32
    assert DIAL_S > 0
