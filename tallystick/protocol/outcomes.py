"""Outcomes: proposals are opened and decided at the end of a block, and what has passed is carried out.

What passed but has become impossible ends as failed, and has changed nothing. Where the target is gone already, it
has passed without an effect.

Source: docs/spec/charter.md#governance
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.protocol import amendments, deal_rules, devices, settlement
from tallystick.protocol.departure import depart, is_last
from tallystick.protocol.errors import EntryError
from tallystick.protocol.governance import NOTICED, ballot_of, passes_at_end, passes_early, tally
from tallystick.protocol.membership import DAY_MS, is_suspended
from tallystick.protocol.records import Rules
from tallystick.protocol.records_governance import Erased
from tallystick.protocol.waits import CLOCKS_DIFFER_MS

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.records_governance import Ballot, Proposal

#: Nobody is suspended again so soon after the beginning of a suspension.
SUSPENDED_AGAIN_MS: Final = 90 * DAY_MS


def open_ballot(act: Act, proposal_id: bytes, charter: Charter) -> None:
    """Fix who decides a proposal that this block has sealed, and when it is judged; `charter` is the next block's."""
    state = act.state
    proposal = state.proposals[proposal_id]
    # Nobody shortens the time that others have by claiming an early moment.
    start = max(proposal.at, act.at - CLOCKS_DIFFER_MS)
    ballot = ballot_of(state, charter, proposal, act.at, start)
    due = [act.schedule(ballot.end, "proposal.end", proposal_id)]
    if proposal.what in NOTICED and act.at < ballot.notice < ballot.end:
        due.append(act.schedule(ballot.notice, "proposal.notice", proposal_id))
    if passes_early(proposal, ballot, act.at):
        # Its votes are in the same block. Nobody has to write anything more: the next block decides.
        due.append(act.schedule(act.at, "proposal.voted", proposal_id))
    ballot = msgspec.structs.replace(ballot, due=tuple(due))
    state.proposals.set(proposal_id, msgspec.structs.replace(proposal, ballot=ballot))


def judge(act: Act, proposal_id: bytes) -> bool:
    """Count the votes; decide the proposal if that can be done now, and say whether it was."""
    proposal = act.state.proposals[proposal_id]
    ballot = proposal.ballot
    if proposal.status != "open" or ballot is None:
        return False
    passed = passes_early(proposal, ballot, act.at)
    if act.at >= ballot.end:
        passed = passed or passes_at_end(proposal, ballot)
    elif not passed:
        return False
    for key in ballot.due:
        act.unschedule(key)
    _close(act, proposal_id, proposal, ballot, passed=passed and _carry_out(act, proposal_id, proposal))
    return True


def _close(act: Act, proposal_id: bytes, proposal: Proposal, ballot: Ballot, *, passed: bool) -> None:
    """Keep the result and let go of what led to it: the entries still have that."""
    count = tally(proposal, ballot)
    act.state.proposals.set(
        proposal_id,
        msgspec.structs.replace(
            proposal,
            status="passed" if passed else "failed",
            ballot=None,
            votes=(),
            charter=b"",
            yes=count.yes,
            no=count.no,
            abstain=count.abstain,
            total=count.total,
            decided=act.at,
        ),
    )


def _carry_out(act: Act, proposal_id: bytes, proposal: Proposal) -> bool:
    """Do what was decided, wholly or not at all; False where it has become impossible."""
    if act.state.course.sold and proposal.what != "text":
        return False
    mark = act.state.mark()
    try:
        if _effect(act, proposal_id, proposal):
            return True
    except EntryError:
        # A sum beyond 63 bits.
        act.postings.clear()
    act.state.rollback(mark)
    return False


def _effect(act: Act, proposal_id: bytes, proposal: Proposal) -> bool:
    match proposal.what:
        case "amend":
            return amendments.adopt(act, proposal_id, proposal)
        case "ratify":
            act.state.courses.set("", msgspec.structs.replace(act.state.course, trial=False))
            return True
        case "expel" | "suspend" | "reinstate" | "role":
            return _about_member(act, proposal)
        case "sale":
            return settlement.sell(act, proposal.amount, proposal.costs, proposal.percent)
        case "dividend":
            return settlement.pay_dividend(act, proposal.amount)
        case "release":
            deal = act.state.deals.get(proposal.subject)
            if deal is not None and deal.status in deal_rules.UNDECIDED:
                deal_rules.end(act, proposal.subject, deal, "cancelled", "returned: released by vote")
            return True
        case "revoke":
            devices.revoke(act.state, devices.Cut(proposal.subject, proposal.amount, proposal.last))
            return True
        case "recover":
            devices.overrule(act, proposal.subject)
            return True
        case "erase":
            act.state.erased.set(proposal.subject, Erased(proposal_id))
            return True
        case "rules":
            rules = act.state.rules[""]
            if proposal.amount <= rules.version:
                return False
            act.state.rules.set("", Rules(proposal.amount, rules.due_next, rules.sealer_next))
            return True
        case "text":
            return True


def _about_member(act: Act, proposal: Proposal) -> bool:
    """What is decided about somebody who may have departed by now."""
    state = act.state
    member = state.members[proposal.subject]
    if member.status != "active":
        return True
    match proposal.what:
        case "expel":
            if is_last(state, proposal.subject, act.at):
                return False
            depart(act, proposal.subject, good=False)
            return True
        case "suspend":
            if member.suspended_from and act.at < member.suspended_from + SUSPENDED_AGAIN_MS:
                return False
            until = act.at + act.charter.governance.suspension
            member = msgspec.structs.replace(member, suspended_from=act.at, suspended_until=until)
        case "reinstate":
            if is_suspended(member, act.at):
                member = msgspec.structs.replace(member, suspended_until=act.at)
        case _:
            role = act.charter.roles.get(proposal.role)
            if proposal.take:
                roles = tuple(each for each in member.roles if each != proposal.role)
            elif role is None:
                return False
            elif proposal.role in member.roles:
                return True
            else:
                holders = sum(1 for row in state.members.values() if proposal.role in row.roles)
                if role.max_holders and holders >= role.max_holders:
                    return False
                roles = tuple(sorted((*member.roles, proposal.role)))
            member = msgspec.structs.replace(member, roles=roles)
    state.members.set(proposal.subject, member)
    return True
