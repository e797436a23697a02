"""What happens to files: flipped bits, cut ends, missing pieces, put back backups, full and broken disks.

One rule is above all others: a store may refuse, and it may say that it is older than its guard, but it never gives a
wrong answer.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import plyvel
import pytest

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store_leveldb import LevelStore
from tests.support.faults import (
    RESERVE,
    Child,
    copy_of,
    flip_bit,
    judge,
    offsets,
    one_file,
    whole_batches,
    write_batches,
)

LOGGED = 400
"""Batches in the log of `logged`: several of LevelDB's blocks of 32 KiB."""


def opened(folder: Path) -> LevelStore:
    return LevelStore.open(folder, reserve_bytes=RESERVE)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store whose synced batches are all in its log."""
    folder = tmp_path_factory.mktemp("logged")
    store = LevelStore.create(folder, reserve_bytes=RESERVE)
    write_batches(store, 1, LOGGED)
    store.close()
    return folder


@pytest.fixture(scope="module")
def tabled(tmp_path_factory: pytest.TempPathFactory, logged: Path) -> Path:
    """A closed store whose batches are all in a table."""
    folder = copy_of(logged, tmp_path_factory.mktemp("tabled") / "store")
    opened(folder).close()
    return folder


# -- the log -------------------------------------------------------------------------------------------------------


def log_of(folder: Path) -> Path:
    return one_file(folder / "db", "*.log")


@pytest.mark.parametrize("tail", ["cut", "zeros", "garbage"])
def test_torn_tail_leaves_the_first_batches(logged: Path, tmp_path: Path, tail: str) -> None:
    """A log that a power cut left torn opens with its whole batches, and confirmed ones that lack are missed."""
    size = log_of(logged).stat().st_size
    torn = 0
    for offset in offsets(size, 25):
        folder = copy_of(logged, tmp_path / "store")
        log = log_of(folder)
        data = log.read_bytes()[:offset]
        rest = {
            "cut": b"",
            "zeros": bytes(min(size - offset, 5000)),
            "garbage": random.Random(offset).randbytes(min(size - offset, 5000)),
        }[tail]
        log.write_bytes(data + rest)
        store = opened(folder)
        assert whole_batches(store) <= LOGGED
        assert store.is_restored == (whole_batches(store) < LOGGED)
        torn += store.was_torn
        # It is in order again: it takes batches and opens without a word.
        store.write([(b"Ua", b"1")], sync=True)
        store.close()
        store = opened(folder)
        assert store.get(b"Ua") == b"1"
        assert not store.was_torn
        store.close()
    if tail == "garbage":
        assert torn > 20, "the garbage was not taken for damage that had to be told from a torn tail"


def test_torn_tail_of_what_was_never_confirmed_is_no_news(tmp_path: Path) -> None:
    """Losing the end of what was not synced is what a power cut does, and nobody goes mute for it."""
    store = LevelStore.create(tmp_path, reserve_bytes=RESERVE)
    write_batches(store, 1, 5)
    confirmed = log_of(tmp_path).stat().st_size
    write_batches(store, 6, 9, sync=False)
    store.close()
    log = log_of(tmp_path)
    log.write_bytes(log.read_bytes()[: confirmed + 700] + random.Random(5).randbytes(900))
    store = opened(tmp_path)
    assert store.was_torn
    assert 5 <= whole_batches(store) < 9
    assert not store.is_restored
    store.close()


def test_flipped_bit_in_the_log_is_never_a_hole(logged: Path, tmp_path: Path) -> None:
    """LevelDB by itself opens without the batches in the middle; here the store is refused and its files are kept."""
    size = log_of(logged).stat().st_size
    reasons = []
    for offset in offsets(size, 30):
        folder = copy_of(logged, tmp_path / "store")
        flip_bit(log_of(folder), offset, offset % 8)
        before = log_of(folder).read_bytes()
        verdict = judge(folder)
        if verdict.error is None:
            # In the last block nothing follows the damage, so that it looks like a torn tail; then it is missed.
            assert verdict.is_restored
            assert verdict.batches < LOGGED
            assert offset >= size - 2 * 32768
            continue
        reasons.append(verdict.error.reason)
        assert log_of(folder).read_bytes() == before
        assert not (folder / "db.trial").exists()
    assert set(reasons) == {StoreReason.DAMAGED}
    assert len(reasons) > 15


def test_leveldb_alone_opens_with_a_hole(logged: Path, tmp_path: Path) -> None:
    """The trap is real: without our care the same file opens, and batches in the middle are gone."""
    folder = copy_of(logged, tmp_path / "store")
    flip_bit(log_of(folder), 40_000)
    database = plyvel.DB(str(folder / "db"))
    numbers = sorted({int(key[1:9]) for key in database.iterator(prefix=b"T", include_value=False)})
    database.close()
    assert numbers[-1] == LOGGED
    assert len(numbers) < LOGGED


def test_missing_log_is_missed(logged: Path, tmp_path: Path) -> None:
    """LevelDB opens without a deleted log; the guard knows better."""
    folder = copy_of(logged, tmp_path / "store")
    log_of(folder).unlink()
    verdict = judge(folder)
    assert verdict.error is None
    assert verdict.is_restored
    assert verdict.batches == 0


# -- tables --------------------------------------------------------------------------------------------------------


def test_flipped_bit_in_a_table_is_never_a_wrong_answer(tabled: Path, tmp_path: Path) -> None:
    """Wherever in the table the bit is, the store refuses or the bit did not matter."""
    size = one_file(tabled / "db", "*.ldb").stat().st_size
    refused = 0
    for offset in offsets(size, 40):
        folder = copy_of(tabled, tmp_path / "store")
        flip_bit(one_file(folder / "db", "*.ldb"), offset, offset % 8)
        verdict = judge(folder)
        if verdict.error is None:
            assert verdict.batches == LOGGED
        else:
            assert verdict.error.reason == StoreReason.DAMAGED
            refused += 1
    assert refused > 30


def test_damaged_value_is_named(tabled: Path, tmp_path: Path) -> None:
    """The error says which key cannot be read, and other blocks of the table still can."""
    folder = copy_of(tabled, tmp_path / "store")
    table = one_file(folder / "db", "*.ldb")
    flip_bit(table, table.stat().st_size // 2)
    store = opened(folder)
    refused = []
    for number in range(1, LOGGED + 1):
        key = b"T%08d/0" % number
        try:
            assert store.get(key) is not None
        except StoreError as error:
            assert error.key == key
            assert error.reason == StoreReason.DAMAGED
            assert f"T:{number:08}/0" in str(error)
            refused.append(number)
    assert 0 < len(refused) < 30
    assert refused == list(range(refused[0], refused[-1] + 1))
    with pytest.raises(StoreError) as caught:
        list(store.iterate(b"T"))
    assert caught.value.key is not None
    assert refused[0] - 1 <= int(caught.value.key[1:9]) <= refused[0]
    store.close()


def test_damage_at_the_end_does_not_shorten_a_list(tabled: Path, tmp_path: Path) -> None:
    """plyvel's own iterator ends early and without a word where the last block is damaged; ours does not."""
    size = one_file(tabled / "db", "*.ldb").stat().st_size
    shortened = 0
    for offset in range(size - 1000, size * 3 // 4, -500):
        folder = copy_of(tabled, tmp_path / "store")
        flip_bit(one_file(folder / "db", "*.ldb"), offset)
        database = plyvel.DB(str(folder / "db"), paranoid_checks=True)
        try:
            listed = sum(1 for _ in database.iterator(prefix=b"T", verify_checksums=True))
        except plyvel.CorruptionError:
            continue
        finally:
            database.close()
        if listed < LOGGED * 3:
            shortened += 1
            error = judge(folder).error
            assert error is not None
            assert error.reason == StoreReason.DAMAGED
    assert shortened > 0, "the trap is not there any more"


def test_value_of_another_key_is_refused(tabled: Path, tmp_path: Path) -> None:
    """A value that turns up whole under another key passes every checksum but the one that is bound to the key."""
    folder = copy_of(tabled, tmp_path / "store")
    database = plyvel.DB(str(folder / "db"))
    database.put(b"T00000001/0", database.get(b"T00000002/0"))
    database.close()
    store = opened(folder)
    with pytest.raises(StoreError, match="T:00000001/0"):
        store.get(b"T00000001/0")
    with pytest.raises(StoreError, match="T:00000001/0"):
        list(store.iterate(b"T"))
    store.close()


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("CURRENT", StoreReason.MISSING), ("MANIFEST-*", StoreReason.DAMAGED), ("*.ldb", StoreReason.DAMAGED)],
)
def test_missing_file_is_no_empty_ledger(tabled: Path, tmp_path: Path, pattern: str, reason: StoreReason) -> None:
    """Whatever is missing, the store is refused, today and tomorrow, and nothing is made in its place."""
    folder = copy_of(tabled, tmp_path / "store")
    one_file(folder / "db", pattern).unlink()
    left = sorted(path.name for path in (folder / "db").iterdir() if not path.name.startswith("LOG"))
    for _ in range(2):
        error = judge(folder).error
        assert error is not None
        assert error.reason == reason
        assert str(folder) in str(error)
    assert sorted(path.name for path in (folder / "db").iterdir() if not path.name.startswith("LOG")) == left


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*"])
@pytest.mark.parametrize("how", ["flip", "cut", "zeros"])
def test_damaged_index_is_never_a_wrong_answer(tabled: Path, tmp_path: Path, pattern: str, how: str) -> None:
    """The two files that say which others count: damage there is refused, or shows as a store older than its guard."""
    size = one_file(tabled / "db", pattern).stat().st_size
    refused = 0
    for offset in offsets(size, 20):
        folder = copy_of(tabled, tmp_path / "store")
        path = one_file(folder / "db", pattern)
        data = path.read_bytes()
        if how == "flip":
            flip_bit(path, offset, offset % 8)
        else:
            path.write_bytes(data[:offset] + (b"" if how == "cut" else bytes(len(data) - offset)))
        verdict = judge(folder)
        if verdict.error is None:
            assert verdict.is_restored == (verdict.batches < LOGGED)
        else:
            assert verdict.error.reason == StoreReason.DAMAGED
            refused += 1
    assert refused > 0


# -- backups and the guard -----------------------------------------------------------------------------------------


def test_restored_backup_is_known_until_somebody_settles_it(tmp_path: Path) -> None:
    """An old database beside a newer guard opens, says so at every start, and gives no number twice."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    store = LevelStore.create(folder, reserve_bytes=RESERVE)
    write_batches(store, 1, 2)
    store.close()
    shutil.copytree(folder / "db", tmp_path / "backup")
    store = opened(folder)
    write_batches(store, 3, 5)
    store.guard.raise_to(vote=(7, 1, 2))
    store.close()
    shutil.rmtree(folder / "db")
    shutil.copytree(tmp_path / "backup", folder / "db")
    for number in (3, 4):
        store = opened(folder)
        assert store.is_restored
        assert whole_batches(store) == number - 1
        assert store.guard.state.vote == (7, 1, 2)
        write_batches(store, number, number)
        assert store.batch == number + 3
        store.close()
    store = opened(folder)
    store.guard.trust()
    store.close()
    store = opened(folder)
    assert not store.is_restored
    assert whole_batches(store) == 4
    store.close()


def test_missing_guard_counts_as_restored(logged: Path, tmp_path: Path) -> None:
    """Without its guard nobody knows what was signed."""
    folder = copy_of(logged, tmp_path / "store")
    (folder / "guard").unlink()
    for _ in range(2):
        store = opened(folder)
        assert store.is_restored
        assert whole_batches(store) == LOGGED
        store.close()


def test_damaged_guard_is_refused(logged: Path, tmp_path: Path) -> None:
    """A guard of which nothing can be read stops the start."""
    folder = copy_of(logged, tmp_path / "store")
    (folder / "guard").write_bytes(bytes((folder / "guard").stat().st_size))
    error = judge(folder).error
    assert error is not None
    assert error.reason == StoreReason.DAMAGED
    assert "guard" in str(error)


# -- the disk ------------------------------------------------------------------------------------------------------

# A limit on the size of files is a full disk that needs no disk: every write beyond it fails.
FILL = """
import resource, sys
from pathlib import Path
from tallystick.node.errors import StoreError
from tallystick.node.store_leveldb import LevelStore
from tests.support.faults import RESERVE, whole_batches, write_batches
folder = Path(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
store = LevelStore.create(folder, reserve_bytes=RESERVE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
number = 0
try:
    while True:
        write_batches(store, number + 1, number + 1, sync=number % 2 == 0)
        number += 1
except StoreError as error:
    print(error.reason, number)
print(whole_batches(store), (folder / "reserve").exists())
try:
    write_batches(store, number + 1, number + 1)
except StoreError as error:
    print(error.reason, whole_batches(store))
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(store.resume(), store.refusal, whole_batches(store), store.is_restored)
write_batches(store, number + 1, number + 1)
store.close()
store = LevelStore.open(folder, reserve_bytes=RESERVE)
print(whole_batches(store) - number, store.is_restored, (folder / "reserve").exists())
"""


def test_full_disk_keeps_what_was_confirmed_and_resumes(tmp_path: Path) -> None:
    """A write fails with a clear word, nothing more is written, all is readable; with room it goes on as before."""
    child = Child(FILL, tmp_path)
    reason, number = child.line().split()
    assert reason == "disk-full"
    assert int(number) > 50
    assert child.line() == f"{number} False"
    assert child.line() == f"disk-full {number}"
    assert child.line() == f"True None {number} False"
    assert child.lines() == ["1", "False", "True"]


OPEN_FULL = """
import resource, sys
from pathlib import Path
from tallystick.node.store_leveldb import LevelStore
from tests.support.faults import RESERVE, whole_batches
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (RESERVE - 1, hard))
store = LevelStore.open(Path(sys.argv[1]), reserve_bytes=RESERVE)
print(whole_batches(store), store.refusal.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(store.resume(), store.refusal)
"""


def test_opening_without_a_reserve_only_reads(tabled: Path, tmp_path: Path) -> None:
    """Where the reserve is gone and there is no room for another, a store opens for reading."""
    folder = copy_of(tabled, tmp_path / "store")
    (folder / "reserve").unlink()
    child = Child(OPEN_FULL, folder)
    assert child.line() == f"{LOGGED} disk-full"
    assert child.line() == "True None"
    assert child.lines() == []


def test_broken_disk_is_never_tried_again(tmp_path: Path) -> None:
    """After an error that is not about room, nothing is written before the next start: what is durable is unknown."""
    store = LevelStore.create(tmp_path, reserve_bytes=RESERVE)
    write_batches(store, 1, 2)
    # From now on the guard's file can be read and not written, as on a disk that the system took offline.
    descriptor = os.open(tmp_path / "guard", os.O_RDONLY)
    os.dup2(descriptor, store.guard._descriptor)
    os.close(descriptor)
    with pytest.raises(StoreError) as caught:
        write_batches(store, 3, 3)
    assert caught.value.reason == StoreReason.IO
    with pytest.raises(StoreError) as again:
        write_batches(store, 4, 4)
    assert again.value.reason == StoreReason.IO
    assert not store.resume()
    assert store.get(b"T00000001/0") is not None
    store.close()
    store = opened(tmp_path)
    assert whole_batches(store) == 3, "the batch whose confirmation failed is there whole"
    assert not store.is_restored
    store.close()
