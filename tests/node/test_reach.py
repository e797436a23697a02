"""How a node comes to its peers, in memory and on a clock that jumps: directly, through a third, directly again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import wraps

import trio
import trio.testing

from tallystick.node.archive import Archive
from tallystick.node.archive_rows import ContactRow
from tallystick.node.dialer import Dialer
from tallystick.node.net_address import peer_id
from tallystick.node.racing import Way, first_of
from tallystick.node.reach import AGAIN_MS_MIN, LAN_MAX, RELAYED_MAX, Reach, _where
from tallystick.node.session import Session
from tallystick.node.store_memory import MemoryStore
from tallystick.node.transport import DialError, DialReason, PeerDown, PeerUp
from tallystick.node.transport_memory import MemoryNetwork, MemoryTransport
from tests.support.transports import ANA, BO, CY

START_MS = 1_700_000_000_000


def on_a_clock(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test in no time: the clock jumps to whatever is waited for."""

    @wraps(test)
    def run() -> None:
        trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))

    return run


class Partner:
    """A transport and how it reaches others, with a store that outlives both."""

    def __init__(self, network: MemoryNetwork, seed: bytes, archive: Archive | None = None) -> None:
        self.transport: MemoryTransport = network.transport(seed)
        self.key = self.transport.peer_key
        self.archive = archive or Archive(MemoryStore())
        self.dialer = Dialer(self.key, 1)
        self.members: set[bytes] = set()
        self.said: list[tuple[str, bytes, bool]] = []
        self.reach = Reach(
            self.transport,
            self.dialer,
            self.archive,
            is_wanted=self.members.__contains__,
            is_resting=lambda: False,
            stirred=lambda: None,
            clock=self.now,
        )

    @staticmethod
    def now() -> int:
        return START_MS + round(trio.current_time() * 1000)

    @property
    def address(self) -> str:
        return self.transport.addresses()[0]

    async def pump(self) -> None:
        async for event in self.transport.events:
            match event:
                case PeerUp():
                    self.said.append(("up", event.peer, event.relayed))
                    self.reach.up(event, self.now())
                case PeerDown():
                    self.said.append(("down", event.peer, False))
                    self.reach.down(event, 7, self.now())
                case _:
                    continue


async def begin(stack: AsyncExitStack, nursery: trio.Nursery, *partners: Partner) -> None:
    """Run them as members of one ledger."""
    keys = {each.key for each in partners}
    for each in partners:
        each.members |= keys
        each.transport.set_gate(each.members.__contains__)
        await stack.enter_async_context(each.transport.running())
    for each in partners:
        nursery.start_soon(each.pump)
        nursery.start_soon(each.reach.run)


async def until(is_so: Callable[[], bool], within_s: float = 30.0) -> float:
    """Wait until something is so, and return how long that was."""
    since = trio.current_time()
    with trio.fail_after(within_s):
        while not is_so():  # noqa: ASYNC110
            await trio.sleep(0.01)
    return trio.current_time() - since


@on_a_clock
async def test_first_address_that_answers_wins() -> None:
    """Of many addresses of which most lead nowhere, the good one is found within moments, wherever it stands."""
    network = MemoryNetwork()
    ana, bo = Partner(network, ANA), Partner(network, BO)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo)
        dead = [f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(bo.key)}" for port in range(1, 9)]
        ana.reach.learn([*dead[:4], bo.address, *dead[4:]])
        assert await until(lambda: bo.key in ana.transport.peers()) < 1
        contact = ana.archive.contact(bo.key)
        assert contact is not None and contact.address == bo.address
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_who_cannot_be_dialled_is_reached_through_a_third() -> None:
    """The direct dials are not waited out. Later the direct way opens, and is found by itself."""
    network = MemoryNetwork()
    ana, bo, cy = Partner(network, ANA), Partner(network, BO), Partner(network, CY)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo, cy)
        network.cut(ana.transport, cy.transport)
        ana.reach.learn([bo.address, cy.address])
        cy.reach.learn([bo.address])
        assert await until(lambda: cy.key in ana.transport.peers()) < 4
        assert ("up", cy.key, True) in ana.said
        network.heal(ana.transport, cy.transport)
        passed = await until(lambda: ("up", cy.key, False) in ana.said, within_s=2 * AGAIN_MS_MIN / 1000)
        assert passed > AGAIN_MS_MIN / 2000
        assert ana.said[-2:] == [("down", cy.key, False), ("up", cy.key, False)]
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_new_address_of_one_behind_a_third_is_tried_at_once() -> None:
    """Nobody waits a minute for the next look when the other has just said where it is."""
    network = MemoryNetwork()
    ana, bo, cy = Partner(network, ANA), Partner(network, BO), Partner(network, CY)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo, cy)
        ana.reach.learn([bo.address, f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(cy.key)}"])
        cy.reach.learn([bo.address])
        await until(lambda: ("up", cy.key, True) in ana.said)
        ana.reach.learn([cy.address])
        assert await until(lambda: ("up", cy.key, False) in ana.said) < 1
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_others_are_asked_for_few_ways_only() -> None:
    """Who sits behind a router among many such connects to some of them through a third, not to all."""
    network = MemoryNetwork()
    ana, bo = Partner(network, ANA), Partner(network, BO)
    hidden = [Partner(network, bytes([number]) * 32) for number in range(1, RELAYED_MAX + 5)]
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo, *hidden)
        for each in hidden:
            network.cut(ana.transport, each.transport)
            each.reach.learn([bo.address])
        await until(lambda: len(bo.transport.peers()) == len(hidden))
        ana.reach.learn([bo.address])
        await until(lambda: bo.key in ana.transport.peers())
        for each in hidden:
            ana.reach.learn([each.address])
            await trio.sleep(5)
        await trio.sleep(60)
        assert len(ana.transport.peers()) == 1 + RELAYED_MAX
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_local_network_is_believed_for_members_only() -> None:
    """What anybody announced is dialled once the key belongs to a member, and crowds out nothing."""
    network = MemoryNetwork()
    ana, bo = Partner(network, ANA), Partner(network, BO)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo)
        ana.members.discard(bo.key)
        ana.reach.found([bo.address])
        await trio.sleep(60)
        assert ana.transport.peers() == [] and ana.dialer.peers() == []
        ana.members.add(bo.key)
        await until(lambda: bo.key in ana.transport.peers())
        for number in range(2 * LAN_MAX):
            stranger = bytes([number % 256, number // 256]) + bytes(30)
            ana.reach.found([f"/ip4/10.0.0.1/tcp/{port}/p2p/{peer_id(stranger)}" for port in range(1, 20)])
        assert ana.dialer.peers() == [bo.key]
        assert len(ana.reach._lan) <= LAN_MAX and all(len(rows) <= 4 for rows in ana.reach._lan.values())
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_what_worked_last_is_remembered_over_a_restart() -> None:
    """The next start begins with the address that led there, and knows when and how far the other was."""
    network = MemoryNetwork()
    ana, bo = Partner(network, ANA), Partner(network, BO)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, ana, bo)
        ana.reach.learn([bo.address, f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(bo.key)}"])
        await until(lambda: bo.key in ana.transport.peers())
        await trio.sleep(5)
        ana.transport.disconnect(bo.key)
        await until(lambda: ("down", bo.key, False) in ana.said)
        contact = ana.archive.contact(bo.key)
        assert contact is not None and 0 <= Partner.now() - contact.at < 100
        assert contact == ContactRow(bo.address, contact.at, 7)
        nursery.cancel_scope.cancel()
        where = bo.address
    again = Partner(network, b"d" * 32, ana.archive)
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        await begin(stack, nursery, again)
        await until(lambda: again.dialer.addresses(bo.key) == [where])
        nursery.cancel_scope.cancel()


@on_a_clock
async def test_race_takes_the_first_and_gives_up_the_others() -> None:
    """A way that hangs delays the next by a moment; one that fails delays it not at all."""
    ended: list[str] = []
    failed: list[DialError] = []

    def way(name: str, takes_s: float, result: str | None) -> Way[str]:
        async def go() -> str | None:
            try:
                await trio.sleep(takes_s)
                if result is None:
                    raise DialError(DialReason.REFUSED, name)
            finally:
                ended.append(name)
            return result

        return go

    since = trio.current_time()
    ways = [way("hangs", 100, "late"), way("fails", 0.1, None), way("wins", 1, "here"), way("loses", 2, "there")]
    assert await first_of(ways, 0.25, failed.append) == "here"
    assert trio.current_time() - since == 0.25 + 0.1 + 1
    assert sorted(ended) == ["fails", "hangs", "loses", "wins"] and [str(each) for each in failed] == ["refused: fails"]
    assert await first_of([way("fails", 1, None)], 0.25, failed.append) is None
    assert await first_of([], 0.25, failed.append) is None


def session(address: str, *, outbound: bool, relayed: bool = False) -> Session:
    return Session(BO, address, outbound, relayed, START_MS)


def test_where_somebody_is_shown_to_be_can_be_dialled_if_possible() -> None:
    """Where it listens on the machine it came from; else the place it came from, since that shows the way."""
    listens = [f"/ip4/127.0.0.1/tcp/4001/p2p/{peer_id(BO)}", f"/ip6/fd77::11/tcp/4001/p2p/{peer_id(BO)}"]
    assert _where(session("/ip6/fd77::11/tcp/55555", outbound=False), listens) == listens[1]
    assert _where(session("/ip6/fd77::12/tcp/55555", outbound=False), listens) == "/ip6/fd77::12/tcp/55555"
    assert _where(session("/ip4/127.0.0.1/tcp/4001", outbound=True), []) == listens[0]
    through = f"/p2p/{peer_id(CY)}/p2p-circuit"
    assert _where(session(through, outbound=True, relayed=True), listens) == through
    assert _where(session("", outbound=False), listens) == ""
