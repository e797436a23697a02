"""Disputes: a panel is drawn among the partners who are neither side, and its lower median is the grade.

Nobody can foresee or choose a panel: it depends on the id of the block that seals the dispute. The state keeps who
could sit on it, and the panel is drawn at the beginning of the next block.

Source: docs/spec/charter.md#dispute
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol import deal_rules
from tallystick.protocol.membership import full_partners, is_away
from tallystick.protocol.objective import count_units
from tallystick.protocol.records_deal import Deal, Draw, Verdict

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, Context
    from tallystick.protocol.state import State


def eligible(state: State, at: int, seller: bytes, buyer: bytes) -> tuple[bytes, ...]:
    """Who could sit on a panel, ascending: active partners off probation, not away, who are neither side."""
    found = full_partners(state, at, without=(seller, buyer))
    return tuple(sorted(member_id for member_id in found if not is_away(state.members[member_id], at)))


def open_dispute(act: Act, deal_id: bytes, deal: Deal) -> None:
    """The seller does not agree with the decision. What is in escrow stays until the panel, or time, has decided."""
    could_sit = eligible(act.state, act.at, deal.seller, deal.buyer)
    size = min(act.charter.dispute.panel, len(could_sit))
    if size:
        act.state.draws.set(deal_id, Draw(act.context.height, size, could_sit))
    deal = deal_rules.changed(deal, status="disputed", disputed=act.at, panel=(), verdicts=())
    deal_rules.wait(act, deal_id, deal, "deal.disputed", act.at + act.charter.dispute.window)


def draw_panels(state: State, context: Context) -> None:
    """Draw the panels of the disputes that the block before has sealed."""
    for deal_id, draw in sorted(state.draws.items()):
        block_id = context.history.block_id(draw.height)
        if draw.height < context.height and block_id is not None:
            panel = drawn(block_id, deal_id, draw.eligible, draw.size)
            state.deals.set(deal_id, deal_rules.changed(state.deals[deal_id], panel=panel))
            state.draws.delete(deal_id)


def drawn(block_id: bytes, deal_id: bytes, could_sit: tuple[bytes, ...], size: int) -> tuple[bytes, ...]:
    """The panel: the lowest hashes of block, deal and partner, lowest first."""

    def lot(partner: bytes) -> bytes:
        return tagged_hash("panel", block_id + deal_id + partner)

    return tuple(sorted(could_sit, key=lot)[:size])


def add_verdict(act: Act, deal_id: bytes, deal: Deal, grade: int) -> None:
    """One of the panel has decided; when all have, so has the panel."""
    deal = deal_rules.changed(deal, verdicts=(*deal.verdicts, Verdict(act.author_id, grade)))
    if len(deal.verdicts) == len(deal.panel):
        _decide(act, deal_id, deal)
    else:
        act.state.deals.set(deal_id, deal)


def lower_median(grades: list[int]) -> int:
    """The middle one; the lower of two."""
    return sorted(grades)[(len(grades) - 1) // 2]


def _decide(act: Act, deal_id: bytes, deal: Deal) -> None:
    """The seller receives what the panel's grade gives beyond what was paid already, never less. Nothing stays held."""
    grade = lower_median([verdict.grade for verdict in deal.verdicts])
    award, _, formula = deal_rules.award_of(deal, deal.delivered, grade)
    if not deal.approved or award > deal.paid:
        count_units(act.state, deal.step, deal.delivered - deal.approved)
        deal = deal_rules.changed(deal, approved=deal.delivered, grade=grade, decided=act.at)
    if award > deal.paid:
        if deal.paid:
            formula += f", {deal.paid} paid before"
        deal = deal_rules.pay_up_to(act, deal_id, deal, award, formula)
    deal_rules.end(act, deal_id, deal, "approved", "returned: decided by the panel")


def run_out(act: Act, deal_id: bytes) -> None:
    """The window is over: the verdicts so far decide; without any, what the buyer decided stands."""
    deal = deal_rules.changed(act.state.deals[deal_id], due=None)
    if deal.verdicts:
        _decide(act, deal_id, deal)
    elif deal.approved:
        deal_rules.end(act, deal_id, deal, "approved", "returned: nobody found otherwise")
    else:
        deal_rules.end(act, deal_id, deal, "returned", "returned: nobody found otherwise")
