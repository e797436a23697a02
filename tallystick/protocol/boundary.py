"""The end of a block: removals, outcomes and changes of who seals, in one fixed order.

(1) device freezes and revocations, (2) leaves, (3) outcomes of proposals, (4) electorates of the proposals that this
block has sealed, (5) sealer changes, (6) a new charter, then rows that have faded.

Source: docs/spec/charter.md#boundary
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from tallystick.protocol import amendments, devices
from tallystick.protocol import outcomes as outcomes_of_votes
from tallystick.protocol.act import Act, Context, Posting
from tallystick.protocol.departure import depart
from tallystick.protocol.sealers import change_sealers
from tallystick.protocol.waits import begin_probation, begin_waits

if TYPE_CHECKING:
    from tallystick.protocol.state import State


class Outcome(NamedTuple):
    """Something that took effect at the end of a block, and what it moved."""

    what: str
    ref: bytes
    postings: tuple[Posting, ...]


def run_boundary(state: State, context: Context, authors: AbstractSet[bytes], stale_ms: int) -> list[Outcome]:
    """Close the block. `authors` are the members with an entry in it, void or not."""
    asked = [state.boundary[number] for number in range(len(state.boundary))]
    for number in range(len(asked)):
        state.boundary.delete(number)
    outcomes: list[Outcome] = []
    # First of all: what follows may end a deal that waits.
    act = Act(state, context, context.time, context.ledger)
    begin_waits(act)
    for what, ref in asked:
        if what == "admit":
            begin_probation(act, ref)
    devices.take_effect(state, asked)
    devices.note_readers(Act(state, context, context.time, context.ledger))
    for what, ref in asked:
        if what == "recover":
            devices.recover(Act(state, context, context.time, ref), ref)
    for what, ref in asked:
        if what == "leave":
            act = Act(state, context, context.time, ref)
            depart(act, ref, good=True)
            outcomes.append(Outcome(what, ref, tuple(act.postings)))
    for ref in _in_order(state, asked, "judge"):
        act = Act(state, context, context.time, ref)
        if outcomes_of_votes.judge(act, ref):
            proposal = state.proposals[ref]
            outcomes.append(Outcome(f"{proposal.status}.{proposal.what}", ref, tuple(act.postings)))
    act = Act(state, context, context.time, context.ledger)
    waiting = state.amendments.get("")
    charter = amendments.due_now(act)
    amendments.judge_objective(act, charter or context.charter)
    for ref in _in_order(state, asked, "propose"):
        outcomes_of_votes.open_ballot(act, ref, charter or context.charter)
    change_sealers(act, authors)
    if charter is not None and waiting is not None:
        act = Act(state, context, context.time, waiting.proposal)
        amendments.put_in_force(act, charter)
        outcomes.append(Outcome("amend", waiting.proposal, tuple(act.postings)))
    fade(act, stale_ms)
    return outcomes


def _in_order(state: State, asked: list[tuple[str, bytes]], what: str) -> list[bytes]:
    """Proposals for which something was asked, each once, in the order of their entries."""
    found = {ref for each, ref in asked if each == what}
    return sorted(found, key=lambda ref: state.proposals[ref].number)


def fade(act: Act, stale_ms: int) -> None:
    """Drop rows that no entry can be dated back into any more."""
    state = act.state
    for table in (state.offers, state.counts):
        while table.order and table.order[0][0] + stale_ms < act.context.time:
            table.delete(table.order[0][1])  # type: ignore[arg-type]
