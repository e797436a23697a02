"""A ledger founded anew: on which state, with whose signatures, and what rests until people are back."""

from __future__ import annotations

import copy

import pytest

from tallystick.protocol.charter import read_charter
from tallystick.protocol.errors import BlockError, EntryError, Reason
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.refound import Rejoin
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.refounding import signatures_needed
from tallystick.protocol.sealers import active_sealers
from tests.support.builders import DAY_MS, World
from tests.support.governance import passed, proposal
from tests.support.market import MARKET
from tests.support.refounding import follow, founding_anew, refound, rejoin


def world_of(*others: str) -> World:
    return World.found(MARKET, *others)


def test_at_least_half_sign() -> None:
    """One of two, two of three, two of four, three of five; alone one is enough."""
    assert [signatures_needed(count) for count in (1, 2, 3, 4, 5)] == [1, 1, 2, 2, 3]


def test_it_starts_from_the_state_and_keeps_the_blocks() -> None:
    """Points, members, heights and ids are what they were; the ledger has another id."""
    old = world_of("bo", "cy")
    points = {name: old.points(name) for name in ("ana", "bo", "cy", "pool")}
    new = refound(old, "ana", "bo")
    height = old.ledger.head.height
    assert new.ledger.id != old.ledger.id
    assert (new.ledger.base, new.ledger.head.height) == (old.ledger.head.height, old.ledger.head.height + 1)
    assert {name: new.points(name) for name in points} == points
    assert (new.ledger.id_at(height), new.ledger.id_at(height + 1)) == (old.ledger.id, new.ledger.id)
    row = new.ledger.state.refounded[""]
    assert (row.ledger, row.partners, row.joined) == (old.ledger.id, 3, 1)
    assert row.signed == tuple(sorted(new.people[name].member for name in ("ana", "bo")))


def test_too_few_signatures_found_nothing() -> None:
    """Two of five: the founding is void, and no block is made of it."""
    old = world_of("bo", "cy", "di", "ed")
    old.seal()
    anew = follow(old, founding_anew(old, "ana", [old.people[name].secret for name in ("ana", "bo")]))
    assert anew.outcome(anew.ledger.id).reason is Reason.TOO_FEW_SIGNED
    with pytest.raises(BlockError, match="not-a-founding"):
        anew.seal()


def test_who_is_no_partner_cannot_sign_and_nobody_signs_twice() -> None:
    """A contributor's signature, and one of a device that nobody has, are no signatures; the founder's is needed."""
    old = world_of("bo", "cy")
    old.join("fay", standing="contributor")
    old.seal()
    people = old.people
    for names in (("ana", "fay"), ("bo", "cy")):
        anew = follow(old, founding_anew(old, "ana", [people[name].secret for name in names]))
        assert anew.outcome(anew.ledger.id).reason is Reason.NOT_ALLOWED
    strange = founding_anew(old, "ana", [people["ana"].secret, people["bo"].node])
    assert follow(old, strange).outcome(strange.id).reason is Reason.NOT_ALLOWED


def test_a_founding_names_its_state() -> None:
    """On another state it founds nothing, and an entry of the old ledger has no place in the new one."""
    old = world_of("bo")
    old.seal()
    founding = founding_anew(old, "ana", [old.people["ana"].secret])
    late = old.sign("bo", Away(until=old.now + 9 * DAY_MS))
    new = follow(old, founding)
    new.seal()
    with pytest.raises(EntryError, match="wrong-ledger"):
        new.ledger.check(late)
    other = world_of("bo", "cy")
    other.seal()
    with pytest.raises((EntryError, BlockError)):
        follow(other, founding)


def test_only_joining_devices_and_sealers_work_before_more_than_half_are_back() -> None:
    """Two of four are back: nothing but that. The third opens it."""
    new = refound(world_of("bo", "cy", "di"), "ana", "bo")
    give = Transfer(to=new.people["bo"].member, points=1)
    assert new.refused("ana", give) is Reason.TOO_FEW_JOINED
    assert new.refused("bo", give) is Reason.NOT_JOINED
    rejoin(new, "bo")
    assert new.refused("bo", give) is Reason.TOO_FEW_JOINED
    assert new.refused("bo", Propose(type="text")) is Reason.TOO_FEW_JOINED
    new.do("bo", SealerOn(device=new.people["bo"].secret.public))
    new.do("ana", Admit(member=new.people["bo"].member, sealer=True))
    rejoin(new, "cy")
    new.do("cy", Propose(type="text"))


def test_nobody_joins_twice_or_another_ledger() -> None:
    """Whoever founded it is there; whoever joined is; and a joining names the ledger."""
    old = world_of("bo")
    assert old.refused("bo", Rejoin(founding=old.ledger.id)) is Reason.NOT_FOUND
    new = refound(old, "ana")
    assert new.refused("ana", Rejoin(founding=new.ledger.id)) is Reason.ALREADY_DONE
    assert new.refused("bo", Rejoin(founding=old.ledger.id)) is Reason.NOT_FOUND
    rejoin(new, "bo")
    assert new.refused("bo", Rejoin(founding=new.ledger.id)) is Reason.ALREADY_DONE


def test_nobody_touches_who_is_not_back() -> None:
    """Neither roles nor standing nor points nor deals; that others have something to give is allowed."""
    old = world_of("bo", "cy")
    deal = old.accepted("cy", "bo", "roast", 3)
    new = refound(old, "ana", "bo")
    rejoin(new, "bo")
    cy = new.people["cy"].member
    for body in (
        Propose(type="expel", member=cy),
        Propose(type="suspend", member=cy),
        Propose(type="role", member=cy, role="treasurer", take=True),
        Propose(type="release", deal=deal),
        Propose(type="sale", proceeds=1),
    ):
        assert new.refused("ana", body) is Reason.NOT_JOINED
    assert new.refused("bo", Cancel(deal=deal)) is Reason.NOT_JOINED
    assert new.refused("bo", Leave()) is Reason.NOT_JOINED
    assert new.refused("cy", Deliver(deal=deal, units=3)) is Reason.NOT_JOINED
    rejoin(new, "cy")
    new.do("cy", Deliver(deal=deal, units=3))
    new.do("bo", Approve(deal=deal, units=3, grade=100))
    assert new.points("cy") == old.points("cy") + 36


def test_what_is_under_review_stands_still_and_has_then_the_time_that_it_had() -> None:
    """A delivery under review, founded anew after 40 days, joined after 100: the buyer has the whole review."""
    old = world_of("bo", "cy")
    deal = old.accepted("cy", "bo", "roast", 3)
    old.do("cy", Deliver(deal=deal, units=3))
    old.seal()
    ends = (old.ledger.state.deals[deal].due or (0, 0))[0]
    new = refound(old, "ana", "cy", later=40 * DAY_MS)
    left = ends - old.ledger.head.time
    rejoin(new, "cy")
    new.wait(60 * DAY_MS)
    new.send("ana", Away(until=new.now + DAY_MS))
    new.seal()
    assert new.ledger.state.deals[deal].status == "delivered"
    rejoin(new, "bo")
    at = new.history.entries[new.people["bo"].prev or b""].at
    assert new.ledger.state.deals[deal].due is not None
    due = new.ledger.state.deals[deal].due or (0, 0)
    assert due[0] == at + left
    assert due in new.ledger.state.due
    new.wait(left)
    new.seal()
    assert deal not in new.ledger.state.deals
    assert new.points("cy") == old.points("cy") + 36


def test_open_votes_end_without_effect() -> None:
    """Who could vote may be lost for good: the question is put anew."""
    old = world_of("bo", "cy")
    proposal = old.do("ana", Propose(type="suspend", member=old.people["cy"].member))
    new = refound(old, "ana", "bo")
    assert new.ledger.state.proposals[proposal].status == "failed"
    assert not [tick for tick in new.ledger.state.held.values() if tick.ref == proposal]


def test_an_amendment_in_its_grace_rests_and_has_then_the_time_that_it_had() -> None:
    """Founded anew long after it was due: it is not in force before people are back, and then after its grace."""
    old = world_of("bo", "cy")
    charter = read_charter(copy.deepcopy(MARKET) | {"name": "Another"})
    passed(old, "ana", "amend", "ana", "bo", "cy", charter=charter.bytes)
    new = refound(old, "ana", "bo", later=40 * DAY_MS)
    left = old.ledger.state.amendments[""].due - old.ledger.head.time
    assert new.ledger.state.charter_row.version == 1
    rejoin(new, "bo")
    at = new.history.entries[new.people["bo"].prev or b""].at
    assert new.ledger.state.amendments[""].due == at + left
    assert new.ledger.state.charter_row.version == 1
    new.wait(left)
    new.seal()
    assert new.ledger.state.charter_row.digest == charter.hash


def test_a_sale_ends_what_rests_too() -> None:
    """Somebody who has no points and is not back had given money that nobody confirmed: it lapses with the sale."""
    money = {"sale": {"currency": "EUR", "preference": "none"}, "donation": {"currency": "EUR"}}
    old = World.found(copy.deepcopy(MARKET) | money | {"points": {"pool": 1_000}}, "bo", "cy", "di")
    given = old.do("di", Donate(amount=5))
    new = refound(old, "ana", "bo")
    rejoin(new, "bo", "cy")
    assert new.ledger.state.money[given].due in new.ledger.state.held
    assert proposal(new, passed(new, "ana", "sale", "ana", "bo", "cy", proceeds=100)).status == "passed"
    assert given not in new.ledger.state.money
    rejoin(new, "di")
    assert not new.ledger.state.held


def test_what_rests_twice_has_the_time_that_it_had_at_first() -> None:
    """A second founding anew takes nothing from a review that still rests, nor does it forget until when somebody is
    away."""
    old = world_of("bo", "cy")
    deal = old.accepted("bo", "cy", "roast", 3)
    old.do("bo", Deliver(deal=deal, units=3))
    old.seal()
    until = old.now + 400 * DAY_MS
    old.do("cy", Away(until=until))
    old.seal()
    second = refound(old, "ana", "bo", later=40 * DAY_MS)
    left = (old.ledger.state.deals[deal].due or (0, 0))[0] - old.ledger.head.time
    rejoin(second, "bo")
    second.wait(50 * DAY_MS)
    second.send("bo", Away(until=second.now + DAY_MS))
    third = refound(second, "ana", "bo", later=30 * DAY_MS)
    rejoin(third, "bo", "cy")
    cy = third.people["cy"]
    assert (third.ledger.state.deals[deal].due or (0, 0))[0] == third.history.entries[cy.prev or b""].at + left
    assert third.ledger.state.members[cy.member].away_until == until


def test_sealers_come_back_with_their_partners() -> None:
    """The founder seals alone; whoever sealed before seals again from the block after it has joined."""
    old = world_of("bo", "cy")
    for name in ("bo", "cy"):
        old.do(name, SealerOn(device=old.people[name].secret.public))
        old.do("ana", Admit(member=old.people[name].member, sealer=True))
        if name == "cy":
            old.do("bo", Admit(member=old.people[name].member, sealer=True))
        old.seal()
    old.seal()
    assert len(active_sealers(old.ledger.state)) == 3
    new = refound(old, "bo", "cy", later=60 * DAY_MS)
    assert [row.member for row in active_sealers(new.ledger.state)] == [new.people["bo"].member]
    rejoin(new, "cy")
    assert {row.member for row in active_sealers(new.ledger.state)} == {
        new.people[name].member for name in ("bo", "cy")
    }


def test_a_ledger_founded_anew_can_be_founded_anew() -> None:
    """The line of ledgers grows, and each block keeps the ledger it belongs to."""
    first = world_of("bo")
    second = refound(first, "ana")
    rejoin(second, "bo")
    third = refound(second, "bo")
    assert [before.ledger for before in third.ledger.line] == [first.ledger.id, second.ledger.id]
    assert third.ledger.id_at(second.ledger.base + 1) == second.ledger.id
    assert list(third.ledger.state.awaited) == [third.people["ana"].member]
