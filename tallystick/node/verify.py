"""The whole ledger recomputed from its founding entry, in memory, and compared with what the store says.

Nothing that can be derived is believed: every entry's bytes, id and signature, its structure, the order and the
execution of every block, all roots, the votes and READYs that sealed it, and every row that followed from it. The
blocks are replayed into an archive of their own, so that "what should be there" is made by the code that writes.

What is wrong is named and does not end the search. After a block that cannot be recomputed the later ones cannot be
either, but their bytes and the signatures of their entries still are checked.

Source: docs/spec/storage.md#verify
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tallystick.crypto.errors import TallystickError
from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow, encode, read_block, read_page
from tallystick.node.collector import collecting_rarely
from tallystick.node.errors import StoreError
from tallystick.node.intake import check_proofs
from tallystick.node.store_memory import MemoryStore
from tallystick.node.verify_rows import Problems, compare, name_of_block, name_of_entry, name_of_row, scan
from tallystick.node.verify_signatures import Signatures
from tallystick.protocol.assembly import Missing, block_checks, check_sealed
from tallystick.protocol.block import Block, read_block_untrusted
from tallystick.protocol.entry import Entry, read_entry_untrusted, signed_message
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.signed import Check
from tallystick.protocol.structure import Waiting

if TYPE_CHECKING:
    from tallystick.node.store import Store
    from tallystick.protocol.kinds.refound import Before

Progress = Callable[[int, int], None]
"""Called with (blocks done, blocks in all)."""


def verify(archive: Archive, *, progress: Progress | None = None) -> dict[str, Any]:
    """Check everything. `ok` is whether `problems` is empty; each is {"where", "problem", "height"}.

    Never raises for what is in the store, only for a store that cannot be read at all.
    """
    check = _Verification(archive.store)
    try:
        with collecting_rarely():
            check.run(progress)
    finally:
        check.signatures.close()
    return check.report()


class _Made(Archive):
    """What should be stored, but for the entries themselves: they stay where they are, and are read there."""

    def __init__(self, find: Callable[[bytes], Entry | None]) -> None:
        super().__init__(MemoryStore())
        self._find = find

    def entry(self, entry_id: bytes) -> Entry | None:
        return self._find(entry_id)


class _Verification:
    """One run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problems = Problems()
        self.signatures = Signatures(self.problems)
        self.made = _Made(self._stored)
        self.ledger = Ledger(self._ledger_id(), self.made, line=self._line())
        self.sealed: dict[bytes, int] = {}
        """Entry -> height of the block that lists it."""
        self.pending: set[bytes] = set()
        self.pages: set[bytes] = set()
        """Keys of the pages with the entries of the blocks."""
        self.blocks = 0
        self.is_whole = True
        """Whether every block so far could be recomputed."""

    def run(self, progress: Progress | None) -> None:
        height_last = self._height_last()
        for height in range(1, height_last + 1):
            self._block(height)
            if progress is not None:
                progress(height, height_last)
        self._pending_entries()
        self.signatures.finish()
        compare(self.store, self.made.store, self.problems, with_state=self.is_whole)
        known = (self.sealed.keys() | self.pending) if self.is_whole else None
        scan(self.store, self.made.store, self.problems, known, self.pages)

    def report(self) -> dict[str, Any]:
        head = self.ledger.head
        return {
            "entries": len(self.sealed) + len(self.pending),
            "blocks": self.blocks,
            "signatures_checked": self.signatures.count,
            "state_root": head.state_root.hex() if head.height else None,
            "ok": not self.problems.rows,
            "problems": self.problems.rows,
        }

    # -- the frame -----------------------------------------------------------------------------------------------------

    def _get(self, key: bytes, where: str, height: int | None = None) -> bytes | None:
        """A stored value; None where it is missing or damaged, which then is a problem."""
        try:
            data = self.store.get(key)
        except StoreError as error:
            self.problems.add(where, error.message, height)
            return None
        if data is None:
            self.problems.add(where, "it is missing", height)
        return data

    def _ledger_id(self) -> bytes:
        """The id of the founding entry, whatever the store says that its ledger is."""
        said = self._get(layout.LEDGER_KEY, "the ledger's id")
        form = self._get(layout.FORMAT_KEY, "the format of the store")
        if form is not None and form != bytes([layout.FORMAT]):
            self.problems.add("the format of the store", f"it is {form.hex()}, and not {layout.FORMAT:02x}")
        line = self._line()
        first = line[-1].height + 1 if line else 1
        try:
            data = self.store.get(layout.height_key(layout.BLOCK, first))
            ids = [] if data is None else read_block(data).entry_ids
        except (StoreError, msgspec.MsgspecError):
            ids = []
        if len(ids) != 1 or len(ids[0]) != 32:
            return said or bytes(32)
        if said is not None and said != ids[0]:
            self.problems.add("the ledger's id", f"it is {said.hex()}, and the founding entry is {ids[0].hex()}")
        return ids[0]

    def _line(self) -> tuple[Before, ...]:
        """The ledgers before, as the store says; the founding entry has to say the same."""
        try:
            return Archive(self.store).line()
        except (StoreError, msgspec.MsgspecError) as error:
            self.problems.add("the ledgers before this one", str(error))
            return ()

    def _height_last(self) -> int:
        """The height of the newest block there is a trace of."""
        last = 0
        for prefix in (layout.BLOCK, layout.HEIGHT):
            try:
                for key, _ in self.store.iterate(prefix=prefix, reverse=True):
                    last = max(last, int.from_bytes(key[1:9], "big"))
                    break
            except StoreError as error:
                if error.key is not None and error.key[:1] == prefix and len(error.key) == 9:
                    last = max(last, int.from_bytes(error.key[1:], "big"))
        return last

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _block(self, height: int) -> None:
        where = name_of_block(height)
        data = self._get(layout.height_key(layout.BLOCK, height), where, height)
        row = None if data is None else self._read_row(data, where, height)
        if row is None:
            self._broken()
            return
        self.blocks += 1
        texts = self._contents(row.entry_ids, height)
        entries = [
            None if text is None else self._entry(entry_id, text, height)
            for entry_id, text in zip(row.entry_ids, texts, strict=True)
        ]
        self.sealed |= dict.fromkeys(row.entry_ids, height)
        here = [entry for entry in entries if entry is not None]
        self._submit(here, height)
        try:
            block = read_block_untrusted(row.header, row.certificate, row.readys, row.entry_ids)
        except TallystickError as error:
            self.problems.add(where, str(error), height)
            self._broken()
            return
        if len(here) < len(entries):
            self._broken()
        if self.is_whole:
            self._replay(block, row, here, height)

    def _read_row(self, data: bytes, where: str, height: int) -> BlockRow | None:
        try:
            row = read_block(data)
        except msgspec.MsgspecError as error:
            self.problems.add(where, f"its bytes are no block: {error}", height)
            return None
        if encode(row) != data:
            self.problems.add(where, "it is not written as a block is written", height)
        return row

    def _broken(self) -> None:
        self.is_whole = False

    def _replay(self, block: Block, row: BlockRow, entries: Sequence[Entry], height: int) -> None:
        """Judge a block by making it again, and keep what follows from it."""
        where = name_of_block(height)
        for entry in entries:
            if not self._add(entry, height):
                self._broken()
        if not self.is_whole:
            return
        try:
            self.signatures.submit([(where, check) for check in block_checks(self.ledger, block)], height)
            made = check_sealed(self.ledger, block, verified=True)
        except TallystickError as error:
            self.problems.add(where, str(error), height)
            self._broken()
            return
        if isinstance(made, Missing):
            self.problems.add(where, f"entry {made.entry_ids[0].hex()} is not there", height)
            self._broken()
            return
        self.made.keep_block(made.executed, row, made.block_id, entries, with_contents=False)
        self.ledger.commit(made.executed, made.block_id)

    # -- entries -------------------------------------------------------------------------------------------------------

    def _contents(self, entry_ids: Sequence[bytes], height: int) -> list[bytes | None]:
        """Signature and header of the entries of a block; None for those that cannot be read."""
        texts: list[bytes | None] = []
        for number in range(-(-len(entry_ids) // layout.PAGE_ENTRIES)):
            count = min(layout.PAGE_ENTRIES, len(entry_ids) - len(texts))
            key = layout.page_key(layout.CONTENTS, height, number)
            data = self._get(key, name_of_row(key), height)
            page = [] if data is None else self._read_page(data, name_of_row(key), height)
            if data is not None and len(page) != count:
                self.problems.add(name_of_row(key), f"there are {len(page)} of {count}", height)
            self.pages.add(key)
            texts += page if len(page) == count else [None] * count
        return texts

    def _read_page(self, data: bytes, where: str, height: int) -> list[bytes]:
        try:
            page = read_page(data)
        except msgspec.MsgspecError as error:
            self.problems.add(where, f"its bytes are no entries: {error}", height)
            return []
        if encode(page) != data:
            self.problems.add(where, "it is not written as entries are written", height)
        return page

    def _entry(self, entry_id: bytes, data: bytes, height: int | None) -> Entry | None:
        """An entry with its words, from its bytes; None where it is not what it should be."""
        where = name_of_entry(entry_id)
        try:
            annex = self.store.get(layout.ANNEX + entry_id)
        except StoreError as error:
            self.problems.add(f"words of {where}", error.message, height)
            annex = None
        try:
            entry = read_entry_untrusted(data[64:], data[:64], None)
            if entry.id != entry_id:
                self.problems.add(where, f"its bytes have the id {entry.id.hex()}", height)
                return None
        except TallystickError as error:
            self.problems.add(where, f"its bytes are no entry: {error}", height)
            return None
        if annex is None:
            return entry
        try:
            return read_entry_untrusted(data[64:], data[:64], annex)
        except TallystickError as error:
            self.problems.add(f"words of {where}", str(error), height)
            return entry

    def _submit(self, entries: Sequence[Entry], height: int | None) -> None:
        self.signatures.submit(
            [
                (
                    name_of_entry(entry.id),
                    Check(entry.device, signed_message(entry.id, entry.ledger), entry.signature),
                )
                for entry in entries
            ],
            height,
        )

    def _add(self, entry: Entry, height: int | None) -> bool:
        """Judge the structure of an entry and the signatures inside it; whether it is among the pending ones now."""
        where = name_of_entry(entry.id)
        try:
            body = self.ledger.check(entry)
            if isinstance(body, Waiting):
                self.problems.add(where, "something it refers to comes later or is not there", height)
                return False
            check_proofs(entry, body, self._find)
            self.signatures.count += len(body.proofs(entry, self._find))
        except TallystickError as error:
            self.problems.add(where, str(error), height)
            return False
        self.ledger.add(entry, body)
        return True

    def _find(self, entry_id: bytes) -> Entry | None:
        pending = self.ledger.pool.entries.get(entry_id)
        return self._stored(entry_id) if pending is None else pending.entry

    def _stored(self, entry_id: bytes) -> Entry | None:
        """A sealed entry, from where it has to stand."""
        row = self.made.sealed_row(entry_id)
        if row is None:
            return None
        key = layout.page_key(layout.CONTENTS, row.height, row.place // layout.PAGE_ENTRIES)
        data = self._get(key, name_of_row(key), row.height)
        if data is None:
            return None
        return self._entry(entry_id, read_page(data)[row.place % layout.PAGE_ENTRIES], None)

    def _pending_entries(self) -> None:
        """Pending entries: bytes and signatures; where the blocks could be recomputed, their structure too."""
        waiting: dict[bytes, Entry] = {}
        rows: dict[bytes, bytes] = {}
        try:
            rows.update((key[1:], data) for key, data in self.store.iterate(prefix=layout.ENTRY))
        except StoreError:
            # The scan names it; what came before it is looked at.
            self._broken()
        for entry_id, data in rows.items():
            if entry_id in self.sealed:
                self.problems.add(name_of_entry(entry_id), "it is pending and sealed at once")
                continue
            self.pending.add(entry_id)
            entry = self._entry(entry_id, data, None)
            if entry is not None:
                waiting[entry_id] = entry
        self._submit(list(waiting.values()), None)
        if self.is_whole:
            self._connect(waiting)

    def _connect(self, waiting: dict[bytes, Entry]) -> None:
        """Add pending entries after their parents. What a newcomer keeps before its ledger is here stays loose."""
        stack = list(waiting)
        while stack:
            entry = waiting.get(stack[-1])
            before = [] if entry is None else [parent for parent in entry.parents if parent in waiting]
            if before:
                stack.extend(before)
                continue
            stack.pop()
            if entry is None:
                continue
            del waiting[entry.id]
            loose = any(self.made.sealed(each) is None and each not in self.ledger.pool for each in entry.parents)
            if not loose:
                self._add(entry, None)
