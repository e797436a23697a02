"""Words of people: erased by their author or by vote, but not while a deal or proposal still needs them."""

import pytest

from tallystick.protocol.entry import encode_annex
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tests.support.builders import DAY_MS, World
from tests.support.governance import body, passed
from tests.support.market import market

ANNEX = encode_annex(bytes(16), {"note": "as I said"})


@pytest.fixture
def world() -> World:
    return market()


def say(world: World, name: str, content: Body) -> bytes:
    """Write an entry with words."""
    entry = world.sign(name, content, annex=ANNEX)
    world.feed(entry)
    assert world.outcome(entry.id).reason is None
    return entry.id


def test_words_of_a_deal_are_needed_until_it_is_closed(world: World) -> None:
    """Those of deliveries, returns and rejections; an acceptance and an approval say nothing that decides."""
    deal = world.accepted("bo", "ana", "roast")
    delivered = say(world, "bo", Deliver(deal=deal, units=1))
    returned = say(world, "ana", Return(deal=deal))
    again = say(world, "bo", Deliver(deal=deal, units=1))
    rejected = say(world, "ana", Reject(deal=deal))
    world.seal()
    assert world.deal(deal).said == (delivered, returned, again, rejected)
    for name, entry in (("bo", delivered), ("ana", returned), ("bo", again), ("ana", rejected)):
        assert world.refused(name, Erase(entry=entry)) is Reason.STILL_NEEDED
    world.do("ana", Erase(entry=deal))
    world.seal()
    world.wait(5 * DAY_MS)
    world.seal()
    assert world.deal(deal).status == "returned"
    for name, entry in (("bo", delivered), ("ana", returned), ("bo", again), ("ana", rejected)):
        world.do(name, Erase(entry=entry))
    world.seal()
    assert set(world.ledger.state.erased) == {deal, delivered, returned, again, rejected}


def test_what_has_no_words_needs_none(world: World) -> None:
    """A delivery without an annex can be named in an erasure that erases nothing."""
    deal = world.delivered("bo", "ana", "roast")
    world.seal()
    assert world.deal(deal).said == ()


def test_others_are_erased_by_vote(world: World) -> None:
    """Which the author of the words can do alone."""
    cy = world.people["cy"].member
    assert world.refused("bo", Erase(entry=cy)) is Reason.NOT_ALLOWED
    case = passed(world, "bo", "erase", "ana", "bo", "di", entry=cy)
    assert world.ledger.state.erased[cy].by == case
    assert world.refused("cy", Erase(entry=cy)) is Reason.ALREADY_DONE
    assert world.refused("bo", body(world, "erase", entry=cy)) is Reason.ALREADY_DONE


def test_who_has_left_has_its_words_erased(world: World) -> None:
    """What remains is a number without a name."""
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Approve(deal=deal))
    world.do("bo", Leave())
    world.seal()
    erased = world.do("bo", Erase(entry=world.people["bo"].member))
    world.seal()
    assert world.ledger.state.erased[world.people["bo"].member].by == erased
