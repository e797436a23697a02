"""Entries that are dated back: nobody shortens the time of others, nor gets around what was decided meanwhile."""

import copy

import pytest

from tallystick.protocol.entry import make_entry
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.away import Away
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.recover import RecoverApprove
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.settlement import settlement_at
from tallystick.protocol.waits import CLOCKS_DIFFER_MS
from tests.support.builders import DAY_MS, MINUTE_MS, World, key
from tests.support.computers import newcomer, request_body
from tests.support.governance import member, passed, proposed
from tests.support.market import MARKET, market

REVIEW_MS = 7 * DAY_MS
WINDOW_MS = 5 * DAY_MS


@pytest.fixture
def world() -> World:
    return market()


class Past:
    """The newest block of this moment, which somebody goes on citing who wants to date entries back."""

    def __init__(self, world: World) -> None:
        world.seal()
        self.world = world
        self.seal = (world.ledger.head.height, world.ledger.head.block_id)
        self.time = world.now

    def send(self, name: str, body: Body, *links: bytes) -> bytes:
        """An entry of now that claims to be of then."""
        world, person = self.world, self.world.people[name]
        entry = make_entry(
            person.secret,
            ledger=world.ledger.id,
            seq=person.seq + 1,
            prev=person.prev,
            links=[ref for ref in (*body.refs(), *links) if ref != person.prev],
            seal=self.seal,
            time=self.time,
            kind=body.KIND,
            body=body.to_map(),
        )
        world.feed(entry)
        person.seq, person.prev = entry.seq, entry.id
        return entry.id


def due_of(world: World, deal: bytes) -> int:
    due = world.ledger.state.deals[deal].due
    assert due is not None
    assert due in world.ledger.state.due
    return due[0]


@pytest.mark.parametrize("step", ["roast", "bake"])
def test_a_delivery_that_is_dated_back_is_reviewed_all_the_same(world: World, step: str) -> None:
    """Eight days after the acceptance the seller claims to have delivered then: silence has not approved it."""
    deal = world.accepted("bo", "cy", step, 5)
    then = Past(world)
    before = world.points("bo")
    world.wait(REVIEW_MS + DAY_MS)
    entry = then.send("bo", Deliver(deal=deal, units=5))
    block = world.seal()
    assert world.outcome(entry).at == then.time
    assert (world.deal(deal).status, world.points("bo")) == ("delivered", before)
    assert due_of(world, deal) == block.time - CLOCKS_DIFFER_MS + REVIEW_MS
    world.do("cy", Reject(deal=deal))
    world.seal()
    assert world.points("bo") == before


def test_a_rejection_that_is_dated_back_can_be_disputed(world: World) -> None:
    """The buyer rejects on the last day of the review, as of the first: the seller has the whole window."""
    deal = world.delivered("bo", "cy", "bake", 10)
    then = Past(world)
    world.wait(REVIEW_MS - DAY_MS)
    then.send("cy", Reject(deal=deal))
    block = world.seal()
    assert world.deal(deal).status == "rejected"
    assert due_of(world, deal) == block.time - CLOCKS_DIFFER_MS + WINDOW_MS
    world.wait(4 * DAY_MS)
    world.do("bo", Dispute(deal=deal))
    world.seal()


@pytest.mark.parametrize(("older", "later"), [(0, 0), (10 * MINUTE_MS, 0), (10 * MINUTE_MS + 1, 1)])
def test_ten_minutes_before_its_block_a_wait_counts_from_its_own_moment(world: World, older: int, later: int) -> None:
    """So much may clocks differ, and so long may a block be in coming."""
    deal = world.accepted("bo", "cy", "roast", 5)
    world.do("bo", Deliver(deal=deal, units=5))
    at = world.now
    world.seal(at + older)
    assert due_of(world, deal) == at + REVIEW_MS + later


def test_no_wait_ends_in_the_block_that_begins_it(world: World) -> None:
    """However long the block is in coming, in the preview and in the block; a wait that is over by then ends in the
    next."""
    steps = [{"id": "quick", "price": 1, "budget": 100, "review": "5m"}]
    world = World.found(copy.deepcopy(MARKET) | {"step": steps}, "bo", "cy")
    deal = world.delivered("bo", "cy", "quick", 5)
    world.wait(DAY_MS)
    assert world.deal(deal).status == "delivered"
    world.seal()
    assert world.ledger.state.deals[deal].status == "delivered"
    assert world.ledger.due_by(world.now)
    world.seal()
    assert (world.deal(deal).status, world.points("bo")) == ("approved", 105)


def test_a_buyer_who_is_away_has_the_time_of_both(world: World) -> None:
    """Who says in the block of a delivery that it is away has a longer review, which counts from that block."""
    deal = world.accepted("bo", "cy", "roast", 5)
    then = Past(world)
    world.wait(20 * DAY_MS)
    then.send("bo", Deliver(deal=deal, units=5))
    world.do("cy", Away(until=world.now + MINUTE_MS + 2 * DAY_MS))
    block = world.seal()
    assert due_of(world, deal) == block.time - CLOCKS_DIFFER_MS + REVIEW_MS + 2 * DAY_MS
    world.do("cy", Away(until=world.now + MINUTE_MS + 5 * DAY_MS))
    before = due_of(world, deal)
    assert before + 3 * DAY_MS <= world.view().deals[deal].due[0] <= before + 3 * DAY_MS + 2 * MINUTE_MS  # type: ignore[index]
    world.seal()


def test_what_was_stated_far_from_any_network_can_be_confirmed() -> None:
    """A claim and a gift of forty days ago lapse thirty days after the block that brings them."""
    world = market(donation={"currency": "EUR"}, sale={"currency": "EUR"}, contribution=[{"id": "share", "points": 1}])
    then = Past(world)
    world.wait(40 * DAY_MS)
    claim, gift = then.send("bo", Claim(contribution="share", count=2)), then.send("bo", Donate(amount=5))
    block = world.seal()
    lapse = block.time - CLOCKS_DIFFER_MS + 30 * DAY_MS
    rows = (world.ledger.state.claims[claim], world.ledger.state.money[gift])
    assert [row.due[0] for row in rows if row.due is not None] == [lapse, lapse]
    world.do("ana", Attest(claim=claim))
    world.do("ana", Receipt(entry=gift))
    assert world.points("bo") == 102
    world.seal()


def test_a_sale_ends_what_was_delivered_in_its_block() -> None:
    """A wait that has only just begun is no less open: it is paid with the rest, and asked about before that."""
    world = market("bo", "cy", sale={"currency": "EUR"})
    sale = proposed(world, "ana", "sale", proceeds=100)
    for name in ("ana", "bo", "cy"):
        world.do(name, Vote(proposal=sale, choice="yes"))
    deal = world.delivered("bo", "cy", "roast", 5)
    shares = settlement_at(world.view(), world.ledger.context(world.now), 100).shares
    assert {share.points for share in shares} == {100, 160}
    executed = world.seal()
    assert executed.closed[deal].paid == 60
    assert world.ledger.state.course.sold


def test_nobody_gets_new_keys_by_approvals_that_are_dated_back(world: World) -> None:
    """Two who were silent for eighty days say that they approved then: the member has its thirty days to object."""
    world.wait(31 * DAY_MS)
    newcomer(world, "thief", "bo")
    then = Past(world)
    world.wait(80 * DAY_MS)
    request = then.send("thief", request_body(world, world.people["thief"], key("thief", "recovery")))
    for name in ("cy", "di"):
        then.send(name, RecoverApprove(request=request))
    block = world.seal()
    row = world.ledger.state.recoveries[request]
    assert row.ready == block.time - CLOCKS_DIFFER_MS + 30 * DAY_MS
    world.seal(row.ready - 1)
    world.do("bo", Transfer(to=world.people["ana"].member, points=1))
    world.seal(row.ready)
    assert world.ledger.state.recoveries[request].vetoed
    assert world.people["thief"].secret.public not in world.ledger.state.devices


def test_a_request_that_is_dated_back_makes_no_device_younger() -> None:
    """A device that was there thirty days before the block of the request objects, whatever the request claims."""
    world = market()
    newcomer(world, "thief", "bo")
    then = Past(world)
    world.wait(45 * DAY_MS)
    body = request_body(world, world.people["thief"], key("thief", "recovery"))
    request = then.send("thief", body)
    block = world.seal()
    assert world.ledger.state.recoveries[request].at == block.time - CLOCKS_DIFFER_MS
    world.do("bo", Propose(type="text"))
    assert world.view().recoveries[request].vetoed


@pytest.mark.parametrize("age", [20 * DAY_MS, 40 * DAY_MS])
def test_nobody_comes_off_probation_by_a_vouch_that_is_dated_back(age: int) -> None:
    """Neither by one of the first days of the ledger, in which nobody waits, nor by one of a month ago."""
    world = market(membership={"sponsors": 1, "probation": "30d"})
    world.wait(age)
    secret = key("ed", "invite")
    invite = world.do("ana", Invite(key=secret.public, standing="partner", uses=1, expires=world.now + 90 * DAY_MS))
    then = Past(world)
    world.wait(35 * DAY_MS)
    world.do("cy", Propose(type="text"))
    world.seal()
    world.wait(DAY_MS)
    asked = then.send("ed", world.asking("ed", secret, invite))
    vouch = then.send("bo", Admit(member=asked, sealer=False))
    third = then.send("ed", Admit(member=world.people["cy"].member, sealer=True), vouch)
    block = world.seal()
    row = world.ledger.state.members[asked]
    assert (row.status, row.since) == ("active", then.time)
    assert row.probation_until == block.time - CLOCKS_DIFFER_MS + 30 * DAY_MS
    assert world.outcome(third).reason is Reason.NOT_A_PARTNER


def test_a_suspension_cannot_be_dated_away(world: World) -> None:
    """Whoever is suspended claims a moment of before, and gives nothing away all the same."""
    then = Past(world)
    passed(world, "ana", "suspend", "ana", "cy", "di", member="bo")
    assert then.time < member(world, "bo").suspended_from
    entry = then.send("bo", Transfer(to=world.people["cy"].member, points=100))
    world.seal()
    assert world.outcome(entry).at < member(world, "bo").suspended_from
    assert world.outcome(entry).reason is Reason.NOT_ACTIVE
    assert (world.points("bo"), world.points("cy")) == (100, 100)
