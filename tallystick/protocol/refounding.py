"""A ledger founded anew on a state of another: what stands still, who is waited for, and what nobody may touch.

Until more than half of the partners of that state have joined, only joining, devices and sealers work. Until a member
has joined, its points, roles and deals are as they were. What falls due by itself stands still for as long, and has
then as much time left as it had in the block on which the ledger was founded.

Source: docs/spec/finality.md#founding-anew
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import is_full_partner
from tallystick.protocol.records_refounding import Awaited, Refounded

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.records import Member
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State

#: What a member may write that has not joined yet: it may have to name another device first.
BEFORE_JOINING: Final = frozenset(
    (
        "rejoin",
        "device.add",
        "device.claim",
        "device.retire",
        "device.revoke",
        "recover.request",
        "recovery.change",
        "evidence",
    )
)
#: What works before more than half have joined.
WHILE_FEW: Final = BEFORE_JOINING | {"recover.approve", "sealer.on", "sealer.off"}

_AWAY_FOR_EVER: Final = 2**53 - 1
#: Moments of a deal that its rules compare with one another.
_MOMENTS: Final = ("deadline", "delivered_at", "decided", "disputed")


def stand_still(act: Act, *, founder: bytes, device: bytes, row: Refounded) -> None:
    """The state of the other ledger becomes that of this one: the founder is here, all others are waited for."""
    state = act.state
    if (before := state.refounded.get("")) is not None:
        _rest_on(state, before.time, row.time)
    for key, tick in list(state.due.items()):
        if tick.what.startswith(("proposal.", "recovery.")):
            state.due.delete(key)
        elif tick.what != "duty.cycle":
            state.due.delete(key)
            state.held.set(key, tick)
    # Who could vote, and who could object to new keys, may be among those who are lost: both are asked anew.
    for proposal_id, proposal in list(state.proposals.items()):
        if proposal.status == "open":
            failed = msgspec.structs.replace(
                proposal, status="failed", ballot=None, votes=(), charter=b"", decided=act.at
            )
            state.proposals.set(proposal_id, failed)
    for request in list(state.recoveries):
        state.recoveries.delete(request)
    for member_id, member in list(state.members.items()):
        if member.status == "active" and member_id != founder:
            counts = is_full_partner(member, row.time)
            # Whoever has not joined the ledger before this one either was away until the date noted then.
            waited = state.awaited.get(member_id)
            away_until = member.away_until if waited is None else waited.away_until
            state.awaited.set(member_id, Awaited(counts, away_until))
            state.members.set(member_id, msgspec.structs.replace(member, away_until=_AWAY_FOR_EVER))
    state.refounded.set("", row)
    _seat(state, founder, device, act.at)
    if not is_waiting(state):
        _wake(act)


def _seat(state: State, founder: bytes, device: bytes, at: int) -> None:
    """The founder seals alone; whoever sealed before rests on the bench, and is back with its partner."""
    rules = state.rules[""]
    sealer = type(next(iter(state.sealers.values())))
    seated = False
    for number, row in sorted(state.sealers.items()):
        if row.member == founder and row.device == device:
            state.sealers.set(number, msgspec.structs.replace(row, status="active", seen=at))
            seated = True
        elif row.member == founder or row.status == "leaving":
            state.sealers.delete(number)
        elif row.status == "active":
            state.sealers.set(number, msgspec.structs.replace(row, status="benched"))
    if not seated:
        node_key = state.devices[device].node_key
        state.sealers.set(rules.sealer_next, sealer(founder, device, node_key, "active", at))
        state.rules.set("", type(rules)(rules.version, rules.due_next, rules.sealer_next + 1))


def partners_at(state: State, time: int) -> int:
    """How many partners of a state could sign for founding anew on it: the active ones who are off probation."""
    return sum(1 for member in state.members.values() if is_full_partner(member, time))


def signatures_needed(partners: int) -> int:
    """At least half of them: one of two, two of three."""
    return (partners + 1) // 2


def is_waiting(state: State) -> bool:
    """Whether too few have joined for anything else than joining."""
    row = state.refounded.get("")
    return row is not None and 2 * row.joined <= row.partners


def join(act: Act, member: Member) -> None:
    """Somebody is back. Raises EntryError: ALREADY_DONE."""
    state = act.state
    row, awaited = state.refounded.get(""), state.awaited.get(act.author_id)
    if row is None or awaited is None:
        raise EntryError(Reason.ALREADY_DONE, "nobody waits for this member")
    state.awaited.delete(act.author_id)
    state.members.set(act.author_id, msgspec.structs.replace(member, away_until=awaited.away_until))
    if awaited.counts:
        state.refounded.set("", msgspec.structs.replace(row, joined=row.joined + 1))
    if not is_waiting(state):
        _wake(act)


def _rest_on(state: State, since: int, since_now: int) -> None:
    """What rests since a founding before this one has the time left that it had then, counted from the newer block."""
    later = since_now - since
    for key in sorted(state.held):
        tick = state.held[key]
        moved = (max(key[0], since) + later, key[1])
        state.held.delete(key)
        state.held.set(moved, tick)
        _put_off(state, tick.what, tick.ref, moved, later)


def _wake(act: Act) -> None:
    """What concerns nobody who is still waited for goes on, with as much time left as it had."""
    state = act.state
    since = state.refounded[""].time
    later = act.at - since
    for key in sorted(state.held):
        tick = state.held[key]
        if any(member in state.awaited for member in _parties(state, tick.what, tick.ref)):
            continue
        state.held.delete(key)
        moved = (max(key[0], since) + later, key[1])
        state.due.set(moved, tick)
        _put_off(state, tick.what, tick.ref, moved, later)


def _parties(state: State, what: str, ref: bytes) -> tuple[bytes, ...]:
    """Whose affair it is."""
    match what.partition(".")[0]:
        case "deal":
            deal = state.deals[ref]
            return deal.seller, deal.buyer
        case "claim":
            return (state.claims[ref].author,)
        case "money":
            return state.money[ref].author, state.money[ref].partner
        case "correction":
            return (state.corrections[ref].author,)
    return ()


def _put_off(state: State, what: str, ref: bytes, moved: tuple[int, int], later: int) -> None:
    """Tell the row that waits for a tick when that is now."""
    name = what.partition(".")[0]
    if name == "amendment":
        row: Any = state.amendments[""]
        state.amendments.set("", msgspec.structs.replace(row, due=moved[0]))
        return
    # What waits for a tick is called as the first word of the tick, and has it as `due`.
    table = state.tables[name]
    row = table[ref]
    moments = {each: at + later for each in _MOMENTS if (at := getattr(row, each))} if name == "deal" else {}
    table.set(ref, msgspec.structs.replace(row, due=moved, **moments))


# -- what may not be done yet ------------------------------------------------------------------------------------------


def check_joined(state: State, author: bytes, entry: Entry, body: Any) -> None:
    """Whether somebody may write this kind yet, in a ledger in which somebody is waited for.

    Raises EntryError: NOT_JOINED, TOO_FEW_JOINED, tried in that order.
    """
    if author in state.awaited and entry.kind not in BEFORE_JOINING:
        raise EntryError(Reason.NOT_JOINED, "its author has not joined this ledger, which was founded anew")
    if is_waiting(state) and entry.kind not in WHILE_FEW and not _is_about_a_sealer(state, body):
        row = state.refounded[""]
        raise EntryError(Reason.TOO_FEW_JOINED, f"{row.joined} of {row.partners} partners have joined")
    if entry.kind == "propose":
        _check_proposal(state, body)
    elif entry.kind == "leave" and any(author in _sides(deal) for deal in _untouchable(state)):
        raise EntryError(Reason.NOT_JOINED, "the other side of a deal has not joined this ledger")


def _is_about_a_sealer(state: State, body: Any) -> bool:
    """Whether a vouch is only an agreement that somebody who is a partner seals."""
    if body.KIND != "admit" or not body.sealer:
        return False
    member = state.members.get(body.member)
    return member is not None and member.status == "active" and member.standing == "partner"


def _check_proposal(state: State, body: Any) -> None:
    """What a vote would do to somebody who is not here cannot be put to the vote. Raises EntryError: NOT_JOINED."""
    if body.member in state.awaited:
        raise EntryError(Reason.NOT_JOINED, "the partner whom it is about")
    if body.type == "release" and state.deals.get(body.deal) in _untouchable(state):
        raise EntryError(Reason.NOT_JOINED, "a side of that deal")
    if body.type == "sale" and (_untouchable(state) or any(_points(state, member) for member in state.awaited)):
        raise EntryError(Reason.NOT_JOINED, "somebody whose points would be redeemed")


def _sides(deal: Deal) -> tuple[bytes, bytes]:
    return deal.seller, deal.buyer


def _untouchable(state: State) -> list[Deal]:
    """Open deals of members who are waited for."""
    return [deal for deal in state.deals.values() if any(side in state.awaited for side in _sides(deal))]


def _points(state: State, member: bytes) -> int:
    return state.balance("POINT", f"partner/{member.hex()}")


def check_untouched(state: State, mark: int) -> None:
    """Whether what was written since `mark` leaves alone whoever has not joined: roles, deals, and no point less.

    It looks at what was written and not at kinds, so that no kind can be forgotten. Raises EntryError: NOT_JOINED.
    """
    awaited = state.awaited
    for table, key, old in state.journal[mark:]:
        if table is state.deals:
            row = old if old is not None else state.deals.get(key)
            touched = row is not None and any(side in awaited for side in _sides(row))
        elif table is state.members:
            touched = key in awaited and old is not None and _standing(old) != _standing(state.members[key])
        elif table is state.accounts:
            account, _, owner = key.rpartition("/")
            touched = (
                account.endswith(("/partner", "/payable"))
                and bytes.fromhex(owner) in awaited
                and state.accounts.rows.get(key, 0) < (old or 0)
            )
        else:
            touched = False
        if touched:
            raise EntryError(Reason.NOT_JOINED, "it touches somebody who has not joined this ledger")


def _standing(member: Member) -> tuple[object, ...]:
    """What nobody may change of a member that is waited for."""
    return (
        member.standing,
        member.status,
        member.roles,
        member.suspended_from,
        member.suspended_until,
        member.departed,
        member.leaver,
    )
