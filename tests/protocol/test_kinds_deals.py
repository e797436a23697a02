"""The kinds of a deal, one by one: what each accepts, and every reason for which it is void."""

from typing import Any

import msgspec
import pytest

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver, Evidence
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.records_deal import Terms
from tests.support.builders import DAY_MS, World
from tests.support.market import MARKET, market

ID = b"\7" * 32
TERMS = Terms(12, "pool", 7 * DAY_MS, "approve", 0, 100, 100, 0)


@pytest.fixture
def world() -> World:
    return market()


# -- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        Offer(side="sell", step="roast", units=3, terms=TERMS),
        Offer(side="buy", units=1, terms=TERMS, to=ID, deadline=5, expires=6, copies=7),
        Withdraw(offer=ID),
        Accept(offer=ID),
        Deliver(deal=ID, units=1),
        Deliver(deal=ID, units=1, evidence=(Evidence(ID, 0), Evidence(ID, 2**40))),
        Return(deal=ID),
        Approve(deal=ID),
        Approve(deal=ID, units=2, grade=150),
        Reject(deal=ID),
        Cancel(deal=ID),
        Cosign(deal=ID),
    ],
    ids=lambda body: body.KIND,
)
def test_a_body_is_read_as_it_was_written(body: Body) -> None:
    """What is left out when written is absent when read."""
    written = body.to_map()
    assert list(written) == sorted(written)
    assert None not in written.values()
    assert read_body(body.KIND, written) == body


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("accept", {}),
        ("accept", {"offer": ID[:31]}),
        ("accept", {"offer": ID.hex()}),
        ("accept", {"offer": ID, "more": 1}),
        ("accept", {"offer": None}),
        ("approve", {"deal": ID, "units": 0}),
        ("approve", {"deal": ID, "units": None}),
        ("approve", {"deal": ID, "grade": 0}),
        ("approve", {"deal": ID, "grade": 201}),
        ("deliver", {"deal": ID, "units": 10**9 + 1}),
        ("deliver", {"deal": ID, "units": True}),
        ("deliver", {"deal": ID, "units": 1, "evidence": []}),
        ("deliver", {"deal": ID, "units": 1, "evidence": [[ID]]}),
        ("deliver", {"deal": ID, "units": 1, "evidence": [[ID, 1, 1]]}),
        ("deliver", {"deal": ID, "units": 1, "evidence": [[ID, 1]] * 101}),
        ("offer", {"side": "give", "units": 1, "terms": list(msgspec.structs.astuple(TERMS))}),
        ("offer", {"side": "sell", "units": 1, "terms": list(msgspec.structs.astuple(TERMS))[:-1]}),
        ("offer", {"side": "sell", "units": 1, "terms": [*msgspec.structs.astuple(TERMS), 0]}),
        ("offer", {"side": "sell", "units": 1, "terms": list(msgspec.structs.astuple(TERMS)), "copies": 0}),
        ("offer", {"side": "sell", "units": 1, "terms": list(msgspec.structs.astuple(TERMS)), "step": "Roast"}),
        ("offer", {"side": "sell", "units": 1, "terms": list(msgspec.structs.astuple(TERMS)), "deadline": -1}),
    ],
)
def test_a_body_that_does_not_fit_is_malformed(kind: str, fields: dict[str, Any]) -> None:
    """A field too few or too many, of another type, or out of its range."""
    with pytest.raises(EntryError) as caught:
        read_body(kind, fields)
    assert caught.value.reason is Reason.MALFORMED


# -- offer -----------------------------------------------------------------------------------------------------------


def test_an_offer_stands_for_thirty_days_unless_it_says(world: World) -> None:
    """A single copy, for everybody, without a deadline."""
    offer = world.view().offers[world.offered("bo", "roast", 2)]
    assert (offer.expires, offer.copies, offer.to, offer.deadline) == (world.now + 30 * DAY_MS, 1, None, 0)
    mine = world.view().offers[world.offered("bo", "roast", 2, to="cy", expires=world.now + DAY_MS, copies=3)]
    assert (mine.copies, mine.to) == (3, world.people["cy"].member)


@pytest.mark.parametrize("field", ["price", "review", "late_per_day", "late_max", "max_grade", "cosign_above"])
def test_an_offer_has_the_terms_of_the_charter(world: World, field: str) -> None:
    """Whoever signs other terms than those in force signs nothing."""
    terms = msgspec.structs.replace(world.terms("roast"), **{field: 7})
    assert world.refused("bo", world.offer("roast", terms=terms)) is Reason.TERMS_CHANGED


def test_an_offer_names_a_step_of_the_charter(world: World) -> None:
    """Without such a step no terms are in force."""
    body = Offer(side="sell", step="nowhere", units=1, terms=world.terms("roast"))
    assert world.refused("bo", body) is Reason.TERMS_CHANGED


def test_an_open_offer_needs_a_table_open(world: World) -> None:
    """Where the charter has none, every offer names a step."""
    assert world.refused("bo", Offer(side="sell", units=1, terms=world.terms("roast"))) is Reason.NOT_ALLOWED


def test_an_offer_needs_the_role_of_its_side(world: World) -> None:
    """The founder holds every role; a newcomer holds none."""
    world.offered("ana", "guild")
    world.offered("ana", "guild", side="buy")
    assert world.refused("bo", world.offer("guild")) is Reason.ROLE
    assert world.refused("bo", world.offer("guild", side="buy")) is Reason.ROLE


def test_an_offer_that_is_over_when_it_comes_is_void(world: World) -> None:
    """Its last moment is still a moment."""
    at = world.now + DAY_MS
    world.do("bo", world.offer("roast", expires=at, deadline=at), time=at)
    assert world.refused("bo", world.offer("roast", expires=at)) is Reason.TOO_LATE
    assert world.refused("bo", world.offer("roast", deadline=at)) is Reason.DEADLINE


def test_an_offer_is_addressed_to_a_member(world: World) -> None:
    """Not to oneself, and not to an entry that is nobody."""
    assert world.refused("bo", world.offer("roast", to="bo")) is Reason.OWN_OFFER
    body = msgspec.structs.replace(world.offer("roast"), to=world.offered("cy", "roast"))
    assert world.refused("bo", body) is Reason.NOT_A_MEMBER


def test_an_offer_beyond_all_numbers_is_void(world: World) -> None:
    """63 bits, as everywhere."""
    world.offered("bo", "vast", 9_223_372)
    assert world.refused("bo", world.offer("vast", 9_223_373)) is Reason.LIMIT


def test_an_offer_needs_room_for_one_more(world: World) -> None:
    """Undecided deals and own offers count, until they are closed, withdrawn or over."""
    first = world.offered("bo", "rare")
    deal = world.accepted("bo", "ana", "rare")
    assert world.refused("bo", world.offer("rare")) is Reason.MAX_OPEN
    world.offered("bo", "roast")
    world.do("bo", Withdraw(offer=first))
    second = world.offered("bo", "rare", expires=world.now + DAY_MS)
    assert world.refused("bo", world.offer("rare")) is Reason.MAX_OPEN
    until = world.view().offers[second].expires
    assert world.refused("bo", world.offer("rare"), time=until) is Reason.MAX_OPEN
    world.do("bo", world.offer("rare"), time=until + 1)
    assert second in world.view().offers
    assert world.refused("bo", world.offer("rare")) is Reason.MAX_OPEN
    world.do("bo", Cancel(deal=deal))
    world.offered("bo", "rare")
    world.seal()


# -- withdraw --------------------------------------------------------------------------------------------------------


def test_a_withdrawal_closes_an_offer(world: World) -> None:
    """Once, by its author, while copies remain."""
    offer = world.offered("bo", "roast")
    assert world.refused("cy", Withdraw(offer=offer)) is Reason.NOT_ALLOWED
    world.do("bo", Withdraw(offer=offer))
    assert world.refused("bo", Withdraw(offer=offer)) is Reason.OFFER_CLOSED
    assert world.refused("ana", Accept(offer=offer)) is Reason.OFFER_CLOSED


def test_what_is_taken_cannot_be_withdrawn(world: World) -> None:
    """A deal is ended by a cancellation."""
    offer = world.offered("bo", "roast")
    world.do("ana", Accept(offer=offer))
    assert world.refused("bo", Withdraw(offer=offer)) is Reason.OFFER_TAKEN


# -- accept ----------------------------------------------------------------------------------------------------------


def test_an_acceptance_takes_an_offer_once(world: World) -> None:
    """The second finds it taken, and closed when the deal is over."""
    offer = world.offered("bo", "roast")
    deal = world.do("ana", Accept(offer=offer))
    assert world.refused("cy", Accept(offer=offer)) is Reason.OFFER_TAKEN
    world.do("bo", Cancel(deal=deal))
    assert world.refused("cy", Accept(offer=offer)) is Reason.OFFER_CLOSED
    assert world.refused("cy", Accept(offer=world.people["ana"].member)) is Reason.OFFER_CLOSED


def test_an_acceptance_is_somebody_elses(world: World) -> None:
    """And, where the offer names somebody, theirs."""
    offer = world.offered("bo", "roast", to="cy")
    assert world.refused("bo", Accept(offer=offer)) is Reason.OWN_OFFER
    assert world.refused("di", Accept(offer=offer)) is Reason.NOT_ADDRESSED
    world.do("cy", Accept(offer=offer))


def test_an_acceptance_comes_in_time(world: World) -> None:
    """Not after the end of the offer nor after the deadline; both include their last millisecond."""
    at = world.now + DAY_MS
    expiring = world.offered("bo", "roast", expires=at, copies=2)
    ending = world.offered("bo", "roast", deadline=at, copies=2)
    world.do("ana", Accept(offer=expiring), time=at)
    world.do("cy", Accept(offer=ending), time=at)
    assert world.refused("ana", Accept(offer=expiring)) is Reason.TOO_LATE
    assert world.refused("cy", Accept(offer=ending)) is Reason.DEADLINE


def test_a_deadline_is_at_most_a_year_ahead(world: World) -> None:
    """An offer may wait until it is."""
    deadline = world.now + 366 * DAY_MS
    offer = world.offered("bo", "roast", deadline=deadline)
    assert world.refused("ana", Accept(offer=offer), time=deadline - 365 * DAY_MS - 1) is Reason.DEADLINE
    world.do("ana", Accept(offer=offer), time=deadline - 365 * DAY_MS)


def test_both_sides_hold_their_roles_at_the_acceptance(world: World) -> None:
    """Whoever offers and whoever accepts."""
    offer = world.offered("ana", "guild")
    assert world.refused("bo", Accept(offer=offer)) is Reason.ROLE


def test_both_sides_have_room_at_the_acceptance(world: World) -> None:
    """The offer itself does not count, other ones do."""
    world.accepted("bo", "ana", "rare")
    world.offered("bo", "rare")
    third = world.offered("cy", "rare")
    assert world.refused("bo", Accept(offer=third)) is Reason.MAX_OPEN
    world.accepted("di", "ana", "rare")
    assert world.refused("ana", Accept(offer=third)) is Reason.MAX_OPEN
    world.do("di", Accept(offer=third))


def test_the_offerer_has_room_at_the_acceptance(world: World) -> None:
    """Several copies cannot lead beyond the limit."""
    offer = world.offered("bo", "rare", copies=5)
    world.do("ana", Accept(offer=offer))
    world.do("cy", Accept(offer=offer))
    assert world.refused("di", Accept(offer=offer)) is Reason.MAX_OPEN


def test_an_acceptance_stays_within_the_budget(world: World) -> None:
    """600 in a period of 30 days; the next period has its own."""
    world.accepted("bo", "ana", "roast", 49)
    offer = world.offered("bo", "roast", 2, expires=world.now + 40 * DAY_MS)
    assert world.refused("ana", Accept(offer=offer)) is Reason.BUDGET_EXHAUSTED
    world.accepted("bo", "ana", "roast", 1)
    world.wait(30 * DAY_MS)
    world.do("ana", Accept(offer=offer))
    world.seal()


def test_an_acceptance_stays_within_the_pair_cap(world: World) -> None:
    """50 between two in both directions, in 10 days; others are free."""
    world.accepted("bo", "ana", "swap", 3)
    offer = world.offered("ana", "swap", 3, copies=2)
    assert world.refused("bo", Accept(offer=offer)) is Reason.PAIR_CAP
    world.do("cy", Accept(offer=offer))
    world.wait(10 * DAY_MS)
    world.do("bo", Accept(offer=offer))
    world.seal()


def test_an_empty_pool_pays_nothing() -> None:
    """Whatever the budget says."""
    world = market("bo", points={"pool": 150, "start": 20})
    world.accepted("bo", "ana", "roast", 9)
    assert world.refused("bo", Accept(offer=world.offered("ana", "roast", 1))) is Reason.POOL_EMPTY
    world.seal()


def test_a_buyer_pays_with_what_it_has(world: World) -> None:
    """To the last point; what lies in another escrow is not there."""
    world.accepted("bo", "ana", "bake", 4)
    offer = world.offered("bo", "bake", 7, copies=2)
    assert world.refused("ana", Accept(offer=offer)) is Reason.BALANCE
    world.accepted("bo", "ana", "bake", 6)
    assert world.points("ana") == 0
    world.do("cy", Accept(offer=offer))


def test_an_observer_has_no_part_in_deals(world: World) -> None:
    """It reads."""
    world.join("ed", standing="observer")
    assert world.refused("ed", world.offer("roast")) is Reason.NOT_ALLOWED
    assert world.refused("ed", Accept(offer=world.offered("bo", "roast"))) is Reason.NOT_ALLOWED


# -- deliver, return ---------------------------------------------------------------------------------------------------


def test_a_delivery_is_the_sellers(world: World) -> None:
    """Once, of at most what was agreed."""
    deal = world.accepted("bo", "ana", "roast", 2)
    assert world.refused("ana", Deliver(deal=deal, units=2)) is Reason.NOT_ALLOWED
    assert world.refused("bo", Deliver(deal=deal, units=3)) is Reason.UNITS
    world.do("bo", Deliver(deal=deal, units=2, evidence=(Evidence(ID, 9),)))
    assert world.refused("bo", Deliver(deal=deal, units=2)) is Reason.STATE


def test_a_return_is_the_buyers(world: World) -> None:
    """After a delivery, at most three times."""
    deal = world.accepted("bo", "ana", "roast", 2)
    assert world.refused("ana", Return(deal=deal)) is Reason.STATE
    for _ in range(3):
        world.do("bo", Deliver(deal=deal, units=1))
        assert world.refused("bo", Return(deal=deal)) is Reason.NOT_ALLOWED
        world.do("ana", Return(deal=deal))
    world.do("bo", Deliver(deal=deal, units=1))
    assert world.refused("ana", Return(deal=deal)) is Reason.NOT_ALLOWED
    world.do("ana", Approve(deal=deal))


# -- approve, reject, cosign, cancel -----------------------------------------------------------------------------------


def test_an_approval_is_the_buyers(world: World) -> None:
    """After a delivery, for at most what was delivered, at most of the highest grade."""
    deal = world.accepted("bo", "ana", "roast", 4)
    assert world.refused("ana", Approve(deal=deal)) is Reason.STATE
    world.do("bo", Deliver(deal=deal, units=3))
    assert world.refused("bo", Approve(deal=deal)) is Reason.NOT_ALLOWED
    assert world.refused("ana", Approve(deal=deal, units=4)) is Reason.UNITS
    assert world.refused("ana", Approve(deal=deal, grade=101)) is Reason.GRADE
    world.do("ana", Approve(deal=deal, units=3, grade=100))
    assert world.refused("ana", Approve(deal=deal)) is Reason.DEAL_CLOSED
    world.seal()
    assert world.refused("ana", Approve(deal=deal)) is Reason.DEAL_CLOSED


def test_a_reduced_approval_is_a_decision(world: World) -> None:
    """While the seller may dispute it, nobody else has anything to decide."""
    deal = world.delivered("bo", "ana", "roast", 4)
    world.do("ana", Approve(deal=deal, units=3))
    for body in (Approve(deal=deal), Reject(deal=deal), Return(deal=deal), Cancel(deal=deal)):
        assert world.refused("ana", body) is Reason.STATE
    assert world.refused("bo", Deliver(deal=deal, units=4)) is Reason.STATE


def test_a_rejection_is_the_buyers(world: World) -> None:
    """After a delivery, once."""
    deal = world.accepted("bo", "ana", "roast", 4)
    assert world.refused("ana", Reject(deal=deal)) is Reason.STATE
    world.do("bo", Deliver(deal=deal, units=3))
    assert world.refused("bo", Reject(deal=deal)) is Reason.NOT_ALLOWED
    world.do("ana", Reject(deal=deal))
    assert world.refused("ana", Reject(deal=deal)) is Reason.STATE
    assert world.refused("ana", Cancel(deal=deal)) is Reason.STATE


def test_a_cosignature_is_of_a_third_partner(world: World) -> None:
    """After an approval that waits for it, once."""
    world.join("ed", standing="contributor")
    deal = world.delivered("bo", "ana", "carve", 11)
    assert world.refused("cy", Cosign(deal=deal)) is Reason.STATE
    world.do("ana", Approve(deal=deal))
    for side in ("ana", "bo"):
        assert world.refused(side, Cosign(deal=deal)) is Reason.NOT_ALLOWED
    assert world.refused("ed", Cosign(deal=deal)) is Reason.NOT_A_PARTNER
    for body in (Approve(deal=deal), Reject(deal=deal), Return(deal=deal)):
        assert world.refused("ana", body) is Reason.STATE
    world.do("cy", Cosign(deal=deal))
    assert world.refused("di", Cosign(deal=deal)) is Reason.DEAL_CLOSED


def test_a_cancellation_is_of_a_side(world: World) -> None:
    """A second consent of the same side is void."""
    deal = world.delivered("bo", "ana", "roast", 4)
    assert world.refused("cy", Cancel(deal=deal)) is Reason.NOT_ALLOWED
    world.do("bo", Cancel(deal=deal))
    assert world.refused("bo", Cancel(deal=deal)) is Reason.ALREADY_DONE
    world.do("ana", Cancel(deal=deal))
    assert world.refused("ana", Cancel(deal=deal)) is Reason.DEAL_CLOSED


@pytest.mark.parametrize(
    "body",
    [
        lambda deal: Deliver(deal=deal, units=1),
        lambda deal: Return(deal=deal),
        lambda deal: Approve(deal=deal),
        lambda deal: Reject(deal=deal),
        lambda deal: Cancel(deal=deal),
        lambda deal: Cosign(deal=deal),
    ],
)
def test_there_is_a_deal(world: World, body: Any) -> None:
    """An entry that is no acceptance, or one that was void, is no deal."""
    assert world.refused("bo", body(world.people["ana"].member)) is Reason.NOT_FOUND
    void = world.send("bo", Accept(offer=world.offered("bo", "roast")))
    assert world.refused("bo", body(void)) is Reason.NOT_FOUND


def test_every_step_of_the_market_is_used() -> None:
    """A step that no test trades in would be left out by mistake."""
    import pathlib

    text = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("test_*deals*.py"))
    assert all(f'"{step["id"]}"' in text for step in MARKET["step"])
