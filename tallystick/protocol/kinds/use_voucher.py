"""Entry kind `use.voucher`: a member takes goods that the venture owes it; whoever hands them over confirms it.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.kinds.base import Body, CurrencyCode, Positive
from tallystick.protocol.records_money import Money


class UseVoucher(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "use.voucher"
    AFTER_SALE: ClassVar[bool] = True
    DEPARTED_MAY: ClassVar[bool] = True

    amount: Positive
    """Minor units."""
    currency: CurrencyCode | None = None
    """Absent: the currency of a sale."""

    def apply(self, act: Act) -> None:
        """Raises EntryError: MALFORMED, BALANCE, tried in that order."""
        row = Money(
            kind="voucher",
            author=act.author_id,
            currency=money_rules.currency_of(act, self.currency),
            amount=self.amount,
            at=act.at,
            due=None,
        )
        # Nothing is reserved: it is checked again when it is confirmed.
        money_rules.check_voucher(act, row, row.amount)
        money_rules.state_money(act, row)
