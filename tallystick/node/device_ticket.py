"""Texts by which a person brings a machine of its own into a ledger: three kinds, all bech32m as an invitation is.

    tallyd1…  device ticket: [1, ledger, founding charter hash, anchor, addresses, device that adds, secret, expires]
    tallyr1…  reply, where there is no network: [1, ledger, device that adds, signing key, node key, two signatures]
    tallym1…  member ticket, for recovery: [1, ledger, founding charter hash, anchor, addresses, member]

Whoever holds a device ticket can become a device of that person, once, within minutes, while a computer of that person
waits for it. A reply and a member ticket hold no secret.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tallystick.crypto import bech32m
from tallystick.crypto.errors import TextError
from tallystick.node.net_address import read_address_untrusted
from tallystick.node.ticket import ADDRESS_LENGTH_MAX, ADDRESSES_MAX, AROUND, SIZE_BYTES_MAX, USES, TicketError
from tallystick.node.transport import DialError
from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError
from tallystick.protocol.limits import TIME_MS_MAX

DEVICE: Final = "tallyd"
REPLY: Final = "tallyr"
MEMBER: Final = "tallym"
VERSION: Final = 1
_NAMES: Final = {DEVICE: "device ticket", REPLY: "reply", MEMBER: "member ticket"}
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which ledger, and where it can be had."""

    ledger: bytes
    charter: bytes
    """Hash of the founding charter."""
    anchor: tuple[int, bytes]
    """(height, id) of the newest block when the text was made."""
    addresses: tuple[str, ...]

    def to_value(self) -> list[Any]:
        addresses = [address for address in self.addresses if len(address) <= ADDRESS_LENGTH_MAX][:ADDRESSES_MAX]
        return [self.ledger, self.charter, list(self.anchor), addresses]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTicket:
    """For a new machine of one's own."""

    place: Place
    device: bytes
    """The signing key of the machine that will add the new one."""
    secret: bytes
    """Seed of a key that both machines know for a moment."""
    expires: int
    """UTC milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReply:
    """What the new machine says, to be carried back by hand."""

    ledger: bytes
    adder: bytes
    device: bytes
    node_key: bytes
    possession: bytes
    possession_node: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberTicket:
    """For somebody who comes back with recovery words, or without anything."""

    place: Place
    member: bytes


def device_ticket_text(ticket: DeviceTicket) -> str:
    return _write(DEVICE, [*ticket.place.to_value(), ticket.device, ticket.secret, ticket.expires])


def device_reply_text(reply: DeviceReply) -> str:
    return _write(
        REPLY, [reply.ledger, reply.adder, reply.device, reply.node_key, reply.possession, reply.possession_node]
    )


def member_ticket_text(ticket: MemberTicket) -> str:
    return _write(MEMBER, [*ticket.place.to_value(), ticket.member])


def read_device_ticket_untrusted(text: str) -> DeviceTicket:
    """Raises TicketError: ticket-damaged with what is wrong, ticket-too-new."""
    match _read(DEVICE, text):
        case [ledger, charter, anchor, addresses, bytes(device), bytes(secret), expires] if len(device) == len(
            secret
        ) == 32 and _is_whole(expires):
            place = _place(DEVICE, ledger, charter, anchor, addresses)
            return DeviceTicket(place=place, device=device, secret=secret, expires=expires)
    raise _none(DEVICE)


def read_device_reply_untrusted(text: str) -> DeviceReply:
    """Raises TicketError: ticket-damaged with what is wrong, ticket-too-new."""
    match _read(REPLY, text):
        case [bytes(ledger), bytes(adder), bytes(device), bytes(node_key), bytes(one), bytes(two)] if (
            len(ledger) == len(adder) == len(device) == len(node_key) == 32 and len(one) == len(two) == _SIGNATURE_BYTES
        ):
            return DeviceReply(
                ledger=ledger, adder=adder, device=device, node_key=node_key, possession=one, possession_node=two
            )
    raise _none(REPLY)


def read_member_ticket_untrusted(text: str) -> MemberTicket:
    """Raises TicketError: ticket-damaged with what is wrong, ticket-too-new."""
    match _read(MEMBER, text):
        case [ledger, charter, anchor, addresses, bytes(member)] if len(member) == 32:
            return MemberTicket(place=_place(MEMBER, ledger, charter, anchor, addresses), member=member)
    raise _none(MEMBER)


def _write(prefix: str, fields: list[Any]) -> str:
    return bech32m.encode(prefix, codec.encode([VERSION, *fields]))


def _read(prefix: str, text: str) -> list[Any]:
    """The fields after the version."""
    try:
        found, data = bech32m.decode(text.strip(AROUND))
    except TextError as error:
        raise _damaged(prefix, error.detail or str(error.reason)) from None
    if found != prefix:
        raise _damaged(prefix, f"it begins with {found[:16]!r} and not with '{prefix}1'", USES.get(found, ""))
    try:
        value = codec.decode(data, size_max=SIZE_BYTES_MAX)
    except DecodeError as error:
        raise _damaged(prefix, f"its content is not that of a {_NAMES[prefix]} ({error})") from None
    if not isinstance(value, list) or not value or type(value[0]) is not int:
        raise _none(prefix)
    if value[0] > VERSION:
        raise TicketError("a newer program made it: update this one", reason="ticket-too-new")
    if value[0] != VERSION:
        raise _none(prefix)
    return value[1:]


def _place(prefix: str, ledger: Any, charter: Any, anchor: Any, addresses: Any) -> Place:
    match ledger, charter, anchor, addresses:
        case bytes(), bytes(), [height, bytes(block_id)], list() if (
            len(ledger) == len(charter) == len(block_id) == 32 and _is_whole(height) and _are_addresses(addresses)
        ):
            for address in addresses:
                try:
                    read_address_untrusted(address)
                except DialError as error:
                    raise _damaged(prefix, f"an address in it cannot be used ({error.detail})") from None
            return Place(ledger=ledger, charter=charter, anchor=(height, block_id), addresses=tuple(addresses))
    raise _none(prefix)


def _are_addresses(rows: list[Any]) -> bool:
    return len(rows) <= ADDRESSES_MAX and all(isinstance(row, str) and len(row) <= ADDRESS_LENGTH_MAX for row in rows)


def _is_whole(value: Any) -> bool:
    # A truth value is an int to Python, and two texts would say the same.
    return type(value) is int and 0 <= value <= TIME_MS_MAX


def _none(prefix: str) -> TicketError:
    return _damaged(prefix, f"its content is not that of a {_NAMES[prefix]}")


def _damaged(prefix: str, detail: str, hint: str = "") -> TicketError:
    hint = hint or f"copy the whole text again, from `{prefix}1` to its end, or ask for a new one"
    return TicketError(detail, hint=hint)
