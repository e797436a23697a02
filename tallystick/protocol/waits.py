"""Waits that an entry begins and that are the time of somebody else: a review, a dispute, an objection, a probation.

An entry may claim an early moment, since people write where there is no network. Whoever has to answer hears of it when
it is sealed, at the latest: so such a wait never ends in the block that begins it, and counts from no earlier moment
than ten minutes before that block. Otherwise whoever dates a delivery back would be paid by a silence that nobody could
have broken.

Source: docs/spec/charter.md#waits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.protocol.records import Tick

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.state import State

#: Clocks of people differ by this much: nobody's moment counts from earlier than this before its block.
CLOCKS_DIFFER_MS: Final = 600_000


def begin_waits(act: Act) -> None:
    """The end of a block: what its entries have begun to wait for is a tick from now on."""
    state = act.state
    least = act.at - CLOCKS_DIFFER_MS
    for key in sorted(state.fresh):
        what, ref, since = state.fresh[key]
        state.fresh.delete(key)
        later = max(0, least - since)
        moved = (key[0] + later, key[1])
        state.due.set(moved, Tick(what, ref))
        if later:
            _tell(state, what, ref, moved, later)


def begin_probation(act: Act, member_id: bytes) -> None:
    """The end of the block in which somebody was admitted: its probation counts as a wait does."""
    member = act.state.members[member_id]
    until = act.at - CLOCKS_DIFFER_MS + act.charter.membership.probation
    if member.probation_until < until:
        act.state.members.set(member_id, msgspec.structs.replace(member, probation_until=until))


def _tell(state: State, what: str, ref: bytes, moved: tuple[int, int], later: int) -> None:
    """Tell the row that waits for a tick when that is now."""
    name = what.partition(".")[0]
    if name != "recovery":
        # What waits for a tick is called as the first word of the tick, and has it as `due`.
        table = state.tables[name]
        table.set(ref, msgspec.structs.replace(table[ref], due=moved))
        return
    row = state.recoveries.get(ref)
    if row is None:
        # A request that is over leaves the tick of its approval behind.
        return
    if what == "recovery.lapse":
        state.recoveries.set(ref, msgspec.structs.replace(row, at=row.at + later, lapse=moved))
    else:
        state.recoveries.set(ref, msgspec.structs.replace(row, ready=moved[0]))
