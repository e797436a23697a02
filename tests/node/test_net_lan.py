"""The search in the local network: what is announced, what is believed, and two that find each other by multicast."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from zeroconf import Zeroconf

from tallystick.crypto.keys import SecretKey
from tallystick.node import net_lan
from tallystick.node.net_address import peer_id
from tallystick.node.net_lan import ADDRESSES_MAX, Lan, ports_of, read_service_untrusted, service_type
from tests.support.transports import in_trio

ANA, BO = (SecretKey.from_seed(bytes([number]) * 32).public for number in (1, 2))
LEDGER, OTHER = b"l" * 32, b"o" * 32


def address(where: str, peer: bytes = ANA) -> str:
    return f"{where}/p2p/{peer_id(peer)}"


def test_service_type_does_not_tell_the_ledger() -> None:
    """It is a hash under a tag of its own, short enough for DNS-SD, and another for each ledger."""
    kind = service_type(LEDGER)
    label = kind.split(".")[0].removeprefix("_")
    assert kind.endswith("._tcp.local.") and len(label) <= 15
    assert LEDGER.hex()[:4] not in kind
    assert service_type(OTHER) != kind == service_type(LEDGER)


def test_what_is_announced() -> None:
    """One service for each port, with all its addresses; names and nonsense are left out."""
    rows = ports_of(
        [
            address("/ip4/192.0.2.1/tcp/4001"),
            address("/ip6/2001:db8::1/tcp/4001"),
            address("/ip4/192.0.2.1/tcp/4002"),
            address("/dns/ana.example/tcp/4001"),
            "nonsense",
        ]
    )
    assert [(row.port, row.ips) for row in rows] == [(4001, ("192.0.2.1", "2001:db8::1")), (4002, ("192.0.2.1",))]


@pytest.mark.parametrize(
    ("properties", "ips", "port", "found"),
    [
        ({b"id": peer_id(ANA).encode()}, ["192.0.2.1"], 4001, [address("/ip4/192.0.2.1/tcp/4001")]),
        ({b"id": peer_id(ANA).encode()}, ["2001:db8::1"], 4001, [address("/ip6/2001:db8::1/tcp/4001")]),
        ({b"id": peer_id(ANA).encode()}, ["fe80::1%eth0", "FE80::1"], 4001, []),
        ({b"id": peer_id(ANA).encode()}, ["192.0.2.1"], 0, []),
        ({b"id": peer_id(ANA).encode()}, ["192.0.2.1"], None, []),
        ({b"id": peer_id(ANA).encode()}, ["evil.example", "1.2.3.4/../"], 4001, []),
        ({b"id": b"\xff\x00/p2p/x"}, ["192.0.2.1"], 4001, []),
        ({b"id": b""}, ["192.0.2.1"], 4001, []),
        ({b"id": None}, ["192.0.2.1"], 4001, []),
        ({}, ["192.0.2.1"], 4001, []),
    ],
)
def test_what_is_believed(
    properties: dict[bytes, bytes | None], ips: list[str], port: int | None, found: list[str]
) -> None:
    """Anybody can announce anything: only whole addresses with a node key come out, and only so many."""
    assert read_service_untrusted(properties, ips, port) == found
    assert len(read_service_untrusted(properties, ips * 100, port)) <= ADDRESSES_MAX


class Wall:
    """Notes what a search finds, and waits for it."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._news = trio.Event()

    def __call__(self, addresses: list[str]) -> None:
        self.found.update(addresses)
        self._news.set()
        self._news = trio.Event()

    async def until(self, wanted: str) -> None:
        while wanted not in self.found:
            await self._news.wait()


def only_here(patch: pytest.MonkeyPatch) -> None:
    """Keep what a test announces on this machine: multicast over loopback, which needs no network either."""

    def local(**options: Any) -> Zeroconf:
        return Zeroconf(interfaces=["127.0.0.1"], **options)

    patch.setattr(net_lan, "Zeroconf", local)


@in_trio
async def test_two_of_one_ledger_find_each_other_and_a_new_address() -> None:
    """By real multicast; another ledger's search hears nothing of it, and the loop never waits."""
    ana, bo, cy = Wall(), Wall(), Wall()
    with pytest.MonkeyPatch.context() as patch:
        only_here(patch)
        searches = [Lan(LEDGER, ANA, ana), Lan(LEDGER, BO, bo), Lan(OTHER, BO, cy)]
        searches[0].announce([address("/ip4/127.0.0.1/tcp/4001")])
        searches[1].announce([address("/ip4/127.0.0.1/tcp/4002", BO)])
        async with trio.open_nursery() as nursery:
            for each in searches:
                nursery.start_soon(each.run)
            longest = 0.0

            async def measure() -> None:
                nonlocal longest
                while True:
                    since = trio.current_time()
                    await trio.sleep(0.005)
                    longest = max(longest, trio.current_time() - since)

            nursery.start_soon(measure)
            await ana.until(address("/ip4/127.0.0.1/tcp/4002", BO))
            await bo.until(address("/ip4/127.0.0.1/tcp/4001"))
            searches[1].announce([address("/ip4/127.0.0.1/tcp/4003", BO)])
            await ana.until(address("/ip4/127.0.0.1/tcp/4003", BO))
            nursery.cancel_scope.cancel()
    assert cy.found == set()
    assert address("/ip4/127.0.0.1/tcp/4001") not in ana.found
    assert longest < 0.5


@in_trio
async def test_search_goes_on_where_multicast_is_not_possible() -> None:
    """A machine without a network has a node all the same, and the search begins once there is one."""
    wall = Wall()
    tries = []

    def fails(**_options: Any) -> Zeroconf:
        tries.append(trio.lowlevel.in_trio_run())
        raise OSError("no network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(net_lan, "Zeroconf", fails)
        patch.setattr(net_lan, "AGAIN_S", 0.01)
        search = Lan(LEDGER, ANA, wall)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(search.run)
            while len(tries) < 3:  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert not any(tries)


@in_trio
async def test_node_finds_nobody_by_itself() -> None:
    """Our own announcement comes back to us, and is no peer."""
    wall = Wall()
    with pytest.MonkeyPatch.context() as patch:
        only_here(patch)
        search = Lan(LEDGER, ANA, wall)
        search._hear([address("/ip4/127.0.0.1/tcp/4001"), address("/ip4/127.0.0.1/tcp/4002", BO)])
        assert wall.found == {address("/ip4/127.0.0.1/tcp/4002", BO)}
        search._hear([address("/ip4/127.0.0.1/tcp/4001")])
        assert wall.found == {address("/ip4/127.0.0.1/tcp/4002", BO)}
