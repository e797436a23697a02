"""Entry kind `receipt`: somebody on duty confirms that money, or goods for a voucher, have changed hands.

Source: docs/spec/charter.md#confirmations
"""

from __future__ import annotations

from typing import ClassVar, Literal

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.duty import check_confirmer
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32


class Receipt(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "receipt"
    AFTER_SALE: ClassVar[bool] = True
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    SUSPENDED_MAY: ClassVar[bool] = False

    entry: Bytes32
    """A `subscribe`, `donate`, `cash` or `use.voucher`."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.entry,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, ALREADY_DONE, NOT_ON_DUTY, ALONE, POOL_EMPTY, BALANCE, LIMIT, tried in that
        order.
        """
        row = money_rules.read_money(act, self.entry)
        if row.due is None:
            raise EntryError(Reason.ALREADY_DONE)
        check_confirmer(act, row.author)
        money_rules.confirm(act, self.entry, row)
