"""The life of a deal from the offer to the last point: who gets what, when, and from where."""

import pytest

from tallystick.protocol import budget
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.support.builders import DAY_MS, MINUTE_MS, World
from tests.support.market import market

WINDOW_MS = 5 * DAY_MS


@pytest.fixture
def world() -> World:
    return market()


def committed(world: World, step: str) -> int:
    """What the budget of a step has committed in all periods."""
    counts = world.view().counts.items()
    return sum(row.value for (rule, _, who), row in counts if rule.startswith(f"step.{step}.") and not who)


def postings(world: World, entry_id: bytes) -> list[tuple[str, int, str, str]]:
    """What an entry moved: target, amount, rule, arithmetic."""
    return [(row.target.split("/")[0], row.amount, row.rule, row.formula) for row in world.outcome(entry_id).postings]


def test_a_deal_that_the_pool_pays(world: World) -> None:
    """Three kilos at 12: the pool commits 36 at the acceptance, the seller has 36 at the approval."""
    deal = world.accepted("bo", "ana", "roast", 3)
    assert (world.escrow(deal), world.points("bo"), committed(world, "roast")) == (36, 100, 36)
    world.do("bo", Deliver(deal=deal, units=3))
    approval = world.do("ana", Approve(deal=deal))
    assert postings(world, approval) == [("partner", 36, "step.roast.price", "3 x 12 x 100% = 36")]
    assert (world.escrow(deal), world.points("bo"), committed(world, "roast")) == (0, 136, 36)
    executed = world.seal()
    assert executed.closed[deal].status == "approved"
    assert not world.ledger.state.deals and not world.ledger.state.offers and not world.ledger.state.due


def test_a_deal_that_the_buyer_pays(world: World) -> None:
    """The points move from the buyer through the escrow to the seller; the pool has no part in it."""
    pool = world.points("pool")
    deal = world.delivered("bo", "ana", "bake", 4)
    assert (world.points("ana"), world.escrow(deal)) == (60, 40)
    world.do("ana", Approve(deal=deal))
    assert (world.points("ana"), world.points("bo"), world.points("pool")) == (60, 140, pool)
    world.seal()


def test_a_buyer_may_offer_and_a_seller_accept(world: World) -> None:
    """Whoever offers to buy is the buyer of the deal, and pays."""
    deal = world.do("bo", Accept(offer=world.offered("ana", "bake", 4, side="buy")))
    row = world.deal(deal)
    assert (row.seller, row.buyer) == (world.people["bo"].member, world.people["ana"].member)
    assert world.points("ana") == 60


def test_what_was_not_delivered_returns_at_once(world: World) -> None:
    """Half the units approved at full grade: nothing is held, the rest goes back to the pool and to the budget."""
    deal = world.accepted("bo", "ana", "roast", 10)
    world.do("bo", Deliver(deal=deal, units=5))
    approval = world.do("ana", Approve(deal=deal))
    assert [row[:2] for row in postings(world, approval)] == [("partner", 60), ("pool", 60)]
    assert committed(world, "roast") == 60
    assert world.deal(deal).status == "approved"


def test_a_reduction_is_held_until_it_is_not_disputed(world: World) -> None:
    """Two of four units, at 90 percent: the seller has 18 at once, 22 wait for the window, then return."""
    deal = world.delivered("bo", "ana", "bake", 4)
    world.do("ana", Approve(deal=deal, units=2, grade=90))
    assert (world.points("bo"), world.escrow(deal), world.points("ana")) == (118, 22, 60)
    assert world.deal(deal).status == "approved"
    world.seal()
    world.wait(WINDOW_MS - MINUTE_MS)
    assert world.escrow(deal) == 22
    world.wait(MINUTE_MS)
    assert (world.escrow(deal), world.points("ana")) == (0, 82)
    executed = world.seal()
    assert [tick.what for tick in executed.ticks] == ["deal.held"]
    assert executed.closed[deal].status == "approved"


@pytest.mark.parametrize(
    ("late_ms", "points"),
    [(0, 100), (1, 90), (DAY_MS, 90), (DAY_MS + 1, 80), (4 * DAY_MS + 1, 50), (9 * DAY_MS, 50)],
)
def test_lateness_costs_by_days_begun(world: World, late_ms: int, points: int) -> None:
    """Ten percent for each day begun, at most fifty; on time is on time."""
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "print", 10, deadline=deadline)
    world.do("bo", Deliver(deal=deal, units=10), time=deadline + late_ms)
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 100 + points
    assert world.escrow(deal) == 0
    world.seal()


def test_lateness_and_grade_round_down_one_after_the_other(world: World) -> None:
    """7 x 10 x 97% = 67, of which 90% = 60, not 61; at grade 100 it would have been 63, so 3 are held."""
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "print", 7, deadline=deadline)
    world.do("bo", Deliver(deal=deal, units=7), time=deadline + 1)
    approval = world.do("ana", Approve(deal=deal, grade=97))
    assert postings(world, approval)[0][3] == "7 x 10 x 97% x 90% (late) = 60"
    assert (world.points("bo"), world.escrow(deal)) == (160, 3)


def test_excellence_is_paid_from_what_the_budget_has_left(world: World) -> None:
    """Above 100 percent: counted in the budget, and limited to the gross where the budget does not reach."""
    first = world.delivered("bo", "ana", "sing", 10)
    world.do("ana", Approve(deal=first, grade=120))
    assert (world.points("bo"), committed(world, "sing")) == (220, 120)
    second = world.delivered("bo", "ana", "sing", 3)
    approval = world.do("ana", Approve(deal=second, grade=150))
    assert (world.points("bo"), committed(world, "sing")) == (250, 150)
    assert postings(world, approval)[0][3] == "3 x 10 x 150% = 45, limited to 30"
    world.seal()


def test_excellence_is_paid_by_the_buyer_who_can(world: World) -> None:
    """From the balance, or not at all."""
    deal = world.delivered("bo", "ana", "tune", 5)
    world.do("ana", Approve(deal=deal, grade=200))
    assert (world.points("ana"), world.points("bo")) == (0, 200)
    deal = world.delivered("cy", "di", "tune", 6)
    world.do("di", Approve(deal=deal, grade=200))
    assert (world.points("di"), world.points("cy")) == (40, 160)
    world.seal()


def test_rework_starts_the_review_anew_and_moves_the_deadline(world: World) -> None:
    """The seller does not lose the time for which the buyer had it."""
    deadline = world.now + 3 * DAY_MS
    deal = world.delivered("bo", "ana", "print", 10, deadline=deadline)
    world.wait(5 * DAY_MS)
    returned = world.now + MINUTE_MS
    held = returned - world.deal(deal).delivered_at
    world.do("ana", Return(deal=deal))
    row = world.deal(deal)
    assert (row.status, row.delivered, row.deadline) == ("accepted", 0, deadline + held)
    assert row.due is not None and row.due[0] == row.deadline + 30 * DAY_MS
    world.wait(2 * DAY_MS)
    world.do("bo", Deliver(deal=deal, units=10))
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 200
    world.seal()


def test_a_return_after_the_deadline_gives_thirty_days(world: World) -> None:
    """Whoever delivered late still has time to mend it; what is late stays late."""
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "print", 10, deadline=deadline)
    world.do("bo", Deliver(deal=deal, units=10), time=deadline + 5 * DAY_MS)
    world.do("ana", Return(deal=deal), time=deadline + 6 * DAY_MS)
    row = world.deal(deal)
    assert row.deadline == deadline + DAY_MS
    assert row.due is not None and row.due[0] == deadline + 36 * DAY_MS


def test_a_return_without_a_deadline_gives_thirty_days(world: World) -> None:
    """They count from the return."""
    deal = world.delivered("bo", "ana", "roast", 1)
    world.wait(DAY_MS)
    world.do("ana", Return(deal=deal))
    row = world.deal(deal)
    assert row.due is not None and row.due[0] == world.now + 30 * DAY_MS
    assert row.deadline == 0


def test_an_approval_can_follow_a_rejection(world: World) -> None:
    """The buyer may think again while the window is open."""
    deal = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Reject(deal=deal))
    assert (world.deal(deal).status, world.escrow(deal)) == ("rejected", 24)
    world.seal()
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 124
    assert not world.seal().ticks


def test_a_rejection_is_final_after_the_window(world: World) -> None:
    """The escrow returns to where it came from, and to the budget of the same period."""
    pool = world.points("pool")
    deal = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Reject(deal=deal))
    world.seal()
    world.wait(WINDOW_MS - 1)
    assert world.escrow(deal) == 24
    world.wait(1)
    assert (world.escrow(deal), world.points("pool"), committed(world, "roast")) == (0, pool, 0)
    assert world.seal().closed[deal].status == "returned"


def test_what_returns_in_a_later_period_stays_committed(world: World) -> None:
    """The budget of a past period is not reopened, nor that of the present one made larger."""
    world.wait(28 * DAY_MS)
    deal = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Reject(deal=deal))
    world.seal()
    world.wait(WINDOW_MS)
    world.seal()
    assert world.deal(deal).status == "returned"
    assert committed(world, "roast") == 24


def test_a_large_deal_waits_for_a_third_partner(world: World) -> None:
    """Nothing moves before the cosignature."""
    deal = world.delivered("bo", "ana", "carve", 11)
    world.do("ana", Approve(deal=deal))
    assert (world.deal(deal).status, world.escrow(deal), world.points("bo")) == ("waiting", 110, 100)
    world.do("cy", Cosign(deal=deal))
    assert (world.escrow(deal), world.points("bo")) == (0, 210)
    assert not world.seal().ticks


def test_a_deal_that_is_not_above_needs_no_cosignature(world: World) -> None:
    """Above means more than."""
    deal = world.delivered("bo", "ana", "carve", 10)
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 200


def test_nobody_is_asked_to_cosign_where_there_is_nobody() -> None:
    """In a ledger of two a large deal is paid at once."""
    world = market("bo")
    deal = world.delivered("bo", "ana", "carve", 50)
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 600
    world.seal()


def test_a_deal_that_nobody_cosigns_is_rejected(world: World) -> None:
    """After the time of a review; the buyer may approve again, and the wait begins anew."""
    deal = world.delivered("bo", "ana", "carve", 11)
    world.do("ana", Approve(deal=deal))
    world.seal()
    world.wait(3 * DAY_MS)
    assert world.deal(deal).status == "rejected"
    world.seal()
    world.do("ana", Approve(deal=deal))
    assert world.deal(deal).status == "waiting"
    world.do("di", Cosign(deal=deal))
    assert world.points("bo") == 210
    world.seal()


def test_silence_of_the_buyer_approves(world: World) -> None:
    """What was delivered, at grade 100."""
    deal = world.accepted("bo", "ana", "roast", 3)
    world.do("bo", Deliver(deal=deal, units=2))
    world.seal()
    world.wait(7 * DAY_MS - 1)
    assert world.points("bo") == 100
    world.wait(1)
    assert (world.points("bo"), world.escrow(deal)) == (124, 0)
    assert [tick.what for tick in world.seal().ticks] == ["deal.unreviewed"]


def test_silence_of_the_buyer_rejects_where_the_terms_say_so(world: World) -> None:
    """`lapse`: the rejection then runs its window."""
    deal = world.delivered("bo", "ana", "copy", 3)
    world.seal()
    world.wait(7 * DAY_MS)
    assert world.deal(deal).status == "rejected"
    world.wait(WINDOW_MS)
    assert [tick.what for tick in world.seal().ticks] == ["deal.unreviewed", "deal.rejected"]
    assert world.points("bo") == 100


def test_silence_of_the_buyer_still_needs_the_cosignature(world: World) -> None:
    """Nobody can get around the third partner by keeping quiet, however long a block is in coming."""
    deal = world.delivered("bo", "ana", "carve", 11)
    world.seal()
    world.wait(3 * DAY_MS)
    assert world.deal(deal).status == "waiting"
    world.wait(3 * DAY_MS + WINDOW_MS)
    executed = world.seal()
    assert [tick.what for tick in executed.ticks] == ["deal.unreviewed", "deal.uncosigned", "deal.rejected"]
    assert [tick.time - executed.ticks[0].time for tick in executed.ticks] == [0, 3 * DAY_MS, 3 * DAY_MS + WINDOW_MS]
    assert world.points("bo") == 100


def test_silence_of_the_seller_ends_the_deal(world: World) -> None:
    """Thirty days after the acceptance, or after the deadline where there is one."""
    one = world.accepted("bo", "ana", "bake", 1)
    two = world.accepted("bo", "ana", "bake", 1, deadline=world.now + 10 * DAY_MS)
    world.wait(30 * DAY_MS)
    assert (world.deal(one).status, world.deal(two).status) == ("cancelled", "accepted")
    world.seal()
    world.wait(10 * DAY_MS)
    assert world.deal(two).status == "cancelled"
    assert world.points("ana") == 100
    world.seal()


def test_a_tick_goes_before_an_entry_of_its_moment(world: World) -> None:
    """At the very millisecond at which the review is over, silence has approved."""
    deal = world.delivered("bo", "ana", "roast", 1)
    world.seal()
    due = world.deal(deal).due
    assert due is not None
    assert world.refused("ana", Reject(deal=deal), time=due[0]).value == "deal-closed"
    assert world.points("bo") == 112


def test_a_rejection_that_was_signed_in_time_counts(world: World) -> None:
    """An entry of one millisecond earlier, sealed long after, goes before the tick."""
    deal = world.delivered("bo", "ana", "roast", 1)
    world.seal()
    due = world.deal(deal).due
    assert due is not None
    entry = world.sign("ana", Reject(deal=deal), time=due[0] - 1)
    world.now = due[0] + DAY_MS
    assert world.points("bo") == 112
    world.feed(entry)
    assert world.points("bo") == 100
    world.seal()
    assert world.deal(deal).status == "rejected"


def test_the_seller_alone_cancels_before_a_delivery(world: World) -> None:
    """Everything returns to the lots and the budget it came from."""
    pool = world.points("pool")
    deal = world.accepted("bo", "ana", "roast", 3)
    world.do("bo", Cancel(deal=deal))
    assert (world.points("pool"), committed(world, "roast"), world.deal(deal).status) == (pool, 0, "cancelled")
    assert not world.seal().ticks


def test_the_buyer_alone_cancels_after_waiting_in_vain(world: World) -> None:
    """Not before the deadline and a review are over; until then it is a consent."""
    deadline = world.now + DAY_MS
    deal = world.accepted("bo", "ana", "bake", 3, deadline=deadline)
    world.do("ana", Cancel(deal=deal), time=deadline + 7 * DAY_MS)
    assert world.deal(deal).consents == (world.people["ana"].member,)
    world.do("ana", Cancel(deal=deal), time=deadline + 7 * DAY_MS + 1)
    assert world.points("ana") == 100
    world.seal()


def test_both_together_cancel_after_a_delivery(world: World) -> None:
    """Also while it waits for a cosignature."""
    deal = world.delivered("bo", "ana", "carve", 11)
    world.do("bo", Cancel(deal=deal))
    world.do("ana", Approve(deal=deal))
    assert world.deal(deal).status == "waiting"
    world.do("ana", Cancel(deal=deal))
    assert (world.deal(deal).status, world.escrow(deal)) == ("cancelled", 0)
    assert not world.seal().ticks


def test_after_rework_the_seller_needs_the_buyer_to_cancel(world: World) -> None:
    """There was a delivery, so walking away alone is over."""
    deal = world.delivered("bo", "ana", "roast", 3)
    world.do("ana", Return(deal=deal))
    world.do("bo", Cancel(deal=deal))
    assert world.deal(deal).status == "accepted"
    world.do("ana", Cancel(deal=deal))
    assert world.deal(deal).status == "cancelled"
    world.seal()


def test_copies_are_deals_of_their_own(world: World) -> None:
    """The offer stays while copies are left, and then while a deal of it is open."""
    offer = world.offered("bo", "roast", 1, copies=2)
    one = world.do("ana", Accept(offer=offer))
    two = world.do("cy", Accept(offer=offer))
    world.seal()
    assert world.ledger.state.offers[offer].deals == 2
    world.do("bo", Cancel(deal=one))
    world.do("bo", Cancel(deal=two))
    world.seal()
    assert offer not in world.ledger.state.offers


def test_a_withdrawn_offer_keeps_its_deals(world: World) -> None:
    """Only the copies that remain are off the market."""
    offer = world.offered("bo", "roast", 1, copies=2)
    deal = world.do("ana", Accept(offer=offer))
    world.do("bo", Withdraw(offer=offer))
    world.do("bo", Deliver(deal=deal, units=1))
    world.do("ana", Approve(deal=deal))
    assert world.points("bo") == 112
    assert offer not in world.view().offers
    world.seal()


def test_expired_offers_leave_the_state_after_a_while(world: World) -> None:
    """As long as an acceptance could still be dated back into its life, an offer stays."""
    offer = world.offered("bo", "roast", 1)
    world.seal()
    world.wait(100 * DAY_MS)
    world.seal()
    assert offer in world.ledger.state.offers
    world.wait(21 * DAY_MS)
    world.seal()
    assert offer not in world.ledger.state.offers


def test_an_offer_whose_deadline_is_over_leaves_the_state_too(world: World) -> None:
    """It can no more be accepted than one that has expired."""
    offer = world.offered("bo", "roast", 1, deadline=world.now + DAY_MS)
    world.seal()
    world.wait(92 * DAY_MS)
    world.seal()
    assert offer not in world.ledger.state.offers


def test_a_deal_keeps_its_offer_however_old_it_is(world: World) -> None:
    """A deadline of nearly a year lies far behind the end of the offer."""
    offer = world.offered("bo", "roast", 1, deadline=world.now + 360 * DAY_MS, copies=2)
    deal = world.do("ana", Accept(offer=offer))
    world.seal()
    world.wait(300 * DAY_MS)
    world.seal()
    assert offer in world.ledger.state.offers
    world.do("bo", Cancel(deal=deal))
    world.seal()
    assert offer not in world.ledger.state.offers


def test_a_gift_is_a_deal_too() -> None:
    """A price of 0 moves nothing and breaks nothing."""
    world = market("bo")
    deal = world.delivered("bo", "ana", "gift", 5)
    world.do("ana", Approve(deal=deal))
    world.seal()
    assert world.points("bo") == 100


def test_pay_is_a_lot_with_the_terms_of_the_day() -> None:
    """What was earned under a vesting charter knows when it was earned; an escrow gives lots back as they were."""
    world = market(vesting={"cliff": "10d", "duration": "100d"})
    earned = world.delivered("bo", "ana", "roast", 3)
    world.do("ana", Approve(deal=earned))
    before = world.view().lots.of(world.people["bo"].member)
    assert [lot.amount for lot in before] == [100, 36]
    deal = world.accepted("cy", "bo", "bake", 12)
    assert [(lot.amount, lot.spent) for lot in world.view().lots.of(world.people["bo"].member)] == [(36, 20)]
    world.do("cy", Cancel(deal=deal))
    assert world.view().lots.of(world.people["bo"].member) == before
    world.seal()


def test_an_inviter_earns_with_what_the_pool_pays() -> None:
    """Nothing of what a buyer pays, and nothing for the founder, whom nobody invited."""
    world = market("bo", referral={"percent": 50, "period": "20d"})
    deal = world.delivered("bo", "ana", "bake", 4)
    world.do("ana", Approve(deal=deal))
    assert (world.points("ana"), world.points("bo")) == (60, 140)
    deal = world.delivered("ana", "bo", "roast", 2)
    world.do("bo", Approve(deal=deal))
    assert (world.points("ana"), world.points("bo")) == (84, 140)
    deal = world.delivered("bo", "ana", "roast", 2)
    world.do("ana", Approve(deal=deal))
    assert (world.points("ana"), world.points("bo")) == (96, 164)
    world.seal()


def test_referral_is_trimmed_to_its_cap_and_ends() -> None:
    """The cap is of one referred partner; after the period there is nothing more."""
    world = market("bo", referral={"percent": 50, "period": "20d", "cap": 30})
    for earned, ana in ((24, 112), (48, 130), (12, 130)):
        deal = world.delivered("bo", "ana", "roast", earned // 12)
        world.do("ana", Approve(deal=deal))
        assert world.points("ana") == ana
    assert world.view().members[world.people["bo"].member].referred == 30
    world = market("bo", referral={"percent": 50, "period": "20d", "cap": 0})
    one, two = world.accepted("bo", "ana", "roast", 2), world.accepted("bo", "ana", "roast", 2)
    world.wait(15 * DAY_MS)
    for deal in (one, two):
        world.do("bo", Deliver(deal=deal, units=2))
    end = world.view().members[world.people["bo"].member].since + 20 * DAY_MS
    world.do("ana", Approve(deal=one), time=end - 1)
    assert world.points("ana") == 112
    world.do("ana", Approve(deal=two), time=end)
    assert world.points("ana") == 112
    world.seal()


def test_a_pair_is_counted_in_both_directions(world: World) -> None:
    """Selling to one another uses one counter."""
    world.accepted("bo", "ana", "swap", 2)
    world.accepted("ana", "bo", "swap", 3)
    counts = world.view().counts.items()
    pair = budget.pair_of(world.people["ana"].member, world.people["bo"].member)
    assert [row.value for (_, _, who), row in counts if who == pair] == [50]
