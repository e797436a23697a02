"""Why a proposal failed: too few votes, or enough of them for something that had become impossible by then.

A decided proposal keeps its sums only. What it needed follows from the charter that was in force after the block which
sealed it, and from whether the trial was over by then; the votes themselves are in the entries.

Source: docs/spec/charter.md#governance, docs/spec/cli.md#proposals
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tallystick.node.proposal_words import proposed_charter
from tallystick.node.reads_explain_votes import votes_on
from tallystick.node.reads_ledger import charter_at
from tallystick.protocol.governance import FEW_ELECTORS, MAJOR

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.records_governance import Proposal

Fraction = tuple[int, int]


class _Needed(NamedTuple):
    """What a proposal needed."""

    fraction: Fraction
    quorum: Fraction
    heads: int
    """So many must have said yes, whatever their weight."""


def why_failed(view: View, proposal_id: bytes, row: Proposal) -> str | None:
    """In a sentence; None of a proposal that is open or has passed."""
    sealed = view.archive.sealed_row(proposal_id)
    if row.status != "failed" or sealed is None:
        return None
    charter = charter_at(view, sealed.height + 1)
    time = view.archive.block_time(sealed.height) or 0
    needed = _needed(view, charter, row, time)
    return _too_few(view, proposal_id, row, needed) or f"it had the votes, but {_impossible(view, proposal_id, row)}"


# -- votes -------------------------------------------------------------------------------------------------------------


def _needed(view: View, charter: Charter, row: Proposal, time: int) -> _Needed:
    rules = charter.governance
    course = view.preview.course
    on_trial = course.trial or any(
        other.what == "ratify" and other.status == "passed" and other.decided > time
        for other in view.preview.proposals.values()
    )
    match row.what:
        case "amend":
            fraction = rules.pass_ if on_trial else rules.amend
        case "ratify" | "rules" | "release":
            fraction = rules.amend
        case "expel" | "suspend" | "recover":
            fraction = rules.expel
        case "revoke":
            device = view.preview.devices.get(row.subject)
            fraction = rules.pass_ if device is not None and device.member == row.author else rules.expel
        case "sale":
            # Whether the objective had been reached is not kept: what is certain is the smaller of the two.
            fraction = min((rules.sale, rules.early_sale), key=lambda part: part[0] / part[1])
        case _:
            fraction = rules.pass_
    quorum = rules.quorum_major if row.what in MAJOR else rules.quorum
    # By heads the sum of all weights is the number of electors; by points a few of them may hold any sum.
    count = row.total if rules.weight != "points" else _partners_at(view, time)
    few = 1 < count <= FEW_ELECTORS
    heads = 2 if row.what in ("expel", "suspend") or (row.what in MAJOR and few) else 0
    return _Needed(fraction, quorum, heads)


def _partners_at(view: View, time: int) -> int:
    """How many partners there were, beyond probation, as far as their rows still say it."""
    return sum(
        1
        for member in view.preview.members.values()
        if member.standing == "partner"
        and member.since <= time
        and member.probation_until <= time
        and (member.status == "active" or member.departed > time)
    )


def _too_few(view: View, proposal_id: bytes, row: Proposal, needed: _Needed) -> str | None:
    """Which votes were missing; None where there were enough."""
    (part, whole), (quorum_part, quorum_whole) = needed.fraction, needed.quorum
    voted = row.yes + row.no + row.abstain
    is_enough_of_all = row.yes * whole >= part * row.total and 2 * row.yes > row.total
    if not is_enough_of_all:
        if voted * quorum_whole < quorum_part * row.total:
            return f"too few voted: {voted} of {row.total}, and {quorum_part}/{quorum_whole} had to"
        if row.yes * whole < part * (row.yes + row.no) or row.yes <= row.no:
            return f"too few said yes: {row.yes} of {row.yes + row.no}, and {part}/{whole} had to"
    if needed.heads:
        heads = sum(1 for vote in votes_on(view, proposal_id) if vote["account"] == "vote/yes")
        if heads < needed.heads:
            return f"too few said yes: {heads}, and {needed.heads} partners had to"
    return None


# -- what had become impossible ----------------------------------------------------------------------------------------

_IMPOSSIBLE: Final = {
    "dividend": "by then the till held less than that, without what was given for a purpose",
    "sale": "by then the charter had no currency for it, or it was too large to be booked",
    "expel": "by then it would have expelled the last partner",
    "suspend": "a suspension had begun less than 90 days before",
    "role": "by then the charter did not have this role, or as many held it as may",
    "rules": "by then this version of the rules, or a later one, was in force",
}


def _impossible(view: View, proposal_id: bytes, row: Proposal) -> str:
    """What stood against it when it was decided."""
    if row.what != "text" and _was_sold(view, row):
        return "by then the whole had been sold"
    if row.what == "amend":
        found = proposed_charter(view, proposal_id)
        now = view.ledger.charter.sale.currency
        if found is not None and found[1] == view.ledger.charter.hash and found[0].sale.currency != now:
            return "it would have changed sale.currency although the book holds money"
        return "by then another amendment had passed"
    return _IMPOSSIBLE.get(row.what, "by then it had become impossible")


def _was_sold(view: View, row: Proposal) -> bool:
    return any(
        other.what == "sale"
        and other.percent == 100
        and other.status == "passed"
        and (other.decided, other.number) < (row.decided, row.number)
        for other in view.preview.proposals.values()
    )
