"""Entry kind `verdict`: one of the panel says which grade the delivery deserves.

Source: docs/spec/charter.md#dispute
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from tallystick.protocol import deal_rules, disputes
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Verdict(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "verdict"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"

    deal: Bytes32
    grade: Annotated[int, msgspec.Meta(ge=0, le=200)]
    """Percent, for all that was delivered."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, STATE, TOO_EARLY, NOT_ON_PANEL, ALREADY_DONE, GRADE, tried in that
        order.
        """
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_status(deal, "disputed")
        if self.deal in act.state.draws:
            raise EntryError(Reason.TOO_EARLY, "the panel is drawn when the dispute is sealed")
        if act.author_id not in deal.panel:
            raise EntryError(Reason.NOT_ON_PANEL)
        if any(verdict.member == act.author_id for verdict in deal.verdicts):
            raise EntryError(Reason.ALREADY_DONE)
        if self.grade > deal.terms.max_grade:
            raise EntryError(Reason.GRADE, f"at most {deal.terms.max_grade}")
        disputes.add_verdict(act, self.deal, deal, self.grade)
