"""Texts for machines of a member: what was written is read, and what is damaged is refused with words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto import bech32m
from tallystick.node.device_ticket import (
    DEVICE,
    MEMBER,
    REPLY,
    DeviceReply,
    DeviceTicket,
    MemberTicket,
    Place,
    device_reply_text,
    device_ticket_text,
    member_ticket_text,
    read_device_reply_untrusted,
    read_device_ticket_untrusted,
    read_member_ticket_untrusted,
)
from tallystick.node.errors import ExitCode
from tallystick.node.net_address import peer_id
from tallystick.node.ticket import TicketError
from tallystick.protocol import codec

PEER = peer_id(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
PLACE = Place(
    ledger=bytes([1]) * 32,
    charter=bytes([2]) * 32,
    anchor=(7, bytes([3]) * 32),
    addresses=(f"/ip4/192.0.2.1/tcp/4001/p2p/{PEER}",),
)
TICKET = DeviceTicket(place=PLACE, device=bytes([4]) * 32, secret=bytes([5]) * 32, expires=1_790_000_000_000)
ANSWER = DeviceReply(
    ledger=bytes([1]) * 32,
    adder=bytes([4]) * 32,
    device=bytes([6]) * 32,
    node_key=bytes([7]) * 32,
    possession=bytes([8]) * 64,
    possession_node=bytes([9]) * 64,
)
LOST = MemberTicket(place=PLACE, member=bytes([10]) * 32)

Read = Callable[[str], Any]
READS: dict[str, Read] = {
    DEVICE: read_device_ticket_untrusted,
    REPLY: read_device_reply_untrusted,
    MEMBER: read_member_ticket_untrusted,
}
FIELDS: dict[str, list[Any]] = {
    DEVICE: [1, *PLACE.to_value(), TICKET.device, TICKET.secret, TICKET.expires],
    REPLY: [1, ANSWER.ledger, ANSWER.adder, ANSWER.device, ANSWER.node_key, ANSWER.possession, ANSWER.possession_node],
    MEMBER: [1, *PLACE.to_value(), LOST.member],
}


def text_of(prefix: str, fields: Any) -> str:
    return bech32m.encode(prefix, codec.encode(fields))


def test_each_text_is_read_as_it_was_written() -> None:
    """Its first letters say which one it is; signs of quoting around it are forgiven."""
    assert read_device_ticket_untrusted(device_ticket_text(TICKET)) == TICKET
    assert read_device_reply_untrusted(device_reply_text(ANSWER)) == ANSWER
    assert read_member_ticket_untrusted(member_ticket_text(LOST)) == LOST
    assert device_ticket_text(TICKET).startswith("tallyd1")
    assert device_reply_text(ANSWER).startswith("tallyr1")
    assert member_ticket_text(LOST).startswith("tallym1")
    assert read_member_ticket_untrusted(f' "{member_ticket_text(LOST).upper()}".\n') == LOST


@pytest.mark.parametrize("prefix", READS)
def test_the_layout_is_the_one_of_the_specification(prefix: str) -> None:
    """Another program can make them from the fields."""
    assert READS[prefix](text_of(prefix, FIELDS[prefix])) in (TICKET, ANSWER, LOST)


@pytest.mark.parametrize("prefix", READS)
@pytest.mark.parametrize("other", [*READS, "tally"])
def test_one_text_is_not_taken_for_another(prefix: str, other: str) -> None:
    """An invitation, too, is none of these; whoever mistook one for another is told what it is for."""
    if other != prefix:
        with pytest.raises(TicketError) as caught:
            READS[prefix](text_of(other, FIELDS.get(other, FIELDS[prefix])))
        assert (caught.value.reason, caught.value.exit_code) == ("ticket-damaged", ExitCode.UNTRUSTED)
        uses = {"tally": "tally join T", DEVICE: "tally join --device", REPLY: "--reply", MEMBER: "tally recover words"}
        assert uses[other] in caught.value.hint
    with pytest.raises(TicketError) as caught:
        READS[prefix](text_of(prefix, FIELDS[prefix])[:-1])
    assert f"{prefix}1" in caught.value.hint


@pytest.mark.parametrize("prefix", READS)
def test_a_newer_text_says_so(prefix: str) -> None:
    """The person should update, and not copy again."""
    with pytest.raises(TicketError) as caught:
        READS[prefix](text_of(prefix, [2, *FIELDS[prefix][1:]]))
    assert caught.value.reason == "ticket-too-new"


def damages(prefix: str) -> list[Any]:
    """Every field once with a wrong type, once with a wrong size; and lists of the wrong length."""
    fields = FIELDS[prefix]
    out: list[Any] = [[], [0, *fields[1:]], [True, *fields[1:]], fields[:-1], [*fields, 1], {"a": 1}, 7]
    for at in range(1, len(fields)):
        out += [[*fields[:at], wrong, *fields[at + 1 :]] for wrong in ("text", -1, None, b"", [b""])]
    return out


@pytest.mark.parametrize("prefix", READS)
def test_every_damage_is_refused_in_words(prefix: str) -> None:
    """Nothing else is raised, whatever is in it."""
    for fields in damages(prefix):
        with pytest.raises(TicketError):
            READS[prefix](text_of(prefix, fields))


@pytest.mark.parametrize("prefix", [DEVICE, MEMBER])
@pytest.mark.parametrize("addresses", [["/ip4/192.0.2.1"], ["x" * 257], ["/ip4/192.0.2.1/tcp/1"] * 9])
def test_addresses_that_cannot_be_used_are_refused(prefix: str, addresses: list[str]) -> None:
    """Before anything is dialled."""
    fields = [*FIELDS[prefix][:4], addresses, *FIELDS[prefix][5:]]
    with pytest.raises(TicketError):
        READS[prefix](text_of(prefix, fields))


@given(text=st.text(max_size=200))
def test_no_text_makes_a_reader_fail(text: str) -> None:
    """Whatever is pasted, the answer is a ticket or words."""
    for read in READS.values():
        with pytest.raises(TicketError):
            read(text)


@given(data=st.binary(max_size=300))
def test_no_content_makes_a_reader_fail(data: bytes) -> None:
    """The same for bytes that were well packed."""
    for prefix, read in READS.items():
        with pytest.raises(TicketError):
            read(bech32m.encode(prefix, data))
