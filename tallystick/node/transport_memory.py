"""The transport inside one process: the same contract without sockets, clocks or luck, for tests and simulation.

A `MemoryNetwork` joins its transports. What one does, the other sees before the call returns, so the order of events
is the order of calls. Of the limits, those that a node can feel are kept: queues, credit, sizes. There are places for
everybody, so it does not matter who answers for whom.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node.net_address import Address, peer_id, read_address_untrusted
from tallystick.node.net_framing import FRAME_COST, frame_cost
from tallystick.node.net_inbox import Inbox
from tallystick.node.net_listen import Place, concrete, read_place
from tallystick.node.transport import (
    FRAME_BYTES_MAX,
    GOSSIP_BYTES_MAX,
    KNOCK_REQUEST_BYTES_MAX,
    KNOCK_RESPONSE_BYTES_MAX,
    DialError,
    DialReason,
    EventSource,
    Frame,
    Gate,
    Gossip,
    KnockHandler,
    ListenError,
    Listening,
    Owner,
    PeerDown,
    PeerKey,
    PeerUp,
    Resumed,
    TransportLimits,
    Writable,
)

log = logging.getLogger("tallystick.net")

_LOOPBACK = [read_place("/ip4/127.0.0.1/tcp/0").ip, read_place("/ip6/::1/tcp/0").ip]


class MemoryNetwork:
    """The world that memory transports live in: who listens where, and who cannot reach whom."""

    def __init__(self) -> None:
        self._listening: dict[str, MemoryTransport] = {}
        self._next_port = 40_000
        self._cut: set[frozenset[PeerKey]] = set()

    def transport(
        self,
        seed: bytes,
        *,
        listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",),
        announce: tuple[str, ...] = (),
        limits: TransportLimits | None = None,
        topic: str | None = None,
        relays: bool = True,
    ) -> "MemoryTransport":
        """Make a transport of this network; the arguments are those of the real one."""
        return MemoryTransport(self, seed, listen=listen, announce=announce, limits=limits, topic=topic, relays=relays)

    def cut(self, one: "MemoryTransport", other: "MemoryTransport") -> None:
        """Lose everything between two nodes: their connection ends, dials time out."""
        self._cut.add(frozenset({one.peer_key, other.peer_key}))
        one._drop(other.peer_key, "it went silent", "it went silent")

    def heal(self, one: "MemoryTransport", other: "MemoryTransport") -> None:
        """Undo `cut`."""
        self._cut.discard(frozenset({one.peer_key, other.peer_key}))

    def is_cut(self, one: PeerKey, other: PeerKey) -> bool:
        """Whether nothing gets through between two nodes."""
        return frozenset({one, other}) in self._cut

    def bind(self, transport: "MemoryTransport", places: list[Place]) -> list[str]:
        """Listen, and return where. Raises ListenError."""
        bound: list[str] = []
        for place in places:
            port = place.port
            if port == 0:
                port, self._next_port = self._next_port, self._next_port + 1
            wheres = concrete([Place(place.ip, port)], _LOOPBACK)
            if taken := [where for where in wheres if where in self._listening]:
                self.unbind(bound)
                raise ListenError(f"cannot listen on {taken[0]}: Address already in use")
            self._listening.update(dict.fromkeys(wheres, transport))
            bound += wheres
        return bound

    def unbind(self, wheres: list[str]) -> None:
        """Stop listening."""
        for where in wheres:
            self._listening.pop(where, None)

    def at(self, where: str) -> "MemoryTransport | None":
        """Return who listens there."""
        return self._listening.get(where)


class _End:
    """One end of a connection: what waits to be sent to the other."""

    other: "_End"

    def __init__(self, owner: "MemoryTransport", credit: int, between: PeerKey | None) -> None:
        self.owner = owner
        self.between = between
        """Through whose node the connection goes."""
        self.credit = credit
        self.outbox: deque[bytes] = deque()
        self.outbox_bytes = 0
        self.refused = False

    def push(self, frame: bytes) -> None:
        """Queue a frame and deliver what the other side has room for."""
        self.outbox.append(frame)
        self.outbox_bytes += len(frame)
        self.pump()

    def pump(self) -> None:
        """Deliver what the other side has room for."""
        sender, receiver = self.owner, self.other.owner
        while self.outbox and (cost := frame_cost(self.outbox[0])) <= self.credit:
            frame = self.outbox.popleft()
            self.outbox_bytes -= len(frame)
            self.credit -= cost
            receiver._deliver(sender.peer_key, frame, cost)
        limits = sender._limits
        if (
            self.refused
            and self.outbox_bytes <= limits.outbox_bytes // 2
            and len(self.outbox) <= limits.outbox_frames // 2
        ):
            self.refused = False
            sender._inbox.put(Writable(peer=receiver.peer_key), receiver.peer_key)


class MemoryTransport:
    """One node of a `MemoryNetwork`; see `Transport` for the contract."""

    def __init__(
        self,
        network: MemoryNetwork,
        seed: bytes,
        *,
        listen: tuple[str, ...],
        announce: tuple[str, ...],
        limits: TransportLimits | None,
        topic: str | None,
        relays: bool,
    ) -> None:
        self._relays = relays
        self._network = network
        self._limits = limits or TransportLimits()
        if self._limits.inbox_bytes < 2 * (FRAME_BYTES_MAX + FRAME_COST):
            raise ValueError("inbox_bytes must hold two of the largest frames")
        self._key = SecretKey.from_seed(seed).public
        self._listen = listen
        self._announce = announce
        self._topic = topic
        self._inbox = Inbox(gossip_max=self._limits.gossip_queue)
        self._ends: dict[PeerKey, _End] = {}
        self._gate: Gate = lambda _peer: False
        self._owner: Owner = lambda peer: peer
        self._knock_handler: KnockHandler | None = None
        self._addresses: list[str] = []
        self._entered = False
        self._is_running = False

    @property
    def peer_key(self) -> PeerKey:
        return self._key

    @property
    def events(self) -> EventSource:
        return self._inbox

    def addresses(self) -> list[str]:
        return list(self._addresses)

    def set_gate(self, is_member: Gate) -> None:
        self._gate = is_member

    def set_knock_handler(self, handler: KnockHandler) -> None:
        self._knock_handler = handler

    def set_owner(self, owner_of: Owner) -> None:
        self._owner = owner_of

    def recheck(self) -> None:
        for peer in self.peers():
            if not self._gate(peer):
                self._drop(peer, "no longer a member", "the other side hung up")

    def peers(self) -> list[PeerKey]:
        return sorted(self._ends)

    def slept(self, slept_ms: int) -> None:
        """Act as if this machine had slept for so long."""
        for peer in self.peers():
            self._drop(peer, "this machine slept", "it went silent")
        self._inbox.put(Resumed(slept_ms=slept_ms))

    # -- running -----------------------------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        if self._entered:
            raise RuntimeError("a transport runs once")
        self._entered = True
        own = f"/p2p/{peer_id(self._key)}"
        announced = []
        for text in self._announce:
            try:
                announced.append(str(read_address_untrusted(text if "/p2p/" in text else text + own)))
            except DialError as error:
                raise ListenError(f"cannot announce {error.detail}") from None
        wheres = self._network.bind(self, [read_place(text) for text in self._listen])
        self._is_running = True
        self._addresses = [*announced, *(where + own for where in wheres)]
        self._inbox.put(Listening(addresses=tuple(self._addresses)))
        try:
            yield
        finally:
            self._is_running = False
            self._network.unbind(wheres)
            for peer in self.peers():
                self._drop(peer, "this node stops", "the other side hung up")
            self._addresses = []
            self._inbox.close()

    # -- frames ------------------------------------------------------------------------------------------------

    def send(self, peer: PeerKey, frame: bytes) -> bool:
        if not 1 <= len(frame) <= FRAME_BYTES_MAX:
            raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, not {len(frame)}")
        end = self._ends.get(peer)
        if end is None:
            return False
        full = len(end.outbox) >= self._limits.outbox_frames
        if full or (end.outbox and end.outbox_bytes + len(frame) > self._limits.outbox_bytes):
            end.refused = True
            return False
        end.push(frame)
        return True

    def ask_room(self, peer: PeerKey) -> None:
        end = self._ends.get(peer)
        if end is not None:
            end.refused = True
            end.pump()

    def queued_bytes(self, peer: PeerKey) -> int:
        end = self._ends.get(peer)
        return end.outbox_bytes if end is not None else 0

    def pause(self, peer: PeerKey) -> None:
        if peer in self._ends:
            self._inbox.pause(peer)

    def resume(self, peer: PeerKey) -> None:
        self._inbox.resume(peer)

    def disconnect(self, peer: PeerKey, polite: bytes | None = None) -> None:
        if polite is not None and peer in self._ends:
            self._ends[peer].push(polite)
        self._drop(peer, "we hung up", "the other side hung up")

    def _deliver(self, peer: PeerKey, frame: bytes, cost: int) -> None:
        self._inbox.put_frame(Frame(peer=peer, data=frame), cost, lambda taken: self._taken(peer, taken))

    def _taken(self, peer: PeerKey, cost: int) -> None:
        if (end := self._ends.get(peer)) is not None:
            end.other.credit += cost
            end.other.pump()

    def _drop(self, peer: PeerKey, reason: str, reason_there: str) -> None:
        end = self._ends.pop(peer, None)
        if end is None:
            return
        there = end.other.owner
        del there._ends[self._key]
        self._inbox.put(PeerDown(peer=peer, reason=reason), peer)
        there._inbox.put(PeerDown(peer=self._key, reason=reason_there), self._key)
        for one, between in ((self, peer), (there, self._key)):
            for other in [other for other, each in one._ends.items() if each.between == between]:
                one._drop(other, "the other side hung up", "the other side hung up")

    # -- reaching others ---------------------------------------------------------------------------------------

    def publish(self, data: bytes) -> None:
        if not 1 <= len(data) <= GOSSIP_BYTES_MAX:
            raise ValueError(f"gossip has 1 to {GOSSIP_BYTES_MAX} bytes, not {len(data)}")
        if self._topic is None:
            return
        reached = {self._key}
        spreading = deque([self])
        while spreading:
            neighbour = spreading.popleft()
            for peer in neighbour.peers():
                there = neighbour._ends[peer].other.owner
                if peer in reached or there._topic != self._topic or not there._gate(self._key):
                    continue
                reached.add(peer)
                there._inbox.put_gossip(Gossip(data=data, peer=neighbour.peer_key, author=self._key))
                spreading.append(there)

    async def dial(self, address: str, timeout_s: float) -> PeerKey:
        target = self._target(address)
        await trio.lowlevel.checkpoint()
        if not self._gate(target.peer):
            raise DialError(DialReason.NOT_ALLOWED, f"{peer_id(target.peer)} is no member")
        known = self._ends.get(target.peer)
        if known is not None and known.between is None:
            return target.peer
        there = await self._reach(target, timeout_s)
        if not there._gate(self._key):
            raise DialError(DialReason.NOT_ADMITTED, "the peer closed the connection")
        self._drop(there.peer_key, "replaced by a newer connection", "replaced by a newer connection")
        self._join(there, target.where, None)
        return target.peer

    async def dial_through(self, between: PeerKey, peer: PeerKey, timeout_s: float) -> None:
        if peer == self._key:
            raise DialError(DialReason.SELF, "this is our own address")
        self._check_running()
        await trio.lowlevel.checkpoint()
        if not self._gate(peer):
            raise DialError(DialReason.NOT_ALLOWED, f"{peer_id(peer)} is no member")
        if peer in self._ends:
            return
        end = self._ends.get(between)
        if end is None or end.between is not None:
            raise DialError(DialReason.NO_RELAY, "no direct connection to the node between")
        far = end.other.owner._ends.get(peer)
        if not end.other.owner._relays or far is None or far.between is not None:
            raise DialError(DialReason.NO_RELAY, "the node between does not reach it")
        there = far.other.owner
        if not there._gate(self._key):
            raise DialError(DialReason.NOT_ADMITTED, "the peer closed the connection")
        self._join(there, f"/p2p/{peer_id(between)}/p2p-circuit", between)

    def _join(self, there: "MemoryTransport", where: str, between: PeerKey | None) -> None:
        here_end = _End(self, there._limits.inbox_bytes - there._inbox.unread(self._key), between)
        there_end = _End(there, self._limits.inbox_bytes - self._inbox.unread(there.peer_key), between)
        here_end.other, there_end.other = there_end, here_end
        self._ends[there.peer_key] = here_end
        there._ends[self._key] = there_end
        relayed = between is not None
        here = PeerUp(peer=there.peer_key, outbound=True, relayed=relayed, address=where)
        self._inbox.put(here, there.peer_key)
        from_us = PeerUp(peer=self._key, outbound=False, relayed=relayed, address=where if relayed else "")
        there._inbox.put(from_us, self._key)

    async def request(self, to: str | PeerKey, data: bytes, timeout_s: float) -> bytes:
        if not 1 <= len(data) <= KNOCK_REQUEST_BYTES_MAX:
            raise ValueError(f"a request has 1 to {KNOCK_REQUEST_BYTES_MAX} bytes, not {len(data)}")
        if isinstance(to, str):
            there = await self._reach(self._target(to), timeout_s)
        else:
            self._check_running()
            if to not in self._ends:
                raise DialError(DialReason.UNREACHABLE, "this peer is not connected")
            there = self._ends[to].other.owner
        with trio.move_on_after(timeout_s):
            return await there._answer(self._key, data)
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    async def _answer(self, peer: PeerKey, data: bytes) -> bytes:
        response = None
        if self._knock_handler is not None:
            try:
                response = await self._knock_handler(peer, data)
            except Exception:
                log.exception("the knock handler failed")
        if response is None or not 1 <= len(response) <= KNOCK_RESPONSE_BYTES_MAX:
            raise DialError(DialReason.NOT_ADMITTED, "the peer closed without a word")
        return response

    def _check_running(self) -> None:
        if not self._is_running:
            raise DialError(DialReason.CLOSED, "the transport is not running")

    def _target(self, address: str) -> Address:
        target = read_address_untrusted(address)
        if target.peer == self._key:
            raise DialError(DialReason.SELF, "this is our own address")
        self._check_running()
        return target

    async def _reach(self, target: Address, timeout_s: float) -> "MemoryTransport":
        await trio.lowlevel.checkpoint()
        there = self._network.at(target.where)
        if there is None:
            raise DialError(DialReason.REFUSED, f"nobody listens on {target.where}")
        if self._network.is_cut(self._key, there.peer_key):
            await trio.sleep(timeout_s)
            raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")
        if there.peer_key != target.peer:
            raise DialError(DialReason.WRONG_PEER, f"somebody else answers at {target.where}")
        return there
