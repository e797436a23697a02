"""Deals while something else changes: the charter, roles, somebody away, suspended or departed."""

import copy
from typing import Any

import pytest

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tests.support.builders import DAY_MS, World
from tests.support.market import MARKET, market


@pytest.fixture
def world() -> World:
    return market()


def market_with(step: str, **fields: Any) -> dict[str, Any]:
    """The charter of the market with some settings of one step replaced."""
    document = copy.deepcopy(MARKET)
    next(row for row in document["step"] if row["id"] == step).update(fields)
    return document


def market_without(step: str) -> dict[str, Any]:
    document = copy.deepcopy(MARKET)
    document["step"] = [row for row in document["step"] if row["id"] != step]
    return document


# -- another charter ---------------------------------------------------------------------------------------------------


def test_an_offer_of_yesterdays_terms_cannot_be_accepted(world: World) -> None:
    """Whoever accepts signs the terms in force, or nothing."""
    offer = world.offered("bo", "roast")
    world.amend(market_with("roast", price=13))
    assert world.refused("ana", Accept(offer=offer)) is Reason.TERMS_CHANGED
    world.accepted("bo", "ana", "roast")


def test_an_offer_of_a_step_that_is_gone_cannot_be_accepted(world: World) -> None:
    """Nothing is in force for it."""
    offer = world.offered("bo", "roast")
    world.amend(market_without("roast"))
    assert world.refused("ana", Accept(offer=offer)) is Reason.TERMS_CHANGED


def test_what_is_no_term_may_change_under_an_offer(world: World) -> None:
    """Budgets and roles are those of the day of the acceptance."""
    offer = world.offered("bo", "roast", 2)
    world.amend(market_with("roast", budget=23))
    assert world.refused("ana", Accept(offer=offer)) is Reason.BUDGET_EXHAUSTED
    world.amend(market_with("roast", budget=24))
    world.do("ana", Accept(offer=offer))


def test_a_deal_keeps_its_terms_for_life(world: World) -> None:
    """Price, review, grade and silence are those that both signed, even when the step is gone."""
    deal = world.delivered("bo", "ana", "roast", 2)
    other = world.delivered("bo", "ana", "sing", 2)
    world.amend(market_without("roast"))
    world.wait(7 * DAY_MS)
    assert world.points("bo") == 100 + 24 + 20
    world.seal()
    assert world.deal(deal).status == world.deal(other).status == "approved"


def test_excellence_is_paid_by_the_budget_of_the_day(world: World) -> None:
    """The charter of the approval decides whether there is more than the gross, not that of the acceptance."""
    for document, paid in (
        (market_with("sing", budget=20), 20),
        (market_with("sing", budget=1_000), 30),
        (market_with("sing", budget=1_000, period="1d"), 30),
        (market_without("sing"), 20),
    ):
        world.amend(MARKET)
        deal = world.delivered("bo", "ana", "sing", 2)
        world.amend(document)
        before = world.points("bo")
        world.do("ana", Approve(deal=deal, grade=150))
        assert world.points("bo") - before == paid
    world.seal()


def test_a_shorter_period_does_not_change_what_returns(world: World) -> None:
    """What was committed returns to the counter in which it was, by the length of its own day."""
    deal = world.accepted("bo", "ana", "roast", 2)
    world.amend(market_with("roast", period="10d"))
    other = world.accepted("bo", "ana", "roast", 1)
    assert sorted(row.value for row in world.view().counts.values()) == [12, 12, 24, 24]
    world.do("bo", Cancel(deal=deal))
    assert sorted(row.value for row in world.view().counts.values()) == [12, 12]
    world.do("bo", Cancel(deal=other))
    assert not world.view().counts
    world.seal()


# -- roles -------------------------------------------------------------------------------------------------------------


def test_a_role_is_needed_on_the_day_of_the_offer_and_of_the_acceptance(world: World) -> None:
    """Whoever loses it in between has no deal."""
    world.alter("bo", roles=("roaster",))
    world.alter("cy", roles=("taster",))
    offer = world.offered("bo", "guild", copies=2)
    world.do("cy", Accept(offer=offer))
    assert world.refused("di", Accept(offer=offer)) is Reason.ROLE
    world.alter("bo", roles=())
    assert world.refused("ana", Accept(offer=offer)) is Reason.ROLE


# -- away --------------------------------------------------------------------------------------------------------------


def test_the_review_is_longer_while_the_buyer_is_away(world: World) -> None:
    """By the time it is away from the delivery on, up to fourteen days in all per deal."""
    deal = world.accepted("bo", "ana", "roast")
    world.alter("ana", away_until=world.now + 10 * DAY_MS)
    world.do("bo", Deliver(deal=deal, units=1))
    row = world.deal(deal)
    away = world.view().members[world.people["ana"].member].away_until
    assert row.due is not None and row.due[0] == away + 7 * DAY_MS
    world.do("ana", Return(deal=deal))
    world.alter("ana", away_until=world.now + 100 * DAY_MS)
    world.do("bo", Deliver(deal=deal, units=1))
    first, row = row.away, world.deal(deal)
    assert (first < row.away, row.away) == (True, 14 * DAY_MS)
    assert row.due is not None and row.due[0] == row.delivered_at + 7 * DAY_MS + 14 * DAY_MS - first


def test_the_review_is_not_shorter_because_somebody_was_away_once(world: World) -> None:
    """Who is back is there."""
    deal = world.accepted("bo", "ana", "roast")
    world.alter("ana", away_until=world.now - 10 * DAY_MS)
    world.do("bo", Deliver(deal=deal, units=1))
    row = world.deal(deal)
    assert row.due is not None and row.due[0] == world.now + 7 * DAY_MS


# -- suspended ---------------------------------------------------------------------------------------------------------


def test_a_suspended_partner_finishes_what_it_began(world: World) -> None:
    """It neither offers nor accepts nor cosigns, but delivers and approves."""
    sold = world.accepted("bo", "ana", "roast")
    bought = world.delivered("ana", "bo", "roast")
    offer = world.offered("bo", "roast")
    waiting = world.delivered("ana", "cy", "carve", 11)
    world.do("cy", Approve(deal=waiting))
    world.alter("bo", suspended_from=world.now, suspended_until=world.now + 30 * DAY_MS)
    assert world.refused("bo", world.offer("roast")) is Reason.NOT_ACTIVE
    assert world.refused("bo", Accept(offer=world.offered("cy", "roast"))) is Reason.NOT_ACTIVE
    assert world.refused("bo", Cosign(deal=waiting)) is Reason.NOT_ACTIVE
    assert world.refused("ana", Accept(offer=offer)) is Reason.NOT_ACTIVE
    world.do("bo", Deliver(deal=sold, units=1))
    world.do("bo", Approve(deal=bought))
    world.wait(30 * DAY_MS)
    world.offered("bo", "roast")


def test_who_is_suspended_is_not_asked_to_cosign(world: World) -> None:
    """With nobody who could, nobody has to."""
    deal = world.delivered("bo", "ana", "carve", 11)
    for name in ("cy", "di"):
        world.alter(name, suspended_from=world.now, suspended_until=world.now + 30 * DAY_MS)
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 210
    world.seal()


# -- departed ----------------------------------------------------------------------------------------------------------


def test_who_has_departed_decides_what_was_delivered_before(world: World) -> None:
    """And nothing else."""
    before = [world.delivered("bo", "cy", "roast") for _ in range(3)]
    open_deal = world.accepted("bo", "cy", "roast")
    world.alter("cy", status="departed", departed=world.now)
    world.do("bo", Deliver(deal=open_deal, units=1))
    for body in (Approve(deal=open_deal), Reject(deal=open_deal), Return(deal=open_deal)):
        assert world.refused("cy", body) is Reason.NOT_ACTIVE
    world.do("cy", Approve(deal=before[0]))
    world.do("cy", Reject(deal=before[1]))
    world.do("cy", Return(deal=before[2]))
    assert world.refused("cy", world.offer("roast")) is Reason.NOT_ACTIVE
    assert world.refused("cy", Cancel(deal=open_deal)) is Reason.NOT_ACTIVE
    assert world.refused("bo", world.offer("roast", to="cy")) is Reason.NOT_ACTIVE


def test_silence_decides_for_who_has_departed(world: World) -> None:
    """And the seller is paid."""
    deal = world.delivered("bo", "cy", "roast")
    world.alter("cy", status="departed", departed=world.now)
    world.wait(7 * DAY_MS)
    assert world.points("bo") == 112
    world.seal()
    assert world.deal(deal).status == "approved"


def test_an_inviter_who_has_departed_earns_nothing_more() -> None:
    """What its guests earn is no longer its business."""
    world = market("bo", "cy", referral={"percent": 50})
    deal = world.delivered("bo", "cy", "roast")
    world.alter("ana", status="departed", departed=world.now)
    world.do("cy", Approve(deal=deal))
    assert (world.points("ana"), world.points("bo")) == (100, 112)
    world.seal()


def test_pay_that_reaches_somebody_departed_is_vested() -> None:
    """There is no staying that could ripen it."""
    world = market("bo", vesting={"cliff": "10d", "duration": "100d"})
    deal = world.delivered("bo", "ana", "roast")
    world.alter("bo", status="departed", departed=world.now)
    world.do("ana", Approve(deal=deal))
    assert [lot.terms.duration for lot in world.view().lots.of(world.people["bo"].member)] == [100 * DAY_MS, 0]
    world.seal()
