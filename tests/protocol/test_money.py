"""Money in the book: what was stated, confirmed, corrected or forgotten, and what it brought."""

from typing import Any

import pytest

from tallystick.protocol import money_rules
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.use_voucher import UseVoucher
from tallystick.protocol.totals import received_name, shares_name, total
from tests.support.builders import DAY_MS, World
from tests.support.market import MARKET, market

ID = b"\7" * 32
MONEY: dict[str, Any] = {
    "round": [{"id": "seed", "currency": "EUR", "price": 5000, "points": 100, "voucher": 2000, "max-per-partner": 9}],
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


def test_bodies_are_read_as_they_were_written() -> None:
    """What is left out when written is absent when read; `from` is a word that Python has taken."""
    for body in (
        Cash(type="expense", amount=1, category="rent", source=ID),
        Cash(type="income", amount=1, category="sales", currency="JPY"),
        Subscribe(round="seed", shares=1),
        Donate(amount=1),
        Receipt(entry=ID),
        UseVoucher(amount=1),
        Transfer(to=ID, points=1),
        Paid(partner=ID, amount=1),
        Received(amount=1, currency="CNY"),
    ):
        written = body.to_map()
        assert list(written) == sorted(written)
        assert read_body(body.KIND, written) == body
    assert "from" in Cash(type="expense", amount=1, category="rent", source=ID).to_map()


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("cash", {"type": "income", "amount": 1, "category": "sales", "from": ID}),
        ("cash", {"type": "gift", "amount": 1, "category": "sales"}),
        ("cash", {"type": "income", "amount": 0, "category": "sales"}),
        ("cash", {"type": "income", "amount": 1, "category": "two words"}),
        ("cash", {"type": "income", "amount": 1, "category": "sales\n"}),
        ("cash", {"type": "income", "amount": 1, "category": "sales", "currency": "euro"}),
        ("cash", {"type": "income", "amount": 1, "category": "sales", "currency": "EUR\n"}),
        ("cash", {"type": "expense", "amount": 1, "category": "sales", "source": ID}),
        ("donate", {"amount": -1}),
        ("donate", {"amount": 1, "currency": "EUR"}),
        ("subscribe", {"round": "seed", "shares": 0}),
        ("transfer", {"to": ID, "points": 0}),
        ("report", {"period": 1}),
        ("report", {"period": 1, "counted": {"eur": 1}}),
        ("report", {"period": 1, "counted": {"EUR": -1}}),
        ("report", {"period": 1, "counted": {f"A{a}{b}": 1 for a in "ABCDE" for b in "ABCDE"}}),
    ],
)
def test_a_body_that_does_not_fit_is_malformed(kind: str, fields: dict[str, Any]) -> None:
    """A field too few or too many, of another type, or out of its range."""
    with pytest.raises(EntryError) as caught:
        read_body(kind, fields)
    assert caught.value.reason is Reason.MALFORMED


def test_a_share_is_capital_points_and_goods(world: World) -> None:
    """Three movements in three commodities, with the terms of the day on which it was asked for."""
    share = world.do("bo", Subscribe(round="seed", shares=2))
    world.amend(_with(round=[{"id": "seed", "currency": "EUR", "price": 9, "points": 9, "voucher": 9}]))
    receipt = world.do("ana", Receipt(entry=share))
    assert [(row.rule, row.formula) for row in world.outcome(receipt).postings] == [
        ("round.seed.price", "2 x 5000 = 10000"),
        ("round.seed.voucher", "2 x 2000 = 4000"),
        ("round.seed.points", "2 x 100 = 200"),
    ]
    assert (money(world, "capital/bo"), money(world, "cash"), world.points("bo")) == (-10000, 10000, 300)
    assert money(world, "partner/bo", "VOUCHER-EUR") == 4000
    world.seal()


def test_capital_is_no_base_of_a_referral() -> None:
    """Whoever invited somebody earns with work, not with money."""
    world = market(**MONEY, referral={"percent": 50})
    world.do("ana", Receipt(entry=world.do("bo", Subscribe(round="seed", shares=1))))
    assert (world.points("ana"), world.points("bo")) == (100, 200)


def test_what_nobody_confirms_lapses(world: World) -> None:
    """After thirty days; the shares are free again."""
    bo = world.people["bo"].member
    world.do("bo", Subscribe(round="seed", shares=9))
    world.do("bo", Donate(amount=5))
    assert total(world.view(), shares_name("seed", bo)) == 9
    world.seal()
    world.wait(30 * DAY_MS)
    assert [tick.what for tick in world.seal().ticks] == ["money.lapse", "money.lapse"]
    assert not world.ledger.state.money and total(world.ledger.state, shares_name("seed")) == 0
    world.do("bo", Subscribe(round="seed", shares=9))


def test_shares_reach_somebody_who_has_departed(world: World) -> None:
    """The money was given; what it brings is vested."""
    share = world.do("bo", Subscribe(round="seed", shares=1))
    world.alter("bo", status="departed", departed=world.now)
    world.do("ana", Receipt(entry=share))
    assert world.points("bo") == 200
    world.seal()


def test_a_donation_is_traced_to_what_it_bought_and_back(world: World) -> None:
    """From the donation to the expenses, and from each expense to its donation."""
    gift = world.do("bo", Donate(amount=100))
    world.do("ana", Receipt(entry=gift))
    spent = [world.do("ana", Cash(type="expense", amount=amount, category="books", source=gift)) for amount in (30, 20)]
    world.do("ana", Cash(type="expense", amount=7, category="rent"))
    state = world.view()
    assert money_rules.bought_with(state, gift) == spent
    assert {state.money[entry_id].source for entry_id in spent} == {gift}
    assert (state.money[gift].spent, money_rules.unspent_donations(state, "EUR")) == (50, 50)
    assert money_rules.unspent_donations(state, "CNY") == 0
    assert money(world, "cash") == 43
    world.seal()


def test_what_waits_for_a_receipt_is_not_spent(world: World) -> None:
    """Nothing is reserved: whoever is confirmed first has it."""
    world.alter("cy", roles=("treasurer",))
    gift = world.do("bo", Donate(amount=100))
    world.do("ana", Receipt(entry=gift))
    world.do("ana", Cash(type="expense", amount=80, category="books", source=gift))
    assert (money_rules.bought_with(world.view(), gift), world.view().money[gift].spent) == ([], 0)
    other = world.do("cy", Cash(type="expense", amount=80, category="books", source=gift))
    world.do("ana", Receipt(entry=other))
    assert world.view().money[gift].spent == 80
    world.seal()


def test_points_that_are_given_arrive_vested() -> None:
    """Oldest vested parts first; what has not vested stays."""
    world = market(vesting={"cliff": "0s", "duration": "100d"})
    world.wait(50 * DAY_MS)
    world.do("bo", Transfer(to=world.people["cy"].member, points=50))
    assert [(lot.amount, lot.spent) for lot in world.view().lots.of(world.people["bo"].member)] == [(100, 50)]
    lot = world.view().lots.of(world.people["cy"].member)[-1]
    assert (lot.amount, lot.terms.duration) == (50, 0)
    assert world.refused("bo", Transfer(to=world.people["cy"].member, points=1)) is Reason.BALANCE
    world.do("cy", Transfer(to=world.people["bo"].member, points=100))
    world.seal()
    assert (world.points("bo"), world.points("cy")) == (150, 50)


def test_what_has_arrived_is_counted(world: World) -> None:
    """In several parts, of several payments; no posting."""
    bo = world.people["bo"].member
    world.book("EUR", "cash", f"payable/{bo.hex()}", 90)
    world.do("ana", Paid(partner=bo, amount=40))
    world.do("bo", Received(amount=30))
    world.do("ana", Paid(partner=bo, amount=50))
    received = world.do("bo", Received(amount=60))
    assert not world.outcome(received).postings
    assert total(world.view(), received_name("EUR", bo)) == 90
    assert world.refused("bo", Received(amount=1)) is Reason.BALANCE


def _with(**tables: Any) -> dict[str, Any]:
    return MARKET | MONEY | tables
