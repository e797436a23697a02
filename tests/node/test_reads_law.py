"""What the reads say of the market, of who is owed what, and of what somebody should look at twice."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tallystick.cli.render import RENDER
from tallystick.cli.toml import to_toml
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.reads import READS
from tallystick.protocol.charter import canonical
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.endorse import Endorse
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.use_voucher import UseVoucher
from tallystick.protocol.kinds.vote import Vote
from tests.support.builders import DAY_MS, START_MS
from tests.support.histories import TABLES
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET

HISTORY = {"deals", "approved", "rejected", "disputed", "cancelled", "returned", "late", "silent", "points", "grade"}


def document() -> dict[str, Any]:
    """The market with money and everything else."""
    return copy.deepcopy(MARKET) | copy.deepcopy(TABLES)


@pytest.fixture(scope="module")
def cafe() -> Kept:
    """Three weeks: deals of every end, money, things that are late."""
    kept = kept_market(**copy.deepcopy(TABLES))
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 3)))
    half = kept.delivered("cy", "bo", "roast", 2)
    kept.do("bo", Approve(deal=half, grade=50))
    rejected = kept.delivered("bo", "di", "roast", 1)
    kept.do("di", Reject(deal=rejected))
    kept.seal()
    kept.do("bo", Dispute(deal=rejected))
    silent = kept.delivered("di", "ana", "bake", 4)
    shares = kept.do("bo", Subscribe(round="seed", shares=2))
    kept.do("ana", Receipt(entry=shares))
    gift = kept.do("cy", Donate(amount=1_000))
    kept.do("ana", Receipt(entry=gift))
    kept.do("ana", Cash(type="expense", amount=400, category="books", source=gift))
    kept.seal()
    kept.wait(9 * DAY_MS)
    sells = kept.offered("bo", "roast", 2, copies=2)
    needs = kept.do("di", kept.offer("roast", 5, "buy"))
    free = kept.do("di", kept.open_offer(30, "sell"))
    late = kept.accepted("ana", "cy", "print", 1, deadline=kept.now + DAY_MS)
    unconfirmed = kept.do("ana", Donate(amount=5))
    kept.seal()
    kept.wait(12 * DAY_MS)
    kept.marks = {
        "half": half,
        "silent": silent,
        "sells": sells,
        "needs": needs,
        "free": free,
        "late": late,
        "unconfirmed": unconfirmed,
    }
    return kept


def ask(kept: Kept, op: str, **args: Any) -> Any:
    """The answer of a read, which is JSON, and which can be shown."""
    answer = READS[op](kept.look(), args)
    assert json.loads(json.dumps(answer)) == answer
    assert RENDER[op](answer, kept.now)
    return answer


# -- market ------------------------------------------------------------------------------------------------------------


def test_market_goes_step_by_step_in_the_order_of_the_charter(cafe: Kept) -> None:
    """Every step has its place, also where nothing is offered; what no step describes comes last."""
    rows = ask(cafe, "market")
    assert [row["step"] for row in rows] == [*(step["id"] for step in MARKET["step"]), None]
    roast = rows[0]
    assert (roast["price"], roast["payer"], roast["after"]) == (12, "pool", [])
    assert [row["offer"] for row in roast["offers"]] == [cafe.marks["sells"].hex()]
    assert [row["offer"] for row in roast["needs"]] == [cafe.marks["needs"].hex()]
    assert [row["offer"] for row in rows[-1]["offers"]] == [cafe.marks["free"].hex()]
    assert all(not row["offers"] and not row["needs"] for row in rows[1:-1])


def test_market_shows_the_history_of_whoever_offers_on_that_side(cafe: Kept) -> None:
    """As a seller Bo was approved once and rejected once; as a buyer Di rejected once. That is another history."""
    roast = ask(cafe, "market", step="roast")[0]
    seller, buyer = roast["offers"][0]["history"], roast["needs"][0]["history"]
    assert seller.keys() == HISTORY
    assert seller == dict.fromkeys(HISTORY, 0) | {
        "deals": 2, "approved": 1, "rejected": 1, "disputed": 1, "points": 36, "grade": 100
    }  # fmt: skip
    assert buyer == dict.fromkeys(HISTORY, 0) | {"deals": 1, "rejected": 1, "disputed": 1, "grade": None}
    free = ask(cafe, "market", step="open")[0]["offers"][0]["history"]
    assert (free["silent"], free["points"]) == (1, 40)


def test_market_of_an_unknown_step_is_refused(cafe: Kept) -> None:
    """With the steps there are."""
    with pytest.raises(NodeError) as caught:
        ask(cafe, "market", step="fly")
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    assert "roast" in caught.value.hint


# -- audit -------------------------------------------------------------------------------------------------------------


def test_audit_names_who_sells_to_one_another(cafe: Kept) -> None:
    """Bo and Cy have bought from one another; nobody else has."""
    rows = ask(cafe, "audit")["reciprocity"]
    assert len(rows) == 1
    by_name = dict(zip(rows[0]["names"], rows[0]["points"], strict=True))
    assert by_name == {"bo": 36, "cy": 12}
    assert rows[0]["deals"] == [1, 1]


def test_audit_says_who_has_got_most_and_from_whom(cafe: Kept) -> None:
    """40, 36 and 12 of 88."""
    rows = ask(cafe, "audit")["concentration"]
    assert [(row["name"], row["points"], row["percent"], row["largest_buyer_name"]) for row in rows] == [
        ("di", 40, 45, "ana"),
        ("bo", 36, 40, "cy"),
        ("cy", 12, 13, "bo"),
    ]
    assert all(row["largest_buyer_percent"] == 100 and row["buyers"] == 1 for row in rows)


def test_audit_shows_what_is_left_of_budgets(cafe: Kept) -> None:
    """48 of roast are committed: 36, 12, and 12 came back with the reduction and 12 with the rejection."""
    rows = {row["rule"]: row for row in ask(cafe, "audit")["budgets"]}
    assert (rows["step.roast.budget"]["used"], rows["step.roast.budget"]["budget"]) == (48, 600)
    assert rows["step.print.budget"]["used"] == 10
    assert "step.bake.budget" not in rows, "the buyer pays"
    assert rows["contribution.share.budget"]["used"] == 0
    assert rows["open.budget"]["until"] == START_MS + 30 * DAY_MS


def test_audit_lists_what_is_late(cafe: Kept) -> None:
    """The delivery that is past its deadline, and the gift that nobody has confirmed for a week."""
    rows = ask(cafe, "audit")["overdue"]
    assert [(row["what"], row["id"], row["name"]) for row in rows] == [
        ("deliver", cafe.marks["late"].hex(), "ana"),
        ("receipt", cafe.marks["unconfirmed"].hex(), "ana"),
    ]
    assert [row["days"] for row in rows] == [11, 5]
    late, unconfirmed = (each.hex()[:8] for each in (cafe.marks["late"], cafe.marks["unconfirmed"]))
    lines = [line.split("  ")[:3] for line in RENDER["audit"](ask(cafe, "audit"), cafe.now).split("\n")]
    # Whoever waits for a receipt is not whoever owes it.
    assert ["deliver", late, "ana"] in lines
    assert ["receipt", unconfirmed, "others, for ana"] in lines


def test_audit_knows_who_lets_silence_decide(cafe: Kept) -> None:
    """Ana's only decision was none."""
    rows = ask(cafe, "audit")["silence"]
    assert [(row["name"], row["silent"], row["approved"]) for row in rows] == [("ana", 1, 1)]


def test_audit_repeats_what_the_lint_warns_of(cafe: Kept) -> None:
    """Two partners could approve one another without end."""
    paths = [row["path"] for row in ask(cafe, "audit")["lint"]]
    assert "step.roast.pair-cap" in paths
    assert "membership.sponsors" in paths


def test_audit_lists_entries_that_claim_another_time(cafe: Kept) -> None:
    """An offer dated back by eight days to before its block is listed; all others are not."""
    kept = kept_market()
    kept.wait(20 * DAY_MS)
    old = kept.send("bo", kept.offer("roast", 1), time=kept.now - 8 * DAY_MS)
    kept.send("cy", kept.offer("roast", 1), time=kept.now - 6 * DAY_MS)
    kept.seal()
    rows = ask(kept, "audit")["gaps"]
    assert [(row["entry"], row["name"], row["days"]) for row in rows] == [(old.hex(), "bo", 8)]
    assert ask(cafe, "audit")["gaps"] == []


def test_audit_compares_reports_with_the_book() -> None:
    """One report says something else than the book; the next term has none at all."""
    kept = kept_market(**copy.deepcopy(TABLES), duty={"size": 1, "term": "10d"})
    kept.do("ana", Donate(amount=100))
    team = kept.view().duties[""].teams
    first = next(name for name, person in kept.people.items() if person.member in team[0])
    kept.do(first, Cash(type="income", amount=900, category="sales"))
    kept.do(first, Report(period=START_MS, counted={"EUR": 880}))
    kept.seal()
    kept.wait(21 * DAY_MS)
    kept.seal()
    answer = ask(kept, "audit")
    assert [(row["name"], row["counted"], row["book"], row["difference"]) for row in answer["reports_different"]] == [
        (first, 880, 900, -20)
    ]
    assert [row["from"] for row in answer["reports_missing"]][:1] == [START_MS + 10 * DAY_MS]


def test_audit_of_a_new_ledger_is_empty_but_for_its_rules() -> None:
    """Nothing has happened: only budgets and weak rules are there to see."""
    answer = ask(kept_market(), "audit")
    assert {name for name, rows in answer.items() if isinstance(rows, list) and rows} == {"budgets", "lint"}


# -- statement ---------------------------------------------------------------------------------------------------------


def test_statement_adds_up_to_the_balances(cafe: Kept) -> None:
    """Each account: before, in, out, after; and the rows are those of that account."""
    answer = ask(cafe, "statement", partner="bo")
    accounts = {(row["commodity"], row["account"].partition("/")[0]): row for row in answer["accounts"]}
    points = accounts["POINT", "partner"]
    assert (points["opening"], points["in"], points["out"], points["closing"]) == (0, 196, 0, 196)
    assert accounts["EUR", "capital"]["closing"] == -1_000
    assert accounts["VOUCHER-EUR", "partner"]["closing"] == 400
    for row in answer["accounts"]:
        lines = [
            each["amount"]
            for each in answer["rows"]
            if (each["commodity"], each["account"]) == (row["commodity"], row["account"])
        ]
        assert row["opening"] + sum(lines) == row["closing"]
        assert row["in"] - row["out"] == sum(lines)


def test_statement_of_a_year_begins_with_what_there_was() -> None:
    """Two years: the second opens with the balance of the first, which closes with it."""
    kept = kept_market()
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 3)))
    kept.seal()
    kept.wait(320 * DAY_MS)
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 1)))
    kept.seal()
    first, second = (ask(kept, "statement", partner="bo", year=year)["accounts"][0] for year in (2026, 2027))
    assert (first["opening"], first["in"], first["closing"]) == (0, 136, 136)
    assert (second["opening"], second["in"], second["closing"]) == (136, 12, 148)
    empty = ask(kept, "statement", partner="bo", year=2025)
    assert (empty["rows"], empty["accounts"][0]["closing"]) == ([], 0)
    assert ask(kept, "statement", partner="bo", year=2026)["from"] == 1_767_225_600_000


def test_the_market_says_by_how_many_an_offer_is_endorsed() -> None:
    """In the word of the command that does it."""
    kept = kept_market(**copy.deepcopy(TABLES))
    kept.words = {"title": "Paint the wall"}
    offer = kept.do("bo", kept.open_offer(10))
    assert "endorsed" not in RENDER["market"](ask(kept, "market", step="open"), kept.now).split("cannot be")[0]
    kept.do("cy", Endorse(offer=offer))
    assert "Paint the wall: 10 points, endorsed by 1, " in RENDER["market"](ask(kept, "market", step="open"), kept.now)


# -- settlement --------------------------------------------------------------------------------------------------------


def test_settlement_at_a_price_shares_it_out(cafe: Kept) -> None:
    """100 000 - 500 + 1 600 in the till - 600 unspent of the gift; 1 000 capital; the rest by 60, 196, 112, 140."""
    answer = ask(cafe, "settlement", at=100_000, costs=500)
    assert answer["sale"]["distributable"] == 100_500
    rows = {row["name"]: (row["capital"], row["points"], row["money"], row["total"]) for row in answer["rows"]}
    assert rows == {
        "ana": (0, 60, 11_752, 11_752),
        "bo": (1_000, 196, 38_390, 39_390),
        "cy": (0, 112, 21_937, 21_937),
        "di": (0, 140, 27_421, 27_421),
    }
    assert [row["amount"] for row in answer["sale"]["vouchers"]] == [400]
    assert sum(row["total"] for row in answer["rows"]) == 100_500


def test_settlement_at_a_price_leaves_no_trace(cafe: Kept) -> None:
    """It is only a question: nothing has been sold."""
    before = cafe.view().rows()
    ask(cafe, "settlement", at=77, percent=50)
    assert cafe.view().rows() == before
    answer = ask(cafe, "settlement")
    assert (answer["sale"], answer["sold"]) == (None, False)
    assert all(row["payable"] == 0 for row in answer["rows"])


@pytest.mark.parametrize("args", [{"costs": 5}, {"percent": 50}, {"at": 5, "costs": 6}, {"at": 0}, {"at": -1}])
def test_settlement_refuses_what_makes_no_sense(cafe: Kept, args: dict[str, int]) -> None:
    """Costs and shares without a price, costs above it."""
    with pytest.raises(NodeError) as caught:
        ask(cafe, "settlement", **args)
    assert caught.value.exit_code == ExitCode.USAGE


def test_settlement_without_money_is_not_found() -> None:
    """A charter without sale.currency."""
    with pytest.raises(NodeError) as caught:
        ask(kept_market(), "settlement")
    assert caught.value.exit_code == ExitCode.NOT_FOUND


def sold() -> tuple[Kept, bytes]:
    """The market, sold for 1 000; Bo has been paid and has said so."""
    kept = kept_market(**copy.deepcopy(TABLES))
    proposal = kept.do("ana", Propose(type="sale", proceeds=1_000))
    kept.seal()
    for name in ("bo", "cy", "di"):
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.do("ana", Vote(proposal=proposal, choice="no"))
    kept.do("ana", Vote(proposal=proposal, choice="yes"))
    kept.seal()
    kept.do("ana", Paid(partner=kept.people["bo"].member, amount=250))
    kept.do("bo", Received(amount=200))
    kept.seal()
    return kept, proposal


def test_settlement_after_a_sale_says_who_is_still_owed() -> None:
    """Four times 100 points: 250 each; Bo has them, and has acknowledged 200."""
    kept, _ = sold()
    answer = ask(kept, "settlement")
    assert answer["sold"] is True
    rows = {row["name"]: (row["payable"], row["paid"], row["received"]) for row in answer["rows"]}
    assert rows == {"ana": (250, 0, 0), "bo": (0, 250, 200), "cy": (250, 0, 0), "di": (250, 0, 0)}
    with pytest.raises(NodeError) as caught:
        ask(kept, "settlement", at=5)
    assert caught.value.reason == "sold"


def test_settlement_names_the_goods_still_owed_also_after_the_sale(cafe: Kept) -> None:
    """With a price, without one, and when there is nothing else left: vouchers do not end with a sale."""
    for args in ({"at": 100_000}, {}):
        answer = ask(cafe, "settlement", **args)
        assert [(row["name"], row["amount"]) for row in answer["vouchers"]] == [("bo", 400)]
        assert RENDER["settlement"](answer, cafe.now).endswith("goods still owed for vouchers: 4.00 EUR")
    kept, _ = sold()
    assert ask(kept, "settlement")["vouchers"] == []
    assert RENDER["settlement"](ask(kept, "settlement"), kept.now).endswith("the whole has been sold")


# -- explain -----------------------------------------------------------------------------------------------------------


def test_a_vote_is_explained_by_all_votes_and_what_they_moved() -> None:
    """The last word of each counts; the shares add up to the proceeds, and every point was redeemed."""
    kept, proposal = sold()
    rows = ask(kept, "explain", id=proposal.hex())
    votes = [row for row in rows if row["commodity"] == "VOTE"]
    assert [(row["account"], row["amount"], row["formula"]) for row in votes] == [("vote/yes", 1, "1 of 4")] * 4
    assert len({row["counter_account"] for row in votes}) == 4
    assert sum(row["amount"] for row in rows if row["account"].startswith("payable/")) == 1_000
    assert sum(row["amount"] for row in rows if row["account"] == "redeemed") == 400
    assert all(row["rule"] and row["charter"] == 1 and row["formula"] and row["block"] for row in rows)
    assert ask(kept, "explain", id=votes[0]["entry"]) == rows


def test_votes_by_points_are_explained_by_what_everybody_held() -> None:
    """Weights are those of the moment at which the proposal was sealed, also when it is decided long ago."""
    kept = kept_market(governance={"weight": "points"})
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 3)))
    kept.seal()
    proposal = kept.do("ana", Propose(type="text"))
    kept.seal()
    for name in ("ana", "bo"):
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.do("cy", Vote(proposal=proposal, choice="abstain"))
    open_rows = ask(kept, "explain", id=proposal.hex())
    assert open_rows == [], "nothing of it is sealed yet"
    kept.seal()
    rows = ask(kept, "explain", id=proposal.hex())
    assert sorted(row["amount"] for row in rows) == [100, 100, 136]
    kept.do("di", Approve(deal=kept.delivered("bo", "di", "roast", 3)))
    kept.wait(8 * DAY_MS)
    kept.seal()
    assert kept.view().proposals[proposal].status == "passed"
    assert ask(kept, "explain", id=proposal.hex()) == rows


def test_a_payout_is_explained_account_by_account() -> None:
    """What was owed to Bo and what was paid, each with its cause; they sum to the balances."""
    kept, _ = sold()
    rows = ask(kept, "explain", id="bo", commodity="EUR")
    sums: dict[str, int] = {}
    for row in rows:
        noun = row["account"].partition("/")[0]
        sums[noun] = sums.get(noun, 0) + row["amount"]
    assert sums == {"payable": 0, "paid": 250}
    assert rows[0]["rule"] == "sale"
    assert rows[0]["formula"] == "1000 x 100 of 400 points = 250"


# -- another charter ---------------------------------------------------------------------------------------------------


def test_diff_shows_settings_and_not_spelling(cafe: Kept) -> None:
    """A default that is written out is no difference; a table that goes is one for each of its settings."""
    charter = document()
    charter["step"][0]["review"] = "7d"
    assert ask(cafe, "charter_diff", charter=to_toml(charter))["differences"] == []
    charter["step"][0]["price"] = 20
    del charter["donation"]
    charter["sale"]["acceleration"] = False
    answer = ask(cafe, "charter_diff", charter=to_toml(charter))
    assert answer["differences"] == [
        {"path": "step.roast.price", "before": 12, "after": 20},
        {"path": "donation.currency", "before": "EUR", "after": None},
        {"path": "sale.acceleration", "before": True, "after": False},
    ]
    assert answer["same"] is False


def test_simulating_the_charter_in_force_changes_nothing(cafe: Kept) -> None:
    """The whole history, entry by entry, comes to the same."""
    answer = ask(cafe, "charter_simulate", charter=to_toml(document()))
    assert (answer["deals"], answer["void"], answer["no_longer_void"]) == ([], [], [])
    assert [row["difference"] for row in answer["rows"]] == [0, 0, 0, 0]
    assert answer["pool"] == answer["pool_simulated"]


def test_simulating_another_charter_says_who_would_have_what(cafe: Kept) -> None:
    """At 20 a kilo Bo has 60 instead of 36, and Cy's deal does not fit into a budget of 90 any more."""
    charter = document()
    charter["step"][0] |= {"price": 20, "budget": 90}
    del charter["open"]
    charter["vesting"] = {"duration": "1y"}
    answer = ask(cafe, "charter_simulate", charter=to_toml(charter))
    assert {row["name"]: row["difference"] for row in answer["rows"]} == {"ana": 0, "bo": 24, "cy": -12, "di": 0}
    assert {row["vested_simulated"] for row in answer["rows"]} == {0}
    void = {row["entry"]: (row["kind"], row["reason"]) for row in answer["void"]}
    assert void[cafe.marks["half"].hex()] == ("accept", "budget-exhausted")
    assert void[cafe.marks["free"].hex()] == ("offer", "not-allowed")
    deals = {row["deal"]: row for row in answer["deals"]}
    assert deals[cafe.marks["half"].hex()]["status_simulated"] is None
    assert len(deals) == 2


def test_simulating_leaves_amendments_out() -> None:
    """The question is what this charter would have done, not what became of it."""
    kept = kept_market()
    offer = kept.offered("bo", "roast", 100)
    refused = kept.send("cy", Accept(offer=offer))
    new = copy.deepcopy(MARKET)
    new["step"][0]["budget"] = 5_000
    proposal = kept.do(
        "ana",
        Propose(type="amend", charter=canonical(new), replaces=kept.view().charter_row.digest),
    )
    kept.seal()
    answer = ask(kept, "charter_simulate", charter=to_toml(new))
    assert answer["left_out"] == [proposal.hex()]
    assert [(row["entry"], row["reason"]) for row in answer["no_longer_void"]] == [(refused.hex(), "budget-exhausted")]
    assert answer["pool_simulated"] == answer["pool"] - 1_200


def test_simulation_plays_corrections_vouchers_and_votes_again() -> None:
    """Whatever has happened: under the same charter it comes to the same."""
    kept, _ = sold()
    answer = ask(kept, "charter_simulate", charter=to_toml(document()))
    assert (answer["void"], answer["no_longer_void"]) == ([], [])
    kept = kept_market(**copy.deepcopy(TABLES))
    deal = kept.delivered("bo", "cy", "roast", 3)
    kept.do("cy", Approve(deal=deal, grade=50))
    kept.seal()
    kept.wait(9 * DAY_MS)
    kept.seal()
    correction = kept.do("cy", Correct(entry=kept.deal(deal).approval, deal=deal, grade=100))
    kept.do("bo", Confirm(entry=correction))
    shares = kept.do("bo", Subscribe(round="seed", shares=1))
    kept.do("ana", Receipt(entry=shares))
    used = kept.do("bo", UseVoucher(amount=50))
    kept.do("ana", Receipt(entry=used))
    kept.seal()
    answer = ask(kept, "charter_simulate", charter=to_toml(document()))
    assert (answer["deals"], answer["void"], answer["no_longer_void"]) == ([], [], [])
    assert {row["difference"] for row in answer["rows"]} == {0}


def test_a_charter_with_errors_is_refused(cafe: Kept) -> None:
    """With everything that is wrong."""
    for op in ("charter_diff", "charter_simulate"):
        with pytest.raises(NodeError) as caught:
            ask(cafe, op, charter="charter = 2")
        assert (caught.value.reason, caught.value.exit_code) == ("charter-invalid", ExitCode.USAGE)
