"""Small deeds over time: what lapses, what still counts, who has part in what they bring."""

from typing import Any

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.leave import Leave
from tests.support.builders import DAY_MS, World
from tests.support.market import market

DEEDS: list[dict[str, Any]] = [
    {"id": "share", "points": 10, "attest": 1, "cap": 3, "period": "90d"},
    {"id": "film", "points": 9, "attest": 2, "cap": 0},
]


def world_of_deeds(*others: str, **tables: Any) -> World:
    return market(*others, contribution=DEEDS, **tables)


def test_what_nobody_confirms_lapses_but_counts() -> None:
    """After thirty days, in a block that nobody asked for; the cap of its period does not open again."""
    world = world_of_deeds()
    claim = world.do("bo", Claim(contribution="share", count=2))
    world.seal()
    world.wait(30 * DAY_MS)
    assert [(tick.what, tick.ref) for tick in world.seal().ticks] == [("claim.lapse", claim)]
    assert not world.ledger.state.claims
    assert world.refused("bo", Claim(contribution="share", count=2)) is Reason.CAP
    world.do("bo", Claim(contribution="share", count=1))
    world.wait(60 * DAY_MS)
    world.do("bo", Claim(contribution="share", count=3))
    world.seal()


def test_a_paid_claim_leaves_nothing_to_fall_due() -> None:
    """No row, no tick."""
    world = world_of_deeds()
    claim = world.do("bo", Claim(contribution="share", count=2))
    world.do("cy", Attest(claim=claim))
    world.seal()
    assert not world.ledger.state.claims and not world.ledger.state.due
    assert world.points("bo") == 120


def test_claims_lapse_when_their_author_leaves() -> None:
    """At the end of the block; what was confirmed in it is paid."""
    world = world_of_deeds()
    paid = world.do("bo", Claim(contribution="share", count=1))
    world.do("bo", Claim(contribution="share", count=1))
    other = world.do("cy", Claim(contribution="share", count=1))
    world.do("bo", Leave())
    world.do("di", Attest(claim=paid))
    world.seal()
    assert list(world.ledger.state.claims) == [other]
    assert world.points("bo") == 110


def test_an_inviter_earns_with_deeds() -> None:
    """As with work that the pool pays."""
    world = world_of_deeds(referral={"percent": 20, "cap": 3})
    world.do("ana", Attest(claim=world.do("bo", Claim(contribution="share", count=1))))
    assert (world.points("ana"), world.points("bo")) == (102, 110)
    world.do("ana", Attest(claim=world.do("bo", Claim(contribution="share", count=2))))
    assert (world.points("ana"), world.points("bo")) == (103, 130)
    world.seal()


def test_what_a_deed_brings_vests_from_its_payment() -> None:
    """The lot is as old as the last attestation."""
    world = world_of_deeds(vesting={"cliff": "0s", "duration": "100d"})
    claim = world.do("bo", Claim(contribution="film", count=1))
    world.wait(5 * DAY_MS)
    world.do("cy", Attest(claim=claim))
    world.wait(5 * DAY_MS)
    last = world.do("di", Attest(claim=claim))
    lots = world.view().lots.of(world.people["bo"].member)
    assert (lots[-1].amount, lots[-1].earned) == (9, world.outcome(last).at)
    world.seal()
