"""A refusal whose rule names nobody says what it has to do with whoever asks."""

from __future__ import annotations

import copy

from tallystick.node.own_part import own_part
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.receipt import Receipt
from tests.support.histories import TABLES
from tests.support.kept import kept_market


def test_offer_that_one_has_accepted_oneself() -> None:
    """The deal by its id; nothing for somebody who has no part in it."""
    kept = kept_market()
    deal = kept.accepted("bo", "cy", "roast", 1)
    body = Accept(offer=kept.view().deals[deal].offer)
    assert own_part(kept.look("cy"), body, Reason.OFFER_TAKEN) == f"you did: deal {deal.hex()[:8]}"
    assert own_part(kept.look("di"), body, Reason.OFFER_TAKEN) == ""


def test_money_that_counts_already_says_why() -> None:
    """By whose receipt; or that none was needed, as of what the only treasurer books."""
    kept = kept_market(**copy.deepcopy(TABLES))
    gift = kept.do("bo", Donate(amount=5))
    void = kept.send("bo", Receipt(entry=gift))
    receipt = kept.do("ana", Receipt(entry=gift))
    body = Receipt(entry=gift)
    for again in (True, False):
        assert own_part(kept.look("ana"), body, Reason.ALREADY_DONE) == f"by your receipt {receipt.hex()[:8]}"
        assert own_part(kept.look("bo"), body, Reason.ALREADY_DONE) == f"by receipt {receipt.hex()[:8]} of ana"
        if again:
            kept.seal()
    assert kept.outcome(void).reason == Reason.NOT_ON_DUTY
    booked = kept.do("ana", Cash(type="income", amount=5, category="sales"))
    said = own_part(kept.look("cy"), Receipt(entry=booked), Reason.ALREADY_DONE)
    assert said == "it needed no receipt: nobody else was on duty"


def test_whoever_has_left_hears_that() -> None:
    """Not that one of two has left."""
    kept = kept_market()
    kept.do("bo", Leave())
    kept.seal()
    body = Claim(contribution="post", count=1)
    assert own_part(kept.look("bo"), body, Reason.NOT_ACTIVE) == "you have left"
    assert own_part(kept.look("cy"), body, Reason.NOT_ACTIVE) == ""
    assert own_part(kept.look("bo"), body, Reason.STATE) == ""
