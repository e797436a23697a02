"""The queue before the node: order within a peer, turns between peers, and what pausing and closing mean."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio
import trio.testing

from tallystick.node.net_inbox import ROOM_EVERY, Inbox
from tallystick.node.transport import Frame, Gossip, Listening, PeerDown, PeerKey, PeerUp, TransportEvent, Writable

ANA, BO = b"a" * 32, b"b" * 32


def frame(inbox: Inbox, peer: PeerKey, data: bytes, taken: list[int] | None = None) -> None:
    inbox.put_frame(Frame(peer=peer, data=data), len(data), (taken if taken is not None else []).append)


def everything(inbox: Inbox) -> list[TransportEvent]:
    events = []
    while True:
        try:
            events.append(inbox.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            return events


def texts(events: list[TransportEvent]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Frame | Gossip)]


def test_order_within_a_peer_and_turns_between_them() -> None:
    """Ten of one peer do not come before the one of another."""
    inbox = Inbox(gossip_max=10)
    for number in range(10):
        frame(inbox, ANA, b"a%d" % number)
    frame(inbox, BO, b"b")
    read = texts(everything(inbox))
    assert [each for each in read if each != b"b"] == [b"a%d" % number for number in range(10)]
    assert read.index(b"b") <= 1


def test_reading_gives_credit_once() -> None:
    """The cost of a frame is given back when it is read, and counts as unread until then."""
    inbox = Inbox(gossip_max=10)
    taken: list[int] = []
    frame(inbox, ANA, b"12345", taken)
    frame(inbox, ANA, b"123", taken)
    assert (inbox.unread(ANA), taken) == (8, [])
    inbox.receive_nowait()
    assert (inbox.unread(ANA), taken) == (3, [5])
    inbox.receive_nowait()
    assert (inbox.unread(ANA), taken) == (0, [5, 3])
    assert inbox.unread(BO) == 0


def test_paused_peer_waits_alone() -> None:
    """Pausing holds one peer back, resuming lets it go on where it was; doing either twice is the same."""
    inbox = Inbox(gossip_max=10)
    frame(inbox, ANA, b"a1")
    inbox.pause(ANA)
    inbox.pause(ANA)
    frame(inbox, ANA, b"a2")
    frame(inbox, BO, b"b")
    assert texts(everything(inbox)) == [b"b"]
    inbox.resume(ANA)
    inbox.resume(ANA)
    assert texts(everything(inbox)) == [b"a1", b"a2"]
    inbox.resume(BO)
    assert everything(inbox) == []


def test_end_of_a_peer_lifts_its_pause() -> None:
    """Else its last event would never be reached, and a new connection would begin paused."""
    inbox = Inbox(gossip_max=10)
    inbox.pause(ANA)
    frame(inbox, ANA, b"last")
    inbox.put(PeerDown(peer=ANA, reason="gone"), ANA)
    up = PeerUp(peer=ANA, outbound=True, relayed=False, address="")
    inbox.put(up, ANA)
    assert everything(inbox) == [Frame(peer=ANA, data=b"last"), PeerDown(peer=ANA, reason="gone"), up]


def test_gossip_drops_the_oldest() -> None:
    """Gossip is a hint: when nobody reads, the newest is worth more."""
    inbox = Inbox(gossip_max=3)
    for number in range(5):
        inbox.put_gossip(Gossip(data=b"%d" % number, peer=ANA, author=ANA))
    assert inbox.gossip_dropped == 2
    assert texts(everything(inbox)) == [b"2", b"3", b"4"]


def test_gossip_and_frames_take_turns() -> None:
    """Neither a flood of gossip nor one of frames holds the other up."""
    inbox = Inbox(gossip_max=100)
    for number in range(20):
        inbox.put_gossip(Gossip(data=b"g%d" % number, peer=ANA, author=ANA))
        frame(inbox, ANA, b"f%d" % number)
    first = texts(everything(inbox))[:10]
    assert sum(each.startswith(b"g") for each in first) == 5


def test_closed_queue_is_read_to_its_end() -> None:
    """Closing wakes who waits, lets through what was paused, and ends when all is read."""

    async def main() -> None:
        inbox = Inbox(gossip_max=10)
        inbox.pause(ANA)
        frame(inbox, ANA, b"held back")
        got: list[TransportEvent] = []

        async def read() -> None:
            got.extend([event async for event in inbox])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            inbox.close()
        assert texts(got) == [b"held back"]
        with pytest.raises(trio.EndOfChannel):
            await inbox.receive()
        with pytest.raises(trio.EndOfChannel):
            inbox.receive_nowait()

    trio.run(main)


def test_waiting_reader_is_woken_by_each_kind_of_event() -> None:
    """Nobody sleeps while there is something to read."""

    async def main() -> None:
        inbox = Inbox(gossip_max=10)
        listening = Listening(addresses=())
        gossip = Gossip(data=b"g", peer=ANA, author=BO)
        puts: list[tuple[Callable[[], None], TransportEvent]] = [
            (partial(inbox.put, listening), listening),
            (partial(inbox.put_gossip, gossip), gossip),
            (partial(frame, inbox, ANA, b"f"), Frame(peer=ANA, data=b"f")),
        ]
        for put, expected in puts:
            got: list[TransportEvent] = []

            async def read(got: list[TransportEvent] = got) -> None:
                got.append(await inbox.receive())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                put()
            assert got == [expected]

    trio.run(main)


def test_cancelled_reader_loses_nothing() -> None:
    """What a cancelled reader had not been given is still there."""

    async def main() -> None:
        inbox = Inbox(gossip_max=10)
        with trio.CancelScope() as scope:
            scope.cancel()
            frame(inbox, ANA, b"f")
            await inbox.receive()
        assert scope.cancelled_caught
        assert texts(everything(inbox)) == [b"f"]

    trio.run(main)


def test_room_to_send_is_told_between_other_events() -> None:
    """Hundreds who are to be sent something delay nobody who says something, and are not forgotten for it."""
    inbox = Inbox(gossip_max=10)
    crowd = [bytes([number]) * 32 for number in range(4)]
    for peer in crowd:
        inbox.put(Writable(peer=peer), peer)
    for number in range(2 * ROOM_EVERY + 10):
        frame(inbox, ANA, b"%d" % number)
    events = everything(inbox)
    places = [place for place, event in enumerate(events) if isinstance(event, Writable)]
    assert places == [ROOM_EVERY, 2 * ROOM_EVERY + 1, len(events) - 2, len(events) - 1]
    assert [events[place].peer for place in places] == crowd  # type: ignore[union-attr]


def test_room_is_told_once_and_to_nobody_who_is_gone_or_paused() -> None:
    """It waits with the other events of a peer that is held back, and ends with its connection."""
    inbox = Inbox(gossip_max=10)
    for peer in (ANA, ANA, BO):
        inbox.put(Writable(peer=peer), peer)
    inbox.pause(ANA)
    inbox.put(PeerDown(peer=BO, reason="it left"), BO)
    assert everything(inbox) == [PeerDown(peer=BO, reason="it left")]
    inbox.resume(ANA)
    assert everything(inbox) == [Writable(peer=ANA)]
