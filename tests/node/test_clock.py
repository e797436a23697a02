"""The one clock that a ledger goes by."""

from __future__ import annotations

import time

from tallystick.node.clock import now_ms, seconds_until


def test_it_is_what_the_machine_says() -> None:
    """The time of day, in ms, as everybody else reads it."""
    before = time.time_ns() // 1_000_000
    now = now_ms()
    assert before <= now <= time.time_ns() // 1_000_000


def test_nobody_waits_for_what_is_past() -> None:
    """A loop that was late goes on at once; what is still to come is waited for in seconds."""
    now = now_ms()
    assert seconds_until(now - 5_000) == 0
    assert 0 < seconds_until(now + 3_600_000) <= 3_600
