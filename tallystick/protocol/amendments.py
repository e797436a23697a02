"""Amendments: a charter that has been adopted waits out its grace, then it is in force.

What was earned, accepted or decided before stays as it is: lots, deals, claims and ballots carry the terms of their
day.

Source: docs/spec/charter.md#amendments
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tallystick.protocol import objective
from tallystick.protocol.act import POINT
from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.duty import follow_amendment
from tallystick.protocol.records import CharterRow
from tallystick.protocol.records_governance import Amendment
from tallystick.protocol.refounding import is_waiting

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.records_governance import Proposal
    from tallystick.protocol.state import State


def moves_currency(state: State, old: Charter, new: Charter) -> bool:
    """Whether a charter would change the currency of a sale although the book holds money."""
    return old.sale.currency != new.sale.currency and holds_money(state)


def holds_money(state: State) -> bool:
    """Whether money was ever booked: its accounts never all become empty again."""
    return any(not path.startswith((f"{POINT}/", "VOUCHER-")) for path in state.accounts)


def adopt(act: Act, proposal_id: bytes, proposal: Proposal) -> bool:
    """An amendment has passed; False where another one has come before it."""
    state = act.state
    if state.amendments or state.charter_row.digest != proposal.subject:
        return False
    if moves_currency(state, act.charter, from_bytes(proposal.charter)):
        return False
    due = act.at + act.charter.governance.grace
    state.amendments.set("", Amendment(proposal_id, proposal.charter, due))
    if due > act.at:
        act.schedule(due, "amendment.due", proposal_id)
    return True


def due_now(act: Act) -> Charter | None:
    """The charter that comes into force at the end of this block, if one does."""
    row = act.state.amendments.get("")
    # Its grace stands still while too few are back since the ledger was founded anew.
    if row is None or row.due > act.at or is_waiting(act.state):
        return None
    charter = from_bytes(row.data)
    if moves_currency(act.state, act.charter, charter):
        # Money came in while it waited, and what came in would have no currency any more.
        proposal = act.state.proposals[row.proposal]
        act.state.proposals.set(row.proposal, msgspec.structs.replace(proposal, status="failed"))
        act.state.amendments.delete("")
        return None
    return charter


def judge_objective(act: Act, charter: Charter) -> None:
    """Note whether the objective is reached. It stays so until the objective itself is another one."""
    course = act.state.course
    changed = charter.objective != act.charter.objective
    if course.reached and not changed:
        return
    reached = objective.is_reached(act.state, charter, act.at)
    if reached != course.reached:
        act.state.courses.set("", msgspec.structs.replace(course, reached=reached))


def put_in_force(act: Act, charter: Charter) -> None:
    """The next block is judged by this charter."""
    state = act.state
    old = act.charter
    state.amendments.delete("")
    state.charters.set("", CharterRow(state.charter_row.version + 1, charter.bytes, charter.hash))
    if charter.points.pool != old.points.pool:
        _change_pool(act, charter.points.pool)
    follow_amendment(act, charter.duty)
    # The founder holds every role until a vote takes it, and nobody has voted on a new one.
    founder_id = state.founding.founder
    founder = state.members.get(founder_id)
    fresh = set(charter.roles) - set(old.roles)
    if founder is not None and founder.status == "active" and fresh:
        roles = tuple(sorted({*founder.roles, *fresh}))
        state.members.set(founder_id, msgspec.structs.replace(founder, roles=roles))


def _change_pool(act: Act, ceiling: int) -> None:
    """Bring the points that exist to the new ceiling, downwards as far as the pool holds them."""
    issued = -act.state.balance(POINT, "issued")
    if ceiling > issued:
        act.post(POINT, "issued", "pool", ceiling - issued, "points.pool", f"{ceiling} - {issued} issued")
    else:
        amount = min(issued - ceiling, act.state.balance(POINT, "pool"))
        act.post(
            POINT, "pool", "issued", amount, "points.pool", f"{issued} issued - {ceiling}, as far as the pool holds"
        )
