"""Budgets and pair caps: how much the pool has committed in one period, per rule and per pair of partners.

A counter belongs to a rule, the length of its period and the index of the period, so that an amendment which changes
the length starts a new row of counters. Counters are kept whether or not there is a cap now: an amendment may bring
one in the middle of a period.

Source: docs/spec/charter.md#deals
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol.act import POINT
from tallystick.protocol.charter import Open
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.records import Count

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.charter import Step


def period_index(act: Act, length: int, at: int) -> int:
    """Number of the period of this length (ms) that holds the moment `at`; the first, 0, begins at the founding."""
    return (at - act.state.founding.time) // length


def counted(act: Act, rule: str, length: int, who: str = "") -> int:
    """What has been counted under a rule in the present period."""
    row = act.state.counts.get((f"{rule}.{length}", period_index(act, length, act.at), who))
    return 0 if row is None else row.value


def count(act: Act, rule: str, length: int, amount: int, *who: str) -> None:
    """Count `amount` (negative: take it back) in the present period: in all, or for each of these names."""
    if not amount:
        return
    counts, name = act.state.counts, f"{rule}.{length}"
    index, until = _period(act, length)
    for each in who or ("",):
        key = (name, index, each)
        row = counts.get(key)
        value = amount if row is None else row.value + amount
        if value:
            counts.set(key, Count(value, until))
        else:
            counts.delete(key)


def pair_of(one: bytes, other: bytes) -> str:
    """The name of two members together, whichever of them sells."""
    return f"{one.hex()}-{other.hex()}" if one <= other else f"{other.hex()}-{one.hex()}"


def commit_of_pool(act: Act, rules: Step | Open, pair: str, amount: int) -> None:
    """Let the pool commit `amount` more for a deal of this step, or of none, now: in all and between the two.

    Raises EntryError: POOL_EMPTY, BUDGET_EXHAUSTED, PAIR_CAP, tried in that order.
    """
    if act.state.balance(POINT, "pool") < amount:
        raise EntryError(Reason.POOL_EMPTY)
    step_id = "" if isinstance(rules, Open) else rules.id
    rule = rule_of(step_id)
    counts, name = act.state.counts, f"{rule}.{rules.period}"
    index, until = _period(act, rules.period)
    in_all = _and_more(counts.rows.get((name, index, "")), amount, until)
    if in_all.value > rules.budget:
        raise EntryError(Reason.BUDGET_EXHAUSTED, f"{rule}.budget")
    between = None
    if not isinstance(rules, Open):
        between = _and_more(counts.rows.get((name, index, pair)), amount, until)
        if rules.pair_cap and between.value > rules.pair_cap:
            raise EntryError(Reason.PAIR_CAP, f"{rule}.pair-cap")
    if not amount:
        return
    counts.set((name, index, ""), in_all)
    if between is not None:
        counts.set((name, index, pair), between)


def _period(act: Act, length: int) -> tuple[int, int]:
    """Number of the present period of this length (ms), and when it ends."""
    index = period_index(act, length, act.at)
    return index, act.state.founding.time + (index + 1) * length


def _and_more(row: Count | None, amount: int, until: int) -> Count:
    return Count(amount if row is None else row.value + amount, until)


def uncommit(act: Act, step_id: str, length: int, pair: str, amount: int) -> None:
    """What returned to the pool is no longer committed, in all and between the two."""
    if step_id:
        count(act, rule_of(step_id), length, -amount, "", pair)
    else:
        count(act, rule_of(step_id), length, -amount)


def rule_of(step_id: str) -> str:
    """The path in the charter of a step, or of deals that no step describes."""
    return f"step.{step_id}" if step_id else "open"
