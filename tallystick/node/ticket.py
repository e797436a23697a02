"""The invitation as a text that can be sent, typed and scanned: `tally1…`, bech32m.

    data = canonical array [1, ledger, invite, founding charter hash, [anchor height, anchor block id],
                            [address, ...], secret, standing, expires]

Whoever holds it can ask to come in: it is for one person, once. The ledger id is the hash of the founding entry, so a
ticket cannot lead to another ledger than it says, whoever answers at its addresses.

Source: docs/spec/membership.md#ticket
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tallystick.crypto import bech32m
from tallystick.crypto.errors import TextError
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.net_address import read_address_untrusted
from tallystick.node.transport import DialError
from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError
from tallystick.protocol.limits import TIME_MS_MAX

PREFIX: Final = "tally"
VERSION: Final = 1
ADDRESSES_MAX: Final = 8
ADDRESS_LENGTH_MAX: Final = 256
SIZE_BYTES_MAX: Final = 4096
_STANDINGS: Final = ("partner", "contributor", "observer")
AROUND: Final = " \t\r\n\"'`()[]<>\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb.,;:"
"""What people and programs put before and after a quoted text; none of it can be part of a ticket."""


#: What a text is for that begins so, whichever of them was expected.
USES: Final = {
    "tally": "this is an invitation: `tally join TICKET`",
    "tallyd": "this is for one more computer of a partner: `tally join --device TICKET`",
    "tallyr": "this is the reply of a new computer: `tally device add --reply REPLY`",
    "tallym": "this is for coming back: `tally recover words TICKET`, or `tally recover request TICKET`",
}


class TicketError(NodeError):
    """A text that is no ticket, or no ticket any more."""

    def __init__(self, detail: str, *, reason: str = "ticket-damaged", hint: str = "") -> None:
        super().__init__(
            f"this is no valid ticket: {detail}",
            reason=reason,
            exit_code=ExitCode.UNTRUSTED,
            hint=hint or "copy the whole text again, from `tally1` to its end, or ask for a new one",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What an invitation's text holds."""

    ledger: bytes
    invite: bytes
    """Id of the `invite` entry."""
    charter: bytes
    """Hash of the founding charter."""
    anchor: tuple[int, bytes]
    """(height, id) of the newest block when it was made: the ledger must have it."""
    addresses: tuple[str, ...]
    """Where partners' nodes may be reached, each with `/p2p/ID`."""
    secret: bytes
    """Seed of the invitation's key."""
    standing: str
    expires: int
    """UTC milliseconds."""


def to_text(ticket: Ticket) -> str:
    """The ticket as a text, with the first 8 addresses of at most 256 characters."""
    addresses = [address for address in ticket.addresses if len(address) <= ADDRESS_LENGTH_MAX]
    data = codec.encode(
        [
            VERSION,
            ticket.ledger,
            ticket.invite,
            ticket.charter,
            list(ticket.anchor),
            addresses[:ADDRESSES_MAX],
            ticket.secret,
            ticket.standing,
            ticket.expires,
        ]
    )
    return bech32m.encode(PREFIX, data)


def read_ticket_untrusted(text: str) -> Ticket:
    """Read what somebody pasted. Blanks, line breaks, and signs of quoting on the lines or around it are forgiven.

    Raises TicketError: ticket-damaged with what is wrong, ticket-too-new.
    """
    try:
        prefix, data = bech32m.decode(text.strip(AROUND))
    except TextError as error:
        raise TicketError(error.detail or str(error.reason)) from None
    if prefix != PREFIX:
        raise TicketError(f"it begins with {prefix[:16]!r} and not with 'tally1'", hint=USES.get(prefix, ""))
    try:
        value = codec.decode(data, size_max=SIZE_BYTES_MAX)
    except DecodeError as error:
        raise TicketError(f"its content is not that of a ticket ({error})") from None
    if isinstance(value, list) and value and type(value[0]) is int and value[0] > VERSION:
        raise TicketError("a newer program made it: update this one", reason="ticket-too-new")
    ticket = _read(value)
    if ticket is None:
        raise TicketError("its content is not that of a ticket")
    for address in ticket.addresses:
        try:
            read_address_untrusted(address)
        except DialError as error:
            raise TicketError(f"an address in it cannot be used ({error.detail})") from None
    return ticket


def _read(value: Any) -> Ticket | None:
    match value:
        case [
            version,
            bytes(ledger),
            bytes(invite),
            bytes(charter),
            [height, bytes(block_id)],
            list(addresses),
            bytes(secret),
            str(standing),
            expires,
        ] if all(len(each) == 32 for each in (ledger, invite, charter, block_id, secret)):
            if type(version) is not int or version != VERSION or not _is_whole(height) or not _is_whole(expires):
                return None
            if standing not in _STANDINGS or not _are_addresses(addresses):
                return None
            return Ticket(
                ledger=ledger,
                invite=invite,
                charter=charter,
                anchor=(height, block_id),
                addresses=tuple(addresses),
                secret=secret,
                standing=standing,
                expires=expires,
            )
    return None


def _are_addresses(rows: list[Any]) -> bool:
    return len(rows) <= ADDRESSES_MAX and all(isinstance(row, str) and len(row) <= ADDRESS_LENGTH_MAX for row in rows)


def _is_whole(value: Any) -> bool:
    # A truth value is an int to Python, and two tickets would say the same.
    return type(value) is int and 0 <= value <= TIME_MS_MAX
