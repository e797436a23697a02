"""Whether a quorum is there, and timers that run only while it is.

Partners are often not online together. A timer that ran through their absence would end round after round in which
nobody could have answered. So a timer counts the time during which a quorum has been heard of lately; besides, it ends
at a far moment of the wall clock, for those who are never there together. Safety never depends on a timer.

Source: docs/spec/finality.md#timers
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NEVER: Final = 2**62


def middle_offset(offsets: Iterable[int]) -> int:
    """The middle of how far clocks are ahead of ours, our own 0 among them; of two in the middle the one further off.

    So two that differ know it both, and whoever has told the right time with most of the others is not stopped by one.
    """
    rows = sorted(offsets)
    return max(rows[(len(rows) - 1) // 2], rows[len(rows) // 2], key=abs)


@dataclass(frozen=True, slots=True)
class Timer:
    """When something is over: so much live time has passed, or the wall clock says so."""

    live_at: int
    wall_at: int


class Presence:
    """Who was heard of when, and how much live time has passed."""

    __slots__ = ("_heard", "_now", "_others", "_present_ms", "live")

    def __init__(self, *, others_needed: int, present_ms: int, now: int) -> None:
        """`others_needed`: how many besides this node make a quorum."""
        self._others = others_needed
        self._present_ms = present_ms
        self._now = now
        self._heard: dict[int, int] = {}
        self.live = 0
        """Milliseconds with a quorum so far."""

    def advance(self, now: int) -> None:
        """Let time pass. A clock that was set back gives no time, and takes none away."""
        self.live += max(0, min(now, self.until()) - self._now)
        if now < self._now:
            self._heard = {index: min(moment, now) for index, moment in self._heard.items()}
        self._now = now

    def heard(self, index: int) -> None:
        """A sealer has shown now that it is there."""
        self._heard[index] = self._now

    def until(self) -> int:
        """The moment up to which a quorum counts as present, if nobody is heard of any more."""
        if self._others <= 0:
            return NEVER
        moments = sorted(self._heard.values(), reverse=True)
        return moments[self._others - 1] + self._present_ms if len(moments) >= self._others else -NEVER

    def here(self) -> set[int]:
        """The sealers that count as present."""
        return {index for index, moment in self._heard.items() if moment + self._present_ms > self._now}

    def timer(self, live_ms: int, wall_ms: int) -> Timer:
        """Start a timer."""
        return Timer(self.live + live_ms, self._now + wall_ms)

    def is_over(self, timer: Timer) -> bool:
        return self.live >= timer.live_at or self._now >= timer.wall_at

    def wake_of(self, timer: Timer) -> int:
        """The moment at which a timer is over, as far as is known now."""
        moment = self._now + max(0, timer.live_at - self.live)
        return min(moment, timer.wall_at) if moment <= self.until() else timer.wall_at
