"""A cluster of real node cores on one event queue: the same seed gives the same trace, byte for byte.

What is real: `NodeCore` with everything in it, the archive, every signature. What is replaced: the clock (each node has
its own, off by so much), the network (streams with delay that break as a whole, gossip that is lost), and the disk
(`MemoryStore`, which loses what was not synced when the power is cut). A verdict on a signature or a key, and what a
message says, are pure functions of bytes: they are found once, and not by every machine again.

The oracles run after every event: see `oracles`.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, Self
from unittest import mock

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, check_enrolment_key, is_valid
from tallystick.node import desk as desk_module
from tallystick.node import founding, heard, intake, joining, knock, sealer, verify_signatures, whereabouts, writes
from tallystick.node import sync as sync_module
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import JoinRow
from tallystick.node.config import SealingTimes
from tallystick.node.core import Event, NodeCore
from tallystick.node.desk import Desk
from tallystick.node.effects import AskRoom, Effect, HangUp, Publish, Recheck, Send, Verified, Verify, Wake
from tallystick.node.guard import GuardState, MemoryGuard
from tallystick.node.identity import Identity
from tallystick.node.joining import Joining
from tallystick.node.net_address import peer_id
from tallystick.node.store_memory import Image, MemoryStore
from tallystick.node.ticket import read_ticket_untrusted
from tallystick.node.transport import Frame, Writable
from tallystick.protocol import assembly
from tallystick.protocol.charter import Charter, read_charter
from tallystick.protocol.signed import KeySigner
from tests.sim.cheat import Cheat
from tests.sim.network import Air, Network
from tests.sim.oracles import Oracles, read_once

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


#: Two or three small blocks fill an answer, and two entries a frame: so few blocks are many answers.
_NARROW = {"ANSWER_BYTES_MAX": 4000, "FRAME_ENTRIES_BYTES": 1000}
_WIDE = {name: getattr(sync_module, name) for name in _NARROW}

_judged = lru_cache(maxsize=50_000)(is_valid)
_named = lru_cache(maxsize=1000)(peer_id)
_key_judged = lru_cache(maxsize=1000)(check_enrolment_key)


class SimCrash(BaseException):
    """The machine dies at this very point. No `except Exception` may stop it."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a disk."""

    image: Image
    guard: GuardState
    acknowledged: int
    """So many entries of its person are in it."""


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
    acknowledged: list[bytes] = field(default_factory=list)
    """What a person here was told is written."""
    top: int = 0
    """The newest block that was sealed here."""
    cheat: Cheat | None = None
    """Whoever sits at this machine breaks the protocol."""
    backup: Backup | None = None
    """A copy of its disk from a while ago."""
    is_restored: bool = False
    """An older disk was put back."""
    has_lost_guard: bool = False
    has_spoken_again: bool = False
    """Its person has said that it may, though what it had signed did not come back."""
    at_risk: list[bytes] = field(default_factory=list)
    """What was written after the backup that was put back."""
    may_stay_mute: bool = False
    """Nobody settles that it is mute."""

    @property
    def key(self) -> bytes:
        return self.node.public

    @property
    def live(self) -> NodeCore:
        """The running core."""
        assert self.core is not None, f"{self.name} is off"
        return self.core


class Cluster(Network):
    """Machines, the links between them, and one queue of events."""

    def __init__(
        self,
        seed: int,
        *,
        delay_ms: tuple[int, int] = (5, 60),
        times: SealingTimes = QUICK,
        air: Air | None = None,
        node_class: type[NodeCore] = NodeCore,
        judge_ms: tuple[int, int] | None = None,
        is_narrow: bool = False,
    ) -> None:
        """`judge_ms`: how long signatures are judged; None: not at all. `is_narrow`: answers are short."""
        Network.__init__(self, seed, START_MS, air or Air(delay_ms=delay_ms))
        self.seed = seed
        self.machines: dict[str, Machine] = {}
        self.ledger_id = b""
        self.times = times
        self.node_class = node_class
        self.judge_ms = judge_ms
        self.is_narrow = is_narrow
        self._judged_at: dict[str, int] = {}
        """When the last signatures that a machine was asked about are judged."""
        self.oracles = Oracles(self)
        self.hang_ups: list[tuple[str, str]] = []
        """Who has hung up, and why."""
        self.left: list[tuple[str, str, str]] = []
        """Who has hung up on whom, and why."""
        self.is_signed = _judged
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        luck = mock.Mock(token_bytes=self.random.randbytes)
        for module in (desk_module, writes, founding, joining):
            self._patches.enter_context(mock.patch.object(module, "secrets", luck))
        for module in (intake, heard, assembly, verify_signatures):
            self._patches.enter_context(mock.patch.object(module, "is_valid", _judged))
        self._patches.enter_context(mock.patch.object(intake, "check_enrolment_key", _key_judged))
        for module in (sealer, heard):
            self._patches.enter_context(mock.patch.object(module, "read_sealing_untrusted", read_once))
        self._patches.enter_context(mock.patch.object(whereabouts, "peer_id", _named))
        # Where one cluster is made within another, each has its own: what is made there is used by others.
        for name, size in _NARROW.items() if self.is_narrow else _WIDE.items():
            self._patches.enter_context(mock.patch.object(sync_module, name, size))
        oracles = self.oracles

        class Watched(KeySigner):
            """The signer of a core, with somebody who looks on."""

            def sign(self, sign_type: SignType, payload: bytes) -> bytes:
                oracles.signs(self.public, sign_type)
                return KeySigner.sign(self, sign_type, payload)

        self._patches.enter_context(mock.patch.object(sealer, "KeySigner", Watched))
        return self

    def __exit__(self, *args: object) -> None:
        self._patches.close()

    def honest(self) -> list[Machine]:
        """Everybody who keeps the protocol."""
        return [row for row in self.machines.values() if row.cheat is None]

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
        self.note(f"{name} {op} {sorted((args or {}).items())}")
        answer = Desk(core).do(op, args or {}, machine.secret, self.clock(machine))
        if isinstance(answer, dict) and answer.get("entry"):
            entry_id = bytes.fromhex(answer["entry"])
            machine.acknowledged.append(entry_id)
            if machine.cheat is not None:
                machine.cheat.written(entry_id)
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
        machine.core = self.node_class(
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
        if machine.cheat is not None:
            machine.cheat.booted()
        self.oracles.booted(machine)
        self.perform(machine, machine.core.effects())
        self._plan_wake(machine)

    def switch_off(self, machine: Machine) -> None:
        """The process ends, cleanly or not: what was written is there."""
        self._unplug(machine)
        machine.store.kill()

    def cut_power(self, machine: Machine) -> None:
        """The machine dies: what was not synced may be gone."""
        self._unplug(machine)
        machine.store.cut_power(self.random)

    def _unplug(self, machine: Machine) -> None:
        for pair in [pair for pair in self.links if machine.name in pair]:
            self.disconnect(*pair)
        machine.core = None

    # -- backups -------------------------------------------------------------------------------------------------------

    def back_up(self, machine: Machine) -> None:
        """Copy the disk of a machine."""
        machine.backup = Backup(machine.store.image(), machine.store.guard.state, len(machine.acknowledged))

    def put_back(self, machine: Machine, *, guard: str = "kept") -> None:
        """Switch a machine off and put its backup back. The guard is kept, lost, or as old as the backup."""
        backup = machine.backup
        assert backup is not None
        self.note(f"{machine.name} is put back, guard {guard}")
        self.switch_off(machine)
        if guard == "lost":
            machine.store.guard = MemoryGuard(GuardState(is_restored=True))
        elif guard == "old":
            machine.store.guard = MemoryGuard(backup.guard)
        machine.has_lost_guard |= guard != "kept"
        machine.store.restore(backup.image)
        machine.is_restored = True

    # -- events --------------------------------------------------------------------------------------------------------

    def failure(self, what: str) -> str:
        """A message that says how to see it again."""
        heights = {name: row.core.ledger.head.height if row.core else "off" for name, row in self.machines.items()}
        return (
            f"seed {self.seed}, after {self.events} events at +{self.now - START_MS} ms: {what}; heights {heights}; "
            f"again: python -m tests.sim.replay {self.seed}"
        )

    def feed(self, machine: Machine, event: Event) -> None:
        """Hand an event to a core and carry out what it wants."""
        core = machine.core
        if core is None:
            return
        if machine.cheat is not None and isinstance(event, Frame):
            heard = machine.cheat.heard(event)
            if heard is None:
                return
            event = heard
        try:
            self.perform(machine, core.handle(event, self.clock(machine)))
        except SimCrash:
            self.crashed(machine)
            return
        self._look(machine)
        self._plan_wake(machine)

    def crashed(self, machine: Machine) -> None:
        """The machine died in the middle of something; it comes back by itself."""
        self.note(f"{machine.name} crash")
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
                    other = self.by_key(peer)
                    if other is not None:
                        for frame in frames if machine.cheat is None else machine.cheat.bent(other.name, frames):
                            self.oracles.sent(frame)
                            self._send(machine, other, frame)
                case AskRoom(peer=peer):
                    self.at(1, lambda peer=peer: self.feed(machine, Writable(peer=peer)))
                case Verify(job=job, checks=checks):
                    self._judge(machine, Verified(job, [_judged(*check) for check in checks]))
                case Publish(data=data):
                    self._publish(machine, data)
                case HangUp(peer=peer, why=why):
                    other = self.by_key(peer)
                    self.note(f"{machine.name} hangs up: {why}")
                    self.hang_ups.append((machine.name, why))
                    if other is not None:
                        self.left.append((machine.name, other.name, why))
                        self.disconnect(machine.name, other.name)
                case Recheck():
                    self.at(1, self._let_in)
                case _:
                    continue

    def _judge(self, machine: Machine, verified: Verified) -> None:
        """Tell what signatures are worth: at once, or in their order while other things happen."""
        if self.judge_ms is None:
            self.feed(machine, verified)
            return
        at = max(self._judged_at.get(machine.name, 0), self.now + self.random.randint(*self.judge_ms))
        self._judged_at[machine.name] = at
        boots = machine.boots

        def tell() -> None:
            if machine.boots == boots:
                self.feed(machine, verified)

        self.at(at - self.now, tell)

    def _let_in(self) -> None:
        for pair in list(self.links):
            left, right = (self.machines[name] for name in pair)
            if left.core is None or right.core is None:
                continue
            if not left.core.is_member(right.key) or not right.core.is_member(left.key):
                self.disconnect(*pair)

    # -- oracles ---------------------------------------------------------------------------------------------------

    def _look(self, machine: Machine) -> None:
        """After every event."""
        self.oracles.look(machine)

    def height(self) -> int:
        """The height that all running machines have reached."""
        return min(row.core.ledger.head.height for row in self.honest() if row.core is not None)

    def is_settled(self) -> bool:
        """Everything of honest people is sealed, and everybody honest is at the same block.

        What a cheat has written in two forms may wait for ever.
        """
        running = [row.core for row in self.honest() if row.core is not None]
        if len({core.ledger.head for core in running}) != 1:
            return False
        cheats = {row.secret.public for row in self.machines.values() if row.cheat is not None}
        if not cheats:
            return not any(len(core.ledger.pool) for core in running)
        return all(row.entry.device in cheats for core in running for row in core.ledger.pool.entries.values())
