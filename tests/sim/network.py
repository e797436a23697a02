"""The queue of events, and the network between machines: streams that break, gossip that is lost, doubled and late.

A stream keeps its order and loses nothing until it breaks; then all that is on its way is gone. Whoever comes back may
hear again what was said before: an honest peer sends what it does not know to have arrived.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Final

from tallystick.node.transport import Frame, Gossip, PeerDown, PeerUp

if TYPE_CHECKING:
    from tallystick.node.core import Event
    from tests.sim.cluster import Machine

#: How the frames begin that may come twice: entries, heads, announcements and sealing messages.
_MAY_COME_TWICE: Final = (b"\xa7entries", b"\xa5heads", b"\xa3new", b"\xa7sealing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """How bad the network is."""

    delay_ms: tuple[int, int] = (5, 60)
    gossip_lost: float = 0.3
    gossip_doubled: float = 0.0
    """A second copy, at another time, perhaps of a connection that is over."""
    said_again: int = 0
    """So many of the last frames of a stream come again when it is made anew."""


@dataclass(slots=True)
class Walls:
    """Who cannot reach whom at the moment."""

    groups: dict[str, int] = field(default_factory=dict)
    """Name -> the part of the network it is in."""
    only: frozenset[str] | None = None
    """The two who meet, where nobody else can."""

    def stand_between(self, one: str, other: str) -> bool:
        if self.only is not None and not {one, other} <= self.only:
            return True
        return self.groups.get(one, 0) != self.groups.get(other, 0)


class Network:
    """Time, and what goes between machines. `Cluster` adds what machines are."""

    machines: dict[str, Machine]

    def __init__(self, seed: int, start_ms: int, air: Air) -> None:
        self.random = Random(seed)
        self.now = start_ms
        self.air = air
        self.walls = Walls()
        self.links: dict[tuple[str, str], int] = {}
        """(lower name, higher name) -> number of the connection."""
        self.events = 0
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._last: dict[tuple[str, str], int] = {}
        self._said: dict[tuple[str, str], deque[bytes]] = {}
        self._trace = sha256()

    @property
    def digest(self) -> str:
        """What has happened so far, in one number."""
        return self._trace.hexdigest()[:16]

    def note(self, what: str) -> None:
        """Make something part of the trace."""
        self._trace.update(f"{self.now} {what}\n".encode())

    def feed(self, machine: Machine, event: Event) -> None:
        """Hand an event to a machine."""
        raise NotImplementedError

    # -- time ----------------------------------------------------------------------------------------------------------

    def at(self, delay_ms: int, what: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay_ms, self._number, what))

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        until = self.now + for_ms
        while self._queue and self._queue[0][0] <= until:
            self.now, _, what = heapq.heappop(self._queue)
            what()
            self.events += 1
        self.now = until

    def run_until(self, is_so: Callable[[], bool], within_ms: int, what: str = "") -> None:
        """Let time pass until something is so; AssertionError with the seed if it is not in time."""
        until = self.now + within_ms
        while not is_so():
            assert self._queue and self._queue[0][0] <= until, self.failure(f"not in time: {what}")
            self.now, _, step = heapq.heappop(self._queue)
            step()
            self.events += 1

    def run_unless(self, is_so: Callable[[], bool], for_ms: int) -> None:
        """Let time pass, until something is so or for so long."""
        until = self.now + for_ms
        while not is_so() and self._queue and self._queue[0][0] <= until:
            self.now, _, step = heapq.heappop(self._queue)
            step()
            self.events += 1

    def failure(self, what: str) -> str:
        """A message that says how to see it again."""
        raise NotImplementedError

    # -- streams -------------------------------------------------------------------------------------------------------

    def connect(self, one: str, other: str) -> None:
        """Open a stream between two machines, if both are on, both let the other in and nothing is between them."""
        a, b = sorted((one, other))
        left, right = self.machines[a], self.machines[b]
        if (a, b) in self.links or left.core is None or right.core is None or self.walls.stand_between(a, b):
            return
        if not left.core.is_member(right.key) or not right.core.is_member(left.key):
            return
        self._number += 1
        self.links[a, b] = self._number
        self.feed(left, PeerUp(peer=right.key, outbound=True, relayed=False, address=""))
        self.feed(right, PeerUp(peer=left.key, outbound=False, relayed=False, address=""))
        for way in ((a, b), (b, a)):
            again, self._said[way] = self._said.get(way, deque()), deque(maxlen=self.air.said_again)
            for frame in again:
                self._send(self.machines[way[0]], self.machines[way[1]], frame)

    def disconnect(self, one: str, other: str) -> None:
        """Cut a stream: what is on its way is lost."""
        a, b = sorted((one, other))
        if self.links.pop((a, b), None) is None:
            return
        for name, peer in ((a, b), (b, a)):
            if self.machines[name].core is not None:
                self.feed(self.machines[name], PeerDown(peer=self.machines[peer].key, reason="cut"))

    def connect_all(self) -> None:
        names = sorted(self.machines)
        for index, one in enumerate(names):
            for other in names[index + 1 :]:
                self.connect(one, other)

    def disconnect_all(self) -> None:
        for pair in list(self.links):
            self.disconnect(*pair)

    def part(self, groups: dict[str, int]) -> None:
        """Cut the network in parts; an empty mapping makes it one again."""
        self.walls.groups = groups
        self._cut_at_walls()

    def only(self, pair: frozenset[str] | None) -> None:
        """From now on only these two can reach each other; None: everybody everybody."""
        self.walls.only = pair
        self._cut_at_walls()
        if pair is not None:
            self.connect(*sorted(pair))

    def _cut_at_walls(self) -> None:
        for pair in [pair for pair in self.links if self.walls.stand_between(*pair)]:
            self.disconnect(*pair)

    def by_key(self, key: bytes) -> Machine | None:
        return next((row for row in self.machines.values() if row.key == key), None)

    def _send(self, machine: Machine, other: Machine, frame: bytes) -> None:
        a, b = sorted((machine.name, other.name))
        number = self.links.get((a, b))
        if number is None:
            return
        # Streams keep their order, whatever the delay of a packet was.
        way = (machine.name, other.name)
        at = max(self._last.get(way, 0), self.now + self.random.randint(*self.air.delay_ms))
        self._last[way] = at
        if self.air.said_again and frame[1:].startswith(_MAY_COME_TWICE):
            self._said[way].append(frame)

        def arrive() -> None:
            if self.links.get((a, b)) == number:
                self._trace.update(f"{self.now} {way} ".encode() + sha256(frame).digest())
                self.oracles.arrived(frame)
                self.feed(other, Frame(peer=machine.key, data=frame))

        self.at(at - self.now, arrive)

    # -- gossip --------------------------------------------------------------------------------------------------------

    def _publish(self, machine: Machine, data: bytes) -> None:
        """Gossip goes to neighbours; some of it is lost, some comes twice, and none of it keeps any order."""
        for pair in list(self.links):
            if machine.name not in pair:
                continue
            other = self.machines[pair[0] if pair[1] == machine.name else pair[1]]
            copies = int(self.random.random() >= self.air.gossip_lost)
            if self.air.gossip_doubled:
                copies += int(self.random.random() < self.air.gossip_doubled)
            for number in range(copies):
                delay = self.random.randint(*self.air.delay_ms) * (1 + 20 * number)
                self.at(delay, lambda other=other: self._hint(other, machine, data))  # type: ignore[misc]

    def _hint(self, other: Machine, machine: Machine, data: bytes) -> None:
        self.feed(other, Gossip(data=data, peer=machine.key, author=machine.key))
