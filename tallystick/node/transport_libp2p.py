"""The transport over py-libp2p: TCP, Noise and Yamux, one sync stream each pair of peers, gossip, and knocks.

    accept/dial -> TcpLine -> Noise (the key is proved) -> Link -> sync stream -> Session -> Inbox -> the node

The side that dialled opens the sync stream; both have agreed when each has been given credit, and only then the node
hears of the peer. What ends a stream ends its link: there is no half-working connection. Everything that libp2p
would do by itself, and everything of it that breaks, is dealt with in the `net_*` modules.

Source: docs/spec/sync.md.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.tools.anyio_service import background_trio_service

from tallystick.node.net_address import Address, peer_id, read_address_untrusted
from tallystick.node.net_dial import connect_tcp
from tallystick.node.net_framing import FRAME_COST
from tallystick.node.net_gossip import GossipNet
from tallystick.node.net_host import GuardedHost, GuardedSwarm, build_host, check_version, quiet_library
from tallystick.node.net_inbox import Inbox
from tallystick.node.net_knock import answer, ask
from tallystick.node.net_line import TcpLine
from tallystick.node.net_links import STREAMS_MAX, Link, LinkRefusedError, Links
from tallystick.node.net_listen import (
    bound_places,
    close_listeners,
    concrete,
    machine_addresses,
    open_listeners,
    read_place,
)
from tallystick.node.net_session import FAREWELL_S, Session
from tallystick.node.net_streams import StreamRefusedError, accept_stream, link_of, open_stream, reset
from tallystick.node.transport import (
    FRAME_BYTES_MAX,
    GOSSIP_BYTES_MAX,
    KNOCK_REQUEST_BYTES_MAX,
    DialError,
    DialReason,
    EventSource,
    Gate,
    KnockHandler,
    ListenError,
    Listening,
    PeerDown,
    PeerKey,
    PeerUp,
    Resumed,
    TransportLimits,
)

log = logging.getLogger("tallystick.net")

SYNC: Final = TProtocol("/tallystick/sync/1")
KNOCK: Final = TProtocol("/tallystick/knock/1")
_UNPROVEN_BYTES_MAX: Final = 64 * 1024
"""What may arrive on a connection before a key is proved."""
_STRANGER_BYTES_MAX: Final = 256 * 1024
"""What a stranger may send us in all: a knock, or the answer to one, and what is around it."""
_UNPROVEN_MAX: Final = 64
"""Inbound connections without a proven key; the oldest makes room for the newest."""
_CROSSED_S: Final = 0.5
"""How long a dial that was refused waits for the connection of the other side, when both dialled at once."""
_AGAIN_S: Final = 1.0


class Libp2pTransport:
    """One network identity on libp2p; see `Transport` for the contract."""

    def __init__(
        self,
        seed: bytes,
        *,
        listen: tuple[str, ...],
        announce: tuple[str, ...] = (),
        limits: TransportLimits | None = None,
        topic: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a transport for a 32-byte node key seed. `topic` names the gossip; without it there is none."""
        self._limits = limits or TransportLimits()
        if self._limits.inbox_bytes < 2 * (FRAME_BYTES_MAX + FRAME_COST):
            raise ValueError("inbox_bytes must hold two of the largest frames")
        self._seed = seed
        self._key: PeerKey = create_new_key_pair(seed).public_key.to_bytes()
        self._listen = listen
        self._announce = announce
        self._topic = topic
        self._clock = clock
        self._inbox = Inbox(gossip_max=self._limits.gossip_queue)
        self._links = Links(own=self._key, limits=self._limits, dropped=self._dropped)
        self._gate: Gate = lambda _peer: False
        self._knock_handler: KnockHandler | None = None
        self._addresses: list[str] = []
        self._listeners: list[trio.SocketListener] = []
        self._unproven: OrderedDict[TcpLine, None] = OrderedDict()
        self._dials: dict[PeerKey, trio.Event] = {}
        self._nursery: trio.Nursery | None = None
        self._host: GuardedHost | None = None
        self._swarm: GuardedSwarm | None = None
        self._gossip: GossipNet | None = None
        self._stopping = False

    # -- what the node sees ------------------------------------------------------------------------------------

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

    def peers(self) -> list[PeerKey]:
        return sorted(link.peer for link in self._links if link.up)

    def recheck(self) -> None:
        for link in self._links:
            admitted = self._is_member(link.peer)
            if link.admitted and not admitted:
                link.drop("no longer a member")
            elif admitted:
                self._admit(link)
                self._open_session(link)

    def send(self, peer: PeerKey, frame: bytes) -> bool:
        if not 1 <= len(frame) <= FRAME_BYTES_MAX:
            raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, not {len(frame)}")
        session = self._session(peer)
        return session is not None and session.send(frame)

    def queued_bytes(self, peer: PeerKey) -> int:
        session = self._session(peer)
        return session.queued_bytes if session is not None else 0

    def pause(self, peer: PeerKey) -> None:
        if self._session(peer) is not None:
            self._inbox.pause(peer)

    def resume(self, peer: PeerKey) -> None:
        self._inbox.resume(peer)

    def disconnect(self, peer: PeerKey, polite: bytes | None = None) -> None:
        link = self._links.get(peer)
        if link is None or self._nursery is None:
            return
        if polite is None or link.session is None or not link.up:
            link.drop("we hung up")
        else:
            self._nursery.start_soon(self._part, link, polite)

    def publish(self, data: bytes) -> None:
        if not 1 <= len(data) <= GOSSIP_BYTES_MAX:
            raise ValueError(f"gossip has 1 to {GOSSIP_BYTES_MAX} bytes, not {len(data)}")
        if self._gossip is not None and self._nursery is not None:
            self._nursery.start_soon(self._gossip.publish, data)

    async def dial(self, address: str, timeout_s: float) -> PeerKey:
        target = self._target(address)
        if not self._is_member(target.peer):
            raise DialError(DialReason.NOT_ALLOWED, f"{peer_id(target.peer)} is no member")
        with trio.move_on_after(timeout_s):
            link = await self._link_to(target)
            self._admit(link)
            self._open_session(link)
            try:
                await link.settled.wait()
            except BaseException:
                if not link.up:
                    link.drop("the dial was given up")
                raise
            if not link.up:
                raise DialError(DialReason.NOT_ADMITTED, "the peer closed the connection")
            return target.peer
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    async def request(self, to: str | PeerKey, data: bytes, timeout_s: float) -> bytes:
        if not 1 <= len(data) <= KNOCK_REQUEST_BYTES_MAX:
            raise ValueError(f"a request has 1 to {KNOCK_REQUEST_BYTES_MAX} bytes, not {len(data)}")
        if isinstance(to, bytes):
            self._check_running()
            known = self._links.get(to)
            if known is None or not known.up:
                raise DialError(DialReason.UNREACHABLE, "not connected")
            target = None
        else:
            known, target = None, self._target(to)
        with trio.move_on_after(timeout_s):
            link = known or await self._link_to(target)
            try:
                return await self._knock(link, data, timeout_s)
            finally:
                if not link.up and not link.opening:
                    link.drop("the knock is over")
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    # -- running -----------------------------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        check_version()
        quiet_library()
        announced = self._announced()
        self._listeners = open_listeners([read_place(text) for text in self._listen])
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self._serve_host)
                self._update_addresses(announced)
                for listener in self._listeners:
                    nursery.start_soon(self._accept_all, listener)
                nursery.start_soon(self._watch, announced)
                try:
                    yield
                except Exception as error:
                    # Raised again below: a nursery would wrap it in a group.
                    failure = error
                finally:
                    await self._stop()
                    nursery.cancel_scope.cancel()
        finally:
            self._nursery = self._host = self._swarm = self._gossip = None
            close_listeners(self._listeners)
            for link in self._links:
                link.drop("this node stops")
            self._addresses = []
            self._inbox.close()
        if failure is not None:
            raise failure

    async def _stop(self) -> None:
        self._stopping = True
        close_listeners(self._listeners)
        with trio.move_on_after(FAREWELL_S) as scope:
            scope.shield = True
            async with trio.open_nursery() as nursery:
                for link in self._links:
                    nursery.start_soon(self._part, link, None)
        for link in self._links:
            link.drop("this node stops")
        with trio.move_on_after(FAREWELL_S / 2) as scope:
            scope.shield = True
            # Each needs a moment to tidy up; the library would close them one after the other.
            if self._swarm is not None:
                await self._swarm.wait_empty()

    async def _serve_host(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run libp2p; if it ends by an error of its own, begin again with a new one."""
        started = False
        while True:
            host, swarm = build_host(
                self._seed,
                self._limits,
                proven=self._proven,
                connected=self._connected,
                on_stream=self._on_stream,
                handlers=OrderedDict({SYNC: self._on_sync, KNOCK: self._on_knock}),
            )
            try:
                async with background_trio_service(swarm), trio.open_nursery() as nursery:
                    await swarm.event_background_nursery_created.wait()
                    if self._topic is not None:
                        gossip = GossipNet(
                            host,
                            self._topic,
                            is_member=self._is_member,
                            deliver=self._inbox.put_gossip,
                            timeout_s=self._limits.session_s,
                        )
                        await nursery.start(gossip.run)
                        self._gossip = gossip
                    self._host, self._swarm = host, swarm
                    if not started:
                        started = True
                        task_status.started()
                    await swarm.manager.wait_finished()
                    raise RuntimeError("libp2p ended by itself")
            except Exception:
                log.exception("the network failed and is started again")
            self._host = self._swarm = self._gossip = None
            for link in self._links:
                link.drop("the network failed")
            await trio.sleep(_AGAIN_S)

    async def _accept_all(self, listener: trio.SocketListener) -> None:
        while not self._stopping:
            try:
                await trio.serve_listeners(self._accept, [listener], handler_nursery=self._nursery)
            except Exception as error:
                log.log(logging.DEBUG if self._stopping else logging.ERROR, "listening failed: %r", error)
            await trio.sleep(_AGAIN_S)

    async def _accept(self, stream: trio.SocketStream) -> None:
        if self._swarm is None or self._stopping:
            stream.socket.close()
            return
        try:
            line = TcpLine(stream, allowance=_UNPROVEN_BYTES_MAX)
        except OSError:
            stream.socket.close()
            return
        while len(self._unproven) >= _UNPROVEN_MAX:
            self._unproven.popitem(last=False)[0].abort()
        self._unproven[line] = None
        try:
            await self._swarm.accept(line)
        finally:
            self._unproven.pop(line, None)

    async def _watch(self, announced: list[str]) -> None:
        """Find peers that went silent, sleep of this machine, and changes of its addresses."""
        limits = self._limits
        wall = self._clock()
        while True:
            await trio.sleep(limits.watch_every_s)
            slept, wall = self._clock() - wall - limits.watch_every_s, self._clock()
            if slept > limits.slept_s:
                for link in self._links:
                    link.drop("this machine slept")
                self._inbox.put(Resumed(slept_ms=int(slept * 1000)))
            quiet_since = trio.current_time() - limits.ping_every_s - limits.silent_s
            for link in self._links:
                if link.line.heard_at < quiet_since:
                    link.drop("it went silent")
            self._update_addresses(announced)

    def _announced(self) -> list[str]:
        found = []
        for text in self._announce:
            try:
                address = read_address_untrusted(text if "/p2p/" in text else f"{text}/p2p/{peer_id(self._key)}")
            except DialError as error:
                raise ListenError(f"cannot announce {error.detail}") from None
            if address.peer != self._key:
                raise ListenError(f"cannot announce {text!r}: it is the address of another node")
            found.append(str(address))
        return found

    def _update_addresses(self, announced: list[str]) -> None:
        if self._stopping:
            return
        try:
            places = concrete(bound_places(self._listeners), machine_addresses())
        except OSError as error:
            log.debug("the addresses of this machine: %r", error)
            return
        own = f"/p2p/{peer_id(self._key)}"
        addresses = list(dict.fromkeys([*announced, *(where + own for where in places)]))
        if addresses != self._addresses:
            self._addresses = addresses
            self._inbox.put(Listening(addresses=tuple(addresses)))

    # -- connections -------------------------------------------------------------------------------------------

    def _is_member(self, peer: PeerKey) -> bool:
        try:
            return self._gate(peer)
        except Exception:
            log.exception("the gate failed")
            return False

    def _session(self, peer: PeerKey) -> Session | None:
        link = self._links.get(peer)
        return link.session if link is not None and link.up else None

    def _check_running(self) -> None:
        if self._swarm is None or self._nursery is None or self._stopping:
            raise DialError(DialReason.CLOSED, "the transport is not running")

    def _target(self, address: str) -> Address:
        target = read_address_untrusted(address)
        if target.peer == self._key:
            raise DialError(DialReason.SELF, "this is our own address")
        self._check_running()
        return target

    def _proven(self, peer: PeerKey, line: TcpLine, outbound: bool) -> Link:
        """Take in a connection whose key is proved. Raises LinkRefusedError."""
        self._unproven.pop(line, None)
        if self._nursery is None or self._stopping:
            raise LinkRefusedError("this node stops")
        link = Link(peer=peer, line=line, outbound=outbound, admitted=self._is_member(peer))
        line.link = link
        line.allowance = None if link.admitted else _STRANGER_BYTES_MAX
        self._links.arrive(link)
        self._nursery.start_soon(self._expire, link)
        return link

    def _connected(self, link: Link, conn: INetConn) -> None:
        link.conn = conn  # type: ignore[assignment]

    async def _expire(self, link: Link) -> None:
        with trio.move_on_after(self._limits.session_s if link.admitted else self._limits.stranger_s):
            await link.settled.wait()
        if not link.settled.is_set():
            link.drop("it opened no sync stream" if link.admitted else "a stranger's time is over")

    def _dropped(self, link: Link, reason: str) -> None:
        if link.up:
            log.info("%s is gone: %s", link.name, reason)
            self._inbox.put(PeerDown(peer=link.peer, reason=reason), link.peer)
            if self._gossip is not None:
                self._gossip.forget(link)

    def _admit(self, link: Link) -> None:
        if not link.admitted:
            link.admitted = True
            link.line.allowance = None

    async def _link_to(self, target: Address | None) -> Link:
        """Find the link to a peer, or make one. One dial at a time for each peer. Raises DialError."""
        assert target is not None
        while (event := self._dials.get(target.peer)) is not None:
            await event.wait()
        self._check_running()
        link = self._links.get(target.peer)
        if link is not None:
            return link
        event = self._dials[target.peer] = trio.Event()
        try:
            return await self._connect(target)
        finally:
            del self._dials[target.peer]
            event.set()

    async def _connect(self, target: Address) -> Link:
        line = TcpLine(await connect_tcp(target), allowance=_UNPROVEN_BYTES_MAX)
        try:
            self._check_running()
            assert self._swarm is not None
            await self._swarm.upgrade_outbound_raw_conn(RawConnection(line, True), ID.from_base58(peer_id(target.peer)))
            if line.link is not None and line.link.conn is not None and not line.link.dropped:
                return line.link
            cause: BaseException | None = None
        except DialError:
            line.abort()
            raise
        except Exception as error:
            log.debug("connecting to %s: %r", target.where, error)
            cause = error
        except BaseException:
            self._give_up(line)
            raise
        self._give_up(line)
        if _is_wrong_peer(cause):
            raise DialError(DialReason.WRONG_PEER, f"somebody else answers at {target.where}")
        if line.link is not None and (crossed := await self._crossed(target.peer)) is not None:
            return crossed
        self._check_running()
        raise DialError(DialReason.NOT_ADMITTED, f"{target.where} closed the connection")

    def _give_up(self, line: TcpLine) -> None:
        line.abort()
        if line.link is not None:
            line.link.drop("the connection failed")

    async def _crossed(self, peer: PeerKey) -> Link | None:
        """Both sides dialled at once, and the connection of the other side is kept: wait for it."""
        with trio.move_on_after(_CROSSED_S):
            await self._links.arrival(peer)
        return self._links.get(peer)

    # -- streams -----------------------------------------------------------------------------------------------

    def _open_session(self, link: Link) -> None:
        """Begin to open the sync stream, if it is our part and not begun yet."""
        if link.outbound and not link.opening and link.session is None and self._nursery is not None:
            link.opening = True
            self._nursery.start_soon(self._open_sync, link)

    async def _open_sync(self, link: Link) -> None:
        if self._host is None:
            link.drop("the network failed")
            return
        try:
            stream = await open_stream(self._host, link, SYNC, self._limits.session_s)
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
            self._limits,
            opened=lambda: self._opened(link),
            taken=lambda cost: self._taken(link.peer, cost),
        )
        await link.session.run()

    def _opened(self, link: Link) -> None:
        link.up = True
        link.settled.set()
        self._inbox.put(
            PeerUp(peer=link.peer, outbound=link.outbound, relayed=False, address=link.line.where), link.peer
        )
        if self._gossip is not None and self._nursery is not None:
            self._nursery.start_soon(self._gossip.serve, link)

    def _taken(self, peer: PeerKey, cost: int) -> None:
        link = self._links.get(peer)
        if link is not None and link.session is not None:
            link.session.give_back(cost)

    async def _on_stream(self, stream: INetStream) -> None:
        """Serve one inbound stream. Nothing that a peer does may raise out of here: it would end the swarm."""
        link = link_of(stream)
        if link.streams >= STREAMS_MAX or self._host is None:
            await reset(stream)
            return
        link.streams += 1
        try:
            limit = self._limits.session_s
            if (accepted := await accept_stream(self._host, stream, limit)) is not None:
                await accepted[1](stream)
        except Exception as error:
            log.debug("a stream of %s: %r", link.name, error, exc_info=True)
        finally:
            link.streams -= 1
            await reset(stream)

    async def _on_sync(self, stream: INetStream) -> None:
        link = link_of(stream)
        if link.outbound or link.session is not None or link.dropped or not self._is_member(link.peer):
            return
        self._admit(link)
        await self._run_session(link, stream)

    async def _on_knock(self, stream: INetStream) -> None:
        link = link_of(stream)
        handler = self._knock_handler
        if handler is None:
            return
        with trio.move_on_after(self._limits.stranger_s):
            await answer(stream, link.peer, handler)

    async def _knock(self, link: Link, data: bytes, timeout_s: float) -> bytes:
        self._check_running()
        assert self._host is not None
        try:
            stream = await open_stream(self._host, link, KNOCK, timeout_s)
        except StreamRefusedError as error:
            raise DialError(DialReason.NOT_ADMITTED, str(error)) from error
        try:
            response = await ask(stream, data)
        finally:
            await reset(stream)
        if response is None:
            raise DialError(DialReason.NOT_ADMITTED, "the peer closed without a word")
        return response

    async def _part(self, link: Link, polite: bytes | None) -> None:
        """Say goodbye: write what is queued and wait, a second at most, until the other side hangs up."""
        if link.session is not None and link.up:
            link.session.finish(polite)
            with trio.move_on_after(FAREWELL_S):
                await link.gone.wait()
        link.drop("we hung up")


def _is_wrong_peer(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, PeerIDMismatchesPubkey):
            return True
        error = error.__cause__ or error.__context__
    return False
