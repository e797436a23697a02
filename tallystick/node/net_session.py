"""The sync stream to one peer: two bounded queues, two tasks, credit both ways.

Source: docs/spec/sync.md#frames.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError

from tallystick.node.net_framing import Credit, FrameReader, FramingError, encode_credit, encode_frame, frame_cost
from tallystick.node.net_inbox import Inbox
from tallystick.node.net_links import Link
from tallystick.node.transport import Frame, TransportLimits, Writable

log = logging.getLogger("tallystick.net")

READ_BYTES: Final = 256 * 1024
WRITE_BYTES: Final = 64 * 1024
"""Small frames are written together until they are this long; a larger frame goes alone."""
FAREWELL_S: Final = 1.0
"""How long a polite end may take."""


@dataclass(slots=True)
class Queued:
    """What waits to be sent to all peers together."""

    size_bytes: int = 0


class Session:
    """An open sync stream. `run` serves it to its end and then drops the link.

    `opened` is called once, when the other side has given credit: then both sides have agreed to sync.
    `taken` is called with the cost of each frame that the node reads, even after this session has ended.
    """

    def __init__(
        self,
        link: Link,
        stream: INetStream,
        inbox: Inbox,
        limits: TransportLimits,
        queued: Queued,
        *,
        opened: Callable[[], None],
        taken: Callable[[int], None],
    ) -> None:
        self.link = link
        self.peer = link.peer
        self._stream = stream
        self._inbox = inbox
        self._limits = limits
        self._reader = FrameReader()
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._queued = queued
        self._refused = False
        """`send` said False, or the node asks for room: a `Writable` is owed."""
        self._credit = 0
        """What we may still send."""
        self._granted = 0
        """What the peer may still send."""
        # What earlier connections of this peer have left unread counts, or reconnecting would be a way round.
        self._read = max(0, limits.inbox_bytes - inbox.unread(link.peer))
        """What the node has read and the peer has not been granted again."""
        self._greeted = False
        """The first grant is written, however small: it tells the other side that we agree."""
        self._opened = opened
        self._on_taken = taken
        self._work = trio.Event()
        self._closing = False
        self._done = False

    # -- the node's side --

    @property
    def queued_bytes(self) -> int:
        """Bytes of frames that are not yet written."""
        return self._outbox_bytes

    def send(self, frame: bytes) -> bool:
        """Queue a frame, or say False."""
        if self._done or self._closing:
            return False
        full = len(self._outbox) >= self._limits.outbox_frames
        if full or (self._outbox and self._outbox_bytes + len(frame) > self._limits.outbox_bytes):
            self._refused = True
            return False
        self._push(frame)
        return True

    def ask_room(self) -> None:
        """Have a `Writable` follow as soon as the queue is at most half full."""
        self._refused = True
        self._work.set()

    def _push(self, frame: bytes) -> None:
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self._queued.size_bytes += len(frame)
        self._work.set()

    def discard(self) -> None:
        """Let go of what is queued: the link is gone."""
        self._done = True
        self._outbox.clear()
        self._queued.size_bytes -= self._outbox_bytes
        self._outbox_bytes = 0

    def finish(self, polite: bytes | None) -> None:
        """Write what is queued and one last frame, then end the stream; the caller sets the deadline."""
        if not (self._done or self._closing):
            if polite:
                self._push(polite)
            self._closing = True
            self._work.set()

    # -- the wire's side --

    async def run(self) -> None:
        """Read and write until one side ends it. Never raises but trio.Cancelled."""
        reason = "the connection ended"
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all)
                reason = await self._read_all()
                nursery.cancel_scope.cancel()
        except* FramingError as group:
            reason = str(group.exceptions[0])
        except* (BaseLibp2pError, OSError) as group:
            log.debug("stream of %s: %r", self.link.name, group.exceptions[0])
        except* Exception:
            log.exception("stream of %s", self.link.name)
            reason = "an error of ours"
        finally:
            # Also where the link was dropped before it had this session.
            self.discard()
            self.link.drop(reason)

    async def _read_all(self) -> str:
        while True:
            try:
                data = await self._stream.read(READ_BYTES)
            except (BaseLibp2pError, OSError) as error:
                log.debug("reading from %s: %r", self.link.name, error)
                return "the other side hung up"
            if not data:
                return "the other side hung up"
            for item in self._reader.feed(data):
                if self.link.dropped:
                    # `PeerDown` is queued already, and nothing may follow it.
                    return "the connection ended"
                if isinstance(item, Credit):
                    if not self.link.up:
                        self._opened()
                    # More than the peer can mean would be a number that grows for ever.
                    self._credit = min(self._credit + item.units, 1 << 40)
                    self._work.set()
                    continue
                cost = frame_cost(item)
                if cost > self._granted:
                    raise FramingError("it sends more than it was given credit for")
                self._granted -= cost
                self._inbox.put_frame(Frame(peer=self.peer, data=item), cost, self._on_taken)

    def give_back(self, cost: int) -> None:
        """Let the peer send so much more: the node has read a frame of this cost."""
        self._read += cost
        if self._is_grant_due():
            self._work.set()

    def _is_grant_due(self) -> bool:
        return not self._greeted or self._read >= self._limits.inbox_bytes // 4

    def _next_chunk(self) -> bytes:
        """Take as much as may be written at once."""
        chunk = b""
        if self._is_grant_due():
            self._granted += self._read
            chunk = encode_credit(self._read)
            self._read = 0
            self._greeted = True
        parts = [chunk]
        size = len(chunk)
        while self._outbox and (size < WRITE_BYTES):
            frame = self._outbox[0]
            cost = frame_cost(frame)
            if cost > self._credit:
                break
            self._outbox.popleft()
            self._outbox_bytes -= len(frame)
            self._queued.size_bytes -= len(frame)
            self._credit -= cost
            parts.append(encode_frame(frame))
            size += len(frame) + 3
        return b"".join(parts)

    async def _write_all(self) -> None:
        while True:
            chunk = self._next_chunk()
            if (
                self._refused
                and self._outbox_bytes <= self._limits.outbox_bytes // 2
                and len(self._outbox) <= self._limits.outbox_frames // 2
            ):
                self._refused = False
                self._inbox.put(Writable(peer=self.peer), self.peer)
            if chunk:
                await self._stream.write(chunk)
            elif self._closing and not self._outbox:
                # The other side answers an end by closing the connection; closing it here could destroy what it
                # has not read yet.
                await self._stream.close()
                return
            else:
                self._work = trio.Event()
                await self._work.wait()
