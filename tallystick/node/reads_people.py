"""Members and their devices, and the nodes of others.

Source: docs/spec/cli.md#partners
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.crypto.words import fingerprint
from tallystick.node.names import skeleton
from tallystick.node.sealer_requests import request_words, sealer_requests
from tallystick.protocol.duty import on_duty, term_at
from tallystick.protocol.membership import is_away, is_suspended, sponsors_needed

if TYPE_CHECKING:
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import PeerFact, View
    from tallystick.protocol.records import Device, Member


def partners(view: View, args: ReadArgs) -> list[dict[str, Any]]:
    """`partners{}`: everybody, applicants and those who left included, by the time they came."""
    if view.is_empty:
        return []
    sealed = view.sealed
    state = view.preview
    devices: dict[bytes, list[tuple[bytes, Device]]] = {}
    for key, device in state.devices.items():
        devices.setdefault(device.member, []).append((key, device))
    sealing = {row.member: row.status for _, row in sorted(state.sealers.items())}
    needed = sponsors_needed(view.ledger.charter, state, view.moment)
    asking = {each.member: each for each in sealer_requests(view)}
    alike = _alike(view)
    duty, duty_until = _duty(view)
    rows = sorted(view.preview.members.items(), key=lambda item: (item[1].since, item[0]))
    return [
        _member_row(view, member_id, member, alike)
        | {
            "devices": [_device_row(key, device) for key, device in sorted(devices.get(member_id, ()))],
            "fingerprint": _fingerprint(devices.get(member_id, ())),
            "sealer": sealing.get(member_id) in ("active", "leaving"),
            "sealing": sealing.get(member_id),
            "agreed": [other.hex() for other in member.agreed],
            "sealing_waits": request_words(view, asking[member_id]) if member_id in asking else None,
            "vouches": len(member.vouches),
            "vouches_needed": needed if member.status == "applicant" else None,
            "vouched_by": [other.hex() for other in member.vouches],
            "on_duty": member_id in duty,
            "duty_until": duty_until if member_id in duty else None,
            "pending": sealed.members.get(member_id) != member,
        }
        for member_id, member in rows
    ]


def _duty(view: View) -> tuple[frozenset[bytes], int | None]:
    """Who keeps the till now, and until when where teams take turns; nobody where there is no till."""
    if view.ledger.charter.sale.currency is None:
        return frozenset(), None
    state, now = view.preview, view.moment
    return on_duty(state, now), term_at(state, now).end if "" in state.duties else None


def _alike(view: View) -> dict[str, list[bytes]]:
    """Members by what an eye sees of their names."""
    alike: dict[str, list[bytes]] = {}
    for member_id, name in sorted(view.names().items()):
        if name is not None:
            alike.setdefault(skeleton(name), []).append(member_id)
    return alike


def _member_row(view: View, member_id: bytes, member: Member, alike: dict[str, list[bytes]]) -> dict[str, Any]:
    name = view.raw_name(member_id)
    others = [] if name is None else alike[skeleton(name)]
    awaited = member_id in view.preview.awaited
    return {
        "partner": member_id.hex(),
        "name": view.name(member_id),
        "looks_like": [other.hex() for other in others if other != member_id],
        "standing": member.standing,
        "status": member.status,
        "roles": list(member.roles),
        "since": member.since,
        "probation_until": member.probation_until or None,
        "away_until": member.away_until if is_away(member, view.moment) and not awaited else None,
        "awaited": awaited,
        "suspended_until": member.suspended_until if is_suspended(member, view.moment) else None,
        "departed": member.departed or None,
        "inviter": None if member.inviter is None else member.inviter.hex(),
        "inviter_name": None if member.inviter is None else view.name(member.inviter),
        "me": member_id == view.me,
    }


def _device_row(key: bytes, device: Device) -> dict[str, Any]:
    return {
        "device": key.hex(),
        "node_key": device.node_key.hex(),
        "scope": device.scope,
        "status": device.status,
        "entries": device.head_seq + 1,
        "since": device.since,
    }


def _fingerprint(devices: list[tuple[bytes, Device]] | tuple[()]) -> str | None:
    """The six words of the first device, to be compared by voice."""
    first = min(devices, key=lambda item: (item[1].since, item[0]), default=None)
    return None if first is None else fingerprint(first[0])


def peers(view: View, args: ReadArgs) -> list[dict[str, Any]]:
    """`peers{}`: nodes that this one knows, connected ones first; without a node, what it knew when it ran last."""
    facts = _facts_at_rest(view) if view.node is None else view.node.peers
    rows = sorted(facts, key=lambda peer: (not peer.connected, -peer.seen, peer.key))
    return [_peer_row(view, peer) for peer in rows]


def _facts_at_rest(view: View) -> list[PeerFact]:
    from tallystick.node.view import PeerFact

    members = {device.node_key: device.member for device in view.preview.devices.values()}
    own = view.preview.devices.get(view.device)
    addresses = dict(view.archive.peers())
    contacts = dict(view.archive.contacts())
    rows = []
    for key in sorted(addresses.keys() | contacts.keys()):
        if own is not None and key == own.node_key:
            # Where this node listened itself is kept in the same place.
            continue
        contact, known = contacts.get(key), addresses.get(key, [])
        address = known[-1] if known else ""
        rows.append(
            PeerFact(
                key=key,
                member=members.get(key),
                address=address if contact is None else contact.address or address,
                seen=0 if contact is None else contact.at,
                height=None if contact is None or contact.height < 0 else contact.height,
            )
        )
    return rows


def _peer_row(view: View, fact: PeerFact) -> dict[str, Any]:
    return {
        "peer": fact.key.hex(),
        "partner": None if fact.member is None else fact.member.hex(),
        "name": None if fact.member is None else view.name(fact.member),
        "address": fact.address or None,
        "connected": fact.connected,
        "relayed": fact.relayed,
        "seen": fact.seen or None,
        "height": fact.height,
        "behind": None if fact.height is None else max(0, view.ledger.head.height - fact.height),
        "ahead": None if fact.height is None else max(0, fact.height - view.ledger.head.height),
        "clock_ms": fact.clock,
        "error": fact.error or None,
    }
