"""What a dry run says beforehand: who must act next, until when, and what one should know."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tallystick.node.outlook import Looker, Outlook
from tallystick.node.reads import READS
from tallystick.node.writes import WRITES
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.device import DeviceRetire
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.sim.cluster import Cluster
from tests.sim.people import offer, partners, settle
from tests.support.builders import DAY_MS, HOUR_MS
from tests.support.computers import added, first
from tests.support.histories import TABLES
from tests.support.kept import Kept, kept_market


def outlook(kept: Kept, name: str, body: Body) -> Outlook:
    """What a dry run of an entry would say, which leaves no trace."""
    before = kept.view().rows()
    entry = kept.unsent(name, body, kept.now)
    looker = Looker(kept.look(name), entry, kept.now)
    result = kept.ledger.try_out(entry, body, kept.now, looker)
    assert result.reason is None, f"{result.reason} {result.detail}"
    assert kept.view().rows() == before
    assert looker.outlook.to_json().keys() == {"deadline", "silence", "next", "remarks"}
    return looker.outlook


@pytest.fixture
def kept() -> Kept:
    """The market with money: ana, who is the treasurer, bo, cy and di."""
    return kept_market(**copy.deepcopy(TABLES))


def test_an_offer_waits_for_somebody_to_accept(kept: Kept) -> None:
    """For whoever it is addressed to, until it expires or its deadline."""
    seen = outlook(kept, "bo", kept.offer("roast", 1, to="cy"))
    assert (seen.next, seen.deadline) == (["cy: accept"], kept.now + 30 * DAY_MS)
    seen = outlook(kept, "bo", kept.offer("roast", 1, deadline=kept.now + DAY_MS))
    assert (seen.next, seen.deadline) == (["whoever wants to: accept"], kept.now + DAY_MS)
    assert "endorse" in outlook(kept, "bo", kept.open_offer(30, "sell")).remarks[0]


def test_an_offer_that_nobody_can_accept_says_so() -> None:
    """More than a whole period gives, than one pair may trade, than the pool has: most often a slip of the finger."""
    kept = kept_market(
        points={"name": "bean", "pool": 400, "start": 0},
        step=[
            {"id": "roast", "price": 12, "budget": 240, "pair-cap": 120},
            {"id": "bake", "price": 12, "budget": 5000},
            {"id": "sing", "price": 12, "payer": "buyer"},
        ],
        open={"max": 300, "endorse": 0, "budget": 100},
    )

    def said(body: Body) -> list[str]:
        return outlook(kept, "bo", body).remarks

    assert said(kept.offer("roast", 10)) == []
    assert said(kept.offer("sing", 1000)) == []
    nobody = "nobody can accept it: "
    (pair,) = said(kept.offer("roast", 11))
    assert pair == f"{nobody}132 points, and more than step.roast.pair-cap, 120 points in a whole period"
    (budget,) = said(kept.offer("roast", 21))
    assert budget == f"{nobody}252 points, and more than step.roast.budget, 240 points in a whole period"
    (pool,) = said(kept.offer("bake", 40))
    assert pool.startswith(f"{nobody}480 points, and the pool holds ")
    assert said(kept.open_offer(101))[0].endswith("open.budget, 100 points in a whole period")
    assert said(kept.open_offer(101, payer="buyer")) == []


def test_each_step_of_a_deal_names_who_comes_next(kept: Kept) -> None:
    """The seller delivers, the buyer decides, the seller may dispute, each by a date after which silence speaks."""
    offer = kept.offered("bo", "roast", 2, deadline=kept.now + 3 * DAY_MS)
    seen = outlook(kept, "cy", Accept(offer=offer))
    assert (seen.next, seen.silence) == (["bo: deliver"], "the delivery is late")
    deal = kept.do("cy", Accept(offer=offer))
    seen = outlook(kept, "bo", Deliver(deal=deal, units=2))
    assert (seen.next, seen.deadline) == (["cy: approve, return or reject"], kept.now + 7 * DAY_MS)
    assert seen.silence == "is approved by silence"
    assert outlook(kept, "bo", Cancel(deal=deal)).next == [], "it is over at once"
    kept.do("bo", Deliver(deal=deal, units=2))
    assert outlook(kept, "bo", Cancel(deal=deal)).next == ["cy: cancel too"]
    assert outlook(kept, "cy", Approve(deal=deal)) == Outlook()
    seen = outlook(kept, "cy", Approve(deal=deal, grade=50))
    assert seen.next == ["bo: dispute, for the 12 points held back"]
    seen = outlook(kept, "cy", Reject(deal=deal))
    assert (seen.next, seen.deadline) == (["bo: dispute, or let it stand"], kept.now + 5 * DAY_MS)
    kept.do("cy", Reject(deal=deal))
    assert "panel" in outlook(kept, "bo", Dispute(deal=deal)).next[0]


def test_large_deals_wait_for_a_third_partner(kept: Kept) -> None:
    """Either of the two others may cosign."""
    deal = kept.delivered("bo", "cy", "carve", 11)
    seen = outlook(kept, "cy", Approve(deal=deal))
    assert len(seen.next) == 1
    assert set(seen.next[0].removesuffix(": cosign").split(" or ")) == {"ana", "di"}
    assert (seen.deadline, seen.silence) == (kept.now + 3 * DAY_MS, "is rejected: nobody cosigned")


def test_whoever_can_sign_no_more_is_not_named(kept: Kept) -> None:
    """With the only computer retired nobody waits for them: others who can are named, and where nobody can, that."""
    large = kept.delivered("bo", "cy", "carve", 11)
    offer = kept.offered("di", "roast", 1)
    kept.do("di", DeviceRetire())
    kept.seal()
    assert outlook(kept, "cy", Approve(deal=large)).next == ["ana: cosign"]
    assert outlook(kept, "bo", Claim(contribution="share", count=1)).next[0].startswith(("ana or cy: ", "cy or ana: "))
    vote = outlook(kept, "bo", Propose(type="text")).next[0]
    assert sorted(vote.removesuffix(": vote").replace(" and ", ", ").split(", ")) == ["ana", "bo", "cy"]
    nobody = "but no computer may sign that in di's name"
    assert outlook(kept, "cy", Accept(offer=offer)).next == [f"di would have to deliver, {nobody}"]
    assert outlook(kept, "bo", kept.offer("roast", 1, to="di")).next == [f"di would have to accept, {nobody}"]
    kept.do("ana", DeviceRetire())
    kept.do("cy", Approve(deal=large))
    kept.seal()
    shown = READS["show"](kept.look("bo"), {"id": large.hex()})
    assert sorted(shown["next"][0].split(" would ")[0].split(" and ")) == ["ana", "di"]
    assert shown["next"][0].endswith(" would have to cosign, but no computer may sign that in their name")


def test_what_a_computer_may_not_sign_is_not_asked_of_it(kept: Kept) -> None:
    """A computer for work alone neither approves nor votes, and delivers all the same."""
    deal = kept.accepted("bo", "cy", "roast", 1)
    added_by = {name: added(kept, f"{name}-2", name, scope="work") for name in ("bo", "cy")}
    for name in added_by:
        kept.do(name, DeviceRetire())
    kept.seal()
    assert READS["show"](kept.look("ana"), {"id": deal.hex()})["next"] == ["bo: deliver"]
    first(kept, "bo-2", Deliver(deal=deal, units=1), added_by["bo"])
    said = READS["show"](kept.look("ana"), {"id": deal.hex()})["next"]
    assert said == ["cy would have to approve, return or reject, but no computer may sign that in cy's name"]


def test_accepting_says_when_there_could_be_no_panel() -> None:
    """In a ledger of two, whoever is rejected stays so."""
    kept = kept_market("bo")
    offer = kept.offered("bo", "roast", 1)
    assert outlook(kept, "ana", Accept(offer=offer)).remarks == ["nobody could sit on a panel: a rejection would stand"]


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("bo", Claim(contribution="share", count=1), "attest; 1 needed"),
        ("bo", Donate(amount=5), "ana: confirm with a receipt"),
        ("bo", Propose(type="text"), "vote"),
    ],
)
def test_what_needs_the_word_of_others_names_them(kept: Kept, name: str, body: Body, words: str) -> None:
    """With the date at which it lapses, or the vote ends."""
    seen = outlook(kept, name, body)
    assert seen.next[0].endswith(words)
    assert seen.deadline == kept.now + (7 if body.KIND == "propose" else 30) * DAY_MS


def test_corrections_wait_for_the_other_side(kept: Kept) -> None:
    """The seller of a deal; of money, whoever confirms it."""
    deal = kept.delivered("bo", "cy", "roast", 2)
    kept.do("cy", Approve(deal=deal))
    body = Correct(entry=kept.deal(deal).approval, deal=deal, grade=50)
    assert outlook(kept, "cy", body).next == ["bo: confirm"]
    money = kept.do("ana", Cash(type="income", amount=5, category="sales"))
    assert outlook(kept, "ana", Correct(entry=money, amount=6)).next[0].endswith("confirm")


def test_what_is_done_at_once_has_nothing_after_it(kept: Kept) -> None:
    """A transfer."""
    assert outlook(kept, "bo", Transfer(to=kept.people["cy"].member, points=3)) == Outlook()


def test_a_dividend_that_the_till_does_not_hold_is_known_to_fail(kept: Kept) -> None:
    """Before it is proposed, and before anybody votes on it; gifts are not for sharing out."""
    gift = kept.do("bo", Donate(amount=500))
    kept.do("ana", Receipt(entry=gift))
    kept.do("ana", Cash(type="income", amount=300, category="sales"))
    said = "the till holds 3.00 EUR but for gifts: as things stand it would fail"
    assert said not in outlook(kept, "ana", Propose(type="dividend", amount=300)).remarks
    assert said in outlook(kept, "ana", Propose(type="dividend", amount=301)).remarks
    proposal = kept.do("ana", Propose(type="dividend", amount=301))
    assert said in outlook(kept, "bo", Vote(proposal=proposal, choice="yes")).remarks


def test_an_expulsion_tells_of_its_notice(kept: Kept) -> None:
    """And the one it is about is not asked."""
    seen: Any = outlook(kept, "ana", Propose(type="expel", member=kept.people["bo"].member))
    assert "bo" not in seen.next[0]
    assert any("notice" in each for each in seen.remarks)
    assert seen.deadline - kept.now > HOUR_MS


def test_every_write_can_be_tried_out() -> None:
    """Whatever can be signed can be asked about first."""
    assert all("dry_run" in args.__struct_fields__ for args, _ in WRITES.values())


def test_whoever_leaves_is_told_what_it_costs(kept: Kept) -> None:
    """What is kept and lost, what is owed, which deals end and which go on; and trying it out leaves no trace."""
    ends = kept.accepted("bo", "cy", "roast", 1)
    goes_on = kept.delivered("bo", "di", "roast", 2)
    kept.offered("bo", "roast", 1)
    said = outlook(kept, "bo", Leave()).remarks
    assert said[0].startswith("you keep ")
    assert f"1 deal ({ends.hex()[:8]}) without a delivery, and so cancelled" in said
    assert any(f"1 deal ({goes_on.hex()[:8]}) with a delivery: that goes on" in each for each in said)
    assert "1 offer of yours withdrawn" in said


@pytest.mark.parametrize(("rule", "lost"), [("keep-all", 0), ("keep-vested", 100)])
def test_points_that_leaving_costs_are_counted(rule: str, lost: int) -> None:
    """By the terms of each lot, to the point."""
    kept = kept_market("bo", vesting={"cliff": "30d", "duration": "400d"}, leaver={"good": rule})
    (first, *_) = outlook(kept, "bo", Leave()).remarks
    assert first == f"you keep {100 - lost} points" + (f"; {lost} points go back to the pool" if lost else "")


def test_whoever_gives_up_the_last_computer_is_told(kept: Kept) -> None:
    """Nobody could sign; and where it alone seals, nothing would ever be sealed."""
    said = outlook(kept, "bo", DeviceRetire()).remarks
    assert "nobody can sign for you any more" in said[0]
    assert len(said) == 2
    assert "nothing will ever be sealed" in outlook(kept, "ana", DeviceRetire()).remarks[2]


def test_words_that_would_be_deleted_are_shown(kept: Kept) -> None:
    """As they are; an entry without any says so."""
    kept.words = {"note": "by\x1b[2Jhand"}
    offer = kept.offered("bo", "roast", 1)
    bare = kept.offered("bo", "roast", 1)
    kept.do("bo", Withdraw(offer=offer))
    kept.do("bo", Withdraw(offer=bare))
    kept.seal()
    kept.wait(40 * DAY_MS)
    (said,) = outlook(kept, "bo", Erase(entry=offer)).remarks
    assert said.startswith("deleted on every computer, for good: note 'by")
    assert "\x1b" not in said
    assert outlook(kept, "bo", Erase(entry=bare)).remarks == ["there are no words here that would be deleted"]


def test_open_deal_says_whose_turn_it_is(kept: Kept) -> None:
    """`show` of the deal, and of what is about it; nothing once it is closed."""
    deal = kept.delivered("bo", "cy", "roast", 2)
    shown = READS["show"](kept.look("ana"), {"id": deal.hex()})
    assert (shown["next"], shown["until"]) == (["cy: approve, return or reject"], kept.now + 7 * DAY_MS)
    assert shown["silence"] == "is approved by silence"
    kept.do("cy", Approve(deal=deal))
    shown = READS["show"](kept.look("ana"), {"id": deal.hex()})
    assert (shown["next"], shown["until"], shown["silence"]) == ([], None, None)


def test_panel_is_named_once_it_is_drawn(kept: Kept) -> None:
    """Who still has to judge, by name."""
    deal = kept.delivered("bo", "cy", "roast", 2)
    kept.do("cy", Reject(deal=deal))
    kept.do("bo", Dispute(deal=deal))
    kept.seal()
    (said,) = READS["show"](kept.look("ana"), {"id": deal.hex()})["next"]
    assert said in ("ana: judge, with a verdict", "di: judge, with a verdict")


def test_what_has_no_id_yet_is_not_named_by_one() -> None:
    """The account of a deal is named after its acceptance, and that is not signed."""
    with Cluster(32) as cluster:
        partners(cluster, "ana", "bo")
        entry = offer(cluster, "ana")
        settle(cluster)
        trial = cluster.do("bo", "accept", {"offer": entry, "dry_run": True})
        assert [(row["from"], row["to"]) for row in trial["postings"]] == [("pool", "escrow/new")]
