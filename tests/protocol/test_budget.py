"""Budgets: what is committed counts in the period in which it is, and between the two sides whoever sells."""

from types import SimpleNamespace
from typing import Any

import pytest

from tallystick.protocol import budget
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.records import Founded
from tallystick.protocol.state import State
from tests.support.builders import DAY_MS
from tests.support.charters import small_charter

START = 1_000_000
A, B, C = bytes(32), b"\1" * 32, b"\2" * 32
STEP = small_charter(step=[{"id": "roast", "price": 12, "budget": 100, "period": "10d", "pair-cap": 60}]).steps["roast"]


def act_at(at: int, state: State) -> Any:
    return SimpleNamespace(at=at, state=state)


@pytest.fixture
def state() -> State:
    state = State()
    state.founded.set("", Founded(A, START, A))
    state.accounts.set("POINT/pool", 1_000)
    return state


def why(act: Any, pair: str, amount: int) -> Reason | None:
    mark = act.state.mark()
    try:
        budget.commit_of_pool(act, STEP, pair, amount)
    except EntryError as error:
        assert act.state.mark() == mark
        return error.reason
    act.state.rollback(mark)
    return None


def test_a_pair_is_the_same_whichever_of_them_sells() -> None:
    """Both directions count together."""
    assert budget.pair_of(A, B) == budget.pair_of(B, A) != budget.pair_of(A, C)


def test_periods_count_from_the_founding(state: State) -> None:
    """A period ends one millisecond before the next begins."""
    length = 10 * DAY_MS
    assert budget.period_index(act_at(0, state), length, START) == 0
    assert budget.period_index(act_at(0, state), length, START + length - 1) == 0
    assert budget.period_index(act_at(0, state), length, START + length) == 1


def test_the_budget_is_used_up_to_its_last_point(state: State) -> None:
    """Equal is allowed, one more is not; the next period begins with nothing."""
    act = act_at(START + 1, state)
    budget.commit_of_pool(act, STEP, budget.pair_of(A, B), 60)
    assert why(act, budget.pair_of(A, C), 40) is None
    assert why(act, budget.pair_of(A, C), 41) is Reason.BUDGET_EXHAUSTED
    assert why(act_at(START + STEP.period, state), budget.pair_of(A, C), 60) is None


def test_a_pair_cap_binds_only_that_pair(state: State) -> None:
    """Others can still trade."""
    act = act_at(START + 1, state)
    budget.commit_of_pool(act, STEP, budget.pair_of(A, B), 50)
    assert why(act, budget.pair_of(B, A), 11) is Reason.PAIR_CAP
    assert why(act, budget.pair_of(B, A), 10) is None
    assert why(act, budget.pair_of(B, C), 11) is None


def test_an_empty_pool_is_said_first(state: State) -> None:
    """Whoever raises the budget would find the pool empty."""
    assert why(act_at(START, state), "", 1_001) is Reason.POOL_EMPTY


def test_a_count_that_falls_to_zero_leaves_no_row(state: State) -> None:
    """A state in which everything returned is the one in which nothing happened."""
    act = act_at(START, state)
    budget.commit_of_pool(act, STEP, budget.pair_of(A, B), 50)
    assert len(state.counts) == 2
    budget.uncommit(act, "roast", STEP.period, budget.pair_of(A, B), 50)
    assert len(state.counts) == 0


def test_another_length_counts_anew(state: State) -> None:
    """An amendment of the period starts new counters and leaves the old ones alone."""
    act = act_at(START, state)
    budget.commit_of_pool(act, STEP, budget.pair_of(A, B), 50)
    assert budget.counted(act, "step.roast", STEP.period) == 50
    assert budget.counted(act, "step.roast", STEP.period + 1) == 0
    assert [row.until for row in state.counts.values()] == [START + STEP.period] * 2
