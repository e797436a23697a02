"""How entries come in: decoded, matched with their parents, verified in batches, checked, stored, added.

Entries whose parents are not here wait unverified in a bounded buffer. Nothing is added before its signature holds.

Source: docs/spec/sync.md#receiving
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tallystick.crypto.errors import SignatureError, TallystickError
from tallystick.crypto.signatures import check_enrolment_key, is_valid
from tallystick.node.effects import Check
from tallystick.node.shelf import BLOCK_TIMES, Shelf, is_whole
from tallystick.protocol.block import ENTRIES_MAX
from tallystick.protocol.devices import REQUESTS_MAX
from tallystick.protocol.entry import read_entry_untrusted, signed_message
from tallystick.protocol.errors import DecodeError, EntryError, Reason
from tallystick.protocol.kinds.recover import RecoverRequest
from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.ready import read_frontier_untrusted
from tallystick.protocol.structure import Waiting

if TYPE_CHECKING:
    from tallystick.node.archive import Archive
    from tallystick.node.transport import PeerKey
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.ledger import Ledger
    from tallystick.protocol.pool import Pending

Wire = tuple[bytes, bytes, bytes | None]

#: Entries of one peer that may wait for their parents, and for how long.
ORPHANS_MAX: Final = 1000
ORPHAN_BYTES_MAX: Final = 8 * 1024 * 1024
ORPHAN_MS: Final = 300_000
#: Of all peers together: a member alone may have eight of them, and a crowd hundreds.
ORPHANS_ALL_MAX: Final = 4 * ORPHANS_MAX
ORPHAN_BYTES_ALL_MAX: Final = 4 * ORPHAN_BYTES_MAX
#: Pending entries of one device that are taken without having been asked for, and their bytes.
PENDING_PER_DEVICE_MAX: Final = 2000
PENDING_BYTES_MAX: Final = 8 * 1024 * 1024
#: So many times that of a device which a block needs: sealers name what they have, and one may lie.
NAMED_TIMES: Final = 16


#: Devices that the sealed state does not know whose first entries are kept.
STRANGERS_MAX: Final = 256
#: Kinds by which a device introduces itself. A `device.add` introduces its device in the name of another.
_OF_STRANGERS: Final = frozenset(kind for kind, body in KINDS.items() if body.INTRODUCES)


class BlameError(TallystickError):
    """The peer sent what an honest one never sends."""


@dataclass(slots=True)
class Orphan:
    """An entry that waits for `missing`: parents, or a block."""

    entry: Entry
    peer: PeerKey
    since: int
    size: int


@dataclass(slots=True)
class Batch:
    """Entries on their way in; `checks` are their signatures in the same order."""

    peer: PeerKey
    entries: list[Entry]
    checks: list[Check]
    height: int
    """Of the newest block when they were found to be new."""
    for_block: bool = False
    """Sealed blocks are on their way from this peer, and may need any of them."""
    before: int | None = None
    """They came before the block with this number, counted as blocks come: on the shelf with them until then."""


@dataclass(slots=True)
class Taken:
    """What a batch brought: new pending entries, those refused, and children that can be verified now."""

    added: list[Pending] = field(default_factory=list)
    refused: list[tuple[Entry, EntryError]] = field(default_factory=list)
    follow_up: list[Orphan] = field(default_factory=list)
    missing_height: int = 0
    """A block that something cites and that is not here."""


class Intake:
    """The way in for all entries of one ledger, whoever hands them over."""

    def __init__(self, ledger: Ledger, archive: Archive) -> None:
        self._ledger = ledger
        self._archive = archive
        self._orphans: dict[bytes, Orphan] = {}
        self._children: dict[bytes, list[bytes]] = {}
        """Missing parent -> ids of the orphans that wait for it."""
        self._for_block: dict[bytes, int] = {}
        """Orphan -> height it waits for."""
        self._held: dict[PeerKey, tuple[int, int]] = {}
        """Peer -> (entries, bytes) of it in the buffer."""
        self._orphan_bytes = 0
        self._flying: dict[bytes, int] = {}
        """Entries whose signatures are being judged, and the height when they were found to be new.

        What follows them is judged meanwhile, and asks again later.
        """
        self.shelf = Shelf()
        self.needed: set[bytes] = set()
        """What a block that is being sealed needs: taken in whatever it is."""
        self._named: dict[bytes, int] = {}
        """Device -> the number up to which a sealer has named its entries for this block."""
        self._lent: dict[PeerKey, int] = {}
        """Peer -> entries beyond the limits that were taken from it for a block, since the last one came."""

    @property
    def orphan_count(self) -> int:
        return len(self._orphans)

    def open(
        self,
        wires: Sequence[Wire],
        peer: PeerKey,
        now: int,
        *,
        asked: bool = False,
        for_block: bool = False,
        wordless: Collection[bytes] = (),
    ) -> tuple[Batch, bool]:
        """Decode entries and set aside those that do not connect; the rest is to be verified.

        Returns the batch and whether something was set aside. `asked`: the person wants them, however many.
        `for_block`: sealed blocks are on their way from this peer, and may need any entry. `wordless`: those that a
        block which is here seals, and whose words may be missing. Raises BlameError.
        """
        entries: list[Entry] = []
        flying = self._flying
        pool = self._ledger.pool
        pending = pool.entries
        height = self._ledger.head.height
        orphaned = False
        for header, signature, annex in wires:
            try:
                entry = read_entry_untrusted(header, signature, annex)
            except (DecodeError, EntryError) as error:
                self._land(entries)
                raise BlameError(f"entry: {error}") from None
            if entry.id in flying or entry.id in pending:
                continue
            if not is_whole(entry) and entry.id not in wordless:
                # Words may be missing in a sealed block, never in what is still to be listed, cited and sealed: whoever
                # has them will hand them over.
                continue
            is_new = False
            away: list[bytes] = []
            for parent in entry.parents:
                if parent in pending or flying.get(parent) == height:
                    # No block seals an entry before its parents: it is not sealed, and the archive need not be asked.
                    is_new = True
                elif parent not in flying:
                    away.append(parent)
            if not is_new and self._ledger.knows(entry.id):
                continue
            if away and (missing := pool.missing(away)):
                orphaned |= self._set_aside(entry, peer, now, missing, 0)
                continue
            if self._is_flood(entry, asked=asked) and not (for_block and self._lend(peer)):
                continue
            # It came again with what it waited for.
            self._drop(entry.id)
            flying[entry.id] = height
            entries.append(entry)
        batch = self._batch(peer, entries)
        batch.for_block = for_block
        return batch, orphaned

    def need(self, entry_ids: Iterable[bytes], frontiers: Iterable[bytes]) -> dict[bytes, bytes]:
        """A block that is being sealed needs these entries, and may need all that lies below these frontiers.

        Returns whose the entries are that the frontiers name.
        """
        self.needed.update(entry_ids)
        devices: dict[bytes, bytes] = {}
        for frontier in frontiers:
            for device, branches in read_frontier_untrusted(frontier):
                self._named[device] = max(self._named.get(device, -1), branches[-1][0])
                devices.update((entry_id, device) for _, entry_id in branches)
        return devices

    def need_nothing(self) -> None:
        """The block is sealed."""
        self.needed.clear()
        self._named.clear()

    def open_sealed(self, wires: Sequence[Wire], peer: PeerKey, before: int) -> Batch:
        """Decode entries of blocks that this peer is sending; how they connect is looked at with their block.

        Raises BlameError.
        """
        pending, shelf = self._ledger.pool.entries, self.shelf
        try:
            read = [read_entry_untrusted(header, signature, annex) for header, signature, annex in wires]
        except (DecodeError, EntryError) as error:
            raise BlameError(f"entry: {error}") from None
        batch = self._batch(peer, [each for each in read if each.id not in pending and not shelf.has(peer, each.id)])
        batch.before = before
        return batch

    def reopen(self, orphans: Iterable[Orphan]) -> list[Batch]:
        """Batches of entries that waited and can be verified now, one for each peer that sent some."""
        by_peer: dict[PeerKey, list[Entry]] = {}
        for orphan in orphans:
            if not self._ledger.knows(orphan.entry.id):
                by_peer.setdefault(orphan.peer, []).append(orphan.entry)
                self._flying[orphan.entry.id] = self._ledger.head.height
        return [self._batch(peer, entries) for peer, entries in by_peer.items()]

    def close(self, batch: Batch, verdicts: Sequence[bool], now: int, *, is_here: bool = True) -> Taken:
        """Add what was verified; what is for a block waits for it, unless its peer is gone.

        Raises BlameError for a signature that does not hold; nothing of it is added then.
        """
        if batch.before is None:
            self._land(batch.entries)
        if not all(verdicts):
            raise BlameError("a signature does not hold")
        if batch.before is not None:
            if not is_here:
                # What is on the shelf is of the session that has come after it.
                return self._add_shelved(filter(is_whole, batch.entries), batch.peer, now)
            self.shelf.put(batch.peer, batch.before, batch.entries)
            return self.clear_shelf(batch.peer, now, is_over=False) if self.shelf.is_full(batch.peer) else Taken()
        taken = Taken()
        ledger = self._ledger
        pending = ledger.pool.entries
        has_block_come = ledger.head.height != batch.height
        for entry in batch.entries:
            # It was new when the batch was opened.
            if entry.id in pending or (has_block_come and ledger.knows(entry.id)):
                continue
            # Asked here and not before: of one batch no more than there is room for.
            is_first = not (entry.seq or entry.id in self.needed or self.has_room(entry))
            if is_first and not (batch.for_block and self._lend(batch.peer)):
                continue
            self._add(entry, batch.peer, now, taken)
        return taken

    def unshelve(self, peer: PeerKey, entry_ids: Iterable[bytes], now: int) -> Taken:
        """Add what a block needs and this peer has sent for it."""
        return self._add_shelved(self.shelf.take(peer, entry_ids), peer, now)

    def unshelve_rest(self, peer: PeerKey, number: int, now: int) -> Taken:
        """Add what this peer has sent before the block with this number and not for it: news in between.

        What does not connect waits on: it may be of the next block, and be told of before that.
        """
        return self._add_shelved(self.shelf.take(peer, self._connected(self.shelf.until(peer, number))), peer, now)

    def clear_shelf(self, peer: PeerKey, now: int, *, is_over: bool = True) -> Taken:
        """Add what this peer has sent for blocks that have not come, as if it were pending.

        What only a block can take waits on, unless it is more than a block. So does what does not connect, where more
        of the answer may come (`is_over` is False).
        """
        if is_over:
            rows = self.shelf.take_whole(peer)
        else:
            rows = self.shelf.take(peer, self._connected(self.shelf.all_of(peer)))
        taken = self._add_shelved(rows, peer, now)
        if self.shelf.is_full(peer, BLOCK_TIMES):
            self.shelf.clear(peer)
        return taken

    def _connected(self, entries: Iterable[Entry]) -> list[bytes]:
        """Ids of those that may be pending: the block they cite is here, and so are their parents, or among them."""
        ids: dict[bytes, None] = {}
        ledger = self._ledger
        for entry in entries:
            cites = 0 if entry.seal is None else entry.seal[0]
            if (
                is_whole(entry)
                and cites <= ledger.head.height
                and ids.keys() >= set(ledger.pool.missing(entry.parents))
            ):
                ids[entry.id] = None
        return list(ids)

    def _add_shelved(self, entries: Iterable[Entry], peer: PeerKey, now: int) -> Taken:
        taken = Taken()
        for entry in entries:
            if not self._ledger.is_new(entry):
                continue
            # The limits hold here too: whoever says that it has blocks need not have any.
            is_beyond = self._is_flood(entry) or not (entry.seq or entry.id in self.needed or self.has_room(entry))
            if not is_beyond or self._lend(peer):
                self._add(entry, peer, now, taken)
        return taken

    def _add(self, entry: Entry, peer: PeerKey, now: int, taken: Taken) -> None:
        """Add an entry whose signature holds, or say why not."""
        ledger = self._ledger
        try:
            body = ledger.check(entry)
            if isinstance(body, Waiting):
                taken.missing_height = max(taken.missing_height, body.height)
                self._set_aside(entry, peer, now, body.parents, body.height)
                return
            if body.INTRODUCES or body.KIND in _WITH_PROOFS:
                check_proofs(entry, body, self.find)
        except EntryError as error:
            taken.refused.append((entry, error))
            return
        taken.added.append(ledger.add(entry, body))
        if entry.id in self._children:
            taken.follow_up += self._release(entry.id)

    def drop_wordless(self, taken: Taken) -> None:
        """Let go of what was added for a block that did not seal it and has no words, and of all that refers to it."""
        pending = self._ledger.pool.entries
        gone = {row.entry.id for row in taken.added if not is_whole(row.entry) and row.entry.id in pending}
        if not gone:
            return
        for entry_id, row in pending.items():
            if not gone.isdisjoint(row.entry.parents):
                gone.add(entry_id)
        for entry_id in [each for each in reversed(pending) if each in gone]:
            self._ledger.remove(entry_id)
        self._archive.forget(gone)
        taken.added = [row for row in taken.added if row.entry.id not in gone]

    def judge(self, entry: Entry) -> Body:
        """The body of an entry whose signature holds and whose parents must all be here.

        Raises EntryError: NOT_LINKED where they are not, and all that `Ledger.check` and `check_proofs` raise.
        """
        body = self._ledger.check(entry)
        if isinstance(body, Waiting):
            raise EntryError(Reason.NOT_LINKED, "something it refers to is not here")
        check_proofs(entry, body, self.find)
        return body

    def add_own(self, entry: Entry) -> Pending | None:
        """Add an entry of this device that is stored already, if what it refers to is here by now."""
        body = self._ledger.check(entry)
        return None if isinstance(body, Waiting) else self._ledger.add(entry, body)

    def find(self, entry_id: bytes) -> Entry | None:
        """An entry by id, pending or sealed."""
        pending = self._ledger.pool.entries.get(entry_id)
        return self._archive.entry(entry_id) if pending is None else pending.entry

    def lacks(self, peer: PeerKey) -> list[bytes]:
        """What a peer's entries wait for that does not wait itself: to be asked for by name."""
        orphans = self._orphans
        return [
            parent
            for parent, children in self._children.items()
            if parent not in orphans and any(child in orphans and orphans[child].peer == peer for child in children)
        ]

    def block_came(self, height: int) -> list[Orphan]:
        """Entries that waited for this block."""
        self._lent.clear()
        return [
            orphan
            for entry_id, wanted in list(self._for_block.items())
            if wanted <= height and (orphan := self._drop(entry_id)) is not None
        ]

    def forget_peer(self, peer: PeerKey) -> None:
        """Drop what a peer left waiting that is gone."""
        self._forget_orphans(peer)
        self.shelf.clear(peer)

    def _forget_orphans(self, peer: PeerKey) -> None:
        if peer in self._held:
            for entry_id in [entry_id for entry_id, row in self._orphans.items() if row.peer == peer]:
                self._drop(entry_id)
            del self._held[peer]

    def expire(self, now: int) -> None:
        """Drop what has waited too long."""
        for entry_id, row in list(self._orphans.items()):
            if row.since + ORPHAN_MS < now:
                self._drop(entry_id)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _batch(self, peer: PeerKey, entries: list[Entry]) -> Batch:
        # Nearly all are of this ledger, and the message of one that is not is made by itself.
        ledger, beginning = self._ledger.id, signed_message(b"", self._ledger.id)
        checks = [
            Check(
                entry.device,
                beginning + entry.id if entry.ledger == ledger else signed_message(entry.id, entry.ledger),
                entry.signature,
            )
            for entry in entries
        ]
        return Batch(peer, entries, checks, self._ledger.head.height)

    def _land(self, entries: Iterable[Entry]) -> None:
        """Their signatures are judged."""
        for entry in entries:
            self._flying.pop(entry.id, None)

    def has_room(self, entry: Entry) -> bool:
        """Whether a first entry of an unknown device is taken: everybody can make such devices without end.

        Of requests for new keys so many are taken as the ledger keeps of one member; what is more would be void.
        """
        if entry.seq or entry.kind not in _OF_STRANGERS:
            return True
        state, pool = self._ledger.state, self._ledger.pool
        strangers = [device for device in pool.branches if device not in state.devices]
        if len(strangers) >= STRANGERS_MAX:
            return False
        if entry.kind != RecoverRequest.KIND:
            return True
        member = entry.body.get("member")
        waiting = sum(
            1
            for device in strangers
            for end in pool.branches[device]
            if (other := pool.entries[end].entry).kind == entry.kind and other.body["member"] == member
        )
        return waiting + sum(1 for row in state.recoveries.values() if row.member == member) < REQUESTS_MAX

    def _is_flood(self, entry: Entry, *, asked: bool = False) -> bool:
        """Whether there are enough pending entries of this device.

        Numbers alone do not tell: of a device that signs two entries of one number there may be any number of those.
        """
        state, pool = self._ledger.state, self._ledger.pool
        row = state.devices.get(entry.device)
        sealed = -1 if row is None else row.head_seq
        times = NAMED_TIMES if asked or entry.seq <= self._named.get(entry.device, -1) else 1
        entries_max, size_max = times * PENDING_PER_DEVICE_MAX, times * PENDING_BYTES_MAX
        if entry.seq - sealed > entries_max:
            return True
        if len(pool) < entries_max and pool.size < size_max:
            # All together are not too much, so the books need not be looked into.
            return False
        count, size = pool.weights.get(entry.device, (0, 0))
        return count >= entries_max or size >= size_max

    def _lend(self, peer: PeerKey) -> bool:
        """Whether one entry more is taken beyond the limits, because a sealed block may need it.

        Anybody can say that it has blocks which we lack; so it is as many as one block holds, until that has come.
        """
        count = self._lent.get(peer, 0) + 1
        if count > ENTRIES_MAX:
            return False
        self._lent[peer] = count
        return True

    def _set_aside(self, entry: Entry, peer: PeerKey, now: int, missing: Iterable[bytes], height: int) -> bool:
        if entry.id in self._orphans:
            return False
        size = len(entry.header) + len(entry.annex or b"") + 128
        count, total = self._held.get(peer, (0, 0))
        if count >= ORPHANS_MAX or total + size > ORPHAN_BYTES_MAX:
            return True
        if not self._make_room(peer, count + 1, total + size, size):
            return True
        self._held[peer] = (count + 1, total + size)
        self._orphan_bytes += size
        self._orphans[entry.id] = Orphan(entry, peer, now, size)
        for parent in missing:
            self._children.setdefault(parent, []).append(entry.id)
        if height:
            self._for_block[entry.id] = height
        return True

    def _make_room(self, peer: PeerKey, count: int, total: int, size: int) -> bool:
        """Whether there is room for one orphan more, with which this peer has so many and so many bytes.

        Where all together have too much, whoever has most of it loses it; the others can be asked for theirs again.
        """
        while len(self._orphans) >= ORPHANS_ALL_MAX or self._orphan_bytes + size > ORPHAN_BYTES_ALL_MAX:
            if len(self._orphans) >= ORPHANS_ALL_MAX:
                most = max(self._held, key=lambda other: self._held[other][0])
                is_most = self._held[most][0] < count
            else:
                most = max(self._held, key=lambda other: self._held[other][1])
                is_most = self._held[most][1] < total
            if is_most or most == peer:
                return False
            self._forget_orphans(most)
        return True

    def _release(self, parent: bytes) -> list[Orphan]:
        """Whoever waited for this entry, and for those in turn: one batch, and not one for each link of a chain."""
        out: list[Orphan] = []
        coming: set[bytes] = set()
        come = [parent]
        while come:
            for child in self._children.pop(come.pop(), ()):
                orphan = self._orphans.get(child)
                if orphan is not None and coming.issuperset(self._ledger.pool.missing(orphan.entry.parents)):
                    self._drop(child)
                    out.append(orphan)
                    coming.add(child)
                    come.append(child)
        return out

    def _drop(self, entry_id: bytes) -> Orphan | None:
        orphan = self._orphans.pop(entry_id, None)
        if orphan is None:
            return None
        self._for_block.pop(entry_id, None)
        count, total = self._held.get(orphan.peer, (1, orphan.size))
        self._held[orphan.peer] = (count - 1, total - orphan.size)
        self._orphan_bytes -= orphan.size
        for parent in orphan.entry.parents:
            waiting = self._children.get(parent)
            if waiting is not None and entry_id in waiting:
                waiting.remove(entry_id)
                if not waiting:
                    del self._children[parent]
        return orphan


def check_proofs(entry: Entry, body: Body, find: Callable[[bytes], Entry | None]) -> None:
    """Judge the signatures inside a body and the keys it brings in. Few kinds have any.

    Raises EntryError(BAD_SIGNATURE).
    """
    if body.INTRODUCES or body.KIND in _WITH_PROOFS:
        for proof in body.proofs(entry, find):
            if not is_valid(proof.key, proof.message, proof.signature):
                raise EntryError(Reason.BAD_SIGNATURE, "a signature inside it does not hold")
        keys = (entry.device, *body.enrols()) if body.INTRODUCES else body.enrols()
        for key in keys:
            try:
                check_enrolment_key(key)
            except SignatureError as error:
                raise EntryError(Reason.BAD_SIGNATURE, str(error)) from None


_WITH_PROOFS: Final = frozenset(
    kind for kind, body in KINDS.items() if "proofs" in vars(body) or "enrols" in vars(body)
)
