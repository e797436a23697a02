"""Money as people write it, everywhere where people read it; programs read minor units."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from tallystick.cli.render import RENDER
from tallystick.node.currency import amount_text, money_text
from tallystick.node.reads import READS
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.paid import Paid
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.vote import Vote
from tests.support.builders import DAY_MS, START_MS
from tests.support.histories import TABLES
from tests.support.kept import Kept, kept_market

#: Amounts that nothing else here has.
GIFT, BOOKS, RENT, PRICE = 1_234_567, 34_567, 45_678, 7_654_321


@pytest.fixture(scope="module")
def kept() -> Kept:
    """A gift, what it bought, other money, a report that differs, and a proposal to sell."""
    kept = kept_market(**copy.deepcopy(TABLES))
    gift = kept.do("bo", Donate(amount=GIFT))
    kept.do("ana", Receipt(entry=gift))
    kept.do("ana", Cash(type="expense", amount=BOOKS, category="books", source=gift))
    rent = kept.do("ana", Cash(type="expense", amount=RENT, category="rent"))
    shares = kept.do("cy", Subscribe(round="seed", shares=2))
    kept.do("ana", Receipt(entry=shares))
    kept.seal()
    kept.do("ana", Propose(type="sale", proceeds=PRICE))
    kept.words = {"purpose": "a\x07 piano"}
    kept.do("di", Donate(amount=GIFT))
    kept.do("ana", Correct(entry=rent, amount=RENT + 1))
    kept.marks = {"gift": gift, "rent": rent}
    return kept


def said(kept: Kept, op: str, name: str = "ana", **args: Any) -> str:
    return RENDER[op](READS[op](kept.look(name), args), kept.now)


@pytest.mark.parametrize(
    ("amount", "commodity", "text"),
    [
        (1_250, "EUR", "12.50 EUR"),
        (-5, "CNY", "-0.05 CNY"),
        (1_250, "JPY", "1250 JPY"),
        (1_250, "KWD", "1.250 KWD"),
        (1_250, "VOUCHER-EUR", "12.50 VOUCHER-EUR"),
        (1, "POINT", "1 point"),
        (1_250, "POINT", "1250 points"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(amount: int, commodity: str, text: str) -> None:
    """Two for most, none for points."""
    assert money_text(amount, commodity) == text
    assert text.startswith(amount_text(amount, commodity))


@pytest.mark.parametrize(
    ("op", "args", "words"),
    [
        ("explain", {"id": "bo", "commodity": "EUR"}, ["-12345.67 EUR", "= -12345.67 EUR"]),
        ("explain", {"id": "cy", "commodity": "EUR"}, ["-10.00 EUR 2 x 5.00", "= -10.00 EUR"]),
        ("statement", {"partner": "bo"}, ["0.00  12345.67  -12345.67", "-12345.67 EUR"]),
        ("settlement", {}, ["the till holds 11553.22"]),
        ("settlement", {"at": PRICE}, ["a sale at 76543.21"]),
        ("proposals", {}, ["sell the whole for 76543.21 EUR"]),
        ("audit", {}, ["12345.67  345.67  12000.00  books 345.67"]),
    ],
)
def test_people_read_the_usual_unit(kept: Kept, op: str, args: dict[str, Any], words: list[str]) -> None:
    """And not a hundred times as much."""
    text = said(kept, op, **args)
    for each in words:
        assert each in text
    for amount in (GIFT, BOOKS, RENT, PRICE):
        assert not re.search(rf"(?<![0-9a-f.]){amount}(?![0-9a-f.])", text)


def test_show_and_inbox_read_the_usual_unit(kept: Kept) -> None:
    """What was signed keeps its minor units, and says that it has them."""
    text = said(kept, "show", id=kept.marks["gift"].hex())
    assert f"  amount (minor units): {GIFT}\n" in text
    assert "  amount: 12345.67\n" in text
    assert "  left: 12000.00\n" in text
    assert "amount 345.67" in text
    assert "di says it has given 12345.67 EUR for a\\x07 piano: " in said(kept, "inbox")
    assert "the amount is 456.79 EUR" in said(kept, "inbox", "bo")


def test_programs_read_minor_units(kept: Kept) -> None:
    """As the ledger has them."""
    rows = READS["explain"](kept.look(), {"id": "bo", "commodity": "EUR"})
    assert [row["amount"] for row in rows] == [-GIFT]
    assert READS["settlement"](kept.look(), {"at": PRICE})["sale"]["proceeds"] == PRICE
    assert READS["proposals"](kept.look(), {})[0]["amount"] == PRICE


def test_a_report_that_differs_is_read_in_the_usual_unit() -> None:
    """What was counted, what the book said, and the difference."""
    kept = kept_market(**copy.deepcopy(TABLES))
    kept.do("ana", Cash(type="income", amount=5_000, category="sales"))
    kept.seal()
    kept.wait(31 * DAY_MS)
    kept.do("ana", Report(period=START_MS, counted={"EUR": 4_950}))
    assert re.search(r"EUR +49.50 +50.00 +-0.50", said(kept, "audit"))


def test_payments_are_asked_for_in_the_usual_unit_and_typed_in_minor_ones() -> None:
    """The command that answers is there to be copied."""
    kept = kept_market(**copy.deepcopy(TABLES))
    proposal = kept.do("ana", Propose(type="sale", proceeds=100_000))
    kept.seal()
    for name in kept.people:
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    assert "3 partners are owed 750.00 EUR: " in said(kept, "inbox")
    kept.do("ana", Paid(partner=kept.people["bo"].member, amount=25_000, currency="EUR"))
    assert "you were paid 250.00 EUR: say so with `tally received 25000`" in said(kept, "inbox", "bo")


# -- a settlement that can be followed ---------------------------------------------------------------------------------


def test_settlement_says_what_of_the_till_is_shared_out() -> None:
    """The price less the costs, and the till less what was given for a purpose: the sum stands there."""
    kept = kept_market(**copy.deepcopy(TABLES))
    assert "of the till" not in said(kept, "settlement", at=100_000)
    kept.do("ana", Cash(type="income", amount=60_000, category="sales"))
    kept.seal()
    assert "a sale at 1000.00, costs 5.00, with the 600.00 of the till: 1595.00 to share out" in said(
        kept, "settlement", at=100_000, costs=500
    )
    gift = kept.do("bo", Donate(amount=2_000))
    kept.do("ana", Receipt(entry=gift))
    kept.seal()
    answer = READS["settlement"](kept.look(), {"at": 100_000, "costs": 500})
    sale = answer["sale"]
    assert sale["distributable"] == 100_000 - 500 + answer["cash"] - sale["donations"]
    assert (answer["cash"], sale["donations"]) == (62_000, 2_000)
    text = said(kept, "settlement", at=100_000, costs=500)
    assert "with 600.00 of the till (the 620.00 less 20.00 left of donations): 1595.00 to share out" in text
    # A part of it leaves the till alone.
    part = said(kept, "settlement", at=100_000, percent=40)
    assert "of the till" not in part
    assert "1000.00 to share out" in part


def test_settlement_says_that_what_is_not_sealed_counts() -> None:
    """And how many points come only from that."""
    kept = kept_market(**copy.deepcopy(TABLES))
    assert "counted as if sealed" not in said(kept, "settlement", at=100_000)
    shares = kept.do("bo", Subscribe(round="seed", shares=1))
    kept.do("ana", Receipt(entry=shares))
    answer = READS["settlement"](kept.look(), {"at": 100_000})
    assert answer["pending"] == 2
    points = answer["pending_points"]
    assert points > 0
    assert f"2 pending entries are counted as if sealed, {points} points among it" in said(kept, "settlement")
    kept.seal()
    assert READS["settlement"](kept.look(), {})["pending_points"] == 0
