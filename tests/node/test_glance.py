"""Answers at a glance are the answers of the long way, or none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tallystick.cli.render import RENDER
from tallystick.node.glance import glance
from tallystick.node.reads import READS
from tallystick.node.status_words import BENCHED, REFUSED
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.refuse import Refuse
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.lot_pages import LOTS_MAX
from tallystick.protocol.membership import DAY_MS
from tests.support.builders import key
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET

#: What a command that only looks must not wait for.
HEAVY = ("libp2p", "trio", "msgspec", "cryptography", "tallystick.protocol.ledger", "tallystick.protocol.charter")


def both(kept: Kept, op: str, name: str | None = "ana") -> None:
    """The short and the long way agree."""
    view = kept.look(name)
    assert glance(kept.store, op, {}, kept.now, view.device) == READS[op](view, {})


@pytest.fixture
def vesting() -> Kept:
    """A ledger with lots of every age, a deal that runs, and an applicant; nothing pending."""
    document = {
        **MARKET,
        "vesting": {"cliff": "10d", "duration": "100d", "cliff-from": "lot"},
        "membership": {"sponsors": 3, "probation": "0s"},
    }
    kept = Kept.start(document, "bo", "cy", names={"bo": "B\u202eo"})
    for _ in range(3):
        deal = kept.delivered("bo", "cy", "roast", 2)
        kept.do("cy", Approve(deal=deal))
        kept.wait(7 * DAY_MS)
        kept.seal()
    kept.accepted("bo", "ana", "bake", 3)
    kept.applied("dora")
    kept.seal()
    return kept


def test_a_glance_counts_every_page_of_lots() -> None:
    """Somebody has been paid more often than one row holds."""
    document = {
        **MARKET,
        "vesting": {"cliff": "0s", "duration": "100d"},
        "contribution": [{"id": "deed", "points": 100, "attest": 0, "cap": 0}],
    }
    kept = Kept.start(document, "bo")
    for _ in range(LOTS_MAX + 1):
        kept.wait(1)
        kept.do("bo", Claim(contribution="deed", count=1))
    kept.seal()
    bo = kept.people["bo"].member.hex()
    assert len(dict(kept.archive.state_rows(f"lots/{bo}"))) == 2
    kept.wait(50 * DAY_MS)
    both(kept, "points")
    row = next(row for row in READS["points"](kept.look("bo"), {})["rows"] if row["partner"] == bo)
    assert 100 * LOTS_MAX // 2 < row["vested"] < row["points"] - 100 * LOTS_MAX // 4


@pytest.mark.parametrize("op", ["points", "status"])
@pytest.mark.parametrize("days", [0, 3, 9, 20])
def test_a_glance_says_what_the_long_way_says(vesting: Kept, op: str, days: int) -> None:
    """At every age of the lots, for a partner, an applicant and a stranger."""
    vesting.wait(days * DAY_MS)
    for name in ("ana", "dora", None):
        both(vesting, op, name)


def test_a_glance_agrees_about_who_seals(vesting: Kept) -> None:
    """Who has asked to seal does not yet, and whose word that takes only the rules say; then there are two."""
    vesting.do("bo", SealerOn(device=vesting.people["bo"].secret.public))
    vesting.seal()
    assert glance(vesting.store, "status", {}, vesting.now, key("bo").public) is None
    (row,) = READS["status"](vesting.look("bo"), {})["asking"]
    assert (row["name"], row["needed"]) == ("B\\u202eo", 1)
    both(vesting, "points")
    vesting.do("ana", Admit(member=vesting.people["bo"].member, sealer=True))
    vesting.seal()
    both(vesting, "status")


def test_who_rests_from_sealing_is_told_what_brings_it_back() -> None:
    """Whoever is away does, and whoever was not seen; everybody sees it among the partners."""
    kept = kept_market()
    for name in ("bo", "cy"):
        kept.do(name, SealerOn(device=kept.people[name].secret.public))
        kept.do("ana", Admit(member=kept.people[name].member, sealer=True))
        kept.do("bo", Admit(member=kept.people[name].member, sealer=True))
        kept.seal()
    kept.do("cy", Away(until=kept.now + 20 * DAY_MS))
    kept.seal()
    assert [row["name"] for row in READS["status"](kept.look(), {})["sealers"]] == ["ana", "bo"]
    assert BENCHED in READS["status"](kept.look("cy"), {})["waits"]
    assert BENCHED not in READS["status"](kept.look("bo"), {})["waits"]
    assert glance(kept.store, "status", {}, kept.now, key("cy").public) is None
    assert " rests " in RENDER["partners"](READS["partners"](kept.look(), {}), kept.now)
    kept.do("cy", Back())
    kept.seal()
    assert BENCHED not in READS["status"](kept.look("cy"), {})["waits"]
    both(kept, "status", "cy")


def test_who_was_refused_is_told_how_to_ask_again(vesting: Kept) -> None:
    """With new keys: those of before have asked."""
    vesting.do("ana", Refuse(member=vesting.people["dora"].member))
    vesting.seal()
    assert REFUSED in READS["status"](vesting.look("dora"), {})["waits"]
    both(vesting, "status", "dora")


def test_no_glance_at_what_has_been_sold() -> None:
    """Then status has something to say that is no row of its own."""
    kept = kept_market(sale={"currency": "EUR"})
    proposal = kept.do("ana", Propose(type="sale", proceeds=1_000))
    kept.seal()
    for name in kept.people:
        kept.do(name, Vote(proposal=proposal, choice="yes"))
    kept.seal()
    assert kept.ledger.state.course.sold
    assert glance(kept.store, "status", {}, kept.now, key("ana").public) is None
    assert READS["status"](kept.look(), {})["sold"]


def test_no_glance_at_a_restored_store(vesting: Kept) -> None:
    """Why a device is mute takes more than a few rows to say; points are what they are."""
    vesting.store.guard.distrust()
    assert glance(vesting.store, "status", {}, vesting.now, key("ana").public) is None
    assert READS["status"](vesting.look("ana"), {})["mute"]
    both(vesting, "points")


def test_no_glance_where_something_is_pending(vesting: Kept) -> None:
    """Then only the rules know the answer."""
    vesting.offered("bo", "roast", 1)
    assert glance(vesting.store, "points", {}, vesting.now, key("ana").public) is None


def test_no_glance_where_something_is_due(vesting: Kept) -> None:
    """Silence may have moved points."""
    assert glance(vesting.store, "points", {}, vesting.now, key("ana").public) is not None
    assert glance(vesting.store, "points", {}, vesting.now + 60 * DAY_MS, key("ana").public) is None


def test_no_glance_at_other_questions(vesting: Kept) -> None:
    """Nor with arguments, nor where nothing is sealed, nor into a store of another format."""
    assert glance(vesting.store, "points", {"partner": "ana"}, vesting.now, b"") is None
    assert glance(vesting.store, "deals", {}, vesting.now, b"") is None
    assert glance(type(vesting.store)(), "points", {}, vesting.now, b"") is None
    vesting.store.write([(b"Gformat", b"\x63")], sync=True)
    assert glance(vesting.store, "points", {}, vesting.now, b"") is None


def test_a_glance_imports_little() -> None:
    """Neither the network nor the rules: importing them takes longer than answering."""
    script = f"import tallystick.node.glance, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_kept_worlds_are_what_they_say() -> None:
    """The helper that these tests stand on: a ledger loaded from its store is the ledger that was kept."""
    kept = kept_market("bo")
    kept.offered("bo", "roast", 1)
    again = kept.reopened()
    assert again.ledger.head == kept.ledger.head
    assert READS["points"](again.look(), {}) == READS["points"](kept.look(), {})
