"""Duty: how the teams are drawn, when they change, who is there, and who confirms what."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol.act import Act
from tallystick.protocol.charter import from_bytes, read_charter
from tallystick.protocol.duty import active_partners, confirmers, draw_teams, on_duty, start_cycle, term_at, term_before
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.state import State
from tallystick.protocol.totals import total
from tests.support.builders import DAY_MS, World
from tests.support.market import MARKET, market

TABLES: dict[str, Any] = {"sale": {"currency": "EUR"}, "donation": {"currency": "EUR"}}
DUTY = TABLES | {"duty": {"size": 2, "term": "10d"}}
LEDGER = b"\5" * 32


def names(world: World, ids: Any) -> set[str]:
    return {name for name, person in world.people.items() if person.member in ids}


def on(world: World) -> set[str]:
    """Who is on duty now."""
    return names(world, on_duty(world.view(), world.now))


# -- the draw ----------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_the_hashes() -> None:
    """H("duty", ledger id, cycle in eight bytes, partner), ascending."""
    partners = [bytes([number]) * 32 for number in range(7)]
    (team,) = draw_teams(LEDGER, 3, partners, 10)
    assert list(team) == sorted(partners, key=lambda who: tagged_hash("duty", LEDGER + b"\0" * 7 + b"\3" + who))
    assert team != draw_teams(LEDGER, 4, partners, 10)[0]


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 1000))
def test_everybody_is_in_one_team(count: int, size: int, cycle: int) -> None:
    """max(1, n // size) teams of `size`; the last has the remainder too."""
    partners = [number.to_bytes(32) for number in range(count)]
    teams = draw_teams(LEDGER, cycle, reversed(partners), size)
    assert len(teams) == max(1, count // size)
    assert sorted(who for team in teams for who in team) == partners
    assert all(len(team) == size for team in teams[:-1])
    assert len(teams[-1]) == count - size * (len(teams) - 1) < 2 * size


# -- terms and cycles --------------------------------------------------------------------------------------------------


def test_the_first_list_is_that_of_the_founding() -> None:
    """Whoever joins serves from the next cycle on; then teams of two take turns, a term each."""
    world = market(**DUTY)
    assert on(world) == {"ana"}
    world.wait(10 * DAY_MS)
    assert [tick.what for tick in world.seal().ticks] == ["duty.cycle"]
    row = world.ledger.state.duties[""]
    assert (row.cycle, row.term, [len(team) for team in row.teams]) == (1, 10 * DAY_MS, [2, 2])
    assert on(world) == names(world, row.teams[0])
    world.wait(10 * DAY_MS)
    assert not world.seal().ticks
    assert on(world) == names(world, row.teams[1])
    world.wait(10 * DAY_MS)
    assert [tick.what for tick in world.seal().ticks] == ["duty.cycle"]
    assert world.ledger.state.duties[""].cycle == 2


def test_a_cycle_of_this_very_moment_is_drawn_anew() -> None:
    """Whoever is let in at the founding itself is in the first list; its number is 0, and one tick ends it."""
    world = market(**DUTY)
    ledger = world.ledger
    state = State()
    state.load(ledger.state.rows().items())
    for member_id, member in list(state.members.items()):
        state.members.set(member_id, msgspec.structs.replace(member, probation_until=0))
    charter = from_bytes(state.charter_row.data)
    context = SimpleNamespace(charter=charter, history=world.history)
    row = state.duties[""]
    start_cycle(Act(state, context, row.start, ledger.id), charter.duty)
    again = state.duties[""]
    assert (again.cycle, again.start, [len(team) for team in again.teams]) == (0, row.start, [2, 2])
    assert list(state.due) == [again.due]
    assert total(state, "duty/cycles") == 1


def test_cycles_do_not_wait_for_blocks() -> None:
    """Nobody wrote for a hundred days: each cycle began when it was due."""
    world = market(**DUTY)
    world.wait(100 * DAY_MS)
    ticks = world.seal().ticks
    assert [(tick.time - ticks[0].time) // DAY_MS for tick in ticks] == [0, 20, 40, 60, 80]


def test_a_list_keeps_its_members_but_not_who_is_gone() -> None:
    """Away, suspended or departed: not on duty now. With nobody left of a team, every active partner is."""
    world = market(**DUTY)
    world.wait(10 * DAY_MS)
    world.seal()
    one, two = sorted(on(world))
    world.alter(one, away_until=world.now + DAY_MS)
    assert on(world) == {two}
    world.alter(two, suspended_from=world.now, suspended_until=world.now + DAY_MS)
    assert on(world) == set(world.people) - {two}
    world.wait(DAY_MS)
    assert on(world) == {one, two}
    world.alter(one, status="departed", departed=world.now)
    assert on(world) == {two}


def test_without_teams_the_treasurers_are_on_duty() -> None:
    """Nobody else, unless none of them is there."""
    world = market(**TABLES)
    assert on(world) == {"ana"}
    world.alter("cy", roles=("treasurer",))
    assert on(world) == {"ana", "cy"}
    world.join("ed", standing="contributor")
    world.alter("ed", roles=("treasurer",))
    world.alter("di", probation_until=world.now + 9 * DAY_MS)
    assert on(world) == {"ana", "cy"}
    world.alter("cy", probation_until=world.now + 9 * DAY_MS)
    world.alter("ana", away_until=world.now + 9 * DAY_MS)
    assert on(world) == {"ana", "bo", "cy", "di"}


def test_an_amendment_changes_the_next_cycle() -> None:
    """What was drawn is served; where there are no teams any more, the treasurers follow."""
    world = market(**DUTY)
    world.amend(MARKET | TABLES | {"duty": {"size": 4, "term": "20d"}})
    world.wait(10 * DAY_MS)
    world.seal()
    row = world.ledger.state.duties[""]
    assert ([len(team) for team in row.teams], row.term) == ([4], 20 * DAY_MS)
    world.amend(MARKET | TABLES)
    assert on(world) == {"ana", "bo", "cy", "di"}
    world.wait(20 * DAY_MS)
    world.seal()
    assert not world.ledger.state.duties and not world.ledger.state.due
    assert on(world) == {"ana"}


def test_an_amendment_can_bring_teams() -> None:
    """They begin with the new charter."""
    world = market(**TABLES)
    charter = read_charter(MARKET | DUTY)
    proposal = Propose(type="amend", charter=charter.bytes, replaces=world.view().charter_row.digest)
    entry = world.do("ana", proposal)
    world.seal()
    for name in world.people:
        world.do(name, Vote(proposal=entry, choice="yes"))
    for days in (2, 14):
        world.wait(days * DAY_MS)
        world.seal()
    assert world.ledger.state.charter_row.digest == charter.hash
    row = world.ledger.state.duties[""]
    assert (row.cycle, row.start, [len(team) for team in row.teams]) == (0, world.ledger.head.time, [2, 2])


def test_terms_are_found_by_their_moment() -> None:
    """The one that holds it and the one before, across the end of a cycle; an entry dated back finds the first."""
    world = market(**DUTY)
    founded = world.view().founding.time
    assert term_before(world.view(), world.now) is None
    world.wait(15 * DAY_MS)
    state = world.view()
    now, before = term_at(state, world.now), term_before(state, world.now)
    assert (now.start, now.end) == (founded + 10 * DAY_MS, founded + 20 * DAY_MS)
    assert before is not None
    assert (before.start, names(world, before.team)) == (founded, {"ana"})
    assert term_at(state, founded).start == now.start
    world.wait(10 * DAY_MS)
    again = term_before(world.view(), world.now)
    assert again is not None and again == now


# -- confirmations -----------------------------------------------------------------------------------------------------


def test_nobody_confirms_their_own_money() -> None:
    """Others on duty; else any other active partner, also on probation; the payer only where there is nobody else."""
    world = market(**TABLES)
    ids = {name: person.member for name, person in world.people.items()}

    def may(excluded: str) -> set[str]:
        return names(world, confirmers(world.view(), world.now, ids[excluded]))

    assert may("bo") == {"ana"}
    assert may("ana") == {"bo", "cy", "di"}
    world.alter("bo", probation_until=world.now + 9 * DAY_MS)
    assert may("ana") == {"bo", "cy", "di"}
    for name in ("bo", "cy", "di"):
        world.alter(name, status="departed", departed=world.now)
    assert may("ana") == {"ana"}
    assert active_partners(world.view(), world.now) == {ids["ana"]}


@pytest.mark.parametrize("name", ["ana", "bo"])
def test_a_cash_entry_waits_for_another_on_duty(name: str) -> None:
    """Not for its author, and not for somebody who is on duty later."""
    world = market("bo", **DUTY)
    world.wait(10 * DAY_MS)
    world.seal()
    other = "bo" if name == "ana" else "ana"
    entry = world.do(name, Cash(type="income", amount=5, category="sales"))
    assert not world.outcome(entry).postings
    assert world.refused(name, Receipt(entry=entry)) is Reason.NOT_ON_DUTY
    world.do(other, Receipt(entry=entry))
    assert world.view().balance("EUR", "cash") == 5


def test_a_report_keeps_what_the_book_said() -> None:
    """Counted and booked, side by side; nothing moves."""
    world = market(**DUTY)
    world.do("bo", Donate(amount=70))
    world.do("ana", Receipt(entry=world.sent[-1].id))
    start = term_at(world.view(), world.now).start
    report = world.do("ana", Report(period=start, counted={"EUR": 60, "CNY": 1}))
    assert not world.outcome(report).postings
    row = world.view().reports[start, world.people["ana"].member]
    assert row.counted == (("CNY", 1, 0), ("EUR", 60, 70))
    world.seal()


def test_where_nobody_is_on_duty_anybody_reports() -> None:
    """For the present term."""
    world = market(**DUTY)
    world.alter("ana", away_until=world.now + 9 * DAY_MS)
    world.do("bo", Report(period=term_at(world.view(), world.now).start, counted={}))
