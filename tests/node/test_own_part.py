"""A refusal whose rule names nobody says what it has to do with whoever asks."""

from __future__ import annotations

from tallystick.node.desk import own_part
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.leave import Leave
from tests.support.kept import kept_market


def test_offer_that_one_has_accepted_oneself() -> None:
    """The deal by its id; nothing for somebody who has no part in it."""
    kept = kept_market()
    deal = kept.accepted("bo", "cy", "roast", 1)
    body = Accept(offer=kept.view().deals[deal].offer)
    assert own_part(kept.look("cy"), body, Reason.OFFER_TAKEN) == f"you did: deal {deal.hex()[:8]}"
    assert own_part(kept.look("di"), body, Reason.OFFER_TAKEN) == ""


def test_whoever_has_left_hears_that() -> None:
    """Not that one of two has left."""
    kept = kept_market()
    kept.do("bo", Leave())
    kept.seal()
    body = Claim(contribution="post", count=1)
    assert own_part(kept.look("bo"), body, Reason.NOT_ACTIVE) == "you have left"
    assert own_part(kept.look("cy"), body, Reason.NOT_ACTIVE) == ""
    assert own_part(kept.look("bo"), body, Reason.STATE) == ""
