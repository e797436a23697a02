"""Disputes: who is drawn, what the panel decides, and what time decides without it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol.disputes import drawn, eligible, lower_median
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.totals import total
from tests.support.builders import DAY_MS, World
from tests.support.governance import proposal, proposed, vote
from tests.support.market import market

WINDOW_MS = 5 * DAY_MS
PANEL = {"dispute": {"window": "5d", "panel": 3}}
OTHERS = ("bo", "cy", "di", "ed", "fay", "gus")


@pytest.fixture
def world() -> World:
    return market(*OTHERS, **PANEL)


def disputed(world: World, step: str = "roast", units: int = 2, **approval: Any) -> bytes:
    """A deal of bo's that ana has rejected, or approved like this, and that bo disputes; the dispute is sealed."""
    deal = world.delivered("bo", "ana", step, units)
    world.do("ana", Approve(deal=deal, **approval) if approval else Reject(deal=deal))
    world.do("bo", Dispute(deal=deal))
    world.seal()
    return deal


def panel(world: World, deal: bytes) -> list[str]:
    """Names of the panel, in the order of the draw."""
    names = {person.member: name for name, person in world.people.items()}
    return [names[member] for member in world.view().deals[deal].panel]


# -- the draw ----------------------------------------------------------------------------------------------------------


def test_the_lowest_hashes_of_block_deal_and_partner_decide(world: World) -> None:
    """The block is the one that sealed the dispute; neither side is drawn."""
    deal = disputed(world)
    block_id = world.ledger.head.block_id
    others = [world.people[name].member for name in OTHERS[1:]]
    order = sorted(others, key=lambda who: tagged_hash("panel", block_id + deal + who))
    assert world.view().deals[deal].panel == tuple(order[:3])
    world.seal()
    assert world.ledger.state.deals[deal].panel == tuple(order[:3])
    assert not world.ledger.state.draws


@given(st.integers(0, 9), st.integers(0, 9), st.binary(min_size=32, max_size=32))
def test_a_draw_depends_on_nothing_but_its_three_parts(count: int, size: int, block_id: bytes) -> None:
    """Not on the order in which partners are listed, and a larger panel begins with the smaller one."""
    could_sit = tuple(number.to_bytes(32) for number in range(count))
    one = drawn(block_id, b"\1" * 32, could_sit, size)
    assert len(one) == min(size, count) == len(set(one))
    assert drawn(block_id, b"\1" * 32, could_sit[::-1], size) == one
    assert drawn(block_id, b"\1" * 32, could_sit, size + 1)[: len(one)] == one


def test_the_panel_is_of_those_who_were_there_when_it_was_disputed(world: World) -> None:
    """Not the newcomers of the same block, nor who was away; who leaves in that block can still be drawn."""
    world.alter("cy", away_until=world.now + DAY_MS)
    world.alter("di", suspended_from=world.now, suspended_until=world.now + DAY_MS)
    world.alter("ed", probation_until=world.now + DAY_MS)
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Reject(deal=deal))
    sides = (world.people["bo"].member, world.people["ana"].member)
    there = {world.people[name].member for name in ("fay", "gus")}
    assert set(eligible(world.view(), world.now, *sides)) == there
    world.do("bo", Dispute(deal=deal))
    world.join("hal")
    world.do("fay", Leave())
    world.seal()
    assert set(world.view().deals[deal].panel) == there
    assert world.refused("hal", Verdict(deal=deal, grade=100)) is Reason.NOT_ON_PANEL
    world.do("gus", Verdict(deal=deal, grade=100))
    # One of the panel has left: the time of the window decides.
    assert world.deal(deal).status == "disputed"
    world.wait(WINDOW_MS)
    assert world.deal(deal).status == "approved"
    world.seal()


def test_nobody_decides_before_the_draw(world: World) -> None:
    """A verdict in the block of the dispute is void, whoever gives it; the block after knows the panel."""
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Reject(deal=deal))
    world.do("bo", Dispute(deal=deal))
    for name in OTHERS[1:]:
        assert world.refused(name, Verdict(deal=deal, grade=100)) is Reason.TOO_EARLY
    world.seal()
    name = panel(world, deal)[0]
    world.do(name, Verdict(deal=deal, grade=100))
    world.seal()
    assert len(world.ledger.state.deals[deal].verdicts) == 1


def test_a_dispute_that_ends_in_its_block_leaves_nothing(world: World) -> None:
    """Nothing is drawn for a deal that is over."""
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Reject(deal=deal))
    world.do("bo", Dispute(deal=deal))
    assert len(world.view().draws) == 1
    world.do("ana", Approve(deal=deal))
    executed = world.seal()
    assert not world.ledger.state.draws and not executed.ticks
    world.seal()


# -- what is decided ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grades", "median"), [([7], 7), ([9, 1], 1), ([5, 0, 9], 5), ([4, 3, 2, 1], 2), ([100, 100, 0, 0, 50], 50)]
)
def test_of_two_in_the_middle_the_lower_counts(grades: list[int], median: int) -> None:
    """Whatever the order in which they came."""
    assert lower_median(grades) == median


def test_the_panel_decides_when_all_have_spoken(world: World) -> None:
    """Three verdicts, the one in the middle; the rest of the escrow returns, also to the budget."""
    deal = disputed(world)
    names = panel(world, deal)
    for name, grade in zip(names, (100, 0, 80), strict=True):
        assert world.deal(deal).status == "disputed"
        world.do(name, Verdict(deal=deal, grade=grade))
    row = world.deal(deal)
    # 2 x 12 x 80% = 19
    assert (row.status, row.grade, row.approved, row.paid) == ("approved", 80, 2, 19)
    assert (world.points("bo"), world.escrow(deal)) == (119, 0)
    counts = [count.value for (_, _, who), count in world.view().counts.items() if not who]
    assert counts == [19]
    assert not world.seal().ticks


def test_the_verdicts_so_far_decide_at_the_end_of_the_window(world: World) -> None:
    """Two of three, of whom the lower counts."""
    deal = disputed(world)
    for name, grade in zip(panel(world, deal)[:2], (100, 60), strict=True):
        world.do(name, Verdict(deal=deal, grade=grade))
    world.wait(WINDOW_MS)
    executed = world.seal()
    assert [tick.what for tick in executed.ticks] == ["deal.disputed"]
    assert (world.deal(deal).status, world.points("bo")) == ("approved", 114)


def test_without_a_verdict_a_rejection_stands(world: World) -> None:
    """As if there had been no dispute, but later."""
    deal = disputed(world)
    world.wait(WINDOW_MS)
    assert world.seal().closed[deal].status == "returned"
    assert world.points("bo") == 100


def test_without_a_verdict_a_reduced_approval_stands(world: World) -> None:
    """What was held returns."""
    deal = disputed(world, "bake", 4, grade=50)
    assert (world.points("bo"), world.escrow(deal), world.points("ana")) == (120, 20, 60)
    world.wait(WINDOW_MS)
    assert world.seal().closed[deal].status == "approved"
    assert (world.points("bo"), world.points("ana")) == (120, 80)
    assert world.deal(deal).grade == 50


def test_where_there_is_nobody_for_a_panel_time_decides() -> None:
    """In a ledger of two a dispute changes nothing but the time."""
    world = market("bo")
    deal = disputed(world)
    assert world.view().deals[deal].panel == ()
    world.wait(WINDOW_MS)
    assert world.seal().closed[deal].status == "returned"


def test_a_panel_never_takes_away(world: World) -> None:
    """A lower grade than the buyer's leaves the approval as it was."""
    deal = disputed(world, "bake", 4, grade=50)
    for name in panel(world, deal):
        world.do(name, Verdict(deal=deal, grade=10))
    row = world.deal(deal)
    assert (row.status, row.grade, row.approved, row.paid) == ("approved", 50, 4, 20)
    assert (world.points("bo"), world.points("ana")) == (120, 80)
    world.seal()


def test_a_panel_that_finds_nothing_has_decided() -> None:
    """After a rejection the deal is approved with an award of 0."""
    world = market("bo", "cy")
    deal = disputed(world)
    world.do("cy", Verdict(deal=deal, grade=0))
    row = world.deal(deal)
    assert (row.status, row.grade, row.paid) == ("approved", 0, 0)
    world.seal()


def test_lateness_counts_in_a_verdict_too() -> None:
    """Ten units a day late: 90 of 100, whatever the panel finds of the work."""
    world = market("bo", "cy")
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "print", 10, deadline=deadline)
    world.do("bo", Deliver(deal=deal, units=10), time=deadline + 1)
    world.do("ana", Reject(deal=deal))
    world.do("bo", Dispute(deal=deal))
    world.seal()
    verdict = world.do("cy", Verdict(deal=deal, grade=50))
    assert world.outcome(verdict).postings[0].formula == "10 x 10 x 50% x 90% (late) = 45"
    world.seal()


def test_excellence_is_limited_by_who_pays() -> None:
    """A buyer without points gives no more than what lies in escrow."""
    world = market("bo", "cy")
    deal = disputed(world, "tune", 6)
    verdict = world.do("cy", Verdict(deal=deal, grade=200))
    assert world.outcome(verdict).postings[0].formula == "6 x 10 x 200% = 120, limited to 60"
    assert (world.points("bo"), world.points("ana")) == (160, 40)
    world.seal()


def test_a_verdict_needs_no_cosignature() -> None:
    """Others have decided."""
    world = market("bo", "cy", "di")
    deal = disputed(world, "carve", 20)
    (name,) = panel(world, deal)
    world.do(name, Verdict(deal=deal, grade=100))
    assert world.points("bo") == 300
    world.seal()


def test_an_inviter_earns_with_what_a_panel_gives() -> None:
    """Each payment is a base of its own."""
    world = market("bo", "cy", referral={"percent": 50})
    deal = disputed(world, "roast", 2, grade=50)
    assert (world.points("ana"), world.points("bo")) == (106, 112)
    world.do("cy", Verdict(deal=deal, grade=100))
    assert (world.points("ana"), world.points("bo")) == (112, 124)
    world.seal()


def test_units_are_counted_once(world: World) -> None:
    """What a panel approves counts for the objective, without what the buyer had approved before."""
    rejected, reduced, stands = disputed(world), disputed(world, units=2, grade=50), disputed(world, units=3)
    partly = world.delivered("bo", "ana", "roast", 5)
    world.do("ana", Approve(deal=partly, units=1))
    world.do("bo", Dispute(deal=partly))
    world.seal()
    assert total(world.view(), "units/roast") == 2 + 1
    for deal in (rejected, reduced, partly):
        for name in panel(world, deal):
            world.do(name, Verdict(deal=deal, grade=100))
    assert total(world.view(), "units/roast") == 2 + 2 + 5
    world.wait(WINDOW_MS)
    assert world.deal(stands).status == "returned"
    assert total(world.view(), "units/roast") == 9
    world.seal()


# -- while it is disputed ----------------------------------------------------------------------------------------------


def test_the_buyer_may_think_again_while_its_rejection_is_disputed(world: World) -> None:
    """The panel has nothing left to decide, unless the approval is a reduced one and disputed again."""
    deal = disputed(world)
    names = panel(world, deal)
    world.do(names[0], Verdict(deal=deal, grade=100))
    world.do("ana", Approve(deal=deal, grade=50))
    row = world.deal(deal)
    assert (row.status, row.held, row.panel, row.verdicts) == ("approved", 12, (), ())
    assert world.refused(names[1], Verdict(deal=deal, grade=100)) is Reason.STATE
    world.do("bo", Dispute(deal=deal))
    world.seal()
    for name in panel(world, deal):
        world.do(name, Verdict(deal=deal, grade=100))
    assert world.points("bo") == 124
    world.seal()


def test_an_approval_during_a_dispute_may_need_a_cosignature(world: World) -> None:
    """Without it, it is a rejection again, which can be disputed again."""
    deal = disputed(world, "carve", 11)
    world.do("ana", Approve(deal=deal))
    assert world.deal(deal).status == "waiting"
    world.seal()
    world.wait(3 * DAY_MS)
    assert world.deal(deal).status == "rejected"
    world.do("bo", Dispute(deal=deal))
    world.do("ana", Approve(deal=deal))
    world.do("cy", Cosign(deal=deal))
    assert world.points("bo") == 210
    world.seal()


def test_nobody_changes_what_is_disputed(world: World) -> None:
    """Neither side, but for the approval above; and not even that where there has been an approval."""
    deal = disputed(world, "bake", 4, grade=50)
    for name in ("ana", "bo"):
        assert world.refused(name, Cancel(deal=deal)) is Reason.STATE
    assert world.refused("ana", Approve(deal=deal)) is Reason.STATE
    assert world.refused("ana", Reject(deal=deal)) is Reason.STATE
    assert world.refused("bo", Dispute(deal=deal)) is Reason.STATE
    assert world.refused("cy", Cosign(deal=deal)) is Reason.STATE


def test_a_dispute_comes_within_the_window(world: World) -> None:
    """Its last millisecond is the one before the end."""
    deal = world.delivered("bo", "ana", "roast")
    rejected = world.do("ana", Reject(deal=deal))
    end = world.outcome(rejected).at + WINDOW_MS
    world.do("bo", Dispute(deal=deal), time=end - 1)
    row = world.deal(deal)
    assert row.due is not None and row.due[0] == end - 1 + WINDOW_MS


def test_the_budget_of_a_later_period_is_not_touched(world: World) -> None:
    """What the panel leaves returns after the period of the acceptance: it stays committed."""
    world.wait(29 * DAY_MS)
    disputed(world)
    world.wait(WINDOW_MS)
    world.seal()
    assert [count.value for (_, _, who), count in world.view().counts.items() if not who] == [24]


def test_a_complete_sale_decides_by_the_verdicts_so_far() -> None:
    """Without any, what the buyer decided stands; a dispute of the last block has no panel yet."""
    world = market(*OTHERS, **PANEL, sale={"currency": "EUR"})
    judged, unjudged, reduced = disputed(world), disputed(world), disputed(world, grade=50)
    world.do(panel(world, judged)[0], Verdict(deal=judged, grade=75))
    sale = proposed(world, "ana", "sale", proceeds=1_000)
    last = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Reject(deal=last))
    world.do("bo", Dispute(deal=last))
    executed = vote(world, sale, **dict.fromkeys(world.people, "yes"))
    assert proposal(world, sale).status == "passed"
    ended = {deal: (row.status, row.paid) for deal, row in executed.closed.items()}
    assert ended == {
        judged: ("approved", 18),
        unjudged: ("returned", 0),
        reduced: ("approved", 12),
        last: ("returned", 0),
    }
    assert not world.ledger.state.deals and not world.ledger.state.draws
    assert world.refused("bo", Dispute(deal=last)) is Reason.SOLD
