"""The node as a machine: events and the time go in, effects come out. It touches no socket, no clock, only its store.

A frame becomes a message; entries are decoded, verified off the loop, added, stored and handed on; sealing messages go
to the sealing driver; a decided block is stored with all that follows from it before anybody hears of it.

Source: docs/spec/sync.md, ARCHITECTURE.md
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, assert_never

from tallystick.crypto.hashing import tagged_hash
from tallystick.node import alarms
from tallystick.node import messages as m
from tallystick.node.archive import row_of
from tallystick.node.blob_exchange import BlobExchange
from tallystick.node.config import SealingTimes
from tallystick.node.crowding import has_room
from tallystick.node.dues import Dues
from tallystick.node.effects import Effect, HangUp, Pause, Recheck, Resume, Verified, Verify, Wake
from tallystick.node.forking import ForkWatch
from tallystick.node.intake import Batch, BlameError, Intake, Taken
from tallystick.node.lineage import learn_line, left_for
from tallystick.node.messages import MessageError
from tallystick.node.muting import check_own
from tallystick.node.sealer import Sealer
from tallystick.node.session import Session
from tallystick.node.sync import Sync
from tallystick.node.transport import (
    Frame,
    Gossip,
    Listening,
    PeerDown,
    PeerKey,
    PeerUp,
    Resumed,
    TransportEvent,
    Writable,
)
from tallystick.node.whereabouts import Whereabouts
from tallystick.protocol.assembly import OtherResultError
from tallystick.protocol.errors import BlockError, DecodeError, Reason

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.archive import Archive
    from tallystick.node.enrolment import OpenTicket
    from tallystick.protocol.assembly import Assembled
    from tallystick.protocol.block import Block
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.evidence import Evidence
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.ledger import Ledger
    from tallystick.protocol.pool import Pending
    from tallystick.protocol.state import State

log = logging.getLogger("tallystick.node")

Event = TransportEvent | Verified | Wake

#: Under which name evidence against sealers is kept.
EVIDENCE: Final = b"evidence/"
#: How often what was lost is repaired.
REPAIR_MS: Final = 5_000
#: How often the time changes for the question who is there; entries that have come count at once.
PEOPLE_MS: Final = 2_000
#: What a device is whose node may sync.
_LIVE: Final = ("active", "frozen")
#: Kinds of entries after which everybody's devices are the same as before.
_DEALS: Final = frozenset(
    ("offer", "withdraw", "endorse", "accept", "deliver", "return", "approve", "reject", "cancel", "cosign")
)


class NodeCore:
    """One node and its one ledger."""

    def __init__(
        self,
        *,
        archive: Archive,
        ledger: Ledger,
        node_key: SecretKey,
        device: bytes,
        now: int,
        times: SealingTimes | None = None,
        loose: Sequence[Entry] = (),
        trusted: Sequence[PeerKey] = (),
        anchor: int = 0,
    ) -> None:
        """`trusted` may come in before the ledger is here, up to the block `anchor` that the ticket named."""
        self.archive = archive
        self.ledger = ledger
        self.device = device
        """Our own signing key, the public half."""
        self.node_key = node_key
        self.out: list[Effect] = []
        self.intake = Intake(ledger, archive)
        self.sync = Sync(ledger, archive, self.out)
        self.blobs = BlobExchange(self)
        self.whereabouts = Whereabouts(self)
        self.dues = Dues(self)
        self.loose = list(loose)
        """Our own entries from before the ledger was here: a join."""
        self.handed_in = frozenset(entry.id for entry in loose)
        """They come back with the ledger, and are no news."""
        self.alarm = ""
        """Why this node trusts its ledger no more; nothing is sealed then."""
        self.disagreement: OtherResultError | None = None
        """A sealed block that has another result here."""
        self._devices: dict[PeerKey, bytes] = {}
        """Node key -> the device that it was found to belong to."""
        self._fresh: set[bytes] = set()
        """Pending entries that are not stored yet: that is done with the block that is being worked through."""
        self.on_block: Callable[[int], None] | None = None
        """Told of each new height."""
        self.on_alarm: Callable[[], None] | None = None
        """Told once when the ledger is found to have forked."""
        self.guests: dict[PeerKey, int] = {}
        """Strangers who have shown a member's recovery key, and until when they may fetch the ledger."""
        self.tickets: dict[bytes, OpenTicket] = {}
        """Device tickets that wait for their machine, by their public key. They hold a signing key: never stored."""
        self.watch = ForkWatch(self)
        self.left = left_for(archive) or ""
        """This node has signed for founding the ledger anew, in words; it seals nothing more here then."""
        if self.watch.fork is not None:
            self.alarm = self.watch.fork.words
        alarms.look_at_rules(self)
        self._trusted = frozenset(trusted)
        self._anchor = anchor
        self._jobs: dict[int, tuple[Batch, Session | None]] = {}
        # A core before this one, as before the disk was full, may still be told what it has asked.
        self._job_next = now << 20
        self._repair_next = now + REPAIR_MS
        self.sealer = Sealer(self, times or SealingTimes(), now)
        self.now = now
        # It may go on at once with what was written down before the last stop, and then needs all of the above.
        self.sealer.begin(now)

    # -- the machine ---------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: int) -> list[Effect]:
        """Take one event in; return what is to be done, in order. Raises StoreError when the disk fails."""
        self.now = now
        match event:
            case Frame(peer=peer, data=data):
                self._on_frame(peer, data)
            case Verified(job=job, verdicts=verdicts):
                self._on_verified(job, verdicts)
            case PeerUp():
                self._on_up(event)
            case PeerDown(peer=peer):
                self.sync.close(peer)
                self.take(self.intake.clear_shelf(peer, now), peer)
                self.intake.forget_peer(peer)
                self.blobs.close(peer, now)
                self.dues.close(peer)
            case Gossip():
                self._on_gossip(event)
            case Resumed():
                self._repair_next = now
            case Listening(addresses=addresses):
                self.sync.addresses = list(addresses)
                self.sync.greet_all(now)
            case Writable() | Wake():
                if isinstance(event, Writable):
                    # Something was refused by the queue to this peer, which asks for it anew.
                    self.sync.on_room(event.peer, now)
            case _:
                assert_never(event)
        if now >= self._repair_next:
            self._repair()
        self.dues.pay(now)
        self.sealer.poke(now)
        return self._taken_out()

    @property
    def wake(self) -> int:
        """When `Wake` is due, in ms; it may come earlier."""
        return min(at for at in (self._repair_next, self.sealer.wake, self.dues.wake) if at is not None)

    def _taken_out(self) -> list[Effect]:
        out = list(self.out)
        self.out.clear()
        return out

    @property
    def silent(self) -> str:
        """Why this node seals nothing on this ledger, whoever asks: an alarm, or it has signed for another one."""
        if self.ledger.head.height < self.ledger.base:
            return "the blocks of the ledger before are not all here yet"
        return self.alarm or self.left

    # -- who may come in -----------------------------------------------------------------------------------------------

    def is_member(self, peer: PeerKey) -> bool:
        """The gate: whether a node key belongs to an active device, also one whose join is not sealed yet."""
        # Whoever gives us the ledger may have become a member in a block that is still on its way.
        if peer in self._trusted and (not self.ledger.head.height or self.ledger.head.height < self._anchor):
            return True
        if not self.ledger.head.height and self.ledger.id not in self.ledger.pool:
            return False
        if self.guests.get(peer, 0) > self.now:
            return True
        return _is_in(self.people(), peer, self._devices)

    def people(self) -> State:
        """The state with everything pending, as far as it says who is there; the founding has to be known.

        Deals touch no device and no member: where nothing else is pending, what is sealed need not be looked beyond.
        This is asked for each peer and after each block, and folding what is pending takes longer than the answer: of
        what is dated ahead, which moves with the time, there may be thousands, so the time is looked at now and then.
        """
        ledger = self.ledger
        is_only_deals = ledger.head.height and ledger.pool.kinds.keys() <= _DEALS and not ledger.due_by(self.now)
        return ledger.state if is_only_deals else ledger.view(self.now - self.now % PEOPLE_MS)

    def member_of(self, peer: PeerKey) -> bytes | None:
        """Whose node key this is, as far as anybody knows."""
        if not self.ledger.head.height and self.ledger.id not in self.ledger.pool:
            return None
        use = self.people().keys.get(peer)
        return None if use is None or use.use not in ("node", "convicted") else use.owner

    # -- our own entries -----------------------------------------------------------------------------------------------

    def submit(self, entry: Entry, now: int) -> None:
        """Take an entry that this device has just signed: durable on return, then handed on.

        Raises EntryError where it is not well made, StoreError where it cannot be stored; then nothing has happened.
        """
        self.now = now
        body = self.intake.judge(entry)
        self.archive.keep((entry,), sync=True)
        self.archive.store.guard.raise_to(seq=entry.seq)
        self._added([self.ledger.add(entry, body)], None)
        self.sealer.poke(now)

    def take_foreign(self, entry: Entry, body: Body, now: int) -> None:
        """Take a newcomer's entry that was judged already: durable on return, then handed on."""
        self.now = now
        self.archive.keep((entry,), sync=True)
        self._added([self.ledger.add(entry, body)], None)

    def effects(self) -> list[Effect]:
        """What calls from outside (`submit`, `knock`) left to do."""
        return self._taken_out()

    # -- frames --------------------------------------------------------------------------------------------------------

    def _on_up(self, event: PeerUp) -> None:
        session = Session(event.peer, event.address, event.outbound, event.relayed, self.now)
        self.sync.open(session, self.now)

    def _on_frame(self, peer: PeerKey, data: bytes) -> None:
        session = self.sync.sessions.get(peer)
        if session is None:
            return
        session.heard = self.now
        try:
            message = session.reader.read(data)
        except MessageError as error:
            self.sync.hang_up(peer, str(error), blame=True)
            self.sync.close(peer)
            return
        session.growing += len(data)
        if not has_room(self, session) or message is None:
            return
        session.put(message)
        if isinstance(message, m.BlocksEnd):
            self.sync.ask_ahead(session, message.height, self.now)
        self._work(session)
        if session.is_full and not session.paused:
            session.paused = True
            self.out.append(Pause(peer))

    def _work(self, session: Session) -> None:
        """Do what waits in a session's inbox, in its order, as far as nothing before it is still being verified."""
        try:
            self._read_ahead(session)
            while session.inbox and self.sync.sessions.get(session.peer) is session:
                message = session.inbox[0]
                if session.batches and not session.may_go(message):
                    break
                session.drop(0)
                self._on_message(session, message)
                self._read_ahead(session)
        except OtherResultError as error:
            # Whoever handed it on has done nothing wrong.
            alarms.disagree(self, error.header.height, error)
        except (BlameError, BlockError, DecodeError) as error:
            self.sync.hang_up(session.peer, str(error), blame=True)
            self.sync.close(session.peer)
            return
        if session.paused and session.has_room:
            session.paused = False
            self.out.append(Resume(session.peer))

    def _read_ahead(self, session: Session) -> None:
        """Have entries judged that are for sealed blocks, also while a block before them is still in the inbox."""
        while (found := session.take_ahead()) is not None:
            message, before = found
            learn_line(self.archive, self.ledger, message.entries)
            batch = self.intake.open_sealed(message.entries, session.peer, before)
            if batch.entries:
                session.ahead.append(before)
                self._verify(batch, session)

    def _on_message(self, session: Session, message: m.Message) -> None:
        now = self.now
        match message:
            case m.Hello():
                self._on_hello(session, message)
            case m.Entries():
                learn_line(self.archive, self.ledger, message.entries)
                for_block = bool(session.blocks_asked)
                batch, orphaned = self.intake.open(message.entries, session.peer, now, for_block=for_block)
                if batch.entries:
                    self._verify(batch, session)
                if orphaned and not session.blocks_asked:
                    self.dues.orphans(session)
            case m.Bye():
                why = f"the other side: {message.code}"
                self.out.append(HangUp(session.peer, why, False, rest=message.code in m.ENOUGH))
            case _ if not session.greeted:
                raise BlameError("the first message is HELLO")
            case m.Heads():
                self.sync.on_heads(session, message, now)
                if message.reply:
                    self.dues.heads(session, reply=False)
            case m.New():
                self.sync.on_new(session, message.heads, now)
            case m.Want():
                self.dues.wants(session, message.chains)
            case m.GetBlocks():
                self.sync.on_get_blocks(session, message)
            case m.Block():
                self._on_block(session, message)
            case m.BlocksEnd():
                if len(session.asks) <= 1:
                    self.take(self.intake.clear_shelf(session.peer, now), session.peer)
                self.sync.on_blocks_end(session, now)
                # The answer after this one may have come whole by now: then the one after that is asked for.
                end = next((each for each in session.inbox if isinstance(each, m.BlocksEnd)), None)
                if end is not None:
                    self.sync.ask_ahead(session, end.height, now)
            case m.Sealing():
                self.sealer.receive(message.messages, session.peer, now)
            case m.GetSealing():
                self.dues.meets(session, message.height - 1)
            case m.Peers():
                self.whereabouts.hears(session.peer, message)
            case m.GetBlob():
                self.blobs.on_get(session, message, now)
            case m.Chunk():
                self.blobs.on_chunk(session, message, now)
            case _:
                raise BlameError("a message that is not expected here")

    def _on_hello(self, session: Session, hello: m.Hello) -> None:
        first = not session.greeted
        self.sync.on_hello(session, hello, self.now)
        if not session.greeted:
            return
        self.whereabouts.says(session.peer, hello.addresses)
        if first:
            self._hand_over_loose(session)
            if hello.height <= self.ledger.base and (founding := self.archive.wire(self.ledger.id)) is not None:
                # Without it nobody can know to which ledger the first blocks belong.
                self.sync.send(session.peer, m.Entries([founding]))
            self.whereabouts.tell(session.peer)
            if hello.height and hello.height <= self.ledger.head.height:
                self._check_branch(session)
            self.watch.show(session)
        if hello.height == self.ledger.head.height:
            self.dues.meets(session, hello.height)
            self.sealer.greeted(self.now)

    def _check_branch(self, session: Session) -> None:
        ours = self.archive.block_id(session.height)
        if ours is not None and ours != session.block_id:
            log.error("peer %s has another block %d", session.peer.hex()[:8], session.height)
            self.watch.ask(session, session.height)

    def _on_gossip(self, event: Gossip) -> None:
        """A hint that there is something new: ask whoever handed it on."""
        session = self.sync.sessions.get(event.peer) or self.sync.sessions.get(event.author)
        if session is None or not session.greeted:
            return
        try:
            message = m.Reader().read(event.data)
        except MessageError:
            return
        if isinstance(message, m.New):
            self.sync.on_hint(session, message.heads, self.now)

    # -- entries -------------------------------------------------------------------------------------------------------

    def _verify(self, batch: Batch, session: Session | None) -> None:
        self._job_next += 1
        self._jobs[self._job_next] = (batch, session)
        if session is not None:
            session.batches += 1
        self.out.append(Verify(self._job_next, batch.checks))

    def _on_verified(self, job: int, verdicts: Sequence[bool]) -> None:
        if job not in self._jobs:
            return
        batch, session = self._jobs.pop(job)
        if session is not None:
            session.batches -= 1
            if batch.before is not None:
                # The answers come in the order of the questions.
                session.ahead.popleft()
        is_here = session is not None and self.sync.sessions.get(batch.peer) is session
        try:
            taken = self.intake.close(batch, verdicts, self.now, is_here=is_here)
        except BlameError as error:
            if is_here:
                self.sync.hang_up(batch.peer, str(error), blame=True)
                self.sync.close(batch.peer)
            return
        self.take(taken, batch.peer)
        if session is not None and is_here:
            self._work(session)

    def take(self, taken: Taken, peer: PeerKey | None) -> None:
        """Store and hand on what was added, and go on with what waited for it."""
        self.intake.drop_wordless(taken)
        if taken.added:
            self.archive.keep((pending.entry for pending in taken.added), sync=False)
            # First, for the last of what was lost may settle that a backup was put back: then it is no sign of a copy.
            check_own(self, taken.added)
            self._added(taken.added, peer)
        self._go_on(taken, peer)

    def _go_on(self, taken: Taken, peer: PeerKey | None) -> None:
        for entry, error in taken.refused:
            log.info("entry %s refused: %s", entry.id.hex()[:8], error)
            session = None if peer is None else self.sync.sessions.get(peer)
            if error.reason is Reason.OTHER_BRANCH and entry.seal is not None and session is not None:
                # Anybody can write down an id; only the block itself, with its votes, is a fork.
                self.watch.ask(session, entry.seal[0])
        for batch in self.intake.reopen(taken.follow_up):
            self._verify(batch, self.sync.sessions.get(batch.peer))
        if taken.missing_height > self.ledger.head.height:
            self.sync.catch_up(self.now)

    def _added(self, added: Sequence[Pending], source: PeerKey | None) -> None:
        self.sync.pool_changed()
        self.sync.announce(added, source, self.now)
        if any(row.body.INTRODUCES for row in added):
            self.out.append(Recheck())
        self.sealer.entries_came(self.now)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _on_block(self, session: Session, message: m.Block) -> None:
        """A sealed block: what it needs is here, or is asked for."""
        session.blocks_read += 1
        if self.take_block(message, session):
            return
        if not session.asks:
            self.sync.ask_blocks(session, self.now, with_entries=True)
        elif not session.asks[0]:
            # Asked for when this answer is over: two answers at a time could not be told apart.
            session.needs_entries = True
        else:
            self.sync.hang_up(session.peer, "a block came without its entries", blame=False)
            self.sync.close(session.peer)

    def take_block(self, message: m.Block, session: Session | None = None) -> bool:
        """Judge a sealed block and make it final here. False: some of its entries are not here.

        One that is known, or does not come next, does nothing. Raises BlockError, DecodeError.
        """
        from tallystick.protocol.assembly import Missing, check_sealed, check_signed
        from tallystick.protocol.block import read_block_untrusted, read_header_untrusted
        from tallystick.protocol.ready import check_frontiers

        if self.alarm:
            return True
        header, head = read_header_untrusted(message.header), self.ledger.head
        if header.height != head.height + 1 or header.prev_id != head.block_id:
            # By its header alone: its READYs may be megabytes, and anybody can send it again and again.
            self.watch.compare(message, header, session)
            return True
        block = read_block_untrusted(message.header, message.certificate, message.readys, message.entry_ids, deep=False)
        # Its votes come before its READYs, of which there may be megabytes: those of nobody who seals are not read. Who
        # seals block 1 is known from its entry alone.
        if is_signed := bool(self.ledger.sealers()):
            check_signed(self.ledger, block)
        check_frontiers(block.readys)
        taken = Taken() if session is None else self.intake.unshelve(session.peer, block.entry_ids, self.now)
        # What we handed in ourselves is stored, and pending until this block.
        self._fresh = {row.entry.id for row in taken.added} - self.handed_in
        peer = None if session is None else session.peer
        refused: BlockError | DecodeError | None = None
        try:
            check_own(self, taken.added)
            # Whoever becomes mute begins anew, and may find that this height is decided.
            if self.ledger.head is head and not isinstance(
                assembled := check_sealed(self.ledger, block, verified=is_signed), Missing
            ):
                self.seal(block, assembled)
        except (BlockError, DecodeError) as error:
            refused = error
        finally:
            self._fresh = set()
        # What no block has sealed is pending, as if it had come by itself. Not after an error of the store, which may
        # hold the block all the same.
        taken.added = [row for row in taken.added if row.entry.id in self.ledger.pool]
        self.take(taken, peer)
        if refused is not None:
            raise refused
        if session is not None:
            # Not before: it may be enough for a block of our own, in which there would be what is not stored yet.
            self.take(self.intake.unshelve_rest(session.peer, session.blocks_read - 1, self.now), peer)
        return self.ledger.head is not head

    def seal(self, block: Block, assembled: Assembled) -> None:
        """Make a block final: stored with all that follows from it, then told to everybody."""
        entries = [pending.entry for pending in assembled.taken]
        self.archive.keep_block(assembled.executed, row_of(block), assembled.block_id, entries, self._fresh)
        self.archive.scrub_erased(assembled.executed)
        self.ledger.commit(assembled.executed, assembled.block_id)
        alarms.look_at_rules(self)
        self.sync.block_settled(entry.id for entry in entries)
        self.dues.block_came()
        self.sealer.block_came(self.now)
        self._add_loose()
        for batch in self.intake.reopen(self.intake.block_came(self.ledger.head.height)):
            self._verify(batch, self.sync.sessions.get(batch.peer))
        self.sync.greet_all(self.now)
        self.out.append(Recheck())
        log.info("block %d sealed: %d entries", self.ledger.head.height, len(entries))
        if self.on_block is not None:
            self.on_block(self.ledger.head.height)

    def accused(self, evidence: Evidence) -> None:
        """Keep the proof that a sealer has signed contradictions; whoever writes next puts it on the ledger."""
        self.archive.keep_sealing([(EVIDENCE + tagged_hash("evidence", evidence.encode()), evidence.encode())])

    @property
    def has_evidence(self) -> bool:
        """Whether something against a sealer waits to be put on the ledger."""
        return bool(self.archive.sealings(EVIDENCE))

    # -- joining -------------------------------------------------------------------------------------------------------

    def _hand_over_loose(self, session: Session) -> None:
        if self.loose:
            from tallystick.node.sync import entry_wire

            self.sync.send(session.peer, m.Entries([entry_wire(entry) for entry in self.loose]))

    def _add_loose(self) -> None:
        """Our join finds its place as soon as the ledger it belongs to is here."""
        left = []
        for entry in self.loose:
            if not self.ledger.knows(entry.id):
                pending = self.intake.add_own(entry)
                if pending is None:
                    left.append(entry)
                else:
                    self._added([pending], None)
        self.loose = left

    # -- from time to time ---------------------------------------------------------------------------------------------

    def _repair(self) -> None:
        self._repair_next = self.now + REPAIR_MS
        self.intake.expire(self.now)
        self.dues.forget(self.now)
        self.whereabouts.tell_all(self.now)
        self.sync.tick(self.now)
        for peer in [peer for peer, session in self.sync.sessions.items() if session.is_late]:
            # News may be among it, and of an answer that was lost the end never comes.
            self.take(self.intake.clear_shelf(peer, self.now, is_over=False), peer)
        self.blobs.tick(self.now)


def _is_in(state: State, peer: PeerKey, devices: dict[PeerKey, bytes]) -> bool:
    """Whether a node key belongs to an active device in this state. `devices` has those that were found before."""
    use = state.keys.get(peer)
    member = None if use is None or use.use not in ("node", "convicted") else state.members.get(use.owner)
    if member is None or member.status == "refused":
        return False
    # Asked for each of hundreds of connections whenever somebody comes in, and of each there is one device for ever.
    known = state.devices.get(devices.get(peer, b""))
    if known is not None and known.node_key == peer and known.status in _LIVE:
        return True
    for key, device in state.devices.items():
        if device.node_key == peer and device.status in _LIVE:
            devices[peer] = key
            return True
    return False
