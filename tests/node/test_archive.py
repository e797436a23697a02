"""The archive: entries and postings are found again in their pages, wherever in a block they stand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.kinds.approve import Approve
from tests.support.kept import Kept, kept_market

#: More than one page of entries and of postings, the last of them not full.
DEALS = 25


@pytest.fixture(scope="module")
def kept() -> Kept:
    """A market with one block of 100 entries that all lie in pages, and one entry that is pending."""
    kept = kept_market("bo")
    for _ in range(DEALS):
        deal = kept.delivered("bo", "ana", "roast", 1)
        kept.do("ana", Approve(deal=deal))
    kept.seal()
    kept.offered("bo", "roast", 1)
    return kept


def test_every_entry_of_a_block_is_found_by_its_id(kept: Kept) -> None:
    """One by one in any order, and all in the order of the block; what is pending lies by itself."""
    by_id = {entry.id: entry for entry in kept.sent}
    height = kept.ledger.head.height
    block = kept.archive.block(height)
    assert block is not None and len(block.entry_ids) > 5 * layout.PAGE_ENTRIES
    archive = Archive(kept.store)
    for entry_id in sorted(by_id):
        assert archive.entry(entry_id) == by_id[entry_id]
    in_order = list(archive.entries_of(height, block.entry_ids))
    assert in_order == [by_id[entry_id] for entry_id in block.entry_ids]
    wires = list(archive.wires_of(height, block.entry_ids))
    assert wires == [(entry.header, entry.signature, entry.annex) for entry in in_order]
    assert [key[1:] for key, _ in kept.store.iterate(prefix=layout.ENTRY)] == [kept.sent[-1].id]


def test_an_entry_that_is_not_there_is_none(kept: Kept) -> None:
    """Of an id that nobody has seen."""
    assert kept.archive.entry(bytes(32)) is None
    assert kept.archive.wire(bytes(32)) is None


def test_every_posting_is_found_by_its_place(kept: Kept) -> None:
    """By place, one after the other, and by whom it touches."""
    archive = Archive(kept.store)
    height = kept.ledger.head.height
    rows = [row for number, row in archive.outcomes() if number == height]
    assert len({row.place // layout.PAGE_PLACES for row in rows}) > 1
    assert [row.place for row in rows] == sorted({row.place for row in rows})
    for row in rows:
        assert archive.outcome(height, row.place) == row
    quiet = set(range(100)) - {row.place for row in rows}
    assert archive.outcome(height, min(quiet)) is None
    member = kept.people["bo"].member
    account = f"partner/{member.hex()}"
    touching = [row for row in rows if any(account in (each.source, each.target) for each in row.postings)]
    assert [row for number, row in archive.outcomes_of(member) if number == height] == touching
    assert len(touching) == DEALS


def test_entries_that_say_something_are_found(kept: Kept) -> None:
    """Sealed or pending."""
    offers = {entry.id for entry in kept.sent if entry.kind == "offer"}
    assert {entry.id for entry in kept.archive.entries_with(b"offer")} >= offers


@pytest.mark.parametrize(
    ("change", "is_last_here"),
    [
        (None, False),
        (lambda page: page[:-1], False),
        (lambda page: [*page, page[0]], True),
        (lambda page: 7, False),
    ],
    ids=["gone", "one too few", "one too many", "no page"],
)
def test_a_page_that_is_none_is_damage(
    kept: Kept, change: Callable[[list[bytes]], object] | None, is_last_here: bool
) -> None:
    """Whichever way its entries are asked for: no other error, and nothing is taken for one that was never there."""
    store = MemoryStore()
    assert isinstance(kept.store, MemoryStore)
    store.restore(kept.store.image())
    height = kept.ledger.head.height
    key = layout.page_key(layout.CONTENTS, height, 1)
    if change is None:
        store.write([], [key], sync=False)
    else:
        store.write([(key, msgspec.msgpack.encode(change(kept.archive.page(height, 1))))], sync=False)
    archive = Archive(store)
    block = archive.block(height)
    assert block is not None
    assert archive.entry(block.entry_ids[15]) is not None
    with pytest.raises(StoreError, match=f"block {height}") as caught:
        list(archive.entries_of(height, block.entry_ids))
    assert caught.value.reason == StoreReason.DAMAGED
    last = block.entry_ids[31]
    if is_last_here:
        assert archive.entry(last) is not None
    else:
        with pytest.raises(StoreError, match=f"block {height}"):
            archive.entry(last)


@pytest.mark.parametrize("form", [0, layout.FORMAT + 1])
def test_a_store_of_another_format_is_refused(form: int) -> None:
    """With what to do about it; nothing is guessed."""
    store = MemoryStore()
    archive = Archive(store)
    archive.begin(bytes(range(32)))
    assert archive.ledger_id() == bytes(range(32))
    store.write([(layout.FORMAT_KEY, bytes([form]))], sync=False)
    with pytest.raises(StoreError) as caught:
        archive.ledger_id()
    assert caught.value.reason == StoreReason.TOO_NEW
    assert caught.value.hint
