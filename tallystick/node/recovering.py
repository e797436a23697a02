"""Coming back without a device: with the recovery words, or with nothing but partners who know the person.

With the words a stranger proves to a partner's node that it is a member, may fetch the ledger like one, and writes a
`device.claim` that knows all that is to be revoked. Without them it hands in a `recover.request` and waits; whoever
asks again with the same request is told how it stands.

    ["recovery", ledger, recovery key, proof]   proof: by the recovery key, over the knocker's node key
      -> ["guest", height]
    ["request", header, signature, annex or nil]
      -> ["request", state, approvals, needed, ready, vetoed, overruled] | ["refused", reason, detail]

A node takes few requests of strangers: see `Intake.has_room`.

Source: docs/spec/membership.md#recovery
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.node.enrolment import EnrolmentError, place_of
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.places import ticket_addresses
from tallystick.node.shelf import is_whole
from tallystick.protocol import codec
from tallystick.protocol.devices import approvals_needed
from tallystick.protocol.entry import Entry, encode_annex, make_entry, read_entry_untrusted, signed_message
from tallystick.protocol.errors import DecodeError, EntryError
from tallystick.protocol.kinds.device import NAME_A_RECOVERY_KEY, REVOKED_MAX, DeviceClaim, claim_payload
from tallystick.protocol.kinds.recover import RecoverRequest
from tallystick.protocol.limits import SALT_SIZE_BYTES

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.device_ticket import MemberTicket
    from tallystick.node.identity import Identity
    from tallystick.node.transport import PeerKey
    from tallystick.node.view import View
    from tallystick.protocol.devices import Cut

GUEST_MS: Final = 3_600_000
GUESTS_MAX: Final = 16
KNOCK_WORDS: Final = "recovery"
KNOCK_REQUEST: Final = "request"


# -- at a partner ------------------------------------------------------------------------------------------------------


def member_ticket(core: NodeCore, member: bytes) -> MemberTicket:
    """Where somebody who has lost everything finds this ledger. It holds no secret."""
    from tallystick.node.device_ticket import MemberTicket

    # Every partner's node answers who comes back; a device ticket is known to the one that made it alone.
    return MemberTicket(place=place_of(core, ticket_addresses(core)), member=member)


def member_ticket_json(core: NodeCore, view: View, partner: str) -> dict[str, Any]:
    """The answer to `member_ticket`."""
    from tallystick.node.device_ticket import member_ticket_text
    from tallystick.node.resolve import resolve_member

    ticket = member_ticket(core, resolve_member(view, partner))
    return {
        "ticket": member_ticket_text(ticket),
        "ledger": ticket.place.ledger.hex(),
        "partner": ticket.member.hex(),
        "name": view.name(ticket.member),
        "addresses": list(ticket.place.addresses),
    }


def let_in(core: NodeCore, peer: PeerKey, request: list[Any], now: int) -> bytes | None:
    """Let whoever shows a member's recovery key fetch the ledger for an hour; None says nothing to others."""
    match request:
        case ["recovery", bytes(ledger), bytes(recovery), bytes(proof)] if ledger == core.ledger.id:
            if not core.ledger.head.height or not is_valid(recovery, _guest_message(ledger, peer), proof):
                return None
            if all(row.recovery != recovery for row in core.ledger.view(now).members.values()):
                return None
            while len(core.guests) >= GUESTS_MAX:
                del core.guests[next(iter(core.guests))]
            core.guests[peer] = now + GUEST_MS
            return codec.encode(["guest", core.ledger.head.height])
    return None


def take_request(core: NodeCore, peer: PeerKey, request: list[Any], now: int) -> bytes | None:
    """Take a request for new keys, or say how one stands that is known. Raises StoreError."""
    match request:
        case ["request", bytes(header), bytes(signature), annex] if annex is None or isinstance(annex, bytes):
            try:
                entry = read_entry_untrusted(header, signature, annex)
            except (DecodeError, EntryError):
                return None
            if (entry.ledger, entry.kind) != (core.ledger.id, RecoverRequest.KIND) or not core.ledger.head.height:
                return None
            if entry.body.get("node_key") != peer or not is_whole(entry):
                return None
            return _state_of(core, entry.id, now) if core.ledger.knows(entry.id) else _admit(core, entry, now)
    return None


def _admit(core: NodeCore, entry: Entry, now: int) -> bytes | None:
    if not core.intake.has_room(entry):
        return _refused("limit", "too many requests wait already")
    if not is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature):
        return None
    try:
        body = core.intake.judge(entry)
        result = core.ledger.try_out(entry, body, now)
        if result.reason is not None:
            return _refused(str(result.reason), result.detail)
        core.take_foreign(entry, body, now)
    except EntryError as error:
        return _refused(str(error.reason), error.detail)
    return _state_of(core, entry.id, now)


def _refused(reason: str, detail: str) -> bytes:
    return codec.encode(["refused", reason, detail])


def _state_of(core: NodeCore, request: bytes, now: int) -> bytes:
    state = core.ledger.view(now)
    row = state.recoveries.get(request)
    if row is None:
        entry = core.intake.find(request)
        device = None if entry is None else state.devices.get(entry.device)
        has_worked = device is not None and device.status == "active"
        return codec.encode([KNOCK_REQUEST, "recovered" if has_worked else "over", 0, 0, 0, 0, 0])
    needed = approvals_needed(state, row.member, now)
    return codec.encode(
        [KNOCK_REQUEST, "waits", len(row.approved), needed, row.ready, int(row.vetoed), int(row.overruled)]
    )


# -- on the new machine: with the words --------------------------------------------------------------------------------


def _guest_message(ledger: bytes, node_key: bytes) -> bytes:
    # Two items, so that it is never what the key consents to in a claim or a change.
    return signed_bytes(SignType.RECOVERY, ledger, codec.encode(["knock", node_key]))


def ask_in(ledger: bytes, recovery: SecretKey, node_key: bytes) -> bytes:
    """The knock that shows the recovery key."""
    return codec.encode([KNOCK_WORDS, ledger, recovery.public, recovery.sign(_guest_message(ledger, node_key))])


def read_guest_untrusted(response: bytes) -> int:
    """The height of the other node. Raises EnrolmentError."""
    match _decoded(response):
        case ["guest", int(height)]:
            return height
    raise EnrolmentError("the other node's answer cannot be read", reason="peer")


def claim(
    core: NodeCore, view: View, recovery: SecretKey, key: SecretKey, node: SecretKey, revoke: Sequence[Cut], now: int
) -> Entry:
    """Make this machine a device of whoever has the words, and revoke others of that member.

    Signed, durable and ready to be handed on. Raises NodeError where it would be void.
    """
    if len(revoke) > REVOKED_MAX:
        raise EnrolmentError(f"one claim revokes at most {REVOKED_MAX} devices", reason="limit")
    member = member_of(view, recovery.public)
    cuts = tuple(revoke)
    ledger = core.ledger.id
    payload = claim_payload(member, key.public, node.public, cuts)
    body = DeviceClaim(
        member=member,
        node_key=node.public,
        recovery=recovery.public,
        source=_source(view, recovery.public),
        consent=recovery.sign(signed_bytes(SignType.RECOVERY, ledger, payload)),
        possession=_possession(ledger, key, node, recovery.public),
        revoke=cuts or None,
    )
    head = core.ledger.head
    entry = make_entry(
        key,
        ledger=ledger,
        seq=0,
        prev=None,
        links=core.ledger.links_for(body.refs(), None, now),
        seal=(head.height, head.block_id) if head.height else None,
        time=now,
        kind=DeviceClaim.KIND,
        body=body.to_map(),
        annex=None,
    )
    try:
        judged = core.intake.judge(entry)
        result = core.ledger.try_out(entry, judged, now)
    except EntryError as error:
        raise EnrolmentError(f"it would be refused: {error}", reason=str(error.reason)) from error
    if result.reason is not None:
        raise EnrolmentError(f"it would be void: {result.reason} ({result.detail})", reason=str(result.reason))
    core.submit(entry, now)
    return entry


def member_of(view: View, recovery: bytes) -> bytes:
    """Whose recovery key this is. Raises NodeError: other-words."""
    for member_id, member in view.preview.members.items():
        if member.recovery == recovery:
            return member_id
    raise NodeError(
        "these words belong to no member of this ledger",
        reason="other-words",
        exit_code=ExitCode.USAGE,
        hint="compare with your paper; words that were changed work no more",
    )


def others_of(view: View, member: bytes) -> list[bytes]:
    """Devices of a member that can be revoked, the oldest first."""
    rows = [(row.since, key) for key, row in view.preview.devices.items() if row.member == member]
    return [key for _, key in sorted(rows) if view.preview.devices[key].status in ("active", "frozen")]


def _source(view: View, recovery: bytes) -> bytes:
    """The entry in which the member named its recovery key."""
    for entry in view.entries_with(recovery):
        if entry.kind in NAME_A_RECOVERY_KEY and entry.body.get("recovery") == recovery:
            return entry.id
    raise EnrolmentError("the entry that names this recovery key is not here", reason="not-found")


def _possession(ledger: bytes, key: SecretKey, node: SecretKey, recovery: bytes) -> bytes:
    return node.sign(signed_bytes(SignType.POSSESSION, ledger, codec.encode([key.public, node.public, recovery])))


# -- on the new machine: without anything ------------------------------------------------------------------------------


def request_entry(ticket: MemberTicket, identity: Identity, key: SecretKey, node: SecretKey, now: int) -> Entry:
    """The signed request for new keys to an old id."""
    ledger = ticket.place.ledger
    body = RecoverRequest(
        member=ticket.member,
        node_key=node.public,
        recovery=identity.recovery,
        possession=_possession(ledger, key, node, identity.recovery),
    )
    return make_entry(
        key,
        ledger=ledger,
        seq=0,
        prev=None,
        links=(ticket.member,),
        seal=None,
        time=now,
        kind=RecoverRequest.KIND,
        body=body.to_map(),
        annex=encode_annex(secrets.token_bytes(SALT_SIZE_BYTES), {"name": identity.name}),
    )


def ask_recovery(entry: Entry) -> bytes:
    """The knock that hands in a request, or asks how it stands."""
    return codec.encode([KNOCK_REQUEST, entry.header, entry.signature, entry.annex])


def read_request_untrusted(response: bytes) -> dict[str, Any]:
    """How a request stands. Raises EnrolmentError with the reason of a refusal."""
    match _decoded(response):
        case ["request", ("waits" | "recovered" | "over") as state, int(count), int(needed), int(ready), vetoed, over]:
            return {
                "state": state,
                "approvals": count,
                "needed": needed,
                "ready": ready or None,
                "vetoed": vetoed == 1,
                "overruled": over == 1,
            }
        case ["refused", str(reason), str(detail)]:
            raise EnrolmentError(
                f"the other node refuses the request: {reason[:64]}{f' ({detail[:200]})' if detail else ''}",
                reason=reason[:64],
            )
    raise EnrolmentError("the other node's answer cannot be read", reason="peer")


def _decoded(data: bytes) -> list[Any]:
    try:
        value = codec.decode(data)
    except DecodeError:
        return []
    return value if isinstance(value, list) else []
