"""Signed entries into a node's store: real frames, real LevelDB, every signature judged by the node's own verifier.

What is measured is what a node does with entries that a peer sends: `NodeCore` takes the frames, the verifier of
`service` judges, entries are checked, added to the graph, stored and announced. The yardstick is what two cores verify
with libsodium alone in the same run, before and after each round.

python -m benchmarks.bench_ingest [entries] [rounds]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import trio

from benchmarks.ledgers import Writer, core_of
from benchmarks.report import report
from benchmarks.signatures import alone_per_s
from tallystick.node import messages as m
from tallystick.node.collector import collecting_rarely
from tallystick.node.core import Event, NodeCore
from tallystick.node.effects import Pause, Resume, Verify
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.sync import entry_wire
from tallystick.node.transport import Frame, PeerUp
from tallystick.node.verifier import Verifier
from tallystick.protocol.entry import Entry

DEMAND = 0.5
PARTNERS = 100


class Loop:
    """The part of the service that hands events to the core and carries out what concerns signatures."""

    def __init__(self, core: NodeCore, now: int, peer: bytes) -> None:
        self.core = core
        self.now = now
        self.peer = peer
        self.verifier = Verifier(self.feed)
        self.may_read = trio.Event()
        self.stirred = trio.Event()
        self._waiting: deque[Event] = deque()

    def feed(self, event: Event) -> None:
        self._waiting.append(event)
        if len(self._waiting) > 1:
            return
        while self._waiting:
            for effect in self.core.handle(self._waiting[0], self.now):
                match effect:
                    case Verify():
                        self.verifier.judge(effect)
                    case Pause():
                        self.may_read = trio.Event()
                    case Resume():
                        self.may_read.set()
            self._waiting.popleft()
        self.stirred.set()

    async def take(self, frames: Sequence[bytes], count: int) -> None:
        """Feed frames as a transport does, until so many entries are pending."""
        self.may_read.set()
        for frame in frames:
            await self.may_read.wait()
            self.feed(Frame(peer=self.peer, data=frame))
            await trio.lowlevel.checkpoint()
        while len(self.core.ledger.pool) < count:
            self.stirred = trio.Event()
            await self.stirred.wait()


def frames_of(entries: Sequence[Entry]) -> Iterator[bytes]:
    """Frames as a peer sends them."""
    for start in range(0, len(entries), m.ENTRIES_MAX):
        part = entries[start : start + m.ENTRIES_MAX]
        yield m.encode_message(m.Entries([entry_wire(entry) for entry in part]))


async def ingest(writer: Writer, before: Sequence[Entry], entries: Sequence[Entry]) -> float:
    """Entries per second into an empty store."""
    peer = writer.authors[1].node.public
    with tempfile.TemporaryDirectory() as folder:
        store = LevelStore.create(Path(folder))
        core = core_of(writer, store)
        # Nothing is to be sealed meanwhile: that is measured elsewhere.
        core.sealer.muted = "a benchmark of receiving"
        core.sealer.begin(writer.now)
        loop = Loop(core, writer.now, peer)
        async with trio.open_nursery() as nursery:
            loop.verifier.start(nursery)
            loop.feed(PeerUp(peer=peer, outbound=False, relayed=False, address=""))
            head = core.ledger.head
            hello = m.Hello(m.SYNC_VERSION, writer.ledger_id, head.height, head.block_id, bytes(32), writer.now, [])
            loop.feed(Frame(peer=peer, data=m.encode_message(hello)))
            # As in an answer to what was asked for; entries that nobody asked for are taken in small numbers only.
            core.sync.sessions[peer].wanted[bytes(32)] = writer.now
            await loop.take(list(frames_of(before)), len(before))
            frames = list(frames_of(entries))
            begun = time.perf_counter()
            await loop.take(frames, len(before) + len(entries))
            seconds = time.perf_counter() - begun
        store.close()
    return len(entries) / seconds


def main(count: int, rounds: int) -> None:
    writer = Writer(PARTNERS)
    before = list(writer.joins())
    entries = list(writer.deals(count // 4))
    rates, alone = [], [alone_per_s(entries)]
    for _ in range(rounds):
        with collecting_rarely():
            rates.append(trio.run(ingest, writer, before, entries))
        alone.append(alone_per_s(entries))
    # Each round is compared with what the machine could do just before and just after it.
    ratios = [rate / max(pair) for rate, pair in zip(rates, pairwise(alone), strict=True)]
    ratio = statistics.median(ratios)
    report(
        "ingest",
        {
            "entries": len(entries),
            "entries_per_s": statistics.median(rates),
            "libsodium_alone_per_s": statistics.median(alone),
            "ratios": ratios,
            "bytes_per_entry": sum(len(e.header) + len(e.signature) for e in entries) / len(entries),
        },
        {"fraction_of_libsodium_alone": (ratio, ">=", DEMAND)},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
