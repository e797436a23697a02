"""Stored entries to state, without signatures: what `tally verify` and catching up cost apart from the signatures.

For each entry: read from LevelDB with its checksums, decode, canonical form, id, structure, place in the order; for
each block: its READYs and header, everything its entries do, the log and the state root, compared with the header.
What is sealed so far is kept in memory, as the protocol asks for it.

python -m benchmarks.bench_replay [entries] [rounds]
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.ledgers import Writer, sealed
from benchmarks.report import report
from tallystick.node.archive import Archive
from tallystick.node.collector import collecting_rarely
from tallystick.node.store_leveldb import LevelStore
from tallystick.protocol.act import Sealed
from tallystick.protocol.assembly import Assembled, check_sealed
from tallystick.protocol.block import read_block_untrusted
from tallystick.protocol.ledger import Head, Ledger
from tallystick.protocol.records_deal import Deal
from tallystick.protocol.structure import Waiting

DEMAND_PER_S = 30_000
PARTNERS = 100


class Facts:
    """What is sealed so far: the `History` of a replay."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Sealed] = {}
        self.blocks: dict[int, tuple[bytes, int, bytes]] = {}
        self.closed: dict[bytes, Deal] = {}

    def sealed(self, entry_id: bytes) -> Sealed | None:
        return self.entries.get(entry_id)

    def block_id(self, height: int) -> bytes | None:
        row = self.blocks.get(height)
        return None if row is None else row[0]

    def block_time(self, height: int) -> int | None:
        row = self.blocks.get(height)
        return None if row is None else row[1]

    def charter_digest(self, height: int) -> bytes | None:
        row = self.blocks.get(height)
        return None if row is None else row[2]

    def added_device(self, entry_id: bytes) -> bytes | None:
        return None

    def closed_deal(self, deal_id: bytes) -> Deal | None:
        return self.closed.get(deal_id)

    def take(self, made: Assembled) -> None:
        executed = made.executed
        for pending, result in zip(made.taken, executed.results, strict=True):
            entry = pending.entry
            cited = -1 if entry.seal is None else entry.seal[0]
            self.entries[entry.id] = Sealed(executed.height, result.at, entry.device, entry.seq, cited)
        self.blocks[executed.height] = (made.block_id, executed.time, executed.charter_digest)
        self.closed.update(executed.closed)


def replay(archive: Archive, ledger_id: bytes, height: int) -> tuple[int, Head]:
    """All blocks again from the founding; how many entries, and where it ends."""
    facts = Facts()
    ledger = Ledger(ledger_id, facts)
    count = 0
    for number in range(1, height + 1):
        row = archive.block(number)
        assert row is not None
        for entry in archive.entries_of(number, row.entry_ids):
            body = ledger.check(entry)
            assert not isinstance(body, Waiting)
            ledger.add(entry, body)
        count += len(row.entry_ids)
        block = read_block_untrusted(row.header, row.certificate, row.readys, row.entry_ids)
        made = check_sealed(ledger, block, verified=True)
        assert isinstance(made, Assembled)
        facts.take(made)
        ledger.commit(made.executed, made.block_id)
    return count, ledger.head


def main(count: int, rounds: int) -> None:
    writer = Writer(PARTNERS)
    with tempfile.TemporaryDirectory() as folder:
        store = LevelStore.create(Path(folder))
        core = sealed(writer, store, count // 4)
        head, archive = core.ledger.head, core.archive
        del core
        gc.collect()
        rates, cpu = [], []
        for _ in range(rounds):
            begun, begun_cpu = time.perf_counter(), time.process_time()
            with collecting_rarely():
                replayed, end = replay(archive, writer.ledger_id, head.height)
            rates.append(replayed / (time.perf_counter() - begun))
            cpu.append((time.process_time() - begun_cpu) / replayed)
            if end != head:
                raise ValueError("the replay ends elsewhere")
        store.close()
    report(
        "replay",
        {"entries": count, "blocks": head.height, "per_s": rates, "cpu_us_per_entry": statistics.median(cpu) * 1e6},
        {"entries_per_s": (statistics.median(rates), ">=", DEMAND_PER_S)},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
