"""Votes: who decides a proposal, what it needs, and whether it has it.

Electors, weights, fractions and times are fixed at the end of the block that seals a proposal; everything after that
is counting.

Source: docs/spec/charter.md#governance
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tallystick.protocol.act import POINT
from tallystick.protocol.records_governance import Ballot, Choice, Elector, Proposal, Vote

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.records import Member
    from tallystick.protocol.state import State

#: Kinds that need the larger quorum.
MAJOR: Final = frozenset(("amend", "expel", "suspend", "sale", "ratify", "rules", "release"))
#: Kinds that are not decided before there was time to hear of them.
NOTICED: Final = frozenset(("amend", "expel", "suspend", "sale", "ratify", "rules"))
#: Kinds about a member who does not vote on them.
IN_OWN_CASE: Final = frozenset(("expel", "suspend", "reinstate"))
#: In so few electors, one vote would be enough for too much.
FEW_ELECTORS: Final = 3


class Tally(NamedTuple):
    """What the votes add up to, by weight; `voters_yes` are heads."""

    yes: int
    no: int
    abstain: int
    total: int
    voters_yes: int
    others_all_yes: bool
    """Everybody but the proposer has said yes."""


def is_elector(proposal: Proposal, member_id: bytes, member: Member, time: int) -> bool:
    """Whether a member decides a proposal that is sealed at `time`. Who is suspended does, but not in its own case."""
    return (
        member.standing == "partner"
        and member.status == "active"
        and member.probation_until <= time
        and not (proposal.what in IN_OWN_CASE and member_id == proposal.subject)
    )


def electors_of(state: State, charter: Charter, proposal: Proposal, time: int) -> tuple[Elector, ...]:
    """Everybody who decides it, with one vote each or as many as they hold points."""
    members = sorted(key for key, row in state.members.items() if is_elector(proposal, key, row, time))
    if charter.governance.weight == "points":
        held = [state.balance(POINT, f"partner/{member_id.hex()}") for member_id in members]
        if any(held):
            return tuple(map(Elector, members, held))
    return tuple(Elector(member_id, 1) for member_id in members)


def fraction_of(state: State, charter: Charter, proposal: Proposal) -> tuple[int, int]:
    """The part of the votes that a proposal needs."""
    rules = charter.governance
    match proposal.what:
        case "amend":
            return rules.pass_ if state.course.trial else rules.amend
        case "ratify" | "rules" | "release":
            return rules.amend
        case "expel" | "suspend" | "recover":
            return rules.expel
        case "revoke":
            device = state.devices.get(proposal.subject)
            own = device is not None and device.member == proposal.author
            return rules.pass_ if own else rules.expel
        case "sale":
            return rules.sale if state.course.reached else rules.early_sale
        case _:
            return rules.pass_


def ballot_of(state: State, charter: Charter, proposal: Proposal, time: int, start: int) -> Ballot:
    """What is fixed at the end of the block that seals a proposal, under the charter in force from then on.

    `time` is that of the block, `start` the moment from which notice and period count (ms).
    """
    rules = charter.governance
    return Ballot(
        electors=electors_of(state, charter, proposal, time),
        fraction=fraction_of(state, charter, proposal),
        quorum=rules.quorum_major if proposal.what in MAJOR else rules.quorum,
        notice=start + rules.notice if proposal.what in NOTICED else start,
        end=start + rules.period,
    )


def with_vote(proposal: Proposal, member_id: bytes, choice: Choice) -> Proposal:
    """The proposal with the latest word of one member."""
    votes = [vote for vote in proposal.votes if vote.member != member_id]
    votes.append(Vote(member_id, choice))
    votes.sort(key=lambda vote: vote.member)
    return msgspec.structs.replace(proposal, votes=tuple(votes))


def tally(proposal: Proposal, ballot: Ballot) -> Tally:
    """Count the votes of electors. Votes of others, cast before the electors were fixed, count nothing."""
    choices = {vote.member: vote.choice for vote in proposal.votes}
    weights = {"yes": 0, "no": 0, "abstain": 0}
    total = voters_yes = 0
    others_all_yes = True
    for elector in ballot.electors:
        total += elector.weight
        choice = choices.get(elector.member)
        if choice is not None:
            weights[choice] += elector.weight
        if choice == "yes":
            voters_yes += 1
        elif elector.member != proposal.author:
            others_all_yes = False
    return Tally(weights["yes"], weights["no"], weights["abstain"], total, voters_yes, others_all_yes)


def yes_least(proposal: Proposal, ballot: Ballot) -> int:
    """How many heads must say yes, whatever their weight."""
    if proposal.what in ("expel", "suspend"):
        return 2
    return 2 if proposal.what in MAJOR and 1 < len(ballot.electors) <= FEW_ELECTORS else 0


def passes_early(proposal: Proposal, ballot: Ballot, time: int) -> bool:
    """Whether no vote that is still open could matter, and there was time to hear of it."""
    count = tally(proposal, ballot)
    numerator, denominator = ballot.fraction
    return (
        count.yes * denominator >= numerator * count.total
        and 2 * count.yes > count.total
        and count.voters_yes >= yes_least(proposal, ballot)
        and (time >= ballot.notice or count.others_all_yes)
    )


def passes_at_end(proposal: Proposal, ballot: Ballot) -> bool:
    """Whether enough have voted, and enough of them for it."""
    count = tally(proposal, ballot)
    numerator, denominator = ballot.fraction
    quorum_part, quorum_whole = ballot.quorum
    return (
        (count.yes + count.no + count.abstain) * quorum_whole >= quorum_part * count.total
        and count.yes * denominator >= numerator * (count.yes + count.no)
        and count.yes > count.no
        and count.voters_yes >= yes_least(proposal, ballot)
    )
