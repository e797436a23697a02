"""What one should know about this computer's clock before signing by it.

A time that is claimed too late is not taken by others before it has come, and a mistaken year in it is there for ever.
Nothing is refused because of that: a clock that nobody can compare may be right.

Source: docs/spec/cli.md#clock
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.node.sealer import CLOCK_MS_MAX
from tallystick.node.status_words import span

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore

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
