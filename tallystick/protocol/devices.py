"""Devices and recovery: what takes effect at the end of a block when keys are given up, taken away or lost.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from tallystick.protocol import codec
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS, full_partner_count
from tallystick.protocol.records import Device, DeviceStatus, KeyUse, Record

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.records_device import Recovery
    from tallystick.protocol.state import State

#: Partners have so long to notice that somebody else asks in a member's name.
WAIT_MS: Final = 30 * DAY_MS
#: A device that was enrolled at least so long before the request speaks for its member.
KNOWN_MS: Final = 30 * DAY_MS
#: A request that has not worked is forgotten.
LAPSE_MS: Final = 90 * DAY_MS
#: Open requests in the name of one member: strangers can write them.
REQUESTS_MAX: Final = 8
#: More partners than two must agree that it is the same person.
APPROVALS_LEAST: Final = 2
#: Devices of one member that may connect: each has its own share of everybody's memory and time.
DEVICES_MAX: Final = 8

_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Cut(Record, frozen=True):
    """A device that is revoked, and the last of its entries that is good."""

    device: _Key
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    entry: _Key


class Revocation(Record, frozen=True):
    """What the end of a block is asked to revoke."""

    rank: int
    """0 by the recovery key, 1 by another device."""
    by: bytes
    """The device that asks."""
    cut: Cut


def ask_to_revoke(act: Act, cut: Cut, *, by_recovery: bool) -> None:
    """Let the end of the block revoke a device of a member.

    Raises EntryError: NOT_FOUND, ALREADY_DONE.
    """
    device = act.state.devices.get(cut.device)
    by = act.entry.device if act.entry is not None else b""
    asking = act.state.devices.get(by)
    if device is None or asking is None or device.member != asking.member:
        raise EntryError(Reason.NOT_FOUND, "no such device of this member")
    if device.status not in ("active", "frozen"):
        raise EntryError(Reason.ALREADY_DONE, device.status)
    row = Revocation(0 if by_recovery else 1, by, cut)
    act.at_boundary("revoke", msgspec.msgpack.encode(row))


def take_effect(state: State, asked: Iterable[tuple[str, bytes]]) -> None:
    """The first step of a boundary: devices are frozen, retired and revoked.

    Of devices that revoke one another in one block, the one that the recovery key has just brought in wins, then the
    one that was enrolled first.
    """
    revocations: list[Revocation] = []
    for what, ref in asked:
        if what == "freeze":
            _set_status(state, ref, "frozen")
        elif what == "retire":
            _set_status(state, ref, "retired")
        elif what == "revoke":
            revocations.append(msgspec.msgpack.decode(ref, type=Revocation))
    gone: set[bytes] = set()
    for row in sorted(revocations, key=lambda row: (row.rank, state.devices[row.by].since, row.by, row.cut.device)):
        if row.by not in gone:
            revoke(state, row.cut)
            gone.add(row.cut.device)


def revoke(state: State, cut: Cut) -> None:
    """A device is revoked: of what is not sealed yet, entries up to the cut still count."""
    device = state.devices[cut.device]
    if device.status in ("active", "frozen"):
        row = msgspec.structs.replace(device, status="revoked", cut=(cut.seq, cut.entry))
        state.devices.set(cut.device, row)


def is_cut_off(device: Device, seq: int, entry_id: bytes) -> bool:
    """Whether an entry of a revoked device lies beyond its cut."""
    if device.cut is None:
        return True
    last_seq, last = device.cut
    return seq > last_seq or (seq == last_seq and entry_id != last)


def _set_status(state: State, key: bytes, status: DeviceStatus) -> None:
    device = state.devices.get(key)
    if device is not None and device.status == "active":
        state.devices.set(key, msgspec.structs.replace(device, status=status))


def check_room(state: State, member_id: bytes, leaving: Iterable[bytes] = ()) -> None:
    """Whether a member may have one device more, once those that are leaving are gone.

    A frozen one counts too: it may still connect, so that what it wrote before is not lost.

    Raises EntryError: LIMIT.
    """
    staying = {
        key for key, row in state.devices.items() if row.member == member_id and row.status in ("active", "frozen")
    }
    if len(staying.difference(leaving)) >= DEVICES_MAX:
        raise EntryError(Reason.LIMIT, f"a member has at most {DEVICES_MAX} devices at a time")


def enrol_device(act: Act, member_id: bytes, key: bytes, device: Device) -> None:
    """Add a device, whose two keys nobody has used before in this ledger.

    Raises EntryError: KEY_USED.
    """
    keys = act.state.keys
    if key in keys or device.node_key in keys or key == device.node_key:
        raise EntryError(Reason.KEY_USED)
    keys.set(key, KeyUse("signing", member_id))
    keys.set(device.node_key, KeyUse("node", member_id))
    act.state.devices.set(key, device)


def possession_payload(*keys: bytes) -> bytes:
    """What new keys sign together, so that nobody enrols a key that is not theirs."""
    return codec.encode(list(keys))


# -- recovery by others ------------------------------------------------------------------------------------------------


def approvals_needed(state: State, member_id: bytes, at: int) -> int:
    """More than half of the other partners, and at least two."""
    return max(APPROVALS_LEAST, full_partner_count(state, at, without=(member_id,)) // 2 + 1)


def note_sign_of_life(state: State, device: Device, at: int) -> None:
    """A device has written something. One that was there long before a request for other keys vetoes it."""
    for request_id, row in sorted(state.recoveries.items()):
        if row.member == device.member and speaks_against(row, device) and at >= row.at and not row.vetoed:
            state.recoveries.set(request_id, msgspec.structs.replace(row, vetoed=True))


def note_readers(act: Act) -> None:
    """The node of an old device has taken part in sealing this block: a veto too."""
    state = act.state
    if not state.recoveries:
        return
    for _, device in sorted(state.devices.items()):
        if device.node_key in act.context.readers:
            note_sign_of_life(state, device, act.at)


def overrule(act: Act, request_id: bytes) -> None:
    """A vote has found that whoever vetoed was not the member. Where everything else is there, it works at once."""
    row = act.state.recoveries.get(request_id)
    if row is not None:
        act.state.recoveries.set(request_id, msgspec.structs.replace(row, overruled=True))
        if row.ready and act.at >= row.ready:
            recover(act, request_id)


def speaks_against(row: Recovery, device: Device) -> bool:
    """Whether what a device signs is a veto: it was there long before the request.

    One that was lost with a revocation says nothing any more; one that forked may still be the member's.
    """
    return device.since <= row.at - KNOWN_MS and device.status in ("active", "frozen")


def work_if_ready(act: Act, request_id: bytes) -> None:
    """Leave it to the end of the block to give the member its new keys, if nothing is in the way."""
    row = act.state.recoveries.get(request_id)
    if row is not None and row.ready and act.at >= row.ready and (row.overruled or not row.vetoed):
        act.at_boundary("recover", request_id)


def recover(act: Act, request_id: bytes) -> None:
    """The member has its new keys, and no other device any more."""
    state = act.state
    row = state.recoveries.get(request_id)
    if row is None or (row.vetoed and not row.overruled):
        return
    forget(act, request_id)
    member = state.members[row.member]
    if any(key in state.keys for key in (row.device, row.node_key, row.recovery)):
        return
    for key, device in sorted(state.devices.items()):
        if device.member == row.member and device.head_seq >= 0:
            revoke(state, Cut(key, device.head_seq, device.head))
        elif device.member == row.member:
            _set_status(state, key, "retired")
    device = Device(row.member, row.node_key, "all", "active", 0, request_id, act.at)
    enrol_device(act, row.member, row.device, device)
    state.keys.set(row.recovery, KeyUse("recovery", row.member))
    state.members.set(row.member, msgspec.structs.replace(member, recovery=row.recovery, recovered=act.at))


def forget(act: Act, request_id: bytes) -> None:
    """A request is over."""
    row = act.state.recoveries[request_id]
    act.unschedule(row.lapse)
    act.state.recoveries.delete(request_id)


TICKS: Final[Mapping[str, TickRule]] = {"recovery.due": work_if_ready, "recovery.lapse": forget}
