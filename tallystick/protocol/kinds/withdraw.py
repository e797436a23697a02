"""Entry kind `withdraw`: the author takes an offer from the market while copies of it remain.

Source: docs/spec/charter.md#offer
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Withdraw(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "withdraw"
    WORK_SCOPE: ClassVar[bool] = True

    offer: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.offer,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: OFFER_CLOSED, NOT_ALLOWED, OFFER_TAKEN, tried in that order."""
        offer = act.state.offers.get(self.offer)
        if offer is None or offer.withdrawn:
            raise EntryError(Reason.OFFER_CLOSED)
        if offer.author != act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "somebody else's offer")
        if not offer.copies:
            raise EntryError(Reason.OFFER_TAKEN)
        deal_rules.put_offer(act, self.offer, msgspec.structs.replace(offer, withdrawn=True))
