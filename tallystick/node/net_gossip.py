"""Announcements to everybody through libp2p's gossipsub, among admitted members only.

Gossip is a hint: it may be lost, doubled or late, and nothing depends on it. What it must not do is harm: fill the
memory, end the node, or stop for good after a connection was replaced. So of the library's `Pubsub` only the tables
that its router works on are used; reading, writing and judging are here, where each is bounded.

Source: docs/spec/sync.md#gossip.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import Reader
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.utils import safe_bytes_from_hex
from libp2p.pubsub.validators import signature_validator
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from tallystick.node.net_links import Link, key_of
from tallystick.node.net_streams import StreamRefusedError, link_of, open_stream
from tallystick.node.net_tasks import CalmService
from tallystick.node.transport import GOSSIP_BYTES_MAX, Gossip, PeerKey

log = logging.getLogger("tallystick.net")

MESH: Final = TProtocol("/meshsub/1.1.0")
_RPC_BYTES_MAX: Final = 1024 * 1024
"""What the router of the other side packs into one message."""
_QUEUE_BYTES_MAX: Final = 4 * 1024 * 1024
_QUEUE_LENGTH_MAX: Final = 4096
_SEEN_MAX: Final = 50_000
_SEEN_S: Final = 300.0
_MESSAGES_PER_S: Final = 200.0
_BURST: Final = 2000.0
_UNIT_BYTES: Final = 8 * 1024
"""A message counts once for so many bytes; what an honest node says has fewer."""
_IDS_MAX: Final = 1024
_IWANT_BYTES_MAX: Final = 256 * 1024
"""Of the messages that one question is answered with: a few bytes name sixteen mebibytes."""
_CACHE_BYTES_MAX: Final = 16 * 1024 * 1024


class _Seen:
    """Ids of messages of the last minutes. The library's own has a thread for each node, and no bound."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def has(self, key: bytes) -> bool:
        return self._until.get(key, 0.0) > trio.current_time()

    def add(self, key: bytes) -> bool:
        if self.has(key):
            return False
        now = trio.current_time()
        self._until.pop(key, None)
        self._until[key] = now + _SEEN_S
        while self._until and (len(self._until) > _SEEN_MAX or next(iter(self._until.values())) <= now):
            self._until.popitem(last=False)
        return True


class _Queue(RpcQueue):
    """What waits to be sent to one neighbour: the library's is too short for a burst, and counts no bytes."""

    def __init__(self) -> None:
        super().__init__(max_size=_QUEUE_LENGTH_MAX, max_message_size=_RPC_BYTES_MAX)
        self._size_bytes = 0

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:
        size = rpc.ByteSize()
        if self._size_bytes + size > _QUEUE_BYTES_MAX or not super().push(rpc, priority):
            return False
        self._size_bytes += size
        return True

    async def pop(self) -> rpc_pb2.RPC | None:
        rpc = await super().pop()
        if rpc is not None:
            self._size_bytes -= rpc.ByteSize()
        return rpc


class _Cache(MessageCache):
    """Messages of the last heartbeats, for neighbours who missed them; no more than fits."""

    def __init__(self, window_size: int, history_size: int) -> None:
        super().__init__(window_size, history_size)
        self._size_bytes = 0

    def put(self, msg: rpc_pb2.Message) -> None:
        if self._size_bytes + len(msg.data) <= _CACHE_BYTES_MAX:
            super().put(msg)
            self._size_bytes += len(msg.data)

    def shift(self) -> None:
        super().shift()
        self._size_bytes = sum(len(msg.data) for msg in self.msgs.values())


class _Rate:
    """How many messages a neighbour may send: so many at once, then so many a second."""

    def __init__(self) -> None:
        self._left = _BURST
        self._at = trio.current_time()

    def take(self, size_bytes: int = 0) -> bool:
        now = trio.current_time()
        self._left = min(_BURST, self._left + (now - self._at) * _MESSAGES_PER_S)
        self._at = now
        cost = 1 + size_bytes // _UNIT_BYTES
        if self._left < cost:
            return False
        self._left -= cost
        return True


class _Buffered(Reader):
    """Reads a stream in large pieces: the library asks for single bytes, and each read costs a frame of the muxer."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def read(self, n: int | None = None) -> bytes:
        if not self._buffer:
            self._buffer = bytes(await self._stream.read(64 * 1024))
        data = self._buffer[:n]
        self._buffer = self._buffer[len(data) :]
        return data


class _Router(CalmService, GossipSub):
    """Gossipsub with values for small groups, without what it counts and never forgets."""

    def __init__(self) -> None:
        super().__init__(
            [MESH],
            degree=8,
            degree_low=6,
            # Well above what a full mesh of a small group has, or peers are pruned and come back for ever.
            degree_high=24,
            heartbeat_interval=1,
            heartbeat_initial_delay=0.2,
            gossip_window=10,
            gossip_history=20,
            prune_back_off=10,
            unsubscribe_back_off=5,
            do_px=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
            adaptive_gossip_enabled=False,
        )

        self.mcache = _Cache(self.mcache.window_size, self.mcache.history_size)

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        await super().publish(msg_forwarder, pubsub_msg)
        self.recent_message_deliveries.clear()

    def _check_equivocation(self, msg: rpc_pb2.Message) -> bool:
        # A second message with one number is not passed on anyway; the library would keep every message for this.
        return True


class _Pubsub(CalmService, Pubsub):
    """The tables that the router works on, filled by us."""

    def __init__(self, host: BasicHost, topic: str) -> None:
        self.router_: _Router = _Router()
        super().__init__(host, self.router_, strict_signing=True, allowed_topics={topic})
        self.seen_messages._stop_event.set()
        self.seen_messages = _Seen()  # type: ignore[assignment]
        # Numbers that begin at the time of day in seconds come again after a restart that follows a burst.
        self.counter = time.time_ns()
        self.deliver: Callable[[PeerKey, PeerKey, bytes], None] = lambda _neighbour, _author, _data: None
        self.topic = topic
        self.is_member: Callable[[PeerKey], bool] = lambda _peer: False

    # -- what the library would do by itself, and at the wrong time --

    def _handle_dead_peer(self, peer_id: ID) -> None:
        # The library calls this for a peer when any stream of it fails, also one of an earlier connection.
        log.debug("a gossip stream of %s failed", peer_id)

    def get_hello_packet(self) -> rpc_pb2.RPC:
        subscriptions = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic) for topic in self.topic_ids]
        return rpc_pb2.RPC(subscriptions=subscriptions)

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        # Only one task writes to a stream, or two messages could be mixed.
        queue = self.peer_queues.get(stream.muxed_conn.peer_id)
        return queue is not None and queue.push(rpc_msg)

    def forget(self, peer: ID) -> None:
        """Remove a neighbour, at once."""
        self._clear_pending_announce_retries_for_peer(peer)
        self._forget_all_subscriptions(peer)
        self.peers.pop(peer, None)
        queue = self.peer_queues.pop(peer, None)
        if queue is not None:
            queue.close()
        self.router_.remove_peer(peer)

    # -- outbound --

    async def greet(self, link: Link, peer: ID, timeout_s: float) -> None:
        """Open our gossip stream to a new neighbour and write to it what the router says."""
        try:
            stream = await open_stream(self.host, link, MESH, timeout_s)  # type: ignore[arg-type]
        except StreamRefusedError as error:
            # It may have no gossip at all; the sync stream is enough.
            log.info("no gossip with %s: %s", link.name, error)
            return
        queue = _Queue()
        queue.push(self.get_hello_packet())
        if link.dropped:
            return
        self.router_.add_peer(peer, MESH)
        self.peers[peer] = stream
        self.peer_queues[peer] = queue
        self.manager.run_task(self._after_greeting, peer)
        try:
            while (rpc := await queue.pop()) is not None:
                await stream.write(encode_varint_prefixed(rpc.SerializeToString()))
        except (BaseLibp2pError, OSError) as error:
            log.debug("gossip to %s: %r", link.name, error)
        link.drop("its gossip ended")

    async def _after_greeting(self, peer: ID) -> None:
        await self.router_.flush_pending_messages(peer)
        await self._send_recent_messages_to_new_peer(peer)

    # -- inbound --

    async def stream_handler(self, stream: INetStream) -> None:
        link = link_of(stream)
        if not link.admitted or link.session is None or link.gossiping or link.dropped:
            return
        link.gossiping = True
        try:
            await self._read_all(link, stream)
        except (BaseLibp2pError, OSError, DecodeError, ValueError) as error:
            log.debug("gossip from %s: %r", link.name, error)
        link.drop("its gossip ended")

    async def _read_all(self, link: Link, stream: INetStream) -> None:
        peer: ID = stream.muxed_conn.peer_id
        reader, rate = _Buffered(stream), _Rate()
        while True:
            rpc = rpc_pb2.RPC()
            rpc.ParseFromString(await read_varint_prefixed_bytes_limited(reader, _RPC_BYTES_MAX))
            if not rate.take():
                continue
            for subscription in rpc.subscriptions[:8]:
                if subscription.topicid == self.topic:
                    self.handle_subscription(peer, subscription)
            for message in rpc.publish:
                if rate.take(len(message.data)):
                    await self.push_msg(peer, message)
            if rpc.HasField("control"):
                await self.router_.handle_rpc(rpc_pb2.RPC(control=self._ours(rpc.control)), peer)
            # Others get their turn after each message, however fast this peer is.
            await trio.lowlevel.checkpoint()

    def _ours(self, control: Any) -> Any:
        """Keep what is about our topic, and no more of it than an honest neighbour sends."""
        kept = rpc_pb2.ControlMessage()
        for each in control.ihave[:1]:
            if each.topicID == self.topic:
                kept.ihave.add(topicID=self.topic, messageIDs=_first(each.messageIDs))
        for each in control.iwant[:1]:
            kept.iwant.add(messageIDs=self._at_hand(_first(each.messageIDs)))
        for each in control.graft[:1]:
            if each.topicID == self.topic:
                kept.graft.add(topicID=self.topic)
        for each in control.prune[:1]:
            if each.topicID == self.topic:
                kept.prune.add(topicID=self.topic, backoff=min(each.backoff, 60))
        return kept

    def _at_hand(self, ids: Iterable[bytes]) -> list[bytes]:
        """Of the messages that are asked for those that are here, as many as one answer may hold."""
        size, found = 0, []
        for each in ids:
            key = safe_bytes_from_hex(each)
            message = None if key is None else self.router_.mcache.get(key)
            if message is not None:
                size += len(message.data)
                if size > _IWANT_BYTES_MAX:
                    break
                found.append(each)
        return found

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Judge a message; if it is good and new, deliver it and pass it on."""
        own = msg_forwarder == self.my_id
        if list(msg.topicIDs) != [self.topic] or not 1 <= len(msg.data) <= GOSSIP_BYTES_MAX or self._is_msg_seen(msg):
            return
        if not own:
            try:
                author, neighbour = key_of(ID(msg.from_id)), key_of(msg_forwarder)
                good = len(msg.seqno) == 8 and self.is_member(author) and signature_validator(msg)
            except Exception as error:
                log.debug("a gossip message is broken: %r", error)
                return
            if not good or ID(msg.from_id) == self.my_id:
                return
            self.deliver(neighbour, author, msg.data)
        self._mark_msg_seen(msg)
        await self.router_.publish(msg_forwarder, msg)


def _first(ids: Iterable[bytes]) -> list[bytes]:
    return list(dict.fromkeys(ids))[:_IDS_MAX]


class GossipNet:
    """The gossip of one node on one topic."""

    def __init__(
        self,
        host: BasicHost,
        topic: str,
        *,
        is_member: Callable[[PeerKey], bool],
        deliver: Callable[[Gossip], None],
        timeout_s: float,
    ) -> None:
        self._pubsub = _Pubsub(host, topic)
        self._pubsub.is_member = is_member
        self._pubsub.deliver = lambda neighbour, author, data: deliver(Gossip(data=data, peer=neighbour, author=author))
        self._topic = topic
        self._timeout_s = timeout_s

    async def run(self, task_status: Any) -> None:
        """Serve until cancelled."""
        async with background_trio_service(self._pubsub), background_trio_service(self._pubsub.router_):
            await self._pubsub.subscribe(self._topic)
            task_status.started()
            await trio.sleep_forever()

    async def serve(self, link: Link) -> None:
        """Be neighbours with this peer until the link is dropped. Never raises but trio.Cancelled."""
        try:
            await self._pubsub.greet(link, link.peer_id, self._timeout_s)
        except Exception:
            log.exception("gossip with %s", link.name)

    def forget(self, link: Link) -> None:
        """The link is dropped: remove the neighbour before a new link comes."""
        self._pubsub.forget(link.peer_id)

    async def publish(self, data: bytes) -> None:
        """Sign a message and hand it to the router. Never waits for the network, never raises."""
        try:
            await self._pubsub.publish(self._topic, data)
        except Exception:
            log.exception("publishing failed")
