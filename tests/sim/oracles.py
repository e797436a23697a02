"""What must hold at every moment of a simulated run, and at its end.

Whoever cheats is left out: nothing is promised about what its own machine believes. What it has put into the world is
not left out: every vote that was ever on a wire is kept here, and what honest keys have signed must never contradict
itself, whoever collects it.

Source: docs/spec/simulation.md
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tallystick.crypto.signatures import SignType
from tallystick.node import messages as m
from tallystick.node.messages import MessageError
from tallystick.node.verify import verify
from tallystick.protocol.errors import BlockError, DecodeError
from tallystick.protocol.evidence import Vote, find_evidence
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Status, read_sealing_untrusted

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster, Machine

#: What a message says is a function of its bytes: it is read once, and not by every machine again.
read_once = lru_cache(maxsize=20_000)(read_sealing_untrusted)
#: How a frame with sealing messages begins: an array of two, the name first.
_SEALING: Final = m.encode_message(m.Sealing([]))[:9]


@lru_cache(maxsize=20_000)
def _votes_in(frame: bytes) -> tuple[Vote, ...]:
    """The votes and proposals that a frame carries."""
    if frame[1:9] != _SEALING[1:9]:
        return ()
    try:
        message = m.Reader().read(frame)
    except MessageError:
        return ()
    assert isinstance(message, m.Sealing)
    found = []
    for wire in message.messages:
        try:
            each = read_once(wire)
        except (BlockError, DecodeError):
            continue
        if not isinstance(each, Ready | Status):
            found.append(each)
    return tuple(found)


class Oracles:
    """What was seen of one cluster so far."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.blocks: dict[int, bytes] = {}
        """Height -> the block that somebody honest has sealed there first."""
        self.roots: dict[int, bytes] = {}
        """Height -> the state root after it."""
        self.votes: dict[tuple[bytes, bytes], Vote] = {}
        """Every vote that was on a wire, by signer and signed bytes."""
        self.arrivals: set[tuple[bytes, bytes]] = set()
        """Which of them have come to anybody."""

    def forget(self, *, from_height: int) -> None:
        """Blocks that one person alone has seen are given up."""
        for seen in (self.blocks, self.roots):
            for height in [height for height in seen if height >= from_height]:
                del seen[height]

    # -- at every moment -----------------------------------------------------------------------------------------------

    def look(self, machine: Machine) -> None:
        """After an event: one block and one root for each height, and what was sealed stays as it is."""
        core, cluster = machine.core, self._cluster
        if core is None or machine.cheat is not None:
            return
        assert not core.alarm, cluster.failure(f"{machine.name}: {core.alarm}")
        head = core.ledger.head
        if head.height == machine.top:
            return
        for height in range(min(machine.top, head.height) + 1, head.height + 1):
            sealed = core.archive.block_id(height)
            assert sealed is not None, cluster.failure(f"{machine.name} has not stored block {height}")
            first = self.blocks.setdefault(height, sealed)
            assert first == sealed, cluster.failure(f"{machine.name} has another block {height}")
        if head.height:
            root = self.roots.setdefault(head.height, head.state_root)
            assert root == head.state_root, cluster.failure(f"{machine.name} has another root at {head.height}")
        machine.top = head.height

    def booted(self, machine: Machine) -> None:
        """After a start, from whatever is on the disk: the seals are those that there were."""
        core = machine.core
        if core is None or machine.cheat is not None:
            return
        head = core.ledger.head
        for height in range(1, head.height + 1):
            sealed = core.archive.block_id(height)
            assert sealed == self.blocks.get(height, sealed), self._cluster.failure(
                f"{machine.name} has come back with another block {height}"
            )
        # A sealed block is durable before anybody hears of it: only a backup that was put back has fewer.
        is_restored = machine.is_restored or machine.store.is_restored
        assert head.height >= machine.top or is_restored, self._cluster.failure(
            f"{machine.name} sealed {machine.top} blocks and has come back with {head.height}"
        )
        machine.top = head.height

    def sent(self, frame: bytes) -> None:
        """Something goes out: note the votes in it."""
        for vote in _votes_in(frame):
            self.votes.setdefault((vote.signer, vote.payload), vote)

    def arrived(self, frame: bytes) -> None:
        """Something has come to somebody: the votes in it can be shown."""
        self.arrivals.update((vote.signer, vote.payload) for vote in _votes_in(frame))

    def signs(self, public: bytes, sign_type: SignType) -> None:
        """A core signs a sealing message, whether anybody hears of it or not: none that is mute does."""
        machine = self._cluster.by_key(public)
        core = None if machine is None else machine.core
        if machine is not None and core is not None and machine.cheat is None:
            assert not core.sealer.muted, self._cluster.failure(f"{machine.name} is mute and signs a {sign_type}")

    # -- in the end ----------------------------------------------------------------------------------------------------

    def check_end(self, *, everything_sealed: bool = True) -> None:
        """What must hold whatever has happened; without a quorum of honest sealers entries may still wait."""
        cluster = self._cluster
        honest = cluster.honest()
        heads = {row.live.ledger.head for row in honest}
        assert len(heads) == 1 or not everything_sealed, cluster.failure("another state root")
        cheats = {row.key for row in cluster.machines.values() if row.cheat is not None}
        devices = {row.secret.public for row in cluster.machines.values() if row.cheat is not None}
        for machine in honest:
            self._check_machine(machine, cheats, devices, everything_sealed=everything_sealed)
        # Of one of them, another for each seed: it takes longer than all else that is asked here.
        self._recompute(honest[cluster.seed % len(honest)])
        # Whoever has lost the guard too has to ask the others what it has signed, and what nobody knows is no evidence.
        forgot = {row.key for row in honest if row.has_lost_guard}
        # Nor is what a restored machine had signed and what was lost on its way, once its person let it speak again.
        spoke = {row.key for row in honest if row.has_spoken_again}
        votes = [vote for key, vote in self.votes.items() if vote.signer not in spoke or key in self.arrivals]
        for evidence in find_evidence(votes):
            # Only what is signed counts: anybody can write a stranger's name below a vote.
            if evidence.accused not in cheats | forgot and all(
                cluster.is_signed(*check) for check in evidence.checks()
            ):
                raise AssertionError(cluster.failure(f"an honest sealer could be framed: {evidence}"))
        # Whoever breaks the protocol is hung up on; nobody honest did, and nobody honest hands on what is broken.
        names = {row.name for row in honest}
        blamed = [row for row in cluster.left if {row[0], row[1]} <= names and row[2]]
        assert not blamed, cluster.failure(f"an honest peer was blamed: {blamed}")

    def _recompute(self, machine: Machine) -> None:
        """What lies on a disk follows from the founding entry: what `tally verify` asks."""
        core = machine.live
        report = verify(core.archive)
        assert report["ok"], self._cluster.failure(
            f"the store of {machine.name} is not sound: {report['problems'][:5]}"
        )
        head = core.ledger.head
        found = (report["blocks"], report["state_root"], report["entries"])
        assert found == (
            head.height,
            head.state_root.hex(),
            len(core.ledger.log) - head.height + 1 + len(core.ledger.pool),
        ), self._cluster.failure(f"the store of {machine.name} comes to something else: {found}")

    def _check_machine(
        self, machine: Machine, cheats: set[bytes], devices: set[bytes], *, everything_sealed: bool
    ) -> None:
        cluster, core = self._cluster, machine.live
        state = core.ledger.state
        for entry_id in machine.acknowledged:
            is_sealed = core.archive.sealed_row(entry_id) is not None
            # What was on a disk that is gone comes back from whoever has it, which may take a few meetings.
            waits = not everything_sealed and any(row.live.ledger.knows(entry_id) for row in cluster.honest())
            assert is_sealed or waits, cluster.failure(
                f"{machine.name} lost {entry_id.hex()[:8]}, which was acknowledged"
            )
        assert {device for device, _ in state.forks.items()} <= devices, cluster.failure(
            "an honest device was taken for a fork"
        )
        assert not core.sealer.muted or machine.may_stay_mute, cluster.failure(
            f"{machine.name} is mute: {core.sealer.muted}"
        )
        convicted = {key for key, use in state.keys.items() if use.use == "convicted"}
        assert convicted <= cheats, cluster.failure("framed")
        sums: dict[str, int] = {}
        for account, amount in state.accounts.items():
            commodity = account.partition("/")[0]
            sums[commodity] = sums.get(commodity, 0) + amount
        assert not any(sums.values()), cluster.failure(f"the book does not balance: {sums}")
        reloaded, _ = core.archive.load(cluster.ledger_id)
        assert reloaded.head == core.ledger.head, cluster.failure("what is on disk is something else")
        pending = set(reloaded.pool.entries)
        for height in range(1, reloaded.head.height + 1):
            row = core.archive.block(height)
            assert row is not None, cluster.failure(f"{machine.name} has no block {height}")
            assert pending.isdisjoint(row.entry_ids), cluster.failure(f"{machine.name}: pending and sealed at once")
            is_whole = all(core.archive.wire(entry_id) for entry_id in row.entry_ids)
            assert is_whole, cluster.failure(f"{machine.name} has not stored all of block {height}")
