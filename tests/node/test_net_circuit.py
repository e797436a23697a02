"""Circuits through a third node: the seventh defect of py-libp2p (G), and what members of bad will can do with them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.relay.circuit_v2.config import RelayConfig, RelayRole
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, PeerId, Status, StopMessage
from libp2p.relay.circuit_v2.protocol import CircuitV2Protocol
from libp2p.relay.circuit_v2.resources import RelayLimits
from libp2p.relay.circuit_v2.transport import CircuitV2Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from tallystick.node import net_circuit
from tallystick.node.net_circuit import CIRCUITS_EACH_MAX, HOP, PAIR_MAX, STOP
from tallystick.node.net_framing import encode_uvarint
from tallystick.node.net_line import Line
from tallystick.node.net_streams import open_stream, reset
from tallystick.node.transport import DialError, DialReason, Frame, PeerDown, PeerUp, TransportLimits
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.support.proxy import proxied
from tests.support.transports import (
    ANA,
    BO,
    CY,
    DIAL_S,
    all_running,
    connect,
    connect_through,
    eventually,
    in_trio,
    next_of,
    refused,
)

ECHO = TProtocol("/echo/1")
LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)
DORA = b"d" * 32

logging.getLogger("libp2p").setLevel(logging.CRITICAL)


def ours(seed: bytes, limits: TransportLimits | None = None) -> Libp2pTransport:
    return Libp2pTransport(seed, listen=LOOPBACK, limits=limits)


# -- G: the end of one circuit of a peer closes its others --


class Stock:
    """A host of the library with its own relay, as it comes; only its limits are not those of zero."""

    LIMITS = RelayLimits(duration=3600, data=1 << 40, max_circuit_conns=64, max_reservations=64)

    def __init__(self, seed: bytes, *, between: bool = False) -> None:
        self.host = new_host(key_pair=create_new_key_pair(seed))
        self.host.set_stream_handler(ECHO, self._echo)
        self._circuits = CircuitV2Protocol(self.host, self.LIMITS, allow_hop=between)
        role = RelayRole.STOP | (RelayRole.HOP if between else RelayRole(0))
        self._dialler = CircuitV2Transport(self.host, self._circuits, RelayConfig(roles=role, limits=self.LIMITS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self.host.run([Multiaddr(LOOPBACK[0])]), background_trio_service(self._circuits):
            await self._circuits.event_started.wait()
            try:
                yield
            finally:
                with trio.move_on_after(2) as scope:
                    scope.shield = True
                    await self.host.close()

    @staticmethod
    async def _echo(stream: Any) -> None:
        try:
            while True:
                await stream.write(await stream.read(64))
        except Exception:
            await stream.reset()

    async def meet(self, between: Stock) -> None:
        """Connect to the node between, and reserve there."""
        port = int(between.host.get_transport_addrs()[0].value_for_protocol("tcp"))
        relay = between.host.get_id()
        await self.host.get_network().dial_addr(Multiaddr(f"/ip4/127.0.0.1/tcp/{port}"), relay)
        stream = await self.host.new_stream(relay, [HOP])
        assert await self._dialler._make_reservation(stream, relay)
        await stream.close()

    async def through(self, between: Stock, other: Stock) -> Any:
        """A connection to another through the node between."""
        return await self._dialler.dial(
            Multiaddr(f"/p2p/{between.host.get_id()}/p2p-circuit/p2p/{other.host.get_id()}")
        )

    async def talk(self, other: Stock) -> Any:
        return await self.host.new_stream(other.host.get_id(), [ECHO])


async def is_answered(stream: Any) -> bool:
    try:
        with trio.fail_after(1.5):
            await stream.write(b"hello")
            return bytes(await stream.read(5)) == b"hello"
    except Exception:
        return False


@in_trio
async def test_g_stock_relay_ends_all_circuits_of_a_peer_with_one() -> None:
    """Ana and Dora talk to Cy through a stock relay. Ana hangs up, and Dora's talk is over too."""
    bo, ana, cy, dora = Stock(BO, between=True), Stock(ANA), Stock(CY), Stock(DORA)
    async with AsyncExitStack() as stack:
        for each in (bo, ana, cy, dora):
            await stack.enter_async_context(each.running())
        for each in (cy, ana, dora):
            await each.meet(bo)
        circuit = await ana.through(bo, cy)
        hers = await ana.talk(cy)
        await dora.through(bo, cy)
        theirs = await dora.talk(cy)
        assert await is_answered(hers) and await is_answered(theirs)
        await circuit.close()
        with trio.fail_after(8):
            while await is_answered(theirs):
                await trio.lowlevel.checkpoint()


def line_of(one: Libp2pTransport, other: Libp2pTransport) -> Line:
    link = one._peers.links.get(other.peer_key)
    assert link is not None
    return link.line


@in_trio
async def test_g_ours_ends_one_and_no_other() -> None:
    """Ana's circuit ends in every way there is, over and over, and Dora goes on talking to Cy."""
    bo, ana, cy, dora = ours(BO), ours(ANA), ours(CY), ours(DORA)
    async with all_running(ana, bo, cy, dora):
        for each in (ana, cy, dora):
            await connect(each, bo)
        await connect_through(bo, dora, cy)
        for ending in (
            lambda: ana.disconnect(cy.peer_key),
            lambda: ana.disconnect(cy.peer_key, b"bye"),
            lambda: cy.disconnect(ana.peer_key),
            lambda: line_of(ana, cy).abort(),
            lambda: ana.disconnect(bo.peer_key),
        ):
            await connect_through(bo, ana, cy)
            ending()
            assert (await next_of(cy, PeerDown)).peer == ana.peer_key
            for one, other in ((dora, cy), (cy, dora)):
                assert one.send(other.peer_key, b"still here")
                while (frame := await next_of(other, Frame)).data == b"bye":
                    continue
                assert frame == Frame(peer=one.peer_key, data=b"still here")
        assert (await next_of(bo, PeerDown)).peer == ana.peer_key
        await eventually(lambda: bo._peers.circuits.carried == 1)


@in_trio
async def test_g_ours_cancels_no_write_on_a_line_that_others_use() -> None:
    """A circuit is given up while the way to the node between is blocked: that way is still there afterwards.

    Cancelled in the middle, the write would have ruined the connection for all that goes over it.
    """
    bo, ana, cy = ours(BO), ours(ANA), ours(CY)
    async with all_running(ana, bo, cy):
        port = int(bo.addresses()[0].split("/")[4])
        async with proxied(port) as proxy:
            await ana.dial(bo.addresses()[0].replace(f"/{port}/", f"/{proxy.port}/"), DIAL_S)
            await next_of(ana, PeerUp)
            await next_of(bo, PeerUp)
            await connect(cy, bo)
            await connect_through(bo, ana, cy)
            proxy.off()
            # More than the system takes, and more than the circuit's window.
            while ana.send(cy.peer_key, bytes(200_000)):
                continue
            await trio.sleep(0.2)
            ana.disconnect(cy.peer_key)
            assert (await next_of(ana, PeerDown)).peer == cy.peer_key
            await trio.sleep(0.2)
            proxy.on()
            assert ana.send(bo.peer_key, b"still here")
            assert await next_of(bo, Frame) == Frame(peer=ana.peer_key, data=b"still here")
            assert ana.peers() == [bo.peer_key]


# -- what it carries, and for whom --


@in_trio
async def test_node_between_sees_no_plain_text() -> None:
    """What goes through is sealed from end to end: the words of a frame are nowhere in the bytes that Bo passes on."""
    bo, ana, cy = ours(BO), ours(ANA), ours(CY)
    seen = bytearray()
    async with all_running(ana, bo, cy):
        await connect(ana, bo)
        await connect(cy, bo)
        carry = net_circuit._carry

        async def spying(one: Any, other: Any) -> None:
            for each in (one, other):
                read = each.read

                async def noted(n: int, read: Any = read) -> bytes:
                    data = bytes(await read(n))
                    seen.extend(data)
                    return data

                each.read = noted
            await carry(one, other)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(net_circuit, "_carry", spying)
            await connect_through(bo, ana, cy)
        secret = b"nobody between reads this" * 40
        assert ana.send(cy.peer_key, secret)
        assert (await next_of(cy, Frame)).data == secret
    assert len(seen) > len(secret) and secret[:25] not in seen


@in_trio
async def test_circuits_of_one_peer_are_bounded() -> None:
    """Who has as many as it may gets no more, and the others are not concerned; an ended one makes room."""
    bo, cy, dora = ours(BO), ours(CY), ours(DORA)
    others = [ours(bytes([number]) * 32) for number in range(1, CIRCUITS_EACH_MAX + 2)]
    async with all_running(bo, cy, dora, *others):
        for each in (cy, dora, *others):
            await each.dial(bo.addresses()[0], DIAL_S)
        for each in others[:-1]:
            await each.dial_through(bo.peer_key, cy.peer_key, DIAL_S)
        late = others[-1]
        assert await refused(late.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.NO_RELAY
        await late.dial_through(bo.peer_key, dora.peer_key, DIAL_S)
        others[0].disconnect(cy.peer_key)
        await eventually(lambda: bo._peers.circuits.carried == CIRCUITS_EACH_MAX)
        await late.dial_through(bo.peer_key, cy.peer_key, DIAL_S)
        assert bo._peers.circuits.carried == CIRCUITS_EACH_MAX + 1


async def ask(one: Libp2pTransport, other: Libp2pTransport, protocol: TProtocol, data: bytes) -> bytes:
    """Open a stream of relaying, write to it, and return what comes until it ends."""
    link, net = one._peers.links.get(other.peer_key), one._peers.net
    assert link is not None and net is not None
    stream = await open_stream(net.host, link, protocol, DIAL_S)
    answer = b""
    try:
        await stream.write(data)
        while more := bytes(await stream.read(1024)):
            answer += more
    except net_circuit.BROKEN:
        await reset(stream)
    return answer


def framed(message: Any) -> bytes:
    data = message.SerializeToString()
    return encode_uvarint(len(data)) + data


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (framed(HopMessage(type=HopMessage.RESERVE)), Status.RESERVATION_REFUSED),
        (framed(HopMessage(type=HopMessage.STATUS)), Status.UNEXPECTED_MESSAGE),
        (framed(HopMessage(type=HopMessage.CONNECT)), Status.MALFORMED_MESSAGE),
        (framed(HopMessage(type=HopMessage.CONNECT, peer=PeerId(id=b"\x00\x24\x08\x01"))), Status.MALFORMED_MESSAGE),
        (framed(HopMessage(type=HopMessage.CONNECT, peer=PeerId(id=bytes(600)))), Status.MALFORMED_MESSAGE),
        (b"\x03\xff\xff\xff", None),
        (b"\xff\xff\xff\xff\xff\xff", None),
        (b"\x80\x40" + bytes(10_000), None),
    ],
)
@in_trio
async def test_nonsense_is_answered_in_a_word_or_not_at_all(data: bytes, status: int | None) -> None:
    """Whatever a member writes on such a stream, it ends that stream and nothing else."""
    bo, ana = ours(BO), ours(ANA)
    async with all_running(ana, bo):
        await connect(ana, bo)
        answer = await ask(ana, bo, HOP, data)
        if status is None:
            assert answer == b""
        else:
            assert HopMessage.FromString(answer[1:]).status == status
        if status is None:
            assert await ask(ana, bo, STOP, data) == b""
        assert ana.send(bo.peer_key, b"still here")
        assert (await next_of(bo, Frame)).data == b"still here"
        assert bo._peers.circuits.carried == 0


@in_trio
async def test_false_far_end_is_found_out() -> None:
    """A node between that gives out itself, or nothing, for the other has no proof of the other's key."""
    bo, ana, cy = ours(BO, TransportLimits(session_s=1)), ours(ANA, TransportLimits(session_s=1)), ours(CY)
    async with all_running(ana, bo, cy):
        await connect(ana, bo)
        net = bo._peers.net
        assert net is not None

        async def pretend(stream: Any) -> None:
            await net_circuit._read(stream, HopMessage)
            await net_circuit._write(stream, HopMessage(type=HopMessage.STATUS, status=Status.OK))
            line = net_circuit.CircuitLine(stream, where="", allowance=1 << 16)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run)
                await bo._peers.take(line)

        net.host.set_stream_handler(HOP, pretend)
        assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, DIAL_S)) == DialReason.WRONG_PEER

        async def mute(stream: Any) -> None:
            await net_circuit._read(stream, HopMessage)
            await net_circuit._write(stream, HopMessage(type=HopMessage.STATUS, status=Status.OK))
            await trio.sleep_forever()

        net.host.set_stream_handler(HOP, mute)
        assert await refused(ana.dial_through(bo.peer_key, cy.peer_key, 1.5)) in (
            DialReason.NOT_ADMITTED,
            DialReason.TIMEOUT,
        )
        assert ana.peers() == [bo.peer_key]


@in_trio
async def test_stop_from_nowhere_ends_by_itself() -> None:
    """A node between that offers a circuit behind which nobody speaks takes one place, and not for ever."""
    limits = TransportLimits(session_s=0.5, stranger_s=0.5)
    bo, ana = ours(BO), ours(ANA, limits)
    async with all_running(ana, bo):
        await connect(ana, bo)
        offer = framed(StopMessage(type=StopMessage.CONNECT, peer=PeerId(id=b"\x00")))
        answer = await ask(bo, ana, STOP, offer)
        size = answer[0]
        assert StopMessage.FromString(answer[1 : 1 + size]).status == Status.OK
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None
        await eventually(lambda: link.circuits == 0)
        assert ana.peers() == [bo.peer_key]


@in_trio
async def test_nobody_takes_all_places_by_which_another_is_reached() -> None:
    """Mal's two devices ask for circuits to Cy without end and say nothing in them: others reach Cy all the same."""
    bo, cy, dora = ours(BO), ours(CY), ours(DORA)
    mals = [ours(bytes([number]) * 32) for number in (1, 2)]
    owners = {each.peer_key: b"mal" for each in mals}
    bo.set_owner(lambda peer: owners.get(peer, peer))
    async with all_running(bo, cy, dora, *mals):
        for each in (cy, dora, *mals):
            await each.dial(bo.addresses()[0], DIAL_S)
        lines = []
        for _ in range(CIRCUITS_EACH_MAX):
            for mal in mals:
                net = mal._peers.net
                assert net is not None
                with suppress(DialError), trio.fail_after(DIAL_S):
                    lines.append(await mal._peers.circuits.dial(bo.peer_key, cy.peer_key, net))
        assert len(lines) == PAIR_MAX == bo._peers.circuits.carried
        await dora.dial_through(bo.peer_key, cy.peer_key, DIAL_S)
        # What has ended makes room, and is not remembered.
        for line in lines:
            line.abort()
        await eventually(lambda: bo._peers.circuits.carried == 1)
        assert list(bo._peers.circuits._asked) == [(dora.peer_key, cy.peer_key)]
