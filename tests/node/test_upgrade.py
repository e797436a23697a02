"""A store of the first format: opened once, it is as one that the present program wrote, wherever that stopped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import encode, read_outcomes, read_places
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.home import Home
from tallystick.node.store import Store
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.store_memory import MemoryStore
from tallystick.node.upgrade import DONE_KEY, FIRST_FORMAT, MARK, upgrade
from tallystick.node.verify import verify
from tallystick.protocol.kinds.approve import Approve
from tests.support.faults import RESERVE
from tests.support.kept import Kept, kept_market

Rows = dict[bytes, bytes]


@pytest.fixture(scope="module")
def kept() -> Kept:
    """Some blocks, one of them with more than a page; words, and an entry that is pending."""
    kept = kept_market("bo")
    for count in (1, 6, 2):
        for _ in range(count):
            kept.do("ana", Approve(deal=kept.delivered("bo", "ana", "roast", 1)))
        kept.seal()
    kept.words = {"note": "not sealed yet"}
    kept.offered("bo", "roast", 1)
    kept.archive.begin(kept.ledger.id)
    return kept


def rows_of(store: Store) -> Rows:
    return dict(store.iterate())


def as_first(rows: Rows, archive: Archive) -> Rows:
    """The same in the first format."""
    out: Rows = {}
    for key, value in rows.items():
        if key[:1] == layout.CONTENTS:
            height, first = int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:], "big") * layout.PAGE_ENTRIES
            block = archive.block(height)
            assert block is not None
            texts = archive.page(height, first // layout.PAGE_ENTRIES)
            out |= {layout.ENTRY + each: text for each, text in zip(block.entry_ids[first:], texts, strict=False)}
        elif key[:1] == layout.OUTCOME:
            for row in read_outcomes(value):
                place, *rest = msgspec.to_builtins(row, builtin_types=(bytes,))
                out[key[:9] + place.to_bytes(4, "big")] = encode(rest)
        elif key[:1] == layout.MEMBER_OUTCOME:
            out |= {key + place.to_bytes(4, "big"): b"" for place in read_places(value)}
        elif key[:1] == layout.ENTRY:
            out |= {key: value, MARK + key[1:]: b""}
        elif key == layout.FORMAT_KEY:
            out[key] = FIRST_FORMAT
        else:
            out[key] = value
    return out


def filled(store: Store, rows: Rows) -> Store:
    store.write(rows.items(), sync=True)
    return store


class Stops(MemoryStore):
    """A store that fails after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches + 1

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool) -> None:
        if not self.left:
            raise StoreError("the disk fails", reason=StoreReason.IO)
        self.left -= 1
        super().write(puts, deletes, sync=sync)


def test_a_store_of_the_first_format_becomes_one_of_the_present(kept: Kept) -> None:
    """Row for row what the present program would have written, and `verify` finds nothing."""
    present = rows_of(kept.store)
    first = as_first(present, kept.archive)
    assert {key[:1] for key in first} >= {b"E", b"P", b"O", b"X"} and b"T" not in {key[:1] for key in first}
    store = filled(MemoryStore(), first)
    upgrade(store)
    assert rows_of(store) == present
    assert verify(Archive(store))["ok"]
    upgrade(store)
    assert rows_of(store) == present


def test_wherever_it_stops_it_goes_on_there(kept: Kept) -> None:
    """After each of its batches; no row is lost on the way."""
    present = rows_of(kept.store)
    first = as_first(present, kept.archive)
    heights = kept.ledger.head.height
    assert heights > 3
    for batches in range(heights + 1):
        store = Stops(batches)
        filled(store, first)
        with pytest.raises(StoreError, match="the disk fails"):
            upgrade(store)
        assert int.from_bytes(store.get(DONE_KEY) or b"", "big") == batches
        store.left = heights + 2
        upgrade(store)
        assert rows_of(store) == present


def test_what_is_missing_is_told_and_nothing_is_made_up(kept: Kept) -> None:
    """An entry that a block names: the store is damaged, and stays what it was from there on."""
    first = as_first(rows_of(kept.store), kept.archive)
    block = kept.archive.block(2)
    assert block is not None
    del first[layout.ENTRY + block.entry_ids[0]]
    store = filled(MemoryStore(), first)
    with pytest.raises(StoreError, match=block.entry_ids[0].hex()[:8]) as caught:
        upgrade(store)
    assert caught.value.reason == StoreReason.DAMAGED
    assert store.get(layout.FORMAT_KEY) == FIRST_FORMAT


def test_a_home_opens_it_by_itself(kept: Kept, tmp_path: Path) -> None:
    """On the disk, as every command opens a ledger."""
    present = rows_of(kept.store)
    home = Home(tmp_path / "home")
    folder = home.ledger_path(kept.ledger.id)
    folder.mkdir(parents=True, mode=0o700)
    store = LevelStore.create(folder, reserve_bytes=RESERVE)
    filled(store, as_first(present, kept.archive))
    store.close()
    for _ in range(2):
        store = home.open_store(kept.ledger.id)
        assert rows_of(store) == present
        store.close()
