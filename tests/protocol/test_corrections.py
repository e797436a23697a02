"""Corrections: agreed to by two, dated on the day they are, and no way around any other rule."""

from typing import Any

import pytest

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.table import read_body
from tests.support.builders import DAY_MS, World
from tests.support.histories import copy_of
from tests.support.market import market

ID, OTHER = b"\7" * 32, b"\6" * 32
WINDOW_MS = 5 * DAY_MS


@pytest.fixture
def world() -> World:
    return market()


def approved(world: World, step: str, count: int, **approval: Any) -> bytes:
    """A deal of bo's that ana has approved like this, sealed, with nothing held any more."""
    deal = world.delivered("bo", "ana", step, count)
    world.do("ana", Approve(deal=deal, **approval))
    world.seal()
    world.wait(WINDOW_MS)
    world.seal()
    return deal


def corrected(world: World, deal: bytes, **fields: Any) -> bytes:
    return world.do("ana", Correct(entry=deal, deal=deal, **fields))


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        Correct(entry=ID, deal=ID, grade=50),
        Correct(entry=ID, deal=OTHER, units=2, grade=50),
        Correct(entry=ID, amount=0),
        Confirm(entry=ID),
    ],
)
def test_bodies_are_read_as_they_were_written(body: Any) -> None:
    """What is left out when written is absent when read; each entry it refers to is named once."""
    assert read_body(body.KIND, body.to_map()) == body
    assert len(set(body.refs())) == len(body.refs())
    assert ID in body.refs()


@pytest.mark.parametrize(
    "fields",
    [
        {"entry": ID},
        {"entry": ID, "deal": ID},
        {"entry": ID, "grade": 50},
        {"entry": ID, "units": 1},
        {"entry": ID, "deal": ID, "amount": 5},
        {"entry": ID, "deal": ID, "grade": 50, "amount": 5},
        {"entry": ID, "deal": ID, "grade": 0},
        {"entry": ID, "amount": -1},
    ],
)
def test_a_correction_is_of_a_deal_or_of_money(fields: dict[str, Any]) -> None:
    """Never of both, nor of nothing."""
    with pytest.raises(EntryError) as caught:
        read_body("correct", fields)
    assert caught.value.reason is Reason.MALFORMED


# -- deals -------------------------------------------------------------------------------------------------------------


def test_a_correction_waits_for_the_seller(world: World) -> None:
    """Nothing moves before; then the deal says what was corrected, in the archive too."""
    deal = approved(world, "roast", 2)
    correction = corrected(world, deal, units=1)
    assert world.points("bo") == 124
    confirm = world.do("bo", Confirm(entry=correction))
    (posting,) = world.outcome(confirm).postings
    assert (posting.rule, posting.formula) == (
        "step.roast.price",
        "corrected: 1 x 12 x 100% = 12, 24 paid before",
    )
    executed = world.seal()
    assert executed.closed[deal].paid == world.history.deals[deal].paid == 12
    assert not world.ledger.state.corrections and not world.ledger.state.due
    assert (world.deal(deal).approved, world.deal(deal).grade) == (1, 100)


def test_a_correction_can_be_corrected(world: World) -> None:
    """Each starts from what was paid in the end; in one block or in several."""
    deal = approved(world, "tune", 4)
    for grade, points in ((50, 120), (200, 180), (100, 140)):
        world.do("bo", Confirm(entry=corrected(world, deal, grade=grade)))
        assert world.points("bo") == points
    world.seal()
    world.do("bo", Confirm(entry=corrected(world, deal, units=1)))
    assert world.points("bo") == 110
    world.seal()


def test_a_history_that_is_computed_again_finds_the_deal_as_it_was(world: World) -> None:
    """The archive holds what the last correction said; each correction starts from what was so before it."""
    deal = approved(world, "tune", 4)
    moved = []
    for grade in (50, 100, 200):
        confirm = world.do("bo", Confirm(entry=corrected(world, deal, grade=grade)))
        moved.append([(row.source[:4], row.amount) for row in world.outcome(confirm).postings])
        world.seal()
    assert [amounts for ((_, *amounts),) in moved] == [[20], [20], [40]]
    assert (world.history.deals[deal].paid, world.history.deals[deal].original) == (80, (4, 100, 40))
    copy = copy_of(world)
    assert copy.head == world.ledger.head


def test_what_is_taken_back_stays_committed_and_what_is_added_is_committed(world: World) -> None:
    """The budget is not opened by a mistake, and nobody gets around it by one."""
    deal = approved(world, "sing", 10)
    assert _committed(world) == [100]
    world.do("bo", Confirm(entry=corrected(world, deal, grade=50)))
    assert _committed(world) == [100]
    world.do("bo", Confirm(entry=corrected(world, deal, grade=100)))
    assert _committed(world) == [150]
    world.do("bo", Confirm(entry=corrected(world, deal, grade=50)))
    again = corrected(world, deal, grade=51)
    assert world.refused("bo", Confirm(entry=again)) is Reason.BUDGET_EXHAUSTED
    world.seal()


def test_a_corrected_lot_is_as_young_as_the_correction() -> None:
    """What comes back to a buyer, or is added for a seller, is a new lot; the oldest is given first."""
    world = market(vesting={"cliff": "0s", "duration": "100d"})
    deal = approved(world, "bake", 4)
    world.do("bo", Confirm(entry=corrected(world, deal, grade=50)))
    rows = {name: world.view().lots.of(world.people[name].member) for name in ("ana", "bo")}
    assert [(lot.amount, lot.spent) for lot in rows["bo"]] == [(100, 20), (40, 0)]
    assert (rows["ana"][-1].amount, rows["ana"][-1].earned) == (20, world.now)
    world.seal()


def test_a_correction_is_no_base_of_a_referral() -> None:
    """Nor does it count for an objective."""
    world = market("bo", "cy", referral={"percent": 50})
    deal = approved(world, "roast", 2, grade=50)
    assert (world.points("ana"), world.points("bo")) == (106, 112)
    totals = dict(world.view().totals.items())
    world.do("bo", Confirm(entry=corrected(world, deal, grade=100)))
    assert (world.points("ana"), world.points("bo")) == (106, 124)
    assert dict(world.view().totals.items()) == totals
    world.seal()


def test_lateness_is_that_of_the_deal(world: World) -> None:
    """Two days late at the delivery, whenever it is corrected."""
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "print", 10, deadline=deadline)
    world.do("bo", Deliver(deal=deal, units=10), time=deadline + DAY_MS + 1)
    world.do("ana", Approve(deal=deal))
    world.do("bo", Confirm(entry=corrected(world, deal, units=5)))
    assert world.points("bo") == 140
    world.seal()


def test_a_large_deal_that_pays_more_needs_a_third_partner(world: World) -> None:
    """Before or after the seller's word, once; less needs nobody, nor does a deal that is not above."""
    deal = world.delivered("bo", "ana", "carve", 20)
    world.do("ana", Approve(deal=deal, units=10))
    world.do("cy", Cosign(deal=deal))
    world.seal()
    world.wait(WINDOW_MS)
    world.seal()
    correction = corrected(world, deal, units=12)
    for side in ("ana", "bo"):
        assert world.refused(side, Cosign(deal=deal)) is Reason.NOT_ALLOWED
    world.do("bo", Confirm(entry=correction))
    assert world.points("bo") == 200
    world.seal()
    world.do("cy", Cosign(deal=correction))
    assert world.points("bo") == 220
    correction = corrected(world, deal, units=13)
    world.do("di", Cosign(deal=deal))
    assert world.refused("cy", Cosign(deal=deal)) is Reason.STATE
    world.do("bo", Confirm(entry=correction))
    assert world.points("bo") == 230
    less = corrected(world, deal, units=1)
    assert world.refused("di", Cosign(deal=deal)) is Reason.STATE
    world.do("bo", Confirm(entry=less))
    assert world.points("bo") == 110
    world.seal()


def test_where_nobody_could_cosign_nobody_is_asked() -> None:
    """In a ledger of two."""
    world = market("bo")
    deal = approved(world, "carve", 20, units=10)
    world.do("bo", Confirm(entry=corrected(world, deal, units=20)))
    assert world.points("bo") == 300


def test_what_nobody_confirms_lapses(world: World) -> None:
    """After thirty days; then another correction can be asked for."""
    deal = approved(world, "carve", 20, units=10)
    # Nobody has cosigned it, so it is rejected by now.
    assert world.refused("ana", Correct(entry=deal, deal=deal, units=20)) is Reason.STATE
    deal = approved(world, "roast", 2)
    corrected(world, deal, units=1)
    world.seal()
    world.wait(30 * DAY_MS)
    assert [tick.what for tick in world.seal().ticks] == ["correction.lapse"]
    assert not world.ledger.state.corrections
    corrected(world, deal, units=1)


def test_a_correction_of_money_is_not_cosigned() -> None:
    """It is no deal."""
    world = market(donation={"currency": "EUR"}, sale={"currency": "EUR"})
    gift = world.do("bo", Donate(amount=5))
    world.do("ana", Receipt(entry=gift))
    correction = world.do("bo", Correct(entry=gift, amount=7))
    assert world.refused("cy", Cosign(deal=correction)) is Reason.NOT_FOUND
    world.do("ana", Confirm(entry=correction))
    assert (world.view().balance("EUR", "cash"), world.view().money[gift].amount) == (7, 7)
    assert world.refused("ana", Confirm(entry=correction)) is Reason.NOT_FOUND
    world.do("bo", Correct(entry=gift, amount=8))
    world.seal()


def _committed(world: World) -> list[int]:
    return [count.value for (_, _, who), count in world.view().counts.items() if not who]
