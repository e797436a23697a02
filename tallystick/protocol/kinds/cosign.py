"""Entry kind `cosign`: a partner who is neither side agrees to the approval of a large deal, which is then paid.

Also to a correction that pays more on such a deal, before or after the seller does.

Source: docs/spec/charter.md#approve
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol import corrections, deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Cosign(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "cosign"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False

    deal: Bytes32
    """Or its correction."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, STATE, tried in that order; for a correction also
        what paying it can.
        """
        table = act.state.corrections
        correction_id = self.deal if self.deal in table else table.of(self.deal)
        if correction_id is not None:
            self._correction(act, correction_id)
            return
        deal = deal_rules.read_deal(act, self.deal)
        if act.author_id in (deal.seller, deal.buyer):
            raise EntryError(Reason.NOT_ALLOWED, "a side of the deal cannot cosign it")
        deal_rules.check_status(deal, "waiting")
        deal_rules.settle(act, self.deal, deal)

    def _correction(self, act: Act, correction_id: bytes) -> None:
        row = act.state.corrections[correction_id]
        if not corrections.is_of_deal(row):
            raise EntryError(Reason.NOT_FOUND, "no such deal")
        deal = deal_rules.read_closed(act, row.target)
        if act.author_id in (deal.seller, deal.buyer):
            raise EntryError(Reason.NOT_ALLOWED, "a side of the deal cannot cosign it")
        if row.cosigned or not corrections.may_need_cosign(deal, row):
            raise EntryError(Reason.STATE, "no third partner is asked, or one has cosigned")
        corrections.agree(act, correction_id, msgspec.structs.replace(row, cosigned=True))
