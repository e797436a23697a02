"""Points that reach a member: one posting and one lot, whoever pays.

What the venture gives for work, deeds, money or bringing somebody in is *earned* (`pay`); what comes from another
member, or mends an earlier payment, is only *received* (`hand_over`): it counts in no objective and is no base of a
referral.

Source: docs/spec/charter.md#points
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol import lots
from tallystick.protocol.act import POINT

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.records_deal import VestingTerms


def pay(act: Act, source: str, member_id: bytes, amount: int, rule: str, formula: str) -> None:
    """Move earned points from an account to a member, as a new lot with the terms of the day.

    Raises EntryError: BALANCE, LIMIT (see `Act.post`).
    """
    act.post(POINT, source, account_of(member_id), amount, rule, formula)
    lots.earn(act, member_id, amount)


def hand_over(
    act: Act, source: str, member_id: bytes, amount: int, rule: str, formula: str, terms: VestingTerms | None = None
) -> None:
    """Move points that have been earned already; the new lot has these terms, or those of the day.

    Raises EntryError: BALANCE, LIMIT.
    """
    act.post(POINT, source, account_of(member_id), amount, rule, formula)
    lots.add(act, member_id, amount, terms)


def account_of(member_id: bytes) -> str:
    """The account of a member."""
    return f"partner/{member_id.hex()}"
