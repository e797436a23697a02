"""A world of sealers by seed: messages are lost, doubled, late, out of order; nodes crash at any effect; some cheat.

Time is a number and the world is a heap of events, so a run is the same every time and takes milliseconds. Every honest
node is a real `Height` with a disk on which only what was persisted survives. After `calm_ms` the network is good and
nobody crashes; then everybody honest must decide.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tallystick.protocol.ballot import Precommit, Prevote
from tallystick.protocol.block import Certificate
from tallystick.protocol.consensus import Height
from tallystick.protocol.evidence import Vote, check_evidence, find_evidence, read_evidence_untrusted
from tallystick.protocol.proposal import Proposal, ProposalBody
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Sealing, Status, read_sealing_untrusted
from tallystick.protocol.sealing_effects import (
    Accuse,
    Build,
    Decide,
    Disagree,
    Effect,
    Forked,
    Judge,
    Keep,
    Mute,
    NeedBody,
    NeedPol,
    Persist,
    Send,
    Slot,
    Times,
)
from tests.support.sealing import LEDGER, START_MS, Bench, frontier, is_signed, slot_of, verdict_on

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How bad the network and the machines are before it calms down."""

    loss: float = 0.2
    double: float = 0.1
    delay_ms_max: int = 8_000
    crash: float = 0.01
    """For each effect: the node dies just before it."""
    down_ms_max: int = 30_000
    calm_ms: int = 60_000


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    record: bytes | None = None
    guard: Slot = (0, 0, 0)
    kept: list[bytes] = field(default_factory=list)
    own: set[bytes] = field(default_factory=set)
    decided: tuple[Certificate, ProposalBody] | None = None


class Crash(Exception):
    """The node dies here."""


class Node:
    """An honest sealer: a machine, its disk, and the driver that carries out effects."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.disk = Disk()
        self.seq = 0
        self.machine: Height | None = None
        self.wake_at: int | None = None
        self.sent = 0
        self.muted: list[bytes] = []

    # -- life ----------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start, from nothing or from the disk; what others sent may have been lost in part."""
        world = self.world
        self.machine = world.bench.machine(
            self.number,
            cls=world.machine_class,
            record=self.disk.record,
            guard=self.disk.guard,
            times=world.times,
            now=world.now,
        )
        self.act(lambda machine: machine.start(world.now))
        for wire in list(self.disk.kept):
            if self.machine is not None:
                self.hear(wire, fresh=False)

    def act(self, event: Callable[[Height], list[Effect]]) -> None:
        """Let something happen to the machine and carry out what comes of it; it may die meanwhile."""
        if self.machine is None or self.disk.decided is not None:
            return
        try:
            self.carry_out(event(self.machine))
        except Crash:
            self.machine = None
            self.world.crashes += 1
            # What was signed but never durable has left nothing behind, not even here.
            self.world.bench.own[self.number].slots = {
                slot: message.payload
                for message in map(self.world.read, self.disk.own)
                if (slot := slot_of(message.TYPE, message.payload)) is not None
            }
            # Unsynced writes may be lost, the newest first.
            del self.disk.kept[self.world.luck.randint(0, len(self.disk.kept)) :]
            self.world.later(self.world.luck.randint(1, self.world.weather.down_ms_max), self.boot)
            return
        self.plan()

    def plan(self) -> None:
        """Ask to be woken when the machine wants it."""
        wake = None if self.machine is None else self.machine.wake
        if wake is not None and (self.wake_at is None or wake < self.wake_at or self.wake_at <= self.world.now):
            self.wake_at = max(wake, self.world.now)
            self.world.later(self.wake_at - self.world.now, self.tick)

    def tick(self) -> None:
        """Time has come."""
        if self.wake_at is not None and self.wake_at <= self.world.now:
            self.wake_at = None
        self.act(lambda machine: machine.tick(self.world.now))
        self.plan()

    def grow(self) -> None:
        """Something was written here."""
        self.seq += 1
        heads = frontier(*((device, self.seq) for device in range(self.number + 1)))
        self.act(lambda machine: machine.wish(heads, self.seq * (self.number + 1) + 1, self.world.now))

    # -- effects -------------------------------------------------------------------------------------------------------

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            if self.world.is_rough() and self.world.luck.random() < self.world.weather.crash:
                raise Crash
            self.carry_out_one(effect)

    def carry_out_one(self, effect: Effect) -> None:
        world, machine = self.world, self.machine
        assert machine is not None
        match effect:
            case Persist():
                assert effect.guard >= self.disk.guard
                self.disk.record, self.disk.guard = effect.record, effect.guard
                if effect.message is not None:
                    self.disk.own.add(effect.message)
            case Keep():
                self.disk.kept.append(effect.message)
            case Send():
                message = world.read(effect.message)
                if not isinstance(message, Status):
                    # A proposal may have gained reasons since it was signed; its signed part is what counts.
                    assert isinstance(message, Proposal) or effect.message in self.disk.own, (
                        "sent before it was durable"
                    )
                self.sent += 1
                world.broadcast(self.number, effect.message)
            case Judge():
                self.carry_out(machine.judged(effect.block_id, verdict_on(effect.body), world.now))
            case Build():
                body = world.bench.body(effect.round, readys=effect.readys)
                self.carry_out(machine.built(effect.round, body, world.now))
            case NeedBody():
                world.ask(self.number, lambda node: node.give_body(self.number, effect.block_id))
            case NeedPol():
                world.ask(self.number, lambda node: node.give_pol(self.number, effect.round, effect.block_id))
            case Decide():
                self.disk.decided = (effect.certificate, effect.body)
                world.decided(self.number, effect)
            case Accuse():
                world.accused(effect)
            case Mute():
                self.muted.append(effect.message)
            case Disagree() | Forked():
                world.alarms.append(effect)

    # -- the other side ------------------------------------------------------------------------------------------------

    def hear(self, wire: bytes, *, fresh: bool = True) -> None:
        """A message has arrived."""
        message = self.world.read(wire)
        if self.disk.decided is not None:
            if isinstance(message, Status):
                self.give_block(self.world.bench.keys.index(message.signer))
            return
        if self.machine is None:
            return
        wanted = self.machine.wants(message)
        before = len(self.disk.kept)
        self.act(lambda machine: machine.receive(message, self.world.now, fresh=fresh))
        assert wanted or len(self.disk.kept) == before, "kept what it did not want"
        self.follow()
        if isinstance(message, Status):
            self.answer(message)

    def follow(self) -> None:
        """Report what is here, where somebody else has begun."""
        if self.machine is not None and self.machine.wants_ready:
            self.grow()

    def answer(self, status: Status) -> None:
        """Send somebody what it seems to lack."""
        if self.machine is not None:
            for wire in self.machine.answer(status):
                self.world.post(self.number, self.world.bench.keys.index(status.signer), wire)

    def give_block(self, number: int) -> None:
        assert self.disk.decided is not None
        certificate, body = self.disk.decided
        self.world.pass_on(number, lambda node: node.take_block(certificate, body))

    def take_block(self, certificate: Certificate, body: ProposalBody) -> None:
        """The block came as blocks do, with its certificate."""
        assert is_signed(certificate.checks(LEDGER, self.world.bench.keys))
        self.act(lambda machine: machine.certificate(certificate, self.world.now))
        self.act(lambda machine: machine.supply(body, self.world.now))

    def give_body(self, number: int, block_id: bytes) -> None:
        body = None if self.machine is None else self.machine.body(block_id)
        if self.disk.decided is not None:
            self.give_block(number)
        elif body is not None:
            self.world.pass_on(number, lambda node: node.act(lambda machine: machine.supply(body, self.world.now)))

    def give_pol(self, number: int, round_: int, block_id: bytes) -> None:
        if self.machine is not None:
            for wire in self.machine.pol(round_, block_id):
                self.world.post(self.number, number, wire)


class World:
    """All sealers of one height. `cheats` maps a number to what stands in a sealer's place."""

    def __init__(
        self,
        seed: int,
        count: int,
        *,
        weather: Weather | None = None,
        times: Times | None = None,
        machine_class: type[Height] = Height,
        cheats: int = 0,
        absent: Iterable[int] = (),
        is_apart: bool = False,
    ) -> None:
        """`is_apart`: nobody ever hears anybody, but for two at a time who meet."""
        self.luck = random.Random(seed)
        self.bench = Bench(count)
        self.weather = weather or Weather()
        self.times = times or Times()
        self.machine_class = machine_class
        self.is_apart = is_apart
        self.meetings = 0
        self.now = START_MS
        self.heap: list[tuple[int, int, Callable[[], None]]] = []
        self.number = 0
        self.crashes = 0
        self.delivered = 0
        self.decisions: dict[int, bytes] = {}
        self.alarms: list[Disagree | Forked] = []
        self.convicted: set[int] = set()
        self.votes: dict[tuple[bytes, bytes], Vote] = {}
        """Every vote that was ever on the wire."""
        self._read: dict[bytes, Sealing] = {}
        cheating = set(self.luck.sample(range(count), cheats))
        self.absent = set(absent)
        self.cheats = {number: Cheat(self, number) for number in sorted(cheating)}
        self.nodes = {
            number: Node(self, number)
            for number in range(count)
            if number not in cheating and number not in self.absent
        }

    # -- time ----------------------------------------------------------------------------------------------------------

    def is_rough(self) -> bool:
        return self.now < START_MS + self.weather.calm_ms

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        self.number += 1
        heapq.heappush(self.heap, (self.now + delay_ms, self.number, action))

    def run(self, until_ms: int) -> None:
        """Let the world go on until everybody honest has decided, or for so long."""
        end = START_MS + until_ms
        while self.heap and self.heap[0][0] <= end and len(self.decisions) < len(self.nodes):
            self.now, _, action = heapq.heappop(self.heap)
            action()

    # -- network -------------------------------------------------------------------------------------------------------

    def read(self, wire: bytes) -> Sealing:
        """Read a message once; its signatures must hold, as they must for a real node."""
        message = self._read.get(wire)
        if message is None:
            message = read_sealing_untrusted(wire)
            assert is_signed(message.checks())
            assert message.wire() == wire
            self._read[wire] = message
            self._note(message)
        return message

    def _note(self, message: Sealing) -> None:
        if isinstance(message, Ready | Status):
            return
        self.votes.setdefault((message.signer, message.payload), message)
        if isinstance(message, Proposal) and message.body is not None:
            for vote in message.body.prevotes:
                self._note(vote)

    def broadcast(self, sender: int, wire: bytes) -> None:
        if self.is_apart:
            self.read(wire)
            return
        for number in range(len(self.bench.keys)):
            if number != sender:
                self.post(sender, number, wire)

    def post(self, sender: int, number: int, wire: bytes) -> None:
        self.pass_on(number, lambda node: node.hear(wire))
        if (cheat := self.cheats.get(number)) is not None:
            self.later(self.luck.randint(1, 50), lambda: cheat.hear(wire))

    def pass_on(self, number: int, action: Callable[[Node], None]) -> None:
        node = self.nodes.get(number)
        if node is None:
            return
        copies = 1
        delay_ms_max = 100
        if self.is_rough():
            weather = self.weather
            copies = 0 if self.luck.random() < weather.loss else 2 if self.luck.random() < weather.double else 1
            delay_ms_max = weather.delay_ms_max
        for _ in range(copies):
            self.delivered += 1
            self.later(self.luck.randint(1, delay_ms_max), lambda: action(node))

    def ask(self, asker: int, question: Callable[[Node], None]) -> None:
        if self.is_apart:
            return
        for number in self.nodes:
            if number != asker:
                self.pass_on(number, question)

    def meet(self, gap_ms_max: int) -> None:
        """Two meet: a stick goes there, and another one back; then some time passes."""
        self.meetings += 1
        one, other = (self.nodes[number] for number in self.luck.sample(sorted(self.nodes), 2))
        for giver, taker in ((one, other), (other, one)):
            if giver.disk.decided is not None:
                taker.take_block(*giver.disk.decided)
            elif giver.machine is not None:
                for wire in giver.machine.messages():
                    taker.hear(wire, fresh=False)
        self.later(self.luck.randint(1, gap_ms_max), lambda: self.meet(gap_ms_max))

    # -- oracles -------------------------------------------------------------------------------------------------------

    def decided(self, number: int, decision: Decide) -> None:
        assert decision.body.block_id() == decision.block_id == decision.certificate.block_id
        assert is_signed(decision.certificate.checks(LEDGER, self.bench.keys))
        assert verdict_on(decision.body).value == "valid"
        self.decisions[number] = decision.block_id

    def accused(self, effect: Accuse) -> None:
        evidence = read_evidence_untrusted(effect.evidence.encode())
        assert is_signed(evidence.checks())
        number = self.bench.keys.index(check_evidence(evidence, LEDGER))
        assert number in self.cheats, f"sealer {number} is honest and was accused: {evidence.code}"
        self.convicted.add(number)

    def check(self) -> None:
        """What must hold of every run, whatever happened."""
        assert len(set(self.decisions.values())) <= 1, "two blocks were decided"
        assert not self.alarms
        for node in self.nodes.values():
            assert not node.muted
        for evidence in find_evidence(self.votes.values()):
            number = self.bench.keys.index(evidence.accused)
            assert number in self.cheats, f"sealer {number} is honest and could be framed: {evidence.code}"

    def start(self) -> None:
        """Everybody starts; some have something to seal soon, the others follow. Later more is written."""
        for node in self.nodes.values():
            self.later(self.luck.randint(0, 2_000), node.boot)
            for _ in range(self.luck.randint(0, 3)):
                self.later(self.luck.randint(2_000, 40_000), node.grow)
        first = self.luck.choice(list(self.nodes.values()))
        self.later(2_500, first.grow)
        # Whoever crashed in that moment writes again.
        self.later(self.weather.calm_ms + 5_000, first.grow)
        for cheat in self.cheats.values():
            cheat.start()


class Cheat:
    """A sealer that signs whatever may do harm: two blocks, two votes, false reasons, far rounds; or keeps silent."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.bodies: dict[bytes, ProposalBody] = {}
        self.readys: dict[int, Ready] = {}
        self.prevotes: list[Prevote] = []
        self.round = 0
        self.label = 0
        self.mood = world.luck.choice(("liar", "split", "silent", "flood"))
        self.sent = 0

    def start(self) -> None:
        self.world.later(self.world.luck.randint(500, 5_000), self.tick)

    def tick(self) -> None:
        """Something every now and then, for as long as the world is rough and a little longer."""
        if self.world.now > START_MS + self.world.weather.calm_ms + 120_000 or self.sent > 600:
            return
        self.mischief()
        self.world.later(self.world.luck.randint(500, 6_000), self.tick)

    def hear(self, wire: bytes) -> None:
        message = self.world.read(wire)
        if isinstance(message, Ready):
            self.readys[self.world.bench.keys.index(message.signer)] = message
        elif isinstance(message, Proposal):
            if message.body is not None:
                self.bodies[message.block_id] = message.body.bare()
                for ready in message.body.readys:
                    self.readys.setdefault(self.world.bench.keys.index(ready.signer), ready)
            self.round = max(self.round, min(message.round, 200))
            self.vote_on(message.round)
        elif isinstance(message, Prevote | Precommit):
            self.round = max(self.round, min(message.round, 200))
            if isinstance(message, Prevote):
                self.prevotes.append(message)
            if self.world.luck.random() < 0.3:
                self.vote_on(message.round)

    def say(self, message: Sealing) -> None:
        """Tell only some of the others."""
        if self.sent > 600:
            return
        wire = message.wire()
        share = self.world.luck.choice((0.3, 0.5, 1.0))
        for number in self.world.nodes:
            if self.world.luck.random() < share:
                self.sent += 1
                self.world.post(self.number, number, wire)

    def mischief(self) -> None:
        world, bench, luck = self.world, self.world.bench, self.world.luck
        if self.mood == "silent" and luck.random() < 0.7:
            return
        self.readys[self.number] = bench.ready(self.number, time=world.now, seq=luck.randint(0, 3))
        self.say(self.readys[self.number])
        self.say(bench.status(self.number, round_=self.round, now=world.now))
        round_ = self.round + luck.choice((0, 0, 0, 1))
        if self.mood == "flood":
            for far in range(20):
                self.say(bench.precommit(self.number, self.round + 2 + 7 * far, luck.choice([None, bytes(32)])))
                self.say(bench.prevote(self.number, self.round, luck.randbytes(32)))
        self.propose(round_)
        self.vote_on(round_)

    def propose(self, round_: int) -> None:
        bench, luck = self.world.bench, self.world.luck
        rounds = [each for each in range(round_, round_ + 3) if bench.proposer(each) == self.number]
        readys = tuple(self.readys[index] for index in sorted(self.readys))
        if not rounds or len(readys) < self.world.bench.machine(None).setting.quorum:
            return
        for _ in range(luck.randint(1, 2)):
            self.label += 1
            root = luck.choice((b"v" * 32, b"v" * 32, b"i" * 32))
            body = bench.body(rounds[0], readys=readys, label=self.label % 1000, root=root)
            self.bodies[body.block_id()] = body
            self.say(bench.proposal(rounds[0], body))
        if rounds[0] > 0 and self.bodies:
            old = luck.choice(list(self.bodies.values()))
            vr = luck.randint(-1, rounds[0] - 1)
            votes = tuple(vote for vote in self.prevotes if vote.block_id == old.block_id() and vote.round <= vr)
            if vr >= old.header.round_created:
                self.say(bench.proposal(rounds[0], old, vr=vr, prevotes=votes[:100]))

    def vote_on(self, round_: int) -> None:
        bench, luck = self.world.bench, self.world.luck
        known: list[bytes | None] = [None, *self.bodies]
        for _ in range({"silent": 0, "liar": 1, "split": 2, "flood": 1}[self.mood]):
            value = luck.choice(known[-3:])
            jr = luck.randint(-1, round_ - 1) if value is not None and self.mood == "liar" else -1
            self.say(bench.prevote(self.number, round_, value, jr))
            if luck.random() < 0.7:
                self.say(bench.precommit(self.number, round_, luck.choice(known[-3:])))
