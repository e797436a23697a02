"""Answers as a person reads them, compared word by word."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tallystick.cli.render import RENDER
from tallystick.cli.render_status import sealing_text
from tallystick.cli.render_write import DONE, outcome_text, trial_text
from tallystick.node.reads import READS
from tallystick.protocol.kinds.table import KINDS

ANA, BO, DEAL, OFFER = "a1" * 32, "b0" * 32, "de" * 32, "0f" * 32
DAY = 86_400_000
NOW = 1_772_323_200_000
"""1 March 2026."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates are shown in the zone of the computer; here it is that of the tests."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def lines(op: str, answer: Any) -> list[str]:
    """What a person sees."""
    text = RENDER[op](answer, NOW)
    return text.split("\n")


def deal(**more: Any) -> dict[str, Any]:
    """A row of `deals`."""
    row = {
        "deal": DEAL,
        "offer": OFFER,
        "step": "roast",
        "title": "Roast coffee",
        "seller": ANA,
        "seller_name": "Ana",
        "buyer": BO,
        "buyer_name": "Bo",
        "units": 3,
        "gross": 36,
        "status": "accepted",
        "award": None,
        "deadline": NOW + 3 * DAY,
        "pending": False,
        "due": NOW + 33 * DAY,
        "due_what": "ends: nothing was delivered",
    }
    return row | more


def movement(**more: Any) -> dict[str, Any]:
    """A row of `explain`."""
    row = {
        "when": NOW + 3 * DAY,
        "amount": 32,
        "commodity": "POINT",
        "account": f"partner/{ANA}",
        "counter_account": f"escrow/{DEAL}",
        "entry": "7f3a21c0" * 8,
        "rule": "step.roast.price",
        "charter": 2,
        "formula": "3 x 12 x 90% = 32",
        "block": 118,
        "what": "approve",
        "about": {
            "deal": DEAL,
            "step": "roast",
            "seller": ANA,
            "seller_name": "Ana",
            "buyer": BO,
            "buyer_name": "Bo",
        },
    }
    return row | more


def test_every_read_can_be_shown() -> None:
    """A question whose answer nobody can read would be for programs only; two of them fill the files of an export."""
    assert RENDER.keys() | {"journal", "export"} == READS.keys()


def test_points() -> None:
    """A row a partner; what is on its way has its sign."""
    answer = {
        "height": 7,
        "unit": "bean",
        "pool": 900,
        "escrow": 36,
        "issued": -1000,
        "redeemed": 0,
        "rows": [
            {"partner": ANA, "name": "Ana", "points": 60, "vested": 10, "pending": 32},
            {"partner": BO, "name": None, "points": 4, "vested": 0, "pending": 0},
        ],
    }
    assert lines("points", answer) == [
        "partner          id        points  vested  pending",
        "Ana              a1a1a1a1      60      10      +32",
        "(words missing)  b0b0b0b0       4       0",
        "",
        "bean: pool 900, escrow 36, issued 1000 · block #7",
    ]


def test_explain_says_why() -> None:
    """The line of the design, word by word, and the sum."""
    why = "+32 roast 3 x 12 x 90% · sold to Bo · approved 2026-03-04"
    where = "entry 7f3a21c0 · charter v2 step.roast.price · block 118"
    assert lines("explain", [movement()]) == [f"{why} · {where}", "= 32"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"account": f"partner/{BO}", "amount": -32}, "-32 roast 3 x 12 x 90% · bought from Ana"),
        ({"about": None, "counter_account": "pool", "what": "join", "formula": "32"}, "+32 · from pool · joined"),
        (
            {"account": f"escrow/{DEAL}", "counter_account": f"partner/{BO}", "amount": -4, "counter_name": "Bo"},
            "-4 roast 3 x 12 x 90% = 32 · to Bo · ",
        ),
        ({"about": None, "amount": -5, "counter_account": f"partner/{BO}"}, "to partner b0b0b0b0"),
        ({"about": None, "counter_account": f"partner/{BO}", "counter_name": "Bo"}, "from Bo"),
        ({"about": None, "counter_account": f"donation/{BO}", "counter_name": "Bo"}, "from donation of Bo"),
        ({"what": "deal.unreviewed"}, "approved by silence 2026-03-04"),
        ({"what": "unheard.of"}, "unheard.of 2026-03-04"),
        ({"block": None, "charter": None}, "step.roast.price · pending"),
        ({"commodity": "CNY", "about": None, "counter_account": "cash"}, "+0.32 CNY 3 x 12 x 90%"),
    ],
)
def test_explain_names_the_other_side(more: dict[str, Any], said: str) -> None:
    """Buyer, pool, another partner, time itself, and money."""
    assert said in lines("explain", [movement(**more)])[0]


def test_a_vote_is_no_amount_of_money() -> None:
    """What was said, its weight, and by whom; nothing is added up."""
    cast = {"commodity": "VOTE", "amount": 1, "account": "vote/yes", "counter_account": f"partner/{BO}", "about": None}
    more = {"formula": "1 of 6", "rule": "governance.amend", "what": "vote", "counter_name": "Bo"}
    where = "entry 7f3a21c0 · charter v2 governance.amend · block 118"
    assert lines("explain", [movement(**cast, **more)]) == [f"yes 1 of 6 · Bo · voted 2026-03-04 · {where}"]
    assert " · partner b0b0b0b0 · " in lines("explain", [movement(**cast, **more | {"counter_name": None})])[0]


def test_explain_adds_up_one_account_only() -> None:
    """The rows of an entry belong to several accounts, and their sum would mean nothing."""
    rows = [movement(), movement(account="pool", amount=4)]
    assert len(lines("explain", rows)) == 2
    assert lines("explain", [movement(), movement(amount=-2)])[-1] == "= 30"


def test_deals_say_what_happens_next() -> None:
    """Until when the work is due, or what time will do."""
    rows = [
        deal(),
        deal(status="delivered", pending=True, due=NOW + 5 * DAY, due_what="is approved by silence"),
        deal(step=None, title="A sign\x1b[0m", status="approved", award=32, due=None, due_what=None, seller_name=None),
    ]
    head, first, second, third = (line.split("  ") for line in lines("deals", rows))
    assert [cell.strip() for cell in head if cell] == [
        *("deal", "what", "seller", "buyer", "units", "points", "status", "award", "next")
    ]
    assert first[-1] == "due 2026-03-04 (in 3 days)"
    assert second[-1].strip() == "is approved by silence 2026-03-06 (in 5 days)"
    assert "delivered (pending)" in second
    assert [cell.strip() for cell in third if cell] == [
        *("dededede", "A sign\\x1b[0m", "a1a1a1a1", "Bo", "3", "36", "approved", "32")
    ]


def test_offers_log_inbox_and_blocks() -> None:
    """The other tables, each with its most telling columns."""
    offer = {
        "offer": OFFER,
        "partner": ANA,
        "name": "Ana",
        "side": "sell",
        "step": "roast",
        "title": "Roast coffee",
        "units": 3,
        "gross": 36,
        "copies": 2,
        "to": BO,
        "to_name": "Bo",
        "deadline": None,
        "expires": NOW + 30 * DAY,
        "withdrawn": False,
        "pending": True,
    }
    assert lines("offers", [offer])[1].split() == (
        "0f0f0f0f roast Ana sell 3 36 2 Bo 2026-03-31 (in 30 days) pending".split()
    )
    entry = {"entry": OFFER, "when": NOW, "member": ANA, "name": "Ana", "kind": "offer", "height": 3, "reason": None}
    shown = [
        lines("log", [entry | {"status": status, "reason": reason}])[1].split("  ")[-1]
        for status, reason in (("sealed", None), ("void", "role"), ("pending", None), ("pending", "role"))
    ]
    assert shown == ["sealed in #3", "void in #3: role", "pending", "pending; void as things stand: role"]
    item = {"what": "approve", "id": DEAL, "text": "approve what Ana delivered", "deadline": NOW + DAY}
    assert lines("inbox", [item])[1] == "approve  dededede  approve what Ana delivered  2026-03-02 (in 1 day)"
    block = {
        "height": 3,
        "block": DEAL,
        "time": NOW,
        "entries": 2,
        "round": 0,
        "votes": 3,
        "charter_version": 1,
        "state_root": ANA,
    }
    assert lines("blocks", [block])[1] == "    #3  dededede  2026-03-01 00:00        2      0      3  v1       a1a1a1a1"


@pytest.mark.parametrize(
    "op", ["deals", "offers", "inbox", "log", "blocks", "peers", "proposals", "explain", "partners"]
)
def test_nothing_is_a_sentence(op: str) -> None:
    """An empty list says so, instead of a table without rows."""
    (line,) = lines(op, [])
    assert line


def test_partners_warn_of_names_that_look_alike() -> None:
    """The one thing that a person must not miss; for applicants the words to compare."""
    row = {
        "partner": ANA,
        "name": "Ana",
        "looks_like": [BO],
        "standing": "partner",
        "status": "active",
        "roles": ["roaster"],
        "sealer": True,
        "sealing": "active",
        "since": NOW,
        "probation_until": NOW + DAY,
        "away_until": None,
        "suspended_until": None,
        "me": False,
        "vouches": 0,
        "vouches_needed": None,
        "fingerprint": "a b c d e f",
    }
    shown = lines("partners", [row])[1]
    assert "LOOKS LIKE b0b0b0b0; probation until 2026-03-02 (in 1 day)" in shown
    duty = lines("partners", [row | {"on_duty": True, "duty_until": NOW + DAY}, row | {"on_duty": True}])
    assert "on duty until 2026-03-02 (in 1 day)" in duty[1]
    assert duty[2].endswith("; on duty")
    applicant = row | {
        "status": "applicant",
        "vouches_needed": 3,
        "vouches": 1,
        "sealer": False,
        "sealing": "requested",
    }
    shown = lines("partners", [applicant])[1]
    assert "applicant" in shown
    assert "asks to" in shown
    assert "1 of 3 vouch; its words: a b c d e f" in shown


OUTCOME = {"entry": OFFER, "kind": "accept", "status": "pending", "reason": None, "deal": OFFER, "height": None}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"waits_for": ["Ana", "Bo"], "waits_for_least": 1}, "pending: finality waits for Ana or Bo"),
        ({"waits_for": ["Ana", "Bo"], "waits_for_least": 2}, "pending: finality waits for Ana and Bo"),
        (
            {"waits_for": ["Ana", "Bo", "Cy"], "waits_for_least": 2},
            "pending: finality waits for 2 of Ana, Bo and Cy",
        ),
        ({"waits_for": ["Ana"], "waits_for_least": 1}, "pending: finality waits for Ana"),
        ({"waits_for": []}, "pending: the next block seals it; `tally seal` asks for one now"),
        ({"status": "sealed", "height": 12}, "sealed in #12"),
        (
            {"status": "void", "height": 12, "reason": "offer-taken"},
            "void in #12: offer-taken: this offer has been accepted already, as often as it may be",
        ),
    ],
)
def test_write_says_what_it_is_now(more: dict[str, Any], said: str) -> None:
    """Pending, and whom it waits for; sealed; or void, and why."""
    assert outcome_text({**OUTCOME, **more}).split("\n") == [
        "you accept the offer: the deal begins (entry 0f0f0f0f)",
        said,
    ]


def test_write_about_a_deal_names_it() -> None:
    """The deal, beside the entry that is about it; a kind without a sentence is named."""
    assert "(entry 0f0f0f0f, deal dededede)" in outcome_text({**OUTCOME, "kind": "deliver", "deal": DEAL})
    assert outcome_text({**OUTCOME, "kind": "new.kind", "status": "sealed", "height": 1}).startswith("new.kind (entry")


def test_trial_says_what_would_happen() -> None:
    """What would move, whom finality would wait for; or why it would be void."""
    posting = {
        "commodity": "POINT",
        "from": "pool",
        "to": f"escrow/{DEAL}",
        "amount": 36,
        "rule": "step.roast.price",
        "formula": "3 x 12 = 36",
    }
    valid = {
        "kind": "accept",
        "status": "pending",
        "reason": None,
        "postings": [posting],
        "waits_for": ["Ana", "Bo", "Cy"],
        "waits_for_least": 1,
    }
    assert trial_text("accept", valid | {"deadline": NOW + DAY}, NOW).split("\n") == [
        "nothing was signed",
        "accept would be valid",
        "  36 points, 3 x 12: pool -> escrow dededede, by step.roast.price",
        "  then finality waits for Ana, Bo or Cy",
        "  until 2026-03-02 (in 1 day)",
    ]
    unknown = valid | {"postings": [posting | {"to": "escrow/new"}]}
    assert "  36 points, 3 x 12: pool -> new escrow, by step.roast.price" in trial_text("accept", unknown, NOW)
    named = valid | {"postings": [posting | {"from": f"partner/{BO}", "from_name": "Bo"}]}
    assert "  36 points, 3 x 12: Bo -> escrow dededede, by step.roast.price" in trial_text("accept", named, NOW)
    leaving = {"kind": "leave", "status": "pending", "reason": None, "remarks": ["18 points go back to the pool"]}
    assert trial_text("leave", leaving, NOW).split("\n")[1:] == [
        "leave would be valid",
        "  note: 18 points go back to the pool",
    ]
    void = {"kind": "accept", "status": "void", "reason": "own-offer", "detail": ""}
    assert trial_text("accept", void, NOW).split("\n") == [
        "nothing was signed",
        "accept would be void: own-offer: nobody accepts, or endorses, an offer of their own",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"sealed": 1, "height": 9}, "sealed: now at #9"),
        ({"sealed": 0, "pending": 0}, "nothing waits to be sealed"),
        ({"sealed": 0, "pending": 0, "warning": None}, "nothing waits to be sealed"),
        ({"sealed": 0, "pending": 0, "warning": "this clock is off"}, "nothing waits to be sealed\nthis clock is off"),
        ({"sealed": 0, "pending": 2, "waiting_for": [{"name": "Ana"}]}, "asked for; finality waits for Ana"),
        (
            {"sealed": 0, "pending": 2, "waits_for": ["Ana", "Bo"], "waits_for_least": 2},
            "asked for; finality waits for Ana and Bo",
        ),
        ({"sealed": 0, "pending": 2}, "asked for; the others must answer"),
        (
            {"sealed": 0, "pending": 2, "seals": False, "waits_for": ["Ana", "Bo"], "waits_for_least": 1},
            "this computer does not seal, and so asks for no block; finality waits for Ana or Bo",
        ),
    ],
)
def test_seal_says_what_came_of_it(answer: dict[str, Any], said: str) -> None:
    """A block, nothing to do, or others."""
    assert sealing_text(answer) == said


def test_every_write_has_a_sentence() -> None:
    """Whoever adds a kind adds its sentence, or the person reads its name."""
    assert set(KINDS) - set(DONE) == set()
