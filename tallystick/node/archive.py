"""What one node keeps of one ledger, in terms of entries and blocks instead of keys and bytes.

It is the `History` that the protocol asks about sealed things, it writes a block with everything that follows from it
in one synced batch, and it loads a ledger at start-up, pending entries and all.

Source: docs/spec/storage.md
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SignType
from tallystick.node import layout
from tallystick.node.archive_pages import contents_rows, outcome_rows
from tallystick.node.archive_rows import (
    BlockRow,
    ContactRow,
    HeadRow,
    HeightRow,
    JoinRow,
    OutcomeRow,
    SealedRow,
    encode,
    read_addresses,
    read_block,
    read_contact,
    read_deal,
    read_head,
    read_height,
    read_join,
    read_line,
    read_outcomes,
    read_page,
    read_places,
    read_sealed,
    read_seats,
)
from tallystick.node.blobs import BlobError, MemoryBlobs
from tallystick.node.errors import StoreError, StoreReason
from tallystick.protocol import codec
from tallystick.protocol.act import Sealed
from tallystick.protocol.entry import Entry, add_annex_untrusted, read_entry_known
from tallystick.protocol.ledger import Executed, Head, Ledger
from tallystick.protocol.merkle import CompactRange
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting

if TYPE_CHECKING:
    from tallystick.node.blobs import Blobs
    from tallystick.node.store import Store
    from tallystick.protocol.block import Block
    from tallystick.protocol.kinds.refound import Before
    from tallystick.protocol.records_deal import Deal

_CACHE_ROWS: Final = 20_000

Wire = tuple[bytes, bytes, bytes | None]
"""Header, signature, annex."""
_ERASED: Final = "erased/"
_MUTE: Final = b"mute"
#: How a PREVOTE begins, after the byte that says how many items it has.
_PREVOTE: Final = codec.encode(SignType.PREVOTE.value)
_HASH_HEAD: Final = b"\xc4\x20"
"""What stands before 32 bytes in MessagePack."""


class Archive:
    """One ledger's store. Not thread-safe: one loop owns it."""

    def __init__(self, store: Store, blobs: Blobs | None = None) -> None:
        self.store = store
        self.blobs: Blobs = MemoryBlobs() if blobs is None else blobs
        """Evidence files."""
        self._sealed: dict[bytes, SealedRow] = {}
        self._heights: dict[int, HeightRow] = {}
        self._page: tuple[int, int, list[bytes]] = (0, 0, [])

    # -- the beginning -------------------------------------------------------------------------------------------------

    def begin(self, ledger_id: bytes, *, join: JoinRow | None = None, line: Sequence[Before] = ()) -> None:
        """Write down whose ledger this is, and for one that is joined how to reach it; `line`: the ledgers before."""
        puts = [(layout.LEDGER_KEY, ledger_id), (layout.FORMAT_KEY, bytes([layout.FORMAT]))]
        if line:
            puts.append((layout.LINE_KEY, encode(list(line))))
        if join is not None:
            puts.append((layout.JOIN_KEY, encode(join)))
        self.store.write(puts, sync=True)

    def ledger_id(self) -> bytes:
        """Whose ledger this is. Raises StoreError where it was never begun, or by a newer program."""
        ledger_id, form = self.store.get(layout.LEDGER_KEY), self.store.get(layout.FORMAT_KEY)
        if ledger_id is None or form is None:
            raise StoreError("this store has no ledger in it", reason=StoreReason.MISSING)
        if form != bytes([layout.FORMAT]):
            raise StoreError("this store was written by a newer program", reason=StoreReason.TOO_NEW)
        return ledger_id

    def line(self) -> tuple[Before, ...]:
        """The ledgers before this one, where it was founded anew."""
        data = self.store.get(layout.LINE_KEY)
        return () if data is None else read_line(data)

    def keep_line(self, line: Sequence[Before]) -> None:
        """Write it down, as the founding entry says it."""
        self.store.write([(layout.LINE_KEY, encode(list(line)))], sync=True)

    def join_row(self) -> JoinRow | None:
        """How this ledger was joined; None for the founder."""
        data = self.store.get(layout.JOIN_KEY)
        return None if data is None else read_join(data)

    # -- History: what is sealed ---------------------------------------------------------------------------------------

    def sealed_row(self, entry_id: bytes) -> SealedRow | None:
        if entry_id in self._sealed:
            return self._sealed[entry_id]
        data = self.store.get(layout.SEALED + entry_id)
        row = None if data is None else read_sealed(data)
        if row is not None:
            # What is not sealed yet may be tomorrow; only facts are remembered.
            self._remember({entry_id: row})
        return row

    def _remember(self, rows: Mapping[bytes, SealedRow]) -> None:
        if len(self._sealed) >= _CACHE_ROWS:
            self._sealed.clear()
        self._sealed.update(rows)

    def sealed(self, entry_id: bytes) -> Sealed | None:
        return self.sealed_row(entry_id)

    def height_row(self, height: int) -> HeightRow | None:
        row = self._heights.get(height)
        if row is None:
            data = self.store.get(layout.height_key(layout.HEIGHT, height))
            if data is None:
                return None
            if len(self._heights) >= _CACHE_ROWS:
                self._heights.clear()
            row = self._heights[height] = read_height(data)
        return row

    def block_id(self, height: int) -> bytes | None:
        row = self.height_row(height)
        return None if row is None else row.block_id

    def block_time(self, height: int) -> int | None:
        row = self.height_row(height)
        return None if row is None else row.time

    def charter_digest(self, height: int) -> bytes | None:
        row = self.height_row(height)
        return None if row is None else row.charter_digest

    def added_device(self, entry_id: bytes) -> bytes | None:
        entry = self.entry(entry_id)
        return entry.body["device"] if entry is not None and entry.kind == "device.add" else None

    def closed_deal(self, deal_id: bytes) -> Deal | None:
        data = self.store.get(layout.CLOSED + deal_id)
        return None if data is None else read_deal(data)

    def closed_deals(self) -> Iterator[tuple[bytes, Deal]]:
        """All deals that have left the live state, by id."""
        for key, data in self.store.iterate(prefix=layout.CLOSED):
            yield key[1:], read_deal(data)

    # -- entries -------------------------------------------------------------------------------------------------------

    def entry(self, entry_id: bytes) -> Entry | None:
        """A stored entry, pending or sealed. Raises StoreError where its bytes are not what they were."""
        data = self._stored(entry_id)
        return None if data is None else self._read(entry_id, data)

    def wire(self, entry_id: bytes) -> Wire | None:
        """A stored entry as it travels, its bytes unread: whoever gets it reads them."""
        data = self._stored(entry_id)
        return None if data is None else self._wire(entry_id, data)

    def entries_of(self, height: int, entry_ids: Sequence[bytes]) -> Iterator[Entry]:
        """The entries of a block, whose ids these are, in their order. Raises StoreError."""
        return (self._read(entry_id, data) for entry_id, data in self._contents(height, entry_ids))

    def wires_of(self, height: int, entry_ids: Sequence[bytes]) -> Iterator[Wire]:
        """The same as they travel."""
        return (self._wire(entry_id, data) for entry_id, data in self._contents(height, entry_ids))

    def page(self, height: int, number: int) -> list[bytes]:
        """Signature and header of sixteen entries of a block. Raises StoreError where they are not there."""
        if self._page[:2] != (height, number):
            data = self.store.get(layout.page_key(layout.CONTENTS, height, number))
            try:
                page = [] if data is None else read_page(data)
            except msgspec.MsgspecError as error:
                raise _damaged_page(height) from error
            # What is read next is mostly its neighbour.
            self._page = (height, number, page)
        if not self._page[2]:
            raise _damaged_page(height)
        return self._page[2]

    def _contents(self, height: int, entry_ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        size = layout.PAGE_ENTRIES
        for start in range(0, len(entry_ids), size):
            ids, page = entry_ids[start : start + size], self.page(height, start // size)
            if len(ids) != len(page):
                raise _damaged_page(height)
            yield from zip(ids, page, strict=True)

    def _stored(self, entry_id: bytes) -> bytes | None:
        row = self.sealed_row(entry_id)
        if row is None:
            return self.store.get(layout.ENTRY + entry_id)
        number, at = divmod(row.place, layout.PAGE_ENTRIES)
        page = self.page(row.height, number)
        if at >= len(page):
            raise _damaged_page(row.height)
        return page[at]

    def _read(self, entry_id: bytes, data: bytes) -> Entry:
        entry = read_entry_known(entry_id, data[64:], data[:64])
        if entry is None:
            raise StoreError(f"entry {entry_id.hex()[:8]} is damaged: its bytes have another id")
        if entry.annex_hash is not None and (annex := self.store.get(layout.ANNEX + entry_id)) is not None:
            try:
                add_annex_untrusted(entry, annex)
            except TallystickError as error:
                raise StoreError(f"the words of entry {entry_id.hex()[:8]} are damaged: {error}") from error
        return entry

    def _wire(self, entry_id: bytes, data: bytes) -> Wire:
        # A header that names words ends with their hash: where it surely does not, none are looked for.
        may_have_words = data[-34:-32] == _HASH_HEAD
        return data[64:], data[:64], self.store.get(layout.ANNEX + entry_id) if may_have_words else None

    def keep(self, entries: Iterable[Entry], *, sync: bool) -> None:
        """Store pending entries in one batch."""
        puts: list[tuple[bytes, bytes]] = []
        for entry in entries:
            puts.append((layout.ENTRY + entry.id, entry.signature + entry.header))
            if entry.annex is not None:
                puts.append((layout.ANNEX + entry.id, entry.annex))
        if puts:
            self.store.write(puts, sync=sync)

    def scrub_erased(self, executed: Executed) -> None:
        """Have the words that a block has erased leave the disk too. Call it when the block is stored."""
        paths = [path for path, data in executed.rows.items() if data is not None and path.startswith(_ERASED)]
        if paths:
            self.store.scrub([layout.ANNEX + bytes.fromhex(path.removeprefix(_ERASED)) for path in paths])
            for path in paths:
                self.drop_evidence(bytes.fromhex(path.removeprefix(_ERASED)))

    def entries_with(self, needle: bytes) -> Iterator[Entry]:
        """Stored entries whose header holds these bytes somewhere. It reads them all: for rare questions."""
        for key, data in self.store.iterate(prefix=layout.ENTRY):
            if needle in data[64:]:
                yield self._read(key[1:], data)
        for _, page in self.store.iterate(prefix=layout.CONTENTS):
            if needle in page:
                for data in read_page(page):
                    if needle in data[64:]:
                        yield self._read(tagged_hash("entry", data[64:]), data)

    def forget(self, entry_ids: Iterable[bytes]) -> None:
        """Drop pending entries that this node does not want after all."""
        deletes = [prefix + entry_id for entry_id in entry_ids for prefix in (layout.ENTRY, layout.ANNEX)]
        self.store.write((), deletes, sync=False)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def block(self, height: int) -> BlockRow | None:
        data = self.store.get(layout.height_key(layout.BLOCK, height))
        return None if data is None else read_block(data)

    def keep_block(
        self,
        executed: Executed,
        block: BlockRow,
        block_id: bytes,
        entries: Sequence[Entry],
        fresh: Container[bytes] = frozenset(),
        *,
        with_contents: bool = True,
    ) -> None:
        """Store a decided block and all that follows from it: one synced batch, wholly there or not at all.

        `fresh` are ids of entries that have come with it and are not stored yet. Without its contents only what
        follows from them is stored.
        """
        height = executed.height
        version = executed.charter_version
        puts: list[tuple[bytes, bytes]] = [
            (layout.height_key(layout.BLOCK, height), encode(block)),
            (
                layout.height_key(layout.HEIGHT, height),
                encode(HeightRow(block_id, executed.time, executed.state_root, executed.charter_digest, version)),
            ),
            (
                layout.HEAD_KEY,
                encode(HeadRow(height, block_id, executed.time, executed.state_root, encode(executed.log.to_value()))),
            ),
        ]
        deletes: list[bytes] = []
        rows: dict[bytes, SealedRow] = {}
        outcomes: list[OutcomeRow] = []
        for place, (entry, result) in enumerate(zip(entries, executed.results, strict=True)):
            entry_id = entry.id
            seal_height = -1 if entry.seal is None else entry.seal[0]
            rows[entry_id] = row = SealedRow(
                height, result.at, entry.device, entry.seq, seal_height, place, result.reason or "", result.detail
            )
            puts.append((layout.SEALED + entry_id, encode(row)))
            if entry_id not in fresh:
                deletes.append(layout.ENTRY + entry_id)
            elif entry.annex is not None and executed.rows.get(_ERASED + entry_id.hex()) is None:
                # What this very block erases was never stored.
                puts.append((layout.ANNEX + entry_id, entry.annex))
            if result.postings:
                outcomes.append(OutcomeRow(place, result.at, entry_id, entry.kind, version, result.postings))
        first = len(executed.results)
        outcomes += [
            OutcomeRow(first + number, tick.time, tick.ref, tick.what, version, tick.postings)
            for number, tick in enumerate(executed.ticks)
            if tick.postings
        ]
        puts += outcome_rows(height, outcomes)
        if with_contents:
            puts += contents_rows(height, [entry.signature + entry.header for entry in entries])
        for path, data in executed.rows.items():
            key = layout.STATE + path.encode()
            if data is None:
                deletes.append(key)
            else:
                puts.append((key, data))
                if path.startswith(_ERASED):
                    # In the same batch: whoever has this block has those words no more.
                    deletes.append(layout.ANNEX + bytes.fromhex(path.removeprefix(_ERASED)))
        seats, seats_next = (
            [(row.member, row.node_key) for row in rows] for rows in (executed.sealers, executed.sealers_next)
        )
        if seats != self.seats(height):
            # A founding is sealed by the founder, whoever was to seal the next block of the ledger before.
            puts.append((layout.height_key(layout.SEATS, height), encode(seats)))
        if seats_next != seats:
            puts.append((layout.height_key(layout.SEATS, height + 1), encode(seats_next)))
        puts += [(layout.CLOSED + deal_id, encode(deal)) for deal_id, deal in executed.closed.items()]
        # Whoever helps two blocks of one height along in different rounds signs no slot twice: only the prevotes of the
        # later round, which have forgotten what was precommitted before, prove it. So those stay.
        is_late = codec.decode(block.certificate)[1] > 0  # type: ignore[index, operator]
        messages = self.store.iterate(prefix=layout.height_key(layout.MESSAGE, height))
        deletes += [key for key, data in messages if not (is_late and data[1:].startswith(_PREVOTE))]
        self.store.write(puts, deletes, sync=True)
        # Those that come next refer to them.
        self._remember(rows)

    def seats(self, height: int) -> list[tuple[bytes, bytes]]:
        """(member, node key) of those who seal a height that is sealed here, in their order; empty where unknown."""
        last = layout.height_key(layout.SEATS, height)
        for _, data in self.store.iterate(prefix=layout.SEATS, start=last, reverse=True):
            return read_seats(data)
        return []

    def outcome(self, height: int, place: int) -> OutcomeRow | None:
        data = self.store.get(layout.page_key(layout.OUTCOME, height, place // layout.PAGE_PLACES))
        if data is None:
            return None
        return next((row for row in read_outcomes(data) if row.place == place), None)

    def outcomes(self) -> Iterator[tuple[int, OutcomeRow]]:
        """(height, postings) of everything that moved something, in order."""
        for key, data in self.store.iterate(prefix=layout.OUTCOME):
            height = int.from_bytes(key[1:9], "big")
            yield from ((height, row) for row in read_outcomes(data))

    def outcomes_of(self, member: bytes) -> Iterator[tuple[int, OutcomeRow]]:
        """(height, postings) of everything that touched a member, or the escrow of a deal, in order."""
        for key, data in self.store.iterate(prefix=layout.MEMBER_OUTCOME + member):
            height = int.from_bytes(key[33:41], "big")
            number, page = -1, dict[int, OutcomeRow]()
            for place in read_places(data):
                if place // layout.PAGE_PLACES != number:
                    number = place // layout.PAGE_PLACES
                    rows = self.store.get(layout.page_key(layout.OUTCOME, height, number))
                    page = {} if rows is None else {row.place: row for row in read_outcomes(rows)}
                if place not in page:
                    raise StoreError(f"the postings of block {height}, place {place} are missing")
                yield height, page[place]

    # -- what only this node needs -------------------------------------------------------------------------------------

    def sealing(self, name: bytes) -> bytes | None:
        """What this node has written down while sealing."""
        return self.store.get(layout.SEALING + name)

    def sealings(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """(name, data) of all that was written down under names that begin so."""
        return [(key[1:], data) for key, data in self.store.iterate(prefix=layout.SEALING + prefix)]

    def keep_sealing(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write it down, durable on return; None removes a row."""
        puts, deletes = [], []
        for name, data in rows:
            if data is None:
                deletes.append(layout.SEALING + name)
            else:
                puts.append((layout.SEALING + name, data))
        self.store.write(puts, deletes, sync=True)

    def mute_reason(self) -> str | None:
        """Why this node is mute, where it is not only that its database was put back."""
        data = self.store.get(layout.SEALING + _MUTE)
        return None if data is None else data.decode("utf-8", "replace")

    def keep_mute_reason(self, why: str | None) -> None:
        """Remember it over restarts, durable on return; None when it is settled."""
        self.keep_sealing([(_MUTE, None if why is None else why.encode())])

    def keep_message(self, height: int, message: bytes) -> None:
        """Keep a sealing message of somebody else: a restart, a partner or a bundle may need it."""
        key = layout.height_key(layout.MESSAGE, height) + tagged_hash("seen", message)
        self.store.write([(key, message)], sync=False)

    def replace_messages(self, height: int, messages: Iterable[bytes]) -> None:
        """Keep these of a height and no others."""
        prefix = layout.height_key(layout.MESSAGE, height)
        rows = {prefix + tagged_hash("seen", message): message for message in messages}
        gone = [key for key, _ in self.store.iterate(prefix=prefix) if key not in rows]
        self.store.write(list(rows.items()), gone, sync=False)

    def kept_messages(self, height: int) -> list[bytes]:
        """Sealing messages that were kept for a height. When its block comes they go.

        But prevotes of a block that took more than one round stay: they prove who has forked a ledger.
        """
        return [data for _, data in self.store.iterate(prefix=layout.height_key(layout.MESSAGE, height))]

    def addresses_of(self, peer: bytes) -> list[str]:
        """Where a member was reached, newest knowledge only."""
        data = self.store.get(layout.ADDRESS + peer)
        return [] if data is None else read_addresses(data)

    def keep_addresses(self, peer: bytes, addresses: Sequence[str]) -> None:
        self.store.write([(layout.ADDRESS + peer, encode(list(addresses)))], sync=False)

    def peers(self) -> Iterator[tuple[bytes, list[str]]]:
        """All peers with an address, by node key."""
        for key, data in self.store.iterate(prefix=layout.ADDRESS):
            yield key[1:], read_addresses(data)

    def contact(self, peer: bytes) -> ContactRow | None:
        """When a peer was connected last."""
        data = self.store.get(layout.CONTACT + peer)
        return None if data is None else read_contact(data)

    def keep_contact(self, peer: bytes, row: ContactRow) -> None:
        self.store.write([(layout.CONTACT + peer, encode(row))], sync=False)

    def contacts(self) -> Iterator[tuple[bytes, ContactRow]]:
        """All peers that were ever connected, by node key."""
        for key, data in self.store.iterate(prefix=layout.CONTACT):
            yield key[1:], read_contact(data)

    def keep_evidence(self, digest: bytes, entry_id: bytes, deal_id: bytes) -> None:
        """Write down which delivery names an evidence file that is here: by it others may ask for the file."""
        self.store.write([(layout.EVIDENCE + digest + entry_id, deal_id)], sync=True)

    def evidence_of(self, digest: bytes) -> list[tuple[bytes, bytes]]:
        """(delivery, deal) of all that are known to name a file."""
        return [(key[33:], deal) for key, deal in self.store.iterate(prefix=layout.EVIDENCE + digest)]

    def drop_evidence(self, entry_id: bytes) -> None:
        """The words of an entry are erased: the files that only it names go with them."""
        entry = self.entry(entry_id)
        if entry is None or entry.kind != "deliver":
            return
        for digest, _ in entry.body.get("evidence") or ():
            self.store.write((), [layout.EVIDENCE + digest + entry_id], sync=False)
            if not self.evidence_of(digest):
                try:
                    self.blobs.drop(digest)
                except BlobError as error:
                    # Without its row it is given to nobody, and the block has to go on.
                    import logging

                    logging.getLogger("tallystick.node").error("an erased file is still there: %s", error.message)

    # -- start-up ------------------------------------------------------------------------------------------------------

    def head(self) -> Head | None:
        """The newest block, without loading anything else."""
        data = self.store.get(layout.HEAD_KEY)
        if data is None:
            return None
        row = read_head(data)
        return Head(row.height, row.block_id, row.time, row.state_root)

    def state_rows(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Rows of the sealed state: path -> encoded row."""
        for key, data in self.store.iterate(prefix=layout.STATE + prefix.encode()):
            yield key[1:].decode(), data

    def has_pending(self) -> bool:
        return next(iter(self.store.iterate(prefix=layout.ENTRY)), None) is not None

    def load(self, ledger_id: bytes, *, check_root: bool = True) -> tuple[Ledger, list[Entry]]:
        """The ledger as it was left, and pending entries that do not connect (a join before its ledger is here).

        Raises StoreError where the state does not have the root that the newest block names.
        """
        data = self.store.get(layout.HEAD_KEY)
        if data is None:
            ledger = Ledger(ledger_id, self, line=self.line())
        else:
            row = read_head(data)
            state = State()
            try:
                state.load(self.state_rows())
            except (msgspec.MsgspecError, KeyError, ValueError) as error:
                raise StoreError(f"the stored state cannot be read: {error}") from error
            log = CompactRange.from_value(msgspec.msgpack.decode(row.log))
            head = Head(row.height, row.block_id, row.time, row.state_root)
            ledger = Ledger(ledger_id, self, head=head, state=state, log=log, line=self.line())
            if check_root and not ledger.check_root():
                raise StoreError(f"the stored state is not the one that block {head.height} names: run `tally verify`")
        return ledger, self._load_pending(ledger)

    def _load_pending(self, ledger: Ledger) -> list[Entry]:
        waiting: dict[bytes, Entry] = {}
        loose: list[Entry] = []
        for key, data in self.store.iterate(prefix=layout.ENTRY):
            waiting[key[1:]] = self._read(key[1:], data)
        stack = list(waiting)
        while stack:
            entry = waiting.get(stack[-1])
            before = [] if entry is None else [parent for parent in entry.parents if parent in waiting]
            if before:
                stack.extend(before)
                continue
            stack.pop()
            if entry is not None:
                body = ledger.check(entry)
                if isinstance(body, Waiting):
                    loose.append(entry)
                else:
                    ledger.add(entry, body)
                del waiting[entry.id]
        return loose


def _damaged_page(height: int) -> StoreError:
    return StoreError(f"entries of block {height} are missing or damaged", reason=StoreReason.DAMAGED)


def row_of(block: Block) -> BlockRow:
    """A block as it is stored."""
    header, certificate, readys, entry_ids = block.wire()
    return BlockRow(header, certificate, readys, entry_ids)
