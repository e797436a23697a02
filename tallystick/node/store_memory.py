"""The store in memory, with the ways in which a disk fails, for tests and simulation.

It keeps what a disk keeps: a killed process loses nothing that it wrote, a power cut loses a tail of the batches
that were not synced, whole ones, because a torn batch is cut off. What else can go wrong is set in `faults`.

Source: docs/spec/storage.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NoReturn

from sortedcontainers import SortedDict

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.guard import Guard, MemoryGuard
from tallystick.node.store import bounds, check_key, guarded, unguarded
from tallystick.node.store_frozen import FrozenStore, Stretch


@dataclass
class Faults:
    """What goes wrong, and when. A hook may raise: that is a process which dies at that point."""

    before_write: Callable[[bool], None] | None = None
    """Called with `sync` before a batch is written."""
    after_write: Callable[[bool], None] | None = None
    """Called with `sync` after a batch is written and before the caller hears of it."""
    full_after_batches: int | None = None
    """The disk is full once this many batches were written in all."""
    failing_write: int | None = None
    """The batch with this number fails as a broken disk does."""
    sync_lies: bool = False
    """A sync returns and nothing is durable: what disks without power protection do."""


@dataclass(frozen=True)
class Image:
    """A backup of a store: its rows and the number of its last batch, without the guard."""

    rows: tuple[tuple[bytes, bytes], ...]
    batch: int


class MemoryStore:
    """One ledger's `Store` in memory."""

    def __init__(self, guard: Guard | None = None, faults: Faults | None = None) -> None:
        self.guard = guard or MemoryGuard()
        self.faults = faults or Faults()
        self.batch = 0
        self.refusal: StoreError | None = None
        self._rows: Any = SortedDict()
        self._undo: list[list[tuple[bytes, bytes | None]]] = []
        """For each batch that is not durable yet, oldest first, what it replaced."""
        self._is_open = True
        self._frozen: list[FrozenStore] = []

    @property
    def is_restored(self) -> bool:
        return self.guard.state.is_restored

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        stored = self._rows.get(key)
        return None if stored is None else unguarded(key, stored)

    def iterate(
        self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        first, stop, include_stop = bounds(prefix, start, reverse=reverse)
        keys = self._rows.irange(first, stop, inclusive=(True, include_stop), reverse=reverse)
        # As it is now: whoever reads may write in between.
        return ((key, unguarded(key, stored)) for key, stored in [(key, self._rows[key]) for key in keys])

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool) -> None:
        self._check_open()
        if self.refusal is not None:
            raise self.refusal
        changes: dict[bytes, bytes | None] = {}
        for key in deletes:
            check_key(key)
            changes[key] = None
        for key, value in puts:
            check_key(key)
            changes[key] = guarded(key, value)
        faults = self.faults
        if faults.before_write is not None:
            faults.before_write(sync)
        if faults.full_after_batches is not None and self.batch >= faults.full_after_batches:
            self._refuse(StoreError("the disk is full", reason=StoreReason.DISK_FULL))
        if faults.failing_write == self.batch + 1:
            self._refuse(StoreError("the disk fails", reason=StoreReason.IO))
        self._apply(changes)
        self.batch += 1
        if sync:
            if not faults.sync_lies:
                self._undo.clear()
            self.guard.raise_to(batch=self.batch)
        if faults.after_write is not None:
            faults.after_write(sync)

    def scrub(self, keys: Iterable[bytes]) -> None:
        self._check_open()
        self._close_frozen()
        # What could bring these values back after a power cut is let go.
        wanted = set(keys)
        for batch in self._undo:
            batch[:] = [(key, before) for key, before in batch if key not in wanted]

    def freeze(self) -> FrozenStore:
        self._check_open()
        rows = self._rows.copy()

        def walk(each: Stretch) -> Iterator[tuple[bytes, bytes]]:
            keys = rows.irange(each.first, each.stop, inclusive=(True, each.include_stop), reverse=each.reverse)
            return ((key, rows[key]) for key in keys)

        frozen = FrozenStore(
            guard=self.guard,
            batch=self.batch,
            is_restored=self.is_restored,
            get=rows.get,
            walk=walk,
            close=rows.clear,
        )
        self._frozen = [each for each in self._frozen if each.is_open] + [frozen]
        return frozen

    def resume(self) -> bool:
        full = self.faults.full_after_batches
        if self.refusal is not None and self.refusal.reason == StoreReason.DISK_FULL:
            self.refusal = None if full is None or self.batch < full else self.refusal
        return self.refusal is None

    def close(self) -> None:
        self._close_frozen()
        self._is_open = False

    def _close_frozen(self) -> None:
        for frozen in self._frozen:
            frozen.close()
        self._frozen.clear()

    # -- what happens to a disk ----------------------------------------------------------------------------------------

    def kill(self) -> None:
        """The process dies and is started again: everything written is there."""
        self._open_again()

    def cut_power(self, random: Random) -> int:
        """The machine dies and is started again. Returns how many batches are lost, all of them the last ones."""
        lost = random.randint(0, len(self._undo))
        for _ in range(lost):
            for key, before in reversed(self._undo.pop()):
                self._set(key, before)
            self.batch -= 1
        self._undo.clear()
        self._open_again()
        return lost

    def image(self) -> Image:
        """A backup of the database as it is, which knows nothing of the guard."""
        return Image(tuple(self._rows.items()), self.batch)

    def restore(self, image: Image) -> None:
        """Somebody puts a backup back and starts the node."""
        self._rows = SortedDict(image.rows)
        self.batch = image.batch
        self._undo.clear()
        self._open_again()

    def flip_bit(self, key: bytes, bit: int) -> None:
        """A bit of a stored value, checksum included, changes by itself."""
        stored = bytearray(self._rows[key])
        stored[bit // 8 % len(stored)] ^= 1 << bit % 8
        self._rows[key] = bytes(stored)

    def _open_again(self) -> None:
        self._is_open = True
        self.refusal = None
        if self.batch < self.guard.state.batch:
            self.guard.distrust()
            self.batch = self.guard.state.batch

    def _apply(self, changes: dict[bytes, bytes | None]) -> None:
        self._undo.append([(key, self._rows.get(key)) for key in changes])
        for key, stored in changes.items():
            self._set(key, stored)

    def _set(self, key: bytes, stored: bytes | None) -> None:
        if stored is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = stored

    def _refuse(self, error: StoreError) -> NoReturn:
        self.refusal = error
        raise error

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("the store is closed", reason=StoreReason.CLOSED)
