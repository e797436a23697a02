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
from tallystick.node.blobs import BlobError, MemoryBlobs
from tallystick.node.errors import StoreError, StoreReason
from tallystick.protocol import codec
from tallystick.protocol.act import Sealed
from tallystick.protocol.entry import Entry, add_annex_untrusted, read_entry_known
from tallystick.protocol.kinds.refound import Before
from tallystick.protocol.ledger import Executed, Head, Ledger
from tallystick.protocol.merkle import CompactRange
from tallystick.protocol.records_deal import Deal
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting

if TYPE_CHECKING:
    from tallystick.node.blobs import Blobs
    from tallystick.node.store import Store
    from tallystick.protocol.block import Block

_encode = msgspec.msgpack.Encoder().encode
_CACHE_ROWS: Final = 20_000

Wire = tuple[bytes, bytes, bytes | None]
"""Header, signature, annex."""
_ERASED: Final = "erased/"
_MUTE: Final = b"mute"
#: How a PREVOTE begins, after the byte that says how many items it has.
_PREVOTE: Final = codec.encode(SignType.PREVOTE.value)
_HASH_HEAD: Final = b"\xc4\x20"
"""What stands before 32 bytes in MessagePack."""
#: Accounts that belong to a member, or to a deal (`escrow`): what touches them can be found by its id.
_OWNED: Final = frozenset(("partner", "escrow", "capital", "donation", "payable", "paid"))


class SealedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where an entry is sealed and what became of it. `reason` is empty where it was applied."""

    height: int
    at: int
    device: bytes
    seq: int
    seal_height: int
    place: int
    reason: str
    detail: str


class HeightRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is asked of a block most often."""

    block_id: bytes
    time: int
    state_root: bytes
    charter_digest: bytes
    charter_version: int


class BlockRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A block as it travels: header bytes, certificate, READYs with their signatures and frontiers, entry ids."""

    header: bytes
    certificate: bytes
    readys: list[bytes]
    """Signed READY messages as they came."""
    entry_ids: list[bytes]


class OutcomeRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Postings of one entry or tick."""

    at: int
    cause: bytes
    what: str
    """Kind of the entry, or the name of the tick."""
    charter_version: int
    postings: list[tuple[str, str, str, int, str, str]]


class _HeadRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    height: int
    block_id: bytes
    time: int
    state_root: bytes
    log: bytes


class JoinRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a ticket said, for the time until the ledger is here."""

    charter: bytes
    """Hash of the founding charter."""
    anchor: tuple[int, bytes]
    """A block that the ledger must have."""
    addresses: list[str]


class ContactRow(msgspec.Struct, frozen=True, array_like=True):
    """When we and a peer were connected last."""

    address: str
    """The address that we have dialled with success last; empty where it always came to us."""
    at: int
    """When it came or went, in ms."""
    height: int
    """The newest block it spoke of; -1 for none."""


_read_contact = msgspec.msgpack.Decoder(ContactRow).decode
_read_line = msgspec.msgpack.Decoder(tuple[Before, ...]).decode
_read_join = msgspec.msgpack.Decoder(JoinRow).decode
_read_sealed = msgspec.msgpack.Decoder(SealedRow).decode
_read_height = msgspec.msgpack.Decoder(HeightRow).decode
_read_block = msgspec.msgpack.Decoder(BlockRow).decode
_read_outcome = msgspec.msgpack.Decoder(OutcomeRow).decode
_read_head = msgspec.msgpack.Decoder(_HeadRow).decode
_read_deal = msgspec.msgpack.Decoder(Deal).decode


class Archive:
    """One ledger's store. Not thread-safe: one loop owns it."""

    def __init__(self, store: Store, blobs: Blobs | None = None) -> None:
        self.store = store
        self.blobs: Blobs = MemoryBlobs() if blobs is None else blobs
        """Evidence files."""
        self._sealed: dict[bytes, SealedRow] = {}
        self._heights: dict[int, HeightRow] = {}

    # -- the beginning -------------------------------------------------------------------------------------------------

    def begin(self, ledger_id: bytes, *, join: JoinRow | None = None, line: Sequence[Before] = ()) -> None:
        """Write down whose ledger this is, and for one that is joined how to reach it; `line`: the ledgers before."""
        puts = [(layout.LEDGER_KEY, ledger_id), (layout.FORMAT_KEY, bytes([layout.FORMAT]))]
        if line:
            puts.append((layout.LINE_KEY, _encode(list(line))))
        if join is not None:
            puts.append((layout.JOIN_KEY, _encode(join)))
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
        return () if data is None else _read_line(data)

    def keep_line(self, line: Sequence[Before]) -> None:
        """Write it down, as the founding entry says it."""
        self.store.write([(layout.LINE_KEY, _encode(list(line)))], sync=True)

    def join_row(self) -> JoinRow | None:
        """How this ledger was joined; None for the founder."""
        data = self.store.get(layout.JOIN_KEY)
        return None if data is None else _read_join(data)

    # -- History: what is sealed ---------------------------------------------------------------------------------------

    def sealed_row(self, entry_id: bytes) -> SealedRow | None:
        if entry_id in self._sealed:
            return self._sealed[entry_id]
        data = self.store.get(layout.SEALED + entry_id)
        row = None if data is None else _read_sealed(data)
        if row is not None:
            # What is not sealed yet may be tomorrow; only facts are remembered.
            self._remember({entry_id: row})
        return row

    def _remember(self, rows: Mapping[bytes, SealedRow]) -> None:
        if len(self._sealed) >= _CACHE_ROWS:
            self._sealed.clear()
        self._sealed.update(rows)

    def sealed(self, entry_id: bytes) -> Sealed | None:
        row = self.sealed_row(entry_id)
        return None if row is None else Sealed(row.height, row.at, row.device, row.seq, row.seal_height)

    def height_row(self, height: int) -> HeightRow | None:
        row = self._heights.get(height)
        if row is None:
            data = self.store.get(layout.height_key(layout.HEIGHT, height))
            if data is None:
                return None
            if len(self._heights) >= _CACHE_ROWS:
                self._heights.clear()
            row = self._heights[height] = _read_height(data)
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
        return None if data is None else _read_deal(data)

    def closed_deals(self) -> Iterator[tuple[bytes, Deal]]:
        """All deals that have left the live state, by id."""
        for key, data in self.store.iterate(prefix=layout.CLOSED):
            yield key[1:], _read_deal(data)

    # -- entries -------------------------------------------------------------------------------------------------------

    def entry(self, entry_id: bytes) -> Entry | None:
        """A stored entry, pending or sealed. Raises StoreError where its bytes are not what they were."""
        data = self.store.get(layout.ENTRY + entry_id)
        if data is None:
            return None
        entry = read_entry_known(entry_id, data[64:], data[:64])
        if entry is None:
            raise StoreError(f"entry {entry_id.hex()[:8]} is damaged: its bytes have another id")
        if entry.annex_hash is not None and (annex := self.store.get(layout.ANNEX + entry_id)) is not None:
            try:
                add_annex_untrusted(entry, annex)
            except TallystickError as error:
                raise StoreError(f"the words of entry {entry_id.hex()[:8]} are damaged: {error}") from error
        return entry

    def wire(self, entry_id: bytes) -> Wire | None:
        """A stored entry as it travels, its bytes unread: whoever gets it reads them."""
        data = self.store.get(layout.ENTRY + entry_id)
        if data is None:
            return None
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
            puts.append((layout.PENDING + entry.id, b""))
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
                entry = self.entry(key[1:])
                if entry is not None:
                    yield entry

    def forget(self, entry_ids: Iterable[bytes]) -> None:
        """Drop pending entries that this node does not want after all."""
        deletes = [prefix + entry_id for entry_id in entry_ids for prefix in (b"E", b"A", b"P")]
        self.store.write((), deletes, sync=False)

    # -- blocks --------------------------------------------------------------------------------------------------------

    def block(self, height: int) -> BlockRow | None:
        data = self.store.get(layout.height_key(layout.BLOCK, height))
        return None if data is None else _read_block(data)

    def keep_block(
        self,
        executed: Executed,
        block: BlockRow,
        block_id: bytes,
        entries: Sequence[Entry],
        fresh: Container[bytes] = frozenset(),
    ) -> None:
        """Store a decided block and all that follows from it: one synced batch, wholly there or not at all.

        `fresh` are ids of entries that have come with it and are not stored yet.
        """
        height = executed.height
        version = executed.charter_version
        puts: list[tuple[bytes, bytes]] = [
            (layout.height_key(layout.BLOCK, height), _encode(block)),
            (
                layout.height_key(layout.HEIGHT, height),
                _encode(HeightRow(block_id, executed.time, executed.state_root, executed.charter_digest, version)),
            ),
            (
                layout.HEAD_KEY,
                _encode(
                    _HeadRow(height, block_id, executed.time, executed.state_root, _encode(executed.log.to_value()))
                ),
            ),
        ]
        deletes: list[bytes] = []
        rows: dict[bytes, SealedRow] = {}
        for place, (entry, result) in enumerate(zip(entries, executed.results, strict=True)):
            seal_height = -1 if entry.seal is None else entry.seal[0]
            row = SealedRow(
                height, result.at, entry.device, entry.seq, seal_height, place, result.reason or "", result.detail
            )
            rows[entry.id] = row
            puts.append((layout.SEALED + entry.id, _encode(row)))
            if entry.id in fresh:
                puts.append((layout.ENTRY + entry.id, entry.signature + entry.header))
                # What this very block erases was never stored.
                if entry.annex is not None and executed.rows.get(_ERASED + entry.id.hex()) is None:
                    puts.append((layout.ANNEX + entry.id, entry.annex))
            else:
                deletes.append(layout.PENDING + entry.id)
            if result.postings:
                outcome = OutcomeRow(result.at, entry.id, entry.kind, version, list(result.postings))
                self._put_outcome(puts, height, place, outcome)
        first = len(executed.results)
        for number, tick in enumerate(executed.ticks):
            if tick.postings:
                outcome = OutcomeRow(tick.time, tick.ref, tick.what, version, list(tick.postings))
                self._put_outcome(puts, height, first + number, outcome)
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
            puts.append((layout.height_key(layout.SEATS, height), _encode(seats)))
        if seats_next != seats:
            puts.append((layout.height_key(layout.SEATS, height + 1), _encode(seats_next)))
        puts += [(layout.CLOSED + deal_id, _encode(deal)) for deal_id, deal in executed.closed.items()]
        # Whoever helps two blocks of one height along in different rounds signs no slot twice: only the prevotes of the
        # later round, which have forgotten what was precommitted before, prove it. So those stay.
        is_late = codec.decode(block.certificate)[1] > 0  # type: ignore[index, operator]
        messages = self.store.iterate(prefix=layout.height_key(layout.MESSAGE, height))
        deletes += [key for key, data in messages if not (is_late and data[1:].startswith(_PREVOTE))]
        self.store.write(puts, deletes, sync=True)
        # Those that come next refer to them.
        self._remember(rows)

    @staticmethod
    def _put_outcome(puts: list[tuple[bytes, bytes]], height: int, place: int, row: OutcomeRow) -> None:
        puts.append((layout.outcome_key(height, place), _encode(row)))
        accounts = {account.rpartition("/") for posting in row.postings for account in (posting[1], posting[2])}
        owners = {owner for noun, _, owner in accounts if noun in _OWNED}
        puts += [(layout.member_outcome_key(bytes.fromhex(owner), height, place), b"") for owner in sorted(owners)]

    def seats(self, height: int) -> list[tuple[bytes, bytes]]:
        """(member, node key) of those who seal a height that is sealed here, in their order; empty where unknown."""
        last = layout.height_key(layout.SEATS, height)
        for _, data in self.store.iterate(prefix=layout.SEATS, start=last, reverse=True):
            return msgspec.msgpack.decode(data, type=list[tuple[bytes, bytes]])
        return []

    def outcome(self, height: int, place: int) -> OutcomeRow | None:
        data = self.store.get(layout.outcome_key(height, place))
        return None if data is None else _read_outcome(data)

    def outcomes(self) -> Iterator[tuple[int, int, OutcomeRow]]:
        """(height, place, postings) of everything that moved something, in order."""
        for key, data in self.store.iterate(prefix=layout.OUTCOME):
            yield int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:13], "big"), _read_outcome(data)

    def outcomes_of(self, member: bytes) -> Iterator[tuple[int, int, OutcomeRow]]:
        """(height, place, postings) of everything that touched a member, or the escrow of a deal, in order."""
        prefix = layout.MEMBER_OUTCOME + member
        for key, _ in self.store.iterate(prefix=prefix):
            height, place = int.from_bytes(key[33:41], "big"), int.from_bytes(key[41:45], "big")
            row = self.outcome(height, place)
            if row is None:
                raise StoreError(f"the postings of block {height}, place {place} are missing")
            yield height, place, row

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
        return [] if data is None else list(msgspec.msgpack.decode(data, type=list[str]))

    def keep_addresses(self, peer: bytes, addresses: Sequence[str]) -> None:
        self.store.write([(layout.ADDRESS + peer, _encode(list(addresses)))], sync=False)

    def peers(self) -> Iterator[tuple[bytes, list[str]]]:
        """All peers with an address, by node key."""
        for key, data in self.store.iterate(prefix=layout.ADDRESS):
            yield key[1:], list(msgspec.msgpack.decode(data, type=list[str]))

    def contact(self, peer: bytes) -> ContactRow | None:
        """When a peer was connected last."""
        data = self.store.get(layout.CONTACT + peer)
        return None if data is None else _read_contact(data)

    def keep_contact(self, peer: bytes, row: ContactRow) -> None:
        self.store.write([(layout.CONTACT + peer, _encode(row))], sync=False)

    def contacts(self) -> Iterator[tuple[bytes, ContactRow]]:
        """All peers that were ever connected, by node key."""
        for key, data in self.store.iterate(prefix=layout.CONTACT):
            yield key[1:], _read_contact(data)

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
        row = _read_head(data)
        return Head(row.height, row.block_id, row.time, row.state_root)

    def state_rows(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Rows of the sealed state: path -> encoded row."""
        for key, data in self.store.iterate(prefix=layout.STATE + prefix.encode()):
            yield key[1:].decode(), data

    def has_pending(self) -> bool:
        return next(iter(self.store.iterate(prefix=layout.PENDING)), None) is not None

    def load(self, ledger_id: bytes, *, check_root: bool = True) -> tuple[Ledger, list[Entry]]:
        """The ledger as it was left, and pending entries that do not connect (a join before its ledger is here).

        Raises StoreError where the state does not have the root that the newest block names.
        """
        data = self.store.get(layout.HEAD_KEY)
        if data is None:
            ledger = Ledger(ledger_id, self, line=self.line())
        else:
            row = _read_head(data)
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
        for key, _ in self.store.iterate(prefix=layout.PENDING):
            entry = self.entry(key[1:])
            if entry is None:
                raise StoreError(f"the pending entry {key[1:].hex()[:8]} is missing")
            waiting[entry.id] = entry
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


def row_of(block: Block) -> BlockRow:
    """A block as it is stored."""
    header, certificate, readys, entry_ids = block.wire()
    return BlockRow(header, certificate, readys, entry_ids)
