"""Entry kind `cash`: somebody on duty writes down what came in or went out.

It is booked at once where nobody else is on duty, and otherwise after another's receipt.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.duty import on_duty
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Code, CurrencyCode, Positive
from tallystick.protocol.records_money import Money


class Cash(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "cash"
    AFTER_SALE: ClassVar[bool] = True
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    SUSPENDED_MAY: ClassVar[bool] = False

    type: Literal["income", "expense"]
    amount: Positive
    """Minor units."""
    category: Code
    currency: CurrencyCode | None = None
    """Absent: the currency of a sale."""
    source: Bytes32 | None = msgspec.field(default=None, name="from")
    """The donation that an expense is paid from."""

    def refs(self) -> tuple[bytes, ...]:
        return () if self.source is None else (self.source,)

    def check(self) -> None:
        if self.source is not None and self.type == "income":
            raise EntryError(Reason.MALFORMED, "only an expense comes from a donation")

    def to_map(self) -> dict[str, Any]:
        body = super().to_map()
        if self.source is not None:
            body["from"] = body.pop("source")
        return dict(sorted(body.items()))

    def apply(self, act: Act) -> None:
        """Raises EntryError: MALFORMED, NOT_ON_DUTY, NOT_FOUND, NOT_ALLOWED, BALANCE, LIMIT, tried in that order."""
        row = Money(
            kind=self.type,
            author=act.author_id,
            currency=money_rules.currency_of(act, self.currency),
            amount=self.amount,
            at=act.at,
            due=None,
            word=self.category,
            source=self.source or b"",
        )
        team = on_duty(act.state, act.at)
        if act.author_id not in team:
            raise EntryError(Reason.NOT_ON_DUTY)
        if row.source:
            money_rules.check_donation(act, row, row.amount)
        if len(team) == 1:
            money_rules.confirm(act, act.cause, row)
        else:
            money_rules.state_money(act, row)
