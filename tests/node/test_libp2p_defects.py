"""Each defect of py-libp2p as it comes, shown on the library itself, and its absence in our transport.

A test of the first kind that fails after an upgrade of the library says that a repair may no longer be needed.

    A  everybody can claim any key            D  a peer that has fallen silent is never noticed
    B  inbound connections keep their slot    E  gossip dies after a stale reconnect
    C  a cancelled write ruins a connection   F  one error in a handler ends the node

A seventh, G, a relay that ends all circuits of a peer when one ends, is in `test_net_circuit`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio
import trio.testing
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair, PrivateKey
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from tallystick.node.net_address import peer_id
from tallystick.node.transport import DialError, Frame, Gossip, PeerDown, PeerUp, TransportLimits
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.support.proxy import proxied
from tests.support.transports import (
    ANA,
    BO,
    CY,
    DIAL_S,
    all_running,
    connect,
    eventually,
    in_trio,
    next_of,
)

ECHO = TProtocol("/echo/1")
LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)
SHORT = TransportLimits(watch_every_s=0.1, ping_every_s=0.2, silent_s=0.5)
"""Times of a person's laptop, shortened for a test."""

logging.getLogger("libp2p").setLevel(logging.CRITICAL)


def stock(seed: bytes, **options: Any) -> Any:
    """Return a host as the library makes it."""
    return new_host(key_pair=create_new_key_pair(seed), **options)


@asynccontextmanager
async def listening(host: Any) -> AsyncIterator[int]:
    """Run a host of the library, and give its port."""
    async with host.run([Multiaddr(LOOPBACK[0])]):
        try:
            yield int(host.get_transport_addrs()[0].value_for_protocol("tcp"))
        finally:
            with trio.move_on_after(2) as scope:
                scope.shield = True
                await host.close()


async def dial(host: Any, port: int, other: Any) -> Any:
    """Connect one host of the library to another."""
    return await host.get_network().dial_addr(Multiaddr(f"/ip4/127.0.0.1/tcp/{port}"), other.get_id())


async def echo(stream: Any) -> None:
    await stream.write(await stream.read(1024))
    await stream.close()


async def is_answered(host: Any, other: Any, within_s: float = 2.0) -> bool:
    """Whether a host of the library gets an echo from another."""
    try:
        with trio.fail_after(within_s):
            stream = await host.new_stream(other.get_id(), [ECHO])
            await stream.write(b"hello")
            return bytes(await stream.read(5)) == b"hello"
    except Exception:
        return False


def ours(seed: bytes, limits: TransportLimits | None = None, topic: str | None = None) -> Libp2pTransport:
    """Return our transport on loopback."""
    return Libp2pTransport(seed, listen=LOOPBACK, limits=limits, topic=topic)


def port_of(transport: Libp2pTransport) -> int:
    return int(transport.addresses()[0].split("/")[4])


def behind(port: int, transport: Libp2pTransport) -> str:
    """Return the address of a transport by way of a proxy."""
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(transport.peer_key)}"


# -- A: everybody can claim any key, because plaintext is offered too --


class NoSecret:
    """Stands where a private key belongs, and holds the public key of somebody else."""

    def __init__(self, public: Any) -> None:
        self._public = public

    def get_public_key(self) -> Any:
        return self._public


def impostor() -> Any:
    """Return a host that knows only the public key of ana, and claims to be her."""
    public = create_new_key_pair(ANA).public_key
    keys = KeyPair(cast("PrivateKey", NoSecret(public)), public)
    return stock(CY, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)})


@in_trio
async def test_a_stock_host_believes_an_impostor() -> None:
    """The library's own host takes a peer without ana's secret for ana."""
    victim, attacker = stock(BO), impostor()
    victim.set_stream_handler(ECHO, echo)
    async with listening(victim) as port, listening(attacker):
        await dial(attacker, port, victim)
        assert await is_answered(attacker, victim)
        assert [each.muxed_conn.peer_id for each in victim.get_network().get_connections()] == [
            ID.from_pubkey(create_new_key_pair(ANA).public_key)
        ]


@in_trio
async def test_a_ours_does_not() -> None:
    """Ours knows no handshake but Noise: the impostor's connection ends before there is a peer."""
    bo, attacker = ours(BO), impostor()
    bo.set_gate(lambda _peer: True)
    async with bo.running(), listening(attacker):
        victim = ID.from_base58(peer_id(bo.peer_key))
        with pytest.raises(Exception, match="security"):
            await attacker.get_network().dial_addr(Multiaddr(bo.addresses()[0]), victim)
        assert len(bo._peers.links) == 0 and bo.peers() == []


# -- B: inbound connections keep their slot for life --


@in_trio
async def test_b_stock_host_refuses_everybody_after_some_connections() -> None:
    """After as many connections as may be open at once, all of them closed again, nobody gets in."""
    slots = 4
    config = ConnectionConfig(max_connections=slots, min_connections=0, low_watermark=0, high_watermark=slots)
    bo, ana = stock(BO, connection_config=config), stock(ANA)
    bo.set_stream_handler(ECHO, echo)
    async with listening(bo) as port, listening(ana):
        for _ in range(slots):
            await dial(ana, port, bo)
            assert await is_answered(ana, bo)
            await ana.disconnect(bo.get_id())
            await eventually(lambda: not bo.get_network().get_connections())
        with trio.move_on_after(2) as scope, pytest.raises(Exception):  # noqa: B017, PT011
            await dial(ana, port, bo)
        assert not scope.cancelled_caught
        assert bo.get_network()._inbound_limiter.borrowed_tokens == slots


@in_trio
async def test_b_ours_lets_them_in_for_ever() -> None:
    """Three hundred connections one after the other, where four may be open, leave nothing behind."""
    bo, ana = ours(BO, TransportLimits(connections_max=4)), ours(ANA)
    async with all_running(ana, bo):
        for _ in range(300):
            await ana.dial(bo.addresses()[0], DIAL_S)
            await next_of(bo, PeerUp)
            ana.disconnect(bo.peer_key)
            await next_of(bo, PeerDown)
        net = bo._peers.net
        assert net is not None
        await net.swarm.wait_empty()
        await eventually(lambda: net.swarm._inbound_limiter.borrowed_tokens == 0)
        assert len(bo._peers.links) == len(ana._peers.links) == len(bo._peers._unproven) == 0
        await connect(ana, bo)


# -- C: a cancelled write ruins the connection --


def small_send_buffer(conn: Any) -> None:
    """Let the system take little, so that a write that nobody reads soon waits in the middle of a message."""
    line = conn.muxed_conn.secured_conn.conn.read_writer.read_write_closer.stream
    stream = getattr(line, "_stream", None) or line.stream
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * 1024)


async def cancel_writes(streams: list[Any]) -> None:
    """Write more than fits to several streams, and give up."""
    with trio.move_on_after(0.3):
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(stream.write, bytes(200_000))


@in_trio
async def test_c_stock_connection_is_garbage_after_a_cancelled_write() -> None:
    """Half a message is on the wire: the connection looks open, and nothing on it works any more."""
    bo, ana = stock(BO), stock(ANA)
    bo.set_stream_handler(ECHO, echo)
    async with listening(bo) as target, listening(ana), proxied(target) as proxy:
        conn = await dial(ana, proxy.port, bo)
        assert await is_answered(ana, bo)
        small_send_buffer(conn)
        streams = [await ana.new_stream(bo.get_id(), [ECHO]) for _ in range(8)]
        proxy.off()
        await cancel_writes(streams)
        assert not conn.is_closed
        proxy.on()
        assert not await is_answered(ana, bo)


@in_trio
async def test_c_ours_ends_it_and_makes_a_new_one() -> None:
    """The connection ends at the moment of the cancellation, both sides hear it, and the next one works."""
    bo, ana = ours(BO), ours(ANA)
    async with all_running(ana, bo), proxied(port_of(bo)) as proxy:
        await ana.dial(behind(proxy.port, bo), DIAL_S)
        await next_of(ana, PeerUp)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None and link.conn is not None
        small_send_buffer(link.conn)
        streams = [await link.conn.new_stream() for _ in range(8)]
        proxy.off()
        await cancel_writes(streams)
        assert link.dropped
        assert (await next_of(ana, PeerDown)).peer == bo.peer_key
        proxy.on()
        assert (await next_of(bo, PeerDown)).peer == ana.peer_key
        await connect(ana, bo)
        assert ana.send(bo.peer_key, b"hello")
        assert (await next_of(bo, Frame)).data == b"hello"


# -- D: a peer that has fallen silent is never noticed --


@in_trio
async def test_d_stock_host_never_notices_silence() -> None:
    """Long after ours has noticed, the connection of the library is open and an attempt to use it hangs."""
    bo, ana = stock(BO), stock(ANA)
    bo.set_stream_handler(ECHO, echo)
    async with listening(bo) as target, listening(ana), proxied(target) as proxy:
        conn = await dial(ana, proxy.port, bo)
        assert await is_answered(ana, bo)
        proxy.off()
        with trio.move_on_after(3) as scope:
            stream = await ana.new_stream(bo.get_id(), [ECHO])
            await stream.read(5)
        assert scope.cancelled_caught
        assert not conn.is_closed and not bo.get_network().get_connections()[0].is_closed
        proxy.on()


@in_trio
async def test_d_ours_notices_a_dead_line() -> None:
    """Both sides hear of the end within the time of the limits, though the line says nothing."""
    bo, ana = ours(BO, SHORT), ours(ANA, SHORT)
    async with all_running(ana, bo), proxied(port_of(bo)) as proxy:
        await ana.dial(behind(proxy.port, bo), DIAL_S)
        await next_of(ana, PeerUp)
        await next_of(bo, PeerUp)
        proxy.off()
        since = trio.current_time()
        for each in (ana, bo):
            assert (await next_of(each, PeerDown)).reason == "it went silent"
        assert trio.current_time() - since < 3
        await connect(bo, ana)


@in_trio
async def test_d_ours_notices_a_dead_line_while_writing() -> None:
    """Also when a large frame is stuck in the middle, and stopping is not held up by it."""
    bo, ana = ours(BO, SHORT), ours(ANA, SHORT)
    async with all_running(bo), all_running(ana), proxied(port_of(bo)) as proxy:
        for each in (ana, bo):
            each.set_gate(lambda _peer: True)
        await ana.dial(behind(proxy.port, bo), DIAL_S)
        await next_of(ana, PeerUp)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None
        small_send_buffer(link.conn)
        proxy.off()
        while ana.send(bo.peer_key, bytes(200_000)):
            continue
        assert (await next_of(ana, PeerDown)).reason == "it went silent"
        await ana.dial(bo.addresses()[0], DIAL_S)


NODE = """
import sys, trio
from tallystick.node.transport_libp2p import Libp2pTransport

async def main():
    node = Libp2pTransport(b"b" * 32, listen=("/ip4/127.0.0.1/tcp/0",))
    node.set_gate(lambda peer: True)
    async with node.running():
        print(node.addresses()[0], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)

trio.run(main)
"""


@in_trio
async def test_d_ours_notices_a_stopped_process() -> None:
    """A node whose process stands still, like a laptop that sleeps, is gone soon; awake again it is let in."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", NODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=os.getcwd(),  # noqa: PTH109
    )
    try:
        assert process.stdout is not None and process.stdin is not None
        address = ""
        while not address.endswith("\n"):
            address += (await process.stdout.receive_some(1000)).decode()
        ana = ours(ANA, SHORT)
        ana.set_gate(lambda _peer: True)
        async with ana.running():
            await ana.dial(address.strip(), DIAL_S)
            await next_of(ana, PeerUp)
            os.kill(process.pid, signal.SIGSTOP)
            assert (await next_of(ana, PeerDown)).reason == "it went silent"
            os.kill(process.pid, signal.SIGCONT)
            await ana.dial(address.strip(), DIAL_S)
            await next_of(ana, PeerUp)
            await process.stdin.aclose()
            assert (await next_of(ana, PeerDown)).peer
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            await process.wait()


# -- E: gossip dies when a peer comes back before its old connection is known to be dead --


@asynccontextmanager
async def gossiping(host: Any) -> AsyncIterator[Any]:
    """Run the library's gossip on one topic; gives its pubsub and its subscription."""
    router = GossipSub([TProtocol("/meshsub/1.1.0")], 8, 6, 24, heartbeat_interval=1)
    pubsub = Pubsub(host, router)
    async with background_trio_service(pubsub), background_trio_service(router):
        await pubsub.wait_until_ready()
        yield pubsub, await pubsub.subscribe("tea")


async def is_heard(pubsub: Any, subscription: Any) -> bool:
    """Whether one of many messages arrives within seconds."""
    heard = False
    with trio.move_on_after(3):
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                while True:
                    await pubsub.publish("tea", b"news")
                    await trio.sleep(0.2)

            nursery.start_soon(publish)
            await subscription.get()
            heard = True
            nursery.cancel_scope.cancel()
    return heard


def cut_socket(conn: Any) -> None:
    """Close a connection of the library under its feet, as a change of network does."""
    conn.muxed_conn.secured_conn.conn.read_writer.read_write_closer.stream.stream.socket.close()


@in_trio
async def test_e_stock_gossip_dies_after_a_stale_reconnect() -> None:
    """Bo comes back by another way while ana holds his dead connection: he never hears her again."""
    bo, ana = stock(BO), stock(ANA)
    async with (
        listening(ana) as target,
        listening(bo),
        proxied(target) as proxy,
        gossiping(ana) as (ana_pubsub, _),
        gossiping(bo) as (_, bo_subscription),
    ):
        old = await dial(bo, proxy.port, ana)
        assert await is_heard(ana_pubsub, bo_subscription)
        proxy.off()
        cut_socket(old)
        await eventually(lambda: not bo.get_network().get_connections())
        await dial(bo, target, ana)
        # What was on its way is read, then there is nothing more.
        with trio.move_on_after(0.5):
            for _ in range(1000):
                await bo_subscription.get()
        assert not await is_heard(ana_pubsub, bo_subscription)
        proxy.on()


@in_trio
async def test_e_ours_goes_on() -> None:
    """The same with ours: the new connection replaces the old one, and gossip goes both ways."""
    bo, ana = ours(BO, topic="tea"), ours(ANA, topic="tea")
    async with all_running(ana, bo), proxied(port_of(ana)) as proxy:
        await bo.dial(behind(proxy.port, ana), DIAL_S)
        await _hear(ana, bo)
        proxy.off()
        link = bo._peers.links.get(ana.peer_key)
        assert link is not None
        link.line.abort()
        await next_of(bo, PeerDown)
        await bo.dial(ana.addresses()[0], DIAL_S)
        assert (await next_of(ana, PeerDown)).reason == "replaced by a newer connection"
        await next_of(ana, PeerUp)
        for number in range(3):
            await _hear(ana, bo, b"to bo %d" % number)
            await _hear(bo, ana, b"to ana %d" % number)
        proxy.on()
        # The end of the old connection comes at last, and harms nothing.
        await _hear(ana, bo, b"after")
        await _hear(bo, ana, b"after")


async def _hear(one: Libp2pTransport, other: Libp2pTransport, data: bytes = b"news") -> None:
    """Publish until the other has heard it."""
    async with trio.open_nursery() as nursery:

        async def publish() -> None:
            while True:
                one.publish(data)
                await trio.sleep(0.1)

        nursery.start_soon(publish)
        while (await next_of(other, Gossip)).data != data:
            continue
        nursery.cancel_scope.cancel()


# -- F: one error in a handler ends the node --


async def faulty(_stream: Any) -> None:
    raise ZeroDivisionError


@in_trio
async def test_f_stock_host_ends_by_one_handler_error() -> None:
    """A peer that meets a bug of ours ends our process."""
    bo, ana = stock(BO), stock(ANA)
    bo.set_stream_handler(ECHO, faulty)
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with listening(ana), listening(bo) as port:
            await dial(ana, port, bo)
            await is_answered(ana, bo)
            await trio.sleep_forever()
    assert caught.group_contains(ZeroDivisionError)


@in_trio
async def test_f_ours_goes_on() -> None:
    """Errors in whatever the node gave us, and in a handler of the host itself, end at most one stream."""
    bo, ana, cy = ours(BO, topic="tea"), ours(ANA, topic="tea"), ours(CY)
    heard = []

    async def knocked(_peer: bytes, data: bytes) -> bytes | None:
        heard.append(data)
        raise ZeroDivisionError

    def gate(peer: bytes) -> bool:
        if peer == cy.peer_key:
            raise ZeroDivisionError
        return True

    async with all_running(ana, bo, cy):
        bo.set_knock_handler(knocked)
        bo.set_gate(gate)
        net = bo._peers.net
        assert net is not None
        net.host.set_stream_handler(ECHO, faulty)
        await connect(ana, bo)
        with pytest.raises(DialError):
            await ana.request(bo.peer_key, b"knock", DIAL_S)
        with pytest.raises(DialError):
            await cy.dial(bo.addresses()[0], DIAL_S)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None and link.conn is not None and ana._peers.net is not None
        with contextlib.suppress(StreamFailure):
            await ana._peers.net.host.new_stream(link.peer_id, [ECHO])
        bo._peers.net.gossip._pubsub.deliver = lambda *_: 1 / 0  # type: ignore[union-attr]
        ana.publish(b"news")
        assert ana.send(bo.peer_key, b"still here")
        assert (await next_of(bo, Frame)).data == b"still here"
        assert heard == [b"knock"]
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert bo._peers.net is net
