"""The preview: the block of what is pending, before anybody makes it; nothing that was taken back leaves a trace."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.preview import CLOCK_BACK_MS, Preview
from tallystick.protocol.structure import Waiting
from tests.support.builders import DAY_MS, HOUR_MS, MINUTE_MS, World
from tests.support.histories import EVENTS, PARTNERS, TABLES, Event, Play, copy_of, documents
from tests.support.market import MARKET, market
from tests.support.twin import Writers

_MODEST = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pending_world(document: dict[str, object], events: list[Event], seed: int) -> Writers:
    """A ledger whose last entries, some of them forks, are not sealed."""
    writers = Writers.found(document, *PARTNERS[1:])
    assert isinstance(writers, Writers)
    writers.join("ed", standing="contributor")
    writers.seal()
    writers.chance = random.Random(seed)
    Play(writers).run(events, sealing=False)
    return writers


def fresh(ledger: Ledger) -> Preview:
    """A preview that has done nothing yet, of the same ledger."""
    preview = Preview(ledger.context)
    preview.follow(ledger.state.rows().items(), ledger.pool.entries.values())
    return preview


@given(documents(), EVENTS, st.integers(0, 2**32), st.sampled_from([0, HOUR_MS, 40 * DAY_MS]))
@_MODEST
def test_the_preview_of_a_set_is_the_block_of_that_set(
    document: dict[str, object], events: list[Event], seed: int, later: int
) -> None:
    """Every result with its postings, every tick, every row."""
    writers = pending_world(document, events, seed)
    ledger, time = writers.ledger, writers.now + later
    foreseen = ledger.preview.finished_rows(time)
    results = ledger.preview.results()
    taken, _ = ledger.select(list(ledger.pool.tips), time)
    executed = ledger.execute(taken, time, ())
    assert list(executed.results) == results
    ledger.commit(executed, b"\1" * 32)
    assert ledger.state.rows() == foreseen


@given(documents(), EVENTS, st.integers(0, 2**32), st.sampled_from([0, 40 * DAY_MS]))
@settings(_MODEST, max_examples=10)
def test_whoever_looks_after_many_blocks_sees_what_whoever_always_looked_sees(
    document: dict[str, object], events: list[Event], seed: int, later: int
) -> None:
    """Rows that came and went, and came again, while nobody looked, and what is pending on top of them."""
    writers = Writers.found(document, *PARTNERS[1:])
    assert isinstance(writers, Writers)
    writers.join("ed", standing="contributor")
    writers.seal()
    writers.chance = random.Random(seed)
    Play(writers).run(events, sealing=True)
    ledger, time = writers.ledger, writers.now + later
    blind, looking = Preview(ledger.context), Preview(ledger.context)
    for executed in writers.executed:
        blind.follow(executed.rows.items(), ())
        looking.follow(executed.rows.items(), ())
        assert looking.state.rows()
    assert looking.state.rows() == ledger.state.rows()
    assert list(looking.state.due.order) == list(fresh(ledger).state.due.order)
    for preview in (blind, looking):
        preview.follow((), ledger.pool.entries.values())
    foreseen = ledger.preview.finished_rows(time)
    assert blind.finished_rows(time) == looking.finished_rows(time) == foreseen
    assert blind.results() == looking.results() == ledger.preview.results()


@given(documents(), EVENTS, st.integers(0, 2**32))
@_MODEST
def test_insertion_in_any_order_is_the_same_as_all_at_once(
    document: dict[str, object], events: list[Event], seed: int
) -> None:
    """Also when somebody looks in between, at times that go on and back, and tries something out."""
    writers = pending_world(document, events, seed)
    first = sum(len(block.results) for block in writers.executed)
    other = copy_of(writers)
    chance, waiting = random.Random(seed), writers.sent[first:]
    while waiting:
        entry = chance.choice([entry for entry in waiting if all(map(other.knows, entry.parents))])
        body = other.check(entry)
        assert not isinstance(body, Waiting)
        if chance.random() < 0.3:
            other.try_out(entry, body, writers.now - chance.randrange(2 * DAY_MS))
            assert other.preview.result(entry.id) is None
        waiting.remove(entry)
        other.add(entry, body)
        if chance.random() < 0.4:
            other.view(writers.now + chance.choice([0, -MINUTE_MS, -DAY_MS, 40 * DAY_MS]))
    again = fresh(other)
    time = writers.now + 50 * DAY_MS
    assert other.view(time).rows() == again.refresh(time).rows()
    assert other.preview.results() == again.results()
    assert other.preview.finished_rows(time) == again.finished_rows(time) == writers.ledger.preview.finished_rows(time)


@given(EVENTS, st.integers(0, 2**32))
@_MODEST
def test_what_is_taken_back_leaves_no_trace(events: list[Event], seed: int) -> None:
    """Asked about the end of a block, about another time, and with entries forgotten: the rows are as before."""
    writers = pending_world(copy.deepcopy(MARKET) | TABLES, events, seed)
    ledger, preview, chance = writers.ledger, writers.ledger.preview, random.Random(seed)
    now = writers.now
    before = ledger.view(now).rows()
    for _ in range(4):
        preview.finished_rows(now)
        assert ledger.view(now).rows() == before
        for tip in list(ledger.pool.tips):
            if chance.random() < 0.5:
                pending = ledger.pool.entries[tip]
                preview.forget(tip)
                assert preview.result(tip) is None
                if chance.random() < 0.5:
                    ledger.view(now)
                    assert preview.result(tip) is None
                preview.add(pending)
        assert ledger.view(now).rows() == before
        # Further than a slip of the clock, so ticks that ran too early are taken back.
        ledger.view(now + 90 * DAY_MS)
        assert ledger.view(now).rows() == before
    preview.state.rollback(0)
    assert preview.state.rows() == ledger.state.rows(), "below the journal lies the sealed state"


def test_an_entry_that_sorts_earlier_changes_what_follows() -> None:
    """Two want one offer: who signed first has it, whoever came first."""
    world = market()
    offer = world.offered("bo", "roast")
    now = world.now
    # Neither knows of the other's entry.
    early = world.sign("di", Accept(offer=offer), time=now + 5 * MINUTE_MS)
    late = world.sign("cy", Accept(offer=offer), time=now + 10 * MINUTE_MS)
    world.feed(late)
    assert world.outcome(late.id).reason is None
    world.feed(early)
    assert world.outcome(early.id).reason is None
    assert world.outcome(late.id).reason is Reason.OFFER_TAKEN
    assert world.ledger.preview.results()[-1].entry_id == late.id
    world.seal()
    assert world.outcome(late.id).reason is Reason.OFFER_TAKEN


@pytest.mark.parametrize(
    ("back", "still"),
    [(lambda due: due, True), (lambda due: due - CLOCK_BACK_MS, True), (lambda due: due - CLOCK_BACK_MS - 1, False)],
)
def test_a_clock_that_slips_back_undoes_nothing(back: Callable[[int], int], still: bool) -> None:
    """Up to a minute; further back, what fell due too early is taken back."""
    world = market()
    deal = world.delivered("bo", "cy", "roast")
    world.seal()
    due = world.ledger.state.due.order[0][0]
    assert deal in world.ledger.view(due - 1).deals
    assert deal not in world.ledger.view(due).deals
    assert (deal not in world.ledger.view(back(due)).deals) is still


def test_time_alone_goes_on() -> None:
    """Nothing pending: what is due falls due, entry by entry nothing is folded again, and a block says the same."""
    world = market()
    world.delivered("bo", "cy", "roast")
    world.seal()
    before = world.points("bo")
    world.wait(60 * DAY_MS)
    assert world.points("bo") == before + 12
    executed = world.seal()
    assert not executed.results and executed.ticks


def test_nobody_is_asked_about_what_is_not_pending() -> None:
    """Sealed entries and unknown ones have no result here; forgetting what is not there is nothing."""
    world: World = market()
    sealed = world.sent[-1].id
    world.view()
    assert world.ledger.preview.result(sealed) is None
    assert world.ledger.preview.result(bytes(32)) is None
    world.ledger.preview.forget(bytes(32))
    assert world.ledger.preview.results() == []
