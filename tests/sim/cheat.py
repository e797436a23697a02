"""A partner whose machine breaks the protocol: a real core whose words are bent on their way out.

Because the core itself is real, a cheat gets as deep into the protocol as anybody: it proposes, votes, fetches and
serves. Because it holds its keys, it can sign whatever it likes besides. What comes back to it of its own lies is kept
from its core, which would otherwise fall silent.

Source: docs/spec/simulation.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import msgspec

from tallystick.node import messages as m
from tallystick.node.messages import MessageError
from tallystick.node.transport import Frame
from tallystick.protocol.assembly import Assembled, assemble
from tallystick.protocol.ballot import Precommit, Prevote, make_precommit, make_prevote
from tallystick.protocol.entry import Entry, make_entry, wire
from tallystick.protocol.errors import BlockError, DecodeError, EntryError
from tallystick.protocol.proposal import Proposal, ProposalBody, make_proposal
from tallystick.protocol.ready import Ready, make_ready
from tallystick.protocol.sealing import Sealing
from tallystick.protocol.signed import KeySigner
from tests.sim.oracles import read_once

if TYPE_CHECKING:
    from tests.sim.cluster import Cluster, Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mood:
    """How often a cheat does what, of 100 times."""

    split: int = 0
    """Signs two votes, or two proposals, of one round: one for each half of the others."""
    invent: int = 0
    """Votes for blocks that do not exist, in rounds that nobody is in, with reasons that there are none for."""
    fork: int = 0
    """Writes two entries with one number: one for each half of the others."""
    withhold: int = 0
    """Hands on nothing of what it is asked for or has: entries, sealing messages, blocks."""
    lie: int = 0
    """Says that it has other heights, blocks, entries, another clock."""
    garble: int = 0
    """Breaks what it sends: signatures, bytes."""
    boast: bool = False
    """Always says that it is a thousand blocks ahead."""

    @classmethod
    def draw(cls, random: Random) -> Mood:
        """A cheat of a certain kind, or one that does everything."""
        kind = random.choice(("split", "split", "invent", "fork", "withhold", "lie", "garble", "all", "gone", "boast"))
        if kind == "gone":
            return cls(withhold=100, lie=random.choice((0, 50)))
        if kind == "boast":
            return cls(boast=True, withhold=random.choice((0, 100)))
        if kind == "all":
            return cls(split=60, invent=20, fork=30, withhold=15, lie=15, garble=1)
        amount = {"garble": 3, "withhold": 70, "lie": 40}.get(kind, 80)
        return cls(**{kind: amount}, **({} if kind == "split" else {"split": random.choice((0, 0, 50))}))


class Cheat:
    """What sits between one machine and its wire."""

    def __init__(self, cluster: Cluster, machine: Machine, mood: Mood) -> None:
        self._cluster = cluster
        self._machine = machine
        self._mood = mood
        self._random = cluster.random
        self._twins: dict[bytes, Entry] = {}
        """Entry of ours -> another one with the same number."""
        self._others: dict[tuple[int, int], list[bytes]] = {}
        """(height, round) -> proposal and votes for another block, as the other half hears them."""
        self._blocks: list[bytes] = []
        """Blocks that somebody has proposed."""
        self.booted()

    def booted(self) -> None:
        """The core is there: it must not fall silent where it hears of its own second entries."""
        if self._machine.core is not None:
            self._machine.core.sealer.mute = self._shrug  # type: ignore[method-assign]

    def _shrug(self, why: str) -> None:
        self._cluster.note(f"{self._machine.name} is found out: {why}")

    # -- what comes in -------------------------------------------------------------------------------------------------

    def heard(self, frame: Frame) -> Frame | None:
        """A frame without what we have signed behind our core's back; None where nothing is left."""
        try:
            message = m.Reader().read(frame.data)
        except MessageError:
            return frame
        if not isinstance(message, m.Sealing):
            return frame
        rest = [wire for wire in message.messages if not self._is_own(wire)]
        if len(rest) == len(message.messages):
            return frame
        return Frame(peer=frame.peer, data=m.encode_message(m.Sealing(rest))) if rest else None

    def _is_own(self, data: bytes) -> bool:
        try:
            message = read_once(data)
        except (DecodeError, BlockError):
            return False
        if isinstance(message, Proposal) and message.block_id not in self._blocks[-8:]:
            self._blocks.append(message.block_id)
        return message.signer == self._machine.key

    def written(self, entry_id: bytes) -> None:
        """Somebody here has written something: perhaps there are two of it."""
        core = self._machine.live
        entry = core.intake.find(entry_id)
        if entry is None or entry.kind != "offer" or not self._happens(self._mood.fork):
            return
        twin = make_entry(
            self._machine.secret,
            ledger=entry.ledger,
            seq=entry.seq,
            prev=entry.prev,
            links=entry.links,
            seal=entry.seal,
            time=entry.time + 1,
            kind=entry.kind,
            body=entry.body,
            annex=entry.annex,
        )
        self._twins[entry.id] = twin

    # -- what goes out -------------------------------------------------------------------------------------------------

    def bent(self, other: str, frames: Sequence[bytes]) -> list[bytes]:
        """What another one gets to hear instead of what our core has said."""
        if len(frames) > 1:
            return list(frames)
        message = m.Reader().read(frames[0])
        assert message is not None
        out = [frame for each in self._bent(other, message) for frame in m.frames_of(each)]
        if self._happens(self._mood.garble):
            out.append(self._broken(out[-1] if out else frames[0]))
        return out

    def _bent(self, other: str, message: m.Message) -> list[m.Message]:
        random = self._random
        match message:
            case m.Sealing():
                wires = [bent for data in message.messages for bent in self._sealing(other, data)]
                return [m.Sealing(wires[start : start + 256]) for start in range(0, len(wires), 256)]
            case m.Entries() if self._happens(self._mood.withhold):
                return []
            case m.Entries():
                rows = [self._entry(other, row) for row in message.entries]
                return [m.Entries(rows)]
            case m.Hello() if self._mood.boast:
                return [msgspec.structs.replace(message, height=message.height + 1000)]
            case m.BlocksEnd() if self._mood.boast and self._mood.withhold:
                return []
            case m.Hello() if self._happens(self._mood.lie):
                return [self._hello(message)]
            case m.Heads() if self._happens(self._mood.lie):
                made_up = (random.randbytes(32), [(random.randrange(99), random.randbytes(32))])
                known = [
                    (device, [(seq + 1, random.randbytes(32)) for seq, _ in ends]) for device, ends in message.devices
                ]
                return [m.Heads(message.part, message.parts, message.reply, random.choice(([], [made_up], known)))]
            case m.Want() if self._happens(self._mood.lie):
                return [message, m.Want([(random.randbytes(32), 0, random.randbytes(32))])]
            case m.Block() if self._happens(self._mood.withhold):
                return []
            case m.Block() if self._happens(self._mood.lie):
                return [msgspec.structs.replace(message, entry_ids=message.entry_ids[:-1])]
            case m.BlocksEnd() if self._happens(self._mood.lie):
                return [m.BlocksEnd(random.randrange(1000))]
        return [message]

    def _happens(self, percent: int) -> bool:
        return percent > 0 and self._random.randrange(100) < percent

    def _is_in_half(self, other: str, what: int) -> bool:
        """Whether another one is told the other story: for each height, or number of an entry, another half."""
        others = sorted(name for name in self._cluster.machines if name != self._machine.name)
        return (others.index(other) + what) % 2 == 1

    def _broken(self, frame: bytes) -> bytes:
        random = self._random
        data = bytearray(frame)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(data) if random.random() < 0.8 else random.randbytes(random.randrange(1, 60))

    def _hello(self, hello: m.Hello) -> m.Hello:
        random = self._random
        change = random.choice(
            (
                {"height": hello.height + random.choice((1, 3, 1000, 2**40))},
                {"height": random.randint(0, hello.height)},
                {"digest": random.randbytes(32)},
                {"block_id": random.randbytes(32)},
                {"now": hello.now + random.choice((-1, 1)) * 3_600_000},
            )
        )
        return msgspec.structs.replace(hello, **change)

    def _entry(self, other: str, row: tuple[bytes, bytes, bytes | None]) -> tuple[bytes, bytes, bytes | None]:
        header, signature, annex = row
        if self._happens(self._mood.garble):
            return header, bytes(64), annex
        for own, twin in self._twins.items():
            if twin.signature != signature and self._is_in_half(other, twin.seq):
                core = self._machine.core
                entry = None if core is None else core.intake.find(own)
                if entry is not None and entry.header == header:
                    return wire(twin)
        return row

    # -- sealing -------------------------------------------------------------------------------------------------------

    def _sealing(self, other: str, data: bytes) -> list[bytes]:
        """What another one gets to hear instead of one sealing message."""
        message = read_once(data)
        if message.signer != self._machine.key:
            return [] if self._happens(self._mood.withhold) else [data]
        if self._mood.withhold == 100:
            return []
        if self._happens(self._mood.garble):
            return [replace(message, signature=bytes(64)).wire()]
        out = [data]
        if isinstance(message, Proposal | Prevote | Precommit):
            if message.block_id is not None and message.block_id not in self._blocks[-8:]:
                self._blocks.append(message.block_id)
            if isinstance(message, Proposal) and self._happens(self._mood.split):
                self._propose_twice(message)
            story = self._others.get((message.height, message.round))
            if story is not None and self._is_in_half(other, message.height):
                out = story
            elif story is None and not isinstance(message, Proposal) and self._happens(self._mood.split):
                out = [self._vote(message, self._random.choice((None, *self._blocks[-3:]))).wire()]
                if self._random.random() < 0.3:
                    out.append(data)
            if self._happens(self._mood.invent):
                out = [*out, *self._invented(message)]
        return out

    @property
    def _signer(self) -> KeySigner:
        return KeySigner(self._machine.node, self._cluster.ledger_id)

    def _vote(self, like: Prevote | Precommit, block_id: bytes | None, *, round_: int | None = None) -> Sealing:
        about = {"ledger": like.ledger, "height": like.height, "round_": like.round if round_ is None else round_}
        if isinstance(like, Precommit):
            return make_precommit(self._signer, **about, block_id=block_id)  # type: ignore[arg-type]
        jr = -1 if block_id is None else min(like.jr, about["round_"] - 1)  # type: ignore[operator]
        return make_prevote(self._signer, **about, block_id=block_id, jr=jr)  # type: ignore[arg-type]

    def _invented(self, like: Proposal | Prevote | Precommit) -> list[bytes]:
        random, ledger, height = self._random, like.ledger, like.height
        round_ = like.round + random.choice((0, 0, 1, 2, 50))
        block_id = random.choice((None, random.randbytes(32), *self._blocks[-2:]))
        jr = -1 if block_id is None else random.randint(-1, round_ - 1)
        about = {"ledger": ledger, "height": height, "round_": round_, "block_id": block_id}
        votes = (
            make_prevote(self._signer, jr=jr, **about),  # type: ignore[arg-type]
            make_precommit(self._signer, **about),  # type: ignore[arg-type]
        )
        return [vote.wire() for vote in votes[: random.randint(1, 2)]]

    def _propose_twice(self, proposal: Proposal) -> None:
        """Another block for the same round, from another READY of ours, and our votes for it."""
        at = (proposal.height, proposal.round)
        body, core = proposal.body, self._machine.core
        if at in self._others or body is None or core is None or proposal.vr >= 0:
            return
        ledger = core.ledger
        if ledger.head.height + 1 != proposal.height:
            return
        readys = [self._later(ready) for ready in body.readys]
        try:
            made = assemble(ledger, readys, proposer=body.header.proposer, round_created=body.header.round_created)
        except (BlockError, EntryError):
            return
        if not isinstance(made, Assembled) or made.block_id == proposal.block_id:
            return
        second = make_proposal(
            self._signer,
            ledger=proposal.ledger,
            height=proposal.height,
            round_=proposal.round,
            vr=-1,
            body=ProposalBody(header=made.header, readys=tuple(readys)),
        )
        self._blocks.append(made.block_id)
        about = {"ledger": proposal.ledger, "height": proposal.height, "round_": proposal.round}
        votes = (
            make_prevote(self._signer, **about, block_id=made.block_id, jr=-1),  # type: ignore[arg-type]
            make_precommit(self._signer, **about, block_id=made.block_id),  # type: ignore[arg-type]
        )
        self._others[at] = [second.wire(), *(vote.wire() for vote in votes)]

    def _later(self, ready: Ready) -> Ready:
        """Our own READY with another clock; those of others as they are."""
        if ready.signer != self._machine.key:
            return ready
        return make_ready(
            self._signer,
            ledger=ready.ledger,
            height=ready.height,
            prev_id=ready.prev_id,
            time=ready.time + 7,
            frontier=ready.frontier,
            count=1 + self._random.randrange(9) + ready.count,
        )
