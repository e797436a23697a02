"""Donations are traced to what they bought, and back."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.node.reads import READS
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.vote import Vote
from tests.support.kept import kept_market

TABLES: dict[str, Any] = {
    "round": [{"id": "first", "currency": "EUR", "price": 700, "points": 9, "voucher": 0}],
    "donation": {"currency": "EUR"},
    "sale": {"currency": "EUR"},
}


class Given:
    """Bo gave 5 000: 1 000 bought jam, 1 500 bread (said to be 1 800 first), and he meant 4 500."""

    def __init__(self) -> None:
        self.kept = kept_market(**TABLES)
        self.donation = self.kept.do("bo", Donate(amount=5_000))
        self.waiting = self.ask("show", id=self.donation.hex())["money"]
        self.kept.do("ana", Receipt(entry=self.donation))
        self._second_treasurer()
        self.jam = self._spend("ana", "cy", 1_000, "jam")
        self.bread = self._spend("cy", "ana", 1_800, "bread")
        for entry, author, by, amount in ((self.bread, "cy", "ana", 1_500), (self.donation, "bo", "ana", 4_500)):
            self.kept.do(by, Confirm(entry=self.kept.do(author, Correct(entry=entry, amount=amount))))
        self.kept.do("ana", Donate(amount=77))
        self.kept.seal()

    def ask(self, op: str, **args: Any) -> Any:
        return READS[op](self.kept.look("ana"), args)

    def _second_treasurer(self) -> None:
        """From now on an expense waits for a receipt."""
        cy = self.kept.people["cy"].member
        proposal = self.kept.do("ana", Propose(type="role", member=cy, role="treasurer"))
        self.kept.seal()
        for name in ("ana", "bo", "cy"):
            self.kept.do(name, Vote(proposal=proposal, choice="yes"))
        self.kept.seal()

    def _spend(self, name: str, other: str, amount: int, on: str) -> bytes:
        expense = self.kept.do(name, Cash(type="expense", amount=amount, category=on, source=self.donation))
        self.kept.do(other, Receipt(entry=expense))
        return expense


@pytest.fixture(scope="module")
def given() -> Given:
    return Given()


def test_donation_shows_what_it_bought(given: Given) -> None:
    """Before its receipt nothing; then every confirmed expense, as it was last corrected."""
    assert (given.waiting["confirmed"], given.waiting["bought"], given.waiting["left"]) == (False, [], 5_000)
    assert given.waiting["lapses"] > 0
    money = given.ask("show", id=given.donation.hex())["money"]
    assert (money["amount"], money["spent"], money["left"], money["currency"]) == (4_500, 2_500, 2_000, "EUR")
    assert [(row["entry"], row["amount"], row["category"]) for row in money["bought"]] == [
        (given.jam.hex(), 1_000, "jam"),
        (given.bread.hex(), 1_500, "bread"),
    ]


def test_expense_shows_the_donation_it_came_from(given: Given) -> None:
    """With whose it was; other entries show nothing about money."""
    money = given.ask("show", id=given.bread.hex())["money"]
    assert money["donation"]["donation"] == given.donation.hex()
    assert money["donation"]["name"] == "bo"
    assert (money["amount"], money["confirmed"], money["lapses"]) == (1_500, True, None)
    assert given.ask("show", id=given.kept.people["bo"].member.hex())["money"] is None


def test_donation_is_explained_by_what_came_in_and_went_out(given: Given) -> None:
    """Seen from the till, so that the amounts add up to what is left of it."""
    rows = given.ask("explain", id=given.donation.hex())
    assert [row["amount"] for row in rows] == [5_000, -1_000, -1_800, 300, -500]
    assert sum(row["amount"] for row in rows) == 2_000
    assert {(row["account"], row["commodity"]) for row in rows} == {("cash", "EUR")}
    assert all(row["block"] and row["rule"] for row in rows)


def test_statement_is_explained_by_what_booked_it(given: Given) -> None:
    """An expense by its receipt and its correction; a subscription by all that its receipt moved."""
    rows = given.ask("explain", id=given.bread.hex())
    assert [(row["amount"], row["account"]) for row in rows] == [(1_800, "expense/bread"), (300, "cash")]
    share = given.kept.do("di", Subscribe(round="first", shares=1))
    assert given.ask("explain", id=share.hex()) == []
    given.kept.do("ana", Receipt(entry=share))
    given.kept.seal()
    rows = given.ask("explain", id=share.hex())
    assert [(row["commodity"], row["amount"]) for row in rows] == [("EUR", 700), ("POINT", 9)]


def test_audit_lists_confirmed_donations(given: Given) -> None:
    """One that nobody has confirmed is none yet."""
    (row,) = given.ask("audit")["donations"]
    assert (row["donation"], row["name"], row["amount"], row["left"]) == (given.donation.hex(), "bo", 4_500, 2_000)
    assert [each["category"] for each in row["bought"]] == ["jam", "bread"]
