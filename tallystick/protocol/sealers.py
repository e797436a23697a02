"""Who seals: requests, agreement, leaving, the bench. All of it is read from the state at the boundary.

Source: docs/spec/finality.md#sealers
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.protocol.membership import is_away, is_full_partner
from tallystick.protocol.quorum import quorum
from tallystick.protocol.records import Sealer

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.state import State

SEALERS_MAX: Final = 31


def active_sealers(state: State) -> list[Sealer]:
    """The sealers of the next block, in the order of their enrolment."""
    return [row for _, row in sorted(state.sealers.items()) if row.status in ("active", "leaving")]


def change_sealers(act: Act, authors: AbstractSet[bytes]) -> None:
    """Note who was there, then at most max(1, n // 3) changes: leaving first, then joining, oldest request first."""
    state = act.state
    _note_presence(act, authors)
    count = len(active_sealers(state))
    most = room = max(1, count // 3)
    for number, row in sorted(state.sealers.items()):
        if row.status == "requested":
            # A request of somebody who has gone is nobody's.
            if _must_go(act, row):
                state.sealers.delete(number)
        elif row.status == "benched":
            if _must_go(act, row):
                state.sealers.delete(number)
        elif count > 1 and _must_go(act, row) and (room or _is_convicted(state, row)):
            count -= 1
            room = max(0, room - 1)
            state.sealers.delete(number)
        elif count > 1 and room and is_away(state.members[row.member], act.context.time):
            # It keeps its place, and has it again when it is back.
            count -= 1
            room -= 1
            state.sealers.set(number, msgspec.structs.replace(row, status="benched"))
    count, room = _bring_back(act, authors, count, room)
    for number, row in sorted(state.sealers.items()):
        if room and row.status == "requested" and count < SEALERS_MAX and is_agreed(act, row):
            state.sealers.set(number, msgspec.structs.replace(row, status="active", seen=act.context.time))
            count += 1
            room -= 1
    _bench(act, most)


def is_agreed(act: Act, row: Sealer) -> bool:
    """Whether the sealers have agreed to this one: more than half of them, or the role that the charter names."""
    state = act.state
    member = state.members[row.member]
    if not is_full_partner(member, act.context.time) or is_away(member, act.context.time):
        return False
    rule = act.charter.finality.sealers
    if rule != "all":
        return rule.removeprefix("role:") in member.roles
    sealing = active_sealers(state)
    return 2 * sum(1 for other in sealing if other.member in member.agreed) > len(sealing)


def _note_presence(act: Act, authors: AbstractSet[bytes]) -> None:
    for number, row in sorted(act.state.sealers.items()):
        if (row.node_key in act.context.readers or row.member in authors) and row.seen != act.context.time:
            act.state.sealers.set(number, msgspec.structs.replace(row, seen=act.context.time))


def _is_convicted(state: State, row: Sealer) -> bool:
    use = state.keys.get(row.node_key)
    return use is not None and use.use == "convicted"


def _must_go(act: Act, row: Sealer) -> bool:
    member = act.state.members[row.member]
    device = act.state.devices.get(row.device)
    return (
        row.status == "leaving"
        or member.status != "active"
        or member.standing != "partner"
        or device is None
        or device.status != "active"
        or _is_convicted(act.state, row)
    )


def _bring_back(act: Act, authors: AbstractSet[bytes], count: int, room: int) -> tuple[int, int]:
    for number, row in sorted(act.state.sealers.items()):
        if is_away(act.state.members[row.member], act.context.time):
            continue
        if row.status == "benched" and row.member in authors and count < SEALERS_MAX:
            act.state.sealers.set(number, msgspec.structs.replace(row, status="active"))
            count += 1
    return count, room


def _bench(act: Act, most: int) -> None:
    """Bench the fewest absent sealers, `most` at most, for which the quorum is least; longest absent first."""
    state = act.state
    absence = act.charter.finality.absence
    sealing = [(number, row) for number, row in sorted(state.sealers.items()) if row.status in ("active", "leaving")]
    absent = sorted((row.seen, number) for number, row in sealing if row.seen + absence <= act.context.time)
    count = len(sealing)
    most = min(most, len(absent), count - 1)
    if most <= 0:
        return
    benched = min(range(most + 1), key=lambda k: (quorum(count - k), k))
    for _, number in absent[:benched]:
        state.sealers.set(number, msgspec.structs.replace(state.sealers[number], status="benched"))
