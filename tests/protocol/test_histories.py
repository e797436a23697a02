"""Made-up histories: whatever people write, in whatever order it comes, the books balance and everybody agrees."""

import copy
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import from_bytes
from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.state import State
from tests.support.builders import DAY_MS, HOUR_MS, World
from tests.support.histories import (
    EVENTS,
    MAKERS,
    TABLES,
    Event,
    Play,
    add,
    any_documents,
    copy_of,
    documents,
    everything,
    some_events,
    wild_bodies,
)
from tests.support.market import MARKET

_MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def played(document: dict[str, Any], events: list[Event], *, sealing: bool) -> World:
    world = everything(document)
    Play(world).run(events, sealing=sealing)
    return world


@given(documents(), EVENTS)
@_MODEST
def test_every_history_keeps_the_books(document: dict[str, Any], events: list[Event]) -> None:
    """Sums are 0, nobody owes, every escrow has its deal, and each block is what the preview said."""
    world = played(document, events, sealing=True)
    world.seal()
    world.wait(500 * DAY_MS)
    world.seal()
    state = world.ledger.state
    assert not state.deals and not state.draws, "every deal ends by itself"
    assert not any(path.startswith("POINT/escrow") for path in state.accounts)
    assert not state.claims and not state.corrections, "what nobody confirms lapses"
    assert all(row.due is None for row in state.money.values())


@given(any_documents(), EVENTS)
@_MODEST
def test_no_charter_makes_a_rule_fail(document: dict[str, Any], events: list[Event]) -> None:
    """Whatever a valid charter says: entries are void or work, ticks run, and the books balance."""
    world = played(document, events, sealing=True)
    world.seal()
    world.wait(500 * DAY_MS)
    world.seal()


@given(documents(), EVENTS)
@_MODEST
def test_a_state_is_its_rows(document: dict[str, Any], events: list[Event]) -> None:
    """Loaded from its rows it has the same rows, and goes on the same way."""
    world = played(document, events, sealing=True)
    world.seal()
    state = world.ledger.state
    rows = state.rows()
    again = State()
    again.load(rows.items())
    assert again.rows() == rows
    assert again.due.order == state.due.order
    assert again.offers.order == state.offers.order
    assert all(again.corrections.of(row.target) == key for key, row in state.corrections.items())
    for person in world.people.values():
        for step in (*from_bytes(state.charter_row.data).steps, ""):
            assert again.deals.of(person.member, step) == state.deals.of(person.member, step)
            assert again.offers.of(person.member, step) == state.offers.of(person.member, step)


@given(documents(), EVENTS)
@_MODEST
def test_a_history_is_computed_again(document: dict[str, Any], events: list[Event]) -> None:
    """From the founding, block by block, with an archive that knows already how everything ended."""
    world = played(document, events, sealing=True)
    world.seal()
    assert copy_of(world).head == world.ledger.head


@given(documents(), EVENTS, st.integers(0, 2**32))
@_MODEST
def test_the_order_of_arrival_does_not_matter(document: dict[str, Any], events: list[Event], seed: int) -> None:
    """Another node that hears the same entries in another order makes the same block of them, and the same preview."""
    world = everything(document)
    first = len(world.sent)
    Play(world).run(events, sealing=False)
    other = copy_of(world)
    waiting = world.sent[first:]
    chance = random.Random(seed)
    while waiting:
        ready = [entry for entry in waiting if all(map(other.knows, entry.parents))]
        entry = chance.choice(ready)
        waiting.remove(entry)
        add(other, entry)
        if chance.random() < 0.3:
            other.view(world.now - chance.choice([0, HOUR_MS, 40 * DAY_MS]))
    assert other.preview.finished_rows(world.now) == world.ledger.preview.finished_rows(world.now)
    executed = world.seal()
    taken, unknown = other.select(list(other.pool.tips), executed.time)
    assert not unknown
    again = other.execute(taken, executed.time, ())
    assert again.results == executed.results
    assert (again.state_root, again.log_root) == (executed.state_root, executed.log_root)


def test_a_play_comes_to_everything() -> None:
    """Each kind that the makers know is written, and works, in some history; most are also refused in some.

    Half of the histories are without people who go and without votes, so that work comes to its end in them; in a
    third every deal of some size needs a third partner.
    """
    worked: set[str] = set()
    void: set[str] = set()
    for seed in range(20):
        document = copy.deepcopy(MARKET) | TABLES
        for step in document["step"]:
            step["cosign-above"] = 30 * (seed % 3 == 0)
        world = everything(document)
        world.book("EUR", "cash", f"payable/{world.people['bo'].member.hex()}", 500)
        of_work = {name: maker for name, maker in MAKERS.items() if name not in ("people", "votes")}
        play = Play(world, of_work if seed % 2 else MAKERS)
        play.run(some_events(random.Random(seed), 200), sealing=True)
        for kind, ids in play.sent.items():
            for entry_id in ids:
                (worked if world.outcome(entry_id).reason is None else void).add(kind)
    known = {body.KIND for body in wild_bodies(bytes(32), 1)} | {"donate", "propose", "away", "back", "leave"}
    assert known - worked == set()
    assert known - void <= {"donate"}
    assert known <= set(KINDS)
