"""Running totals that no account shows: shares of a round, vouchers used, money received.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol.act import INT_MAX
from tallystick.protocol.errors import EntryError, Reason

if TYPE_CHECKING:
    from tallystick.protocol.state import State


def total(state: State, name: str) -> int:
    """A total by its name; 0 where nothing was counted."""
    return state.totals.rows.get(name, 0)


def add_total(state: State, name: str, amount: int) -> None:
    """Count `amount`, which may be negative; the total never falls below 0.

    Raises EntryError: LIMIT beyond 63 bits.
    """
    value = total(state, name) + amount
    if not 0 <= value <= INT_MAX:
        raise EntryError(Reason.LIMIT, name)
    if value:
        state.totals.set(name, value)
    elif amount:
        state.totals.delete(name)


def shares_name(round_id: str, member_id: bytes | None = None) -> str:
    """Shares of a round that are reserved or confirmed, in all or by one member."""
    return f"shares/{round_id}" if member_id is None else f"shares/{round_id}/{member_id.hex()}"


def used_name(currency: str, member_id: bytes) -> str:
    """Goods that a member has had for vouchers, in minor units."""
    return f"voucher-used/{currency}/{member_id.hex()}"


def received_name(currency: str, member_id: bytes) -> str:
    """Money that a member says it has received, in minor units."""
    return f"received/{currency}/{member_id.hex()}"
