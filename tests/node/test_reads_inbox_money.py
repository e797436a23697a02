"""The inbox of deeds, money, corrections, disputes and votes; and how deals and proposals are shown then."""

from __future__ import annotations

from typing import Any

from tallystick.node.reads import READS
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.paid import Paid
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.kinds.vote import Vote
from tests.support.kept import Kept, kept_market

TABLES: dict[str, Any] = {
    "contribution": [{"id": "share-post", "points": 2, "attest": 2}],
    "donation": {"currency": "EUR"},
    "sale": {"currency": "EUR"},
}


def whats(kept: Kept) -> dict[str, list[str]]:
    waiting = {name: [row["what"] for row in READS["inbox"](kept.look(name), {})] for name in kept.people}
    return {name: rows for name, rows in waiting.items() if rows}


def first(kept: Kept, name: str) -> dict[str, Any]:
    row: dict[str, Any] = READS["inbox"](kept.look(name), {})[0]
    return row


def test_a_claim_waits_for_those_who_have_not_confirmed_it() -> None:
    """Not for its author, and no longer once it is paid."""
    kept = kept_market(**TABLES)
    claim = kept.do("bo", Claim(contribution="share-post", count=3))
    assert whats(kept) == {name: ["attest"] for name in ("ana", "cy", "di")}
    assert first(kept, "cy")["text"] == "bo claims 3 x share-post, 6 points: confirm it if it is so"
    kept.do("ana", Attest(claim=claim))
    assert whats(kept) == {name: ["attest"] for name in ("cy", "di")}
    kept.do("cy", Attest(claim=claim))
    assert whats(kept) == {}


def test_a_donation_waits_for_those_on_duty() -> None:
    """The treasurer here; where the treasurer gave it, for any other partner."""
    kept = kept_market(**TABLES)
    given = kept.do("bo", Donate(amount=500))
    assert whats(kept) == {"ana": ["receipt"]}
    assert first(kept, "ana")["text"].startswith("bo says it has given 5.00 EUR")
    kept.do("ana", Receipt(entry=given))
    assert whats(kept) == {}
    kept.do("ana", Donate(amount=500))
    assert whats(kept) == {name: ["receipt"] for name in ("bo", "cy", "di")}


def test_a_correction_waits_for_the_seller_and_changes_what_is_shown() -> None:
    """Until it is confirmed the deal is as it was approved."""
    kept = kept_market(**TABLES)
    deal = kept.delivered("bo", "cy", "roast", 3)
    approval = kept.do("cy", Approve(deal=deal))
    kept.seal()
    correction = kept.do("cy", Correct(entry=approval, deal=deal, units=2))
    assert whats(kept) == {"bo": ["confirm"]}
    assert READS["deals"](kept.look(), {})[0]["award"] == 36
    kept.do("bo", Confirm(entry=correction))
    assert whats(kept) == {}
    (row,) = READS["deals"](kept.look(), {})
    assert (row["award"], row["approved"], row["corrected"]) == (24, 2, True)


def test_a_dispute_waits_for_its_panel() -> None:
    """Once the panel is drawn, for those of it who have given no verdict."""
    kept = kept_market(**TABLES)
    deal = kept.delivered("bo", "cy", "roast", 3)
    kept.do("cy", Reject(deal=deal))
    kept.do("bo", Dispute(deal=deal))
    assert whats(kept) == {}
    kept.seal()
    (judge,) = whats(kept)
    assert judge in ("ana", "di")
    (row,) = READS["deals"](kept.look(), {})
    assert row["panel"] == [kept.people[judge].member.hex()]
    assert (row["status"], row["award"], row["due_what"]) == ("disputed", 0, "is decided by the verdicts so far")
    # That the panel is drawn as the next block begins is nothing that waits to be sealed.
    assert [row["pending"], READS["show"](kept.look(), {"id": deal.hex()})["deal"]["pending"]] == [False, False]
    kept.do(judge, Verdict(deal=deal, grade=50))
    assert whats(kept) == {}
    (row,) = READS["deals"](kept.look(), {})
    assert (row["status"], row["award"], row["pending"]) == ("approved", 18, True)


def test_a_proposal_waits_for_those_who_have_not_voted() -> None:
    """Before it is sealed and after; with how the vote stands."""
    kept = kept_market(**TABLES)
    kept.words = {"note": "more \x07coffee"}
    proposal = kept.do("bo", Propose(type="text"))
    assert whats(kept) == {name: ["vote"] for name in kept.people}
    kept.do("cy", Vote(proposal=proposal, choice="yes"))
    kept.seal()
    assert whats(kept) == {name: ["vote"] for name in ("ana", "bo", "di")}
    kept.do("di", Vote(proposal=proposal, choice="no"))
    (row,) = READS["proposals"](kept.look("cy"), {})
    assert {key: row[key] for key in ("proposal", "type", "name", "status", "yes", "no", "abstain", "total")} == {
        "proposal": proposal.hex(),
        "type": "text",
        "name": "bo",
        "status": "open",
        "yes": 1,
        "no": 1,
        "abstain": 0,
        "total": 4,
    }
    assert (row["fraction"], row["quorum"], row["my_vote"], row["pending"]) == ("1/2", "1/2", "yes", True)
    assert row["note"] == "more \\x07coffee"
    assert first(kept, "ana")["deadline"] == row["end"]


def test_money_is_explained_by_its_own_commodity() -> None:
    """It has accounts of its own, and is no part of the points."""
    kept = kept_market(**TABLES)
    given = kept.do("bo", Donate(amount=500))
    kept.do("ana", Receipt(entry=given))
    kept.seal()
    (line,) = READS["explain"](kept.look(), {"id": "bo", "commodity": "EUR"})
    account = f"donation/{kept.people['bo'].member.hex()}"
    assert (line["amount"], line["account"], line["counter_account"]) == (-500, account, "cash")
    assert kept.ledger.state.balance("EUR", account) == -500
    assert all(row["commodity"] == "POINT" for row in READS["explain"](kept.look(), {"id": "bo"}))


def test_cancelling_and_deciding_both_wait() -> None:
    """The other side wants to cancel; what was delivered has to be reviewed all the same."""
    kept = kept_market(**TABLES)
    deal = kept.delivered("bo", "cy", "roast", 3)
    kept.do("bo", Cancel(deal=deal))
    assert whats(kept) == {"cy": ["approve", "cancel"]}
    kept.do("cy", Cancel(deal=deal))
    assert whats(kept) == {}
    (row,) = READS["deals"](kept.look(), {})
    assert (row["status"], row["award"]) == ("cancelled", None)


def test_what_the_venture_owes_waits_for_those_on_duty() -> None:
    """Their own share for somebody else: one item for all of it, until it has been paid and received."""
    kept = kept_market(**TABLES, points={"pool": 1_000, "start": 1})
    kept.do("ana", Cash(type="income", amount=402, category="tips"))
    proposal = kept.do("bo", Propose(type="dividend", amount=402))
    kept.seal()
    for name in kept.people:
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    found = dict(kept.look().preview.accounts.items())
    assert whats(kept) == {name: ["paid"] for name in kept.people}
    assert first(kept, "ana")["text"].startswith("3 partners are owed ")
    assert first(kept, "bo")["text"].startswith("1 partner is owed ")
    for name, person in kept.people.items():
        amount = found[f"EUR/payable/{person.member.hex()}"]
        kept.do("bo" if name == "ana" else "ana", Paid(partner=person.member, amount=amount))
    assert whats(kept) == {name: ["received"] for name in kept.people}
