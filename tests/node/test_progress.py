"""How catching up goes: blocks and entries to come, rate, time left."""

from __future__ import annotations

from tallystick.node.progress import WINDOW_MS, Progress
from tallystick.node.view import CatchingUpFact


def test_steady_progress_is_foretold() -> None:
    """Ten blocks of five entries a second, ninety still to come: nine seconds."""
    row = Progress()
    for second in range(2):
        row.look(1000 * second, height=10 * second, entries=50 * second, target=100)
    assert row.fact(1000, height=10, entries=50) == CatchingUpFact(
        height=10, target=100, blocks=90, entries=450, rate=50, left_ms=9000
    )


def test_what_takes_a_moment_is_no_matter() -> None:
    """Nothing is said of what is over within a second, nor when there is nothing to fetch."""
    row = Progress()
    assert row.fact(0, height=0, entries=0) is None
    row.look(0, height=5, entries=20, target=5)
    assert row.fact(5000, height=5, entries=20) is None
    row.look(0, height=0, entries=0, target=10)
    row.look(200, height=8, entries=80, target=10)
    assert row.fact(200, height=8, entries=80) is None
    row.look(300, height=10, entries=100, target=10)
    assert row.fact(5000, height=10, entries=100) is None


def test_standstill_has_a_rate_of_zero_and_no_end() -> None:
    """Nobody is told a time that is not known."""
    row = Progress()
    for second in range(3):
        row.look(1000 * second, height=4, entries=8, target=100)
    fact = row.fact(2000, height=4, entries=8)
    assert fact is not None
    assert (fact.rate, fact.left_ms, fact.blocks, fact.entries) == (0, None, 96, 192)


def test_rate_is_that_of_the_last_seconds() -> None:
    """A slow beginning is forgotten, and however many looks there are, few are kept."""
    row = Progress()
    for at in range(0, 20_000, 10):
        row.look(at, height=1, entries=1, target=10_000)
    for at in range(20_000, 20_000 + 2 * WINDOW_MS, 10):
        row.look(at, height=1 + (at - 20_000) // 10, entries=1 + (at - 20_000) // 5, target=10_000)
    fact = row.fact(20_000 + 2 * WINDOW_MS - 10, height=2000, entries=4000)
    assert fact is not None and 195 <= fact.rate <= 205
    assert fact.left_ms is not None and 78_000 <= fact.left_ms <= 82_000
    assert len(row._looks) < 200
