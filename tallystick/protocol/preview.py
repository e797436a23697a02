"""The preview: what the pending entries will do, folded on top of the sealed state.

Entries are kept folded in their order, each with a mark in the undo journal. One that sorts last costs the work of
one entry; one that sorts earlier takes back what lies above its place and folds it again. Preview of a set is the
block of that set, for the same time and within the limits of a block.

Source: docs/spec/blocks.md#preview
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from tallystick.protocol.state import State
from tallystick.protocol.transition import Fold, Result

if TYPE_CHECKING:
    from tallystick.protocol.act import Context
    from tallystick.protocol.pool import Pending

#: When the clock is set back by more than this, ticks that ran too early are taken back.
CLOCK_BACK_MS: Final = 60_000


class Preview:
    """The state after everything pending, for a block at `time`."""

    def __init__(self, context_for: Callable[[int], Context]) -> None:
        self._state = State()
        self._behind: dict[str, bytes | None] = {}
        """Sealed rows that nobody has asked for yet: while a ledger is fetched nobody looks."""
        self._context_for = context_for
        self._fresh: dict[bytes, Pending] = {}
        self._pendings: list[Pending] = []
        self._keys: list[tuple[int, int, bytes]] = []
        self._marks: list[int] = []
        self._ticks: list[int] = []
        self._results: dict[bytes, Result] = {}
        self._tail: tuple[int, int] | None = None
        self._fold: Fold | None = None
        self.time = 0

    @property
    def state(self) -> State:
        """The state as of the last refresh; after a block, and until then, the sealed one."""
        if self._behind:
            self._state.load(self._behind.items())
            self._behind = {}
        return self._state

    def follow(self, rows: Iterable[tuple[str, bytes | None]], pendings: Iterable[Pending]) -> None:
        """A block was committed: take over its rows; everything that is still pending is folded anew."""
        self._state.rollback(0)
        self._behind.update(rows)
        self._fold = None
        self._tail = None
        self.time = 0
        for part in (self._pendings, self._keys, self._marks, self._ticks):
            part.clear()
        self._results.clear()
        self._fresh = {pending.entry.id: pending for pending in pendings}

    def add(self, pending: Pending) -> None:
        """A new pending entry; it is folded when somebody asks."""
        self._fresh[pending.entry.id] = pending

    def forget(self, entry_id: bytes) -> None:
        """An entry that was taken back."""
        if self._fresh.pop(entry_id, None) is None:
            # From the end: it takes no longer than taking back what lies above it.
            for index in range(len(self._pendings) - 1, -1, -1):
                if self._pendings[index].entry.id == entry_id:
                    self._unfold(index)
                    del self._fresh[entry_id]
                    return

    def result(self, entry_id: bytes) -> Result | None:
        """What becomes of a pending entry, as of the last refresh."""
        return self._results.get(entry_id)

    def results(self) -> list[Result]:
        """What becomes of all of them, in their order."""
        return [self._results[pending.entry.id] for pending in self._pendings]

    def refresh(self, now: int) -> State:
        """Bring the fold up to `now` (ms) and return the state; valid until the next call."""
        context = self._context_for(now)
        if self._fold is None or context.time < self.time - CLOCK_BACK_MS:
            self._unfold(0)
            self._fold = Fold(self.state, context)
            self.time = context.time
        elif context.time > self.time:
            # Entries dated beyond the old block time were clamped to it; they move with the new one.
            self._unfold(bisect_left(self._keys, (self.time, -1, b"")))
            self._fold.context = context
            self.time = context.time
        if self._fresh:
            self._fold_in()
        if self._tail is None:
            self._tail = (self.state.mark(), len(self._fold.ticks))
            self._fold.run_ticks(self.time)
        return self.state

    def finished_rows(self, now: int) -> dict[str, bytes]:
        """All rows of the state after a block of everything pending, boundary included. For checks and tests."""
        self.refresh(now)
        fold = self._fold
        if fold is None:
            return self.state.rows()
        mark, ticks = self.state.mark(), len(fold.ticks)
        fold.results = self.results()
        fold.finish()
        rows = self.state.rows()
        self.state.rollback(mark)
        del fold.ticks[ticks:]
        return rows

    def _fold_in(self) -> None:
        time = self.time
        new = sorted((pending.key(time), pending) for pending in self._fresh.values())
        if self._keys and new[0][0] < self._keys[-1]:
            self._unfold(bisect_left(self._keys, new[0][0]))
            new = sorted((pending.key(time), pending) for pending in self._fresh.values())
        else:
            self._undo_tail()
        self._fresh = {}
        fold = self._fold
        if fold is None:
            return
        for key, pending in new:
            self._keys.append(key)
            self._pendings.append(pending)
            self._marks.append(self.state.mark())
            self._ticks.append(len(fold.ticks))
            self._results[pending.entry.id] = fold.apply(pending.entry, pending.body, key[0])

    def _unfold(self, index: int) -> None:
        """Take back every step from `index` on; they are fresh again."""
        self._undo_tail()
        if index >= len(self._keys):
            return
        self.state.rollback(self._marks[index])
        for pending in self._pendings[index:]:
            self._fresh[pending.entry.id] = pending
            self._results.pop(pending.entry.id, None)
        if self._fold is not None:
            del self._fold.ticks[self._ticks[index] :]
            self._fold.results.clear()
        for part in (self._pendings, self._keys, self._marks, self._ticks):
            del part[index:]

    def _undo_tail(self) -> None:
        if self._tail is not None:
            mark, ticks = self._tail
            self.state.rollback(mark)
            if self._fold is not None:
                del self._fold.ticks[ticks:]
            self._tail = None
