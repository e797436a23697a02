"""The ticket: there and back, through mail and paper, and every kind of damage with its words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto import bech32m
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.net_address import peer_id
from tallystick.node.ticket import ADDRESSES_MAX, Ticket, TicketError, read_ticket_untrusted, to_text
from tallystick.protocol import codec

PEER = peer_id(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
ADDRESS = f"/ip4/192.168.1.7/tcp/4001/p2p/{PEER}"
TICKET = Ticket(
    ledger=b"\1" * 32,
    invite=b"\2" * 32,
    charter=b"\3" * 32,
    anchor=(7, b"\4" * 32),
    addresses=(ADDRESS, f"/dns4/ana.example.org/tcp/4001/p2p/{PEER}"),
    secret=b"\5" * 32,
    standing="partner",
    expires=1_772_323_200_000,
)
TEXT = to_text(TICKET)
FIELDS: list[Any] = [
    1,
    TICKET.ledger,
    TICKET.invite,
    TICKET.charter,
    list(TICKET.anchor),
    list(TICKET.addresses),
    TICKET.secret,
    TICKET.standing,
    TICKET.expires,
]
_ids = st.binary(min_size=32, max_size=32)
_wholes = st.integers(0, 2**53 - 1)
_hosts = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"/ip4/{ip}"),
    st.ip_addresses(v=6).map(lambda ip: f"/ip6/{ip}"),
    st.from_regex(r"[a-z]{1,10}\.[a-z]{2,5}", fullmatch=True).map(lambda name: f"/dns/{name}"),
)
_addresses = st.builds(
    lambda host, port, key: f"{host}/tcp/{port}/p2p/{peer_id(key)}", _hosts, st.integers(1, 65535), _ids
)
_tickets = st.builds(
    Ticket,
    ledger=_ids,
    invite=_ids,
    charter=_ids,
    anchor=st.tuples(_wholes, _ids),
    addresses=st.lists(_addresses, max_size=ADDRESSES_MAX).map(tuple),
    secret=_ids,
    standing=st.sampled_from(["partner", "contributor", "observer"]),
    expires=_wholes,
)


def packed(*fields: Any) -> str:
    """A text with a good checksum around whatever fields."""
    return bech32m.encode("tally", codec.encode(list(fields)))


def with_field(place: int, value: Any) -> str:
    return packed(*FIELDS[:place], value, *FIELDS[place + 1 :])


def refusal(text: str) -> TicketError:
    with pytest.raises(TicketError) as caught:
        read_ticket_untrusted(text)
    error = caught.value
    assert error.exit_code is ExitCode.UNTRUSTED
    assert error.message.startswith("this is no valid ticket: ") and error.message.isprintable()
    assert "tally1" in error.hint or "`tally " in error.hint
    assert isinstance(error, NodeError)
    return error


@given(_tickets)
def test_tickets_round_trip(ticket: Ticket) -> None:
    """Also in the capitals of a picture."""
    text = to_text(ticket)
    assert text.startswith("tally1") and text.isascii() and text.islower()
    assert read_ticket_untrusted(text) == read_ticket_untrusted(text.upper()) == ticket


def test_the_text_is_fixed() -> None:
    """Byte for byte: what is sent today is read by every later version."""
    assert packed(*FIELDS) == TEXT
    assert TEXT == (
        "tally1nyquggqpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpq8zzqqszqgpqyqszqgpqyqszqgpqyqszqgpqyq"
        "szqgpqyqszqgpqyqszcssqxqcrqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqcrqvpsxqujqlzzqpqyqszqgpqyqszqgpqyqs"
        "zqgpqyqszqgpqyqszqgpqyqszqgpqyjtv4ytmfwq6z7vfexghrzd3c9ccjude0w33hqte5xqcrztmsxfcz7vfjgse5kmm02ag5kv"
        "thdejkvm6vwf34vjrzvfhxvdt5f3axymms24jrxjenvfryzm62wpqnwk22vaxr2uzkm9tj7erwwv6z7ctwvyhx27rpd4cxcefwda"
        "exwtm5vdcz7dpsxqcj7upjwqhnzvjyxd9k7m6h299nzamwv4nx7nrjvdtyscnzdenr2azv0f3x7uz4vse5kvmzgeqk7jnsgym4jj"
        "n8fs6hq4kyyqzs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zs2pg9q5zstfmsv9e8gmn9wt8sqqqpnjntrhqqd6k4ja"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"  {TEXT}\n",
        f"> {TEXT[:70]}\n> {TEXT[70:140]}\n> {TEXT[140:]}\n",
        f">> {TEXT[:70]}\r\n>> {TEXT[70:]}",
        "\n".join(TEXT[at : at + 64] for at in range(0, len(TEXT), 64)),
        " ".join(TEXT[at : at + 4] for at in range(0, len(TEXT), 4)),
        f'"{TEXT}"',
        f"'{TEXT}'",
        f"`{TEXT}`",
        f"<{TEXT}>",
        f"\u201e{TEXT}\u201c",
        f"\u00ab {TEXT} \u00bb",
        f"({TEXT}).",
        f"{TEXT},",
        TEXT.upper(),
        f"\ufeff{TEXT[:30]}\u200b{TEXT[30:60]}\u00ad{TEXT[60:]}",
    ],
)
def test_what_mail_and_people_add_is_forgiven(text: str) -> None:
    """Blanks, line ends, quoting on each line or around the whole, the full stop of a sentence."""
    assert read_ticket_untrusted(text) == TICKET


def test_only_so_many_addresses_are_taken() -> None:
    """The first ones; and none that nobody could read again."""
    many = tuple(f"/ip4/10.0.0.{number}/tcp/4001/p2p/{PEER}" for number in range(20))
    assert read_ticket_untrusted(to_text(replace(TICKET, addresses=many))).addresses == many[:ADDRESSES_MAX]
    long = f"/dns/{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 60}/tcp/4001/p2p/{PEER}"
    assert read_ticket_untrusted(to_text(replace(TICKET, addresses=(long, *many)))).addresses == many[:ADDRESSES_MAX]
    assert read_ticket_untrusted(to_text(replace(TICKET, addresses=()))).addresses == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no text"),
        (" \n> ", "there is no text"),
        ("hello", "followed by the digit 1, is missing"),
        (TEXT[6:], "followed by the digit 1, is missing"),
        ("Tally" + TEXT[5:], "mixes capitals"),
        (TEXT[:11], "its end is missing"),
        (TEXT[:80], ""),
        (TEXT[:-1], ""),
        (TEXT[100:], ""),
        (TEXT + TEXT, ""),
        (TEXT[:50] + "i" + TEXT[51:], f"character 51 of {len(TEXT)} (i) is never used"),
        (TEXT[:50] + "\u00fc" + TEXT[51:], f"character 51 of {len(TEXT)} is never used"),
        (TEXT[:50] + ("q" if TEXT[50] != "q" else "p") + TEXT[51:], f"character 51 of {len(TEXT)} looks mistyped"),
        (TEXT[:50] + TEXT[51] + TEXT[50] + TEXT[52:], ""),
        (TEXT[:50] + TEXT[90:130] + TEXT[50:90] + TEXT[130:], ""),
        ("q" * 200_000, "characters"),
        (bech32m.encode("bc", codec.encode(FIELDS)), "begins with 'bc' and not with 'tally1'"),
        (bech32m.encode("tall", codec.encode(FIELDS)), "begins with 'tall' and not"),
        (bech32m.encode("x" * 80, codec.encode(FIELDS)), "begins with 'xxxxxxxxxxxxxxxx' and not"),
        (bech32m.encode("tally", b""), "not that of a ticket (truncated"),
        (bech32m.encode("tally", codec.encode(FIELDS) + b"\0"), "(trailing-bytes"),
        (bech32m.encode("tally", codec.encode(FIELDS)[:-1]), "(truncated"),
        (bech32m.encode("tally", b"\xca\0\0\0\0"), "(float"),
        (bech32m.encode("tally", b"\xc4\xff" + bytes(255) + bytes(4000)), "(too-large"),
        (bech32m.encode("tally", bytes(4097)), "(too-large"),
        (packed(), "not that of a ticket"),
        (bech32m.encode("tally", codec.encode({"v": 1})), "not that of a ticket"),
        (bech32m.encode("tally", codec.encode("tally")), "not that of a ticket"),
        (packed(*FIELDS[:-1]), "not that of a ticket"),
        (packed(*FIELDS, None), "not that of a ticket"),
        (with_field(0, 0), "not that of a ticket"),
        (with_field(0, True), "not that of a ticket"),
        (with_field(0, "1"), "not that of a ticket"),
        (with_field(0, -1), "not that of a ticket"),
        (with_field(1, bytes(31)), "not that of a ticket"),
        (with_field(1, "1" * 32), "not that of a ticket"),
        (with_field(2, bytes(33)), "not that of a ticket"),
        (with_field(2, None), "not that of a ticket"),
        (with_field(3, b""), "not that of a ticket"),
        (with_field(4, []), "not that of a ticket"),
        (with_field(4, [7]), "not that of a ticket"),
        (with_field(4, [7, bytes(31)]), "not that of a ticket"),
        (with_field(4, [-1, bytes(32)]), "not that of a ticket"),
        (with_field(4, [False, bytes(32)]), "not that of a ticket"),
        (with_field(4, [2**53, bytes(32)]), "not that of a ticket"),
        (with_field(4, [7, bytes(32), 0]), "not that of a ticket"),
        (with_field(5, ADDRESS), "not that of a ticket"),
        (with_field(5, [ADDRESS.encode()]), "not that of a ticket"),
        (with_field(5, [ADDRESS] * 9), "not that of a ticket"),
        (with_field(5, [f"/dns/{'a' * 250}/tcp/1/p2p/{PEER}"]), "not that of a ticket"),
        (with_field(5, [""]), "an address in it cannot be used"),
        (with_field(5, [ADDRESS, "/ip4/1.2.3.4/tcp/4001"]), "an address in it cannot be used ('/ip4/1.2.3.4/tcp/4001'"),
        (with_field(5, [f"/ip4/1.2.3.4/tcp/0/p2p/{PEER}"]), "the port is a number"),
        (with_field(5, [f"/ip4/1.2.3.4/tcp/70000/p2p/{PEER}"]), "the port is a number"),
        (with_field(5, [f"/ip4/1.2.3.256/tcp/1/p2p/{PEER}"]), "an address in it cannot be used"),
        (with_field(5, [f"/unix/1.2.3.4/tcp/1/p2p/{PEER}"]), "cannot dial /unix"),
        (with_field(5, [f"/ip4/1.2.3.4/tcp/1/p2p/{PEER[:-1]}"]), "an address in it cannot be used"),
        (with_field(5, [f"/dns/\x1b[31m\u202e/tcp/1/p2p/{PEER}"]), "not a host name"),
        (with_field(6, bytes(31)), "not that of a ticket"),
        (with_field(6, "secret"), "not that of a ticket"),
        (with_field(7, "founder"), "not that of a ticket"),
        (with_field(7, ""), "not that of a ticket"),
        (with_field(7, b"partner"), "not that of a ticket"),
        (with_field(8, -1), "not that of a ticket"),
        (with_field(8, True), "not that of a ticket"),
        (with_field(8, None), "not that of a ticket"),
        (with_field(8, 2**53), "not that of a ticket"),
    ],
)
def test_damage_is_refused_and_worded(text: str, words: str) -> None:
    """Cut, mistyped, exchanged, another text, or content that no ticket has."""
    error = refusal(text)
    assert error.reason == "ticket-damaged"
    assert re.search(re.escape(words), error.message), error.message
    assert TICKET.secret.hex() not in str(error)


def test_text_of_another_kind_says_what_it_is_for() -> None:
    """The newest computer of a partner is brought in by another command."""
    assert "`tally join --device TICKET`" in refusal(bech32m.encode("tallyd", codec.encode(FIELDS))).hint
    assert "`tally recover words TICKET`" in refusal(bech32m.encode("tallym", codec.encode(FIELDS))).hint
    assert "from `tally1`" in refusal(bech32m.encode("tallyx", codec.encode(FIELDS))).hint


@pytest.mark.parametrize("fields", [[2], [2, "anything"], [99, *FIELDS[1:]], [2**40]])
def test_a_newer_ticket_says_so(fields: list[Any]) -> None:
    """Whatever a later version puts into it, its first field is its version."""
    error = refusal(packed(*fields))
    assert error.reason == "ticket-too-new"
    assert "update" in error.message


@given(st.integers(0, 10_000), st.sampled_from(bech32m.ALPHABET))
def test_one_wrong_character_is_never_taken(place: int, letter: str) -> None:
    """Anywhere behind the prefix; it is refused, with its place where that can be told, and never mended."""
    at = 6 + place % (len(TEXT) - 6)
    if TEXT[at] != letter:
        assert f"character {at + 1} of" in refusal(TEXT[:at] + letter + TEXT[at + 1 :]).message


@given(st.text(max_size=200), st.binary(max_size=200))
def test_nothing_does_worse_than_a_refusal(text: str, data: bytes) -> None:
    """Whatever somebody pastes, and whatever bytes somebody packs."""
    for each in (text, "tally1" + text, TEXT[:100] + text, bech32m.encode("tally", data)):
        if each != TEXT:
            refusal(each)
