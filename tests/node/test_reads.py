"""What every read answers, key by key, on small ledgers whose every number is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tallystick.node.archive_rows import ContactRow
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.reads import READS
from tallystick.node.view import NodeFacts, PeerFact, View
from tallystick.protocol.charter import read_charter
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.membership import DAY_MS
from tests.support.builders import START_MS
from tests.support.charters import template_text
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET

POINTS = {"ledger", "height", "state_root", "unit", "pool", "escrow", "issued", "redeemed", "rows"}
POINTS_ROW = {"partner", "name", "points", "vested", "pending"}
DEAL = {"deal", "offer", "step", "seller", "buyer", "units", "price", "gross", "status", "delivered", "grade", "award"}
DEAL |= {"deadline", "pending"}
EXPLAIN = {"when", "amount", "commodity", "account", "counter_account", "entry", "rule", "charter", "formula", "block"}
LOG = {"entry", "kind", "member", "name", "status", "reason", "height", "when"}


@pytest.fixture(scope="module")
def market() -> Kept:
    """One deal approved and sealed, one cancelled and sealed, one delivered and pending, one offer that is pending."""
    kept = kept_market(names={"bo": "Bo\u202e"})
    approved = kept.delivered("bo", "cy", "roast", 3)
    kept.do("cy", Approve(deal=approved))
    cancelled = kept.accepted("bo", "di", "roast", 1)
    kept.do("bo", Cancel(deal=cancelled))
    running = kept.accepted("cy", "bo", "bake", 2)
    kept.seal()
    pending = kept.delivered("di", "ana", "bake", 4)
    kept.words = {"note": "by\x1b[2Jhand"}
    offer = kept.offered("di", "roast", 2, to="ana", copies=3, deadline=kept.now + DAY_MS)
    kept.marks = {"approved": approved, "cancelled": cancelled, "running": running, "pending": pending, "offer": offer}
    return kept


def ask(view: View, op: str, **args: Any) -> Any:
    """The answer of a read, after it went through JSON as every answer does."""
    answer = READS[op](view, args)
    assert json.loads(json.dumps(answer)) == answer
    return answer


def test_every_read_answers_before_the_ledger_is_here() -> None:
    """A newcomer whose join waits for its ledger can ask everything; there is just nothing yet."""
    kept = kept_market()
    view = kept.look()
    view.archive = type(view.archive)(type(kept.store)())
    view.ledger = Ledger(kept.ledger.id, view.archive)
    view.me = None
    about: dict[str, dict[str, Any]] = {
        "evidence": {"deal": "abcdef01"},
        "explain": {"id": "abcdef01"},
        "show": {"id": "abcdef01"},
        "prove_points": {"partner": "abcdef01"},
        "statement": {"partner": "abcdef01"},
        "charter_show": {},
        "charter_diff": {"charter": ""},
        "charter_simulate": {"charter": ""},
        "settlement": {},
        "export": {},
    }
    # A charter is checked by itself.
    assert ask(view, "charter_check", charter=template_text("cafe"), partners=2)["ok"]
    for op in READS.keys() - {"charter_check"}:
        if op in about:
            with pytest.raises(NodeError) as caught:
                READS[op](view, about[op])
            assert caught.value.exit_code == ExitCode.NOT_FOUND
        else:
            answer = ask(view, op)
            assert answer == [] or answer["ledger"] == kept.ledger.id.hex()
    assert ask(view, "status")["waits"] == ["the ledger is not here yet: `tally node` fetches it from a partner"]


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("points", {"partner": 7}),
        ("points", {"partners": "ana"}),
        ("log", {"limit": 0}),
        ("log", {"limit": "3"}),
        ("show", {}),
        ("show", {"id": ""}),
        ("explain", {"id": "x" * 300}),
        ("charter_show", {"version": -1}),
        ("status", {"verbose": True}),
        ("deals", {"open": "yes"}),
    ],
)
def test_arguments_that_cannot_be_are_refused(market: Kept, op: str, args: dict[str, Any]) -> None:
    """A misspelt or mistyped argument that does nothing would be worse than a message."""
    with pytest.raises(NodeError) as caught:
        READS[op](market.look(), args)
    assert (caught.value.reason, caught.value.exit_code) == ("bad-argument", ExitCode.USAGE)


def test_an_argument_that_is_null_counts_as_left_out(market: Kept) -> None:
    """Programs often send every key."""
    assert ask(market.look(), "points", partner=None) == ask(market.look(), "points")


# -- points ------------------------------------------------------------------------------------------------------------


def test_points_has_the_promised_keys_and_adds_up(market: Kept) -> None:
    """Sealed books, and beside each balance what everything pending would add."""
    answer = ask(market.look(), "points")
    assert answer.keys() == POINTS
    assert all(row.keys() == POINTS_ROW for row in answer["rows"])
    assert (answer["height"], answer["unit"], answer["redeemed"]) == (3, "point", 0)
    assert answer["ledger"] == market.ledger.id.hex()
    assert answer["state_root"] == market.ledger.head.state_root.hex()
    assert [(row["name"], row["points"], row["pending"]) for row in answer["rows"]] == [
        ("ana", 100, -40),
        ("Bo\\u202e", 100 + 36 - 20, 0),
        ("cy", 100, 0),
        ("di", 100, 0),
    ]
    assert answer["escrow"] == 20
    held = sum(row["points"] for row in answer["rows"])
    assert answer["issued"] + answer["pool"] + answer["escrow"] + answer["redeemed"] + held == 0
    assert answer["issued"] == -100_000


def test_points_of_one_partner(market: Kept) -> None:
    """The accounts stay those of the ledger; only the rows are fewer."""
    whole, one = ask(market.look(), "points"), ask(market.look(), "points", partner="cy")
    assert one == {**whole, "rows": [row for row in whole["rows"] if row["name"] == "cy"]}


def test_points_vest_with_time() -> None:
    """Before the cliff nothing, then day by day."""
    kept = Kept.start({**MARKET, "vesting": {"cliff": "10d", "duration": "100d"}}, "bo")
    seen = []
    for days in (0, 9, 1, 40, 60):
        kept.wait(days * DAY_MS)
        seen.append(ask(kept.look(), "points", partner="ana")["rows"][0]["vested"])
    assert seen == [0, 0, 10, 50, 100]


def test_applicants_and_observers_without_points_have_no_row() -> None:
    """They have no account; an observer becomes visible when it holds something."""
    kept = kept_market("bo")
    kept.join("ola", standing="observer")
    kept.seal()
    assert [row["name"] for row in ask(kept.look(), "points")["rows"]] == ["ana", "bo"]


# -- deals and offers --------------------------------------------------------------------------------------------------


def test_deals_lists_closed_open_and_pending_ones(market: Kept) -> None:
    """In the order of their acceptance, as they are with everything pending."""
    rows = ask(market.look(), "deals")
    marks = market.marks
    assert all(row.keys() >= DEAL for row in rows)
    assert [(row["deal"], row["status"], row["pending"], row["open"]) for row in rows] == [
        (marks["approved"].hex(), "approved", False, False),
        (marks["cancelled"].hex(), "cancelled", False, False),
        (marks["running"].hex(), "accepted", False, True),
        (marks["pending"].hex(), "delivered", True, True),
    ]
    first = rows[0]
    assert {key: first[key] for key in DEAL - {"deal", "offer"}} == {
        "step": "roast",
        "seller": market.people["bo"].member.hex(),
        "buyer": market.people["cy"].member.hex(),
        "units": 3,
        "price": 12,
        "gross": 36,
        "status": "approved",
        "delivered": 3,
        "grade": 100,
        "award": 36,
        "deadline": None,
        "pending": False,
    }
    assert [row["award"] for row in rows] == [36, None, None, None]
    assert [row["grade"] for row in rows] == [100, None, None, None]
    assert rows[2]["due_what"] == "ends: nothing was delivered"
    assert rows[3]["due_what"] == "is approved by silence"


def test_deals_can_be_narrowed(market: Kept) -> None:
    """To open ones, and to those of one partner on either side."""
    view, marks = market.look(), market.marks
    assert [row["deal"] for row in ask(view, "deals", open=True)] == [marks["running"].hex(), marks["pending"].hex()]
    assert [row["deal"] for row in ask(view, "deals", partner="cy")] == [
        marks["approved"].hex(),
        marks["running"].hex(),
    ]


def test_a_deal_that_a_pending_entry_closes_is_pending() -> None:
    """It has left the preview but not the sealed state."""
    kept = kept_market()
    deal = kept.delivered("bo", "cy", "roast", 1)
    kept.seal()
    kept.do("cy", Approve(deal=deal))
    (row,) = ask(kept.look(), "deals")
    assert (row["status"], row["award"], row["pending"], row["open"]) == ("approved", 12, True, False)
    kept.seal()
    (row,) = ask(kept.look(), "deals")
    assert (row["status"], row["award"], row["pending"], row["open"]) == ("approved", 12, False, False)


def test_a_rejection_says_what_comes_next() -> None:
    """Until the window is over nothing is decided about points."""
    kept = kept_market()
    deal = kept.delivered("bo", "cy", "roast", 1)
    kept.do("cy", Reject(deal=deal))
    (row,) = ask(kept.look(), "deals")
    assert (row["status"], row["award"], row["due_what"]) == ("rejected", 0, "the rejection is final")
    kept.seal()
    kept.wait(5 * DAY_MS)
    (row,) = ask(kept.look(), "deals")
    assert (row["status"], row["award"]) == ("returned", 0)


def test_offers_lists_what_can_be_accepted(market: Kept) -> None:
    """With who offers, to whom, for how many points, until when; words escaped."""
    (row,) = ask(market.look(), "offers")
    assert row == {
        "offer": market.marks["offer"].hex(),
        "partner": market.people["di"].member.hex(),
        "name": "di",
        "side": "sell",
        "step": "roast",
        "title": "roast",
        "units": 2,
        "unit": "unit",
        "price": 12,
        "gross": 24,
        "payer": "pool",
        "to": market.people["ana"].member.hex(),
        "to_name": "ana",
        "deadline": row["deadline"],
        "expires": row["expires"],
        "copies": 3,
        "endorsed": [],
        "withdrawn": False,
        "note": "by\\x1b[2Jhand",
        "pending": True,
        "refusal": None,
        "refusal_detail": None,
    }
    assert row["deadline"] < row["expires"]
    assert ask(market.look(), "offers", partner="cy") == []


def test_an_offer_that_has_expired_is_off_the_market() -> None:
    """It is still listed when all are asked for."""
    kept = kept_market()
    offer = kept.offered("bo", "roast", 1, expires=kept.now + DAY_MS)
    kept.wait(2 * DAY_MS)
    assert ask(kept.look(), "offers") == []
    assert [row["offer"] for row in ask(kept.look(), "offers", all=True)] == [offer.hex()]


# -- people ------------------------------------------------------------------------------------------------------------


def test_partners_lists_everybody_with_words_to_compare(market: Kept) -> None:
    """Whose device is whose, who seals, who came through whom."""
    rows = ask(market.look("cy"), "partners")
    assert [row["name"] for row in rows] == ["ana", "Bo\\u202e", "cy", "di"]
    assert [row["me"] for row in rows] == [False, False, True, False]
    ana, bo = rows[:2]
    assert ana["roles"] == ["roaster", "taster", "treasurer"]
    assert (ana["sealer"], ana["sealing"], bo["sealer"], bo["sealing"]) == (True, "active", False, None)
    assert (bo["inviter_name"], bo["standing"], bo["status"], bo["looks_like"]) == ("ana", "partner", "active", [])
    assert [len(row["fingerprint"].split()) for row in rows] == [6] * 4
    (device,) = bo["devices"]
    assert device["device"] == market.people["bo"].secret.public.hex()
    assert device["node_key"] == market.people["bo"].node.public.hex()


def test_partners_says_who_keeps_the_till() -> None:
    """The treasurers, always; a team until its term ends; everybody where none of them is there; nobody in vain."""
    money: dict[str, Any] = {**MARKET, "sale": {"currency": "EUR"}}

    def told(kept: Kept) -> dict[str, int | None]:
        return {row["name"]: row["duty_until"] for row in ask(kept.look(), "partners") if row["on_duty"]}

    assert told(Kept.start(MARKET, "bo", "cy")) == {}
    kept = Kept.start(money, "bo", "cy")
    assert told(kept) == {"ana": None}
    kept.do("ana", Away(until=kept.now + DAY_MS))
    assert told(kept) == {"ana": None, "bo": None, "cy": None}
    teams = Kept.start({**money, "duty": {"size": 1, "term": "3d"}}, "bo", "cy")
    assert told(teams) == {"ana": START_MS + 3 * DAY_MS}


def test_an_applicant_is_listed_with_its_vouches() -> None:
    """So that everybody sees how many are missing."""
    kept = Kept.start({**MARKET, "membership": {"sponsors": 2, "probation": "0s"}}, "bo", "cy")
    dora = kept.applied("dora")
    kept.do("ana", Admit(member=dora, sealer=False))
    row = ask(kept.look(), "partners")[-1]
    assert row["partner"] == dora.hex()
    assert (row["name"], row["status"], row["vouches"], row["vouches_needed"]) == ("dora", "applicant", 1, 2)
    assert row["vouched_by"] == [kept.people["ana"].member.hex()]
    assert row["pending"] is True


def test_names_that_look_alike_name_one_another() -> None:
    """Whoever reads the list is warned on both lines."""
    kept = kept_market("anna", "evil", names={"anna": "Anna", "evil": "Аnna"})
    rows = {row["partner"]: row for row in ask(kept.look(), "partners")}
    one, other = kept.people["anna"].member.hex(), kept.people["evil"].member.hex()
    assert (rows[one]["looks_like"], rows[other]["looks_like"]) == ([other], [one])


def test_peers_with_and_without_a_node(market: Kept) -> None:
    """A node knows who is connected; without one there are the addresses of last time."""
    bo = market.people["bo"]
    facts = [
        PeerFact(key=b"\1" * 32, seen=5, error="timeout"),
        PeerFact(
            key=bo.node.public,
            member=bo.member,
            address="/ip4/1",
            connected=True,
            relayed=True,
            seen=9,
            height=2,
            clock=-40,
        ),
    ]
    rows = ask(market.look(node=NodeFacts(peers=facts)), "peers")
    assert rows[0] == {
        "peer": bo.node.public.hex(),
        "partner": bo.member.hex(),
        "name": "Bo\\u202e",
        "address": "/ip4/1",
        "connected": True,
        "relayed": True,
        "seen": 9,
        "height": 2,
        "behind": 1,
        "ahead": 0,
        "clock_ms": -40,
        "error": None,
    }
    assert (rows[1]["partner"], rows[1]["connected"], rows[1]["behind"]) == (None, False, None)
    assert rows[1]["error"] == "timeout"
    market.archive.keep_addresses(bo.node.public, ["/ip4/1/tcp/2"])
    (row,) = ask(market.look(), "peers")
    assert (row["name"], row["address"], row["connected"]) == ("Bo\\u202e", "/ip4/1/tcp/2", False)
    assert (row["seen"], row["height"], row["behind"]) == (None, None, None)
    market.archive.keep_contact(bo.node.public, ContactRow("/ip4/3/tcp/4", 77, 1))
    (row,) = ask(market.look(), "peers")
    assert (row["address"], row["seen"], row["height"], row["behind"]) == ("/ip4/3/tcp/4", 77, 1, 2)


# -- the ledger --------------------------------------------------------------------------------------------------------


def test_log_lists_everything_newest_last(market: Kept) -> None:
    """Sealed entries in the order of their blocks, then pending ones."""
    rows = ask(market.look(), "log")
    assert all(row.keys() >= LOG for row in rows)
    assert [row["entry"] for row in rows] == [entry.id.hex() for entry in market.sent]
    assert [row["status"] for row in rows] == ["sealed"] * (len(rows) - 4) + ["pending"] * 4
    assert [row["height"] for row in rows] == [1] + [2] * 9 + [3] * (len(rows) - 14) + [None] * 4
    assert rows[0]["kind"] == "found"
    assert rows[-1]["kind"] == "offer"
    assert rows[-1]["name"] == "di"


@pytest.mark.parametrize("limit", [1, 3, 4, 5, 12, 1000])
def test_log_can_be_cut_to_the_newest(market: Kept, limit: int) -> None:
    """Only so much is read."""
    assert ask(market.look(), "log", limit=limit) == ask(market.look(), "log")[-limit:]


def test_a_void_entry_is_shown_with_its_reason() -> None:
    """Pending, it is still pending: what makes it void can change. Sealed, it is void for ever."""
    kept = kept_market()
    offer = kept.offered("bo", "roast", 1)
    kept.do("cy", Accept(offer=offer))
    kept.refused("di", Accept(offer=offer))
    row = ask(kept.look(), "log")[-1]
    assert (row["status"], row["reason"], row["height"]) == ("pending", "offer-taken", None)
    kept.seal()
    row = ask(kept.look(), "log")[-1]
    assert (row["status"], row["reason"], row["height"]) == ("void", "offer-taken", 3)
    assert ask(kept.look(), "show", id=row["entry"])["state"] == "void in #3: offer-taken"


def test_show_says_everything_of_an_entry(market: Kept) -> None:
    """Header, body, words, what became of it, what it moved, and what refers to it."""
    entry = next(entry for entry in market.sent if entry.id == market.marks["offer"])
    answer = ask(market.look("di"), "show", id=entry.id.hex()[:10])
    assert answer == {
        "entry": entry.id.hex(),
        "kind": "offer",
        "member": market.people["di"].member.hex(),
        "name": "di",
        "status": "pending",
        "reason": None,
        "detail": None,
        "height": None,
        "when": entry.time,
        "ledger": market.ledger.id.hex(),
        "device": entry.device.hex(),
        "seq": entry.seq,
        "prev": entry.prev.hex() if entry.prev else None,
        "links": [link.hex() for link in entry.links],
        "seal": {"height": 3, "block": market.ledger.head.block_id.hex()},
        "time": entry.time,
        "body": {
            "side": "sell",
            "step": "roast",
            "units": 2,
            "terms": [12, "pool", 7 * DAY_MS, "approve", 0, 100, 100, 0],
            "to": market.people["ana"].member.hex(),
            "copies": 3,
            "deadline": entry.body["deadline"],
        },
        "annex": entry.annex_hash.hex() if entry.annex_hash else None,
        "words": {"note": "by\\x1b[2Jhand"},
        "words_missing": False,
        "signature": entry.signature.hex(),
        "postings": [],
        "referred_by": [],
        "deal": None,
        "money": None,
        "proposal": None,
        "state": "pending",
        "next": [],
        "until": None,
        "silence": None,
    }


def test_show_of_an_acceptance_has_the_deal_and_what_moved(market: Kept) -> None:
    """One look tells how far the deal is."""
    answer = ask(market.look(), "show", id=market.marks["pending"].hex())
    assert answer["deal"]["status"] == "delivered"
    (posting,) = answer["postings"]
    assert (posting["amount"], posting["block"], posting["rule"]) == (40, None, "step.bake.price")
    assert len(answer["referred_by"]) >= 1


def test_how_far_an_entry_has_come(market: Kept) -> None:
    """Draft on this device only, shared, seen by k of n sealers, sealed."""
    entry = market.marks["offer"]
    ana, bo = market.people["ana"].node.public, market.people["bo"].node.public

    def state(who: str, seen: frozenset[bytes] | None) -> str:
        node = None if seen is None else NodeFacts(seen_by={entry: seen})
        return str(ask(market.look(who, node), "show", id=entry.hex())["state"])

    assert state("di", frozenset()) == "draft: on this device only"
    assert state("di", None) == "pending"
    assert state("bo", None) == "shared"
    assert state("di", frozenset({bo})) == "shared"
    assert state("di", frozenset({ana, bo})) == "seen by 1 of 1"
    assert ask(market.look(), "show", id=market.marks["approved"].hex())["state"] == "sealed in #3"


def test_words_that_are_gone_are_said_to_be(market: Kept) -> None:
    """The hash stays in the header, so everybody sees that there were some."""
    kept = kept_market()
    kept.words = {"note": "secret"}
    offer = kept.offered("bo", "roast", 1)
    kept.seal()
    kept.store.write([], [b"A" + offer], sync=True)
    answer = ask(kept.look(), "show", id=offer.hex())
    assert (answer["words"], answer["words_missing"]) == (None, True)
    kept.store.write([], [b"A" + kept.people["bo"].member], sync=True)
    assert ask(kept.look(), "show", id=offer.hex())["name"] is None
    assert ask(kept.look(), "points")["rows"][1]["name"] is None


def test_blocks_lists_the_chain(market: Kept) -> None:
    """Each names the one before; the newest can be had alone."""
    rows = ask(market.look(), "blocks")
    assert [row["height"] for row in rows] == [1, 2, 3]
    assert [row["prev"] for row in rows] == ["00" * 32, rows[0]["block"], rows[1]["block"]]
    assert rows[-1]["block"] == market.ledger.head.block_id.hex()
    assert rows[-1]["state_root"] == market.ledger.head.state_root.hex()
    assert sum(row["entries"] for row in rows) == len(market.sent) - len(market.ledger.pool)
    assert [(row["votes"], row["readys"], row["round"]) for row in rows] == [(1, 1, 0)] * 3
    assert ask(market.look(), "blocks", limit=2) == rows[1:]


def test_charter_show_gives_the_document_back(market: Kept) -> None:
    """What is shown is what was signed: read again, it has the same hash."""
    answer = ask(market.look(), "charter_show")
    assert answer["document"] == MARKET
    assert read_charter(answer["document"]).hash.hex() == answer["hash"]
    assert (answer["version"], answer["since"], answer["in_force"]) == (1, START_MS, True)
    assert ask(market.look(), "charter_show", version=1) == answer
    with pytest.raises(NodeError) as caught:
        READS["charter_show"](market.look(), {"version": 2})
    assert (caught.value.exit_code, "`tally charter show`" in caught.value.hint) == (ExitCode.NOT_FOUND, True)


# -- status ------------------------------------------------------------------------------------------------------------

STATUS = {"ledger", "name", "height", "block", "state_root", "pending", "orphans", "sealers", "quorum", "waiting_for"}
STATUS |= {"peers", "node_running", "read_only", "mute"}


def test_status_has_the_promised_keys(market: Kept) -> None:
    """Numbers as numbers, ids in full."""
    answer = ask(market.look(), "status")
    assert answer.keys() > STATUS
    assert (answer["name"], answer["height"], answer["pending"], answer["orphans"]) == ("Market", 3, 4, 0)
    assert answer["block"] == market.ledger.head.block_id.hex()
    assert answer["state_root"] == market.ledger.head.state_root.hex()
    assert (answer["quorum"], answer["peers"], answer["node_running"]) == (1, 0, False)
    assert (answer["read_only"], answer["mute"]) == (False, False)
    assert [row["name"] for row in answer["sealers"]] == ["ana"]
    assert answer["my_status"] == "partner"
    assert "one of your deals, 40 points, waits for the next block; nothing is lost" in answer["waits"]


def three_sealers() -> Kept:
    """Ana, Bo and Cy seal."""
    kept = kept_market("bo", "cy")
    for name in ("bo", "cy"):
        kept.do(name, SealerOn(device=kept.people[name].secret.public))
        for sponsor in ("ana", "bo")[: 1 if name == "bo" else 2]:
            agree(kept, sponsor, name)
        kept.seal()
    assert len(kept.ledger.sealers()) == 3
    return kept


def agree(kept: Kept, sponsor: str, name: str) -> None:
    kept.do(sponsor, Admit(member=kept.people[name].member, sealer=True))


def test_status_says_for_whom_finality_waits() -> None:
    """Those that are neither here nor have reported, longest away first, and how many of them are needed."""
    kept = three_sealers()
    kept.delivered("bo", "ana", "bake", 1)
    kept.wait(3 * DAY_MS)
    bo, cy = kept.people["bo"], kept.people["cy"]
    answer = ask(kept.look(), "status")
    assert answer["quorum"] == 2
    assert sorted(row["name"] for row in answer["waiting_for"]) == ["bo", "cy"]
    assert any(line.startswith("finality waits for 1 of: ") and "(3 days)" in line for line in answer["waits"])
    assert any("'s or " in line and "10 points" in line for line in answer["waits"])
    assert "2 of the 3 computers that seal are needed for a block: 1 may be away" in answer["waits"]
    assert "one sealer that cheats could fork this ledger, and would be named by it" in answer["waits"]
    peer = PeerFact(key=bo.node.public, member=bo.member, connected=True, seen=kept.now)
    facts = NodeFacts(peers=[peer], addresses=["/ip4/1.2.3.4/tcp/5/p2p/x"], orphans=2)
    answer = ask(kept.look(node=facts), "status")
    assert (answer["waiting_for"], answer["peers"], answer["orphans"]) == ([], 1, 2)
    assert answer["addresses"] == ["/ip4/1.2.3.4/tcp/5/p2p/x"]
    assert "the next block seals 3 pending entries" in answer["waits"]
    assert cy.member.hex() in {row["partner"] for row in answer["sealers"]}


def test_status_of_a_store_that_cannot_write() -> None:
    """It says so, and why."""
    kept = kept_market()
    answer = ask(kept.look(node=NodeFacts(read_only="the disk is full", mute="a copy runs")), "status")
    assert (answer["read_only"], answer["read_only_reason"]) == (True, "the disk is full")
    assert (answer["mute"], answer["mute_reason"]) == (True, "a copy runs")
    kept.store.guard.distrust()
    answer = ask(kept.look(), "status")
    assert answer["mute"] is True
    answer = ask(kept.look(node=NodeFacts(warning="this clock is 60 minutes off those of the others")), "status")
    assert answer["waits"][0] == "this computer seals nothing: this clock is 60 minutes off those of the others"


def test_status_of_a_stranger(market: Kept) -> None:
    """A device that is nobody's is told so, and how it comes in: a key asks only once."""
    answer = ask(market.look(None), "status")
    assert (answer["me"], answer["my_status"]) == (None, None)
    assert any("is no member's" in each and "`tally --home DIR init`" in each for each in answer["waits"])
    assert ask(market.look(None), "inbox") == []


def test_proposals_is_empty_without_any(market: Kept) -> None:
    """An empty list and not an error."""
    assert ask(market.look(), "proposals") == []
