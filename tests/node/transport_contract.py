"""What every transport does, whatever it stands on."""

from __future__ import annotations

import pytest
import trio

from tallystick.node.net_address import peer_id
from tallystick.node.transport import (
    FRAME_BYTES_MAX,
    GOSSIP_BYTES_MAX,
    KNOCK_REQUEST_BYTES_MAX,
    KNOCK_RESPONSE_BYTES_MAX,
    DialReason,
    Frame,
    Gossip,
    ListenError,
    Listening,
    PeerDown,
    PeerKey,
    Transport,
    TransportLimits,
    Writable,
)
from tests.support.transports import (
    ANA,
    BO,
    CY,
    DIAL_S,
    Network,
    all_running,
    connect,
    eventually,
    in_trio,
    next_of,
    refused,
    reverse,
)


class TransportContract:
    """Tests of a `network` fixture."""

    # -- listening --

    @in_trio
    async def test_tells_where_it_listens(self, network: Network) -> None:
        """The first event has concrete addresses that end in our own id, the announced ones first."""
        ana = network.transport(
            ANA, listen=("/ip4/0.0.0.0/tcp/0", "/ip6/::1/tcp/0"), announce=("/dns/ana.example/tcp/4001",)
        )
        assert ana.addresses() == []
        async with ana.running():
            event = await ana.events.receive()
            assert isinstance(event, Listening)
            assert list(event.addresses) == ana.addresses()
            own = f"/p2p/{peer_id(ana.peer_key)}"
            assert event.addresses[0] == f"/dns/ana.example/tcp/4001{own}"
            assert any(address.startswith("/ip6/::1/tcp/") for address in event.addresses)
            assert any(address.startswith("/ip4/") for address in event.addresses)
            assert all(address.endswith(own) for address in event.addresses)
            assert not any("/0.0.0.0/" in address or "/tcp/0/" in address for address in event.addresses)
        assert ana.addresses() == []

    @in_trio
    async def test_port_in_use_is_an_error(self, network: Network) -> None:
        """Two nodes never share a port, and who comes second hears of it. Stopping gives the port back."""
        ana = network.transport(ANA)
        async with ana.running():
            where = ana.addresses()[0].split("/p2p/")[0]
            for places in [(where,), ("/ip4/127.0.0.1/tcp/0", where)]:
                with pytest.raises(ListenError, match="in use"):
                    async with network.transport(BO, listen=places).running():
                        raise AssertionError("it shares the port")
        async with network.transport(BO, listen=(where,)).running():
            assert ana.addresses() == []

    @pytest.mark.parametrize(
        "place",
        [
            "/ip4/127.0.0.1/udp/0",
            "/ip4/127.0.0.1",
            "/ip4/256.0.0.1/tcp/0",
            "/ip4/127.0.0.1/tcp/65536",
            "/ip4/127.0.0.1/tcp/-1",
            "/dns/localhost/tcp/0",
            "ip4/127.0.0.1/tcp/0",
            "",
        ],
    )
    @in_trio
    async def test_bad_address_is_an_error(self, network: Network, place: str) -> None:
        """What cannot be listened on is named, whatever else there is to listen on."""
        with pytest.raises(ListenError):
            async with network.transport(ANA, listen=("/ip4/127.0.0.1/tcp/0", place)).running():
                raise AssertionError("it listens somewhere")

    @in_trio
    async def test_bad_announcement_is_an_error(self, network: Network) -> None:
        """An address that nobody could dial is not spread."""
        with pytest.raises(ListenError, match="announce"):
            async with network.transport(ANA, announce=("/ip4/nowhere/tcp/1",)).running():
                raise AssertionError("it announces nonsense")

    @in_trio
    async def test_runs_once(self, network: Network) -> None:
        """A transport is not for a second use."""
        ana = network.transport(ANA)
        async with ana.running():
            assert ana.peers() == []
        with pytest.raises(RuntimeError):
            async with ana.running():
                raise AssertionError("it runs again")

    @in_trio
    async def test_error_inside_comes_out_as_it_is(self, network: Network) -> None:
        """What the node raises is not wrapped into a group."""
        with pytest.raises(ZeroDivisionError):
            async with network.transport(ANA).running():
                raise ZeroDivisionError

    # -- dialling --

    @in_trio
    async def test_dial_opens_one_stream(self, network: Network) -> None:
        """Both sides hear of the peer once; a second dial finds the connection that is there."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            assert ana.peers() == [bo.peer_key]
            assert bo.peers() == [ana.peer_key]
            assert await ana.dial(bo.addresses()[0], DIAL_S) == bo.peer_key
            assert await bo.dial(ana.addresses()[0], DIAL_S) == ana.peer_key
            for each in (ana, bo):
                with pytest.raises(trio.WouldBlock):
                    each.events.receive_nowait()

    @in_trio
    async def test_dial_says_why_it_failed(self, network: Network) -> None:
        """Each way of failing has its word, and the first that applies is given."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo):
            where = bo.addresses()[0].split("/p2p/")[0]
            own = f"{where}/p2p/{peer_id(ana.peer_key)}"
            stranger = f"{where}/p2p/{peer_id(cy.peer_key)}"
            nobody = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(bo.peer_key)}"
            assert await refused(ana.dial(where, DIAL_S)) == DialReason.BAD_ADDRESS
            assert await refused(ana.dial("", DIAL_S)) == DialReason.BAD_ADDRESS
            assert await refused(ana.dial(own, DIAL_S)) == DialReason.SELF
            assert await refused(cy.dial(bo.addresses()[0], DIAL_S)) == DialReason.CLOSED
            assert await refused(ana.dial(stranger, DIAL_S)) == DialReason.NOT_ALLOWED
            assert await refused(ana.dial(nobody, DIAL_S)) == DialReason.REFUSED
            ana.set_gate(lambda _peer: True)
            assert await refused(ana.dial(stranger, DIAL_S)) == DialReason.WRONG_PEER
            bo.set_gate(lambda _peer: False)
            assert await refused(ana.dial(bo.addresses()[0], DIAL_S)) == DialReason.NOT_ADMITTED
            assert ana.peers() == bo.peers() == []
        assert await refused(ana.dial(f"{where}/p2p/{peer_id(bo.peer_key)}", DIAL_S)) == DialReason.CLOSED

    @in_trio
    async def test_dials_ipv6(self, network: Network) -> None:
        """An IPv6 address is listened on, told, dialled, and seen on the other side; the port is not IPv4's."""
        ana = network.transport(ANA, listen=("/ip6/::1/tcp/0",))
        bo = network.transport(BO, listen=("/ip6/::1/tcp/0",))
        async with all_running(ana, bo):
            assert [address.split("/")[:3] for address in bo.addresses()] == [["", "ip6", "::1"]]
            await connect(ana, bo)
            assert ana.send(bo.peer_key, b"six")
            assert (await bo.events.receive()) == Frame(peer=ana.peer_key, data=b"six")
            four = bo.addresses()[0].replace("/ip6/::1/", "/ip4/127.0.0.1/")
            ana.disconnect(bo.peer_key)
            await next_of(ana, PeerDown)
            assert await refused(ana.dial(four, DIAL_S)) == DialReason.REFUSED

    @in_trio
    async def test_no_gate_lets_nobody_in(self, network: Network) -> None:
        """Without a gate nobody may sync, in neither direction."""
        ana, bo = network.transport(ANA), network.transport(BO)
        ana.set_gate(lambda _peer: True)
        async with ana.running(), bo.running():
            assert await refused(ana.dial(bo.addresses()[0], DIAL_S)) == DialReason.NOT_ADMITTED
            assert await refused(bo.dial(ana.addresses()[0], DIAL_S)) == DialReason.NOT_ALLOWED

    # -- frames --

    @in_trio
    async def test_frames_arrive_whole_and_in_order(self, network: Network) -> None:
        """From one byte to the largest, in both directions."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            frames = [bytes([number]) * size for number, size in enumerate([1, 2, 127, 128, 65_535, FRAME_BYTES_MAX])]
            for one, other in ((ana, bo), (bo, ana)):
                for frame in frames:
                    assert one.send(other.peer_key, frame)
                for frame in frames:
                    assert await other.events.receive() == Frame(peer=one.peer_key, data=frame)
                await eventually(lambda one=one, other=other: one.queued_bytes(other.peer_key) == 0)  # type: ignore[misc]

    @in_trio
    async def test_size_out_of_range_is_our_own_bug(self, network: Network) -> None:
        """What is empty or too long is refused with an error, connected or not."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            for size in (0, FRAME_BYTES_MAX + 1):
                with pytest.raises(ValueError, match="frame"):
                    ana.send(bo.peer_key, bytes(size))
            for size in (0, GOSSIP_BYTES_MAX + 1):
                with pytest.raises(ValueError, match="gossip"):
                    ana.publish(bytes(size))
            for size in (0, KNOCK_REQUEST_BYTES_MAX + 1):
                with pytest.raises(ValueError, match="request"):
                    await ana.request(bo.addresses()[0], bytes(size), DIAL_S)

    @in_trio
    async def test_sending_to_nobody_is_false(self, network: Network) -> None:
        """A peer that is not connected is not an error: it may have gone a moment ago."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            assert not ana.send(bo.peer_key, b"x")
            assert ana.queued_bytes(bo.peer_key) == 0
            ana.ask_room(bo.peer_key)
            ana.pause(bo.peer_key)
            ana.resume(bo.peer_key)
            ana.disconnect(bo.peer_key)
            ana.disconnect(bo.peer_key, b"bye")

    @in_trio
    async def test_slow_reader_stops_the_sender(self, network: Network) -> None:
        """Who does not read is sent its credit and no more; `Writable` comes when reading goes on; nothing is lost."""
        limits = TransportLimits(inbox_bytes=1024 * 1024, outbox_bytes=512 * 1024)
        ana, bo = network.transport(ANA, limits=limits), network.transport(BO, limits=limits)
        size = 64 * 1024
        async with all_running(ana, bo):
            await connect(ana, bo)
            sent = 0
            for _ in range(200):
                if not ana.send(bo.peer_key, sent.to_bytes(4, "big") + bytes(size - 4)):
                    if ana.queued_bytes(bo.peer_key) >= limits.outbox_bytes - size and sent * size > 1024 * 1024:
                        break
                    await next_of(ana, Writable)
                    continue
                sent += 1
            assert 1024 * 1024 < sent * size <= limits.inbox_bytes + limits.outbox_bytes + size
            assert ana.queued_bytes(bo.peer_key) <= limits.outbox_bytes
            for number in range(sent):
                frame = await next_of(bo, Frame)
                assert int.from_bytes(frame.data[:4], "big") == number
            assert await next_of(ana, Writable) == Writable(peer=bo.peer_key)
            assert ana.send(bo.peer_key, b"again")
            assert (await next_of(bo, Frame)).data == b"again"

    @in_trio
    async def test_room_is_told_of_when_there_is_some(self, network: Network) -> None:
        """Whoever asks hears at once where little waits, and else when half of it has gone."""
        limits = TransportLimits()
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            ana.ask_room(bo.peer_key)
            assert await next_of(ana, Writable) == Writable(peer=bo.peer_key)
            bo.pause(ana.peer_key)
            for _ in range(60):
                assert ana.send(bo.peer_key, bytes(64 * 1024))
            ana.ask_room(bo.peer_key)
            with trio.move_on_after(0.1) as scope:
                await next_of(ana, Writable)
            assert scope.cancelled_caught
            bo.resume(ana.peer_key)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_read_all, bo)
                assert await next_of(ana, Writable) == Writable(peer=bo.peer_key)
                nursery.cancel_scope.cancel()
            assert ana.queued_bytes(bo.peer_key) <= limits.outbox_bytes // 2

    @in_trio
    async def test_small_frames_are_bounded_too(self, network: Network) -> None:
        """A million tiny frames cost more than their bytes."""
        limits = TransportLimits(outbox_frames=100)
        ana, bo = network.transport(ANA, limits=limits), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            bo.pause(ana.peer_key)
            sent, stuck = 0, False
            while not stuck:
                if ana.send(bo.peer_key, b"x"):
                    sent += 1
                    continue
                with trio.move_on_after(0.5) as scope:
                    await next_of(ana, Writable)
                stuck = scope.cancelled_caught
            assert 10_000 < sent < 1024 * 1024 // 64 + 200

    @in_trio
    async def test_pause_holds_one_peer_back(self, network: Network) -> None:
        """Frames of a paused peer wait, those of others do not; after `resume` they come, none lost."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(bo, ana)
            await connect(cy, ana)
            ana.pause(bo.peer_key)
            bo.send(ana.peer_key, b"1")
            bo.send(ana.peer_key, b"2")
            await eventually(lambda: bo.queued_bytes(ana.peer_key) == 0)
            for number in range(5):
                cy.send(ana.peer_key, bytes([number]))
                assert await ana.events.receive() == Frame(peer=cy.peer_key, data=bytes([number]))
            ana.resume(bo.peer_key)
            assert await ana.events.receive() == Frame(peer=bo.peer_key, data=b"1")
            assert await ana.events.receive() == Frame(peer=bo.peer_key, data=b"2")

    # -- the end of a connection --

    @in_trio
    async def test_polite_end_delivers_the_last_frame(self, network: Network) -> None:
        """What was queued and the last frame arrive, then `PeerDown` and nothing else, on both sides."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            for number in range(20):
                assert ana.send(bo.peer_key, bytes([number]) * 10_000)
            ana.disconnect(bo.peer_key, b"bye")
            assert not ana.send(bo.peer_key, b"too late")
            for number in range(20):
                assert await bo.events.receive() == Frame(peer=ana.peer_key, data=bytes([number]) * 10_000)
            assert await bo.events.receive() == Frame(peer=ana.peer_key, data=b"bye")
            down = await bo.events.receive()
            assert isinstance(down, PeerDown) and down.peer == ana.peer_key and down.reason
            assert (await next_of(ana, PeerDown)).peer == bo.peer_key
            assert ana.peers() == bo.peers() == []
            assert not ana.send(bo.peer_key, b"x")

    @in_trio
    async def test_rude_end_is_noticed(self, network: Network) -> None:
        """Hanging up without a word tells both sides."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            bo.disconnect(ana.peer_key)
            assert (await next_of(ana, PeerDown)).peer == bo.peer_key
            assert (await next_of(bo, PeerDown)).peer == ana.peer_key

    @in_trio
    async def test_what_a_paused_peer_sent_is_read_after_its_end(self, network: Network) -> None:
        """The end of a peer lifts its pause: `PeerDown` comes, after its frames."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            bo.pause(ana.peer_key)
            ana.send(bo.peer_key, b"1")
            ana.disconnect(bo.peer_key, b"2")
            assert await bo.events.receive() == Frame(peer=ana.peer_key, data=b"1")
            assert await bo.events.receive() == Frame(peer=ana.peer_key, data=b"2")
            assert isinstance(await bo.events.receive(), PeerDown)

    @in_trio
    async def test_stop_is_polite_and_quick(self, network: Network) -> None:
        """Stopping takes less than two seconds, sends what is queued, and ends the events on our side."""
        ana, bo = network.transport(ANA), network.transport(BO)
        bo.set_gate(lambda _peer: True)
        async with bo.running():
            async with all_running(ana):
                ana.set_gate(lambda _peer: True)
                await connect(ana, bo)
                for number in range(10):
                    assert ana.send(bo.peer_key, bytes([number]) * 50_000)
                stopped = trio.current_time()
            assert trio.current_time() - stopped < 2
            for number in range(10):
                assert (await next_of(bo, Frame)).data == bytes([number]) * 50_000
            assert isinstance(await bo.events.receive(), PeerDown)
            rest = [event async for event in ana.events]
            assert [type(event) for event in rest] == [PeerDown]
            with pytest.raises(trio.EndOfChannel):
                ana.events.receive_nowait()

    @in_trio
    async def test_comes_back_after_an_end(self, network: Network) -> None:
        """A peer can connect again at once, and each connection has its own `PeerUp` and `PeerDown`."""
        ana, bo = network.transport(ANA), network.transport(BO)
        async with all_running(ana, bo):
            for number in range(5):
                await connect(ana, bo)
                assert ana.send(bo.peer_key, bytes([number]))
                assert (await next_of(bo, Frame)).data == bytes([number])
                bo.disconnect(ana.peer_key)
                await next_of(ana, PeerDown)
                await next_of(bo, PeerDown)

    # -- the gate --

    @in_trio
    async def test_recheck_throws_out(self, network: Network) -> None:
        """Who is no longer a member is disconnected, the others are not."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(ana, cy)
            ana.recheck()
            assert ana.peers() == sorted([bo.peer_key, cy.peer_key])
            ana.set_gate(lambda peer: peer == cy.peer_key)
            ana.recheck()
            assert (await next_of(ana, PeerDown)).peer == bo.peer_key
            assert (await next_of(bo, PeerDown)).peer == ana.peer_key
            assert ana.peers() == [cy.peer_key]
            assert await refused(bo.dial(ana.addresses()[0], DIAL_S)) == DialReason.NOT_ADMITTED

    # -- knocking --

    @in_trio
    async def test_stranger_may_knock_and_nothing_else(self, network: Network) -> None:
        """A stranger asks one question and gets one answer; the node hears of no peer and of no frame."""
        ana, bo = network.transport(ANA), network.transport(BO)
        asked: list[PeerKey] = []

        async def handler(peer: PeerKey, data: bytes) -> bytes | None:
            asked.append(peer)
            return data + b"!" if data != b"silence" else None

        bo.set_knock_handler(handler)
        async with ana.running(), bo.running():
            assert isinstance(await bo.events.receive(), Listening)
            address = bo.addresses()[0]
            assert await ana.request(address, b"hello", DIAL_S) == b"hello!"
            assert await refused(ana.request(address, b"silence", DIAL_S)) == DialReason.NOT_ADMITTED
            largest = bytes(KNOCK_REQUEST_BYTES_MAX)
            assert await ana.request(address, largest, DIAL_S) == largest + b"!"
            assert asked == [ana.peer_key] * 3
            assert ana.peers() == bo.peers() == []
            with pytest.raises(trio.WouldBlock):
                bo.events.receive_nowait()

    @in_trio
    async def test_largest_answer_arrives(self, network: Network) -> None:
        """An answer of the largest size is delivered; a larger one is our own bug, and is not."""
        ana, bo = network.transport(ANA), network.transport(BO)
        sizes = iter([KNOCK_RESPONSE_BYTES_MAX, KNOCK_RESPONSE_BYTES_MAX + 1, 0])

        async def handler(_peer: PeerKey, _data: bytes) -> bytes | None:
            return bytes(next(sizes))

        bo.set_knock_handler(handler)
        async with ana.running(), bo.running():
            address = bo.addresses()[0]
            assert len(await ana.request(address, b"?", DIAL_S)) == KNOCK_RESPONSE_BYTES_MAX
            assert await refused(ana.request(address, b"?", DIAL_S)) == DialReason.NOT_ADMITTED
            assert await refused(ana.request(address, b"?", DIAL_S)) == DialReason.NOT_ADMITTED

    @in_trio
    async def test_member_may_knock_too(self, network: Network) -> None:
        """By its key when it is connected, by an address in any case."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        bo.set_knock_handler(reverse)
        async with all_running(ana, bo, cy):
            assert await refused(ana.request(bo.peer_key, b"abc", DIAL_S)) == DialReason.UNREACHABLE
            assert await ana.request(bo.addresses()[0], b"abc", DIAL_S) == b"cba"
            await connect(ana, bo)
            assert await ana.request(bo.peer_key, b"abc", DIAL_S) == b"cba"
            assert await ana.request(bo.addresses()[0], b"abc", DIAL_S) == b"cba"
            assert ana.peers() == [bo.peer_key]
            assert await refused(bo.request(ana.peer_key, b"abc", DIAL_S)) == DialReason.NOT_ADMITTED
            assert await refused(bo.request(cy.addresses()[0], b"abc", DIAL_S)) == DialReason.NOT_ADMITTED

    @in_trio
    async def test_failing_handler_harms_nobody(self, network: Network) -> None:
        """An error of ours while answering is a closed stream for the other side, and nothing for us."""
        ana, bo = network.transport(ANA), network.transport(BO)

        async def handler(_peer: PeerKey, _data: bytes) -> bytes | None:
            raise ZeroDivisionError

        bo.set_knock_handler(handler)
        async with all_running(ana, bo):
            await connect(ana, bo)
            assert await refused(ana.request(bo.peer_key, b"abc", DIAL_S)) == DialReason.NOT_ADMITTED
            assert ana.send(bo.peer_key, b"still here")
            assert (await next_of(bo, Frame)).data == b"still here"

    @in_trio
    async def test_knock_has_a_deadline(self, network: Network) -> None:
        """A handler that thinks for too long is not waited for."""
        ana, bo = network.transport(ANA), network.transport(BO)

        async def handler(_peer: PeerKey, _data: bytes) -> bytes | None:
            await trio.sleep_forever()
            raise AssertionError

        bo.set_knock_handler(handler)
        async with ana.running(), bo.running():
            assert await refused(ana.request(bo.addresses()[0], b"abc", 0.2)) == DialReason.TIMEOUT

    @in_trio
    async def test_stranger_becomes_a_member(self, network: Network) -> None:
        """Who knocks with its introduction can dial as soon as the gate knows it."""
        ana, bo = network.transport(ANA), network.transport(BO)
        members: set[PeerKey] = set()

        async def handler(peer: PeerKey, _data: bytes) -> bytes | None:
            members.add(peer)
            bo.recheck()
            return b"welcome"

        bo.set_gate(members.__contains__)
        bo.set_knock_handler(handler)
        ana.set_gate(lambda _peer: True)
        async with ana.running(), bo.running():
            assert await refused(ana.dial(bo.addresses()[0], DIAL_S)) == DialReason.NOT_ADMITTED
            assert await ana.request(bo.addresses()[0], b"introduction", DIAL_S) == b"welcome"
            await connect(ana, bo)

    # -- gossip --

    @in_trio
    async def test_gossip_reaches_who_is_no_neighbour(self, network: Network) -> None:
        """A message goes from neighbour to neighbour, with the name of its author, and not back."""
        ana, bo, cy = (network.transport(seed, topic="tea") for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            got: list[Gossip] = []
            async with trio.open_nursery() as nursery:

                async def publish_until_heard() -> None:
                    while len(got) < 2:
                        ana.publish(b"news")
                        await trio.sleep(0.1)

                async def hear(transport: Transport) -> None:
                    got.append(await next_of(transport, Gossip))

                nursery.start_soon(publish_until_heard)
                nursery.start_soon(hear, bo)
                nursery.start_soon(hear, cy)
            by_neighbour = {each.peer: each for each in got}
            assert by_neighbour[ana.peer_key] == Gossip(data=b"news", peer=ana.peer_key, author=ana.peer_key)
            assert by_neighbour[bo.peer_key] == Gossip(data=b"news", peer=bo.peer_key, author=ana.peer_key)
            with pytest.raises(trio.WouldBlock):
                ana.events.receive_nowait()

    @in_trio
    async def test_gossip_of_a_stranger_is_not_heard(self, network: Network) -> None:
        """An author whom our gate does not know is ignored, though a neighbour whom we know hands it on."""
        ana, bo, cy = (network.transport(seed, topic="tea") for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(ana, bo)
            await connect(cy, bo)
            cy.set_gate(lambda peer: peer == bo.peer_key)
            heard: Gossip | None = None
            async with trio.open_nursery() as nursery:

                async def publish_until_heard() -> None:
                    while heard is None:
                        ana.publish(b"from a stranger")
                        bo.publish(b"from a member")
                        await trio.sleep(0.1)

                nursery.start_soon(publish_until_heard)
                heard = await next_of(cy, Gossip)
            assert heard.author == bo.peer_key and heard.data == b"from a member"

    @in_trio
    async def test_gossip_without_topic_is_nothing(self, network: Network) -> None:
        """A transport without a topic neither speaks nor hears, and syncs all the same."""
        ana, bo = network.transport(ANA, topic="tea"), network.transport(BO)
        async with all_running(ana, bo):
            await connect(ana, bo)
            ana.publish(b"news")
            bo.publish(b"news")
            assert ana.send(bo.peer_key, b"frame")
            assert await bo.events.receive() == Frame(peer=ana.peer_key, data=b"frame")
            assert ana.peers() == [bo.peer_key]

    # -- fairness --

    @in_trio
    async def test_busy_peer_delays_no_other(self, network: Network) -> None:
        """The reader gets the one frame of a quiet peer between the many of a busy one."""
        ana, bo, cy = (network.transport(seed) for seed in (ANA, BO, CY))
        async with all_running(ana, bo, cy):
            await connect(bo, ana)
            await connect(cy, ana)
            for _ in range(1000):
                assert bo.send(ana.peer_key, bytes(100))
            await eventually(lambda: bo.queued_bytes(ana.peer_key) == 0)
            assert cy.send(ana.peer_key, b"quiet")
            await eventually(lambda: cy.queued_bytes(ana.peer_key) == 0)
            first = [await ana.events.receive()]
            while not (isinstance(first[-1], Frame) and first[-1].data == b"quiet"):
                first.append(await ana.events.receive())
            assert len(first) < 900


async def _read_all(transport: Transport) -> None:
    async for _ in transport.events:
        continue
