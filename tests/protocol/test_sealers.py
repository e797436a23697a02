"""Who seals: asked, agreed, gone, benched and back; never too many at once, never nobody."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.act import Act
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.sealer import SealerOff, SealerOn
from tallystick.protocol.quorum import quorum
from tallystick.protocol.records import Device, KeyUse, Sealer
from tallystick.protocol.sealers import SEALERS_MAX, active_sealers, change_sealers
from tests.support.builders import DAY_MS, World, key
from tests.support.market import market

ABSENCE_MS = 14 * DAY_MS


def names(world: World) -> list[str]:
    """Who seals the next block, in order."""
    known = {person.member: name for name, person in world.people.items()}
    return [known[row.member] for row in active_sealers(world.ledger.state)]


def request(world: World, *people: str) -> None:
    for name in people:
        world.do(name, SealerOn(device=world.people[name].secret.public))


def agree(world: World, by: str, *people: str) -> None:
    for name in people:
        world.do(by, Admit(member=world.people[name].member, sealer=True))


def sealing(*people: str) -> World:
    """A market in which these seal, beside ana who founded it."""
    world = market()
    for name in people:
        request(world, name)
        for other in names(world):
            agree(world, other, name)
        world.seal()
    assert names(world) == ["ana", *people]
    return world


# -- coming ------------------------------------------------------------------------------------------------------------


def test_the_founder_seals_alone_at_first() -> None:
    """Nobody seals because of being a partner."""
    assert names(market()) == ["ana"]


def test_more_than_half_of_the_sealers_must_agree() -> None:
    """Of two that is both, of three two; whoever does not seal has no say in it."""
    world = sealing("bo")
    request(world, "cy")
    agree(world, "ana", "cy")
    agree(world, "di", "cy")
    world.seal()
    assert names(world) == ["ana", "bo"]
    agree(world, "bo", "cy")
    world.seal()
    assert names(world) == ["ana", "bo", "cy"]
    request(world, "di")
    agree(world, "cy", "di")
    agree(world, "ana", "di")
    world.seal()
    assert names(world) == ["ana", "bo", "cy", "di"]


def test_agreement_without_a_request_seals_nothing() -> None:
    """It is kept: the request may come later."""
    world = market()
    agree(world, "ana", "bo")
    world.seal()
    assert names(world) == ["ana"]
    request(world, "bo")
    world.seal()
    assert names(world) == ["ana", "bo"]


def test_they_come_one_by_one_in_the_order_of_their_requests() -> None:
    """At most a third at once, and one at least: a quorum never changes wholly from one block to the next."""
    world = market()
    request(world, "cy", "bo", "di")
    agree(world, "ana", "bo", "cy", "di")
    world.seal()
    assert names(world) == ["ana", "cy"]
    agree(world, "cy", "bo", "di")
    world.seal()
    assert names(world) == ["ana", "cy", "bo"]
    world.offered("ana", "roast")
    world.seal()
    assert names(world) == ["ana", "cy", "bo", "di"]


def test_a_role_of_the_charter_may_stand_for_agreement() -> None:
    """Who holds it seals on request; the others cannot agree to anybody else."""
    world = market(finality={"sealers": "role:roaster"})
    request(world, "bo", "cy")
    agree(world, "ana", "cy")
    world.seal()
    assert names(world) == ["ana"]
    world.alter("bo", roles=("roaster",))
    world.offered("ana", "roast")
    world.seal()
    assert names(world) == ["ana", "bo"]


def test_who_is_on_probation_or_away_does_not_come_yet() -> None:
    """The request waits."""
    world = market()
    world.alter("bo", away_until=world.now + 30 * DAY_MS)
    world.alter("cy", probation_until=world.now + 30 * DAY_MS)
    agree(world, "ana", "bo", "cy")
    request(world, "bo")
    assert world.refused("cy", SealerOn(device=world.people["cy"].secret.public)) is Reason.NOT_A_PARTNER
    world.seal()
    assert names(world) == ["ana"]
    world.wait(31 * DAY_MS)
    world.offered("ana", "roast")
    request(world, "cy")
    world.seal()
    assert names(world) == ["ana", "bo"]
    agree(world, "bo", "cy")
    world.seal()
    assert names(world) == ["ana", "bo", "cy"]


# -- going -------------------------------------------------------------------------------------------------------------


def test_who_goes_seals_no_more_from_the_next_block_on() -> None:
    """By `sealer.off` or by leaving; the block in which it is said has its sealers already."""
    world = sealing("bo", "cy")
    world.do("bo", SealerOff())
    executed = world.seal()
    assert len(executed.sealers) == 3 and names(world) == ["ana", "cy"]
    world.do("cy", Leave())
    world.seal()
    assert names(world) == ["ana"]


def test_the_last_one_stays_whatever_happens() -> None:
    """A ledger without sealers could never go on."""
    world = market()
    world.do("ana", SealerOff())
    world.seal()
    assert names(world) == ["ana"]
    world.do("ana", Leave())
    world.seal()
    assert names(world) == ["ana"]
    request(world, "bo")
    agree(world, "cy", "bo")
    world.seal()
    assert names(world) == ["ana"], "only those who seal can agree, and she has gone"


def test_they_go_one_by_one_too() -> None:
    """Two of three want to go: one now, one with the next block."""
    world = sealing("bo", "cy")
    world.do("cy", SealerOff())
    world.do("bo", SealerOff())
    world.seal()
    assert names(world) == ["ana", "cy"]
    world.offered("di", "roast")
    world.seal()
    assert names(world) == ["ana"]


def test_a_request_can_be_withdrawn_and_made_again() -> None:
    """It has another place then."""
    world = sealing("bo")
    request(world, "cy")
    world.do("cy", SealerOff())
    world.seal()
    assert all(row.member != world.people["cy"].member for row in world.ledger.state.sealers.values())
    request(world, "cy")
    world.seal()
    assert max(world.ledger.state.sealers.items())[1].member == world.people["cy"].member


def test_who_withdraws_a_request_does_not_seal_meanwhile() -> None:
    """Nobody has agreed to them; that one at most goes with a block is for those who seal."""
    world = market()
    request(world, "bo", "cy", "di")
    world.seal()
    for name in ("bo", "cy", "di"):
        world.do(name, SealerOff())
    executed = world.seal()
    assert names(world) == ["ana"]
    assert len(executed.sealers_next) == 1


def test_who_rests_and_says_that_it_goes_does_not_seal_again() -> None:
    """Whoever is on the bench is gone at once, though another one goes with the same block."""
    world = sealing("bo", "cy")
    world.alter("cy", away_until=world.now + 30 * DAY_MS)
    world.offered("ana", "roast")
    world.seal()
    assert names(world) == ["ana", "bo"]
    world.do("bo", SealerOff())
    world.do("cy", SealerOff())
    world.seal()
    assert names(world) == ["ana"]


# -- the bench ---------------------------------------------------------------------------------------------------------


def test_of_four_one_that_is_long_absent_is_benched_and_comes_back() -> None:
    """Neither a READY nor an entry for the time of the charter; its next sealed entry brings it back."""
    world = sealing("bo", "cy", "di")
    world.wait(ABSENCE_MS)
    for name in ("ana", "bo", "cy"):
        world.offered(name, "roast")
    world.seal()
    assert names(world) == ["ana", "bo", "cy"]
    world.offered("di", "roast")
    world.seal()
    assert names(world) == ["ana", "bo", "cy", "di"], "at its old place"


def test_of_three_nobody_is_benched() -> None:
    """Two of three decide, and of two both: benching one would make it harder."""
    world = sealing("bo", "cy")
    world.wait(2 * ABSENCE_MS)
    world.offered("ana", "roast")
    world.offered("bo", "roast")
    world.seal()
    assert names(world) == ["ana", "bo", "cy"]


def test_of_two_the_absent_one_is_benched() -> None:
    """Else one sleeping computer would stop everything for ever."""
    world = sealing("bo")
    world.wait(ABSENCE_MS)
    world.offered("ana", "roast")
    world.seal()
    assert names(world) == ["ana"]


def test_who_was_just_there_is_not_absent() -> None:
    """To the millisecond."""
    world = sealing("bo", "cy", "di")
    for name in ("ana", "bo", "cy", "di"):
        world.offered(name, "roast")
    seen = world.seal().time
    for name in ("ana", "bo", "cy"):
        world.offered(name, "bake")
    world.seal(seen + ABSENCE_MS - 1)
    assert names(world) == ["ana", "bo", "cy", "di"]
    world.do("ana", world.offer("bake"), time=seen + ABSENCE_MS)
    world.seal(seen + ABSENCE_MS)
    assert names(world) == ["ana", "bo", "cy"]


def test_who_comes_back_makes_no_room_for_the_bench() -> None:
    """A third of those who sealed this block, not of those who seal the next: of five one, though a sixth is back."""
    world = market()
    state = world.ledger.state
    template = state.members[world.people["ana"].member]
    act = Act(state, world.ledger.context(world.now), world.now, world.ledger.id)
    mark = state.mark()
    state.sealers.delete(0)
    for number in range(6):
        who = number.to_bytes(32)
        state.members.set(who, template)
        state.devices.set(who, Device(who, who, "all", "active", 0, b"", 0))
        state.keys.set(who, KeyUse("node", who))
        seen = world.now - ABSENCE_MS - 1 if number < 2 else world.now
        state.sealers.set(number, Sealer(who, who, who, "benched" if number == 5 else "active", seen))
    change_sealers(act, {(5).to_bytes(32)})
    assert [row.status for _, row in sorted(state.sealers.items())] == ["benched", *["active"] * 5]
    state.rollback(mark)


def test_a_ready_is_a_sign_of_life() -> None:
    """Whoever's node reported for the block was there, though its partner wrote nothing."""
    world = sealing("bo", "cy", "di")
    world.wait(ABSENCE_MS)
    world.offered("ana", "roast")
    ledger = world.ledger
    taken, _ = ledger.select(list(ledger.pool.tips), world.now)
    readers = tuple(key(name, "node").public for name in ("bo", "cy", "di"))
    executed = ledger.execute(taken, world.now, readers)
    assert [row.seen for row in executed.sealers_next] == [world.now] * 4


# -- whatever happens --------------------------------------------------------------------------------------------------


_STATUSES = st.sampled_from(["requested", "active", "active", "active", "benched", "leaving"])


@given(
    rows=st.lists(
        st.tuples(_STATUSES, st.integers(0, 40), st.booleans(), st.booleans(), st.booleans(), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_boundary_changes_too_much(rows: list[tuple[Any, int, bool, bool, bool, bool]]) -> None:
    """One block takes away or adds a third at most, but for the convicted; somebody always seals, never too many."""
    world = _WORLD
    state = world.ledger.state
    template = state.members[world.people["ana"].member]
    act = Act(state, world.ledger.context(world.now), world.now, world.ledger.id)
    mark = state.mark()
    try:
        for number in list(state.sealers):
            state.sealers.delete(number)
        authors = set()
        convicted = set()
        agreed = tuple(number.to_bytes(32) for number in range(len(rows)))
        for number, (status, days, gone, away, writes, lied) in enumerate(rows):
            who = number.to_bytes(32)
            fields: dict[str, Any] = {"status": "departed" if gone and days % 3 == 0 else "active", "agreed": agreed}
            fields["away_until"] = world.now + 1 if away and days % 4 == 0 else 0
            state.members.set(who, msgspec.structs.replace(template, **fields))
            state.devices.set(who, Device(who, who, "all", "active", 0, b"", 0))
            state.keys.set(who, KeyUse("convicted" if lied and days % 5 == 0 else "node", who))
            state.sealers.set(number, Sealer(who, who, who, status, world.now - days * DAY_MS))
            if lied and days % 5 == 0:
                convicted.add(who)
            if writes:
                authors.add(who)
        before = {row.member for row in active_sealers(state)}
        change_sealers(act, authors)
        after = {row.member for row in active_sealers(state)}
        room = max(1, len(before) // 3)
        assert len(after) <= max(SEALERS_MAX, len(before))
        if before:
            assert after
        # Who must go, who is away, and who is absent are each bounded; who comes back was agreed to before.
        assert len(before - after - convicted) <= 2 * room
        came = after - before
        benched_before = {who.to_bytes(32) for who, row in enumerate(rows) if row[0] == "benched"}
        assert len(came - benched_before) <= max(1, (len(before) + len(came & benched_before)) // 3)
        assert quorum(len(after)) <= len(after)
        order = [row.member for row in active_sealers(state)]
        assert order == sorted(order), "in the order of their numbers"
    finally:
        state.rollback(mark)


_WORLD = market()


@pytest.mark.parametrize("status", ["requested", "benched"])
def test_who_does_not_seal_is_not_counted(status: Any) -> None:
    """Only active ones and those who are about to go."""
    state = _WORLD.ledger.state
    mark = state.mark()
    row = next(iter(state.sealers.values()))
    state.sealers.set(90, msgspec.structs.replace(row, status=status))
    state.sealers.set(80, msgspec.structs.replace(row, status="leaving"))
    assert [each.status for each in active_sealers(state)] == ["active", "leaving"]
    state.rollback(mark)
