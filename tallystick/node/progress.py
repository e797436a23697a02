"""How far catching up has come, and how long it will take: for a person who waits.

It is told again and again where the node stands and how far the others are. What is to come is known in blocks; in
entries it is an estimate, from how many a block had so far.

Source: docs/spec/cli.md#status
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tallystick.node.view import CatchingUpFact

#: The rate is that of so long.
WINDOW_MS: Final = 10_000
#: What takes less is not worth a word.
WORTH_MS: Final = 1_000


class Progress:
    """One look back over the last seconds. A pure value machine: time comes in as an argument."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int, int]] = deque()
        """(when, height, entries), oldest first; empty while there is nothing to catch up."""
        self._since = 0
        self._first = (0, 0)
        """(height, entries) at the beginning."""
        self._target = 0

    def look(self, now: int, *, height: int, entries: int, target: int) -> None:
        """The node has blocks up to `height` with so many entries, and somebody else has them up to `target`."""
        if target <= height:
            self._looks.clear()
            return
        if not self._looks:
            self._since, self._first = now, (height, entries)
        self._target = target
        if self._looks and now - self._looks[-1][0] < WINDOW_MS // 100:
            # Many looks a second say no more than a hundred in the window.
            return
        self._looks.append((now, height, entries))
        while len(self._looks) > 2 and self._looks[1][0] <= now - WINDOW_MS:
            self._looks.popleft()

    def fact(self, now: int, *, height: int, entries: int) -> CatchingUpFact | None:
        """How it goes; None when there is nothing to catch up, or it will be over in a moment."""
        if not self._looks or height >= self._target:
            return None
        then, height_then, entries_then = self._looks[0]
        passed = max(1, now - then)
        blocks = self._target - height
        gained = height - height_then
        left_ms = blocks * passed // gained if gained else None
        elapsed = now - self._since
        if elapsed < WORTH_MS and (left_ms is None or elapsed + left_ms < WORTH_MS):
            return None
        each = (entries - self._first[1]) / max(1, height - self._first[0]) if height > self._first[0] else None
        if each is None and height:
            each = entries / height
        return CatchingUpFact(
            height=height,
            target=self._target,
            blocks=blocks,
            entries=None if each is None else round(blocks * each),
            rate=max(0, entries - entries_then) * 1000 // passed,
            left_ms=left_ms,
        )
