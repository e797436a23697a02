"""The devices of a member, and requests for new keys.

Source: docs/spec/cli.md#devices
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.crypto.words import fingerprint
from tallystick.node.resolve import resolve_member
from tallystick.node.writes_devices import labels_of
from tallystick.protocol.devices import approvals_needed

if TYPE_CHECKING:
    from tallystick.node.read_args import PartnerArgs, ReadArgs
    from tallystick.node.view import View


def devices(view: View, args: PartnerArgs) -> list[dict[str, Any]]:
    """`devices{partner?}`: mine, or those of one member; the first one that was enrolled first."""
    if view.is_empty:
        return []
    member = view.me if args.partner is None else resolve_member(view, args.partner)
    state, labels = view.preview, labels_of(view)
    sealing = {row.device: row.status for row in state.sealers.values()}
    rows = [(key, row) for key, row in state.devices.items() if row.member == member]
    return [
        {
            "device": key.hex(),
            "label": labels.get(key),
            "scope": row.scope,
            "status": row.status,
            "entries": row.head_seq + 1,
            "since": row.since,
            "node_key": row.node_key.hex(),
            "convicted": state.keys[row.node_key].use == "convicted",
            "sealing": sealing.get(key),
            "fingerprint": fingerprint(key),
            "this": key == view.device,
            "pending": view.sealed.devices.get(key) != row,
        }
        for key, row in sorted(rows, key=lambda item: (item[1].since, item[0]))
    ]


def recoveries(view: View, args: ReadArgs) -> list[dict[str, Any]]:
    """`recoveries{}`: who asks for new keys, who has approved, and when it can work."""
    if view.is_empty:
        return []
    state = view.preview
    return [
        {
            "request": request.hex(),
            "partner": row.member.hex(),
            "name": view.name(row.member),
            "fingerprint": fingerprint(row.device),
            "at": row.at,
            "approved": [each.hex() for each in row.approved],
            "approved_names": [view.name(each) for each in row.approved],
            "needed": approvals_needed(state, row.member, view.moment),
            "ready": row.ready or None,
            "vetoed": row.vetoed,
            "overruled": row.overruled,
            "lapses": row.lapse[0],
            "mine": row.member == view.me or row.device == view.device,
        }
        for request, row in sorted(state.recoveries.items(), key=lambda item: (item[1].at, item[0]))
    ]
