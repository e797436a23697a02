"""Work that no step describes: what the pool pays for needs others who want it, what a buyer pays for does not."""

from typing import Any

import pytest

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.endorse import Endorse
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.support.builders import DAY_MS, World
from tests.support.market import MARKET, market

OPEN: dict[str, Any] = {
    "max": 60,
    "endorse": 2,
    "budget": 100,
    "period": "10d",
    "review": "2d",
    "on-silence": "lapse",
}


@pytest.fixture
def world() -> World:
    return market(open=OPEN)


def endorsed(world: World, points: int, *names: str, by: str = "bo", **more: Any) -> bytes:
    """An open offer that these have endorsed."""
    offer = world.do(by, world.open_offer(points, **more))
    for name in names:
        world.do(name, Endorse(offer=offer))
    return offer


def committed(world: World) -> list[tuple[str, int]]:
    return [(who, row.value) for (rule, _, who), row in world.view().counts.items() if rule.startswith("open.")]


def test_an_idea_that_others_want_is_paid_by_the_pool(world: World) -> None:
    """From the offer to the pay, and what is counted meanwhile."""
    offer = endorsed(world, 50, "cy", "di")
    deal = world.do("ana", Accept(offer=offer))
    row = world.deal(deal)
    assert (row.step, row.units, row.gross, row.period) == ("", 1, 50, 10 * DAY_MS)
    assert (world.escrow(deal), committed(world)) == (50, [("", 50)])
    world.do("bo", Deliver(deal=deal, units=1))
    approval = world.do("ana", Approve(deal=deal, grade=90))
    assert [(p.rule, p.amount, p.formula) for p in world.outcome(approval).postings] == [
        ("open", 45, "1 x 50 x 90% = 45")
    ]
    world.seal()
    assert world.points("bo") == 145


def test_the_acceptors_own_word_does_not_count(world: World) -> None:
    """Nor does it hinder."""
    offer = endorsed(world, 50, "cy", "ana")
    assert world.refused("ana", Accept(offer=offer)) is Reason.NOT_ENDORSED
    world.do("di", Accept(offer=offer))


def test_no_more_endorsements_are_asked_than_there_can_be() -> None:
    """In a ledger of three there is one who is neither side; in one of two, nobody."""
    world = market("bo", "cy", open=OPEN)
    offer = endorsed(world, 50)
    assert world.refused("ana", Accept(offer=offer)) is Reason.NOT_ENDORSED
    world.do("cy", Endorse(offer=offer))
    world.do("ana", Accept(offer=offer))
    world = market("bo", open=OPEN)
    world.do("ana", Accept(offer=endorsed(world, 50)))


def test_an_endorsement_stays_when_its_author_leaves(world: World) -> None:
    """What was given was given."""
    offer = endorsed(world, 50, "cy", "di")
    world.alter("cy", status="departed", departed=world.now)
    world.do("ana", Accept(offer=offer))


def test_what_a_buyer_pays_needs_nobody(world: World) -> None:
    """Nor is it counted, or limited by anything but what the buyer has."""
    offer = endorsed(world, 90, payer="buyer", deadline=world.now + DAY_MS)
    deal = world.do("ana", Accept(offer=offer))
    assert (world.points("ana"), world.escrow(deal), committed(world)) == (10, 90, [])
    world.do("bo", Deliver(deal=deal, units=1), time=world.now + 5 * DAY_MS)
    world.do("ana", Approve(deal=deal))
    # Open offers know no lateness.
    assert world.points("bo") == 190
    world.seal()


def test_a_buyer_offers_what_it_wants(world: World) -> None:
    """The side says who works."""
    offer = endorsed(world, 90, side="buy", payer="buyer", by="ana")
    deal = world.do("bo", Accept(offer=offer))
    assert world.deal(deal).seller == world.people["bo"].member
    assert world.refused("cy", Accept(offer=endorsed(world, 101, side="buy", payer="buyer"))) is Reason.BALANCE


def test_open_offers_share_one_budget(world: World) -> None:
    """100 in ten days, whoever the sides are; what returns in time can be used again."""
    first = world.do("ana", Accept(offer=endorsed(world, 60, "cy", "di")))
    second = endorsed(world, 50, "ana", "di", by="cy")
    assert world.refused("bo", Accept(offer=second)) is Reason.BUDGET_EXHAUSTED
    world.do("bo", Cancel(deal=first))
    assert committed(world) == []
    world.do("bo", Accept(offer=second))
    world.wait(10 * DAY_MS)
    world.do("ana", Accept(offer=endorsed(world, 60, "cy", "di")))
    world.seal()


def test_an_empty_pool_pays_for_no_idea() -> None:
    """Whatever the budget says."""
    world = market("bo", points={"pool": 50, "start": 10}, open=OPEN)
    assert world.refused("ana", Accept(offer=endorsed(world, 31))) is Reason.POOL_EMPTY


def test_silence_is_what_the_table_says(world: World) -> None:
    """Review and on-silence of `[open]`."""
    deal = world.do("ana", Accept(offer=endorsed(world, 50, "cy", "di")))
    world.do("bo", Deliver(deal=deal, units=1))
    world.seal()
    world.wait(2 * DAY_MS)
    assert world.deal(deal).status == "rejected"


def test_the_terms_are_those_of_the_acceptance(world: World) -> None:
    """Another review is another agreement; another maximum, budget or number of endorsements is not, but binds."""
    offer = endorsed(world, 50, "cy", "di")
    document = {"open": OPEN}
    world.amend(_market(open=OPEN | {"review": "3d"}))
    assert world.refused("ana", Accept(offer=offer)) is Reason.TERMS_CHANGED
    world.amend(_market())
    assert world.refused("ana", Accept(offer=offer)) is Reason.TERMS_CHANGED
    world.amend(_market(open=OPEN | {"max": 49}))
    assert world.refused("ana", Accept(offer=offer)) is Reason.CAP
    world.amend(_market(**document))
    world.do("ana", Accept(offer=offer))


def test_a_maximum_of_zero_is_none() -> None:
    """0 is unlimited."""
    world = market("bo", open=OPEN | {"max": 0})
    world.do("ana", Accept(offer=endorsed(world, 100)))


def test_open_offers_have_no_most_number(world: World) -> None:
    """As many as one likes."""
    offers = [world.do("bo", world.open_offer(1)) for _ in range(25)]
    world.do("bo", Withdraw(offer=offers[0]))
    world.seal()
    assert len(world.view().offers) == 24


def _market(**tables: Any) -> dict[str, Any]:

    return MARKET | tables
