"""The store on a real disk: the contract, opening and closing, one process at a time, and killed processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import plyvel
import pytest

from tallystick.node.errors import ExitCode, HomeError, HomeReason, StoreError, StoreReason
from tallystick.node.store_leveldb import WRITE_BUFFER_BYTES, LevelStore
from tests.node.store_contract import StoreContract
from tests.support.faults import RESERVE, Child, whole_batches, write_batches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one store."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    return folder


@pytest.fixture
def store(folder: Path) -> Iterator[LevelStore]:
    store = LevelStore.create(folder, reserve_bytes=RESERVE)
    yield store
    store.close()


def opened(folder: Path) -> LevelStore:
    return LevelStore.open(folder, reserve_bytes=RESERVE)


class TestContract(StoreContract):
    """A store on a disk is a store."""


def test_opens_as_it_was_left(store: LevelStore, folder: Path) -> None:
    """Rows, batch number and guard are there again, synced or not, since only the process ended."""
    write_batches(store, 1, 5)
    write_batches(store, 6, 7, sync=False)
    store.close()
    for _ in range(3):
        again = opened(folder)
        assert whole_batches(again) == again.batch == 7
        assert again.guard.state.batch == 5
        assert not again.is_restored
        assert again.refusal is None
        assert not again.was_torn
        again.close()


def words_on(folder: Path, words: bytes) -> list[str]:
    """Files of the database that hold some bytes."""
    return [path.name for path in sorted((folder / "db").iterdir()) if words in path.read_bytes()]


@pytest.mark.parametrize("is_old", [False, True])
def test_scrubbed_words_leave_the_disk(store: LevelStore, folder: Path, *, is_old: bool) -> None:
    """Whether they are still in the log or in a table by now, no file holds them; what lies beside them is there."""
    # Tables are compressed, so only what cannot be is found again.
    words = sha256(b"something that somebody wants forgotten").digest()
    store.write([(b"Aa", b"before"), (b"Ab", words), (b"Ac", b"after")], sync=True)
    if is_old:
        store.close()
        store = opened(folder)
    assert words_on(folder, words) != []
    store.write((), [b"Ab"], sync=True)
    assert words_on(folder, words) != []
    store.scrub([b"Ab"])
    assert words_on(folder, words) == []
    store.close()
    again = opened(folder)
    assert [again.get(key) for key in (b"Aa", b"Ab", b"Ac")] == [b"before", None, b"after"]
    assert not again.is_restored
    again.close()


def test_opens_after_many_logs(store: LevelStore, folder: Path) -> None:
    """Rows of batches are dropped as their logs are, and what is left is still without a gap."""
    large = bytes(60_000)
    batches = 5 * WRITE_BUFFER_BYTES // len(large)
    for number in range(batches):
        store.write([(b"E%d" % number, large)], sync=False)
    store.close()
    for _ in range(2):
        again = opened(folder)
        assert again.batch == batches
        assert sum(1 for _ in again.iterate(b"E")) == batches
        again.close()


def test_opening_drops_rows_of_a_long_run(store: LevelStore, folder: Path) -> None:
    """After thousands of small batches the opening reads their rows once and not every time."""
    for number in range(3000):
        store.write([(b"E%d" % number, b"")], sync=False)
    store.close()
    opened(folder).close()
    database = plyvel.DB(str(folder / "db"), create_if_missing=False)
    rows = sum(1 for _ in database.iterator(prefix=b"\x00batch"))
    database.close()
    assert rows == 0
    again = opened(folder)
    assert again.batch == 3000
    again.write([(b"Ea", b"1")], sync=True)
    again.close()
    assert opened(folder).batch == 3001


def test_open_never_creates(folder: Path) -> None:
    """Where there is no database, opening is an error and leaves nothing behind."""
    with pytest.raises(StoreError) as caught:
        opened(folder)
    assert caught.value.reason == StoreReason.MISSING
    assert caught.value.exit_code == ExitCode.DAMAGED
    assert not (folder / "db").exists()
    with pytest.raises(HomeError) as lacking:
        opened(folder / "nowhere")
    assert lacking.value.reason == HomeReason.NOT_FOUND
    assert not (folder / "nowhere").exists()


def test_create_never_overwrites(store: LevelStore, folder: Path) -> None:
    """A store with a batch in it is not created again, neither is one whose database was lost."""
    write_batches(store, 1, 1)
    store.close()
    with pytest.raises(StoreError) as caught:
        LevelStore.create(folder, reserve_bytes=RESERVE)
    assert caught.value.reason == StoreReason.EXISTS
    shutil.rmtree(folder / "db")
    with pytest.raises(StoreError) as lost:
        LevelStore.create(folder, reserve_bytes=RESERVE)
    assert lost.value.reason == StoreReason.EXISTS


def test_create_goes_on_where_it_was_cut_off(store: LevelStore, folder: Path) -> None:
    """A store that never got its first batch is as good as none, whatever is missing of it."""
    store.close()
    again = LevelStore.create(folder, reserve_bytes=RESERVE)
    assert again.batch == 0
    again.close()
    (folder / "db" / "CURRENT").unlink()
    LevelStore.create(folder, reserve_bytes=RESERVE).close()
    shutil.rmtree(folder / "db")
    again = LevelStore.create(folder, reserve_bytes=RESERVE)
    write_batches(again, 1, 1)
    again.close()
    assert whole_batches(opened(folder)) == 1


def test_newer_format_is_refused(store: LevelStore, folder: Path) -> None:
    """A store that a later program has written is left alone."""
    from tallystick.node.store import guarded

    store.close()
    database = plyvel.DB(str(folder / "db"))
    database.put(b"\x00head", guarded(b"\x00head", b"\x02" + bytes(16)))
    database.close()
    with pytest.raises(StoreError, match="format 2") as caught:
        opened(folder)
    assert caught.value.reason == StoreReason.TOO_NEW


# -- one process at a time -----------------------------------------------------------------------------------------

OPEN = """
import os, sys
from pathlib import Path
from tallystick.node.errors import HomeError
from tallystick.node.store_leveldb import LevelStore
try:
    store = LevelStore.open(Path(sys.argv[1]), wait_s=float(sys.argv[2]), reserve_bytes=65536)
except HomeError as error:
    print(error.reason, error.pid, flush=True)
else:
    print("opened", os.getpid(), flush=True)
    sys.stdin.readline()
"""


def test_second_process_is_refused_with_the_first_ones_number(store: LevelStore, folder: Path) -> None:
    """Whoever comes second learns which process has the store; once that has ended, it is free."""
    store.close()
    first = Child(OPEN, folder, 0)
    assert first.line() == f"opened {first.process.pid}"
    with pytest.raises(HomeError) as caught:
        opened(folder)
    assert caught.value.reason == HomeReason.IN_USE
    assert caught.value.pid == first.process.pid
    assert caught.value.exit_code == ExitCode.DAMAGED
    assert Child(OPEN, folder, 0).lines() == ["home-in-use", str(first.process.pid)]
    first.kill()
    opened(folder).close()


def test_refused_opening_does_not_free_the_lock(store: LevelStore, folder: Path) -> None:
    """LevelDB alone loses its lock when the same process tries twice; then a second process writes too."""
    with pytest.raises(HomeError) as caught:
        opened(folder)
    assert caught.value.reason == HomeReason.IN_USE
    with pytest.raises(plyvel.IOError):
        plyvel.DB(str(folder / "db"))
    assert Child(OPEN, folder, 0).lines()[0] == "home-in-use"
    write_batches(store, 1, 1)


def test_deleted_lock_files_do_not_free_the_lock(store: LevelStore, folder: Path) -> None:
    """Neither LevelDB's file nor our name plate is the lock."""
    (folder / "db" / "LOCK").unlink()
    (folder / "lock").unlink()
    assert Child(OPEN, folder, 0).lines() == ["home-in-use", "None"]
    write_batches(store, 1, 1)


def test_opening_may_wait_for_its_turn(store: LevelStore, folder: Path) -> None:
    """A command that comes while another one reads waits for it instead of failing."""
    store.close()
    first = Child(OPEN, folder, 0)
    assert first.line().startswith("opened")
    second = Child(OPEN, folder, 60)
    assert first.process.stdin is not None
    first.process.stdin.write("\n")
    first.process.stdin.flush()
    assert second.line() == f"opened {second.process.pid}"
    second.kill()


# -- killed processes ----------------------------------------------------------------------------------------------

WRITE = """
import sys
from pathlib import Path
from tallystick.node.store_leveldb import LevelStore
from tests.support.faults import write_batches
store = LevelStore.open(Path(sys.argv[1]), reserve_bytes=65536)
number = int(sys.argv[2])
while True:
    write_batches(store, number, number, sync=number % 3 != 0)
    print(number, flush=True)
    number += 1
"""


def test_killed_writer_loses_nothing_it_acknowledged(store: LevelStore, folder: Path) -> None:
    """Twelve processes write and are killed one after the other; each batch is whole, each acknowledged one there."""
    store.close()
    count = 0
    for life in range(12):
        child = Child(WRITE, folder, count + 1)
        for _ in range(1 + life * 37):
            last = child.line()
        acknowledged = int((child.kill() or [last])[-1])
        again = opened(folder)
        count = whole_batches(again)
        assert acknowledged <= count <= acknowledged + 1
        assert again.batch == count
        assert not again.is_restored
        assert again.refusal is None
        again.close()
    assert count > 400


@pytest.mark.parametrize("step", ["before", "between", "after"])
def test_killed_while_a_copy_takes_the_databases_place(store: LevelStore, folder: Path, step: str) -> None:
    """At whichever rename the process ends, the next one finds a whole database."""
    write_batches(store, 1, 4)
    store.close()
    if step == "before":
        shutil.copytree(folder / "db", folder / "db.trial")
    elif step == "between":
        shutil.copytree(folder / "db", folder / "db.trial")
        (folder / "db").rename(folder / "db.torn")
    else:
        shutil.copytree(folder / "db", folder / "db.torn")
    again = opened(folder)
    assert whole_batches(again) == 4
    assert not again.is_restored
    assert sorted(path.name for path in folder.iterdir()) == ["db", "guard", "lock", "reserve"]
    again.close()
