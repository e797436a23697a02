"""The clock on the wall, read here and nowhere else by what has to do with a ledger.

Times that entries and blocks carry, deadlines of the law and the timers of the vote follow it. How long a dial, an
answer or a silence of the network may take does not: that is counted by the loop, whose clock nobody sets.
"""

from __future__ import annotations

import time


def now_ms() -> int:
    """The clock on the wall, in ms of UTC."""
    return time.time_ns() // 1_000_000


def seconds_until(moment_ms: int) -> float:
    """How long the loop has to wait until the clock says so; 0 for what is past."""
    return max(0, moment_ms - now_ms()) / 1000
