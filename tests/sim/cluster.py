"""A cluster of real node cores on one event queue: the same seed gives the same trace, byte for byte.

What is real: `NodeCore` with everything in it, the archive, every signature. What is replaced: the clock (each node has
its own, off by so much), the network (streams with delay that break as a whole, gossip that is lost), and the disk
(`MemoryStore`, which loses what was not synced when the power is cut).

The oracles run after every event: see `oracles`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, Self
from unittest import mock

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import is_valid
from tallystick.node import desk as desk_module
from tallystick.node import founding, joining, knock, writes
from tallystick.node.archive import Archive, JoinRow
from tallystick.node.config import SealingTimes
from tallystick.node.core import Event, NodeCore
from tallystick.node.desk import Desk
from tallystick.node.effects import Effect, HangUp, Publish, Recheck, Send, Verified, Verify, Wake
from tallystick.node.guard import MemoryGuard
from tallystick.node.identity import Identity
from tallystick.node.joining import Joining
from tallystick.node.net_address import peer_id
from tallystick.node.store_memory import MemoryStore
from tallystick.node.ticket import read_ticket_untrusted
from tallystick.node.transport import Frame, Gossip, PeerDown, PeerUp
from tallystick.protocol.charter import Charter, read_charter

START_MS = 1_790_000_000_000
#: Sealing at a pace that suits a simulation: nothing waits for a person.
QUICK = SealingTimes(
    propose_ms=1000,
    propose_step_ms=500,
    vote_ms=500,
    vote_step_ms=200,
    timeout_ms_max=10_000,
    status_ms=1000,
    present_ms=3000,
    patience_ms=60_000,
)


class SimCrash(BaseException):
    """The machine dies at this very point. No `except Exception` may stop it."""


@dataclass(slots=True)
class Machine:
    """One partner's laptop."""

    name: str
    secret: SecretKey
    node: SecretKey
    recovery: SecretKey
    store: MemoryStore
    skew_ms: int = 0
    core: NodeCore | None = None
    """None while it is off."""
    boots: int = 0
    wake_at: int | None = None
    signed: dict[tuple[str, int, int, int], bytes] = field(default_factory=dict)
    acknowledged: list[bytes] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return self.node.public

    @property
    def live(self) -> NodeCore:
        """The running core."""
        assert self.core is not None, f"{self.name} is off"
        return self.core


class Cluster:
    """Machines, the links between them, and one queue of events."""

    def __init__(self, seed: int, *, delay_ms: tuple[int, int] = (5, 60), times: SealingTimes = QUICK) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = START_MS
        self.machines: dict[str, Machine] = {}
        self.ledger_id = b""
        self.times = times
        self.delay_ms = delay_ms
        self.links: dict[tuple[str, str], int] = {}
        """(lower name, higher name) -> number of the connection."""
        self.events = 0
        self.blocks: dict[int, bytes] = {}
        self.hang_ups: list[tuple[str, str]] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._last: dict[tuple[str, str], int] = {}
        self._trace = sha256()
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        luck = mock.Mock(token_bytes=self.random.randbytes)
        for module in (desk_module, writes, founding, joining):
            self._patches.enter_context(mock.patch.object(module, "secrets", luck))
        return self

    def __exit__(self, *args: object) -> None:
        self._patches.close()

    @property
    def digest(self) -> str:
        """What has happened so far, in one number."""
        return self._trace.hexdigest()[:16]

    # -- people ----------------------------------------------------------------------------------------------------

    def machine(self, name: str, skew_ms: int = 0) -> Machine:
        """A new laptop with its keys."""

        def key(use: str) -> SecretKey:
            return SecretKey.from_seed(sha256(f"sim/{use}/{name}".encode()).digest())

        machine = Machine(
            name, key("device"), key("node"), key("recovery"), MemoryStore(guard=MemoryGuard()), skew_ms=skew_ms
        )
        self.machines[name] = machine
        return machine

    def found(self, document: dict[str, Any], name: str, skew_ms: int = 0) -> Machine:
        """Somebody founds the ledger."""
        machine = self.machine(name, skew_ms)
        charter = read_charter(document)
        identity = self._identity(machine)
        entry = founding.founding_entry(charter, identity, machine.secret, machine.node, self.clock(machine))
        self.ledger_id = entry.id
        archive = Archive(machine.store)
        archive.begin(entry.id)
        archive.keep((entry,), sync=True)
        self.boot(machine)
        self.feed(machine, Wake())
        return machine

    def join(self, name: str, by: str, skew_ms: int = 0, standing: str = "partner") -> Machine:
        """Somebody joins with a ticket from a partner whose machine is on, over one knock each."""
        machine = self.machine(name, skew_ms)
        host = self.machines[by]
        answer = self.do(by, "invite", {"as": standing})
        ticket = read_ticket_untrusted(answer["ticket"])
        invite = SecretKey.from_seed(ticket.secret)
        core = host.live
        request = knock.ask_charter(invite, ticket.ledger, ticket.invite, machine.key)
        response = knock.answer(core, machine.key, request, self.clock(host))
        assert response is not None
        charter: Charter = knock.read_charter_untrusted(response)
        with (
            mock.patch.object(joining, "read_identity", return_value=self._identity(machine)),
            mock.patch.object(joining, "read_node_secret", return_value=machine.node),
        ):
            entry = Joining(mock.Mock(), ticket, charter).entry(machine.secret, self.clock(machine))
        archive = Archive(machine.store)
        archive.begin(ticket.ledger, join=JoinRow(ticket.charter, ticket.anchor, list(ticket.addresses)))
        archive.keep((entry,), sync=True)
        machine.acknowledged.append(entry.id)
        response = knock.answer(core, machine.key, knock.ask_join(entry), self.clock(host))
        assert response is not None
        knock.read_joined_untrusted(response)
        self.perform(host, core.effects())
        self.boot(machine, trusted=(host.key,))
        return machine

    def _identity(self, machine: Machine) -> Identity:
        return Identity(
            name=machine.name, device=machine.secret.public, recovery=machine.recovery.public, words_confirmed=True
        )

    def do(self, name: str, op: str, args: dict[str, Any] | None = None) -> Any:
        """Somebody does something at a machine that is on. Raises NodeError as the desk does."""
        machine = self.machines[name]
        core = machine.live
        self._trace.update(f"{self.now} {name} {op} {sorted((args or {}).items())}\n".encode())
        answer = Desk(core).do(op, args or {}, machine.secret, self.clock(machine))
        if isinstance(answer, dict) and answer.get("entry"):
            machine.acknowledged.append(bytes.fromhex(answer["entry"]))
        self.perform(machine, core.effects())
        self._plan_wake(machine)
        return answer

    # -- machines --------------------------------------------------------------------------------------------------

    def clock(self, machine: Machine) -> int:
        """What the clock of a machine says."""
        return self.now + machine.skew_ms

    def boot(self, machine: Machine, trusted: tuple[bytes, ...] = ()) -> None:
        """Switch a machine on."""
        archive = Archive(machine.store)
        ledger, loose = archive.load(self.ledger_id)
        machine.boots += 1
        machine.core = NodeCore(
            archive=archive,
            ledger=ledger,
            node_key=machine.node,
            device=machine.secret.public,
            now=self.clock(machine),
            times=self.times,
            loose=loose,
            trusted=trusted or tuple(other.key for other in self.machines.values()),
        )
        machine.core.sync.addresses = [f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(machine.key)}"]
        self.perform(machine, machine.core.effects())
        self._plan_wake(machine)

    def switch_off(self, machine: Machine) -> None:
        """The process ends, cleanly or not: what was written is there."""
        for pair in [pair for pair in self.links if machine.name in pair]:
            self.disconnect(*pair)
        machine.core = None
        machine.store.kill()

    def cut_power(self, machine: Machine) -> None:
        """The machine dies: what was not synced may be gone."""
        for pair in [pair for pair in self.links if machine.name in pair]:
            self.disconnect(*pair)
        machine.core = None
        machine.store.cut_power(self.random)

    # -- the network -----------------------------------------------------------------------------------------------

    def connect(self, one: str, other: str) -> None:
        """Open a stream between two machines, if both are on and both let the other in."""
        a, b = sorted((one, other))
        left, right = self.machines[a], self.machines[b]
        if (a, b) in self.links or left.core is None or right.core is None:
            return
        if not left.core.is_member(right.key) or not right.core.is_member(left.key):
            return
        self._number += 1
        self.links[a, b] = self._number
        self.feed(left, PeerUp(peer=right.key, outbound=True, relayed=False, address=""))
        self.feed(right, PeerUp(peer=left.key, outbound=False, relayed=False, address=""))

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

    def _by_key(self, key: bytes) -> Machine | None:
        return next((row for row in self.machines.values() if row.key == key), None)

    # -- the queue -------------------------------------------------------------------------------------------------

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

    def failure(self, what: str) -> str:
        """A message that says how to see it again."""
        heights = {name: row.core.ledger.head.height if row.core else "off" for name, row in self.machines.items()}
        return f"seed {self.seed}, after {self.events} events at +{self.now - START_MS} ms: {what}; heights {heights}"

    def feed(self, machine: Machine, event: Event) -> None:
        """Hand an event to a core and carry out what it wants."""
        core = machine.core
        if core is None:
            return
        try:
            self.perform(machine, core.handle(event, self.clock(machine)))
        except SimCrash:
            self.crashed(machine)
            return
        self._look(machine)
        self._plan_wake(machine)

    def crashed(self, machine: Machine) -> None:
        """The machine died in the middle of something; it comes back by itself."""
        self._trace.update(f"{self.now} {machine.name} crash\n".encode())
        self.cut_power(machine)
        self.at(self.random.randint(200, 20_000), lambda: self.wake_up(machine))

    def wake_up(self, machine: Machine) -> None:
        """Switch a machine on again, if it is off."""
        if machine.core is None:
            try:
                self.boot(machine)
            except SimCrash:
                machine.core = None
                self.cut_power(machine)
                self.at(1000, lambda: self.wake_up(machine))

    def _plan_wake(self, machine: Machine) -> None:
        core = machine.core
        if core is None:
            return
        at = max(self.now + 1, core.wake - machine.skew_ms)
        if machine.wake_at is not None and self.now < machine.wake_at <= at:
            return
        machine.wake_at = at
        boots = machine.boots

        def wake() -> None:
            if machine.boots == boots and machine.wake_at == at:
                machine.wake_at = None
                self.feed(machine, Wake())

        self.at(at - self.now, wake)

    def perform(self, machine: Machine, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(peer=peer, frames=frames):
                    other = self._by_key(peer)
                    if other is not None:
                        for frame in frames:
                            self._send(machine, other, frame)
                case Verify(job=job, checks=checks):
                    verdicts = [is_valid(*check) for check in checks]
                    self.feed(machine, Verified(job, verdicts))
                case Publish(data=data):
                    self._publish(machine, data)
                case HangUp(peer=peer, why=why):
                    other = self._by_key(peer)
                    self._trace.update(f"{self.now} {machine.name} hangs up: {why}\n".encode())
                    self.hang_ups.append((machine.name, why))
                    if other is not None:
                        self.disconnect(machine.name, other.name)
                case Recheck():
                    self.at(1, self._let_in)
                case _:
                    continue

    def _let_in(self) -> None:
        for pair in list(self.links):
            left, right = (self.machines[name] for name in pair)
            if left.core is None or right.core is None:
                continue
            if not left.core.is_member(right.key) or not right.core.is_member(left.key):
                self.disconnect(*pair)

    def _send(self, machine: Machine, other: Machine, frame: bytes) -> None:
        a, b = sorted((machine.name, other.name))
        number = self.links.get((a, b))
        if number is None:
            return
        # Streams keep their order, whatever the delay of a packet was.
        way = (machine.name, other.name)
        at = max(self._last.get(way, 0), self.now + self.random.randint(*self.delay_ms))
        self._last[way] = at

        def arrive() -> None:
            if self.links.get((a, b)) == number:
                self._trace.update(f"{self.now} {way} ".encode() + sha256(frame).digest())
                self.feed(other, Frame(peer=machine.key, data=frame))

        self.at(at - self.now, arrive)

    def _publish(self, machine: Machine, data: bytes) -> None:
        for pair in list(self.links):
            if machine.name in pair and self.random.random() < 0.7:
                other = self.machines[pair[0] if pair[1] == machine.name else pair[1]]
                self.at(
                    self.random.randint(*self.delay_ms),
                    lambda other=other: self.feed(  # type: ignore[misc]
                        other, Gossip(data=data, peer=machine.key, author=machine.key)
                    ),
                )

    # -- oracles ---------------------------------------------------------------------------------------------------

    def _look(self, machine: Machine) -> None:
        """One block for each height, whoever says it."""
        core = machine.core
        if core is None:
            return
        head = core.ledger.head
        if head.height:
            first = self.blocks.setdefault(head.height, head.block_id)
            assert first == head.block_id, self.failure(f"{machine.name} has another block {head.height}")
        assert not core.alarm, self.failure(f"{machine.name}: {core.alarm}")

    def height(self) -> int:
        """The height that all running machines have reached."""
        return min(row.core.ledger.head.height for row in self.machines.values() if row.core is not None)

    def is_settled(self) -> bool:
        """Everything acknowledged is sealed, and everybody is at the same block."""
        running = [row.core for row in self.machines.values() if row.core is not None]
        heads = {core.ledger.head for core in running}
        return len(heads) == 1 and all(not len(core.ledger.pool) for core in running)
