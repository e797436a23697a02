"""Bundles: a file that carries whatever one node has and another may lack.

    TALLYB1\\n
    header   [version, ledger, "delta" | "full", base, created, device, [blocks, entries, messages]]
    frames   ENTRIES (parents first), BLOCK, SEALING: those of the sync protocol, uvarint length + canonical array
    trailer  ["end", sha-256 of all before it, signature of the device or nil]

Since sealing messages are inside, a block can be sealed by passing a stick around. Reading feeds the frames through the
ordinary way in: it may be repeated, goes on where it stopped, and takes from a damaged file what is sound before the
damage. Nothing in a bundle is a path or a name of a file.

Source: docs/spec/bundles.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.node import messages as m
from tallystick.node.alarms import disagree
from tallystick.node.effects import Check, Verified, Verify
from tallystick.node.errors import ExitCode, NodeError, StoreError
from tallystick.node.intake import Batch, BlameError, Wire
from tallystick.node.intake import Taken as TakenIn
from tallystick.node.lineage import learn_line
from tallystick.node.messages import MessageError, Reader
from tallystick.node.net_framing import FrameReader, FramingError, encode_frame
from tallystick.node.shelf import SHELVED_BYTES_MAX, SHELVED_MAX, is_whole
from tallystick.node.sync import entry_wire, in_frames, in_parts
from tallystick.protocol import codec
from tallystick.protocol.assembly import OtherResultError
from tallystick.protocol.block import block_id, read_block_untrusted, read_header_untrusted
from tallystick.protocol.entry import read_entry_untrusted
from tallystick.protocol.errors import BlockError, DecodeError, EntryError

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.archive import Archive
    from tallystick.node.archive_rows import BlockRow
    from tallystick.node.core import NodeCore
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.ledger import Ledger

MAGIC: Final = b"TALLYB1\n"
VERSION: Final = 1
#: Who hands over what is in a bundle, for limits that count by peer.
STICK: Final = bytes(32)
READ_BYTES: Final = 256 * 1024
_TRAILER: Final = "end"
_TRAILER_BYTES_MAX: Final = 256

Judge = Callable[[list[Check]], list[bool]]


class BundleError(NodeError):
    """A file that is no bundle, a damaged one, or one of another ledger."""


def damaged(detail: str, reason: str = "bundle-damaged") -> BundleError:
    return BundleError(
        f"the bundle is damaged: {detail}",
        reason=reason,
        exit_code=ExitCode.DAMAGED,
        hint="what was sound before the damage has been taken; copy the file again for the rest",
    )


@dataclass(slots=True, kw_only=True)
class Taken:
    """What reading a bundle brought."""

    blocks: int = 0
    entries: int = 0
    known: int = 0
    """Entries that were here already."""
    refused: int = 0
    messages: int = 0
    damage: str = ""
    gap: str = ""
    """What lies between this ledger and the bundle, in words."""

    def to_json(self) -> dict[str, Any]:
        return {
            "blocks": self.blocks,
            "entries": self.entries,
            "known": self.known,
            "refused": self.refused,
            "messages": self.messages,
            "damage": self.damage or None,
            "gap": self.gap or None,
        }


# -- writing ---------------------------------------------------------------------------------------------------------


class Contents(NamedTuple):
    """What a bundle is made of: a ledger, and what only the node that has it knows."""

    ledger: Ledger
    archive: Archive
    loose: list[Entry]
    """Entries that do not connect yet."""
    device: bytes
    sealing: list[bytes]
    """Messages of the vote on the next block."""


def contents_of(core: NodeCore) -> Contents:
    """All that a node has."""
    return Contents(core.ledger, core.archive, core.loose, core.device, core.sealer.messages())


def write_bundle(contents: Contents, file: BinaryIO, *, base: int, now: int, key: SecretKey | None) -> dict[str, int]:
    """Write everything after block `base`: 0 for all. Returns what was written, by noun.

    Raises OSError, StoreError.
    """
    ledger, archive, loose, device, sealing = contents
    pending = sorted(ledger.pool.entries.values(), key=lambda row: (row.level, row.moment, row.entry.id))
    heights = range(base + 1, ledger.head.height + 1)
    counts = {"blocks": len(heights), "entries": 0, "messages": len(sealing)}
    hasher = sha256()

    def put(data: bytes) -> None:
        hasher.update(data)
        file.write(data)

    kind = "delta" if base else "full"
    put(MAGIC)
    # Nobody can tell without it to which ledger the first blocks belong.
    founding = archive.entry(ledger.id) if base < ledger.base else None
    first = [] if founding is None else [founding]
    # Looked at twice and never held: a whole ledger may be larger than the memory.
    total = len(first) + len(pending) + len(loose) + sum(len(_block(archive, height).entry_ids) for height in heights)
    head = [VERSION, ledger.id, kind, base, now, device, [len(heights), total, len(sealing)]]
    put(encode_frame(codec.encode(head)))  # type: ignore[arg-type]
    for frame in _entry_frames(first):
        put(frame)
    for height in heights:
        row = _block(archive, height)
        entries = list(archive.entries_of(height, row.entry_ids))
        counts["entries"] += len(entries)
        for frame in _entry_frames(entries):
            put(frame)
        for data in m.frames_of(m.Block(row.header, row.certificate, row.readys, row.entry_ids)):
            put(encode_frame(data))
    counts["entries"] += len(pending)
    for frame in _entry_frames([row.entry for row in pending] + loose):
        put(frame)
    for part in in_parts(sealing):
        for data in m.frames_of(m.Sealing(part)):
            put(encode_frame(data))
    digest = hasher.digest()
    signature = None if key is None else key.sign(_signed(ledger.id, digest))
    file.write(encode_frame(codec.encode([_TRAILER, digest, signature])))
    return counts


def _block(archive: Archive, height: int) -> BlockRow:
    row = archive.block(height)
    if row is None:
        raise StoreError(f"block {height} is missing")
    return row


def _entry_frames(entries: list[Entry]) -> Iterator[bytes]:
    for part in in_frames([entry_wire(entry) for entry in entries]):
        yield encode_frame(m.encode_message(m.Entries(part)))


def _signed(ledger: bytes, digest: bytes) -> bytes:
    return signed_bytes(SignType.BUNDLE, ledger, codec.encode([digest]))


# -- reading ---------------------------------------------------------------------------------------------------------


def ledger_of(file: BinaryIO) -> bytes:
    """Whose ledger a bundle is of; the file is read from its beginning. Raises BundleError."""
    frames = _frames(_chunks(file))
    return bytes(_read_header(next(frames, b""))[1])


def read_bundle(core: NodeCore, file: BinaryIO, *, now: int, judge: Judge) -> Taken:
    """Take in whatever a bundle has, at one go; see `taking`."""
    taken = Taken()
    for _ in taking(core, file, taken, now=now, judge=judge):
        core.effects()
    return taken


def taking(core: NodeCore, file: BinaryIO, taken: Taken, *, now: int, judge: Judge) -> Iterator[int]:
    """Take in whatever a bundle has, frame by frame; gives the bytes read so far.

    What `core.effects` wants done in between is the caller's business. Damage ends the reading and is told in `taken`;
    nothing is taken back.

    Raises BundleError where it is no bundle, or one of another ledger: then nothing was taken. Raises StoreError.
    """
    core.now = now
    frames = _frames(_chunks(file))
    first = next(frames, b"")
    header = _read_header(first)
    if header[1] != core.ledger.id:
        raise BundleError(
            f"the bundle is of another ledger ({bytes(header[1]).hex()[:8]})",
            reason="bundle-foreign",
            exit_code=ExitCode.UNTRUSTED,
            hint="`--ledger` chooses among the ledgers here",
        )
    base, height = header[3], core.ledger.head.height
    if base > height:
        taken.gap = f"it begins after block {base}, and this ledger ends at {height}: ask for one since {height}"
    way = _Taking(core, judge, taken, now, first, bytes(header[5]))
    yield from way.run(frames)
    core.sealer.poke(now)
    yield way.bytes


class _Taking:
    """The way of one bundle into a core."""

    def __init__(
        self, core: NodeCore, judge: Judge, taken: Taken, now: int, header_frame: bytes, device: bytes
    ) -> None:
        self._core = core
        self._judge = judge
        self._taken = taken
        self._now = now
        self._device = device
        self._held = _Held()
        self._reader = Reader()
        # Of what was read, written again: frames have one form only.
        self._hasher = sha256(MAGIC + encode_frame(header_frame))
        self.bytes = 0

    def run(self, frames: Iterator[bytes]) -> Iterator[int]:
        yield from self._frames(frames)
        try:
            self._let_go()
        except BlameError as error:
            self._taken.damage = self._taken.damage or str(error)

    def _frames(self, frames: Iterator[bytes]) -> Iterator[int]:
        ended = False
        try:
            for frame in frames:
                self.bytes += len(frame)
                if ended:
                    raise BlameError("something follows its end")
                if (trailer := _read_trailer(frame)) is not None:
                    ended = True
                    self._check_trailer(*trailer)
                    continue
                self._hasher.update(encode_frame(frame))
                message = self._reader.read(frame)
                if message is not None:
                    self._take(message)
                yield self.bytes
        except (FramingError, MessageError, BlameError, BlockError, DecodeError) as error:
            self._taken.damage = str(error)
            return
        if not ended:
            self._taken.damage = "it ends too early"

    def _check_trailer(self, digest: bytes, signature: bytes | None) -> None:
        if digest != self._hasher.digest():
            raise BlameError("its bytes are not those that were written")
        if signature is not None and not is_valid(self._device, _signed(self._core.ledger.id, digest), signature):
            raise BlameError("its signature does not hold")

    def _take(self, message: m.Message) -> None:
        core = self._core
        match message:
            case m.Entries():
                self._take_entries(message.entries)
            case m.Block() if self._held and self._is_known(message):
                # Its entries are here; all others would be looked through for each such block.
                self._taken.known += len(self._held.take(message.entry_ids))
                self._take_block(message)
            case m.Block() if self._held:
                self._take_held(message)
            case m.Block():
                self._take_block(message)
            case m.Sealing():
                core.sealer.receive(message.messages, STICK, self._now, fresh=False)
                self._taken.messages += len(message.messages)
            case _:
                raise BlameError("a message that has no place in a bundle")
        self._settle()

    def _take_entries(self, wires: Sequence[Wire]) -> None:
        """Words may be missing in a sealed block, and which one that is comes behind its entries: these wait for it."""
        learn_line(self._core.archive, self._core.ledger, wires)
        lack = [_lacks_words(wire) for wire in wires]
        if not self._held and not any(lack):
            self._open(wires)
            return
        for wire, lacks in zip(wires, lack, strict=True):
            self._held.put(wire, lacks)
        if len(self._held) > SHELVED_MAX or self._held.size_bytes > SHELVED_BYTES_MAX:
            self._let_go()

    def _let_go(self) -> None:
        """No block has come: what has its words is pending."""
        self._open(self._held.take_all())
        self._settle()

    def _open(self, wires: Sequence[Wire]) -> None:
        batch, _ = self._core.intake.open(wires, STICK, self._now, asked=True, for_block=True)
        self._taken.known += len(wires) - len(batch.entries)
        self._close(batch)

    def _take_held(self, message: m.Block) -> None:
        """A block, and entries before it of which some have lost their words. What it does not seal is not kept so."""
        core, intake = self._core, self._core.intake
        mine = self._held.take(message.entry_ids)
        wordless = frozenset(message.entry_ids)
        batches = [intake.open(mine, STICK, self._now, asked=True, for_block=True, wordless=wordless)[0]]
        self._taken.known += len(mine) - len(batches[0].entries)
        found = TakenIn()
        while batches:
            batch = batches.pop()
            result = intake.close(batch, self._judge(batch.checks), self._now)
            found.added += result.added
            found.refused += result.refused
            batches += intake.reopen(result.follow_up)
        self._taken.entries += len(found.added)
        core.archive.keep((row.entry for row in found.added), sync=False)
        try:
            self._take_block(message)
        finally:
            found.added = [row for row in found.added if row.entry.id in core.ledger.pool]
            core.take(found, None)
        # Of a later block, perhaps; and what is of none is pending.
        self._open(self._held.take_whole())

    def _is_known(self, message: m.Block) -> bool:
        """Whether this very block is sealed here."""
        header = read_header_untrusted(message.header)
        return self._core.archive.block_id(header.height) == block_id(message.header)

    def _take_block(self, message: m.Block) -> None:
        core = self._core
        before = core.ledger.head.height
        try:
            is_taken = core.take_block(message)
        except OtherResultError as error:
            disagree(core, error.header.height, error)
            self._taken.gap = core.alarm
            return
        if not is_taken:
            raise BlameError("a block comes without its entries")
        self._taken.blocks += core.ledger.head.height - before
        if core.ledger.head.height == before and not self._taken.gap:
            self._check_known(message)

    def _check_known(self, message: m.Block) -> None:
        """A block that was not the next one must be one of before: else the ones in between come later, or not."""
        header = read_block_untrusted(
            message.header, message.certificate, message.readys, message.entry_ids, deep=False
        ).header
        if header.height > self._core.ledger.head.height:
            raise BlameError(f"block {header.height} comes before the one that it follows")

    def _close(self, batch: Batch) -> None:
        core = self._core
        if not batch.entries:
            return
        result = core.intake.close(batch, self._judge(batch.checks), self._now)
        self._taken.entries += len(result.added)
        self._taken.refused += len(result.refused)
        core.take(result, None)

    def _settle(self) -> None:
        """What waited for these entries, or this block, is judged here and now: the next frame may build on it."""
        core = self._core
        left = []
        waiting = core.effects()
        while waiting:
            effect = waiting.pop(0)
            if isinstance(effect, Verify):
                pending = len(core.ledger.pool)
                waiting += core.handle(Verified(effect.job, self._judge(effect.checks)), self._now)
                self._taken.entries += max(0, len(core.ledger.pool) - pending)
            else:
                left.append(effect)
        core.out += left


class _Held:
    """Entries that wait for the block that seals them, since some of them have no words."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Wire] = {}
        self._whole: dict[bytes, None] = {}
        """Those of them that have their words."""
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, wire: Wire, lacks_words: bool) -> None:
        entry_id = tagged_hash("entry", wire[0])
        if entry_id in self._rows:
            return
        self._rows[entry_id] = wire
        self.size_bytes += _weight(wire)
        if not lacks_words:
            self._whole[entry_id] = None

    def take(self, entry_ids: Iterable[bytes]) -> list[Wire]:
        """Those of these entries that are here, in this order; they are here no more."""
        out = []
        for entry_id in entry_ids:
            wire = self._rows.pop(entry_id, None)
            if wire is not None:
                self._whole.pop(entry_id, None)
                self.size_bytes -= _weight(wire)
                out.append(wire)
        return out

    def take_whole(self) -> list[Wire]:
        """Those that have their words."""
        return self.take(list(self._whole))

    def take_all(self) -> list[Wire]:
        return self.take(list(self._rows))


def _weight(wire: Wire) -> int:
    return len(wire[0]) + len(wire[2] or b"")


def _lacks_words(wire: Wire) -> bool:
    """Whether an entry comes without the words that it names. What is no entry is told elsewhere."""
    header, signature, annex = wire
    try:
        return annex is None and not is_whole(read_entry_untrusted(header, signature, None))
    except (DecodeError, EntryError):
        return False


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise BundleError(
            "this is no bundle",
            reason="not-a-bundle",
            exit_code=ExitCode.UNTRUSTED,
            hint="`tally bundle out FILE` writes one, on the other computer",
        )
    while data := file.read(READ_BYTES):
        yield data


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    reader = FrameReader()
    for chunk in chunks:
        for item in reader.feed(chunk):
            if not isinstance(item, bytes):
                raise FramingError("an empty frame")
            yield item
    if not reader.is_empty:
        raise FramingError("it ends in the middle of a frame")


def _read_header(frame: bytes) -> list[Any]:
    try:
        value = codec.decode(frame, size_max=1024) if frame else None
    except DecodeError as error:
        raise damaged(f"its header is not readable ({error})") from None
    match value:
        case [int(version), bytes(ledger), "delta" | "full", int(), int(), bytes(), list()] if len(ledger) == 32:
            if version != VERSION:
                raise BundleError(
                    "a newer program wrote this bundle", reason="bundle-too-new", exit_code=ExitCode.UNTRUSTED
                )
            return list(value)
    raise damaged("its header is not that of a bundle")


def _read_trailer(frame: bytes) -> tuple[bytes, bytes | None] | None:
    if len(frame) > _TRAILER_BYTES_MAX:
        return None
    try:
        value = codec.decode(frame, size_max=_TRAILER_BYTES_MAX)
    except DecodeError:
        return None
    match value:
        case ["end", bytes(digest), None]:
            return digest, None
        case ["end", bytes(digest), bytes(signature)]:
            return digest, signature
    return None
