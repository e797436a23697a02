"""Many nodes of one ledger in one process, on a clock that jumps: real cores, real dialling, a network in memory.

A node here is what `service` makes of one, less the disk and the threads: signatures are judged at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

import trio

from tallystick.crypto.signatures import is_valid
from tallystick.node.archive import Archive
from tallystick.node.core import Event, NodeCore
from tallystick.node.dialer import Dialer
from tallystick.node.effects import AskRoom, Effect, HangUp, Learn, Publish, Recheck, Send, Verified, Verify, Wake
from tallystick.node.guard import MemoryGuard
from tallystick.node.neighbours import circle_of, ties_of
from tallystick.node.reach import Reach
from tallystick.node.store_memory import MemoryStore
from tallystick.node.transport import PeerDown, PeerUp
from tallystick.node.transport_memory import MemoryNetwork
from tests.support.builders import Person
from tests.support.kept import Kept

TOPIC = "crowd"


class Laptop:
    """One node, from switching it on to switching it off."""

    def __init__(self, crowd: Crowd, person: Person, number: int, store: MemoryStore) -> None:
        self.crowd = crowd
        self.person = person
        self.number = number
        self.store = store
        self.transport = crowd.network.transport(
            person.node.seed, listen=(f"/ip4/127.0.0.1/tcp/{5000 + number}",), topic=TOPIC
        )
        self.key = person.node.public
        self.dialer = Dialer(self.key, number)
        archive = Archive(store)
        ledger, _ = archive.load(crowd.kept.ledger.id, check_root=False)
        self.core = NodeCore(
            archive=archive, ledger=ledger, node_key=person.node, device=person.secret.public, now=crowd.now()
        )
        self.reach = Reach(
            self.transport,
            self.dialer,
            archive,
            is_wanted=self.core.is_member,
            is_resting=lambda: False,
            stirred=lambda: None,
            clock=crowd.now,
            circle=lambda: circle_of(self.core),
            ties=lambda: ties_of(self.core),
        )
        self.scope = trio.CancelScope()
        self.most = 0
        """The most neighbours that it ever had at a time."""

    async def run(self) -> None:
        """Be on until the scope is cancelled."""
        self.transport.set_gate(self.core.is_member)
        for _, addresses in self.core.archive.peers():
            self.dialer.learn(addresses)
        with self.scope:
            async with self.transport.running(), trio.open_nursery() as nursery:
                self.core.sync.addresses = self.transport.addresses()
                nursery.start_soon(self._tick)
                nursery.start_soon(self.reach.run)
                async for event in self.transport.events:
                    self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case PeerUp():
                if not self.reach.up(event, self.crowd.now()):
                    return
                self.most = max(self.most, len(self.neighbours()))
            case PeerDown(peer=peer):
                session = self.core.sync.sessions.get(peer)
                self.reach.down(event, -1 if session is None else session.height, self.crowd.now())
        self.feed(event)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(max(0.5, (self.core.wake - self.crowd.now()) / 1000))
            self.feed(Wake())

    def feed(self, event: Event) -> None:
        self.perform(self.core.handle(event, self.crowd.now()))

    def perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer=peer, frames=frames):
                    for frame in frames:
                        self.transport.send(peer, frame)
                case AskRoom(peer=peer):
                    self.transport.ask_room(peer)
                case Verify(job=job, checks=checks):
                    self.feed(Verified(job, [is_valid(*check) for check in checks]))
                case Publish(data=data):
                    self.transport.publish(data)
                case HangUp(peer=peer, blame=blame, rest=rest):
                    assert not blame, "everybody here is honest"
                    if rest:
                        self.dialer.rest(peer, self.crowd.now())
                    self.transport.disconnect(peer)
                case Recheck():
                    self.transport.recheck()
                    self.reach.members_changed()
                case Learn(addresses=addresses, hearsay=hearsay):
                    self.reach.learn(addresses, hearsay=hearsay)

    def neighbours(self) -> set[bytes]:
        """Who is connected, but for those that seal."""
        return set(self.core.sync.sessions) - self.crowd.sealers


@dataclass
class Crowd:
    """Partners of one ledger, of whom the first seals."""

    kept: Kept
    seed: int
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    laptops: dict[str, Laptop] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.sealers = frozenset(row.node_key for row in self.kept.ledger.sealers())
        self._image = self.kept.store.image()  # type: ignore[attr-defined]

    def now(self) -> int:
        return self.kept.now + round(trio.current_time() * 1000)

    def place(self, name: str) -> str:
        """Where a partner's node is reached."""
        from tallystick.node.net_address import peer_id

        number = list(self.kept.people).index(name)
        return f"/ip4/127.0.0.1/tcp/{5000 + number}/p2p/{peer_id(self.kept.people[name].node.public)}"

    def switch_on(self, nursery: trio.Nursery, name: str, *knows: str) -> Laptop:
        """A partner starts its node, for the first time with the ledger and these partners' addresses."""
        old = self.laptops.get(name)
        store = MemoryStore(guard=MemoryGuard()) if old is None else old.store
        if old is None:
            store.restore(self._image)
        laptop = Laptop(self, self.kept.people[name], list(self.kept.people).index(name), store)
        laptop.dialer.learn([self.place(other) for other in knows])
        self.laptops[name] = laptop
        nursery.start_soon(laptop.run)
        return laptop

    def switch_off(self, name: str) -> None:
        self.laptops[name].scope.cancel()

    def running(self) -> list[Laptop]:
        return [each for each in self.laptops.values() if not each.scope.cancel_called]

    def pieces(self) -> list[set[bytes]]:
        """The parts in which those that run hang together, without those that seal."""
        left = {each.key: each.neighbours() for each in self.running() if each.key not in self.sealers}
        found = []
        while left:
            piece, edge = set(), [next(iter(left))]
            while edge:
                key = edge.pop()
                if key in left:
                    piece.add(key)
                    edge += left.pop(key)
            found.append(piece)
        return found
