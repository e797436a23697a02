"""Entry kind `correct`: somebody says that a decision or a statement of theirs should have been another.

For a deal the buyer of it: units and grade of the approval. For money whoever stated it: the amount. It takes effect
when it is confirmed.

Source: docs/spec/charter.md#corrections
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tallystick.protocol import corrections, deal_rules, money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Amount, Body, Bytes32, Units
from tallystick.protocol.records_money import Correction


class Correct(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "correct"

    entry: Bytes32
    """What is corrected: an approval (the deal itself where silence approved it), or what was stated about money."""
    deal: Bytes32 | None = None
    """The deal of the approval; absent for money."""
    units: Units | None = None
    """Absent: as many as were approved."""
    grade: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    """Percent. Absent: as it was."""
    amount: Amount | None = None
    """Minor units, for money only."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.entry,) if self.deal in (None, self.entry) else (self.entry, self.deal or b"")

    def check(self) -> None:
        of_deal = self.units is not None or self.grade is not None
        if of_deal is not (self.deal is not None) or of_deal is (self.amount is not None):
            raise EntryError(Reason.MALFORMED, "of a deal: deal, and units or grade; of money: amount")

    def apply(self, act: Act) -> None:
        """Raises EntryError: STATE, NOT_FOUND, NOT_ALLOWED, UNITS, GRADE, ALREADY_DONE, tried in that order; of money
        NOT_FOUND, NOT_ALLOWED, STATE, ALREADY_DONE.
        """
        row = self._of_money(act) if self.deal is None else self._of_deal(act, self.deal)
        corrections.open_correction(act, row)

    def _of_deal(self, act: Act, deal_id: bytes) -> Correction:
        """Raises EntryError: STATE, NOT_FOUND, NOT_ALLOWED, UNITS, GRADE, tried in that order."""
        deal = deal_rules.read_closed(act, deal_id)
        deal_rules.check_status(deal, "approved")
        if not deal.approval or self.entry not in (deal.approval, deal_id):
            raise EntryError(Reason.NOT_FOUND, "this did not approve the deal")
        if act.author_id != deal.buyer:
            raise EntryError(Reason.NOT_ALLOWED, "only the buyer can do this")
        units = deal.approved if self.units is None else self.units
        if units > deal.delivered:
            raise EntryError(Reason.UNITS, f"{deal.delivered} were delivered")
        grade = deal.grade if self.grade is None else self.grade
        if grade > deal.terms.max_grade:
            raise EntryError(Reason.GRADE, f"at most {deal.terms.max_grade}")
        return Correction(target=deal_id, author=act.author_id, due=None, units=units, grade=grade)

    def _of_money(self, act: Act) -> Correction:
        """Raises EntryError: NOT_FOUND, NOT_ALLOWED, STATE, tried in that order."""
        row = money_rules.read_money(act, self.entry)
        if row.author != act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "only who stated it can do this")
        if row.kind == "subscribe":
            raise EntryError(Reason.NOT_ALLOWED, "a subscription is not corrected")
        if row.due is not None:
            raise EntryError(Reason.STATE, "nobody has confirmed it yet")
        return Correction(target=self.entry, author=act.author_id, due=None, amount=self.amount or 0)
