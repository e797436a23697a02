"""Amendments: adopted, waited for, in force; what they change, and everything they leave alone."""

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import canonical, from_bytes
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.objective import measure
from tests.support.builders import DAY_MS, World
from tests.support.governance import body, member, passed, proposal, proposed, vote
from tests.support.market import MARKET, market

ALL = ("ana", "bo", "cy", "di")


@pytest.fixture
def world() -> World:
    return market()


def charter(**tables: Any) -> bytes:
    return canonical(copy.deepcopy(MARKET) | tables)


def adopted(world: World, by: str = "ana", voters: tuple[str, ...] = ALL, **tables: Any) -> bytes:
    """An amendment that all have agreed to, in force after its grace."""
    amend = passed(world, by, "amend", *voters, charter=charter(**tables))
    waiting = world.ledger.state.amendments.get("")
    if waiting is not None:
        world.seal(waiting.due)
    return amend


def in_force(world: World) -> bytes:
    return world.ledger.state.charter_row.data


# -- adopting ----------------------------------------------------------------------------------------------------------


def test_an_amendment_waits_out_its_grace(world: World) -> None:
    """Fourteen days to leave under the old rules; a tick ends them, and the block after is the first under the new."""
    new = charter(points={"pool": 100_000, "start": 7})
    amend = passed(world, "ana", "amend", *ALL, charter=new)
    waiting = world.ledger.state.amendments[""]
    assert waiting.due == proposal(world, amend).decided + 14 * DAY_MS
    assert proposal(world, amend).charter == b""
    world.seal(waiting.due - 1)
    assert in_force(world) != new
    assert world.ledger.due_by(waiting.due)
    executed = world.seal(waiting.due)
    assert in_force(world) == new
    assert (world.ledger.state.charter_row.version, executed.charter_version) == (2, 1)
    assert executed.charter_digest == from_bytes(new).hash
    assert ("amend", amend) in [(tick.what, tick.ref) for tick in executed.ticks]
    assert not world.ledger.state.amendments
    world.join("ed")
    assert world.points("ed") == 7


def test_without_grace_it_is_in_force_at_once() -> None:
    """After the block whose votes adopted it."""
    world = market(governance={"grace": "0s"})
    amend = passed(world, "ana", "amend", *ALL, charter=charter(purpose="new"))
    assert in_force(world) == charter(purpose="new")
    assert not world.ledger.state.due
    assert proposal(world, amend).status == "passed"


def test_only_one_can_come_of_a_charter(world: World) -> None:
    """While one waits, or when one is in force, others that would replace the same charter have become impossible."""
    first, second, third = (proposed(world, "ana", "amend", charter=charter(purpose=word)) for word in "abc")
    vote(world, first, **dict.fromkeys(ALL, "yes"))
    vote(world, second, **dict.fromkeys(ALL, "yes"))
    assert [proposal(world, each).status for each in (first, second, third)] == ["passed", "failed", "open"]
    late = proposed(world, "ana", "amend", charter=charter(purpose="d"))
    world.seal(world.ledger.state.amendments[""].due)
    assert proposal(world, late).status == "failed"
    assert in_force(world) == charter(purpose="a")


def test_an_amendment_names_the_charter_it_replaces(world: World) -> None:
    """The one in force, and by another one."""
    new = charter(purpose="new")
    assert world.refused("ana", body(world, "amend", charter=new, replaces=bytes(32))) is Reason.TERMS_CHANGED
    assert world.refused("ana", body(world, "amend", charter=charter())) is Reason.ALREADY_DONE
    old = body(world, "amend", charter=charter(purpose="other"))
    adopted(world, purpose="new")
    assert world.refused("ana", old) is Reason.TERMS_CHANGED


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "amend", "charter": b"\xc0", "replaces": bytes(32)},
        {"type": "amend", "charter": canonical(MARKET)},
        {"type": "amend", "charter": canonical(MARKET), "replaces": bytes(31)},
        {"type": "text", "member": bytes(32)},
        {"type": "expel"},
        {"type": "role", "member": bytes(32)},
        {"type": "role", "member": bytes(32), "role": "roaster", "take": False},
        {"type": "role", "member": bytes(32), "role": "Roaster"},
        {"type": "sale", "proceeds": 0},
        {"type": "sale", "proceeds": 5, "costs": 6},
        {"type": "sale", "proceeds": 5, "percent": 101},
        {"type": "sale", "proceeds": 5, "percent": 0},
        {"type": "sale", "proceeds": 2**63},
        {"type": "dividend", "amount": 0},
        {"type": "dividend", "amount": 5, "percent": 5},
        {"type": "revoke", "device": bytes(32), "entry": bytes(32)},
        {"type": "rules", "version": 0},
        {"type": "king"},
    ],
)
def test_a_proposal_has_the_fields_of_its_type(fields: dict[str, Any]) -> None:
    """No more, no fewer, each in its range."""
    with pytest.raises(EntryError) as caught:
        read_body("propose", fields)
    assert caught.value.reason is Reason.MALFORMED


def test_bodies_are_read_as_they_were_written() -> None:
    """What is absent stays absent."""
    for each in (
        Propose(type="amend", charter=canonical(MARKET), replaces=bytes(32)),
        Propose(type="role", member=bytes(32), role="roaster", take=True),
        Propose(type="sale", proceeds=5, costs=0, percent=100),
        Propose(type="text"),
    ):
        assert read_body("propose", each.to_map()) == each


# -- what it changes ---------------------------------------------------------------------------------------------------


def test_a_larger_pool_is_issued_and_a_smaller_one_taken_back(world: World) -> None:
    """As far as the pool holds it; the ceiling is what ever exists, also after a cut that could not be made whole."""
    adopted(world, points={"pool": 150_000, "start": 100})
    assert (world.points("issued"), world.points("pool")) == (-150_000, 149_600)
    adopted(world, points={"pool": 100, "start": 100})
    assert (world.points("issued"), world.points("pool")) == (-400, 0)
    adopted(world, points={"pool": 100, "start": 100}, purpose="no other pool")
    assert world.points("issued") == -400
    adopted(world, points={"pool": 1_000, "start": 100})
    assert (world.points("issued"), world.points("pool")) == (-1_000, 600)


def test_the_founder_holds_a_new_role(world: World) -> None:
    """Until a vote takes it; what was taken stays taken."""
    passed(world, "bo", "role", *ALL, member="ana", role="taster", take=True)
    adopted(world, role=[*MARKET["role"], {"id": "baker"}])
    assert member(world, "ana").roles == ("baker", "roaster", "treasurer")
    world.do("ana", Leave())
    world.seal()
    adopted(world, "bo", ("bo", "cy", "di"), role=[*MARKET["role"], {"id": "miller"}])
    assert member(world, "ana").roles == ()


def test_a_currency_cannot_change_once_there_is_money() -> None:
    """Neither proposed nor decided nor, when money comes during the grace, in the end."""
    tables = {"sale": {"currency": "EUR"}, "donation": {"currency": "EUR"}}
    other = charter(sale={"currency": "CNY"}, donation={"currency": "CNY"})
    world = market(**tables)
    late = proposed(world, "ana", "amend", charter=other)
    waiting = passed(world, "ana", "amend", *ALL, charter=other)
    gift = world.do("bo", Donate(amount=5))
    world.do("ana", Receipt(entry=gift))
    world.seal()
    assert world.refused("ana", body(world, "amend", charter=other)) is Reason.NOT_ALLOWED
    vote(world, late, **dict.fromkeys(ALL, "yes"))
    assert proposal(world, late).status == "failed"
    assert proposal(world, waiting).status == "passed"
    world.seal(world.ledger.state.amendments[""].due)
    assert proposal(world, waiting).status == "failed"
    assert not world.ledger.state.amendments
    assert from_bytes(in_force(world)).sale.currency == "EUR"
    adopted(world, **tables, purpose="the same currency")


# -- the objective -----------------------------------------------------------------------------------------------------


def test_the_objective_once_reached_stays_reached() -> None:
    """Partners may leave again; another objective starts again, and counts everything that ever was."""
    world = market(objective={"metric": "partners", "threshold": 5})
    assert not world.ledger.state.course.reached
    world.join("ed")
    world.seal()
    assert world.ledger.state.course.reached
    world.do("ed", Leave())
    world.seal()
    assert world.ledger.state.course.reached
    adopted(world, objective={"metric": "partners", "threshold": 5}, purpose="the same objective")
    assert world.ledger.state.course.reached
    adopted(world, objective={"metric": "partners", "threshold": 6})
    assert not world.ledger.state.course.reached
    adopted(world, objective={"metric": "points-earned", "threshold": 500})
    assert world.ledger.state.course.reached, "five began with a hundred"
    adopted(world)
    assert world.ledger.state.course.reached, "none is always reached"


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [
        ("points-earned", 400, 436),
        ("deals-closed", 0, 1),
        ("units:roast", 0, 3),
        ("units:bake", 0, 0),
        ("partners", 4, 4),
        ("capital", 0, 5_000),
    ],
)
def test_what_the_metrics_count(metric: str, before: int, after: int) -> None:
    """Everything that members ever got, deals with an award, units that were approved, active partners, capital."""
    world = market(
        objective={"metric": metric, "threshold": 10**6},
        sale={"currency": "EUR"},
        round=[{"id": "seed", "currency": "EUR", "price": 5_000, "points": 0, "voucher": 0}],
    )

    def now() -> int:
        rules = from_bytes(in_force(world))
        assert rules.objective is not None
        return measure(world.view(), rules, rules.objective, world.now)

    assert now() == before
    deal = world.delivered("bo", "ana", "roast", 3)
    world.do("ana", Approve(deal=deal))
    gift = world.delivered("bo", "ana", "gift", 3)
    world.do("ana", Approve(deal=gift))
    share = world.do("bo", Subscribe(round="seed", shares=1))
    world.do("ana", Receipt(entry=share))
    assert now() == after


def test_a_sale_needs_more_below_the_objective() -> None:
    """Whether it is reached is judged when the proposal is sealed."""
    world = market(objective={"metric": "partners", "threshold": 5}, sale={"currency": "EUR"})
    early = proposed(world, "ana", "sale", proceeds=10)
    world.join("ed")
    later = proposed(world, "ana", "sale", proceeds=10)
    fractions = [row.ballot.fraction for row in (proposal(world, each) for each in (early, later)) if row.ballot]
    assert fractions == [(9, 10), (3, 4)]


def test_an_electorate_is_that_of_the_charter_that_comes_into_force_with_it() -> None:
    """A proposal that is sealed in the last block under the old charter is voted on by the new one."""
    world = market(governance={"grace": "1h"})
    passed(world, "ana", "amend", *ALL, charter=charter(governance={"period": "3d", "notice": "1h"}))
    text = world.do("bo", body(world, "text"), time=world.ledger.state.amendments[""].due)
    block = world.seal(world.ledger.state.amendments[""].due)
    row = proposal(world, text).ballot
    assert row is not None
    assert row.end == block.time + 3 * DAY_MS


# -- what it leaves alone ----------------------------------------------------------------------------------------------


TABLES = st.fixed_dictionaries(
    {},
    optional={
        "vesting": st.sampled_from([{"duration": "4y"}, {"duration": "10d", "cliff": "10d", "cliff-from": "lot"}]),
        "leaver": st.sampled_from([{"good": "keep-all"}, {"bad": "forfeit-all"}]),
        "referral": st.sampled_from([{"percent": 50}]),
        "governance": st.sampled_from([{"pass": "1/1"}, {"period": "1d"}, {"weight": "points"}, {"quorum": "1/1"}]),
        "dispute": st.sampled_from([{"panel": 1, "window": "1d"}]),
        "membership": st.sampled_from([{"sponsors": 5, "probation": "1y", "max-partners": 1}]),
        "step": st.sampled_from([[{"id": "roast", "price": 1, "budget": 1}], [{"id": "x", "price": 5, "budget": 5}]]),
        "points": st.sampled_from([{"pool": 10**6}, {"pool": 1}, {"pool": 5_000, "start": 50}]),
        "sale": st.sampled_from([{"acceleration": False}, {"currency": "EUR", "preference": "none"}]),
        "finality": st.sampled_from([{"sealers": "role:treasurer"}, {"absence": "1d"}]),
        "objective": st.sampled_from([{"metric": "partners", "threshold": 9}]),
    },
)
#: What an amendment may touch: what is in force, what exists but nobody has earned, and what waits for the next block.
CHANGED = ("charter", "amendment", "course", "acct/POINT/pool", "acct/POINT/issued", "proposal/", "due/", "rules")


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_an_amendment_changes_nothing_that_was_earned_or_agreed_before(tables: dict[str, Any]) -> None:
    """Lots, deals, offers, members, counts and open ballots are byte for byte what they were."""
    world = market(vesting={"duration": "1y", "cliff": "0s"}, governance={"grace": "0s"})
    done = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Approve(deal=done))
    deals = [
        world.accepted("bo", "ana", "roast"),
        world.delivered("cy", "di", "bake"),
        world.delivered("bo", "cy", "carve", 20),
    ]
    world.do("cy", Approve(deal=deals[2]))
    world.offered("di", "tune", 2)
    text = proposed(world, "bo", "text")
    amend = proposed(world, "ana", "amend", charter=charter(**tables, purpose="new"))
    for name in ALL:
        world.do(name, Vote(proposal=amend, choice="yes"))
    # Without the block at whose end it comes into force, and with it.
    before = world.view().rows()
    world.seal()
    after = world.ledger.state.rows()
    assert proposal(world, amend).status == "passed"
    assert after["charter"] != before["charter"]
    differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in differing if not path.startswith(CHANGED)} <= {
        path for path in before if path.startswith("sealer/")
    }
    assert before[f"proposal/{text.hex()}"] == after[f"proposal/{text.hex()}"]
    for deal in deals:
        assert before[f"deal/{deal.hex()}"] == after[f"deal/{deal.hex()}"]


def test_deals_of_the_old_rules_are_paid_by_them(world: World) -> None:
    """Price and silence are those that both signed."""
    deal = world.delivered("bo", "ana", "roast", 2)
    passed(world, "ana", "amend", *ALL, charter=charter(step=[{"id": "roast", "price": 1, "budget": 1}]))
    world.wait(8 * DAY_MS)
    assert world.deal(deal).status == "approved"
    assert world.points("bo") == 124
    offer = world.offered("bo", "roast", 2)
    world.seal(world.ledger.state.amendments[""].due)
    assert world.refused("cy", Accept(offer=offer)) is Reason.TERMS_CHANGED


def test_a_charter_row_says_which_one_it_is(world: World) -> None:
    """Its number counts on, its hash is that of its bytes."""
    for number, word in enumerate("abc", 2):
        adopted(world, purpose=word)
        row = world.ledger.state.charter_row
        assert msgspec.structs.astuple(row) == (number, charter(purpose=word), from_bytes(charter(purpose=word)).hash)
