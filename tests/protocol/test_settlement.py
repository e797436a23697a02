"""Settlement: a sale pays everybody, to the last unit; dividends; what still works when everything is sold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol import settlement
from tallystick.protocol.act import POINT, Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.use_voucher import UseVoucher
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.settlement import settlement_at, split
from tests.support.builders import DAY_MS, World, key
from tests.support.governance import body, passed, proposal, proposed, vote
from tests.support.market import market

ALL = ("ana", "bo", "cy", "di")
MONEY: dict[str, Any] = {
    "round": [{"id": "seed", "currency": "EUR", "price": 1_000, "points": 0, "voucher": 500, "max-per-partner": 9}],
    "donation": {"currency": "EUR"},
    "sale": {"currency": "EUR"},
}


@pytest.fixture
def world() -> World:
    return market(**MONEY)


def money(world: World, account: str, currency: str = "EUR") -> int:
    kind, _, who = account.partition("/")
    path = f"{kind}/{world.people[who].member.hex()}" if who in world.people else account
    return world.view().balance(currency, path)


def payable(world: World) -> dict[str, int]:
    return {name: money(world, f"payable/{name}") for name in world.people}


def invest(world: World, name: str, shares: int) -> None:
    share = world.do(name, Subscribe(round="seed", shares=shares))
    world.do("ana" if name != "ana" else "bo", Receipt(entry=share))


def give(world: World, name: str, amount: int) -> bytes:
    gift = world.do(name, Donate(amount=amount))
    world.do("ana" if name != "ana" else "bo", Receipt(entry=gift))
    return gift


def sell(world: World, proceeds: int, **fields: Any) -> bytes:
    voters = [name for name in world.people if world.view().members[world.people[name].member].status == "active"]
    return passed(world, voters[0], "sale", *voters, proceeds=proceeds, **fields)


def asked(world: World, amount: int) -> settlement.Settlement:
    """What a sale at this price would pay now, seen from the preview."""
    before = world.view().rows()
    found = settlement_at(world.view(), world.ledger.context(world.now), amount)
    assert world.view().rows() == before, "asking leaves no trace"
    return found


# -- the arithmetic ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**18), st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 10**15), max_size=9))
@settings(max_examples=300, deadline=None)
def test_shares_sum_exactly(amount: int, weights: dict[bytes, int]) -> None:
    """To the last unit, each less than one unit from its exact part, and the same whatever the order."""
    parts = split(amount, weights)
    whole = sum(weights.values())
    assert sum(parts.values()) == (amount if whole else 0)
    for each, part in parts.items():
        if whole:
            assert abs(part * whole - amount * weights[each]) < whole
    assert split(amount, dict(sorted(weights.items(), reverse=True))) == parts


def test_the_last_units_go_to_the_largest_remainders_then_to_the_lower_id() -> None:
    """So that every node gives them to the same."""
    assert split(10, {b"b": 1, b"a": 1, b"c": 1}) == {b"a": 4, b"b": 3, b"c": 3}
    assert split(10, {b"a": 1, b"b": 2, b"c": 4}) == {b"a": 1, b"b": 3, b"c": 6}
    assert split(1, {b"b": 1, b"a": 1}) == {b"a": 1, b"b": 0}
    assert split(5, {b"a": 0, b"b": 0}) == {b"a": 0, b"b": 0}


# -- a complete sale ---------------------------------------------------------------------------------------------------


def test_a_sale_pays_by_points(world: World) -> None:
    """Everybody has a hundred; bo has earned twelve more, and costs come off first."""
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Approve(deal=deal))
    sell(world, 10_000, costs=1_000)
    state = world.ledger.state
    assert sorted(payable(world).values()) == [2_184, 2_184, 2_185, 2_447]
    assert payable(world)["bo"] == 9_000 * 112 // 412 + 1
    assert (money(world, "cash"), money(world, "proceeds"), money(world, "expense/sale")) == (0, -10_000, 1_000)
    assert (world.points("redeemed"), sum(map(world.points, ALL))) == (412, 0)
    assert not state.lots
    assert state.course.sold


def test_capital_comes_first(world: World) -> None:
    """As far as it was neither repaid nor used as goods; the rest goes by points, capital givers included."""
    invest(world, "bo", 3)
    invest(world, "cy", 1)
    used = world.do("bo", UseVoucher(amount=600))
    world.do("ana", Receipt(entry=used))
    plan = asked(world, 10_000)
    assert plan.distributable == 14_000, "the capital still lies in cash"
    shares = {share.member: share for share in plan.shares}
    bo, cy = (world.people[name].member for name in ("bo", "cy"))
    assert (shares[bo].capital, shares[cy].capital) == (2_400, 1_000)
    assert {share.money for share in plan.shares} == {2_650}
    assert plan.vouchers == tuple(sorted([(bo, "EUR", 900), (cy, "EUR", 500)]))
    sell(world, 10_000)
    assert payable(world) == {"ana": 2_650, "bo": 5_050, "cy": 3_650, "di": 2_650}
    assert world.view().members[bo].repaid == 2_400


def test_capital_is_repaid_pro_rata_when_it_does_not_suffice(world: World) -> None:
    """Departed holders too."""
    invest(world, "bo", 3)
    invest(world, "cy", 1)
    world.do("ana", Cash(type="expense", amount=4_000, category="oven"))
    world.do("bo", Leave())
    world.seal()
    sell(world, 1_001)
    assert payable(world) == {"ana": 0, "bo": 751, "cy": 250, "di": 0}
    assert world.points("redeemed") == 400, "points are redeemed, for nothing"


def test_without_preference_capital_is_no_more_than_the_others() -> None:
    """It has brought points, and those count."""
    world = market(**(MONEY | {"sale": {"currency": "EUR", "preference": "none"}}))
    invest(world, "bo", 4)
    sell(world, 4_000)
    assert payable(world) == dict.fromkeys(ALL, 2_000)


def test_what_was_given_for_a_purpose_is_not_shared(world: World) -> None:
    """The unspent rest of a donation stays in cash."""
    gift = give(world, "cy", 900)
    world.do("ana", Cash(type="expense", amount=300, category="oven", source=gift))
    world.do("ana", Cash(type="income", amount=1_000, category="bread"))
    sell(world, 3_000)
    assert payable(world) == dict.fromkeys(ALL, 1_000)
    assert money(world, "cash") == 600


def test_debts_come_off_and_nobody_pays_in(world: World) -> None:
    """Cash below zero reduces what there is, at most to nothing."""
    world.do("ana", Cash(type="expense", amount=3_000, category="rent"))
    assert asked(world, 3_400).distributable == 400
    assert asked(world, 2_000).distributable == 0
    sell(world, 2_000)
    assert payable(world) == dict.fromkeys(ALL, 0)
    assert money(world, "cash") == -1_000


def test_without_points_the_rest_stays_in_cash() -> None:
    """There is nobody to give it to."""
    world = market(**MONEY, points={"pool": 1_000})
    assert asked(world, 500).rest == 500
    sell(world, 500)
    assert (money(world, "cash"), world.points("redeemed")) == (500, 0)


@pytest.mark.parametrize(("acceleration", "points"), [(True, 400), (False, 40)])
def test_acceleration_counts_what_has_not_vested(acceleration: bool, points: int) -> None:
    """By the terms of each lot; without it only the vested part is redeemed."""
    sale = {"currency": "EUR", "acceleration": acceleration}
    world = market(**(MONEY | {"sale": sale}), vesting={"cliff": "0s", "duration": "100d"})
    starts = [row.since for row in world.view().members.values()]
    case = proposed(world, "ana", "sale", proceeds=10)
    for name in ALL:
        world.do(name, Vote(proposal=case, choice="yes"))
    world.seal(max(starts) + 10 * DAY_MS)
    redeemed = world.points("redeemed")
    assert redeemed == points
    assert sum(map(world.points, ALL)) == 400 - points


def test_departed_holders_share(world: World) -> None:
    """With everything they kept."""
    world.do("bo", Leave())
    world.seal()
    sell(world, 400)
    assert payable(world) == dict.fromkeys(ALL, 100)


def test_every_deal_ends_before_a_complete_sale() -> None:
    """Without a delivery cancelled, delivered or waiting paid, rejected returned, a held rest returned."""
    world = market(**MONEY)
    open_deal = world.accepted("bo", "cy", "bake")
    delivered = world.delivered("bo", "cy", "copy", 2)
    waiting = world.delivered("bo", "cy", "carve", 20)
    rejected = world.delivered("bo", "cy", "bake", 3)
    held = world.delivered("bo", "cy", "bake", 4)
    offer = world.offered("bo", "roast")
    world.do("cy", Approve(deal=waiting, grade=50))
    world.do("cy", Reject(deal=rejected))
    world.do("cy", Approve(deal=held, units=1))
    assert [world.deal(deal).status for deal in (delivered, waiting)] == ["delivered", "waiting"]
    plan = asked(world, 1_000)
    sell(world, 1_000)
    assert {
        "open": world.deal(open_deal).status,
        "delivered": (world.deal(delivered).status, world.deal(delivered).paid),
        "waiting": (world.deal(waiting).status, world.deal(waiting).paid),
        "rejected": world.deal(rejected).status,
        "held": (world.deal(held).status, world.deal(held).paid),
    } == {
        "open": "cancelled",
        "delivered": ("approved", 20),
        "waiting": ("approved", 100),
        "rejected": "returned",
        "held": ("approved", 10),
    }
    assert not world.ledger.state.deals
    assert world.points("redeemed") == 520
    by_member = {share.member: share.money for share in plan.shares}
    assert payable(world) == {name: by_member[world.people[name].member] for name in ALL}
    assert world.refused("cy", Accept(offer=offer)) is Reason.SOLD


def test_what_nobody_confirmed_lapses_with_a_complete_sale(world: World) -> None:
    """Money that comes in now would come too late."""
    share, gift = world.do("bo", Subscribe(round="seed", shares=1)), world.do("cy", Donate(amount=5))
    sell(world, 1_000)
    for entry in (share, gift):
        assert world.refused("ana", Receipt(entry=entry)) is Reason.NOT_FOUND


def test_after_a_complete_sale_only_its_end_is_left(world: World) -> None:
    """Paying out, leaving, texts and votes; no work, no market, no other decision."""
    text = proposed(world, "ana", "text")
    release = proposed(world, "ana", "role", member="bo", role="roaster")
    sale = proposed(world, "bo", "sale", proceeds=4_000)
    vote(world, sale, **dict.fromkeys(ALL, "yes"))
    assert proposal(world, sale).status == "passed"
    bo = world.people["bo"].member
    for name, late in (
        ("bo", world.offer("roast")),
        ("bo", Transfer(to=world.people["cy"].member, points=1)),
        ("bo", Donate(amount=1)),
        ("ana", Invite(key=key("late", "invite").public, standing="partner", uses=1, expires=world.now + DAY_MS)),
        ("ana", body(world, "sale", proceeds=5)),
        ("ana", body(world, "dividend", amount=5)),
        ("ana", body(world, "expel", member="bo")),
    ):
        assert world.refused(name, late) is Reason.SOLD
    world.do("ana", Paid(partner=bo, amount=1_000))
    world.do("bo", Received(amount=1_000))
    assert money(world, "payable/bo") == 0
    world.do("cy", Away(until=world.now + DAY_MS))
    world.do("cy", Back())
    vote(world, text, ana="yes", bo="yes", cy="yes")
    vote(world, release, ana="yes", bo="yes", cy="yes")
    assert (proposal(world, text).status, proposal(world, release).status) == ("passed", "failed")
    passed(world, "di", "text", "ana", "bo", "cy")
    world.do("di", Leave())
    world.seal()


def test_two_complete_sales_cannot_both_happen(world: World) -> None:
    """The second has become impossible."""
    first, second = (proposed(world, "ana", "sale", proceeds=4_000) for _ in range(2))
    vote(world, first, **dict.fromkeys(ALL, "yes"))
    before = payable(world)
    vote(world, second, **dict.fromkeys(ALL, "yes"))
    assert (proposal(world, first).status, proposal(world, second).status) == ("passed", "failed")
    assert payable(world) == before


# -- a part ------------------------------------------------------------------------------------------------------------


def test_a_partial_sale_redeems_part_of_what_is_vested() -> None:
    """Deals run on, cash stays, and the oldest lots give first."""
    world = market(**MONEY, vesting={"cliff": "0s", "duration": "100d"})
    invest(world, "bo", 1)
    deal = world.accepted("bo", "cy", "roast")
    world.wait(50 * DAY_MS)
    world.do("ana", Cash(type="income", amount=700, category="bread"))
    sell(world, 5_000, percent=30)
    vested = {name: 100 - world.points(name) for name in ALL}
    assert all(14 <= points <= 18 for points in vested.values())
    assert sum(payable(world).values()) == 5_000
    assert payable(world)["bo"] > 1_000
    assert money(world, "cash") == 1_700
    assert world.deal(deal).status in ("accepted", "cancelled")
    assert not world.ledger.state.course.sold
    assert world.view().members[world.people["bo"].member].repaid == 1_000
    world.offered("bo", "roast")
    sell(world, 1_000, percent=10)
    assert world.view().members[world.people["bo"].member].repaid == 1_000, "capital is repaid once"


def test_a_sale_beyond_63_bits_is_impossible(world: World) -> None:
    """It has passed, has failed, and nothing has moved."""
    world.do("ana", Cash(type="income", amount=2**63 - 1, category="luck"))
    deal = world.accepted("bo", "cy", "bake")
    case = proposed(world, "ana", "sale", proceeds=2**63 - 1)
    before = {path: row for path, row in world.ledger.state.rows().items() if path.startswith(("acct", "lots", "deal"))}
    vote(world, case, **dict.fromkeys(ALL, "yes"))
    after = {path: row for path, row in world.ledger.state.rows().items() if path.startswith(("acct", "lots", "deal"))}
    assert proposal(world, case).status == "failed"
    assert after == before
    assert world.deal(deal).status == "accepted"


# -- dividends ---------------------------------------------------------------------------------------------------------


def test_a_dividend_goes_by_balance_and_redeems_nothing(world: World) -> None:
    """Departed holders included, unvested points too."""
    world.do("ana", Cash(type="income", amount=1_000, category="bread"))
    world.do("bo", Leave())
    world.seal()
    passed(world, "ana", "dividend", "ana", "cy", "di", amount=402)
    assert sorted(payable(world).values()) == [100, 100, 101, 101]
    assert (money(world, "cash"), world.points("redeemed")) == (598, 0)
    assert sum(map(world.points, ALL)) == 400


def test_a_dividend_above_cash_is_impossible(world: World) -> None:
    """What was given for a purpose is not there to be shared; exactly what is there may go."""
    give(world, "cy", 500)
    world.do("ana", Cash(type="income", amount=100, category="bread"))
    for amount, status in ((101, "failed"), (100, "passed"), (1, "failed")):
        case = proposed(world, "ana", "dividend", amount=amount)
        vote(world, case, ana="yes", bo="yes", cy="yes")
        assert proposal(world, case).status == status
    assert money(world, "cash") == 500


def test_without_a_currency_there_is_nothing_to_sell_for() -> None:
    """The charter has to name it."""
    world = market()
    for what, fields in (("sale", {"proceeds": 5}), ("dividend", {"amount": 5})):
        assert world.refused("ana", body(world, what, **fields)) is Reason.MALFORMED


@given(
    st.lists(st.tuples(st.sampled_from(ALL), st.integers(1, 9)), max_size=5),
    st.lists(
        st.tuples(st.sampled_from(("bake", "roast", "tune")), st.sampled_from(ALL), st.integers(1, 5)), max_size=5
    ),
    st.integers(1, 10**9),
    st.integers(1, 100),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_whatever_happened_a_sale_pays_out_exactly(
    capital: list[tuple[str, int]], deals: list[tuple[str, str, int]], proceeds: int, percent: int, vesting: bool
) -> None:
    """Asked or done, the shares are the same, and they sum to what is distributable."""
    tables = {"vesting": {"cliff": "1d", "duration": "30d"}} if vesting else {}
    world = market(**MONEY, **tables)
    for name, shares in capital:
        if shares + sum(n for who, n in capital if who == name) <= 9:
            invest(world, name, shares)
    for step, seller, units in deals:
        buyer = ALL[(ALL.index(seller) + 1) % 4]
        offer = world.do(seller, world.offer(step, units))
        if world.outcome(world.send(buyer, Accept(offer=offer))).reason is None:
            world.wait(DAY_MS // 2)
    world.seal()
    case = proposed(world, "ana", "sale", proceeds=proceeds, percent=percent)
    for name in ALL:
        world.do(name, Vote(proposal=case, choice="yes"))
    state = world.view()
    context = world.ledger.context(world.now)
    plan = settlement_at(state, context, proceeds, 0, percent)
    cash = money(world, "cash")
    executed = world.seal(context.time)
    assert executed.time == context.time
    assert proposal(world, case).status == "passed"
    assert sum(share.capital + share.money for share in plan.shares) == plan.distributable - plan.rest
    for share in plan.shares:
        assert world.ledger.state.balance("EUR", f"payable/{share.member.hex()}") == share.capital + share.money
    assert money(world, "cash") == cash + proceeds - plan.distributable + plan.rest
    assert world.ledger.state.balance(POINT, "redeemed") == sum(share.points for share in plan.shares)


def test_a_question_is_only_arithmetic(world: World) -> None:
    """It may ask for more than the book could hold; a sale may not."""
    world.do("ana", Cash(type="income", amount=10, category="bread"))
    found = asked(world, 2**63 - 1)
    assert found.distributable == 2**63 + 9
    assert sum(share.money for share in found.shares) == found.distributable
    state = world.view()
    mark = state.mark()
    act = Act(state, world.ledger.context(world.now), world.now, world.ledger.id)
    with pytest.raises(EntryError) as caught:
        settlement.sell(act, 2**63 - 1, 0, 100)
    assert caught.value.reason is Reason.LIMIT
    state.rollback(mark)
