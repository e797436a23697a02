"""The tables under one journal: whatever is written can be taken back, found again, and loaded elsewhere."""

from __future__ import annotations

import copy
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tallystick.protocol import codec
from tallystick.protocol.records import Count, Tick
from tallystick.protocol.state import State, Table, path_of
from tests.support.histories import Play, everything, some_events

Row = tuple[str, Any, Any]


@cache
def rows_of_a_history() -> tuple[Row, ...]:
    """(table, key, row) of some real states, so that every table is here with rows that were different at times."""
    found: dict[tuple[str, Any, bytes], Row] = {}
    for seed in range(6):
        world = everything()
        play, chance = Play(world), random.Random(seed)
        for _ in range(6):
            play.run(some_events(chance, 12), sealing=True)
            for table in world.view().tables.values():
                for key, row in table.items():
                    found[table.name, key, table.encode(row)] = (table.name, key, row)
        for key, deal in world.history.deals.items():
            found["closed", key, b""] = ("closed", key, deal)
    # Few histories are so long that somebody's lots fill more than one page.
    for name, key, row in list(found.values()):
        if name == "lots":
            for number in (1, 2, 10):
                found[name, (key[0], number), b""] = (name, (key[0], number), row)
    return tuple(found.values())


def orders_of(state: State) -> dict[str, Any]:
    """Everything that is kept beside the rows."""
    sides = {(table, name): index.of(*name) for table, index, name in _sides(state)}
    return {
        "due": state.due.order,
        "counts": state.counts.order,
        "offers": state.offers.order,
        "sides": {key: set(value) for key, value in sides.items() if value},
        "corrections": {row.target: state.corrections.of(row.target) for row in state.corrections.values()},
        "lots": {member: list(state.lots.numbers(member)) for member, _ in state.lots},
    }


def _sides(state: State) -> Any:
    steps = {deal.step for deal in state.deals.values()} | {offer.step for offer in state.offers.values()}
    people = {side for deal in state.deals.values() for side in (deal.seller, deal.buyer)}
    people |= {offer.author for offer in state.offers.values()}
    for person in people:
        for step in steps:
            yield "deals", state.deals, (person, step)
            yield "offers", state.offers, (person, step)


def naive_orders(state: State) -> dict[str, Any]:
    """The same, from the rows alone."""
    sides: dict[Any, set[bytes]] = {}
    for key, deal in state.deals.items():
        for side in (deal.seller, deal.buyer):
            sides.setdefault(("deals", (side, deal.step)), set()).add(key)
    for key, offer in state.offers.items():
        sides.setdefault(("offers", (offer.author, offer.step)), set()).add(key)
    return {
        "due": sorted(state.due),
        "counts": sorted((row.until, key) for key, row in state.counts.items()),
        # An offer does not end as long as a deal of it is open.
        "offers": sorted((state.offers.until(row), key) for key, row in state.offers.items() if not row.deals),
        "sides": sides,
        "corrections": {row.target: key for key, row in state.corrections.items()},
        "lots": {member: sorted(number for whose, number in state.lots if whose == member) for member, _ in state.lots},
    }


class Journal(RuleBasedStateMachine):
    """Writes, marks and rollbacks, with whole copies of the rows beside them."""

    @initialize(seed=st.integers(0, 1000))
    def start(self, seed: int) -> None:
        self.state = State()
        self.chance = random.Random(seed)
        self.rows: dict[tuple[str, Any], Any] = {}
        self.marks: list[tuple[int, dict[tuple[str, Any], Any]]] = []
        self.base = self.state.rows()

    def table(self, name: str) -> Table[Any, Any]:
        return self.state.tables[name]

    @rule(count=st.integers(1, 12))
    def write(self, count: int) -> None:
        for name, key, row in self.chance.choices(rows_of_a_history(), k=count):
            if name == "correction" and self._is_second(key, row):
                continue
            self.table(name).set(key, row)
            self.rows[name, key] = row

    def _is_second(self, key: Any, row: Any) -> bool:
        # Of one entry there is never more than one correction.
        return any(
            name == "correction" and at != key and each.target == row.target for (name, at), each in self.rows.items()
        )

    @rule(count=st.integers(1, 6))
    def delete(self, count: int) -> None:
        for name, key in self.chance.sample(sorted(self.rows, key=repr), min(count, len(self.rows))):
            self.table(name).delete(key)
            del self.rows[name, key]
        name, key, _ = self.chance.choice(rows_of_a_history())
        if (name, key) not in self.rows:
            self.table(name).delete(key)

    @rule()
    def mark(self) -> None:
        self.marks.append((self.state.mark(), dict(self.rows)))

    @rule(which=st.integers(0, 100))
    def rollback(self, which: int) -> None:
        if self.marks:
            at = which % len(self.marks)
            mark, self.rows = self.marks[at][0], dict(self.marks[at][1])
            del self.marks[at + 1 :]
            self.state.rollback(mark)

    @rule()
    def commit(self) -> None:
        self.state.commit()
        self.marks.clear()
        self.rows = {key: row for key, row in self.rows.items() if key[0] != "closed"}
        assert not self.state.closed and self.state.changed() == {}
        self.base = self.state.rows()

    @rule()
    def hand_over(self) -> None:
        """What changed, applied to what was committed, is what is here; and so is the whole, loaded anew."""
        changed = self.state.changed()
        expected = {**self.base, **changed}
        assert {path: row for path, row in expected.items() if row is not None} == self.state.rows()
        assert self.state.rows_at(changed) == changed
        follower = State()
        follower.load(self.base.items())
        follower.load(changed.items())
        assert follower.rows() == self.state.rows()
        assert orders_of(follower) == orders_of(self.state)
        assert not follower.journal

    @invariant()
    def rows_and_orders_are_right(self) -> None:
        now = {(table.name, key): row for table in self.state.tables.values() for key, row in table.items()}
        assert now == self.rows
        assert orders_of(self.state) == naive_orders(self.state)


Journal.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestJournal = Journal.TestCase


def test_the_history_has_a_row_for_nearly_every_table() -> None:
    """Else the machine above would show little."""
    names = {name for name, _, _ in rows_of_a_history()}
    assert len(rows_of_a_history()) > 400
    assert names >= {
        "acct",
        "member",
        "device",
        "key",
        "deal",
        "offer",
        "due",
        "count",
        "lots",
        "closed",
        "claim",
        "money",
    }


def test_rows_are_canonical_and_their_paths_lead_back() -> None:
    """Each row is the one encoding of its value; no two keys share a path."""
    state = State()
    paths: dict[str, tuple[str, Any]] = {}
    for name, key, row in rows_of_a_history():
        table = state.tables[name]
        data = table.encode(row)
        value = codec.decode(data)
        assert codec.encode(value) == data
        assert isinstance(value, list)
        path = path_of(table, key)
        assert paths.setdefault(path, (name, key)) == (name, key)
        back, _, text = path.partition("/")
        assert (back, table.text_key(text)) == (name, key)
        again = table.decode(data)
        assert (again[0] if name in ("acct", "total") else again) == row


def test_tables_outside_the_root_never_leave() -> None:
    """What a block has still to do, and deals that have closed, are no part of what is committed to."""
    state = State()
    state.boundary.set(0, ("freeze", b"\1"))
    deal = next(row for name, _, row in rows_of_a_history() if name == "closed")
    state.closed.set(b"\1" * 32, deal)
    assert state.rows() == {} and state.changed() == {}
    state.rollback(0)
    assert not state.boundary and not state.closed


def test_a_row_that_came_and_went_has_left_no_trace() -> None:
    """But one that was there before and went is said, so that whoever follows drops it."""
    state = State()
    state.due.set((5, 1), Tick("review", b"\1" * 32))
    assert set(state.changed()) == {"due/5/1"}
    state.due.delete((5, 1))
    assert state.changed() == {}
    state.due.delete((5, 1))
    assert len(state.journal) == 2, "deleting what is not there is nothing"
    state.due.set((5, 1), Tick("review", b"\1" * 32))
    state.commit()
    state.due.delete((5, 1))
    assert state.changed() == {"due/5/1": None}
    assert state.changed(state.mark()) == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=40))
def test_fading_rows_stay_in_the_order_of_their_time(writes: list[tuple[int, int, bool]]) -> None:
    """A row whose time changes is listed once, at its new time."""
    state = State()
    for number, until, stays in writes:
        key = ("pair", number, "x")
        if stays:
            state.counts.set(key, Count(1, until))
        else:
            state.counts.delete(key)
        assert state.counts.order == sorted((row.until, key) for key, row in state.counts.items())


def test_balances_of_nothing_are_zero() -> None:
    """An account without a row; and a path has the commodity first."""
    state = State()
    state.accounts.set("POINT/pool", 7)
    assert (state.balance("POINT", "pool"), state.balance("EUR", "pool")) == (7, 0)
    assert state.rows() == {"acct/POINT/pool": codec.encode([7])}


@pytest.mark.parametrize("path", ["nothing/1", "due/5", "member/zz"])
def test_rows_that_are_none_are_not_loaded(path: str) -> None:
    """A store that was damaged is noticed where it is read."""
    with pytest.raises((KeyError, ValueError)):
        State().load([(path, codec.encode(["review", b""]))])


def test_copies_are_not_needed() -> None:
    """Rows are immutable: what somebody holds does not change under them."""
    for _, _, row in rows_of_a_history()[:200]:
        if not isinstance(row, int | tuple):
            with pytest.raises(AttributeError):
                setattr(row, type(row).__struct_fields__[0], None)
        assert copy.copy(row) == row
