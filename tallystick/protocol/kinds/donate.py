"""Entry kind `donate`: a member gives money; what for stands in the annex.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import ClassVar

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Positive
from tallystick.protocol.records_money import Money


class Donate(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "donate"

    amount: Positive
    """Minor units of the currency that `[donation]` names."""

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_ALLOWED."""
        rules = act.charter.donation
        if rules is None:
            raise EntryError(Reason.NOT_ALLOWED, "the charter has no [donation]")
        row = Money(
            kind="donate", author=act.author_id, currency=rules.currency, amount=self.amount, at=act.at, due=None
        )
        money_rules.state_money(act, row)
