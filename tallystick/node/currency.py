"""Amounts as people write them: 1250 of a currency with cents are 12.50.

The ledger, JSON and what is typed know whole minor units only; every text for people comes from here.

Source: docs/spec/cli.md#money
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

POINT: Final = "POINT"
#: What the weights of votes are counted in, where they are explained.
VOTE: Final = "VOTE"
VOUCHER: Final = "VOUCHER-"
#: Digits after the point, by currency; all others have two (ISO 4217).
_DIGITS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF").split(), 0),
    **dict.fromkeys(("BHD IQD JOD KWD LYD OMR TND").split(), 3),
}


def digits_of(currency: str) -> int:
    """How many digits a currency has after the point."""
    return _DIGITS.get(currency, 2)


def amount_text(amount: int, commodity: str) -> str:
    """An amount in the unit that people write; points are whole, goods are counted in their currency."""
    digits = 0 if commodity in (POINT, VOTE) else digits_of(commodity.removeprefix(VOUCHER))
    if not digits:
        return str(amount)
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{digits}d}"


def money_text(amount: int, commodity: str) -> str:
    """The same with what it is: `12.50 CNY`, `1 point`."""
    if commodity == POINT:
        return f"{amount} {'point' if amount == 1 else 'points'}"
    return f"{amount_text(amount, commodity)} {commodity}"
