"""Duty: who keeps the till, term by term, and who may therefore confirm what somebody says about money.

With `[duty]` all partners are shuffled into teams that serve one term each; the list of a cycle is fixed at its start.
Without it the holders of `treasurer` are on duty, always.

Source: docs/spec/charter.md#duty
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol.charter import TREASURER
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS, full_partners, is_active, is_away, is_full_partner
from tallystick.protocol.records_money import Duty
from tallystick.protocol.totals import add_total, total

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.charter import Duty as Rules
    from tallystick.protocol.state import State

#: For so long the treasurers account where no teams take turns.
TERM_MS: Final = 30 * DAY_MS
_CYCLES: Final = "duty/cycles"


class Term(NamedTuple):
    """One stretch of duty, for which those who served account."""

    start: int
    end: int
    team: frozenset[bytes]
    """As it was drawn, or the treasurers."""


# -- who is on duty ----------------------------------------------------------------------------------------------------


def on_duty(state: State, at: int) -> frozenset[bytes]:
    """Members on duty now: those of the list who are there; where there is none of them, every active partner."""
    there = frozenset(member_id for member_id in term_at(state, at).team if _is_there(state, member_id, at))
    return there or active_partners(state, at)


def active_partners(state: State, at: int) -> frozenset[bytes]:
    """Partners, also on probation, who have neither departed nor are suspended."""
    return frozenset(
        member_id
        for member_id, member in state.members.items()
        if member.standing == "partner" and is_active(member, at)
    )


def confirmers(state: State, at: int, excluded: bytes) -> frozenset[bytes]:
    """Who may confirm something about money in which `excluded` has a part.

    Those on duty; if nobody else is on duty, any other active partner; in a ledger of one, the one.
    """
    partners = active_partners(state, at)
    return (on_duty(state, at) - {excluded}) or (partners - {excluded}) or partners


def check_confirmer(act: Act, excluded: bytes) -> None:
    """Whether the author may confirm something in which `excluded` has a part.

    Raises EntryError: NOT_ON_DUTY.
    """
    if act.author_id not in confirmers(act.state, act.at, excluded):
        raise EntryError(Reason.NOT_ON_DUTY, "somebody else has to confirm this")


def _is_there(state: State, member_id: bytes, at: int) -> bool:
    member = state.members[member_id]
    return is_full_partner(member, at) and not is_away(member, at)


# -- terms -------------------------------------------------------------------------------------------------------------


def term_at(state: State, at: int) -> Term:
    """The term that holds the moment `at`; of the present cycle, since earlier ones are over."""
    row = state.duties.get("")
    if row is None:
        index = (at - state.founding.time) // TERM_MS
        start = state.founding.time + index * TERM_MS
        return Term(start, start + TERM_MS, _treasurers(state))
    index = min(max(0, at - row.start) // row.term, len(row.teams) - 1)
    start = row.start + index * row.term
    return Term(start, start + row.term, frozenset(row.teams[index]))


def term_before(state: State, at: int) -> Term | None:
    """The term before the one that holds the moment `at`, if there was one."""
    start = term_at(state, at).start
    row = state.duties.get("")
    if row is not None and start == row.start:
        return Term(row.before_start, row.start, frozenset(row.before)) if row.before_start else None
    if start == state.founding.time:
        return None
    return term_at(state, start - 1)


def _treasurers(state: State) -> frozenset[bytes]:
    return frozenset(member_id for member_id, member in state.members.items() if TREASURER in member.roles)


# -- cycles ------------------------------------------------------------------------------------------------------------


def start_cycle(act: Act, rules: Rules | None) -> None:
    """Draw the teams of the next cycle by these rules; the cycle after it begins by a tick. None: no teams any more.

    A cycle that has begun at this very moment is drawn anew: others were let in at the founding itself.
    """
    state = act.state
    last = state.duties.get("")
    if last is not None and last.start == act.at:
        act.unschedule(last.due)
        add_total(state, _CYCLES, -1)
        last = None
    if rules is None:
        state.duties.delete("")
        return
    cycle = total(state, _CYCLES)
    add_total(state, _CYCLES, 1)
    teams = draw_teams(state.founding.ledger, cycle, full_partners(state, act.at), rules.size)
    due = act.schedule(act.at + rules.term * len(teams), "duty.cycle", state.founding.ledger)
    row = Duty(cycle=cycle, start=act.at, term=rules.term, teams=teams, due=due)
    if last is not None:
        before_start = last.start + (len(last.teams) - 1) * last.term
        row = msgspec.structs.replace(row, before=last.teams[-1], before_start=before_start)
    state.duties.set("", row)


def draw_teams(ledger: bytes, cycle: int, partners: Iterable[bytes], size: int) -> tuple[tuple[bytes, ...], ...]:
    """Shuffle the partners and slice them; the last team takes the remainder. There is always one team."""

    def lot(partner: bytes) -> bytes:
        return tagged_hash("duty", ledger + cycle.to_bytes(8) + partner)

    order = sorted(partners, key=lot)
    count = max(1, len(order) // size)
    ends = [*(size * number for number in range(count)), len(order)]
    return tuple(tuple(order[start:end]) for start, end in pairwise(ends))


def follow_amendment(act: Act, rules: Rules | None) -> None:
    """A new charter comes into force: where it brings `[duty]`, a cycle begins; a running one goes on to its end."""
    if rules is not None and "" not in act.state.duties:
        start_cycle(act, rules)


def _next_cycle(act: Act, _ledger: bytes) -> None:
    start_cycle(act, act.charter.duty)


TICKS: Final[Mapping[str, TickRule]] = {"duty.cycle": _next_cycle}
