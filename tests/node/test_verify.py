"""Verify: a ledger that is whole passes, and whatever one byte is changed is found and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow, encode, read_page
from tallystick.node.errors import StoreError
from tallystick.node.store import Store
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.store_memory import MemoryStore
from tallystick.node.verify import verify
from tallystick.protocol.block import Certificate, read_certificate_untrusted
from tallystick.protocol.entry import make_entry
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.membership import DAY_MS
from tests.support.computers import added, first
from tests.support.faults import RESERVE, flip_bit, one_file
from tests.support.kept import Kept, kept_market
from tests.support.texts import change_text, put_text, text_ids, text_of


def filled(store: Store) -> Kept:
    """A small ledger of every kind of row: a paid deal, one that runs, one void entry, words, ticks, two sealers."""
    kept = kept_market("bo", store=store)
    kept.do("bo", SealerOn(device=kept.people["bo"].secret.public))
    agree(kept)
    kept.seal()
    kept.words = {"note": "two kilograms"}
    deal = kept.delivered("bo", "ana", "roast", 2)
    kept.do("ana", Approve(deal=deal))
    kept.refused("ana", Approve(deal=deal))
    kept.accepted("ana", "bo", "bake", 1)
    kept.delivered("ana", "bo", "roast", 1)
    kept.seal()
    kept.wait(8 * DAY_MS)
    kept.seal()
    kept.words = {"note": "not sealed yet"}
    kept.offered("bo", "roast", 1)
    return kept


def agree(kept: Kept) -> None:
    kept.do("ana", Admit(member=kept.people["bo"].member, sealer=True))


@pytest.fixture(scope="module")
def kept() -> Kept:
    return filled(MemoryStore())


@pytest.fixture
def store(kept: Kept) -> Store:
    """A copy of the store to be damaged."""
    copy = MemoryStore()
    assert isinstance(kept.store, MemoryStore)
    copy.restore(kept.store.image())
    return copy


def wheres(store: Store) -> list[str]:
    """What verify names."""
    answer = verify(Archive(store))
    assert answer["ok"] is (not answer["problems"])
    return [problem["where"] for problem in answer["problems"]]


def change(store: Store, key: bytes, at: int, bit: int) -> None:
    """Change a byte of a value and make its checksum right again, as somebody does who means to."""
    value = bytearray(store.get(key) or b"")
    value[at % len(value)] ^= 1 << bit
    store.write([(key, bytes(value))], sync=False)


def test_a_ledger_that_is_whole_passes(kept: Kept) -> None:
    """With the root that its newest block names, and everything counted."""
    answer = verify(kept.archive)
    signed = len(kept.sent)
    # A READY and a vote of each sealer in each block; each join brings two more signatures, the founding one.
    blocks = 2 * (1 + 1 + 1 + 2 + 2)
    assert answer == {
        "entries": signed,
        "blocks": kept.ledger.head.height,
        "signatures_checked": signed + blocks + 2 + 1,
        "state_root": kept.ledger.head.state_root.hex(),
        "ok": True,
        "problems": [],
    }


def test_progress_is_told_block_by_block(kept: Kept) -> None:
    """So that a long check can show how far it is."""
    told: list[tuple[int, int]] = []
    verify(kept.archive, progress=lambda done, of: told.append((done, of)))
    last = kept.ledger.head.height
    assert told == [(height, last) for height in range(1, last + 1)]


def test_a_newcomers_store_passes(kept: Kept) -> None:
    """It holds a join and nothing else until its ledger comes."""
    store = MemoryStore()
    archive = Archive(store)
    archive.begin(kept.ledger.id)
    archive.keep([next(entry for entry in kept.sent if entry.kind == "join")], sync=True)
    answer = verify(archive)
    assert (answer["ok"], answer["entries"], answer["blocks"], answer["state_root"]) == (True, 1, 0, None)


# -- every byte --------------------------------------------------------------------------------------------------------

WORDS_AND_BLOCK = (layout.ANNEX, layout.BLOCK)


def keys_of(store: Store, *prefixes: bytes) -> list[bytes]:
    return [key for prefix in prefixes for key, _ in store.iterate(prefix=prefix)]


def some_of(store: Store, *prefixes: bytes) -> list[bytes]:
    """A few keys of each kind of row, spread over all of them; of the state one of each table."""
    kinds: dict[bytes, list[bytes]] = {}
    for key in keys_of(store, *prefixes):
        kinds.setdefault(key.split(b"/")[0] if key[:1] == layout.STATE else key[:1], []).append(key)
    return [key for keys in kinds.values() for key in keys[:: max(1, len(keys) // 3)]]


@pytest.mark.parametrize("step", range(4))
def test_a_byte_that_is_changed_in_an_entry_or_block_is_found(kept: Kept, store: Store, step: int) -> None:
    """Whoever changed it made the checksum right: then the id, a hash, a signature or a root is wrong.

    Every entry and every block; other bytes of them in each step. What is named is the entry or the block.
    """
    ids = text_ids(store)
    assert len(ids) > 15
    for number, entry_id in enumerate(ids):
        text = text_of(store, entry_id)
        change_text(store, entry_id, len(text) * (4 * (number % 5) + step) // 20, number % 8)
        assert entry_id.hex() in " ".join(wheres(store)), entry_id
        put_text(store, entry_id, text)
    keys = keys_of(store, *WORDS_AND_BLOCK)
    assert len(keys) > 4
    for number, key in enumerate(keys):
        value = store.get(key) or b""
        at = len(value) * (4 * (number % 5) + step) // 20
        change(store, key, at, number % 8)
        named = " ".join(wheres(store))
        rest = key[1:]
        if key[:1] == layout.BLOCK:
            height = int.from_bytes(rest, "big")
            heights = {problem["height"] for problem in verify(Archive(store))["problems"]}
            assert f"block {height}" in named or height in heights, (key, at)
        else:
            assert rest.hex() in named, (key, at)
        store.write([(key, value)], sync=False)
    assert wheres(store) == []


def test_whoever_reads_an_entry_is_told_that_it_is_damaged(kept: Kept, store: Store) -> None:
    """Whichever byte of its header or its words was changed; that a signature was, only `verify` finds."""
    for number, entry_id in enumerate(text_ids(store)):
        text = text_of(store, entry_id)
        for at in {64, 64 + (len(text) - 64) * (number % 7) // 7, len(text) - 1}:
            change_text(store, entry_id, at, (number + at) % 8)
            with pytest.raises(StoreError, match=entry_id.hex()[:8]):
                Archive(store).entry(entry_id)
            put_text(store, entry_id, text)
        for cut in (b"", text[:63], text[:64], text[:-1], text + b"\0"):
            put_text(store, entry_id, cut)
            with pytest.raises(StoreError, match="damaged"):
                Archive(store).entry(entry_id)
            put_text(store, entry_id, text)
        assert Archive(store).entry(entry_id) in kept.sent
    for number, key in enumerate(keys_of(store, layout.ANNEX)):
        value = store.get(key) or b""
        for at in {0, len(value) * (number % 7) // 7, len(value) - 1}:
            change(store, key, at, (number + at) % 8)
            with pytest.raises(StoreError, match=key[1:].hex()[:8]):
                Archive(store).entry(key[1:])
            store.write([(key, value)], sync=False)


def test_a_page_that_is_not_as_entries_are_written_is_named(kept: Kept, store: Store) -> None:
    """Bytes that are no entries, one too few or too many, or the same entries written otherwise."""
    key = layout.page_key(layout.CONTENTS, kept.ledger.head.height - 1, 0)
    value = store.get(key) or b""
    texts = read_page(value)
    longer = b"\xdc" + len(texts).to_bytes(2, "big") + value[1:]
    for other in (b"\xc1", encode(texts[:-1]), encode([*texts, texts[0]]), longer):
        store.write([(key, other)], sync=False)
        assert f"entries of block {kept.ledger.head.height - 1}, from place 0 to 15" in wheres(store)
        store.write([(key, value)], sync=False)
    assert wheres(store) == []


def test_a_byte_that_is_changed_anywhere_else_is_found(store: Store) -> None:
    """Summaries, places of entries, the state, closed deals, postings and their index, the head, the ledger's id."""
    others = (layout.HEIGHT, layout.SEALED, layout.STATE, layout.CLOSED, layout.OUTCOME, layout.META)
    for number, key in enumerate(some_of(store, *others)):
        value = store.get(key) or b""
        change(store, key, number * 7919, number % 8)
        assert wheres(store), key
        store.write([(key, value)], sync=False)


def test_a_bit_that_flips_by_itself_is_found(kept: Kept, store: Store) -> None:
    """Then the store's own checksum fails, and its error is turned into a named problem, whatever row it is."""
    assert isinstance(store, MemoryStore)
    for number, key in enumerate(some_of(store, b"")):
        store.flip_bit(key, number * 13)
        named = wheres(store)
        assert named, key
        if key[:1] in (layout.SEALED, layout.CLOSED):
            assert any(key[1:].hex() in where for where in named), key
        store.flip_bit(key, number * 13)
    assert wheres(store) == []


def test_a_row_that_is_gone_is_found(store: Store) -> None:
    """Whatever its kind."""
    for key in some_of(store, b""):
        value = store.get(key) or b""
        # An annex may be erased: then its words are missing, and nothing is wrong.
        expected = key[:1] != layout.ANNEX
        store.write([], [key], sync=False)
        assert bool(wheres(store)) is expected, key
        store.write([(key, value)], sync=False)


def test_a_row_that_follows_from_nothing_is_found(store: Store) -> None:
    """What somebody has put beside the ledger."""
    there = keys_of(store, b"")
    for prefix in (b"E", b"A", b"T", b"M", b"B", b"H", b"S", b"C", b"O", b"X"):
        key = next(key for key in there if key[:1] == prefix)
        twin = b"Sacct/POINT/partner/" + b"0" * 64 if prefix == b"S" else key[:-1] + bytes([key[-1] ^ 0x55])
        store.write([(twin, store.get(key) or b"")], sync=False)
        assert wheres(store), prefix
        store.write([], [twin], sync=False)
    assert wheres(store) == []


# -- what is named -----------------------------------------------------------------------------------------------------


def test_a_problem_says_where_what_and_in_which_block(kept: Kept, store: Store) -> None:
    """The three things a person needs."""
    entry = next(entry for entry in kept.sent if entry.kind == "deliver")
    change_text(store, entry.id, 3, 0)
    height = kept.history.entries[entry.id].height
    assert verify(Archive(store))["problems"] == [
        {"where": f"entry {entry.id.hex()}", "problem": "a signature of it does not hold", "height": height}
    ]


def test_damaged_words_are_told_from_a_damaged_entry(kept: Kept, store: Store) -> None:
    """The rest of the ledger does not depend on them."""
    entry = next(entry for entry in kept.sent if entry.annex is not None and entry.kind == "offer")
    change(store, layout.ANNEX + entry.id, 20, 1)
    assert wheres(store) == [f"words of entry {entry.id.hex()}"]


def test_points_that_were_changed_are_named(kept: Kept, store: Store) -> None:
    """Somebody gives themselves points in the stored state: the row is named, whatever its checksum says."""
    path = f"acct/POINT/partner/{kept.people['bo'].member.hex()}"
    store.write([(layout.STATE + path.encode(), b"\x91\xcd\x27\x10")], sync=False)
    assert wheres(store) == [f"state row {path}"]


def test_several_faults_are_all_named(kept: Kept, store: Store) -> None:
    """The first one does not end the search."""
    first, second = [entry for entry in kept.sent if entry.kind in ("deliver", "approve")][:2]
    change_text(store, second.id, 5, 2)
    change_text(store, first.id, 70, 2)
    store.write([], [layout.height_key(layout.BLOCK, kept.ledger.head.height)], sync=False)
    named = wheres(store)
    assert f"entry {first.id.hex()}" in named
    assert f"entry {second.id.hex()}" in named
    assert f"block {kept.ledger.head.height}" in named


Forge = Callable[[Kept, BlockRow], BlockRow]


@pytest.mark.parametrize(
    "forge",
    [
        lambda kept, row: BlockRow(row.header, row.certificate, row.readys, row.entry_ids[::-1]),
        lambda kept, row: BlockRow(row.header, row.certificate, row.readys, row.entry_ids[:-1]),
        lambda kept, row: BlockRow(row.header, row.certificate, row.readys[:1], row.entry_ids),
        lambda kept, row: BlockRow(row.header, row.certificate, row.readys[::-1], row.entry_ids),
        lambda kept, row: BlockRow(row.header, other(kept).certificate, row.readys, row.entry_ids),
        lambda kept, row: BlockRow(other(kept).header, row.certificate, row.readys, row.entry_ids),
        lambda kept, row: other(kept),
    ],
    ids=["other order", "fewer entries", "fewer READYs", "READYs turned", "other votes", "other header", "other block"],
)
def test_a_forged_block_is_named(kept: Kept, store: Store, forge: Forge) -> None:
    """Each part is bound to the others."""
    height = 4
    row = kept.archive.block(height)
    assert row is not None and len(row.readys) == 2 and len(row.entry_ids) > 2
    store.write([(layout.height_key(layout.BLOCK, height), encoded(forge(kept, row)))], sync=False)
    problems = verify(Archive(store))["problems"]
    assert problems[0]["height"] == height or problems[0]["where"] == f"block {height}"


def other(kept: Kept) -> BlockRow:
    row = kept.archive.block(3)
    assert row is not None
    return row


def encoded(row: BlockRow) -> bytes:
    return msgspec.msgpack.encode(row)


def test_a_block_of_one_vote_where_two_are_needed_is_named() -> None:
    """One sealer alone cannot have sealed it."""
    kept = filled(MemoryStore())
    row = kept.archive.block(4)
    assert row is not None
    votes = read_certificate_untrusted(row.certificate)
    one = Certificate(height=votes.height, round=votes.round, block_id=votes.block_id, votes=votes.votes[:1])
    forged = BlockRow(row.header, one.encode(), row.readys, row.entry_ids)
    kept.store.write([(layout.height_key(layout.BLOCK, 4), encoded(forged))], sync=False)
    problems = verify(kept.archive)["problems"]
    assert problems[0]["where"] == "block 4"
    assert problems[0]["problem"].startswith("too-few")


def test_a_pending_entry_that_no_node_takes_is_named() -> None:
    """Its signature holds, but it refers to what it does not link."""
    kept = kept_market("bo")
    offer = kept.offered("bo", "roast", 1)
    good = kept.unsent("ana", Accept(offer=offer), kept.now + 1)
    bad = make_entry(
        kept.people["ana"].secret,
        ledger=good.ledger,
        seq=good.seq,
        prev=good.prev,
        links=(),
        seal=good.seal,
        time=good.time,
        kind=good.kind,
        body=good.body,
    )
    kept.archive.keep([bad], sync=True)
    (problem,) = verify(kept.archive)["problems"]
    assert problem["where"] == f"entry {bad.id.hex()}"
    assert problem["problem"].startswith("not-linked")


def test_an_entry_that_was_never_delivered_in_time_is_no_problem() -> None:
    """Void entries belong to the ledger as well."""
    kept = kept_market("bo")
    deal = kept.accepted("bo", "ana", "roast", 1)
    kept.refused("ana", Deliver(deal=deal, units=1))
    kept.seal()
    assert verify(kept.archive)["ok"]


# -- on a real disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A closed store on the disk, its rows in a table."""
    folder = tmp_path / "ledger"
    folder.mkdir(mode=0o700)
    store = LevelStore.create(folder, reserve_bytes=RESERVE)
    filled(store)
    store.close()
    LevelStore.open(folder, reserve_bytes=RESERVE).close()
    return folder


def on_disk(folder: Path) -> dict[str, Any]:
    store = LevelStore.open(folder, reserve_bytes=RESERVE)
    try:
        return verify(Archive(store))
    finally:
        store.close()


def test_a_ledger_on_a_disk_passes(folder: Path) -> None:
    """The same check, the same answer."""
    answer = on_disk(folder)
    assert answer["ok"], answer["problems"]


def test_a_changed_value_on_a_disk_is_named(folder: Path) -> None:
    """As in memory."""
    store = LevelStore.open(folder, reserve_bytes=RESERVE)
    entry_id = text_ids(store)[0]
    change_text(store, entry_id, 10, 0)
    store.close()
    assert [problem["where"] for problem in on_disk(folder)["problems"]] == [f"entry {entry_id.hex()}"]


def test_a_byte_that_is_changed_in_a_file_is_found(folder: Path) -> None:
    """Anywhere in the table: the database's own check fails, and what could not be read is named."""
    table = one_file(folder / "db", "*.ldb")
    size = table.stat().st_size
    for at in range(7, size, size // 12):
        flip_bit(table, at, at % 8)
        try:
            answer = on_disk(folder)
        except StoreError as error:
            assert error.message
        else:
            assert not answer["ok"], at
            assert all(problem["where"] for problem in answer["problems"])
        flip_bit(table, at, at % 8)
    assert on_disk(folder)["ok"]


def test_a_second_computer_may_write_in_a_later_block_than_it_was_added() -> None:
    """Its first entry links the one that added it, which is sealed by then: verify has to look there too."""
    kept = kept_market("bo")
    link = added(kept, "bo2", "bo")
    kept.seal()
    offer = first(kept, "bo2", kept.offer("roast"), link)
    kept.seal()
    assert kept.archive.sealed(offer) is not None
    assert verify(kept.archive)["problems"] == []
