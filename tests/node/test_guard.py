"""The guard: it only rises, survives a torn write, and is believed about nothing it cannot prove."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.guard import FileGuard, Guard, GuardState, MemoryGuard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard"


@pytest.fixture(params=["file", "memory"])
def guard(request: pytest.FixtureRequest, path: Path) -> Guard:
    return FileGuard.create(path) if request.param == "file" else MemoryGuard()


def test_guard_only_rises(guard: Guard) -> None:
    """What is lower than known is ignored, each of the three for itself; votes compare by height, round, step."""
    guard.raise_to(batch=7, vote=(5, 0, 2), seq=3)
    guard.raise_to(batch=6, vote=(4, 9, 9), seq=4)
    assert guard.state == GuardState(batch=7, vote=(5, 0, 2), seq=4)
    guard.raise_to(vote=(5, 1, 0))
    guard.raise_to(vote=(5, 0, 9))
    assert guard.state == GuardState(batch=7, vote=(5, 1, 0), seq=4)


def test_doubt_stays_until_trusted(guard: Guard) -> None:
    """Distrust outlives every rise; trust ends it and may set the batch number back."""
    guard.raise_to(batch=7)
    guard.distrust()
    guard.raise_to(batch=8, seq=2)
    assert guard.state == GuardState(batch=8, seq=2, is_restored=True)
    guard.trust(batch=3)
    assert guard.state == GuardState(batch=3, seq=2)


def test_file_keeps_what_it_was_told(path: Path) -> None:
    """After each change, opening the file anew gives the same state."""
    guard = FileGuard.create(path)
    for number in range(1, 9):
        guard.raise_to(batch=number, vote=(number, -1, 1), seq=2**60 + number)
        again = FileGuard.open(path)
        assert again.state == guard.state
        again.close()
    guard.distrust()
    guard.close()
    guard.close()
    assert FileGuard.open(path).state == GuardState(8, (8, -1, 1), 2**60 + 8, is_restored=True)
    assert path.stat().st_mode & 0o777 == 0o600


def test_torn_write_leaves_the_state_before_it(path: Path) -> None:
    """At whichever byte an update ends, what is read is the new state or the one before."""
    guard = FileGuard.create(path)
    guard.raise_to(batch=1, vote=(1, 0, 1))
    guard.raise_to(batch=2, vote=(2, 0, 1))
    before, data = guard.state, path.read_bytes()
    guard.raise_to(batch=3, vote=(3, 0, 1))
    after, new = guard.state, path.read_bytes()
    guard.close()
    changed = [place for place in range(len(new)) if data[place : place + 1] != new[place : place + 1]]
    seen = set()
    for cut in range(changed[0], changed[-1] + 2):
        for rest in (data[cut:], bytes(len(data) - cut) if cut > 4096 else data[cut:]):
            path.write_bytes(new[:cut] + rest)
            torn = FileGuard.open(path)
            assert torn.state in (before, after)
            seen.add(torn.state)
            torn.close()
    assert seen == {before, after}


def test_flipped_bit_never_changes_what_is_remembered(path: Path) -> None:
    """A damaged slot does not count: the other one does, and with both damaged the file is refused."""
    guard = FileGuard.create(path)
    guard.raise_to(batch=1, vote=(1, 0, 1))
    guard.raise_to(batch=2, vote=(2, 0, 1))
    guard.close()
    data = path.read_bytes()
    length = len(data) - 4096
    for place in [*range(length), *range(4096, 4096 + length)]:
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        again = FileGuard.open(path)
        assert again.state.batch in (1, 2)
        assert again.state.vote == (again.state.batch, 0, 1)
        again.close()
    both = bytearray(data)
    both[20] ^= 1
    both[4096 + 20] ^= 1
    path.write_bytes(both)
    with pytest.raises(StoreError, match="damaged") as caught:
        FileGuard.open(path)
    assert caught.value.reason == StoreReason.DAMAGED


@pytest.mark.parametrize("data", [b"", b"\x00" * 5000, b"TGUARD1\n", os.urandom(300)])
def test_file_that_is_no_guard_is_refused(path: Path, data: bytes) -> None:
    """An empty or foreign file is not a guard that knows nothing."""
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        FileGuard.open(path)
    assert caught.value.reason == StoreReason.DAMAGED


def test_missing_and_existing_files_have_their_words(path: Path) -> None:
    """Opening does not create, creating does not overwrite."""
    with pytest.raises(StoreError) as missing:
        FileGuard.open(path)
    assert missing.value.reason == StoreReason.MISSING
    FileGuard.create(path).close()
    with pytest.raises(StoreError) as existing:
        FileGuard.create(path)
    assert existing.value.reason == StoreReason.EXISTS


def test_failed_update_is_not_remembered(path: Path) -> None:
    """When the disk does not take the update, the state stays and the caller hears of it."""
    guard = FileGuard.create(path)
    guard.raise_to(vote=(1, 0, 1))
    descriptor = os.open(path, os.O_RDONLY)
    os.dup2(descriptor, guard._descriptor)
    os.close(descriptor)
    with pytest.raises(StoreError) as caught:
        guard.raise_to(vote=(2, 0, 1))
    assert caught.value.reason == StoreReason.IO
    assert guard.state.vote == (1, 0, 1)
    guard.close()
    assert FileGuard.open(path).state.vote == (1, 0, 1)
