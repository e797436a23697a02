"""What is voted on can be read before one votes, and what became of it afterwards."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tallystick.cli.render import RENDER
from tallystick.node.errors import NodeError
from tallystick.node.glance import glance
from tallystick.node.reads import READS
from tallystick.protocol.charter import canonical
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.vote import Vote
from tests.support.builders import DAY_MS
from tests.support.histories import TABLES
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET


def document() -> dict[str, Any]:
    return copy.deepcopy(MARKET) | copy.deepcopy(TABLES)


def market(**tables: Any) -> Kept:
    return kept_market(**(copy.deepcopy(TABLES) | tables))


def amendment(kept: Kept, **changes: Any) -> Propose:
    """A charter with another price of a step, and whatever else."""
    new = document() | changes
    new["step"][0]["price"] = 20
    return Propose(type="amend", charter=canonical(new), replaces=kept.view().charter_row.digest)


def rows(kept: Kept, name: str = "ana") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = READS["proposals"](kept.look(name), {})
    return found


def said(kept: Kept, op: str, name: str = "ana", **args: Any) -> str:
    """What a person reads."""
    return RENDER[op](READS[op](kept.look(name), args), kept.now)


def voted(kept: Kept, proposal: bytes, **choices: Any) -> None:
    """Votes, and the block that counts them; so long after that the vote has ended."""
    for name, choice in choices.items():
        kept.do(name, Vote(proposal=proposal, choice=choice))
    kept.seal()
    if kept.view().proposals[proposal].status == "open":
        kept.wait(8 * DAY_MS)
        kept.seal()


@pytest.mark.parametrize(
    ("fields", "words", "about"),
    [
        ({"type": "text"}, "We paint\nthe door red", "We paint the door red"),
        ({"type": "ratify"}, None, "end the trial: the charter becomes binding"),
        ({"type": "suspend", "member": "cy"}, None, "suspend cy"),
        ({"type": "role", "member": "bo", "role": "roaster"}, "he roasts", "give bo the role roaster"),
        ({"type": "role", "member": "ana", "role": "taster", "take": True}, None, "take the role taster from ana"),
        ({"type": "sale", "proceeds": 250_000}, None, "sell the whole for 2500.00 EUR"),
        ({"type": "sale", "proceeds": 900, "costs": 5, "percent": 40}, None, "sell 40% for 9.00 EUR, costs 0.05 EUR"),
        ({"type": "dividend", "amount": 12_345}, None, "pay out 123.45 EUR"),
        ({"type": "rules", "version": 2}, None, "go over to version 2 of the rules"),
    ],
)
def test_inbox_proposals_and_show_say_what_is_voted_on(fields: dict[str, Any], words: str | None, about: str) -> None:
    """The text, the role, the sum, the partner: before anybody has voted, for everybody who may."""
    kept = market(trial=True) if fields["type"] == "ratify" else market()
    if "member" in fields:
        fields = fields | {"member": kept.people[fields["member"]].member}
    kept.words = {} if words is None else {"text": words}
    proposal = kept.do("ana", Propose(**fields))
    kept.seal()
    (row,) = rows(kept, "bo")
    assert (row["about"], row["text"], row["why_failed"]) == (about, words, None)
    assert about in said(kept, "proposals", "bo")
    (item,) = READS["inbox"](kept.look("bo"), {})
    assert item["text"] == f"vote on the proposal of ana: {about}"
    shown = said(kept, "show", "bo", id=proposal.hex())
    assert f"proposed: {about}" in shown
    assert words is None or "\n  ".join(words.split("\n")) in shown


def test_a_deal_a_device_and_an_entry_are_named() -> None:
    """What a vote would cancel, revoke or delete, and whose it is."""
    kept = market()
    deal = kept.accepted("bo", "cy", "roast", 3)
    kept.seal()
    device = kept.people["di"].secret.public
    head = kept.ledger.state.devices[device]
    kept.do("ana", Propose(type="release", deal=deal))
    kept.do("ana", Propose(type="revoke", device=device, seq=head.head_seq, entry=head.head))
    kept.do("ana", Propose(type="erase", entry=kept.people["cy"].member))
    about = [row["about"] for row in rows(kept)]
    assert about == [
        f"cancel deal {deal.hex()[:8]}, 3 x roast of bo for cy",
        f"revoke device {device.hex()[:8]} of di after its entry {head.head.hex()[:8]}",
        f"delete the words of entry {kept.people['cy'].member.hex()[:8]}, join by cy",
    ]


def test_words_of_others_cannot_leave_their_line() -> None:
    """A text that would draw a table of its own is escaped, and a long one is cut in a list."""
    kept = market()
    kept.words = {"text": "\x1b[2Jyes " + "x" * 300}
    kept.do("ana", Propose(type="text"))
    (item,) = READS["inbox"](kept.look("bo"), {})
    assert "\x1b" not in item["text"]
    assert len(item["text"]) < 130
    assert "\x1b" not in said(kept, "proposals")
    assert rows(kept)[0]["text"].endswith("x" * 300)


def test_an_amendment_lists_every_rule_it_changes() -> None:
    """Also when it has long been in force, or others after it: against the charter that it replaces."""
    kept = market(governance={"notice": "0s", "grace": "0s"})
    kept.words = {"text": "fairer"}
    first = kept.do("ana", amendment(kept, referral={"percent": 50}, governance={"notice": "0s", "grace": "0s"}))
    kept.seal()
    (row,) = rows(kept)
    assert row["about"].startswith("change the charter: step.roast.price: 12 -> 20; referral.percent: (none) -> 50; ")
    (item,) = READS["inbox"](kept.look("bo"), {})
    assert "step.roast.price: 12 -> 20" in item["text"]
    expected = {"step.roast.price": (12, 20), "referral.percent": (None, 50)}

    def changes(proposal: bytes) -> dict[str, Any]:
        answer = READS["show"](kept.look(), {"id": proposal.hex()})
        return {each["path"]: (each["before"], each["after"]) for each in answer["proposal"]["changes"]}

    assert expected.items() <= changes(first).items()
    shown = said(kept, "show", id=first.hex())
    assert "  referral.percent: (none) -> 50" in shown
    assert f"`tally charter diff {first.hex()[:8]}`" in shown
    assert kept.view().proposals[first].charter.hex() not in shown, "nobody reads a page of digits"
    for name in kept.people:
        kept.do(name, Vote(proposal=first, choice="yes"))
    kept.seal()
    assert kept.view().charter_row.version == 2
    second = kept.do("ana", Propose(type="amend", charter=canonical(document()), replaces=kept.ledger.charter.hash))
    assert expected.items() <= changes(first).items()
    assert changes(second)["step.roast.price"] == (20, 12)


def test_an_adopted_charter_says_when_it_is_in_force() -> None:
    """Through its grace, to everybody who looks at the vote or the ledger; then it simply is."""
    kept = market(governance={"notice": "0s", "grace": "14d"})
    proposal = kept.do("ana", amendment(kept, governance={"notice": "0s", "grace": "14d"}))
    kept.seal()
    assert rows(kept)[0]["in_force"] is None
    for name in kept.people:
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    (row,) = rows(kept)
    assert (row["status"], row["in_force"]) == ("passed", kept.now + 14 * DAY_MS)
    for op, args in (("proposals", {}), ("show", {"id": proposal.hex()})):
        assert " in force from " in said(kept, op, **args).replace("\n", " ")
    assert READS["status"](kept.look(), {})["amendment"] == {"proposal": proposal.hex(), "due": row["in_force"]}
    assert f"(in 14 days): `tally charter diff {proposal.hex()[:8]}` says" in said(kept, "status")
    # What is answered from a few rows knows nothing of it.
    assert glance(kept.store, "status", {}, kept.now, kept.people["ana"].secret.public) is None
    kept.wait(14 * DAY_MS)
    kept.seal()
    assert rows(kept)[0]["in_force"] is READS["status"](kept.look(), {})["amendment"] is None
    assert kept.view().charter_row.version == 2


def test_the_charter_of_a_proposal_is_shown_compared_and_simulated() -> None:
    """By its id, as a file would be."""
    kept = market()
    proposal = kept.do("ana", amendment(kept)).hex()
    text = kept.do("bo", Propose(type="text")).hex()
    answer = READS["charter_diff"](kept.look(), {"proposal": proposal[:8]})
    assert answer["differences"] == [{"path": "step.roast.price", "before": 12, "after": 20}]
    assert READS["charter_simulate"](kept.look(), {"proposal": proposal})["proposed"] == answer["proposed"]
    shown = READS["charter_show"](kept.look(), {"proposal": proposal})
    assert (shown["version"], shown["in_force"], shown["hash"]) == (None, False, answer["proposed"])
    assert shown["document"]["step"][0]["price"] == 20
    assert said(kept, "charter_show", proposal=proposal).startswith("# proposed, hash ")
    for op in ("charter_diff", "charter_simulate", "charter_show"):
        with pytest.raises(NodeError, match="not about the charter"):
            READS[op](kept.look(), {"proposal": text})
    for op, args in (
        ("charter_diff", {}),
        ("charter_simulate", {"proposal": proposal, "charter": "charter = 1"}),
        ("charter_show", {"proposal": proposal, "version": 1}),
    ):
        with pytest.raises(NodeError) as caught:
            READS[op](kept.look(), args)
        assert caught.value.reason == "bad-argument"


def test_show_of_a_vote_says_on_what() -> None:
    """And not only an id."""
    kept = market()
    proposal = kept.do("ana", Propose(type="dividend", amount=500))
    vote = kept.do("bo", Vote(proposal=proposal, choice="yes"))
    assert "proposed: pay out 5.00 EUR" in said(kept, "show", id=vote.hex())
    other = kept.offered("bo", "roast", 1)
    assert READS["show"](kept.look(), {"id": other.hex()})["proposal"] is None


# -- why it failed -----------------------------------------------------------------------------------------------------


def why(kept: Kept, proposal: bytes) -> str | None:
    (row,) = [row for row in rows(kept) if row["proposal"] == proposal.hex()]
    answer: str | None = row["why_failed"]
    assert (answer is not None) is (row["status"] == "failed")
    assert answer is None or answer in said(kept, "show", id=proposal.hex())
    assert answer is None or answer in said(kept, "proposals")
    return answer


def test_a_dividend_whose_money_is_gone_says_so() -> None:
    """It had all the votes; whoever sees it fail wants to know why."""
    kept = market()
    kept.do("ana", Cash(type="income", amount=1_000, category="sales"))
    kept.seal()
    proposal = kept.do("bo", Propose(type="dividend", amount=900))
    kept.do("ana", Cash(type="expense", amount=600, category="rent"))
    kept.seal()
    voted(kept, proposal, ana="yes", bo="yes", cy="yes", di="yes")
    assert why(kept, proposal) == (
        "it had the votes, but by then the till held less than that, without what was given for a purpose"
    )
    again = kept.do("bo", Propose(type="dividend", amount=400))
    kept.seal()
    voted(kept, again, ana="yes", bo="yes", cy="yes", di="yes")
    assert why(kept, again) is None


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"bo": "yes"}, "too few voted: 1 of 4, and 1/2 had to"),
        ({"bo": "yes", "cy": "no", "di": "no"}, "too few said yes: 1 of 3, and 1/2 had to"),
        ({"bo": "yes", "cy": "no"}, "too few said yes: 1 of 2, and 1/2 had to"),
    ],
)
def test_too_few_votes_are_counted(choices: dict[str, str], words: str) -> None:
    """Whether they did not come or did not agree."""
    kept = market()
    proposal = kept.do("ana", Propose(type="text"))
    kept.seal()
    voted(kept, proposal, **choices)
    assert why(kept, proposal) == words


def test_what_a_vote_needed_is_that_of_its_day() -> None:
    """A later charter with another share changes nothing in what is said of an earlier vote."""
    easy = {"notice": "0s", "grace": "0s", "pass": "1/2", "quorum": "1/4"}
    kept = market(governance=easy)
    proposal = kept.do("ana", Propose(type="role", member=kept.people["bo"].member, role="taster"))
    kept.seal()
    voted(kept, proposal, bo="yes", cy="no", di="no")
    assert why(kept, proposal) == "too few said yes: 1 of 3, and 1/2 had to"
    amend = kept.do("ana", amendment(kept, governance=easy | {"pass": "3/4"}))
    kept.seal()
    for name in kept.people:
        kept.do(name, Vote(proposal=amend, choice="yes"))
    kept.seal()
    assert kept.ledger.charter.governance.pass_ == (3, 4)
    assert why(kept, proposal) == "too few said yes: 1 of 3, and 1/2 had to"


def test_what_became_impossible_is_named() -> None:
    """Of two amendments one comes first; of a role that is full nobody gets more; after a sale nothing is decided."""
    roles = [{"id": "roaster", "max-holders": 1}, {"id": "taster"}]
    kept = market(role=roles, governance={"notice": "0s", "grace": "0s"})
    one = kept.do("ana", amendment(kept, role=roles, governance={"notice": "0s", "grace": "0s"}))
    two = kept.do("bo", amendment(kept, name="Other", role=roles, governance={"notice": "0s", "grace": "0s"}))
    role = kept.do("cy", Propose(type="role", member=kept.people["cy"].member, role="roaster"))
    kept.seal()
    for proposal in (one, two, role):
        for name in kept.people:
            kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    assert why(kept, two) == "it had the votes, but by then another amendment had passed"
    assert why(kept, role) == (
        "it had the votes, but by then the charter did not have this role, or as many held it as may"
    )
    sale = kept.do("ana", Propose(type="sale", proceeds=1_000))
    late = kept.do("ana", Propose(type="role", member=kept.people["bo"].member, role="taster"))
    kept.seal()
    for proposal in (sale, late):
        for name in kept.people:
            kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    assert why(kept, sale) is None
    assert why(kept, late) == "it had the votes, but by then the whole had been sold"


def test_votes_by_points_count_heads_too() -> None:
    """Who holds most of the points expels nobody alone, and that is what is said."""
    kept = market(governance={"weight": "points", "notice": "0s"})
    kept.do("ana", Approve(deal=kept.delivered("bo", "ana", "roast", 40)))
    kept.seal()
    proposal = kept.do("ana", Propose(type="suspend", member=kept.people["di"].member))
    kept.seal()
    voted(kept, proposal, bo="yes")
    assert why(kept, proposal) == "too few said yes: 1, and 2 partners had to"
