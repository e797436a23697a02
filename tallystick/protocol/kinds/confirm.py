"""Entry kind `confirm`: a correction is agreed to, by the seller of the deal or, for money, as a receipt is given.

Source: docs/spec/charter.md#corrections
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tallystick.protocol import corrections, deal_rules, money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.duty import check_confirmer
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Confirm(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "confirm"

    entry: Bytes32
    """The correction."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.entry,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, NOT_ALLOWED, ALREADY_DONE, TERMS_CHANGED, POOL_EMPTY, BUDGET_EXHAUSTED,
        PAIR_CAP, BALANCE, LIMIT, tried in that order; of money NOT_FOUND, NOT_ON_DUTY, BALANCE, LIMIT.
        """
        row = corrections.read_correction(act, self.entry)
        if not corrections.is_of_deal(row):
            check_confirmer(act, row.author)
            corrections.drop(act, self.entry)
            corrections.correct_money(act, row.target, money_rules.read_money(act, row.target), row.amount)
            return
        if act.author_id != deal_rules.read_closed(act, row.target).seller:
            raise EntryError(Reason.NOT_ALLOWED, "only the seller can do this")
        if row.confirmed:
            raise EntryError(Reason.ALREADY_DONE, "a third partner has still to cosign it")
        corrections.agree(act, self.entry, msgspec.structs.replace(row, confirmed=True))
