"""Timers run while a quorum is there, and end at a far moment in any case."""

from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol.presence import NEVER, Presence

HOUR = 3_600_000


def presence(others: int = 2, now: int = 0) -> Presence:
    return Presence(others_needed=others, present_ms=30_000, now=now)


def test_alone_no_time_passes() -> None:
    """Nobody was heard of: a timer waits, for as long as its patience lasts."""
    here = presence()
    timer = here.timer(10_000, 12 * HOUR)
    here.advance(11 * HOUR)
    assert here.live == 0
    assert not here.is_over(timer)
    assert here.wake_of(timer) == 12 * HOUR
    here.advance(12 * HOUR)
    assert here.is_over(timer)


def test_with_a_quorum_time_passes() -> None:
    """Two others are heard of: the timer runs, and says when it is over."""
    here = presence()
    timer = here.timer(10_000, HOUR)
    here.heard(1)
    here.heard(2)
    assert here.wake_of(timer) == 10_000
    here.advance(9_999)
    assert not here.is_over(timer)
    here.advance(10_000)
    assert here.is_over(timer)


def test_one_of_two_is_no_quorum() -> None:
    """And saying something twice makes nobody two."""
    here = presence()
    here.heard(1)
    here.heard(1)
    here.advance(20_000)
    assert here.live == 0
    assert here.here() == {1}


def test_time_stands_still_when_a_quorum_is_gone() -> None:
    """Thirty seconds after the last word of those who are needed; it goes on where it stopped."""
    here = presence()
    timer = here.timer(50_000, HOUR)
    here.heard(1)
    here.heard(2)
    assert here.wake_of(timer) == HOUR, "it cannot be over before they are gone"
    here.advance(600_000)
    assert here.live == 30_000
    assert here.here() == set()
    here.heard(1)
    here.heard(3)
    assert here.wake_of(timer) == 620_000
    here.advance(620_000)
    assert here.is_over(timer)


def test_a_sole_sealer_is_always_there() -> None:
    """It needs nobody else."""
    here = presence(others=0)
    assert here.until() == NEVER
    here.advance(5_000)
    assert here.live == 5_000


def test_sleep_of_eight_hours_costs_half_a_minute_at_most() -> None:
    """A laptop that wakes up finds its timers where they were."""
    here = presence()
    here.heard(1)
    here.heard(2)
    timer = here.timer(40_000, 12 * HOUR)
    here.advance(8 * HOUR)
    assert here.live == 30_000
    assert not here.is_over(timer)


def test_clock_that_is_set_back_takes_nothing_away() -> None:
    """Nor does it keep anybody present for longer."""
    here = presence(now=HOUR)
    here.heard(1)
    here.heard(2)
    here.advance(HOUR + 10_000)
    here.advance(1_000)
    assert here.live == 10_000
    assert here.until() == 31_000
    here.advance(HOUR)
    assert here.live == 40_000


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 3)), max_size=30))
def test_live_time_never_runs_faster_than_the_clock(steps: list[tuple[int, int]]) -> None:
    """And never backwards."""
    here, now = presence(), 0
    for step, who in steps:
        before = here.live
        now += step
        here.advance(now)
        assert 0 <= here.live - before <= step
        if who:
            here.heard(who)
    assert here.live <= now


@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(1, 3)), max_size=30), st.integers(1, 60_000))
def test_timer_is_over_when_it_said(steps: list[tuple[int, int]], length: int) -> None:
    """If nobody is heard of any more, `wake_of` is the first moment at which it is over."""
    here, now = presence(), 0
    timer = here.timer(length, 10_000_000)
    for step, who in steps:
        now += step
        here.advance(now)
        here.heard(who)
    if not here.is_over(timer):
        wake = here.wake_of(timer)
        here.advance(wake - 1)
        assert not here.is_over(timer)
        here.advance(wake)
        assert here.is_over(timer)
