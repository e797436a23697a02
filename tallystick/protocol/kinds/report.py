"""Entry kind `report`: somebody on duty says what was in the till, for the present term or the one before.

Nothing moves. What differs from the book is shown to everybody; so is a report that is missing.

Source: docs/spec/charter.md#duty
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.duty import on_duty, term_at, term_before
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Amount, Body, CurrencyCode, Moment
from tallystick.protocol.records_money import Report as ReportRow

#: Currencies in one report. Few tills have as many drawers.
CURRENCIES_MAX = 16


class Report(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "report"
    AFTER_SALE: ClassVar[bool] = True
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"

    period: Moment
    """When the term began."""
    counted: Annotated[dict[CurrencyCode, Amount], msgspec.Meta(max_length=CURRENCIES_MAX)]
    """Minor units that were there, by currency; empty in a ledger without money."""

    def to_map(self) -> dict[str, Any]:
        return super().to_map() | {"counted": dict(sorted(self.counted.items()))}

    def apply(self, act: Act) -> None:
        """Raises EntryError: TOO_EARLY, TOO_LATE, NOT_ON_DUTY, ALREADY_DONE, tried in that order."""
        state = act.state
        now, before = term_at(state, act.at), term_before(state, act.at)
        if self.period > now.start:
            raise EntryError(Reason.TOO_EARLY, "this term has not begun")
        if self.period == now.start:
            team = now.team | on_duty(state, act.at)
        elif before is not None and self.period == before.start:
            team = before.team
        else:
            raise EntryError(Reason.TOO_LATE, "not the present term, nor the one before")
        if act.author_id not in team:
            raise EntryError(Reason.NOT_ON_DUTY)
        key = (self.period, act.author_id)
        if key in state.reports:
            raise EntryError(Reason.ALREADY_DONE)
        counted = tuple(
            (currency, amount, state.balance(currency, "cash")) for currency, amount in sorted(self.counted.items())
        )
        state.reports.set(key, ReportRow(act.at, counted))
