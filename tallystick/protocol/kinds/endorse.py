"""Entry kind `endorse`: a partner finds an offer good. The pool pays for an open offer only when enough of them do.

Source: docs/spec/charter.md#offer
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.membership import is_active


class Endorse(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "endorse"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False

    offer: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.offer,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: OFFER_CLOSED, OWN_OFFER, OFFER_TAKEN, TOO_LATE, DEADLINE, NOT_ACTIVE, ALREADY_DONE,
        tried in that order.
        """
        offer = act.state.offers.get(self.offer)
        if offer is None or offer.withdrawn:
            raise EntryError(Reason.OFFER_CLOSED)
        if offer.author == act.author_id:
            raise EntryError(Reason.OWN_OFFER)
        if not offer.copies:
            raise EntryError(Reason.OFFER_TAKEN)
        if act.at > offer.expires:
            raise EntryError(Reason.TOO_LATE, "the offer has expired")
        if offer.deadline and act.at > offer.deadline:
            raise EntryError(Reason.DEADLINE, "it is over")
        if not is_active(act.state.members[offer.author], act.at):
            raise EntryError(Reason.NOT_ACTIVE, "whoever offers")
        if act.author_id in offer.endorsed:
            raise EntryError(Reason.ALREADY_DONE)
        act.state.offers.set(self.offer, msgspec.structs.replace(offer, endorsed=(*offer.endorsed, act.author_id)))
