"""The transport over py-libp2p: TCP, Noise and Yamux, one sync stream each pair of peers, gossip, and knocks.

    accept/dial -> TcpLine -> Noise (the key is proved) -> Link -> sync stream -> Session -> Inbox -> the node

Everything that libp2p would do by itself, and everything of it that breaks, is dealt with in the `net_*` modules,
which nothing but this file uses. Two partners behind routers reach each other through the node of a third
(`net_circuit`); the ledger would come to them through that node anyway.

Source: docs/spec/sync.md.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.tools.anyio_service import background_trio_service

from tallystick.node.net_address import peer_id, read_address_untrusted
from tallystick.node.net_circuit import HOP, STOP
from tallystick.node.net_framing import FRAME_COST
from tallystick.node.net_gossip import GossipNet
from tallystick.node.net_host import build_host, check_version, quiet_library
from tallystick.node.net_inbox import Inbox
from tallystick.node.net_listen import (
    bound_places,
    close_listeners,
    concrete,
    machine_addresses,
    open_listeners,
    read_place,
)
from tallystick.node.net_peers import KNOCK, SYNC, Net, Peers
from tallystick.node.net_session import FAREWELL_S
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
    Owner,
    PeerKey,
    Resumed,
    TransportLimits,
)

log = logging.getLogger("tallystick.net")

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
        relays: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a transport for a 32-byte node key seed.

        `listen` are addresses of this machine, `announce` those under which others reach it through a router.
        `topic` names the gossip; without it there is none. `relays` lets members reach each other through this node.
        `clock` is the time of day, by which sleep is noticed.
        """
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
        self._peers = Peers(self._key, self._limits, self._inbox, relays=relays)
        self._addresses: list[str] = []
        self._listeners: list[trio.SocketListener] = []
        self._told = False
        """The node has been told where we listen."""
        self._entered = False

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
        self._peers.gate = is_member

    def set_knock_handler(self, handler: KnockHandler) -> None:
        self._peers.knock_handler = handler

    def set_owner(self, owner_of: Owner) -> None:
        self._peers.owner = owner_of

    def recheck(self) -> None:
        self._peers.recheck()

    def peers(self) -> list[PeerKey]:
        return sorted(link.peer for link in self._peers.links if link.up)

    def send(self, peer: PeerKey, frame: bytes) -> bool:
        if not 1 <= len(frame) <= FRAME_BYTES_MAX:
            raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, not {len(frame)}")
        return self._peers.send(peer, frame)

    def ask_room(self, peer: PeerKey) -> None:
        session = self._peers.session(peer)
        if session is not None:
            session.ask_room()

    def queued_bytes(self, peer: PeerKey) -> int:
        session = self._peers.session(peer)
        return session.queued_bytes if session is not None else 0

    def pause(self, peer: PeerKey) -> None:
        if self._peers.session(peer) is not None:
            self._inbox.pause(peer)

    def resume(self, peer: PeerKey) -> None:
        self._inbox.resume(peer)

    def disconnect(self, peer: PeerKey, polite: bytes | None = None) -> None:
        link, net = self._peers.links.get(peer), self._peers.net
        if link is None or not link.up:
            return
        if polite is None or net is None or link.session is None:
            link.drop("we hung up")
        else:
            # From now on nothing more can be queued.
            link.session.finish(polite)
            net.nursery.start_soon(self._peers.part, link)

    def publish(self, data: bytes) -> None:
        if not 1 <= len(data) <= GOSSIP_BYTES_MAX:
            raise ValueError(f"gossip has 1 to {GOSSIP_BYTES_MAX} bytes, not {len(data)}")
        net = self._peers.net
        if net is not None and net.gossip is not None:
            net.nursery.start_soon(net.gossip.publish, data)

    async def dial(self, address: str, timeout_s: float) -> PeerKey:
        target = self._peers.target(address)
        if not self._peers.is_member(target.peer):
            raise DialError(DialReason.NOT_ALLOWED, f"{peer_id(target.peer)} is no member")
        with trio.move_on_after(timeout_s):
            await self._peers.dial(target)
            return target.peer
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    async def dial_through(self, between: PeerKey, peer: PeerKey, timeout_s: float) -> None:
        self._peers.check_dialable(peer)
        if not self._peers.is_member(peer):
            raise DialError(DialReason.NOT_ALLOWED, f"{peer_id(peer)} is no member")
        with trio.move_on_after(timeout_s):
            await self._peers.dial_through(between, peer)
            return
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    async def request(self, to: str | PeerKey, data: bytes, timeout_s: float) -> bytes:
        if not 1 <= len(data) <= KNOCK_REQUEST_BYTES_MAX:
            raise ValueError(f"a request has 1 to {KNOCK_REQUEST_BYTES_MAX} bytes, not {len(data)}")
        target = self._peers.target(to) if isinstance(to, str) else to
        with trio.move_on_after(timeout_s):
            return await self._peers.knock(target, data, timeout_s)
        raise DialError(DialReason.TIMEOUT, f"no answer within {timeout_s:g} s")

    # -- running -----------------------------------------------------------------------------------------------

    def running(self) -> AbstractAsyncContextManager[None]:
        return self._running()

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        if self._entered:
            raise RuntimeError("a transport runs once")
        self._entered = True
        check_version()
        quiet_library()
        announced = self._announced()
        self._listeners = open_listeners([read_place(text) for text in self._listen])
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._serve_host, nursery)
                self._update_addresses(announced)
                for listener in self._listeners:
                    nursery.start_soon(self._accept_all, listener, nursery)
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
            self._peers.net = None
            close_listeners(self._listeners)
            self._peers.drop_all("this node stops")
            self._addresses = []
            self._inbox.close()
        if failure is not None:
            raise failure

    async def _stop(self) -> None:
        net, self._peers.net = self._peers.net, None
        close_listeners(self._listeners)
        with trio.move_on_after(FAREWELL_S) as scope:
            scope.shield = True
            async with trio.open_nursery() as nursery:
                for link in self._peers.links:
                    nursery.start_soon(self._peers.part, link)
        self._peers.drop_all("this node stops")
        if net is not None:
            with trio.move_on_after(FAREWELL_S / 2) as scope:
                scope.shield = True
                # Each needs a moment to tidy up; the library would close them one after the other.
                await net.swarm.wait_empty()

    async def _serve_host(self, nursery: trio.Nursery, task_status: Any) -> None:
        """Run libp2p; if it ends by an error of its own, begin again with a new one."""
        while True:
            try:
                await self._serve_one_host(nursery, task_status)
            except Exception:
                if self._peers.net is None:
                    # It never ran: nothing is repaired by trying again.
                    raise
                log.exception("the network failed and is started again")
            self._peers.net = None
            self._peers.drop_all("the network failed")
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(_AGAIN_S)

    async def _serve_one_host(self, nursery: trio.Nursery, task_status: Any) -> None:
        host, swarm = build_host(
            self._seed,
            self._limits,
            proven=self._peers.proven,
            connected=self._peers.connected,
            on_stream=self._peers.on_stream,
            handlers=OrderedDict(
                {
                    SYNC: self._peers.on_sync,
                    KNOCK: self._peers.on_knock,
                    HOP: self._peers.circuits.on_hop,
                    STOP: self._peers.circuits.on_stop,
                }
            ),
        )
        async with background_trio_service(swarm), trio.open_nursery() as inner:
            await swarm.event_background_nursery_created.wait()
            gossip = None
            if self._topic is not None:
                gossip = GossipNet(
                    host,
                    self._topic,
                    is_member=self._peers.is_member,
                    deliver=self._inbox.put_gossip,
                    timeout_s=self._limits.session_s,
                )
                await inner.start(gossip.run)
            self._peers.net = Net(nursery, host, swarm, gossip)
            task_status.started()
            await swarm.manager.wait_finished()
            inner.cancel_scope.cancel()

    async def _accept_all(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        while True:
            try:
                await trio.serve_listeners(self._peers.accept, [listener], handler_nursery=nursery)
            except Exception as error:
                # On the way out, because the listener was closed; else something is wrong with this machine.
                log.log(logging.WARNING if self._peers.net is not None else logging.DEBUG, "listening: %r", error)
            await trio.sleep(_AGAIN_S)

    async def _watch(self, announced: list[str]) -> None:
        """Find peers that went silent, sleep of this machine, and changes of its addresses."""
        limits = self._limits
        wall = self._clock()
        while True:
            await trio.sleep(limits.watch_every_s)
            slept, wall = self._clock() - wall - limits.watch_every_s, self._clock()
            if slept > limits.slept_s:
                self._peers.drop_all("this machine slept")
                self._inbox.put(Resumed(slept_ms=int(slept * 1000)))
            quiet_since = trio.current_time() - limits.ping_every_s - limits.silent_s
            for link in self._peers.links:
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
        try:
            places = concrete(bound_places(self._listeners), machine_addresses())
        except OSError as error:
            log.debug("the addresses of this machine: %r", error)
            return
        own = f"/p2p/{peer_id(self._key)}"
        addresses = list(dict.fromkeys([*announced, *(where + own for where in places)]))
        if addresses != self._addresses or not self._told:
            self._told = True
            self._addresses = addresses
            self._inbox.put(Listening(addresses=tuple(addresses)))
