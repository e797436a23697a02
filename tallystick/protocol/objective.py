"""The objective: what is counted towards the scale at which a sale opens, and whether it has been reached.

Counts are kept whether or not the charter has an objective now: an amendment may bring one, and it counts everything
that ever was. Corrections are not counted.

Source: docs/spec/charter.md#objective
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol.act import INT_MAX
from tallystick.protocol.membership import is_active
from tallystick.protocol.totals import total

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter, Objective
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State

_EARNED = "earned"
_CLOSED = "closed"


def count_earned(state: State, amount: int) -> None:
    """Members have got this much: as pay, for claims, with capital, to begin with, or by referral."""
    _count(state, _EARNED, amount)


def count_award(state: State, deal: Deal, amount: int) -> None:
    """A deal has been paid `amount` more; the first payment is what makes it one that was closed with an award."""
    if amount and not deal.paid:
        _count(state, _CLOSED, 1)


def count_units(state: State, step_id: str, units: int) -> None:
    """Units of a step have been approved, for good."""
    if step_id:
        _count(state, f"units/{step_id}", units)


def measure(state: State, charter: Charter, objective: Objective, time: int) -> int:
    """How far the venture has come, in the units of the objective."""
    if objective.step is not None:
        return total(state, f"units/{objective.step}")
    match objective.metric:
        case "points-earned":
            return total(state, _EARNED)
        case "deals-closed":
            return total(state, _CLOSED)
        case "partners":
            return sum(1 for row in state.members.values() if row.standing == "partner" and is_active(row, time))
        case _:
            start = f"{charter.sale.currency}/capital/"
            return -sum(amount for path, amount in state.accounts.items() if path.startswith(start))


def is_reached(state: State, charter: Charter, time: int) -> bool:
    """Whether the objective of a charter is reached now; a charter without one has reached it."""
    objective = charter.objective
    return objective is None or measure(state, charter, objective, time) >= objective.threshold


def _count(state: State, name: str, amount: int) -> None:
    """Count up to what 63 bits hold: a tick counts too, and cannot be refused."""
    if amount:
        totals = state.totals
        totals.set(name, min(INT_MAX, totals.rows.get(name, 0) + amount))
