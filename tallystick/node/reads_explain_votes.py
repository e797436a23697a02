"""Why a proposal passed or failed: every vote with its weight, and then whatever it moved.

A decided proposal keeps only its sums; who voted how stands in the entries, and what everybody held when the proposal
was sealed follows from their movements up to that block.

Source: docs/spec/cli.md#explain
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tallystick.node.currency import VOTE
from tallystick.protocol.act import POINT
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.records_governance import Proposal

_RULES: Final = {
    "amend": "amend",
    "ratify": "amend",
    "rules": "amend",
    "release": "amend",
    "expel": "expel",
    "suspend": "expel",
    "recover": "expel",
    "sale": "sale",
}


def votes_on(view: View, proposal_id: bytes) -> Iterator[dict[str, Any]]:
    """The last word of everybody who may vote, in the order of the entries; `amount` is its weight."""
    proposal = view.preview.proposals.get(proposal_id)
    sealed = view.archive.sealed_row(proposal_id)
    if proposal is None or sealed is None:
        return
    last: dict[bytes, tuple[Entry, int, int]] = {}
    for entry, height, when in _votes(view, proposal_id, sealed.height, proposal):
        member = view.sealed.devices[entry.device].member
        # Whoever votes again speaks later as well.
        last.pop(member, None)
        last[member] = (entry, height, when)
    weights = _weights(view, proposal, sealed.height, list(last))
    total = proposal.total or sum(elector.weight for elector in (proposal.ballot.electors if proposal.ballot else ()))
    rule = f"governance.{_RULES.get(proposal.what, 'pass')}"
    for member, (entry, height, when) in last.items():
        row = view.archive.height_row(height)
        yield {
            "when": when,
            "amount": weights[member],
            "commodity": VOTE,
            "account": f"vote/{entry.body['choice']}",
            "counter_account": account_of(member),
            "entry": entry.id.hex(),
            "rule": rule,
            "charter": None if row is None else row.charter_version,
            "formula": f"{weights[member]} of {total}",
            "block": height,
            "what": "vote",
            "counter_name": view.name(member),
            "posting": None,
            "about": None,
        }


def _votes(view: View, proposal_id: bytes, height: int, proposal: Proposal) -> Iterator[tuple[Entry, int, int]]:
    """Votes that worked, from the block of the proposal to that of its decision."""
    for number in range(height, view.ledger.head.height + 1):
        block, time = view.archive.block(number), view.archive.block_time(number)
        for entry_id in () if block is None else block.entry_ids:
            entry = view.archive.entry(entry_id)
            if entry is None or entry.kind != "vote" or entry.body.get("proposal") != proposal_id:
                continue
            row = view.archive.sealed_row(entry_id)
            if row is not None and not row.reason:
                yield entry, number, row.at
        if proposal.decided and time is not None and time >= proposal.decided:
            return


def _weights(view: View, proposal: Proposal, height: int, members: list[bytes]) -> dict[bytes, int]:
    if proposal.ballot is not None:
        given = {elector.member: elector.weight for elector in proposal.ballot.electors}
        return {member: given.get(member, 0) for member in members}
    if proposal.yes + proposal.no + proposal.abstain == len(members):
        return dict.fromkeys(members, 1)
    return {member: _held(view, member, height) for member in members}


def _held(view: View, member: bytes, height: int) -> int:
    """Points of a member after the block at this height."""
    account = account_of(member)
    held = 0
    for number, row in view.archive.outcomes_of(member):
        if number > height:
            break
        for commodity, source, target, amount, _, _ in row.postings:
            if commodity == POINT:
                held += amount * ((target == account) - (source == account))
    return held
