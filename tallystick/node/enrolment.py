"""A second machine of one's own: how it gives its keys to the first one, which adds it to the ledger.

The first machine makes a ticket with a one-time secret and waits for ten minutes; for so long it holds the signing key
in memory. The new machine knocks and shows the ticket's secret with its new keys, and what comes back is the signed
`device.add`. The ledger itself then comes by sync, or in a bundle.

    ["device", ledger, ticket key, signing key, possession, possession of the node key, proof]
      -> ["added", header, signature, annex or nil] | ["refused", reason, detail]

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.node.device_ticket import DeviceReply, DeviceTicket, Place, device_ticket_text
from tallystick.node.errors import ExitCode, NodeError
from tallystick.protocol import codec
from tallystick.protocol.charter import from_bytes
from tallystick.protocol.devices import possession_payload
from tallystick.protocol.entry import Entry, read_entry_untrusted, signed_message
from tallystick.protocol.errors import DecodeError, EntryError

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.transport import PeerKey

TICKET_MS: Final = 600_000
#: Tickets that may wait at a time: each holds the signing key.
TICKETS_MAX: Final = 4
KNOCK: Final = "device"


class EnrolmentError(NodeError):
    """The other machine does not take this device."""

    def __init__(self, message: str, *, reason: str = "ticket-refused", hint: str = "") -> None:
        super().__init__(message, reason=reason, exit_code=ExitCode.REFUSED, hint=hint)


@dataclass(slots=True)
class OpenTicket:
    """A ticket that waits for its machine."""

    key: SecretKey
    """The signing key with which the new machine is added."""
    scope: str
    label: str | None
    expires: int
    device: bytes | None = None
    """The machine that has used it: an answer that was lost may be asked for again."""
    entry: Entry | None = None


# -- on the machine that adds ------------------------------------------------------------------------------------------


def place_of(core: NodeCore, addresses: Sequence[str] | None = None) -> Place:
    """Where this ledger can be had: at these addresses, or only here."""
    founding = core.intake.find(core.ledger.id_at(1))
    if founding is None or not core.ledger.head.height:
        raise NodeError("the ledger is not here yet", reason="not-a-member", exit_code=ExitCode.REFUSED)
    return Place(
        ledger=core.ledger.id,
        charter=from_bytes(founding.body["charter"]).hash,
        anchor=(core.ledger.head.height, core.ledger.head.block_id),
        addresses=tuple(core.sync.addresses if addresses is None else addresses),
    )


def issue(core: NodeCore, key: SecretKey, *, scope: str, label: str | None, now: int) -> DeviceTicket:
    """Make a ticket and wait for its machine. Raises NodeError where this device may add none."""
    drop_expired(core, now)
    if len(core.tickets) >= TICKETS_MAX:
        raise EnrolmentError(
            f"{TICKETS_MAX} device tickets wait already", reason="limit", hint="use one, or wait ten minutes"
        )
    secret = SecretKey.from_seed(secrets.token_bytes(32))
    ticket = DeviceTicket(place=place_of(core), device=core.device, secret=secret.seed, expires=now + TICKET_MS)
    core.tickets[secret.public] = OpenTicket(key, scope, label, ticket.expires)
    return ticket


def drop_expired(core: NodeCore, now: int) -> None:
    """Let go of the signing key in tickets whose time is over."""
    for public in [public for public, row in core.tickets.items() if row.expires < now]:
        del core.tickets[public]


def take(core: NodeCore, peer: PeerKey, request: list[Any], now: int) -> bytes | None:
    """Answer a new machine that knocks; None says nothing to whoever has no ticket of ours. Raises StoreError."""
    drop_expired(core, now)
    match request:
        case [
            "device",
            bytes(ledger),
            bytes(public),
            bytes(device),
            bytes(possession),
            bytes(possession_node),
            bytes(proof),
        ] if ledger == core.ledger.id and len(device) == 32:
            ticket = core.tickets.get(public)
            if ticket is None or not is_valid(public, _proof_message(ledger, device, peer), proof):
                return None
            if ticket.device is not None:
                return _answer(ticket.entry) if ticket.device == device and ticket.entry is not None else None
            args = _args(device, peer, possession, possession_node, ticket.scope, ticket.label)
            return _add(core, ticket, device, args, now)
    return None


def _add(core: NodeCore, ticket: OpenTicket, device: bytes, args: dict[str, Any], now: int) -> bytes:
    from tallystick.node.desk import Desk

    try:
        written = Desk(core).do("device_add", args, ticket.key, now)
    except NodeError as error:
        return codec.encode(["refused", error.reason, error.message[:200]])
    ticket.device, ticket.entry = device, core.intake.find(bytes.fromhex(written["entry"]))
    return _answer(ticket.entry)


def _answer(entry: Entry | None) -> bytes:
    assert entry is not None, "what was just submitted is here"
    return codec.encode(["added", entry.header, entry.signature, entry.annex])


def _args(
    device: bytes, node_key: bytes, possession: bytes, possession_node: bytes, scope: str, label: str | None
) -> dict[str, Any]:
    """The arguments of the operation `device_add`."""
    return {
        "device": device.hex(),
        "node_key": node_key.hex(),
        "possession": possession.hex(),
        "possession_node": possession_node.hex(),
        "scope": scope,
        "label": label,
    }


def args_of_reply(reply: DeviceReply, *, scope: str, label: str | None) -> dict[str, Any]:
    """The arguments of `device_add` for a machine whose reply was carried here by hand."""
    return _args(reply.device, reply.node_key, reply.possession, reply.possession_node, scope, label)


# -- on the new machine ------------------------------------------------------------------------------------------------


def reply_to(ticket: DeviceTicket, key: SecretKey, node: SecretKey) -> DeviceReply:
    """Both new keys sign that they belong together, and to whom they ask to be added."""
    ledger = ticket.place.ledger
    payload = possession_payload(key.public, node.public, ticket.device)
    message = signed_bytes(SignType.POSSESSION, ledger, payload)
    return DeviceReply(
        ledger=ledger,
        adder=ticket.device,
        device=key.public,
        node_key=node.public,
        possession=key.sign(message),
        possession_node=node.sign(message),
    )


def ask_to_add(ticket: DeviceTicket, key: SecretKey, node: SecretKey) -> bytes:
    """The knock of a new machine."""
    reply = reply_to(ticket, key, node)
    secret = SecretKey.from_seed(ticket.secret)
    proof = secret.sign(_proof_message(reply.ledger, reply.device, reply.node_key))
    return codec.encode(
        [KNOCK, reply.ledger, secret.public, reply.device, reply.possession, reply.possession_node, proof]
    )


def read_added_untrusted(response: bytes, ticket: DeviceTicket, device: bytes) -> Entry:
    """The signed `device.add` out of the answer. Raises EnrolmentError with its reason."""
    try:
        value = codec.decode(response)
    except DecodeError:
        value = None
    match value:
        case ["added", bytes(header), bytes(signature), annex] if annex is None or isinstance(annex, bytes):
            try:
                entry = read_entry_untrusted(header, signature, annex)
            except (DecodeError, EntryError):
                raise _unreadable() from None
            is_ours = (entry.ledger, entry.device, entry.kind) == (ticket.place.ledger, ticket.device, "device.add")
            if not is_ours or entry.body.get("device") != device:
                raise _unreadable()
            if not is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature):
                raise _unreadable()
            return entry
        case ["refused", str(reason), str(detail)]:
            raise EnrolmentError(f"the other machine refused: {detail or reason}", reason=reason[:64])
    raise _unreadable()


def _unreadable() -> EnrolmentError:
    return EnrolmentError("the other machine's answer cannot be read", reason="peer")


def _proof_message(ledger: bytes, device: bytes, node_key: bytes) -> bytes:
    return signed_bytes(SignType.INVITE, ledger, codec.encode([KNOCK, device, node_key]))


def text_of(ticket: DeviceTicket) -> dict[str, Any]:
    """The answer to `device_ticket`."""
    return {
        "ticket": device_ticket_text(ticket),
        "ledger": ticket.place.ledger.hex(),
        "expires": ticket.expires,
        "addresses": list(ticket.place.addresses),
    }
