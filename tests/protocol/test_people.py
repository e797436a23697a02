"""People: away and back, leaving and what stays, coming back, applications that end, invitations taken back."""

from typing import Any

import pytest

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.act import POINT
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.refuse import Refuse
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.uninvite import Uninvite
from tallystick.protocol.lots import vested_of
from tallystick.protocol.records import Member
from tallystick.protocol.sealers import active_sealers
from tests.support.builders import DAY_MS, HOUR_MS, World, key
from tests.support.market import market


@pytest.fixture
def world() -> World:
    return market()


def member(world: World, name: str) -> Member:
    return world.view().members[world.people[name].member]


def due(world: World, deal: bytes) -> int:
    row = world.deal(deal)
    assert row.due is not None
    return row.due[0]


# -- away and back -----------------------------------------------------------------------------------------------------


def test_a_review_under_way_is_longer_when_the_buyer_goes_away(world: World) -> None:
    """By the whole time that it will be away, for every delivery it has before it, and for no other deal."""
    first, second = world.delivered("bo", "ana", "roast"), world.delivered("cy", "ana", "roast")
    other, sold = world.delivered("bo", "cy", "roast"), world.delivered("ana", "bo", "roast")
    before = [due(world, deal) for deal in (first, second, other, sold)]
    world.do("ana", Away(until=world.now + 3 * DAY_MS), time=world.now)
    assert [due(world, deal) for deal in (first, second, other, sold)] == [
        before[0] + 3 * DAY_MS,
        before[1] + 3 * DAY_MS,
        *before[2:],
    ]
    world.seal()


def test_a_later_date_adds_only_what_is_new(world: World) -> None:
    """An earlier one adds nothing, and takes nothing back."""
    deal = world.delivered("bo", "ana", "roast")
    start = due(world, deal)
    now = world.now
    world.do("ana", Away(until=now + 3 * DAY_MS), time=now)
    world.do("ana", Away(until=now + 5 * DAY_MS), time=now + HOUR_MS)
    assert due(world, deal) == start + 5 * DAY_MS
    world.do("ana", Away(until=now + DAY_MS), time=now + 2 * HOUR_MS)
    assert due(world, deal) == start + 5 * DAY_MS
    assert member(world, "ana").away_until == now + DAY_MS


def test_being_away_adds_up_to_fourteen_days_in_all(world: World) -> None:
    """Several times count together, also across a return for rework; `back` does not shorten a review."""
    deal = world.delivered("bo", "ana", "roast")
    start = due(world, deal)
    world.do("ana", Away(until=world.now + 10 * DAY_MS), time=world.now)
    world.do("ana", Back(), time=world.now + DAY_MS)
    assert due(world, deal) == start + 10 * DAY_MS
    world.do("ana", Away(until=world.now + 10 * DAY_MS), time=world.now)
    assert due(world, deal) == start + 14 * DAY_MS
    world.do("ana", Return(deal=deal))
    world.do("bo", Deliver(deal=deal, units=1))
    assert due(world, deal) == world.now + 7 * DAY_MS
    world.seal()


def test_being_away_does_not_prolong_the_wait_for_a_cosignature(world: World) -> None:
    """Nor the wait of a seller who may dispute."""
    waiting, rejected = world.delivered("bo", "ana", "carve", 11), world.delivered("bo", "ana", "roast")
    world.do("ana", Approve(deal=waiting))
    world.do("ana", Reject(deal=rejected))
    before = due(world, waiting), due(world, rejected)
    world.do("ana", Away(until=world.now + 3 * DAY_MS))
    assert (due(world, waiting), due(world, rejected)) == before


def test_two_reviews_of_one_moment_stay_in_their_order(world: World) -> None:
    """Ticks of one time run in the order in which they were made."""
    deals = [world.accepted(seller, "ana", "roast") for seller in ("bo", "cy", "di")]
    now = world.now + HOUR_MS
    for seller, deal in zip(("bo", "cy", "di"), deals, strict=True):
        world.do(seller, Deliver(deal=deal, units=1), time=now)
    before = sorted(deals, key=lambda deal: world.deal(deal).due or (0, 0))
    world.do("ana", Away(until=now + 3 * DAY_MS), time=now)
    assert sorted(deals, key=lambda deal: world.deal(deal).due or (0, 0)) == before
    assert len({due(world, deal) for deal in deals}) == 1


def test_a_sealer_who_is_away_rests_and_has_its_place_again(world: World) -> None:
    """No new agreement is needed, neither after `back` nor after the date."""
    bo = world.people["bo"]
    world.do("bo", SealerOn(device=bo.secret.public))
    world.do("ana", Admit(member=bo.member, sealer=True))
    world.seal()
    assert [row.member for row in active_sealers(world.ledger.state)] == [world.people["ana"].member, bo.member]
    world.do("bo", Away(until=world.now + 3 * DAY_MS))
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 1
    world.offered("bo", "roast")
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 1, "who writes while away is still away"
    world.do("bo", Back())
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 2
    world.do("bo", Away(until=world.now + 3 * DAY_MS))
    world.seal()
    world.wait(4 * DAY_MS)
    world.offered("bo", "roast")
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 2


def test_the_last_sealer_stays(world: World) -> None:
    """A ledger without a sealer could never go on."""
    world.do("ana", Away(until=world.now + 3 * DAY_MS))
    world.seal()
    assert [row.member for row in active_sealers(world.ledger.state)] == [world.people["ana"].member]


# -- leaving -----------------------------------------------------------------------------------------------------------

VESTING: dict[str, Any] = {"cliff": "0s", "duration": "100d"}


def test_a_departure_takes_effect_at_the_end_of_the_block(world: World) -> None:
    """What is signed in the same block still counts."""
    world.do("bo", Leave())
    world.offered("bo", "roast")
    assert member(world, "bo").status == "active"
    block = world.seal()
    row = world.ledger.state.members[world.people["bo"].member]
    assert (row.status, row.departed, row.leaver) == ("departed", block.time, "keep-vested")
    assert not world.ledger.state.offers, "its offers are withdrawn"
    assert world.refused("bo", world.offer("roast")) is Reason.NOT_ACTIVE


def test_deals_without_a_delivery_end_and_the_others_run_on(world: World) -> None:
    """On both sides; what was returned for rework counts as without a delivery."""
    sold, bought = world.accepted("bo", "ana", "roast"), world.accepted("ana", "bo", "roast")
    rework = world.delivered("bo", "ana", "roast")
    world.do("ana", Return(deal=rework))
    delivered, seen = world.delivered("bo", "ana", "roast"), world.delivered("cy", "bo", "bake")
    others = world.accepted("cy", "ana", "roast")
    world.do("bo", Leave())
    executed = world.seal()
    assert [world.deal(deal).status for deal in (sold, bought, rework)] == ["cancelled"] * 3
    assert [world.deal(deal).status for deal in (delivered, seen, others)] == ["delivered", "delivered", "accepted"]
    (outcome,) = [tick for tick in executed.ticks if tick.what == "leave"]
    assert {row.source for row in outcome.postings} == {f"escrow/{deal.hex()}" for deal in (sold, bought, rework)}
    world.wait(8 * DAY_MS)
    world.seal()
    assert world.points("bo") == 102, "90 after paying for the bread, and 12 for what it had roasted"
    assert world.points("cy") == 110


def test_who_leaves_keeps_what_is_vested() -> None:
    """The rest returns to the pool; what is kept is vested for good, and what comes later arrives vested."""
    world = market(vesting=VESTING)
    pool = world.points("pool")
    joined = member(world, "bo").since
    world.do("bo", Leave())
    world.seal(joined + 9 * DAY_MS)
    state = world.ledger.state
    bo = world.people["bo"].member
    assert world.points("bo") == 9 == vested_of(state, bo, world.now) == vested_of(state, bo, joined)
    assert world.points("pool") == pool + 91


def test_what_was_in_escrow_is_judged_with_the_rest() -> None:
    """Paying for a deal and leaving does not vest what was paid."""
    world = market(vesting=VESTING)
    world.accepted("cy", "bo", "bake", 10)
    assert world.points("bo") == 0
    world.do("bo", Leave())
    world.seal()
    assert world.points("bo") == 0
    assert member(world, "bo").status == "departed"


def test_keep_all_lets_the_lots_run_on() -> None:
    """They vest as if nothing had happened."""
    world = market(vesting=VESTING, leaver={"good": "keep-all"})
    world.do("bo", Leave())
    world.seal()
    bo = world.people["bo"].member
    assert world.points("bo") == 100
    state = world.ledger.state
    assert vested_of(state, bo, state.members[bo].since + 50 * DAY_MS) == 50


def test_a_lot_goes_by_the_terms_of_the_day_it_was_earned() -> None:
    """An amendment of the leaver rules reaches later lots only."""
    world = market(vesting=VESTING, leaver={"good": "keep-all"})
    document = codec.decode(world.view().charter_row.data)
    assert isinstance(document, dict)
    world.amend(document | {"leaver": {"good": "keep-vested"}})
    deal = world.delivered("bo", "ana", "roast", 5)
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 160
    world.do("bo", Leave())
    world.seal()
    assert world.points("bo") == 100
    assert member(world, "bo").leaver == "keep-vested"


def test_a_departed_seller_is_paid_vested() -> None:
    """What reaches somebody after the departure stays."""
    world = market(vesting=VESTING)
    deal = world.delivered("bo", "ana", "roast", 5)
    world.do("bo", Leave())
    world.seal()
    before = world.points("bo")
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == before + 60
    assert vested_of(world.view(), world.people["bo"].member, world.now) == world.points("bo")


def test_roles_end_with_a_departure(world: World) -> None:
    """So that they can be given to somebody else."""
    world.do("ana", Leave())
    world.seal()
    assert member(world, "ana").roles == ()


def test_two_of_two_cannot_both_leave() -> None:
    """The first one may, in whichever block."""
    world = market("bo")
    world.do("ana", Leave())
    assert world.refused("bo", Leave()) is Reason.LAST_PARTNER
    world.seal()
    assert world.refused("bo", Leave()) is Reason.LAST_PARTNER


def test_contributors_are_nobodys_last_partner() -> None:
    """They may go whenever they want, and do not keep a partner from being the last."""
    world = market("bo")
    world.join("ed", standing="contributor")
    world.do("bo", Leave())
    assert world.refused("ana", Leave()) is Reason.LAST_PARTNER
    world.do("ed", Leave())
    world.seal()
    assert member(world, "ed").status == "departed"


# -- coming back -------------------------------------------------------------------------------------------------------


def rejoin(world: World, name: str, *, standing: Any = "partner", **fields: Any) -> Join:
    """Invite somebody back; return the body of its application."""
    person = world.people[name]
    secret = key(f"{name}/{len(world.sent)}", "invite")
    invite = world.do("ana", Invite(key=secret.public, standing=standing, uses=1, expires=world.now + 30 * DAY_MS))
    ledger, device, charter = world.ledger.id, person.secret.public, world.view().charter_row.digest
    node, recovery = person.node.public, person.recovery.public
    payload = codec.encode([device, node, recovery])
    body: dict[str, Any] = {
        "invite": invite,
        "node_key": node,
        "recovery": recovery,
        "charter": charter,
        "grant": secret.sign(grant_message(ledger, invite, device, node, recovery, charter)),
        "possession": person.node.sign(signed_bytes(SignType.POSSESSION, ledger, payload)),
        "member": person.member,
    }
    return Join(**(body | fields))


def test_who_left_comes_back_with_the_old_id() -> None:
    """With what it kept, the day it first joined and the same keys, but without a second start."""
    world = market(vesting=VESTING, membership={"sponsors": 1, "probation": "5d"})
    since = member(world, "bo").since
    world.wait(50 * DAY_MS)
    world.do("bo", Leave())
    world.seal()
    kept = world.points("bo")
    assert 45 < kept < 55
    world.do("bo", rejoin(world, "bo"))
    assert member(world, "bo").status == "departed"
    assert world.refused("bo", world.offer("roast")) is Reason.NOT_ACTIVE
    world.do("ana", Admit(member=world.people["bo"].member, sealer=False))
    row = member(world, "bo")
    assert (row.status, row.standing, row.again, row.leaver, row.departed) == ("active", "partner", "", "", 0)
    assert (row.since, row.probation_until) == (since, world.now + 5 * DAY_MS)
    assert world.points("bo") == kept
    world.offered("bo", "roast")


def test_the_standing_is_that_of_the_new_invitation(world: World) -> None:
    """A partner may come back as a contributor."""
    world.do("bo", Leave())
    world.seal()
    world.do("bo", rejoin(world, "bo", standing="contributor"))
    world.do("ana", Admit(member=world.people["bo"].member, sealer=False))
    assert member(world, "bo").standing == "contributor"
    world.seal()


def test_coming_back_is_for_who_left(world: World) -> None:
    """Once at a time, under one's own id, with one's own keys, by an invitation that is open."""
    assert world.refused("bo", rejoin(world, "bo")) is Reason.ALREADY_DONE
    world.do("bo", Leave())
    world.do("cy", Leave())
    world.seal()
    assert world.refused("bo", rejoin(world, "bo", member=world.people["cy"].member)) is Reason.NOT_ALLOWED
    body = rejoin(world, "bo")
    world.do("bo", body)
    assert world.refused("bo", body) is Reason.INVITE_CLOSED
    assert world.refused("bo", rejoin(world, "bo")) is Reason.ALREADY_DONE


def test_another_recovery_key_is_not_the_same_person(world: World) -> None:
    """Whoever comes back names the keys that the ledger knows."""
    person = world.people["bo"]
    world.do("bo", Leave())
    world.seal()
    person.recovery = key("mallory", "recovery")
    assert world.refused("bo", rejoin(world, "bo")) is Reason.NOT_ALLOWED


def test_who_has_left_cannot_be_admitted_without_asking(world: World) -> None:
    """And not after a refusal, until it asks again."""
    bo = world.people["bo"].member
    world.do("bo", Leave())
    world.seal()
    assert world.refused("ana", Admit(member=bo, sealer=False)) is Reason.NOT_FOUND
    world.do("bo", rejoin(world, "bo"))
    world.do("cy", Refuse(member=bo))
    assert world.refused("ana", Admit(member=bo, sealer=False)) is Reason.NOT_FOUND
    world.do("bo", rejoin(world, "bo"))
    world.do("ana", Admit(member=bo, sealer=False))


def test_a_full_ledger_takes_nobody_back_and_promotes_nobody() -> None:
    """There are only so many partners."""
    world = market("bo", membership={"sponsors": 1, "probation": "0s", "max-partners": 2})
    world.join("ed", standing="contributor")
    assert world.refused("ana", Admit(member=world.people["ed"].member, sealer=False)) is Reason.LEDGER_FULL
    world.do("bo", Leave())
    world.seal()
    world.do("ana", Admit(member=world.people["ed"].member, sealer=False))
    world.do("bo", rejoin(world, "bo"))
    assert world.refused("ana", Admit(member=world.people["bo"].member, sealer=False)) is Reason.LEDGER_FULL


# -- applications and invitations --------------------------------------------------------------------------------------


def test_who_was_refused_is_no_member(world: World) -> None:
    """And nobody can vouch for it any more."""
    world.alter("di", status="applicant", standing="partner")
    di = world.people["di"].member
    world.do("bo", Refuse(member=di))
    assert member(world, "di").status == "refused"
    assert world.refused("ana", Admit(member=di, sealer=False)) is Reason.NOT_FOUND
    assert world.refused("di", world.offer("roast")) is Reason.NOT_A_MEMBER


def test_an_invitation_is_taken_back_by_whoever_gave_it(world: World) -> None:
    """Once."""
    secret = key("some", "invite")
    body = Invite(key=secret.public, standing="partner", uses=1, expires=world.now + DAY_MS)
    invite = world.do("bo", body)
    assert world.refused("cy", Uninvite(invite=invite)) is Reason.NOT_ALLOWED
    world.do("bo", Uninvite(invite=invite))
    assert world.refused("bo", Uninvite(invite=invite)) is Reason.INVITE_CLOSED
    assert world.refused("bo", Uninvite(invite=world.people["bo"].member)) is Reason.INVITE_CLOSED
    assert world.refused("bo", body) is Reason.KEY_USED, "its key is used up all the same"


def test_the_second_partner_is_noted_once_and_for_all() -> None:
    """What somebody alone may not do depends on it, and stays open when the other one leaves."""
    world = World.found(
        {"charter": 1, "name": "One", "points": {"pool": 9}, "contribution": [{"id": "a", "points": 1}]}
    )
    assert not world.view().course.met
    world.join("ed", standing="contributor")
    assert not world.view().course.met
    world.do("ana", Admit(member=world.people["ed"].member, sealer=False))
    assert world.view().course.met
    world.do("ed", Leave())
    world.seal()
    assert world.ledger.state.course.met
    assert world.ledger.state.balance(POINT, "pool") == 9


def test_the_departed_may_still_decide_what_was_delivered_to_them(world: World) -> None:
    """And accept nothing new."""
    deal = world.delivered("cy", "bo", "bake")
    offer = world.offered("cy", "roast")
    world.do("bo", Leave())
    world.seal()
    world.do("bo", Approve(deal=deal))
    assert world.points("cy") == 110
    assert world.refused("bo", Accept(offer=offer)) is Reason.NOT_ACTIVE
