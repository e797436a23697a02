"""What happens to claims: they are paid when enough others have confirmed them, or they lapse.

Source: docs/spec/charter.md#claims
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tallystick.protocol import budget, deal_rules
from tallystick.protocol.act import POINT
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS
from tallystick.protocol.pay import pay

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.records_money import Claim

#: A claim that nobody confirms lapses after so long.
LAPSE_MS: Final = 30 * DAY_MS


def pay_claim(act: Act, claim: Claim) -> None:
    """Pay a claim from the pool, counted in the period of the payment.

    Raises EntryError: ALONE, POOL_EMPTY, BUDGET_EXHAUSTED, tried in that order.
    """
    amount = claim.count * claim.points
    if amount and not act.state.course.met:
        raise EntryError(Reason.ALONE, "nothing is paid before a second partner has joined")
    if act.state.balance(POINT, "pool") < amount:
        raise EntryError(Reason.POOL_EMPTY)
    rule = f"contribution.{claim.contribution}"
    if claim.budget and budget.counted(act, rule, claim.period) + amount > claim.budget:
        raise EntryError(Reason.BUDGET_EXHAUSTED, f"{rule}.budget")
    budget.count(act, rule, claim.period, amount)
    pay(act, "pool", claim.author, amount, f"{rule}.points", f"{claim.count} x {claim.points} = {amount}")
    deal_rules.refer(act, claim.author, amount)


def drop(act: Act, claim_id: bytes) -> None:
    """The claim waits no more. What was claimed still counts against the cap."""
    act.unschedule(act.state.claims[claim_id].due)
    act.state.claims.delete(claim_id)


def lapse_all(act: Act, member_id: bytes) -> None:
    """A member has departed."""
    for claim_id in sorted(claim_id for claim_id, claim in act.state.claims.items() if claim.author == member_id):
        drop(act, claim_id)


TICKS: Final[Mapping[str, TickRule]] = {"claim.lapse": drop}
