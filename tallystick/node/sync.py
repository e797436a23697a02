"""The sync protocol from one node's side: who has what, who wants what, what is handed on.

A session is HELLO both ways; the lower side fetches blocks, equal heights compare digests and fetch entries; then
everything new is handed on as it comes. There is no other state: whatever is lost, the next HELLO repairs.

Source: docs/spec/sync.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from tallystick.crypto.hashing import tagged_hash
from tallystick.node import messages as m
from tallystick.node.effects import AskRoom, HangUp, Publish, Send
from tallystick.node.session import Session
from tallystick.protocol.ledger import AHEAD_MS_MAX

if TYPE_CHECKING:
    from tallystick.node.archive import Archive, Wire
    from tallystick.node.effects import Effect
    from tallystick.node.transport import PeerKey
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.ledger import Ledger
    from tallystick.protocol.pool import Pending

#: A single new entry up to this size is pushed at once instead of being announced.
PUSH_BYTES_MAX: Final = 8 * 1024
#: More new entries than this at once are announced.
PUSH_ENTRIES_MAX: Final = 8
#: How often a HELLO is sent to a quiet peer.
HELLO_MS: Final = 20_000
#: Entries that a peer may have named and not handed over.
WANTED_MAX: Final = 65_536
#: Entries that one gossip names: as many as are ever published at once.
HINTS_MAX: Final = 64
#: Entries that a peer is asked for because of gossip and has not handed over yet.
HINTED_MAX: Final = 1024
#: Entries that a peer is asked for by name, since a block needs them or its own wait for them, and has not handed over.
NEEDED_MAX: Final = 16_384
#: How long an answer may take before another peer is asked.
ANSWER_MS: Final = 15_000
#: How long a peer is left alone, each time longer, that has not given the next block though it says it has it.
REST_MS: Final = 10_000
REST_MS_MAX: Final = 600_000
#: Heads and sealing messages are not sent to one peer more often than this.
HEADS_MS: Final = 300
#: Bytes of blocks and entries in one answer.
ANSWER_BYTES_MAX: Final = 1024 * 1024
#: Requests for blocks of one peer that are being answered; an honest one has two.
ANSWERS_MAX: Final = 8
#: Bytes of entries in one frame.
FRAME_ENTRIES_BYTES: Final = 200 * 1024
#: Sealing messages in one message.
SEALING_MESSAGES_MAX: Final = 256
_HEADS_PER_PART: Final = 1024


class Sync:
    """All sessions of one ledger."""

    def __init__(self, ledger: Ledger, archive: Archive, out: list[Effect]) -> None:
        self._ledger = ledger
        self._archive = archive
        self._out = out
        self.sessions: dict[PeerKey, Session] = {}
        self.met: set[PeerKey] = set()
        """Members whose HELLO has come since somebody began to count them, also those that have gone."""
        self.addresses: list[str] = []
        """Where this node can be dialled; told to members only."""
        self.is_stopped = False
        """Whether no more blocks are fetched: the ledger has forked."""
        self._digest: bytes | None = None
        self._gone: dict[PeerKey, set[bytes]] = {}
        """What peers had that have gone: somebody else has it, though nobody is there."""

    # -- what the node tells ---------------------------------------------------------------------------------------

    def pool_changed(self) -> None:
        """Forget what was computed from the pending entries."""
        self._digest = None

    def open(self, session: Session, now: int) -> None:
        """A new session begins with our HELLO."""
        self.sessions[session.peer] = session
        session.known = self._gone.pop(session.peer, set())
        self.send(session.peer, self._hello(now))

    def close(self, peer: PeerKey) -> None:
        session = self.sessions.pop(peer, None)
        if session is not None and session.known:
            self._gone[peer] = session.known

    def seen_by(self) -> dict[bytes, frozenset[PeerKey]]:
        """Pending entry -> peers that are known to have it, also those that have gone."""
        out: dict[bytes, set[PeerKey]] = {}
        for known in (self._gone, {peer: session.known for peer, session in self.sessions.items()}):
            for peer, ids in known.items():
                for entry_id in ids:
                    if entry_id in self._ledger.pool.entries:
                        out.setdefault(entry_id, set()).add(peer)
        return {entry_id: frozenset(peers) for entry_id, peers in out.items()}

    def send(self, peer: PeerKey, message: m.Message) -> None:
        self._out.append(Send(peer, tuple(m.frames_of(message))))

    def hang_up(self, peer: PeerKey, why: str, *, blame: bool) -> None:
        if peer in self.sessions:
            self.send(peer, m.Bye(why[:64]))
            self._out.append(HangUp(peer, why, blame))

    def announce(self, added: Sequence[Pending], source: PeerKey | None, now: int) -> None:
        """Hand new entries on: small ones at once, many by name."""
        rows = [row for row in added if row.moment <= now + AHEAD_MS_MAX and not self._is_stopped(row.entry)]
        if source is not None and (giver := self.sessions.get(source)) is not None:
            giver.known.update(row.entry.id for row in added)
            giver.brought += len(added)
        if not rows:
            return
        size = sum(len(row.entry.header) + len(row.entry.annex or b"") for row in rows)
        push = len(rows) <= PUSH_ENTRIES_MAX and size <= PUSH_BYTES_MAX
        for session in self.sessions.values():
            fresh = [row.entry for row in rows if row.entry.id not in session.known]
            if not fresh or not session.greeted:
                continue
            if push:
                self.send(session.peer, m.Entries([entry_wire(entry) for entry in fresh]))
                session.known.update(entry.id for entry in fresh)
            else:
                for start in range(0, len(fresh), 1024):
                    part = fresh[start : start + 1024]
                    self.send(session.peer, m.New([(e.device, e.seq, e.id) for e in part]))
        if source is None:
            heads = [(row.entry.device, row.entry.seq, row.entry.id) for row in rows[-HINTS_MAX:]]
            self._out.append(Publish(m.encode_message(m.New(heads))))

    def tell_peers(self, peer: PeerKey, is_member: Callable[[PeerKey], bool]) -> None:
        """Tell a peer where the other members were reached last."""
        rows = [
            (other, addresses[: m.ADDRESSES_MAX])
            for other, addresses in self._archive.peers()
            if other != peer and addresses and is_member(other)
        ]
        # Those that are there now are worth most.
        rows.sort(key=lambda row: row[0] not in self.sessions)
        if rows:
            self.send(peer, m.Peers(rows[: m.PEERS_MAX]))

    def tell_of(self, moved: Sequence[tuple[PeerKey, list[str]]]) -> None:
        """Tell everybody where peers have just said that they can be reached."""
        for start in range(0, len(moved), m.PEERS_MAX):
            # Made once: there may be hundreds who are told.
            frames = tuple(m.frames_of(m.Peers(list(moved[start : start + m.PEERS_MAX]))))
            for other, session in self.sessions.items():
                if session.greeted and any(peer != other for peer, _ in moved[start : start + m.PEERS_MAX]):
                    self._out.append(Send(other, frames))

    def greet(self, session: Session, now: int) -> None:
        """Tell one peer where we stand."""
        session.hello_sent = now
        self.send(session.peer, self._hello(now))

    def greet_all(self, now: int) -> None:
        """Tell everybody where we stand: after a block."""
        for session in self.sessions.values():
            self.greet(session, now)

    def broadcast(self, messages: list[bytes], but: PeerKey | None = None) -> None:
        """Hand sealing messages to every peer but the one they came from."""
        if not messages:
            return
        for peer, session in self.sessions.items():
            if peer != but and session.greeted:
                self.send_sealing(peer, messages)

    def send_sealing(self, peer: PeerKey, messages: Sequence[bytes]) -> None:
        """Hand one peer what belongs to the height that is being sealed, in messages of bounded size."""
        for part in in_parts(messages):
            self.send(peer, m.Sealing(part))

    def want(self, session: Session, entry_ids: Iterable[bytes], devices: Mapping[bytes, bytes], now: int) -> None:
        """Ask for pending entries by id, and what lies below them; `devices` tells whose they are, where that is known.

        Then the whole chain is asked for from where ours ends: what we refused once, the other side thinks we have.
        """
        chains: list[tuple[bytes, int, bytes]] = []
        pending, ids = self._ledger.pool.entries, dict.fromkeys(entry_ids)
        if len(session.needed) + len(ids) > NEEDED_MAX:
            # Only a block clears this, and where blocks are rare it would grow with whatever is made up.
            session.needed = {
                entry_id: since
                for entry_id, since in session.needed.items()
                if (since + ANSWER_MS > now or entry_id in ids) and entry_id not in pending
            }
        needed = session.needed
        for entry_id in ids:
            asked = needed.get(entry_id)
            if entry_id in pending or (asked is not None and asked + ANSWER_MS > now):
                continue
            if asked is None and len(needed) >= NEEDED_MAX:
                continue
            needed[entry_id] = now
            device = devices.get(entry_id)
            floor = 0 if device is None else self._floor(device, again=asked is not None)
            chains.append((device or bytes(32), floor, entry_id))
        for start in range(0, len(chains), _HEADS_PER_PART):
            self.send(session.peer, m.Want(chains[start : start + _HEADS_PER_PART]))

    def ask_sealing(self, session: Session, now: int) -> None:
        """Ask for everything of the height that is being sealed."""
        if session.sealing_asked + HEADS_MS <= now:
            session.sealing_asked = now
            self.send(session.peer, m.GetSealing(self._ledger.head.height + 1))

    def tick(self, now: int) -> None:
        """Repair what was lost: a HELLO to quiet peers, another peer for answers that do not come."""
        for session in self.sessions.values():
            if session.blocks_asked and session.blocks_asked + ANSWER_MS < now:
                self._blocks_over(session, now)
            if session.greeted and session.hello_sent + HELLO_MS <= now:
                # Whatever was refused by a full queue, or lost with a gossip, is found by comparing digests.
                self.greet(session, now)
        self.catch_up(now)

    # -- what peers say --------------------------------------------------------------------------------------------

    def on_hello(self, session: Session, hello: m.Hello, now: int) -> None:
        if hello.version != m.SYNC_VERSION:
            self.hang_up(session.peer, "another version of the protocol", blame=False)
            return
        if hello.ledger != self._ledger.id:
            self.hang_up(session.peer, "another ledger", blame=False)
            return
        if not session.greeted:
            head = self._ledger.head
            session.was_apart = (hello.height, hello.digest) != (head.height, self._pending_digest())
        self.met.add(session.peer)
        session.height = hello.height
        session.block_id = hello.block_id
        session.clock = hello.now - now
        session.digest = hello.digest
        if hello.height > self._ledger.head.height:
            self.catch_up(now)

    def has_same_pending(self, session: Session) -> bool:
        """Whether a peer had the same pending entries as we have, when it said hello."""
        return session.digest == self._pending_digest()

    def send_heads(self, session: Session, now: int, *, reply: bool) -> None:
        """Our pending heads, so that the other side can ask for what it lacks."""
        rows = [
            (bytes(device), [(int(seq), bytes(entry_id)) for seq, entry_id in ends])  # type: ignore[attr-defined, call-overload]
            for device, ends in self._ledger.frontier(now)
        ]
        parts = max(1, -(-len(rows) // _HEADS_PER_PART))
        for number in range(parts):
            part = rows[number * _HEADS_PER_PART : (number + 1) * _HEADS_PER_PART]
            self.send(session.peer, m.Heads(number, parts, reply and number == parts - 1, part))

    def on_heads(self, session: Session, heads: m.Heads, now: int) -> None:
        rows = [(device, seq, entry_id) for device, ends in heads.devices for seq, entry_id in ends]
        self._ask(session, rows, now)

    def on_new(self, session: Session, heads: Iterable[tuple[bytes, int, bytes]], now: int) -> None:
        """New entries, or the rest of an answer that had to end somewhere."""
        self._ask(session, heads, now, may_go_on=True)

    def on_room(self, peer: PeerKey, now: int) -> None:
        """There is room in the queue to a peer: go on, or tell it anew what is here, where something was lost."""
        session = self.sessions.get(peer)
        if session is None or not session.greeted:
            return
        if session.answers:
            self._go_on(session)
            return
        rows = [
            (bytes(device), int(seq), bytes(entry_id))  # type: ignore[call-overload]
            for device, ends in self._ledger.frontier(now)
            for seq, entry_id in ends  # type: ignore[attr-defined]
        ]
        for start in range(0, len(rows), _HEADS_PER_PART):
            self.send(peer, m.New(rows[start : start + _HEADS_PER_PART]))

    def on_hint(self, session: Session, heads: Sequence[tuple[bytes, int, bytes]], now: int) -> None:
        """Gossip: ask whoever handed it on. What it names is its author's word, and nobody's fault who passed it on."""
        if len(heads) > HINTS_MAX:
            return
        pending, hinted = self._ledger.pool.entries, session.hinted
        for entry_id, since in list(islice(hinted.items(), HINTS_MAX)):
            if since + ANSWER_MS > now and entry_id not in pending:
                break
            del hinted[entry_id]
        chains: list[tuple[bytes, int, bytes]] = []
        for device, seq, entry_id in heads:
            if entry_id in pending or entry_id in hinted or self._ledger.history.sealed(entry_id) is not None:
                continue
            asked = session.wanted.get(entry_id)
            if len(hinted) >= HINTED_MAX or (asked is not None and asked[0] + ANSWER_MS > now):
                continue
            hinted[entry_id] = now
            chains.append((device, self._floor(device, seq, again=asked is not None), entry_id))
        if chains:
            self.send(session.peer, m.Want(chains))

    def serve(self, session: Session, chains: Sequence[tuple[bytes, int, bytes]]) -> tuple[int, int]:
        """Serve pending entries, parents first: as many as one answer may hold, and then the names of what is left.

        Returns how many entries were looked through for it, and how many bytes it has.
        """
        pool = self._ledger.pool
        floor: dict[bytes, int] = {}
        for device, seq, _ in chains:
            floor[device] = min(seq, floor.get(device, seq))
        # A dict and no set: two nodes that are asked the same send the same, in the same order.
        asked = {entry_id: seq for _, seq, entry_id in chains if entry_id in pool.entries}
        found, _ = pool.closure(asked)
        rows = [
            row
            for row in found.values()
            if row.entry.seq >= floor.get(row.entry.device, 0)
            and (row.entry.device in floor or row.entry.id in asked or row.entry.id not in session.known)
        ]
        rows.sort(key=_place)
        # Where a device has branched its numbers do not tell what has come: then it goes on where the answer ended.
        ends: dict[bytes, tuple[int, bytes] | None] = {}
        for device, seq, entry_id in chains:
            cut = session.cuts.pop(entry_id, None)
            if entry_id in asked:
                end = cut[1] if cut is not None and cut[0] == seq else None
                before = ends.setdefault(device, end)
                ends[device] = None if end is None or before is None else min(end, before)
        rows = [row for row in rows if (end := ends.get(row.entry.device)) is None or _place(row) > end]
        size = 0
        for count, row in enumerate(rows):
            size += row.size + 100
            if size > ANSWER_BYTES_MAX and count:
                # More would not fit into the queue to this peer, and be lost.
                left = [entry_id for entry_id in asked if _place(pool.entries[entry_id]) >= _place(row)]
                session.cuts.update((entry_id, (asked[entry_id], _place(rows[count - 1]))) for entry_id in left)
                del rows[count:]
                break
        else:
            left = []
        for part in in_frames([entry_wire(row.entry) for row in rows]):
            self.send(session.peer, m.Entries(part))
        session.known.update(row.entry.id for row in rows)
        heads = [(entry.device, entry.seq, entry.id) for entry_id in left for entry in [pool.entries[entry_id].entry]]
        for start in range(0, len(heads), _HEADS_PER_PART):
            self.send(session.peer, m.New(heads[start : start + _HEADS_PER_PART]))
        return len(found), size

    def on_get_blocks(self, session: Session, ask: m.GetBlocks) -> None:
        """Serve blocks, as many as one answer may hold, and as fast as there is room for them."""
        if len(session.answers) < ANSWERS_MAX:
            session.answers.append(self._blocks(ask))
            if len(session.answers) == 1:
                self._out.append(AskRoom(session.peer))

    def _blocks(self, ask: m.GetBlocks) -> Iterator[m.Message]:
        """The answer. A single block may be many megabytes, so it is read as it is sent."""
        size = 0
        height = ask.first
        while height < ask.first + ask.count and height <= self._ledger.head.height and size < ANSWER_BYTES_MAX:
            row = self._archive.block(height)
            if row is None:
                break
            if ask.with_entries:
                rest = self._archive.wires_of(height, row.entry_ids)
                while wires := list(islice(rest, m.ENTRIES_MAX)):
                    size += sum(len(header) + len(annex or b"") + 100 for header, _, annex in wires)
                    for part in in_frames(wires):
                        yield m.Entries(part)
            yield m.Block(row.header, row.certificate, row.readys, row.entry_ids)
            size += len(row.header) + len(row.certificate) + 32 * len(row.entry_ids)
            height += 1
        yield m.BlocksEnd(height)

    def _go_on(self, session: Session) -> None:
        """Send what an answer still has, as much as the queue to a peer surely holds; the rest when there is room."""
        size = 0
        while session.answers and size < ANSWER_BYTES_MAX:
            message = next(session.answers[0], None)
            if message is None:
                session.answers.popleft()
                continue
            frames = tuple(m.frames_of(message))
            size += sum(len(frame) for frame in frames)
            self._out.append(Send(session.peer, frames))
        if session.answers:
            self._out.append(AskRoom(session.peer))

    def on_blocks_end(self, session: Session, now: int) -> None:
        session.ended(self._ledger.head.height)
        session.blocks_asked = now if session.asks else 0
        if session.needs_entries:
            session.needs_entries = False
            self.ask_blocks(session, now, with_entries=True)
            return
        if not session.asks:
            self._blocks_over(session, now)
        self.catch_up(now)
        if session.height == self._ledger.head.height:
            self.send(session.peer, self._hello(now))

    # -- catching up -----------------------------------------------------------------------------------------------

    def catch_up(self, now: int, *, with_entries: bool | None = None) -> None:
        """Ask one peer for the next blocks, unless blocks are on their way already."""
        if self.is_stopped:
            return
        height = self._ledger.head.height
        ahead = [session for session in self.sessions.values() if session.height > height]
        if any(session.blocks_asked for session in ahead):
            return
        # Anybody can say that it is far ahead. Whoever had nothing to show for it is asked after all others.
        ahead = [session for session in ahead if not session.in_vain or session.rests_until <= now]
        if not ahead:
            return
        best = max(ahead, key=lambda session: (-session.in_vain, session.height, -session.since))
        self.ask_blocks(best, now, with_entries=best.height > height + 1 if with_entries is None else with_entries)

    def ask_blocks(self, session: Session, now: int, *, with_entries: bool) -> None:
        session.blocks_asked = now
        session.asked_at = self._ledger.head.height
        session.asks.append(with_entries)
        self.send(session.peer, m.GetBlocks(self._ledger.head.height + 1, m.BLOCKS_MAX, with_entries))

    def _blocks_over(self, session: Session, now: int) -> None:
        """An answer has come to its end, or does not come: whether it was any good."""
        session.blocks_asked = 0
        if self._ledger.head.height > session.asked_at or session.height <= session.asked_at:
            session.in_vain = 0
            return
        session.in_vain += 1
        session.rests_until = now + min(REST_MS_MAX, REST_MS * 2 ** min(session.in_vain - 1, 16))

    def ask_ahead(self, session: Session, height: int, now: int) -> None:
        """Ask for what comes after an answer that has come, before it is worked through: one at a time."""
        is_long = len(session.asks) == 1 and session.asks[0] and not session.is_barren
        if is_long and self._ledger.head.height < height <= session.height and not self.is_stopped:
            session.blocks_asked = now
            session.asks.append(True)
            self.send(session.peer, m.GetBlocks(height, m.BLOCKS_MAX, True))

    def ask_block(self, session: Session, height: int, now: int) -> None:
        """Ask for one block that is not the next one, to compare it with ours."""
        session.blocks_asked = now
        session.asks.append(False)
        self.send(session.peer, m.GetBlocks(height, 1, False))

    def block_settled(self, sealed: Iterable[bytes]) -> None:
        """Entries are sealed: nobody needs to hear of them any more."""
        ids = set(sealed)
        self.pool_changed()
        for known in self._gone.values():
            known -= ids
        for session in self.sessions.values():
            session.known -= ids
            session.needed.clear()
            session.cuts.clear()
            for entry_id in [entry_id for entry_id in session.wanted if entry_id in ids]:
                del session.wanted[entry_id]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _ask(
        self, session: Session, heads: Iterable[tuple[bytes, int, bytes]], now: int, *, may_go_on: bool = False
    ) -> None:
        """Ask for what is not here; where an answer had to end, for the rest of it, if it has brought anything."""
        ledger = self._ledger
        chains: list[tuple[bytes, int, bytes]] = []
        for device, seq, entry_id in heads:
            if entry_id in ledger.pool.entries:
                session.known.add(entry_id)
                continue
            if ledger.history.sealed(entry_id) is not None:
                continue
            asked = session.wanted.get(entry_id)
            is_late = asked is not None and asked[0] + ANSWER_MS <= now
            if asked is not None and not is_late and not (may_go_on and asked[1] < session.brought):
                continue
            if len(session.wanted) >= WANTED_MAX and not self._has_room(session, now):
                self.hang_up(session.peer, "it names more than it hands over", blame=False)
                self.close(session.peer)
                return
            session.wanted[entry_id] = (now, session.brought)
            chains.append((device, self._floor(device, seq, again=is_late), entry_id))
        for start in range(0, len(chains), _HEADS_PER_PART):
            self.send(session.peer, m.Want(chains[start : start + _HEADS_PER_PART]))

    def _has_room(self, session: Session, now: int) -> bool:
        """Forget what a peer was asked for and has handed over, or not in time; whether there is room then.

        Not for a few: all are looked through for it, and whoever names a few at a time would have that done each time.
        """
        pending = self._ledger.pool.entries
        session.wanted = {
            entry_id: asked
            for entry_id, asked in session.wanted.items()
            if asked[0] + ANSWER_MS > now and entry_id not in pending
        }
        return len(session.wanted) < WANTED_MAX * 7 // 8

    def _floor(self, device: bytes, seq: int | None = None, *, again: bool) -> int:
        """From which sequence number on we lack a device's entries; from the sealed ones on where it branches.

        All of them, where the entry itself lies below that: it is of another branch than those that are here.
        """
        row = self._ledger.state.devices.get(device)
        sealed = 0 if row is None else row.head_seq + 1
        branches = self._ledger.pool.branches.get(device)
        floor = sealed if branches is None or len(branches) != 1 else next(iter(branches.values())) + 1
        return 0 if again or (seq is not None and seq < floor) else floor

    def _is_stopped(self, entry: Entry) -> bool:
        """Entries of a device that has forked are handed on only as ancestors of others' (entries, section 4)."""
        branches = self._ledger.pool.branches.get(entry.device)
        return branches is not None and len(branches) > 2

    def _hello(self, now: int) -> m.Hello:
        head = self._ledger.head
        return m.Hello(
            m.SYNC_VERSION,
            self._ledger.id,
            head.height,
            head.block_id,
            self._pending_digest(),
            now,
            self.addresses[:16],
        )

    def _pending_digest(self) -> bytes:
        if self._digest is None:
            self._digest = tagged_hash("pending", b"".join(sorted(self._ledger.pool.entries)))
        return self._digest


def _place(row: Pending) -> tuple[int, bytes]:
    """Where an entry stands in an answer: after its parents."""
    return row.level, row.entry.id


def entry_wire(entry: Entry) -> Wire:
    """An entry as it travels."""
    return entry.header, entry.signature, entry.annex


def in_parts(messages: Sequence[bytes]) -> Iterable[list[bytes]]:
    """Split sealing messages into lists that stay below the largest message, a large one alone."""
    part: list[bytes] = []
    size = 0
    for message in messages:
        if part and (len(part) >= SEALING_MESSAGES_MAX or size + len(message) > m.MESSAGE_BYTES_MAX // 2):
            yield part
            part, size = [], 0
        part.append(message)
        size += len(message)
    if part:
        yield part


def in_frames(wires: Sequence[Wire]) -> Iterable[list[Wire]]:
    """Split entries into what fits one frame each."""
    part: list[Wire] = []
    size = 0
    for wire in wires:
        weight = len(wire[0]) + len(wire[2] or b"") + 96
        if part and (len(part) >= m.ENTRIES_MAX or size + weight > FRAME_ENTRIES_BYTES):
            yield part
            part, size = [], 0
        part.append(wire)
        size += weight
    if part:
        yield part
