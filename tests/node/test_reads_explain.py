"""Every point can be explained: the postings of an account add up to what it holds, whatever has happened."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.cli.render_explain import explain as render_explain
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.reads import READS
from tallystick.node.resolve import UnresolvedError
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.membership import DAY_MS
from tests.support.kept import Kept, kept_market

NAMES = ("ana", "bo", "cy")
STEPS = st.sampled_from(("roast", "bake", "print", "sing", "copy", "tune"))
DEALS = st.tuples(
    STEPS,
    st.sampled_from(((0, 1), (1, 2), (2, 0))),
    st.integers(1, 5),
    st.sampled_from(("approve", "reject", "cancel", "silence", "nothing")),
    st.integers(1, 150),
    st.booleans(),
)


def explain(kept: Kept, what: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = READS["explain"](kept.look(), {"id": what})
    return rows


def play(kept: Kept, deal: tuple[str, tuple[int, int], int, str, int, bool]) -> bytes:
    """One deal, as far as the rules let it come; whatever they refuse is void and belongs to the history."""
    step, sides, units, end, grade, seals = deal
    seller, buyer = (NAMES[side] for side in sides)
    deal_id = kept.send(buyer, Accept(offer=kept.send(seller, kept.offer(step, units))))
    if end != "nothing":
        kept.send(seller, Deliver(deal=deal_id, units=units))
    if end == "approve":
        kept.send(buyer, Approve(deal=deal_id, units=max(1, units // 2), grade=grade))
    elif end == "reject":
        kept.send(buyer, Reject(deal=deal_id))
    elif end == "cancel":
        kept.send(buyer, Cancel(deal=deal_id))
        kept.send(seller, Cancel(deal=deal_id))
    elif end == "silence":
        kept.wait(8 * DAY_MS)
    if seals:
        kept.seal()
    return deal_id


@settings(max_examples=25)
@given(st.lists(DEALS, max_size=8))
def test_explanations_sum_to_balances(history: list[Any]) -> None:
    """For every partner to its points, for every deal to what is left in its escrow, and for both in their sealed
    state: what is pending has moved nothing yet.
    """
    kept = kept_market(*NAMES[1:])
    deals = [play(kept, deal) for deal in history]
    rows = READS["points"](kept.look(), {})["rows"]
    for row in rows:
        lines = explain(kept, row["partner"])
        assert sum(line["amount"] for line in lines) == row["points"]
        assert all(line["account"] == f"partner/{row['partner']}" for line in lines)
    for deal_id in deals:
        sealed = kept.archive.sealed_row(deal_id)
        if sealed is not None and not sealed.reason:
            left = kept.ledger.state.balance("POINT", f"escrow/{deal_id.hex()}")
            assert sum(line["amount"] for line in explain(kept, deal_id.hex())) == left


@pytest.fixture(scope="module")
def done() -> Kept:
    """One deal that was paid in full by the pool, and one by the buyer that was approved in part."""
    kept = kept_market()
    paid = kept.delivered("bo", "cy", "roast", 3)
    kept.do("cy", Approve(deal=paid))
    part = kept.delivered("di", "ana", "bake", 4)
    kept.do("ana", Approve(deal=part, units=3))
    kept.seal()
    kept.marks = {"paid": paid, "part": part}
    return kept


def test_a_partner_is_explained_line_by_line(done: Kept) -> None:
    """Each line has its rule, its arithmetic, its cause and its block."""
    start, pay = explain(done, "bo")
    assert (start["amount"], start["rule"], start["what"], start["block"]) == (100, "points.start", "admit", 2)
    deal = done.marks["paid"]
    assert {key: pay[key] for key in pay if key not in ("when", "entry")} == {
        "amount": 36,
        "commodity": "POINT",
        "account": f"partner/{done.people['bo'].member.hex()}",
        "counter_account": f"escrow/{deal.hex()}",
        "rule": "step.roast.price",
        "charter": 1,
        "formula": "3 x 12 x 100% = 36",
        "block": 3,
        "what": "approve",
        "counter_name": None,
        "posting": pay["posting"],
        "about": {
            "deal": deal.hex(),
            "step": "roast",
            "seller": done.people["bo"].member.hex(),
            "seller_name": "bo",
            "buyer": done.people["cy"].member.hex(),
            "buyer_name": "cy",
            "status": "approved",
            "open": False,
            "corrected": None,
        },
    }


def test_a_posting_is_explained_by_its_own_name(done: Kept) -> None:
    """Height, place and number, as every line gives them."""
    for line in explain(done, "bo"):
        (same,) = explain(done, line["posting"])
        assert same["amount"] == line["amount"]
        assert same["formula"] == line["formula"]


def test_what_is_counted_in_nothing_is_refused(done: Kept) -> None:
    """Small letters are forgiven; an answer without rows would say that nothing has moved."""
    assert READS["explain"](done.look(), {"id": "bo", "commodity": "point"}) == explain(done, "bo")
    assert READS["explain"](done.look(), {"id": "bo", "commodity": "VOUCHER-EUR"}) == []
    for wrong in ("points", "bean", "EURO", "voucher", ""):
        with pytest.raises(NodeError) as caught:
            READS["explain"](done.look(), {"id": "bo", "commodity": wrong})
        assert caught.value.exit_code == ExitCode.USAGE


def test_a_deal_is_explained_by_its_escrow(done: Kept) -> None:
    """What came in, what went to the seller; what is held back is still there."""
    lines = explain(done, done.marks["part"].hex()[:8])
    assert [line["amount"] for line in lines] == [40, -30]
    assert [line["what"] for line in lines] == ["accept", "approve"]
    assert lines[0]["counter_account"] == f"partner/{done.people['ana'].member.hex()}"
    assert [line["counter_name"] for line in lines] == ["ana", "di"]


def test_a_deal_that_was_corrected_says_to_what() -> None:
    """What goes back moves between the two, and not in the escrow that explains the deal."""
    kept = kept_market()
    deal = kept.delivered("bo", "cy", "roast", 3)
    approval = kept.do("cy", Approve(deal=deal))
    kept.seal()
    correction = kept.do("cy", Correct(entry=approval, deal=deal, units=2))
    assert [line["about"]["corrected"] for line in explain(kept, deal.hex())] == [None, None]
    kept.do("bo", Confirm(entry=correction))
    kept.seal()
    lines = explain(kept, deal.hex())
    assert [(line["amount"], line["about"]["corrected"]) for line in lines] == [(36, 24), (-36, 24)]
    assert [line["amount"] for line in explain(kept, "bo")] == [100, 36, -12]
    text = render_explain(lines, kept.now).split("\n")
    assert [" · corrected since, to 24 · " in line for line in text] == [False, True, False]
    own = render_explain(explain(kept, "bo"), kept.now).split("\n")
    assert [" · corrected since, to 24 · " in line for line in own] == [False, True, False, False]


def test_an_entry_is_explained_by_what_it_moved(done: Kept) -> None:
    """Also one that is no deal, and one that moved nothing."""
    approval = explain(done, "bo")[1]["entry"]
    (line,) = explain(done, approval[:12])
    assert (line["amount"], line["account"]) == (36, f"partner/{done.people['bo'].member.hex()}")
    offer = next(entry for entry in done.sent if entry.kind == "offer")
    assert explain(done, offer.id.hex()) == []


def test_what_silence_moved_is_explained_by_its_deal() -> None:
    """A tick has no entry: the deal is its cause."""
    kept = kept_market()
    deal = kept.delivered("bo", "cy", "roast", 1)
    kept.seal()
    kept.wait(8 * DAY_MS)
    kept.seal()
    line = explain(kept, "bo")[-1]
    assert (line["what"], line["entry"], line["about"]["deal"]) == ("deal.unreviewed", deal.hex(), deal.hex())


def test_a_pending_entry_says_what_it_would_move() -> None:
    """Its lines have no block yet."""
    kept = kept_market()
    deal = kept.accepted("bo", "ana", "bake", 2)
    (line,) = explain(kept, deal.hex())
    assert (line["amount"], line["block"], line["posting"], line["charter"]) == (20, None, None, 1)
    assert sum(row["amount"] for row in explain(kept, "ana")) == 100


@pytest.mark.parametrize("what", ["nobody", "ffffffff", "9.9.9", "3.0.99", "99999999999999.0.0", "1.2"])
def test_what_is_not_there_cannot_be_explained(done: Kept, what: str) -> None:
    """Neither a member, nor an entry, nor a posting: not found."""
    with pytest.raises(UnresolvedError) as caught:
        explain(done, what)
    assert (caught.value.reason, caught.value.exit_code) == ("not-found", ExitCode.NOT_FOUND)


def test_the_partner_comes_before_its_join(done: Kept) -> None:
    """A member has the id of its join: whoever asks by it wants to know about the points."""
    member = done.people["bo"].member.hex()
    assert explain(done, member[:10]) == explain(done, "bo")
