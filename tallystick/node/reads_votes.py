"""Proposals and how the vote on them stands.

Source: docs/spec/cli.md#proposals
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.node.proposal_fate import why_failed
from tallystick.node.proposal_words import proposed, text_of

if TYPE_CHECKING:
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View
    from tallystick.protocol.records_governance import Proposal


def proposals(view: View, args: ReadArgs) -> list[dict[str, Any]]:
    """`proposals{}`: all that the state keeps, in the order in which they were made."""
    sealed = view.sealed
    rows = sorted(view.preview.proposals.items(), key=lambda item: (item[1].number, item[0]))
    return [
        proposal_row(view, proposal_id, row, pending=sealed.proposals.get(proposal_id) != row)
        for proposal_id, row in rows
    ]


def proposal_row(view: View, proposal_id: bytes, row: Proposal, *, pending: bool) -> dict[str, Any]:
    """One proposal. While it is open, `yes`, `no` and `abstain` are the weights cast so far."""
    ballot = row.ballot
    cast = {"yes": row.yes, "no": row.no, "abstain": row.abstain}
    total = row.total
    mine: str | None = None
    if ballot is not None:
        weights = {elector.member: elector.weight for elector in ballot.electors}
        total = sum(weights.values())
        for vote in row.votes:
            cast[vote.choice] += weights.get(vote.member, 0)
            if vote.member == view.me:
                mine = vote.choice
    return {
        "proposal": proposal_id.hex(),
        "type": row.what,
        "partner": row.author.hex(),
        "name": view.name(row.author),
        "subject": row.subject.hex() or None,
        "subject_name": view.name(row.subject) if row.subject in view.preview.members else None,
        "role": row.role or None,
        "take": row.take,
        "amount": row.amount,
        "costs": row.costs,
        "percent": row.percent,
        "status": row.status,
        **cast,
        "total": total,
        "fraction": None if ballot is None else _fraction(ballot.fraction),
        "quorum": None if ballot is None else _fraction(ballot.quorum),
        "notice": None if ballot is None else ballot.notice,
        "end": None if ballot is None else ballot.end,
        "when": row.at,
        "decided": row.decided or None,
        "my_vote": mine,
        "in_force": _in_force(view, proposal_id),
        "note": view.word(proposal_id, "note") or view.word(proposal_id, "text"),
        "pending": pending,
        # Beyond what programs were promised.
        "about": proposed(view, proposal_id, row),
        "text": text_of(view, proposal_id),
        "currency": view.ledger.charter.sale.currency if row.what in ("sale", "dividend") else None,
        "why_failed": why_failed(view, proposal_id, row),
    }


def _in_force(view: View, proposal_id: bytes) -> int | None:
    """When a charter that was adopted replaces the one in force, while it waits out its grace."""
    row = view.preview.amendments.get("")
    return row.due if row is not None and row.proposal == proposal_id else None


def _fraction(value: tuple[int, int]) -> str:
    return f"{value[0]}/{value[1]}"
