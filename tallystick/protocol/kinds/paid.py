"""Entry kinds `paid` and `received`: money that the venture owes a member has been handed over, and has arrived.

Source: docs/spec/charter.md#settlement
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.duty import check_confirmer
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, CurrencyCode, Positive
from tallystick.protocol.membership import other_member
from tallystick.protocol.records_money import Money
from tallystick.protocol.totals import add_total, received_name, total


class Paid(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "paid"
    AFTER_SALE: ClassVar[bool] = True
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    SUSPENDED_MAY: ClassVar[bool] = False

    partner: Bytes32
    """Who was paid."""
    amount: Positive
    """Minor units."""
    currency: CurrencyCode | None = None
    """Absent: the currency of a sale."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.partner,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: MALFORMED, NOT_A_MEMBER, NOT_ON_DUTY, BALANCE, tried in that order."""
        currency = money_rules.currency_of(act, self.currency)
        other_member(act.state, self.partner)
        check_confirmer(act, self.partner)
        row = Money(
            kind="paid",
            author=act.author_id,
            currency=currency,
            amount=self.amount,
            at=act.at,
            due=None,
            partner=self.partner,
        )
        owed = act.state.balance(currency, f"payable/{self.partner.hex()}")
        if self.amount > owed:
            raise EntryError(Reason.BALANCE, f"{owed} are owed")
        money_rules.confirm(act, act.cause, row)


class Received(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "received"
    AFTER_SALE: ClassVar[bool] = True
    DEPARTED_MAY: ClassVar[bool] = True

    amount: Positive
    """Minor units."""
    currency: CurrencyCode | None = None
    """Absent: the currency of a sale."""

    def apply(self, act: Act) -> None:
        """Raises EntryError: MALFORMED, BALANCE, tried in that order."""
        currency = money_rules.currency_of(act, self.currency)
        name = received_name(currency, act.author_id)
        paid = act.state.balance(currency, f"paid/{act.author_id.hex()}")
        if total(act.state, name) + self.amount > paid:
            raise EntryError(Reason.BALANCE, f"{paid} were paid")
        add_total(act.state, name, self.amount)
