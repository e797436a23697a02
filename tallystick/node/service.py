"""The running node: one trio loop that hands events to the core and performs its effects.

Nothing is decided here. What the core wants sent is sent, what it wants verified goes to two worker threads, what the
disk refuses makes the node read-only until there is room again.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node import (
    introducing,
    knock,
    service_bundle,
    service_care,
    service_evidence,
    service_keys,
    service_refounding,
)
from tallystick.node.archive import Archive
from tallystick.node.aside import LONG, Aside
from tallystick.node.clock import now_ms, seconds_until
from tallystick.node.core import Event, NodeCore
from tallystick.node.desk import Desk
from tallystick.node.dialer import Dialer
from tallystick.node.effects import (
    AskRoom,
    Effect,
    HangUp,
    Learn,
    Pause,
    Publish,
    Recheck,
    Resume,
    Send,
    Verify,
    Wake,
)
from tallystick.node.errors import ApiError, StoreError, StoreReason
from tallystick.node.fork_report import write_report
from tallystick.node.identity import read_identity, read_node_secret
from tallystick.node.joining import is_revoked, none_met, not_met
from tallystick.node.neighbours import circle_of, owner_of, ties_of
from tallystick.node.net_address import peer_id, read_address_untrusted
from tallystick.node.progress import Progress
from tallystick.node.reach import DIAL_S, Reach
from tallystick.node.read_args import ReadArgs, read_args
from tallystick.node.service_args import (
    OWN_ARGS,
    SealArgs,
    SyncArgs,
)
from tallystick.node.transport import (
    DialError,
    Listening,
    PeerDown,
    PeerKey,
    PeerUp,
    Resumed,
    Transport,
    TransportEvent,
)
from tallystick.node.verifier import Verifier
from tallystick.node.view import CatchingUpFact, NodeFacts

if TYPE_CHECKING:
    from tallystick.node.config import Config
    from tallystick.node.home import Home

log = logging.getLogger("tallystick.node")

RESUME_EVERY_S: Final = 5.0
#: However much happens, what depends on the time is looked after so often.
TICK_MS: Final = 100
#: Events of others are taken in for so long before anything else has its turn.
TURN_S: Final = 0.005
#: How often the log says how catching up goes.
TELL_MS: Final = 5_000
#: A `sync` ends when nothing has come for so long.
QUIET_S: Final = 0.4
#: The first entry after a start waits so long for somebody who may know of later ones of this device.
MEET_S: Final = 2.0
SYNC_S: Final = 20.0


class Node:
    """A core, a transport and a desk, while they run."""

    def __init__(self, home: Home, archive: Archive, transport: Transport, config: Config) -> None:
        self.home = home
        self.archive = archive
        self.config = config
        self.transport = transport
        self.node_key = read_node_secret(home)
        self.device = read_identity(home).device
        self.stopping = trio.Event()
        self.read_only: StoreError | None = None
        self.held: SecretKey | None = None
        """The signing key, while it is unlocked."""
        self._started_s = trio.current_time()
        self._has_met = False
        """Whether somebody has had time to say what this database may not know, since the start."""
        self.held_until = 0
        self.held_idle_ms = 0
        self.dialer = Dialer(self.node_key.public, int.from_bytes(self.node_key.public[:8], "big"))
        self._changed = trio.Event()
        self._stirred = trio.Event()
        self._verifier = Verifier(self.feed)
        self._nursery: trio.Nursery | None = None
        self._waiting: deque[Event] = deque()
        self._told_next = 0
        self._wake = 0
        """When the loop looks after what is due, unless something is due before."""
        self._tick_next = 0
        """From when on it looks after any event, due or not."""
        self.aside = Aside(archive.store, archive.ledger_id(), self.device)
        self.progress = Progress()
        """How catching up goes."""
        self.core = self._load()
        for _, addresses in archive.peers():
            self.dialer.learn(addresses)
        self.reach = Reach(
            transport,
            self.dialer,
            archive,
            is_wanted=self._gate,
            is_resting=lambda: self.read_only is not None,
            stirred=self._stir,
            circle=lambda: circle_of(self.core),
            ties=lambda: ties_of(self.core),
            introduction=lambda: introducing.ask(self.core),
        )
        self.reach.neighbours.name(self.dialer.learn(config.peers))

    def _load(self) -> NodeCore:
        ledger, loose = self.archive.load(self.archive.ledger_id())
        join = self.archive.join_row()
        trusted = () if join is None else tuple(self.dialer.learn(join.addresses))
        core = NodeCore(
            archive=self.archive,
            ledger=ledger,
            node_key=self.node_key,
            device=self.device,
            now=now_ms(),
            times=self.config.sealing,
            loose=loose,
            trusted=trusted,
            anchor=0 if join is None else join.anchor[0],
        )
        core.sync.addresses = self.transport.addresses()
        core.on_alarm = lambda: write_report(self.home, core)
        write_report(self.home, core)
        return core

    # -- the loop ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run until the block is left or `stopping` is set. Raises ListenError, StoreError."""
        self.transport.set_gate(self._gate)
        self.transport.set_owner(self._owner_of)
        self.transport.set_knock_handler(self._knocked)
        async with self.transport.running(), trio.open_nursery() as nursery:
            self._nursery = nursery
            self._verifier.start(nursery)
            self._set_addresses(self.transport.addresses())
            nursery.start_soon(self._pump)
            nursery.start_soon(self._tick)
            nursery.start_soon(self.reach.run)
            if self.config.mdns:
                nursery.start_soon(self.reach.search, self.archive.ledger_id())
            nursery.start_soon(self._mend)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

    async def _pump(self) -> None:
        events = self.transport.events
        async for event in events:
            self._hear(event)
            # To wait for each one alone would cost more than reading it. Others are kept waiting for a moment only.
            until = trio.current_time() + TURN_S
            while trio.current_time() < until:
                try:
                    self._hear(events.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break

    def _hear(self, event: TransportEvent) -> None:
        """Take in what the transport tells."""
        now = now_ms()
        match event:
            case PeerUp(peer=peer):
                log.info("connected: %s at %s", peer_id(peer), event.address)
                if not self.reach.up(event, now):
                    return
            case PeerDown(peer=peer, reason=reason):
                log.info("disconnected: %s (%s)", peer_id(peer), reason)
                session = self.core.sync.sessions.get(peer)
                self.reach.down(event, -1 if session is None else session.height, now)
                self._changed.set()
            case Resumed():
                log.info("the machine slept for %d s", event.slept_ms // 1000)
                self.reach.hurry()
                self._changed.set()
            case Listening(addresses=addresses):
                self._set_addresses(addresses)
                self.reach.hurry()
                self._changed.set()
        self.feed(event)

    def feed(self, event: Event) -> None:
        """Hand an event to the core and do what it wants."""
        self._waiting.append(event)
        if len(self._waiting) > 1:
            # Somebody further up is at it: an effect of one event may be the next one.
            return
        while self._waiting:
            if self.read_only is None:
                try:
                    self.perform(self.core.handle(self._waiting[0], now_ms()))
                except StoreError as error:
                    self.disk_failed(error)
            self._waiting.popleft()

    async def _tick(self) -> None:
        while True:
            self._changed = trio.Event()
            self._wake = self.core.wake
            with trio.move_on_after(min(seconds_until(self._wake), 1.0)):
                await self._changed.wait()
            now = now_ms()
            self._tick_next = now + TICK_MS
            service_keys.drop_idle(self, now)
            self.feed(Wake())
            service_keys.convict(self, now)
            self._look()

    def _look(self) -> None:
        """Note how far catching up has come."""
        core = self.core
        target = max((row.height for row in core.sync.sessions.values()), default=0)
        height, entries, now = core.ledger.head.height, self._entries(), now_ms()
        self.progress.look(now, height=height, entries=entries, target=target)
        if now >= self._told_next and (fact := self.progress.fact(now, height=height, entries=entries)) is not None:
            self._told_next = now + TELL_MS
            log.info("catching up: block %d of %d, %d entries/s", fact.height, fact.target, fact.rate)

    def _entries(self) -> int:
        """Entries that are here, sealed or on their way to be: the log has a leaf for each, and one a block."""
        ledger = self.core.ledger
        return len(ledger.log) - ledger.head.height + len(ledger.pool)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; it is looked at after every change."""
        while not is_so():
            await self._stirred.wait()

    def perform(self, effects: Sequence[Effect]) -> None:
        """Carry out effects, in order. Nothing here blocks."""
        transport = self.transport
        for effect in effects:
            match effect:
                case Send(peer=peer, frames=frames):
                    for frame in frames:
                        if not transport.send(peer, frame):
                            break
                case AskRoom(peer=peer):
                    transport.ask_room(peer)
                case Verify():
                    self._verifier.judge(effect)
                case Publish(data=data):
                    transport.publish(data)
                case HangUp(peer=peer, why=why, blame=blame, rest=rest):
                    log.info("hanging up on %s: %s", peer_id(peer), why)
                    if blame:
                        self.dialer.blame(peer, now_ms())
                    elif rest:
                        self.dialer.rest(peer, now_ms())
                    transport.disconnect(peer)
                case Pause(peer=peer):
                    transport.pause(peer)
                case Resume(peer=peer):
                    transport.resume(peer)
                case Recheck():
                    transport.recheck()
                    self.reach.members_changed()
                case Learn(addresses=addresses, hearsay=hearsay):
                    self.reach.learn(addresses, hearsay=hearsay)
        if self.core.wake < self._wake or now_ms() >= self._tick_next:
            self._changed.set()
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = trio.Event()

    # -- the disk ------------------------------------------------------------------------------------------------------

    def disk_failed(self, error: StoreError) -> None:
        """A full disk makes the node read-only until there is room; anything else ends it."""
        if error.reason != StoreReason.DISK_FULL:
            raise error
        log.error("read-only: %s", error.message)
        self.read_only = error
        for peer in self.transport.peers():
            self.transport.disconnect(peer)

    async def _mend(self) -> None:
        while True:
            await trio.sleep(RESUME_EVERY_S)
            if self.read_only is not None and self.archive.store.resume():
                log.info("there is room on the disk again")
                # What the core has in memory may be more than what the disk has taken.
                self.core = self._load()
                self.read_only = None
                self.reach.hurry()

    # -- peers ---------------------------------------------------------------------------------------------------------

    def _gate(self, peer: PeerKey) -> bool:
        # While nothing can be stored nobody is met: the core would not hear of the connection, and miss it afterwards.
        return self.read_only is None and not self.dialer.is_blamed(peer, now_ms()) and self.core.is_member(peer)

    def _owner_of(self, peer: PeerKey) -> bytes:
        # The core may be another one by then.
        return owner_of(self.core, peer)

    async def _knocked(self, peer: PeerKey, request: bytes) -> bytes | None:
        if self.read_only is not None:
            return None
        try:
            answer = knock.answer(self.core, peer, request, now_ms())
            self.perform(self.core.effects())
        except StoreError as error:
            self.disk_failed(error)
            return None
        return answer

    def _set_addresses(self, addresses: Sequence[str]) -> None:
        self.core.sync.addresses = list(addresses)
        self.reach.listens(addresses)
        if addresses and self.read_only is None and self.archive.addresses_of(self.node_key.public) != list(addresses):
            self.archive.keep_addresses(self.node_key.public, list(addresses))

    async def dial_now(self, address: str) -> None:
        """Connect to an address a person named. Raises UnreachableError."""
        try:
            read_address_untrusted(address)
        except DialError as error:
            raise ApiError(error.detail, reason="bad-address") from error
        try:
            self.reach.call(self.dialer.learn([address]))
            await self.transport.dial(address, DIAL_S)
        except DialError as error:
            raise not_met(address, error) from error

    async def sync(
        self, address: str | None = None, told: Callable[[CatchingUpFact | None], None] | None = None
    ) -> dict[str, Any]:
        """Meet everybody who can be reached, until nothing new comes; `told` hears how it goes.

        Raises UnreachableError.
        """
        before = self.core.ledger.head.height
        self.core.sync.met = set(self._greeted())
        if address is not None:
            await self.dial_now(address)
        else:
            self.reach.hurry()
            with trio.move_on_after(DIAL_S):
                await self.until(lambda: bool(self._greeted()) or not self._may_meet())
            if not self._greeted():
                raise none_met(len(self.dialer.peers()), len(self.reach.refusing))
        with trio.move_on_after(SYNC_S) as scope:
            quiet_since, last = trio.current_time(), self._progress()
            while trio.current_time() - quiet_since < QUIET_S or not (self._greeted() or is_revoked(self.core)):
                await trio.sleep(0.05)
                if (now := self._progress()) != last:
                    quiet_since = trio.current_time()
                    if now[:-1] != last[:-1]:
                        # However long it takes: it goes on as long as something comes.
                        scope.deadline = quiet_since + SYNC_S
                    last = now
                if told is not None:
                    told(self.facts().catching_up)
        core = self.core
        return {
            # What came may have revoked this computer: whoever brought it has let it go by now.
            "peers": len(self.core.sync.met),
            "height": core.ledger.head.height,
            "blocks": core.ledger.head.height - before,
            "pending": len(core.ledger.pool),
        }

    def _may_meet(self) -> bool:
        """Whether somebody is there, or is being looked for."""
        return bool(self.transport.peers()) or self.dialer.is_trying(now_ms())

    def _greeted(self) -> list[PeerKey]:
        return [peer for peer, session in self.core.sync.sessions.items() if session.greeted]

    def _progress(self) -> tuple[int, ...]:
        core = self.core
        waiting = sum(len(row.inbox) + row.batches + bool(row.blocks_asked) for row in core.sync.sessions.values())
        behind = max((row.height for row in core.sync.sessions.values()), default=0) > core.ledger.head.height
        # While something is on its way every look is progress, so that the quiet time does not begin.
        moving = time.monotonic_ns() if waiting or behind else 0
        return len(core.ledger.pool), core.ledger.head.height, core.intake.orphan_count, moving

    # -- what a person asks --------------------------------------------------------------------------------------------

    async def do(self, method: str, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        """Carry out an operation of the local interface. Raises NodeError."""
        now = now_ms()
        own = _OWN.get(op)
        if own is not None:
            if method != "POST":
                raise ApiError("this operation is done with POST", reason="method", status=405)
            return await own(self, read_args(OWN_ARGS[op], args), key)
        from tallystick.node.reads import POSTED, READS

        if (method == "GET") != (op in READS and op not in POSTED):
            raise ApiError("GET reads, POST does", reason="method", status=405)
        if op in LONG:
            return await self.aside.answer(op, args, self.facts(), now_ms)
        if op in READS:
            return Desk(self.core).do(op, args, None, now, self.facts())
        if self.read_only is not None:
            raise self.read_only
        await self._meet_first()
        now = now_ms()
        try:
            answer = Desk(self.core).do(op, args, key or self.key_at_hand(now), now)
            self.perform(self.core.effects())
        except StoreError as error:
            self.disk_failed(error)
            raise
        return answer

    async def _meet_first(self) -> None:
        """Before the first entry after a start, let somebody who is there say what this database may not know."""
        left_s = MEET_S - (trio.current_time() - self._started_s)
        if self._has_met or left_s <= 0:
            return
        with trio.move_on_after(left_s):
            await self.until(lambda: bool(self._greeted()) or not self._may_meet())
            if self._greeted():
                await trio.sleep(QUIET_S)
        self._has_met = True

    def key_at_hand(self, now: int) -> SecretKey | None:
        """The key, while it is unlocked. Asking for it prolongs that."""
        service_keys.drop_idle(self, now)
        if self.held is not None:
            self.held_until = now + self.held_idle_ms
        return self.held

    def facts(self) -> NodeFacts:
        """What only a running node knows."""
        core = self.core
        return NodeFacts(
            peers=self.reach.facts(core),
            addresses=list(core.sync.addresses),
            orphans=core.intake.orphan_count,
            sealing=core.sealer.fact(),
            read_only=None if self.read_only is None else self.read_only.message,
            mute=core.sealer.muted or None,
            warning=core.sealer.warning(now_ms()) or None,
            seen_by=core.sync.seen_by(),
            catching_up=self.progress.fact(now_ms(), height=core.ledger.head.height, entries=self._entries()),
        )

    async def _op_seal(self, args: SealArgs, key: SecretKey | None) -> Any:
        if self.read_only is not None:
            raise self.read_only
        if args.unmute:
            await service_keys.unmute(self, accept_loss=args.accept_loss)
        now = now_ms()
        height = self.core.ledger.head.height
        self.core.sealer.hurry(now)
        self.feed(Wake())
        with trio.move_on_after(args.wait_s):
            core = self.core
            await self.until(lambda: core.ledger.head.height > height or not core.sealer.is_active)
        return Desk(self.core).sealing(now) | {"sealed": self.core.ledger.head.height - height}

    async def _op_sync(self, args: SyncArgs, key: SecretKey | None) -> Any:
        return await self.sync(args.address)

    async def _op_stop(self, args: ReadArgs, key: SecretKey | None) -> Any:
        self.stopping.set()
        return {"stopping": True}


_OWN: Final[Mapping[str, Callable[[Node, Any, SecretKey | None], Awaitable[Any]]]] = {
    "seal": Node._op_seal,
    "sync": Node._op_sync,
    "stop": Node._op_stop,
    "refound": service_refounding.found_anew,
    "bundle_out": service_bundle.write,
    "doctor": service_care.doctor,
    "verify": service_care.verify,
    "evidence_add": service_evidence.add,
    "evidence_get": service_evidence.get,
    "bundle_in": service_bundle.take,
    "device_ticket": service_keys.device_ticket,
    "member_ticket": service_keys.member_ticket,
    "unlock": service_keys.unlock,
    "lock": service_keys.lock,
}
