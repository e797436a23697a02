"""The store in memory: the contract, and each way in which it can fail."""

from __future__ import annotations

from random import Random

import pytest

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store_memory import Faults, MemoryStore
from tests.node.store_contract import StoreContract
from tests.support.faults import whole_batches, write_batches


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestContract(StoreContract):
    """A store in memory is a store."""


def test_killed_process_loses_nothing(store: MemoryStore) -> None:
    """What was written and not synced outlives its process."""
    write_batches(store, 1, 5, sync=False)
    store.kill()
    assert whole_batches(store) == 5
    assert not store.is_restored


def test_power_cut_loses_a_tail_of_what_was_not_synced() -> None:
    """What is left is the first batches, all synced ones among them; some seeds lose all others, some none."""
    seen = set()
    for seed in range(40):
        store = MemoryStore()
        write_batches(store, 1, 3)
        write_batches(store, 4, 6, sync=False)
        lost = store.cut_power(Random(seed))
        assert whole_batches(store) == 6 - lost == store.batch
        assert not store.is_restored
        seen.add(lost)
    assert seen == {0, 1, 2, 3}


def test_power_cut_brings_back_what_was_replaced(store: MemoryStore) -> None:
    """A lost batch leaves the values and keys it had replaced and deleted."""
    store.write([(b"Ea", b"old"), (b"Eb", b"kept")], sync=True)
    store.write([(b"Ea", b"new")], [b"Eb"], sync=False)
    seed = next(seed for seed in range(99) if Random(seed).randint(0, 1) == 1)
    assert store.cut_power(Random(seed)) == 1
    assert list(store.iterate()) == [(b"Ea", b"old"), (b"Eb", b"kept")]


def test_lying_sync_is_found_out() -> None:
    """Batches that the disk confirmed and lost are missed afterwards."""
    found = 0
    for seed in range(20):
        store = MemoryStore(faults=Faults(sync_lies=True))
        write_batches(store, 1, 4)
        lost = store.cut_power(Random(seed))
        assert store.is_restored == (lost > 0)
        assert whole_batches(store) == 4 - lost
        found += store.is_restored
    assert 0 < found < 20


def test_restored_backup_is_known_until_somebody_settles_it(store: MemoryStore) -> None:
    """A backup is older than the guard; new batches get new numbers; `trust` ends the doubt."""
    write_batches(store, 1, 2)
    image = store.image()
    write_batches(store, 3, 4)
    store.restore(image)
    assert store.is_restored
    assert whole_batches(store) == 2
    write_batches(store, 3, 3)
    assert store.batch == 5
    store.kill()
    assert store.is_restored
    store.guard.trust()
    store.kill()
    assert not store.is_restored


def test_flipped_bit_is_refused_with_its_key(store: MemoryStore) -> None:
    """Every bit of a stored value is covered, and the others are still read."""
    store.write([(b"Ea", b"value"), (b"Eb", b"other")], sync=True)
    for bit in range(8 * 9):
        store.flip_bit(b"Ea", bit)
        with pytest.raises(StoreError, match="E:a") as caught:
            store.get(b"Ea")
        assert caught.value.key == b"Ea"
        assert caught.value.reason == StoreReason.DAMAGED
        with pytest.raises(StoreError, match="E:a"):
            list(store.iterate())
        assert store.get(b"Eb") == b"other"
        store.flip_bit(b"Ea", bit)
    assert store.get(b"Ea") == b"value"


def test_full_disk_refuses_until_there_is_room(store: MemoryStore) -> None:
    """Nothing is written while the disk is full; reading goes on; with room it resumes."""
    write_batches(store, 1, 2)
    store.faults.full_after_batches = 2
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            write_batches(store, 3, 3)
        assert caught.value.reason == StoreReason.DISK_FULL
        assert not store.resume()
    assert whole_batches(store) == 2
    store.faults.full_after_batches = None
    assert store.resume()
    write_batches(store, 3, 3)
    assert whole_batches(store) == 3


def test_broken_disk_is_never_tried_again(store: MemoryStore) -> None:
    """After an error that is not about room, nothing is written before the next start."""
    store.faults.failing_write = 2
    write_batches(store, 1, 1)
    for _ in range(2):
        with pytest.raises(StoreError) as caught:
            write_batches(store, 2, 2)
        assert caught.value.reason == StoreReason.IO
    store.faults.failing_write = None
    assert not store.resume()
    assert store.refusal is not None
    store.kill()
    write_batches(store, 2, 2)
    assert whole_batches(store) == 2


class Died(Exception):
    """The process ends here."""


@pytest.mark.parametrize(("when", "kept"), [("before_write", 1), ("after_write", 2)])
def test_process_may_die_at_a_sync(store: MemoryStore, when: str, kept: int) -> None:
    """Dying before a write leaves nothing of it, dying after leaves all of it."""

    def die(sync: bool) -> None:
        if sync:
            raise Died

    write_batches(store, 1, 1)
    setattr(store.faults, when, die)
    with pytest.raises(Died):
        write_batches(store, 2, 2)
    setattr(store.faults, when, None)
    store.cut_power(Random(1))
    assert whole_batches(store) == kept
    assert not store.is_restored
