"""Lots: oldest first out, youngest first back, vesting by the terms of the day, no more rows than are needed."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import lots
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.records import Member
from tallystick.protocol.records_deal import Lot, Taken, VestingTerms
from tallystick.protocol.state import State
from tests.support.builders import DAY_MS
from tests.support.charters import small_charter

WHO = bytes(32)
PLAIN = lots.terms_of(small_charter())
SLOW = VestingTerms(cliff=10, duration=100)
VESTING = small_charter(vesting={"cliff": "10d", "duration": "100d"})
NOW = 1_000 * DAY_MS


def act_at(at: int, state: State, charter: Any = None) -> Any:
    """What the functions of lots read of an act."""
    context = SimpleNamespace(time_prev=at, height=0)
    return SimpleNamespace(at=at, state=state, charter=charter or small_charter(), context=context)


def state_with(*rows: Lot, status: Any = "active") -> State:
    state = State()
    state.members.set(WHO, Member("partner", status, WHO, None, 0, 0))
    if rows:
        state.lots.set((WHO, 0), rows)
    return state


def held(state: State) -> int:
    return sum(map(lots.left, state.lots.of(WHO)))


def test_terms_are_those_of_the_charter_of_the_day() -> None:
    """A lot carries everything that a later amendment could change."""
    assert lots.terms_of(VESTING) == VestingTerms(10 * DAY_MS, 100 * DAY_MS, False, "keep-vested", "keep-vested", True)
    assert lots.terms_of(small_charter(vesting={"duration": "1y", "cliff-from": "lot"})).from_lot
    assert PLAIN.duration == 0


@pytest.mark.parametrize(
    ("time", "points"), [(0, 0), (9, 0), (10, 10), (11, 11), (50, 50), (99, 99), (100, 100), (10_000, 100)]
)
def test_a_lot_vests_by_the_millisecond_after_the_cliff(time: int, points: int) -> None:
    """Nothing before the cliff, then all that has ripened since it was earned."""
    assert lots.vested(Lot(100, 0, 0, SLOW), time, joined=0) == points


def test_the_cliff_counts_from_joining_or_from_the_lot() -> None:
    """Who joined long ago has passed the cliff, unless the terms count it anew for each lot."""
    assert lots.vested(Lot(100, 50, 0, SLOW), 55, joined=0) == 5
    assert lots.vested(Lot(100, 50, 0, VestingTerms(10, 100, True)), 55, joined=0) == 0
    assert lots.vested(Lot(100, 50, 0, VestingTerms(10, 100, True)), 60, joined=0) == 10


def test_what_was_spent_was_vested_first() -> None:
    """Spending takes whole remainders and so reaches the vested part first."""
    assert lots.vested(Lot(100, 0, 30, SLOW), 20, joined=0) == 0
    assert lots.vested(Lot(100, 0, 30, SLOW), 50, joined=0) == 20


def test_lots_without_vesting_are_one() -> None:
    """Two payments that can never be told apart are one row."""
    state = state_with()
    lots.earn(act_at(NOW, state), WHO, 5)
    lots.earn(act_at(NOW + 1, state), WHO, 7)
    assert state.lots.of(WHO) == (Lot(12, NOW, 0, PLAIN),)


def test_lots_that_vest_stay_apart_until_they_are_ripe() -> None:
    """They are merged once no entry can be dated back to a moment at which one of them was not ripe."""
    state = state_with()
    lots.earn(act_at(NOW, state, VESTING), WHO, 5)
    lots.earn(act_at(NOW + DAY_MS, state, VESTING), WHO, 7)
    assert len(state.lots.of(WHO)) == 2
    later = NOW + 191 * DAY_MS
    lots.earn(act_at(later - 1, state, VESTING), WHO, 1)
    assert [lot.amount for lot in state.lots.of(WHO)] == [5, 7, 1]
    lots.earn(act_at(later, state, VESTING), WHO, 2)
    assert [lot.amount for lot in state.lots.of(WHO)] == [12, 1, 2]


def test_a_lot_of_an_earlier_moment_goes_before_the_others() -> None:
    """An entry of a later block may act at an earlier time; the order of lots is that of their moments."""
    state = state_with(Lot(5, NOW, 0, SLOW))
    lots.earn(act_at(NOW - 10, state, VESTING), WHO, 7)
    assert [lot.earned for lot in state.lots.of(WHO)] == [NOW - 10, NOW]


def test_oldest_first_is_taken_and_youngest_first_comes_back() -> None:
    """What returns goes to where it came from; a lot that was spent and dropped is there again."""
    one, two, three = Lot(10, 1, 0, SLOW), Lot(10, 2, 0, SLOW), Lot(10, 3, 0, SLOW)
    state = state_with(one, two, three)
    taken = lots.take_whole(act_at(50, state), WHO, 25)
    assert taken == (Taken(one, 10), Taken(two, 10), Taken(three, 5))
    assert state.lots.of(WHO) == (Lot(10, 3, 5, SLOW),)
    rest = lots.give_back(act_at(60, state), WHO, taken, 12)
    assert rest == (Taken(one, 10), Taken(two, 3))
    assert state.lots.of(WHO) == (Lot(10, 2, 3, SLOW), three)
    assert lots.give_back(act_at(60, state), WHO, rest, 13) == ()
    assert state.lots.of(WHO) == (one, two, three)


def test_what_comes_back_does_not_fill_another_lot() -> None:
    """The oldest lot is gone, a younger one has room: the oldest is there again."""
    one, two = Lot(10, 1, 0, SLOW), Lot(10, 2, 0, SLOW)
    state = state_with(one, two)
    first = lots.take_whole(act_at(50, state), WHO, 10)
    lots.take_whole(act_at(50, state), WHO, 5)
    lots.give_back(act_at(60, state), WHO, first, 5)
    assert state.lots.of(WHO) == (Lot(10, 1, 5, SLOW), Lot(10, 2, 5, SLOW))


def test_the_seller_is_paid_from_the_oldest() -> None:
    """What leaves an escrow for the seller is the oldest of it."""
    one, two = Lot(10, 1, 0, SLOW), Lot(10, 2, 0, SLOW)
    assert lots.pay_out((Taken(one, 10), Taken(two, 10)), 13) == (Taken(two, 7),)
    assert lots.pay_out((Taken(one, 10),), 10) == ()


def test_more_than_there_is_cannot_be_taken() -> None:
    """A refusal says how much is missing, and nothing has moved."""
    state = state_with(Lot(10, 1, 4, SLOW))
    with pytest.raises(EntryError) as caught:
        lots.take_whole(act_at(50, state), WHO, 7)
    assert caught.value.reason is Reason.BALANCE
    assert state.lots.of(WHO) == (Lot(10, 1, 4, SLOW),)


def test_who_has_nothing_left_has_no_row() -> None:
    """The last point spent takes the row with it."""
    state = state_with(Lot(10, 1, 4, SLOW))
    lots.take_whole(act_at(50, state), WHO, 6)
    assert not state.lots
    lots.earn(act_at(50, state), WHO, 0)
    assert not state.lots


def test_what_reaches_somebody_who_has_departed_is_vested() -> None:
    """Pay and returns alike: there is nobody left whose staying could ripen it."""
    state = state_with(status="departed")
    lots.earn(act_at(NOW, state, VESTING), WHO, 5)
    lots.give_back(act_at(NOW, state, VESTING), WHO, (Taken(Lot(9, 1, 0, SLOW), 9),), 9)
    assert sum(lots.vested(lot, NOW, 0) for lot in state.lots.of(WHO)) == 14


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 300), st.booleans()), min_size=1, max_size=8),
    st.data(),
)
def test_taking_and_giving_back_changes_nothing(rows: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Whatever is taken and comes back in however many parts: the same total, and the same vested from now on."""
    state = state_with()
    for amount, earned, slow in sorted(rows, key=lambda row: row[1]):
        lots.earn(act_at(earned * DAY_MS, state, VESTING if slow else None), WHO, amount)
    total = held(state)
    times = [day * DAY_MS for day in (210, 250, 300, 390, 500)]
    before = [sum(lots.vested(lot, time, 0) for lot in state.lots.of(WHO)) for time in times]
    amount = data.draw(st.integers(0, total))
    taken = lots.take_whole(act_at(300 * DAY_MS, state), WHO, amount)
    assert held(state) == total - amount
    while taken:
        part = data.draw(st.integers(1, sum(each.amount for each in taken)))
        taken = lots.give_back(act_at(300 * DAY_MS, state), WHO, taken, part)
    assert held(state) == total
    assert [sum(lots.vested(lot, time, 0) for lot in state.lots.of(WHO)) for time in times] == before
