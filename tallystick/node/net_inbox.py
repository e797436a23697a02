"""The queue between a transport and its node: ordered within one peer, fair between peers, bounded by credit.

Every peer has its own line of events. The reader takes one event of each peer in turn, so a peer that sends much
delays no other. What bounds the memory is not this queue but the credit of each session (`net_framing`): a peer may
send only what the node has read, and so this queue never has to say no.

That there is room to send more to a peer is told when there is nothing else, or after `ROOM_EVERY` other events: it may
mean a mebibyte of blocks, and hundreds who ask for all of them must not delay whoever says something.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import trio

from tallystick.node.transport import Frame, Gossip, PeerDown, PeerKey, TransportEvent, Writable

_Taken = Callable[[int], None]
ROOM_EVERY: Final = 64
_NOBODY = b""
"""The line of events that belong to no peer."""


class Inbox:
    """Events of one transport that the node has not read yet."""

    def __init__(self, *, gossip_max: int) -> None:
        self._lines: dict[PeerKey, deque[tuple[TransportEvent, int, _Taken | None]]] = {}
        self._turns: deque[PeerKey] = deque()
        """Peers with something to read, each once."""
        self._waiting: set[PeerKey] = set()
        """The same peers, for a quick look."""
        self._paused: set[PeerKey] = set()
        self._unread: dict[PeerKey, int] = {}
        """What the queued frames of each peer cost; no entry for nothing."""
        self._gossip: deque[Gossip] = deque(maxlen=gossip_max)
        self._gossip_turn = False
        self._rooms: dict[PeerKey, Writable] = {}
        """Peers to whom more can be sent."""
        self._since_room = 0
        """Other events that were taken since there was room for somebody."""
        self._news = trio.Event()
        self._closed = False
        self.gossip_dropped = 0

    # -- the transport's side --

    def put(self, event: TransportEvent, peer: PeerKey = _NOBODY) -> None:
        """Queue an event behind everything else of the same peer."""
        if isinstance(event, PeerDown):
            # Nothing more will come: what is held back must be read, so that the last event is reached.
            self._paused.discard(peer)
            self._rooms.pop(peer, None)
        if isinstance(event, Writable):
            self._rooms[peer] = event
            self._news.set()
            return
        self._lines.setdefault(peer, deque()).append((event, 0, None))
        self._wake(peer)

    def put_frame(self, frame: Frame, cost: int, taken: _Taken) -> None:
        """Queue a frame; `taken(cost)` is called when the node reads it."""
        self._unread[frame.peer] = self._unread.get(frame.peer, 0) + cost
        self._lines.setdefault(frame.peer, deque()).append((frame, cost, taken))
        self._wake(frame.peer)

    def put_gossip(self, gossip: Gossip) -> None:
        """Queue a gossip message, dropping the oldest one when there are too many: it is only a hint."""
        if len(self._gossip) == self._gossip.maxlen:
            self.gossip_dropped += 1
        self._gossip.append(gossip)
        self._news.set()

    def unread(self, peer: PeerKey) -> int:
        """Return what the queued frames of a peer cost."""
        return self._unread.get(peer, 0)

    def pause(self, peer: PeerKey) -> None:
        """Hold the events of this peer back."""
        self._paused.add(peer)

    def resume(self, peer: PeerKey) -> None:
        """Let the events of this peer through again."""
        self._paused.discard(peer)
        if self._lines.get(peer):
            self._wake(peer)
        self._news.set()

    def close(self) -> None:
        """Say that nothing more will come; what is there can still be read."""
        self._closed = True
        self._paused.clear()
        for peer in list(self._lines):
            self._wake(peer)
        self._news.set()

    def _wake(self, peer: PeerKey) -> None:
        if peer in self._paused or peer in self._waiting:
            return
        self._waiting.add(peer)
        self._turns.append(peer)
        self._news.set()

    # -- the node's side --

    def receive_nowait(self) -> TransportEvent:
        """Take the next event, or raise trio.WouldBlock or trio.EndOfChannel."""
        if self._since_room >= ROOM_EVERY and (room := self._next_room()) is not None:
            return room
        self._since_room += 1
        if self._gossip and (self._gossip_turn or not self._turns):
            self._gossip_turn = False
            return self._gossip.popleft()
        while self._turns:
            peer = self._turns.popleft()
            self._waiting.discard(peer)
            line = self._lines.get(peer)
            if not line or peer in self._paused:
                continue
            event, cost, taken = line.popleft()
            if line:
                self._waiting.add(peer)
                self._turns.append(peer)
            else:
                del self._lines[peer]
            self._gossip_turn = True
            if taken is not None:
                left = self._unread.pop(peer) - cost
                if left:
                    self._unread[peer] = left
                taken(cost)
            return event
        if self._gossip:
            return self._gossip.popleft()
        if (room := self._next_room()) is not None:
            return room
        if self._closed:
            raise trio.EndOfChannel
        raise trio.WouldBlock

    def _next_room(self) -> Writable | None:
        peer = next((peer for peer in self._rooms if peer not in self._paused), None)
        if peer is None:
            return None
        self._since_room = 0
        return self._rooms.pop(peer)

    async def receive(self) -> TransportEvent:
        """Wait for the next event. Raises trio.EndOfChannel once closed and empty."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                event = self.receive_nowait()
            except trio.WouldBlock:
                self._news = trio.Event()
                await self._news.wait()
                continue
            await trio.lowlevel.cancel_shielded_checkpoint()
            return event

    def __aiter__(self) -> AsyncIterator[TransportEvent]:
        return self

    async def __anext__(self) -> TransportEvent:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
