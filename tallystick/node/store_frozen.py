"""A store as it was at one moment, for another thread to read while its owner goes on writing.

Whoever owns the store may close the frozen one at any time: the next look at it, in whatever thread, is then refused.
No look is under way at that moment, so the database below can be closed at once.

Source: docs/spec/storage.md#frozen
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from threading import RLock
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store import bounds, unguarded

if TYPE_CHECKING:
    from tallystick.node.guard import Guard

#: Rows that are read in one look. Whoever wants to close waits for no more than that.
_ROWS: Final = 256

Row = tuple[bytes, bytes]
Get = Callable[[bytes], bytes | None]
"""Reads a stored value, checksum and all. Raises StoreError."""


class Stretch(NamedTuple):
    """Which rows are wanted."""

    first: bytes
    stop: bytes | None
    """None for the end."""
    include_stop: bool
    reverse: bool


Walk = Callable[[Stretch], Iterator[Row]]
"""Stored rows in their order, checksums and all. Raises StoreError."""


class FrozenStore:
    """A `Store` that is only read. Made by `freeze` of another one."""

    def __init__(
        self, *, guard: Guard, batch: int, is_restored: bool, get: Get, walk: Walk, close: Callable[[], None]
    ) -> None:
        self.guard = guard
        self.batch = batch
        self.is_restored = is_restored
        self.refusal: StoreError | None = StoreError("a frozen store is not written", reason=StoreReason.CLOSED)
        self.is_open = True
        # A walk may be dropped, and then ended, in the middle of another look.
        self._lock = RLock()
        self._get = get
        self._walk = walk
        self._close = close
        self._walks: set[Iterator[Row]] = set()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            self._check_open()
            stored = self._get(key)
        return None if stored is None else unguarded(key, stored)

    def iterate(self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False) -> Iterator[Row]:
        stretch = Stretch(*bounds(prefix, start, reverse=reverse), reverse)
        walk: Iterator[Row] | None = None
        try:
            while True:
                with self._lock:
                    self._check_open()
                    if walk is None:
                        walk = self._walk(stretch)
                        self._walks.add(walk)
                    rows = list(islice(walk, _ROWS))
                for key, stored in rows:
                    yield key, unguarded(key, stored)
                if len(rows) < _ROWS:
                    return
        finally:
            with self._lock:
                if walk in self._walks and walk is not None:
                    self._walks.discard(walk)
                    _end(walk)

    def write(self, puts: Iterable[Row], deletes: Iterable[bytes] = (), *, sync: bool) -> None:
        self._refuse()

    def scrub(self, keys: Iterable[bytes]) -> None:
        self._refuse()

    def resume(self) -> bool:
        return False

    def freeze(self) -> FrozenStore:
        self._refuse()

    def close(self) -> None:
        with self._lock:
            if not self.is_open:
                return
            self.is_open = False
            # What the database holds open for a walk has to go before the database does.
            for walk in self._walks:
                _end(walk)
            self._walks.clear()
            self._close()

    def _refuse(self) -> NoReturn:
        raise StoreError("a frozen store is not written", reason=StoreReason.CLOSED)

    def _check_open(self) -> None:
        if not self.is_open:
            raise StoreError("the store is closed", reason=StoreReason.CLOSED)


def _end(walk: Iterator[Row]) -> None:
    close = getattr(walk, "close", None)
    if close is not None:
        close()
