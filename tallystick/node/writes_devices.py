"""Devices and keys, as a person asks for them: another machine, one that is given up or stolen, other recovery words.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from tallystick.node.errors import HomeReason
from tallystick.node.resolve import UnresolvedError, beginning, one_device, resolve_entry, resolve_member
from tallystick.node.view import View
from tallystick.node.writes_base import Args, ArgumentError, Draft, Ref, Write, words_of
from tallystick.protocol.devices import Cut
from tallystick.protocol.kinds.device import DeviceAdd, DeviceRetire, DeviceRevoke
from tallystick.protocol.kinds.recover import RecoverApprove, RecoveryChange

Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Signature = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class DeviceAddArgs(Args, frozen=True, kw_only=True):
    """What a new machine has sent or its person has carried."""

    device: Key
    node_key: Key
    possession: Signature
    possession_node: Signature
    scope: Literal["all", "work"] = "all"
    label: Label | None = None


class DeviceRetireArgs(Args, frozen=True, kw_only=True):
    """This device writes nothing more."""


class DeviceRevokeArgs(Args, frozen=True, kw_only=True):
    device: Ref
    since: Ref | None = None
    """Its last good entry; absent: the newest one that is known."""


class RecoveryChangeArgs(Args, frozen=True, kw_only=True):
    old: Key
    recovery: Key
    consent: Signature
    """By the old recovery key, over [old, new, this device]."""
    possession: Signature
    """By the new one, over the same."""


class RecoverApproveArgs(Args, frozen=True, kw_only=True):
    request: Ref
    """The request, or the member in whose name it is made."""


def device_add(view: View, args: DeviceAddArgs) -> Draft:
    body = DeviceAdd(
        device=bytes.fromhex(args.device),
        node_key=bytes.fromhex(args.node_key),
        scope=args.scope,
        possession=bytes.fromhex(args.possession),
        possession_node=bytes.fromhex(args.possession_node),
    )
    return Draft(body, words_of(label=args.label))


def device_retire(view: View, args: DeviceRetireArgs) -> Draft:
    return Draft(DeviceRetire())


def device_revoke(view: View, args: DeviceRevokeArgs) -> Draft:
    cut = cut_of(view, resolve_device(view, args.device), args.since)
    return Draft(DeviceRevoke(device=cut.device, seq=cut.seq, entry=cut.entry))


def recovery_change(view: View, args: RecoveryChangeArgs) -> Draft:
    return Draft(
        RecoveryChange(
            old=bytes.fromhex(args.old),
            recovery=bytes.fromhex(args.recovery),
            consent=bytes.fromhex(args.consent),
            possession=bytes.fromhex(args.possession),
        )
    )


def recover_approve(view: View, args: RecoverApproveArgs) -> Draft:
    rows = view.preview.recoveries
    found = beginning(rows, args.request)
    if len(found) != 1:
        member = resolve_member(view, args.request)
        found = [request for request, row in rows.items() if row.member == member]
        if not found:
            raise UnresolvedError(
                f"nobody asks for new keys in the name of {view.called(member)}",
                reason=HomeReason.NOT_FOUND,
                hint="`tally recover status` lists who does",
            )
        if len(found) > 1:
            raise UnresolvedError(
                f"{len(found)} requests are made in the name of {view.called(member)}",
                reason=HomeReason.AMBIGUOUS,
                candidates=sorted(request.hex()[:8] for request in found),
                hint="name one: compare the six words of `tally recover status` with that person, by voice",
            )
    return Draft(RecoverApprove(request=found[0]))


def resolve_device(view: View, text: str) -> bytes:
    """One of my own devices, by the prefix of its key or by its label. Raises UnresolvedError."""
    mine = [key for key, row in view.preview.devices.items() if row.member == view.me]
    labels, wanted = labels_of(view), text.strip().casefold()
    found = {key for key in mine if wanted and (labels.get(key) or "").casefold() == wanted}
    return one_device(found | set(beginning(mine, text)), text, "`tally device list` shows yours")


def cut_of(view: View, device: bytes, since: str | None = None) -> Cut:
    """Where a device is cut off: after the entry named, else after the newest that is known.

    One that has written nothing is cut off at its first number, whatever it may write there. Raises ArgumentError.
    """
    if since is not None:
        entry_id = resolve_entry(view, since)
        entry = view.entry(entry_id)
        if entry is None or entry.device != device:
            raise ArgumentError("this entry is not one of that device")
        return Cut(device, entry.seq, entry_id)
    row = view.preview.devices[device]
    if row.head_seq >= 0:
        return Cut(device, row.head_seq, row.head)
    return Cut(device, 0, added_by(view, device) or view.ledger.id)


def added_by(view: View, device: bytes) -> bytes | None:
    """The `device.add` that brought a device in; None for one that came by itself."""
    for entry in view.entries_with(device):
        if entry.kind == DeviceAdd.KIND and entry.body["device"] == device:
            return entry.id
    return None


def labels_of(view: View) -> dict[bytes, str | None]:
    """What people call their devices, as it is shown."""
    return {
        entry.body["device"]: view.word(entry.id, "label")
        for entry in view.entries_with(DeviceAdd.KIND.encode())
        if entry.kind == DeviceAdd.KIND
    }


DEVICES: Final[Mapping[str, Write]] = {
    "device_add": (DeviceAddArgs, device_add),
    "device_retire": (DeviceRetireArgs, device_retire),
    "device_revoke": (DeviceRevokeArgs, device_revoke),
    "recovery_change": (RecoveryChangeArgs, recovery_change),
    "recover_approve": (RecoverApproveArgs, recover_approve),
}
