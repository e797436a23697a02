"""Broken lines and hostile peers before the transport over libp2p: nothing of it raises, hangs or fills the memory."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from libp2p.io.exceptions import IOException
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed

from tallystick.node import net_host, net_peers, transport_libp2p
from tallystick.node.net_address import peer_id, read_address_untrusted
from tallystick.node.net_framing import encode_credit, encode_frame, encode_uvarint
from tallystick.node.net_gossip import MESH
from tallystick.node.net_links import Link
from tallystick.node.net_peers import KNOCK, SYNC
from tallystick.node.net_streams import StreamRefusedError, open_stream
from tallystick.node.transport import (
    FRAME_BYTES_MAX,
    KNOCK_REQUEST_BYTES_MAX,
    DialReason,
    Frame,
    Gossip,
    ListenError,
    Listening,
    PeerDown,
    PeerUp,
    Resumed,
    TransportLimits,
    UnsupportedLibraryError,
)
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
    refused,
    reverse,
)

LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)


def node(seed: bytes, **options: Any) -> Libp2pTransport:
    return Libp2pTransport(seed, listen=options.pop("listen", LOOPBACK), **options)


def port_of(transport: Libp2pTransport) -> int:
    return int(transport.addresses()[0].split("/")[4])


async def link_from(attacker: Libp2pTransport, victim: Libp2pTransport) -> Link:
    """Make a connection with a proven key and nothing on it."""
    return await attacker._peers.link_to(read_address_untrusted(victim.addresses()[0]))


async def raw_stream(attacker: Libp2pTransport, link: Link, protocol: Any) -> Any:
    """Open a stream on which the attacker can write what it likes."""
    net = attacker._peers.net
    assert net is not None
    return await open_stream(net.host, link, protocol, DIAL_S)


async def gets_nothing(attacker: Libp2pTransport, link: Link, protocol: Any) -> bool:
    """Whether a stream of this protocol ends before it has said anything."""
    try:
        stream = await raw_stream(attacker, link, protocol)
        return not await stream.read(1)
    except (StreamRefusedError, IOException):
        return True


# -- listening --


@in_trio
async def test_address_of_another_machine_is_an_error() -> None:
    """What the system does not let us bind is named with its reason, and nothing is left listening."""
    ana = node(ANA, listen=(*LOOPBACK, "/ip4/198.51.100.1/tcp/0"))
    with pytest.raises(ListenError, match=r"198\.51\.100\.1.*assign"):
        async with ana.running():
            raise AssertionError("it listens")
    assert [each.socket.fileno() for each in ana._listeners] == []


@in_trio
async def test_port_that_another_program_would_share_is_in_use() -> None:
    """A socket that allows sharing, as the library's own do, is no reason to share."""
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", 0))
    other.listen()
    with other, pytest.raises(ListenError, match="in use"):
        async with node(ANA, listen=(f"/ip4/127.0.0.1/tcp/{other.getsockname()[1]}",)).running():
            raise AssertionError("it listens")


@in_trio
async def test_other_version_of_the_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repairs are for one version: another one is refused before anything listens."""
    monkeypatch.setattr(net_host, "version", lambda _name: "0.9.0")
    with pytest.raises(UnsupportedLibraryError, match=r"0\.8\.1.*0\.9\.0"):
        async with node(ANA).running():
            raise AssertionError("it runs")


@in_trio
async def test_new_addresses_of_the_machine_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the machine moves to another network, the node hears its new addresses."""
    machine = ["192.0.2.1"]
    monkeypatch.setattr(transport_libp2p, "machine_addresses", lambda: [ipaddress.ip_address(each) for each in machine])
    ana = node(ANA, listen=("/ip4/0.0.0.0/tcp/0",), limits=TransportLimits(watch_every_s=0.05))
    async with ana.running():
        first = await next_of(ana, Listening)
        machine[:] = ["192.0.2.7", "198.51.100.7"]
        second = await next_of(ana, Listening)
        assert [address.split("/")[2] for address in first.addresses] == ["192.0.2.1"]
        assert [address.split("/")[2] for address in second.addresses] == ["192.0.2.7", "198.51.100.7"]
        assert list(second.addresses) == ana.addresses()


# -- dialling --


@asynccontextmanager
async def talking(talk: Any) -> AsyncIterator[str]:
    """Listen with something that is no node; gives its address, as if bo were there."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    bo = node(BO)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, talk, listeners)
        yield f"/ip4/127.0.0.1/tcp/{listeners[0].socket.getsockname()[1]}/p2p/{peer_id(bo.peer_key)}"
        nursery.cancel_scope.cancel()


@in_trio
async def test_nobody_reachable_is_said_in_time() -> None:
    """A name that does not exist, a server that says nothing, and one that says nonsense each have their word."""

    async def say_nothing(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async def say_nonsense(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.9\r\n" * 100)

    ana = node(ANA)
    ana.set_gate(lambda _peer: True)
    async with ana.running(), talking(say_nothing) as silent, talking(say_nonsense) as odd:
        nowhere = f"/dns/nowhere.invalid/tcp/4001{silent[silent.index('/p2p/') :]}"
        assert await refused(ana.dial(nowhere, DIAL_S)) == DialReason.UNREACHABLE
        assert await refused(ana.dial(silent, 0.2)) == DialReason.TIMEOUT
        assert await refused(ana.request(silent, b"?", 0.2)) == DialReason.TIMEOUT
        assert await refused(ana.dial(odd, DIAL_S)) == DialReason.NOT_ADMITTED
        assert len(ana._peers.links) == 0 and ana._peers._dials == {}


@in_trio
async def test_name_is_looked_up() -> None:
    """An address may have a host name instead of a number."""
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        address = bo.addresses()[0].replace("/ip4/127.0.0.1/", "/dns4/localhost/")
        assert await ana.dial(address, DIAL_S) == bo.peer_key


@in_trio
async def test_two_that_dial_each_other_have_one_connection() -> None:
    """Whatever crosses on the way, both end with the same one connection, and both dials succeed."""
    for number in range(10):
        ana, bo = node(bytes([number]) * 32), node(bytes([number + 100]) * 32)
        async with all_running(ana, bo):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ana.dial, bo.addresses()[0], DIAL_S)
                nursery.start_soon(bo.dial, ana.addresses()[0], DIAL_S)
            assert ana.peers() == [bo.peer_key]
            assert bo.peers() == [ana.peer_key]
            assert ana.send(bo.peer_key, b"from ana") and bo.send(ana.peer_key, b"from bo")
            assert (await next_of(bo, Frame)).data == b"from ana"
            assert (await next_of(ana, Frame)).data == b"from bo"


@in_trio
async def test_many_dials_to_one_peer_make_one_connection() -> None:
    """Dials by several addresses at once find the connection of the first."""
    ana, bo = node(ANA), node(BO, listen=(*LOOPBACK, "/ip6/::1/tcp/0"))
    async with all_running(ana, bo):
        async with trio.open_nursery() as nursery:
            for address in bo.addresses() * 3:
                nursery.start_soon(ana.dial, address, DIAL_S)
        assert isinstance(await bo.events.receive(), PeerUp)
        with pytest.raises(trio.WouldBlock):
            bo.events.receive_nowait()


@in_trio
async def test_cancelled_dial_leaves_nothing() -> None:
    """Giving up at any moment of a dial ends what was begun, on both sides, unless it is complete at that moment."""
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        for step in range(30):
            with trio.move_on_after(step * 0.0005):
                await ana.dial(bo.addresses()[0], DIAL_S)
            # Not only after a dial that returned: one may be given up in the very step that completes it.
            if ana.peers():
                ana.disconnect(bo.peer_key)
            await eventually(lambda: len(ana._peers.links) == len(bo._peers.links) == 0)
        assert ana._peers._dials == {}
        while not bo.peers():
            await ana.dial(bo.addresses()[0], DIAL_S)
            await trio.lowlevel.checkpoint()


# -- strangers --


@in_trio
async def test_stranger_learns_nothing() -> None:
    """Streams of members' protocols end without a byte for a stranger, whose connection ends soon by itself."""
    bo, cy = node(BO, topic="tea", limits=TransportLimits(stranger_s=0.5)), node(CY, topic="tea")
    cy.set_gate(lambda _peer: True)
    async with bo.running(), cy.running():
        link = await link_from(cy, bo)
        for protocol in (SYNC, MESH, KNOCK, "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/plaintext/2.0.0"):
            assert await gets_nothing(cy, link, protocol)
        assert not link.dropped
        with trio.fail_after(2):
            await link.gone.wait()
        assert bo.peers() == []
        assert isinstance(await bo.events.receive(), Listening)
        with pytest.raises(trio.WouldBlock):
            bo.events.receive_nowait()


@in_trio
async def test_strangers_have_few_places_and_take_none_of_members() -> None:
    """Only so many strangers are connected at once; a member comes in all the same."""
    bo, ana = node(BO, limits=TransportLimits(strangers_max=2, stranger_sure_s=60.0)), node(ANA)
    strangers = [node(bytes([number]) * 32) for number in range(4)]
    async with all_running(ana, bo), trio.open_nursery() as nursery:
        for each in strangers:
            nursery.start_soon(_run_until_cancelled, each)
        await eventually(lambda: all(each.addresses() for each in strangers))
        links = [await link_from(each, bo) for each in strangers[:2]]
        for each in strangers[2:]:
            assert await refused(link_from(each, bo)) == DialReason.NOT_ADMITTED
        assert bo._peers.links.refused == 2
        await connect(ana, bo)
        links[0].drop("it leaves")
        await eventually(lambda: len(bo._peers.links) == 2)
        await link_from(strangers[2], bo)
        nursery.cancel_scope.cancel()


async def _run_until_cancelled(transport: Libp2pTransport) -> None:
    async with transport.running():
        await trio.sleep_forever()


@in_trio
async def test_stranger_cannot_say_more_than_a_knock() -> None:
    """A flood of a stranger is cut after its allowance, whatever stream it is on."""
    bo, cy = node(BO), node(CY)
    asked: list[bytes] = []

    async def handler(_peer: bytes, data: bytes) -> bytes:
        asked.append(data)
        return data

    bo.set_knock_handler(handler)
    async with bo.running(), cy.running():
        link = await link_from(cy, bo)
        with trio.fail_after(5):
            while not link.dropped:
                with contextlib.suppress(StreamRefusedError, IOException):
                    stream = await raw_stream(cy, link, KNOCK)
                    await stream.write(encode_uvarint(KNOCK_REQUEST_BYTES_MAX) + bytes(60_000))
        assert bo.peers() == [] and asked == []
        await eventually(lambda: len(bo._peers.links) == 0)
        bo.set_knock_handler(reverse)
        assert await cy.request(bo.addresses()[0], b"abc", DIAL_S) == b"cba"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        encode_uvarint(KNOCK_REQUEST_BYTES_MAX + 1),
        encode_uvarint(100) + b"short",
        encode_credit(5),
        b"\xff" * 20,
        b"\x81\x00",
    ],
)
@in_trio
async def test_broken_knock_is_no_knock(said: bytes) -> None:
    """What is not one whole request is answered by nothing, and the handler is not asked."""
    bo, cy = node(BO), node(CY)
    asked = []

    async def handler(_peer: bytes, data: bytes) -> bytes:
        asked.append(data)
        return data

    bo.set_knock_handler(handler)
    async with bo.running(), cy.running():
        stream = await raw_stream(cy, await link_from(cy, bo), KNOCK)
        if said:
            await stream.write(said)
        await stream.close()
        with pytest.raises(IOException):
            await stream.read(1)
        assert asked == []


@in_trio
async def test_idle_sockets_keep_nobody_out() -> None:
    """Hundreds of connections that say nothing make room for one that does."""
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        idle = [await trio.open_tcp_stream("127.0.0.1", port_of(bo)) for _ in range(3 * net_peers.UNPROVEN_MAX)]
        await connect(ana, bo)
        assert len(bo._peers._unproven) <= net_peers.UNPROVEN_MAX
        for each in idle:
            await each.aclose()
        await eventually(lambda: not bo._peers._unproven)


@in_trio
async def test_nonsense_on_the_port_harms_nobody() -> None:
    """Random bytes, half handshakes and lengths of gigabytes end their own connection only."""
    random = Random(7)
    openings = [b"\x13/multistream/1.0.0\n", b"\x13/multistream/1.0.0\n\x07/noise\n", b"", b"\xff\xff\xff\xff\x07"]
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        await connect(ana, bo)
        for number in range(40):
            async with await trio.open_tcp_stream("127.0.0.1", port_of(bo)) as stream:
                with trio.move_on_after(0.2):
                    try:
                        await stream.send_all(openings[number % 4] + random.randbytes(random.randrange(3000)))
                        if number % 8 < 4:
                            await stream.send_eof()
                            while await stream.receive_some(1000):
                                continue
                    except trio.BrokenResourceError:
                        continue
        assert ana.send(bo.peer_key, b"still here")
        assert (await next_of(bo, Frame)).data == b"still here"
        await eventually(lambda: not bo._peers._unproven)


# -- members that misbehave --


@in_trio
async def test_member_that_opens_no_sync_stream_is_dropped() -> None:
    """A proven key alone holds no place."""
    bo, ana = node(BO, limits=TransportLimits(session_s=0.3)), node(ANA)
    async with all_running(ana, bo):
        link = await link_from(ana, bo)
        with trio.fail_after(2):
            await link.gone.wait()
        assert len(bo._peers.links) == 0


@in_trio
async def test_sync_stream_without_credit_is_no_peer() -> None:
    """The node hears of a peer only when that has agreed too."""
    bo, ana = node(BO, limits=TransportLimits(session_s=0.3)), node(ANA)
    async with all_running(ana, bo):
        link = await link_from(ana, bo)
        stream = await raw_stream(ana, link, SYNC)
        assert await stream.read(100) == encode_credit(TransportLimits().inbox_bytes)
        with trio.fail_after(2):
            await link.gone.wait()
        with pytest.raises(trio.WouldBlock):
            bo.events.receive_nowait()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (encode_uvarint(FRAME_BYTES_MAX + 1), "262145 bytes"),
        (b"\xff" * 10, "longer than any length"),
        (b"\x81\x00", "longer than it needs to be"),
        (b"".join([encode_frame(bytes(FRAME_BYTES_MAX))] * 4), "more than it was given credit for"),
    ],
)
@in_trio
async def test_broken_framing_ends_the_connection(said: bytes, reason: str) -> None:
    """Who breaks the framing, or sends more than its credit, is disconnected, and the reason is said."""
    bo, ana = node(BO), node(ANA)
    async with all_running(ana, bo):
        link = await link_from(ana, bo)
        stream = await raw_stream(ana, link, SYNC)
        await stream.write(encode_credit(1_000_000))
        await next_of(bo, PeerUp)
        bo.pause(ana.peer_key)
        try:
            await stream.write(said)
        except IOException:
            assert link.dropped
        assert reason in (await next_of(bo, PeerDown)).reason
        await connect(ana, bo)


@in_trio
async def test_coming_back_gives_no_new_credit() -> None:
    """What a peer has sent and nobody has read counts for its next connection too: it cannot fill the memory."""
    bo, ana = node(BO), node(ANA)
    async with all_running(ana, bo):
        limit = TransportLimits().inbox_bytes
        for _ in range(6):
            await ana.dial(bo.addresses()[0], DIAL_S)
            await eventually(lambda: bo.peers() == [ana.peer_key])
            for _ in range(20):
                ana.send(bo.peer_key, bytes(100_000))
            with trio.move_on_after(0.2):
                await eventually(lambda: ana.queued_bytes(bo.peer_key) == 0)
            assert bo._inbox.unread(ana.peer_key) <= limit
            ana.disconnect(bo.peer_key)
            await eventually(lambda: not bo.peers())
        assert bo._inbox.unread(ana.peer_key) > limit - 200_000
        await ana.dial(bo.addresses()[0], DIAL_S)
        assert ana.send(bo.peer_key, b"after all of it")
        while (await next_of(bo, Frame)).data != b"after all of it":
            continue
        assert bo._inbox.unread(ana.peer_key) == 0


@in_trio
async def test_flood_of_gossip_is_bounded() -> None:
    """A member that gossips without end is heard for a while, fills no memory, and its frames still come."""
    bo, ana = node(BO, topic="tea", limits=TransportLimits(gossip_queue=50)), node(ANA, topic="tea")
    async with all_running(ana, bo):
        await connect(ana, bo)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None and ana._peers.net is not None
        gossip = ana._peers.net.gossip
        assert gossip is not None
        await eventually(lambda: link.peer_id in gossip._pubsub.peers)
        stream = gossip._pubsub.peers[link.peer_id]
        for number in range(4000):
            message = rpc_pb2.Message(
                from_id=gossip._pubsub.my_id.to_bytes(), seqno=number.to_bytes(8, "big"), data=b"x", topicIDs=["tea"]
            )
            with trio.move_on_after(2):
                await stream.write(encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString()))
        for _ in range(100):
            ana.publish(b"signed")
        assert ana.send(bo.peer_key, b"still here")
        assert (await next_of(bo, Frame)).data == b"still here"
        assert len(bo._inbox._gossip) <= 50


@pytest.mark.parametrize(
    "rpc",
    [
        b"\xff\xff\xff\xff\x0f",
        b"\x03abc",
        encode_varint_prefixed(
            rpc_pb2.RPC(publish=[rpc_pb2.Message(from_id=b"x", topicIDs=["tea"])]).SerializeToString()
        ),
        encode_varint_prefixed(
            rpc_pb2.RPC(
                control=rpc_pb2.ControlMessage(
                    graft=[rpc_pb2.ControlGraft(topicID="x" * 50_000)] * 4,
                    ihave=[rpc_pb2.ControlIHave(topicID="tea", messageIDs=[b"\xff" * 46] * 5000)],
                    iwant=[rpc_pb2.ControlIWant(messageIDs=[b"zz", b"\xff"] * 5000)],
                    prune=[rpc_pb2.ControlPrune(topicID="tea", backoff=2**60)],
                )
            ).SerializeToString()
        ),
    ],
    ids=["length", "no-message", "no-author", "control"],
)
@in_trio
async def test_broken_gossip_harms_nobody(rpc: bytes) -> None:
    """What the library would stumble over is ignored, or ends that connection; a new one works."""
    ana, bo, cy = (node(seed, topic="tea") for seed in (ANA, BO, CY))
    async with all_running(ana, bo, cy):
        await connect(ana, bo)
        await connect(cy, bo)
        link = ana._peers.links.get(bo.peer_key)
        assert link is not None and ana._peers.net is not None and bo._peers.net is not None
        gossip = ana._peers.net.gossip
        assert gossip is not None
        await eventually(lambda: link.peer_id in gossip._pubsub.peers)
        await gossip._pubsub.peers[link.peer_id].write(rpc)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await ana.dial(bo.addresses()[0], DIAL_S) == bo.peer_key
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                while True:
                    bo.publish(b"news")
                    await trio.sleep(0.1)

            nursery.start_soon(publish)
            assert (await next_of(cy, Gossip)).data == b"news"
            nursery.cancel_scope.cancel()
        assert set(bo._peers.net.gossip._pubsub.peer_topics) <= {"tea"}  # type: ignore[union-attr]


# -- this machine --


@in_trio
async def test_sleep_of_this_machine_is_noticed() -> None:
    """When the time of day has jumped, every connection is dropped, and the node hears for how long we slept."""
    wall, looks = [1_000_000.0], [0]

    def clock() -> float:
        looks[0] += 1
        return wall[0]

    ana, bo = node(ANA, limits=TransportLimits(watch_every_s=0.05), clock=clock), node(BO)
    async with all_running(ana, bo):
        await connect(ana, bo)
        wall[0] += 3600
        events = [await ana.events.receive(), await ana.events.receive()]
        down = next(event for event in events if isinstance(event, PeerDown))
        resumed = next(event for event in events if isinstance(event, Resumed))
        assert down.reason == "this machine slept"
        assert 3_590_000 <= resumed.slept_ms <= 3_600_000
        wall[0] -= 7200
        await connect(ana, bo)
        seen = looks[0]
        await eventually(lambda: looks[0] > seen + 4)
        assert ana.peers() == [bo.peer_key]


@in_trio
async def test_stop_waits_for_no_dead_line() -> None:
    """Stopping takes less than two seconds though every peer is behind a line that is dead."""
    ana, bo, cy = node(ANA), node(BO), node(CY)
    async with all_running(bo, cy):
        async with all_running(ana), proxied(port_of(bo)) as near, proxied(port_of(cy)) as far:
            for other, proxy in ((bo, near), (cy, far)):
                for each in (ana, other):
                    each.set_gate(lambda _peer: True)
                await ana.dial(f"/ip4/127.0.0.1/tcp/{proxy.port}/p2p/{peer_id(other.peer_key)}", DIAL_S)
                proxy.off()
                while ana.send(other.peer_key, bytes(200_000)):
                    continue
            since = trio.current_time()
        assert trio.current_time() - since < 2


@in_trio
async def test_error_inside_the_library_is_repaired() -> None:
    """If libp2p ends by itself, the peers are told and it is begun again, on the same port."""
    ana, bo = node(ANA), node(BO, topic="tea")
    async with all_running(ana, bo):
        await connect(ana, bo)
        net = bo._peers.net
        assert net is not None
        addresses = bo.addresses()
        net.swarm.manager.cancel()
        assert (await next_of(bo, PeerDown)).peer == ana.peer_key
        assert (await next_of(ana, PeerDown)).peer == bo.peer_key
        await eventually(lambda: bo._peers.net not in (None, net))
        assert bo.addresses() == addresses
        await connect(ana, bo)
