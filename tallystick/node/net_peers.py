"""The peers of one node: who is connected, who gets in, and what each of their streams is for.

The side that dialled opens the sync stream; both have agreed when each has been given credit, and only then the node
hears of the peer. What ends a stream ends its link: there is no half-working connection.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey

from tallystick.node.net_address import Address, peer_id, read_address_untrusted
from tallystick.node.net_circuit import UNPROVEN_BYTES_MAX, CircuitLine, Circuits
from tallystick.node.net_dial import connect_tcp
from tallystick.node.net_gossip import GossipNet
from tallystick.node.net_host import GuardedHost, GuardedSwarm
from tallystick.node.net_inbox import Inbox
from tallystick.node.net_knock import answer, ask
from tallystick.node.net_line import Line, TcpLine
from tallystick.node.net_links import STREAMS_MAX, Link, LinkRefusedError, Links
from tallystick.node.net_session import FAREWELL_S, Queued, Session
from tallystick.node.net_streams import StreamRefusedError, accept_stream, link_of, open_stream, reset
from tallystick.node.transport import (
    DialError,
    DialReason,
    Gate,
    KnockHandler,
    Owner,
    PeerDown,
    PeerKey,
    PeerUp,
    TransportLimits,
)

log = logging.getLogger("tallystick.net")

SYNC: Final = TProtocol("/tallystick/sync/1")
KNOCK: Final = TProtocol("/tallystick/knock/1")
STRANGER_BYTES_MAX: Final = 256 * 1024
"""What a stranger may send us in all: a knock, or the answer to one, and what is around it."""
UNPROVEN_MAX: Final = 64
"""Inbound connections without a proven key; the oldest makes room for the newest."""
Reach = Callable[[], Awaitable[Line]]
"""Makes a line to somebody who may be the peer. Raises DialError."""
_CROSSED_S: Final = 0.5
"""How long a dial that was refused waits for the connection of the other side, when both dialled at once."""


@dataclass(frozen=True, slots=True)
class Net:
    """What runs while the transport runs."""

    nursery: trio.Nursery
    host: GuardedHost
    swarm: GuardedSwarm
    gossip: GossipNet | None


class Peers:
    """Connections, sessions and knocks. `net` is None while nothing runs."""

    def __init__(self, own: PeerKey, limits: TransportLimits, inbox: Inbox, *, relays: bool) -> None:
        self._own = own
        self.limits = limits
        self._inbox = inbox
        self._unproven: OrderedDict[Line, None] = OrderedDict()
        self._queued = Queued()
        self._dials: dict[PeerKey, trio.Event] = {}
        self.links = Links(own=own, limits=limits, dropped=self._dropped, owner_of=self.owner_of)
        self.gate: Gate = lambda _peer: False
        self.owner: Owner = lambda peer: peer
        self.knock_handler: KnockHandler | None = None
        self.net: Net | None = None
        self.circuits = Circuits(self, carries=relays)

    def is_member(self, peer: PeerKey) -> bool:
        """Ask the gate; one that raises says no."""
        try:
            return self.gate(peer)
        except Exception:
            log.exception("the gate failed")
            return False

    def owner_of(self, peer: PeerKey) -> bytes:
        """Ask who answers for a peer; where that fails it is the peer itself."""
        try:
            return self.owner(peer)
        except Exception:
            log.exception("nobody knows who answers for a peer")
            return peer

    def session(self, peer: PeerKey) -> Session | None:
        """Return the open sync stream with a peer."""
        link = self.links.get(peer)
        return link.session if link is not None and link.up else None

    def send(self, peer: PeerKey, frame: bytes) -> bool:
        """Queue a frame, or say False. Where too much waits for all together, a slow one of who has most is dropped."""
        session = self.session(peer)
        if session is None or not session.send(frame):
            return False
        while self._queued.size_bytes > self.limits.outboxes_bytes:
            # Counted anew, since nobody is to be dropped for bytes that wait nowhere: then it would never be enough.
            self._queued.size_bytes = sum(map(_queued_bytes, self.links))
            if self._queued.size_bytes > self.limits.outboxes_bytes:
                most = max(self.links.shares().values(), key=lambda share: sum(map(_queued_bytes, share)))
                max(most, key=_queued_bytes).drop("others need the room")
        return not session.link.dropped

    def recheck(self) -> None:
        """Ask the gate again for every connection."""
        for link in self.links:
            admitted = self.is_member(link.peer)
            if link.admitted and not admitted:
                link.drop("no longer a member")
            elif admitted:
                self._admit(link)
                self._open_session(link)

    def drop_all(self, reason: str) -> None:
        """End every connection now."""
        for link in self.links:
            link.drop(reason)

    async def part(self, link: Link) -> None:
        """Say goodbye: write what is queued and wait, a second at most, until the other side hangs up."""
        if link.session is not None and link.up:
            link.session.finish(None)
            with trio.move_on_after(FAREWELL_S):
                await link.gone.wait()
        link.drop("we hung up")

    # -- connections -------------------------------------------------------------------------------------------

    async def accept(self, stream: trio.SocketStream) -> None:
        """Serve one inbound connection to its end. Never raises but trio.Cancelled."""
        try:
            line = TcpLine(stream, allowance=UNPROVEN_BYTES_MAX)
        except OSError:
            line = None
        if line is None:
            stream.socket.close()
        else:
            await self.take(line)

    async def take(self, line: Line) -> None:
        """Serve one inbound line to its end. Never raises but trio.Cancelled."""
        if self.net is None:
            line.abort()
            return
        while len(self._unproven) >= UNPROVEN_MAX:
            self._unproven.popitem(last=False)[0].abort()
        self._unproven[line] = None
        try:
            await self.net.swarm.accept(line)
        finally:
            self._unproven.pop(line, None)

    def proven(self, peer: PeerKey, line: Line, outbound: bool) -> Link:
        """Take in a connection whose key is proved. Raises LinkRefusedError."""
        self._unproven.pop(line, None)
        if self.net is None:
            raise LinkRefusedError("this node stops")
        link = Link(peer=peer, line=line, outbound=outbound, admitted=self.is_member(peer))
        line.link = link
        line.allowance = None if link.admitted else STRANGER_BYTES_MAX
        self.links.arrive(link)
        self.net.nursery.start_soon(self._expire, link)
        return link

    def connected(self, link: Link, conn: INetConn) -> None:
        """Note that streams can be opened now."""
        link.conn = conn  # type: ignore[assignment]

    async def _expire(self, link: Link) -> None:
        with trio.move_on_after(self.limits.session_s if link.admitted else self.limits.stranger_s):
            await link.settled.wait()
        if not link.settled.is_set():
            link.drop("it opened no sync stream" if link.admitted else "a stranger's time is over")

    def _dropped(self, link: Link, reason: str) -> None:
        if link.session is not None:
            link.session.discard()
        if link.up:
            log.info("%s is gone: %s", link.name, reason)
            self._inbox.put(PeerDown(peer=link.peer, reason=reason), link.peer)
            if self.net is not None and self.net.gossip is not None:
                self.net.gossip.forget(link)

    def _admit(self, link: Link) -> None:
        link.admitted = True
        link.line.allowance = None

    # -- dialling ----------------------------------------------------------------------------------------------

    def target(self, text: str) -> Address:
        """Read an address that is to be dialled. Raises DialError: BAD_ADDRESS, SELF, CLOSED."""
        target = read_address_untrusted(text)
        self.check_dialable(target.peer)
        return target

    def check_dialable(self, peer: PeerKey) -> None:
        """Raises DialError: SELF, CLOSED."""
        if peer == self._own:
            raise DialError(DialReason.SELF, "this is our own address")
        self._running()

    def _running(self) -> Net:
        if self.net is None:
            raise DialError(DialReason.CLOSED, "the transport is not running")
        return self.net

    async def dial(self, target: Address) -> None:
        """Come to an open sync stream with a member, directly. The caller sets the deadline. Raises DialError."""
        await self._come_to(target.peer, lambda: self._tcp_line(target), direct=True)

    async def dial_through(self, between: PeerKey, peer: PeerKey) -> None:
        """Come to an open sync stream with a member through another's node. The caller sets the deadline.

        Raises DialError.
        """
        await self._come_to(peer, lambda: self._circuit_line(between, peer), direct=False)

    async def _come_to(self, peer: PeerKey, reach: Reach, *, direct: bool) -> None:
        while True:
            known = self.links.get(peer)
            link = await self._link_to(peer, reach, direct=direct)
            self._admit(link)
            self._open_session(link)
            try:
                await link.settled.wait()
            finally:
                if link.outbound and not link.up:
                    link.drop("the dial was given up")
            if link.up:
                return
            self._running()
            if link is not known:
                raise DialError(DialReason.NOT_ADMITTED, "the peer closed the connection")
            # It was there before, and dying: the peer may well want a new one.

    async def _tcp_line(self, target: Address) -> Line:
        return TcpLine(await connect_tcp(target), allowance=UNPROVEN_BYTES_MAX)

    async def _circuit_line(self, between: PeerKey, peer: PeerKey) -> CircuitLine:
        return await self.circuits.dial(between, peer, self._running())

    def _usable(self, peer: PeerKey, *, direct: bool) -> Link | None:
        link = self.links.get(peer)
        return None if link is not None and direct and link.line.is_relayed else link

    async def link_to(self, target: Address) -> Link:
        """Find a link to the peer of an address, or make one. Raises DialError."""
        return await self._link_to(target.peer, lambda: self._tcp_line(target), direct=False)

    async def _link_to(self, peer: PeerKey, reach: Reach, *, direct: bool) -> Link:
        """Find the link to a peer, or make one. Raises DialError.

        Several ways may be tried at once; of those that lead to somebody, one after the other is asked who that is.
        """
        if (link := self._usable(peer, direct=direct)) is not None:
            return link
        line = await reach()
        try:
            while (event := self._dials.get(peer)) is not None:
                await event.wait()
            if (link := self._usable(peer, direct=direct)) is not None:
                line.abort()
                return link
        except BaseException:
            line.abort()
            raise
        event = self._dials[peer] = trio.Event()
        try:
            return await self._prove(line, peer)
        finally:
            del self._dials[peer]
            event.set()

    async def _prove(self, line: Line, peer: PeerKey) -> Link:
        good = False
        cause: BaseException | None = None
        try:
            swarm = self._running().swarm
            await swarm.upgrade_outbound_raw_conn(RawConnection(line, True), ID.from_base58(peer_id(peer)))
            good = line.link is not None and line.link.conn is not None and not line.link.dropped
        except DialError:
            raise
        except Exception as error:
            log.debug("connecting to %s: %r", line.where, error)
            cause = error
        finally:
            if not good:
                line.abort()
                if line.link is not None:
                    line.link.drop("the connection failed")
        if line.link is not None:
            if good:
                return line.link
            with trio.move_on_after(_CROSSED_S):
                await self.links.arrival(peer)
            if (crossed := self.links.get(peer)) is not None:
                return crossed
        if _is_wrong_peer(cause):
            raise DialError(DialReason.WRONG_PEER, f"somebody else answers at {line.where}")
        self._running()
        raise DialError(DialReason.NOT_ADMITTED, f"{line.where} closed the connection")

    # -- knocking ----------------------------------------------------------------------------------------------

    async def knock(self, to: Address | PeerKey, data: bytes, timeout_s: float) -> bytes:
        """Ask one question; the caller sets the deadline too. Raises DialError."""
        net = self._running()
        if isinstance(to, bytes):
            found = self.links.get(to)
            if found is None or not found.up:
                raise DialError(DialReason.UNREACHABLE, "this peer is not connected")
            link = found
        else:
            link = await self.link_to(to)
        link.knocks += 1
        try:
            stream = await open_stream(net.host, link, KNOCK, timeout_s)
            try:
                response = await ask(stream, data)
            finally:
                await reset(stream)
        except StreamRefusedError as error:
            raise DialError(DialReason.NOT_ADMITTED, str(error)) from error
        finally:
            link.knocks -= 1
            if link.outbound and link.session is None and not (link.opening or link.knocks):
                link.drop("the knock is over")
        if response is None:
            raise DialError(DialReason.NOT_ADMITTED, "the peer closed without a word")
        return response

    # -- streams -----------------------------------------------------------------------------------------------

    def _open_session(self, link: Link) -> None:
        """Begin to open the sync stream, if it is our part and not begun yet."""
        if link.outbound and not link.opening and link.session is None and self.net is not None:
            link.opening = True
            self.net.nursery.start_soon(self._open_sync, link, self.net)

    async def _open_sync(self, link: Link, net: Net) -> None:
        try:
            stream = await open_stream(net.host, link, SYNC, self.limits.session_s)
        except StreamRefusedError as error:
            log.debug("%s: %s", link.name, error)
            link.drop("it opened no sync stream")
            return
        except Exception:
            log.exception("opening a stream")
            link.drop("an error of ours")
            return
        await self._run_session(link, stream)

    async def _run_session(self, link: Link, stream: INetStream) -> None:
        link.session = Session(
            link,
            stream,
            self._inbox,
            self.limits,
            self._queued,
            opened=lambda: self._opened(link),
            taken=lambda cost: self._taken(link.peer, cost),
        )
        await link.session.run()

    def _opened(self, link: Link) -> None:
        link.up = True
        link.settled.set()
        up = PeerUp(peer=link.peer, outbound=link.outbound, relayed=link.line.is_relayed, address=link.line.where)
        self._inbox.put(up, link.peer)
        if self.net is not None and self.net.gossip is not None:
            self.net.nursery.start_soon(self.net.gossip.serve, link)

    def _taken(self, peer: PeerKey, cost: int) -> None:
        link = self.links.get(peer)
        if link is not None and link.session is not None:
            link.session.give_back(cost)

    async def on_stream(self, stream: INetStream) -> None:
        """Serve one inbound stream. Nothing that a peer does may raise out of here: it would end the swarm."""
        link = link_of(stream)
        if self.net is None or link.streams >= STREAMS_MAX:
            await reset(stream)
            return
        link.streams += 1
        try:
            handler = await accept_stream(self.net.host, stream, self.limits.session_s)
            if handler is not None:
                await handler(stream)
        except Exception as error:
            log.debug("a stream of %s: %r", link.name, error, exc_info=True)
        finally:
            link.streams -= 1
            await reset(stream)

    async def on_sync(self, stream: INetStream) -> None:
        """Serve the sync stream that the other side has opened, if it may have one."""
        link = link_of(stream)
        if link.outbound or link.session is not None or link.dropped or not self.is_member(link.peer):
            return
        self._admit(link)
        await self._run_session(link, stream)

    async def on_knock(self, stream: INetStream) -> None:
        """Answer one question of anybody."""
        if self.knock_handler is not None:
            with trio.move_on_after(self.limits.stranger_s):
                await answer(stream, link_of(stream).peer, self.knock_handler)


def _queued_bytes(link: Link) -> int:
    return 0 if link.session is None else link.session.queued_bytes


def _is_wrong_peer(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, PeerIDMismatchesPubkey):
            return True
        error = error.__cause__ or error.__context__
    return False
