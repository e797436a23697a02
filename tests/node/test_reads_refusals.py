"""Nobody is asked for what cannot be done, and the market says why something on it is there in vain."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from tallystick.cli.render import RENDER
from tallystick.node.reads import READS
from tallystick.protocol.charter import canonical
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.device import DeviceRetire
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.vote import Vote
from tests.support.builders import DAY_MS
from tests.support.histories import TABLES
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET

QUICK = {
    "governance": {"notice": "0s", "grace": "0s"},
    "contribution": [{"id": "share-post", "points": 2, "attest": 2}],
}


def market(**tables: Any) -> Kept:
    return kept_market(**(copy.deepcopy(TABLES) | copy.deepcopy(QUICK) | tables))


def read(kept: Kept, op: str, name: str = "ana", **args: Any) -> Any:
    answer = READS[op](kept.look(name), args)
    assert RENDER[op](answer, kept.now)
    return answer


def said(kept: Kept, op: str, name: str = "ana", **args: Any) -> str:
    return RENDER[op](READS[op](kept.look(name), args), kept.now)


def asked(kept: Kept, name: str) -> list[str]:
    return [row["what"] for row in read(kept, "inbox", name)]


def passed(kept: Kept, proposal: Propose) -> None:
    """Everybody votes for it, and it comes into force."""
    proposal_id = kept.do("ana", proposal)
    kept.seal()
    for name in ("ana", "bo", "cy", "di"):
        kept.do(name, Vote(proposal=proposal_id, choice="yes"))
    kept.seal()
    assert kept.ledger.state.proposals[proposal_id].status == "passed"


def refusals(kept: Kept, name: str = "ana") -> dict[str, str | None]:
    """Offer -> why it cannot be accepted; `offers` and `market` say the same."""
    rows = {row["offer"]: row["refusal"] for row in read(kept, "offers", name)}
    steps = read(kept, "market", name)
    assert rows == {row["offer"]: row["refusal"] for step in steps for row in (*step["offers"], *step["needs"])}
    return rows


def test_offers_by_terms_that_are_no_longer_in_force_are_not_asked_for() -> None:
    """After an amendment they stay on the market, with the reason; an offer by the terms of today is as ever."""
    kept = market()
    old = kept.offered("bo", "roast", 2, to="cy")
    other = kept.offered("bo", "carve", 2, to="cy")
    assert refusals(kept, "cy") == {old.hex(): None, other.hex(): None}
    assert asked(kept, "cy") == ["accept", "accept"]
    new = copy.deepcopy(MARKET) | copy.deepcopy(TABLES) | QUICK
    new["step"][0]["price"] = 20
    passed(kept, Propose(type="amend", charter=canonical(new), replaces=kept.ledger.charter.hash))
    assert refusals(kept, "cy") == refusals(kept, "bo") == {old.hex(): "terms-changed", other.hex(): None}
    assert [row["id"] for row in read(kept, "inbox", "cy")] == [other.hex()]
    assert f"{old.hex()[:8]}" in said(kept, "offers", "cy")
    assert "cannot be accepted: terms-changed" in said(kept, "offers", "cy")
    assert "cannot be accepted: terms-changed: the rules have changed since" in said(kept, "market", "cy")


def test_after_a_sale_nothing_is_asked_for_but_what_settles_it() -> None:
    """Offers and small deeds stay in the state, and no rule would take a word about them."""
    kept = market()
    offer = kept.offered("bo", "roast", 2, to="cy")
    kept.do("bo", Claim(contribution="share-post", count=1))
    applicant = kept.applied("eva")
    assert asked(kept, "cy") == ["accept", "attest", "admit"]
    passed(kept, Propose(type="sale", proceeds=1_000))
    assert refusals(kept) == {offer.hex(): "sold"}
    assert {name: asked(kept, name) for name in ("ana", "bo", "cy", "di")} == {
        name: ["paid"] for name in ("ana", "bo", "cy", "di")
    }
    assert kept.view().members[applicant].status == "applicant"
    assert read(kept, "status")["sold"] is True
    assert "the whole has been sold" in said(kept, "status")
    text = kept.do("bo", Propose(type="text"))
    assert [row["id"] for row in read(kept, "inbox", "cy") if row["what"] == "vote"] == [text.hex()]


def test_whose_only_device_is_retired_is_asked_for_nothing() -> None:
    """Nobody could sign an answer; the others are asked as before."""
    kept = market()
    kept.offered("bo", "roast", 2, to="cy")
    kept.do("bo", Claim(contribution="share-post", count=1))
    kept.do("cy", DeviceRetire())
    kept.seal()
    assert asked(kept, "cy") == []
    assert asked(kept, "di") == ["attest"]


def test_an_offer_that_waits_for_something_is_still_asked_for() -> None:
    """Points may come; until then the inbox and the market say what is missing."""
    kept = market()
    offer = kept.offered("bo", "bake", 11, to="cy")
    (row,) = read(kept, "inbox", "cy")
    assert (row["what"], row["refusal"]) == ("accept", "balance")
    assert "(not now: balance)" in said(kept, "inbox", "cy")
    assert refusals(kept, "cy") == {offer.hex(): "balance"}
    # Whose offer it is does not see what stands in the way of somebody else.
    assert refusals(kept, "bo") == refusals(kept, "di") == {offer.hex(): None}
    kept.do("ana", Approve(deal=kept.delivered("cy", "ana", "roast", 1)))
    assert refusals(kept, "cy") == {offer.hex(): None}


def test_what_somebody_has_no_role_for_is_not_asked_for() -> None:
    """And the offers of those who have left are nobody's."""
    kept = market()
    kept.do("ana", kept.offer("guild", 1, "buy", to="cy"))
    gone = kept.offered("di", "roast", 1, to="cy")
    assert asked(kept, "cy") == ["accept"]
    kept.do("di", Leave())
    kept.seal()
    assert asked(kept, "cy") == []
    assert refusals(kept, "cy").get(gone.hex(), "not-active") == "not-active"
    assert "role" in refusals(kept, "cy").values()


def test_looking_leaves_no_trace() -> None:
    """Every offer is tried out and taken back: the state is as it was, and so is the answer the second time."""
    kept = market()
    for number in range(1, 5):
        kept.offered("bo", "roast", number)
    before = kept.view().rows()
    first = read(kept, "market", "cy")
    assert kept.view().rows() == before
    assert read(kept, "market", "cy") == first
    kept.seal()


# -- who asks to seal --------------------------------------------------------------------------------------------------


def waits(kept: Kept, name: str) -> list[str]:
    return [each for each in read(kept, "status", name)["waits"] if "asked to seal" in each]


def test_whoever_asks_to_seal_hears_whose_word_is_missing() -> None:
    """In `status` and `partners`: who has agreed, who has not, and with which command."""
    kept = market()
    for name in ("bo", "cy", "di"):
        kept.do(name, SealerOn(device=kept.people[name].secret.public))
    kept.do("ana", Admit(member=kept.people["cy"].member, sealer=True))
    kept.seal()
    kept.do("ana", Admit(member=kept.people["bo"].member, sealer=True))
    assert len(kept.ledger.sealers()) == 2, "ana and cy"
    assert waits(kept, "bo")[0] == ("you have asked to seal: ana has agreed, cy has not (`tally admit bo --sealer`)")
    assert waits(kept, "cy")[1] == "di has asked to seal: ana and cy have to agree (`tally admit di --sealer`)"
    assert waits(kept, "bo")[0] in said(kept, "status", "bo")
    row = next(row for row in read(kept, "partners", "bo") if row["name"] == "bo")
    assert row["sealing_waits"] == waits(kept, "bo")[0]
    assert "ana has agreed, cy has not" in said(kept, "partners", "bo")
    asking = read(kept, "status", "bo")["asking"]
    assert [(each["name"], len(each["agreed"]), len(each["missing"]), each["needed"]) for each in asking] == [
        ("bo", 1, 1, 1),
        ("di", 0, 2, 2),
    ]
    assert asked(kept, "cy") == ["agree", "agree"]
    kept.do("cy", Admit(member=kept.people["bo"].member, sealer=True))
    assert waits(kept, "bo")[0] == "you have asked to seal: it begins with one of the next blocks"
    kept.seal()
    assert waits(kept, "bo") == ["di has asked to seal: 2 of ana, bo and cy have to agree (`tally admit di --sealer`)"]


def test_who_is_away_or_has_no_role_hears_that() -> None:
    """No agreement helps either of them."""
    kept = market()
    kept.do("bo", SealerOn(device=kept.people["bo"].secret.public))
    kept.do("bo", Away(until=kept.now + 20 * DAY_MS))
    assert waits(kept, "bo") == ["you have asked to seal: it begins when you are back and off probation"]
    kept = market(finality={"sealers": "role:taster"})
    kept.do("bo", SealerOn(device=kept.people["bo"].secret.public))
    assert waits(kept, "bo") == ["you have asked to seal: that takes the role taster (`tally propose role bo taster`)"]
    assert asked(kept, "ana") == []


# -- what is read of a deal --------------------------------------------------------------------------------------------


def test_show_of_a_deal_has_no_raw_moments() -> None:
    """Times are dates, all of them."""
    kept = market()
    deal = kept.delivered("bo", "cy", "roast", 3)
    kept.do("cy", Approve(deal=deal, grade=50))
    kept.seal()
    text = said(kept, "show", id=deal.hex())
    assert "  decided: 20" in text
    assert not re.search(r"(?<![0-9a-f])1[0-9]{12}(?![0-9a-f])", text)


@pytest.mark.parametrize("step", ["bake", "roast"])
def test_what_was_set_aside_for_a_rejected_deal_is_said_to_wait(step: str) -> None:
    """The buyer sees it leave and is not told otherwise that it may come back."""
    kept = market()
    deal = kept.delivered("bo", "cy", step, 3)
    kept.do("cy", Reject(deal=deal))
    kept.seal()
    words = "stays set aside while bo may dispute"
    assert (words in said(kept, "explain", id="cy")) is (step == "bake")
    kept.wait(6 * DAY_MS)
    kept.seal()
    assert words not in said(kept, "explain", id="cy")
