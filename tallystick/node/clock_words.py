"""What one should know about this computer's clock before signing by it, and when nothing is sealed by it.

A time that is claimed too late is not taken by others before it has come, and a mistaken year in it is there for ever.
Nothing is refused because of that: a clock that nobody can compare may be right.

Source: docs/spec/cli.md#clock, docs/spec/finality.md#when
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.node.status_words import span
from tallystick.protocol.presence import middle_offset

if TYPE_CHECKING:
    from collections.abc import Collection

    from tallystick.node.core import NodeCore

#: A clock further than this from the median of the sealers signs no READY.
CLOCK_MS_MAX: Final = 600_000
#: A sole sealer that has rested for so long asks the person for the date first.
ALONE_MS_MAX: Final = 30 * 86_400_000
#: Without anybody to compare with: so long after the newest block a person is asked to look at the date.
QUIET_MS: Final = 7 * 86_400_000


def clock_words(core: NodeCore, now: int) -> list[str]:
    """What is odd about a clock that says `now`: empty, or one sentence."""
    from tallystick.node.doctor import stamp

    head = core.ledger.head
    others = sorted(row.clock for row in core.sync.sessions.values() if row.greeted)
    if others:
        off = others[(len(others) - 1) // 2]
        way = "behind" if off > 0 else "ahead of"
        odd = f"which is {span(abs(off))} {way} the clocks of the others" if abs(off) > CLOCK_MS_MAX else ""
    else:
        odd = f"{span(now - head.time)} after the newest block" if now > head.time + QUIET_MS else ""
    if now < head.time - CLOCK_MS_MAX:
        odd = odd or f"but the newest block is {span(head.time - now)} later"
    if not head.height or not odd:
        return []
    return [f"this computer says it is {stamp(now)}, {odd}: if the date is wrong, set the clock before you sign again"]


def doubt_words(core: NodeCore, sealers: Collection[bytes], now: int, *, is_confirmed: bool) -> str:
    """Why nothing is sealed by a clock that says `now`; empty where it can be right.

    `sealers` are node keys; `is_confirmed`: the person has looked at the date.
    """
    head = core.ledger.head
    if len(sealers) == 1:
        stale = bool(head.height) and now > head.time + ALONE_MS_MAX and not is_confirmed
        return "the last block is more than 30 days old: check the date, then `tally seal`" if stale else ""
    sessions = core.sync.sessions.items()
    off = middle_offset([0, *(row.clock for peer, row in sessions if row.greeted and peer in sealers)])
    return f"this clock is {abs(off) // 60_000} minutes off those of the others" if abs(off) > CLOCK_MS_MAX else ""
