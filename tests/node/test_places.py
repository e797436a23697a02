"""What a ticket says of where a partner can be found, and how a newcomer goes by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from tallystick.node import joining
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import ContactRow
from tallystick.node.home import Home
from tallystick.node.identity import create_identity
from tallystick.node.joining import UnreachableError
from tallystick.node.knock import InvitationError
from tallystick.node.net_address import peer_id
from tallystick.node.places import OWN_MAX, ticket_addresses
from tallystick.node.store_memory import MemoryStore
from tallystick.node.ticket import ADDRESSES_MAX
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.support.transports import ANA, BO, CY, in_trio


class Known:
    """As much of a node as its tickets are made from."""

    class Sync:
        addresses: list[str]

    def __init__(self, own: int) -> None:
        self.archive = Archive(MemoryStore())
        self.sync = self.Sync()
        self.sync.addresses = [f"/ip4/192.0.2.1/tcp/{port}" for port in range(1, own + 1)]
        self.strangers: set[bytes] = set()

    def is_member(self, peer: bytes) -> bool:
        return peer not in self.strangers

    def met(self, number: int, address: str | None = None) -> str:
        address = f"/ip4/198.51.100.{number}/tcp/4001" if address is None else address
        self.archive.keep_contact(bytes([number]) * 32, ContactRow(address, number, 1))
        return address


def places(known: Known) -> list[str]:
    core: Any = known
    return list(ticket_addresses(core))


def test_ticket_names_others_who_were_reached_latest_first() -> None:
    """This node first; then others, so that somebody answers while this computer sleeps. Never more than fit."""
    known = Known(own=2)
    others = [known.met(number) for number in range(1, 10)]
    assert places(known) == [*known.sync.addresses, *reversed(others[3:])]
    assert len(places(known)) == ADDRESSES_MAX


def test_own_addresses_leave_room_for_others() -> None:
    """A machine with many addresses does not fill the ticket with them, unless there is nobody else."""
    known = Known(own=20)
    assert places(known) == known.sync.addresses[:ADDRESSES_MAX]
    one = known.met(1)
    assert places(known) == [*known.sync.addresses[: ADDRESSES_MAX - 1], one]
    for number in range(2, 6):
        known.met(number)
    assert places(known)[:OWN_MAX] == known.sync.addresses[:OWN_MAX]
    assert len(places(known)) == ADDRESSES_MAX


def test_only_members_who_were_dialled_are_named() -> None:
    """Not who always came to us, not who is a member no more, not what is too long for a ticket."""
    known = Known(own=1)
    known.met(1, "")
    known.met(2)
    known.strangers.add(bytes([2]) * 32)
    known.met(3, "/dns/" + "a" * 300 + "/tcp/1")
    good = known.met(4)
    assert places(known) == [*known.sync.addresses, good]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.create(tmp_path / "dora")
    create_identity(made, name="Dora", passphrase="words")
    return made


@in_trio
async def test_newcomer_asks_all_and_takes_who_answers(home: Home) -> None:
    """One does not listen, one has not heard of the invitation, one answers. Nobody's silence is the end."""
    silent, answers = (Libp2pTransport(seed, listen=("/ip4/127.0.0.1/tcp/0",)) for seed in (BO, CY))

    async def nothing(_peer: bytes, _data: bytes) -> bytes | None:
        return None

    async def yes(_peer: bytes, data: bytes) -> bytes | None:
        return b"yes, " + data

    silent.set_knock_handler(nothing)
    answers.set_knock_handler(yes)
    nobody = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(Libp2pTransport(ANA, listen=()).peer_key)}"
    async with silent.running(), answers.running():
        first, second = silent.addresses()[0], answers.addresses()[0]
        async with joining.knocking(home, [nobody, first, second]) as request:
            since = trio.current_time()
            assert await request(b"please") == b"yes, please"
            assert trio.current_time() - since < 3 * joining.NEXT_S
        async with joining.knocking(home, [nobody, first]) as request:
            with pytest.raises(InvitationError):
                await request(b"please")
        async with joining.knocking(home, [nobody]) as request:
            with pytest.raises(UnreachableError, match="refused"):
                await request(b"please")
        async with joining.knocking(home, []) as request:
            with pytest.raises(UnreachableError, match="names no address"):
                await request(b"please")
