"""What a long ledger costs: nothing that is done for one entry may grow with all that was sealed before.

A ledger of closed deals is made to 10^3, 10^4 and 10^5 entries. At each length: the preview of one more entry, one more
entry taken in and sealed as a block of its own, a ledger opened from its store, and the memory that takes; between the
lengths: what an entry costs that is taken in and sealed in blocks of a thousand, and, when it is replayed, to apply.
Times are processor time of the thread that does it, so that other work of the machine does not count; for a block the
time on the wall, which has the disk in it, is told as well.

python -m benchmarks.bench_growth [lengths...]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench_replay import replay
from benchmarks.ledgers import Writer, core_of, fill
from benchmarks.report import report
from tallystick.node.archive import Archive
from tallystick.node.collector import collecting_rarely
from tallystick.node.core import NodeCore
from tallystick.node.store_leveldb import LevelStore
from tallystick.protocol.entry import Entry
from tallystick.protocol.kinds.offer import Offer

DEMAND = 1.3
PARTNERS = 100
ROUNDS = 41
#: Entries at the end of each length of which the cost is taken.
WINDOW = 4_000


def cpu_us(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) * 1e6


def offer(writer: Writer, number: int) -> Entry:
    """One more entry, by one partner after the other."""
    author = writer.authors[number % PARTNERS]
    terms = writer.terms()
    return writer.sign(author, Offer(side="sell", step="work", units=1, terms=terms))


def single(core: NodeCore, writer: Writer) -> dict[str, float]:
    """Medians of one entry: its preview, and its block, in us."""
    previews, blocks, waits = [], [], []
    for number in range(ROUNDS):
        entry = offer(writer, number)
        now = writer.now
        core.ledger.view(now)
        body = core.intake.judge(entry)
        previews.append(cpu_us(partial(core.ledger.try_out, entry, body, now)))
        begun = time.perf_counter()
        blocks.append(cpu_us(partial(fill, core, [entry], now)))
        waits.append((time.perf_counter() - begun) * 1e6)
    return {
        "preview_us": statistics.median(previews),
        "block_us": statistics.median(blocks),
        "block_wall_us": statistics.median(waits),
    }


def opened(folder: Path) -> dict[str, float]:
    """What another process needs to open the ledger."""
    asked = [sys.executable, "-m", "benchmarks.bench_growth", "open", str(folder)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(told.stdout)
    return found


def open_here(folder: Path) -> None:
    from benchmarks.report import peak_mib

    store = LevelStore.open(folder)
    archive = Archive(store)
    begun = time.thread_time()
    ledger, _ = archive.load(archive.ledger_id())
    ledger.view(ledger.head.time)
    print(json.dumps({"open_ms": (time.thread_time() - begun) * 1e3, "memory_mib": peak_mib()}))
    store.close()


def main(lengths: list[int]) -> None:
    writer = Writer(PARTNERS)
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, collecting_rarely():
        store = LevelStore.create(Path(folder))
        core = core_of(writer, store)
        fill(core, writer.joins(), writer.now)
        there = 0
        for length in lengths:
            window = min(WINDOW, length - there)
            # The claimed times run ahead of the clock that seals, a millisecond an entry. A clock that is set further
            # ahead than nodes forgive (ten minutes) would seal nothing afterwards.
            fill(core, writer.deals((length - there - window) // 4), writer.now + length - there)
            # Signed before the clock starts: writing is not what is measured.
            last = list(writer.deals(window // 4))
            begun = time.thread_time()
            fill(core, last, writer.now)
            us = (time.thread_time() - begun) * 1e6 / len(last)
            if len(core.ledger.pool):
                raise ValueError(f"{len(core.ledger.pool)} entries are not sealed: {core.sealer.muted}")
            row = single(core, writer) | {"taken_and_sealed_us": us}
            begun = time.thread_time()
            count, end = replay(core.archive, writer.ledger_id, core.ledger.head.height)
            row["replay_us"] = (time.thread_time() - begun) * 1e6 / count
            if end != core.ledger.head:
                raise ValueError("the replay ends elsewhere")
            height = core.ledger.head.height
            store.close()
            row |= opened(Path(folder))
            store = LevelStore.open(Path(folder))
            ledger, _ = Archive(store).load(writer.ledger_id)
            row["state_rows"] = len(ledger.state.rows())
            core = core_of(writer, store)
            if core.ledger.head.height != height:
                raise ValueError("the ledger is not what it was")
            there = length
            rows[str(length)] = row
        store.close()
    first, middle, last_row = (rows[str(length)] for length in (lengths[0], lengths[-2], lengths[-1]))
    report(
        "growth",
        rows,
        {
            "cost_of_an_entry": (last_row["taken_and_sealed_us"] / middle["taken_and_sealed_us"], "<=", DEMAND),
            "cost_of_a_replayed_entry": (last_row["replay_us"] / middle["replay_us"], "<=", DEMAND),
            "preview_of_one": (last_row["preview_us"] / first["preview_us"], "<=", DEMAND),
            "block_of_one": (last_row["block_us"] / first["block_us"], "<=", DEMAND),
            "memory": (last_row["memory_mib"] / first["memory_mib"], "<=", DEMAND),
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["open"]:
        open_here(Path(sys.argv[2]))
    else:
        main([int(each) for each in sys.argv[1:]] or [1_000, 10_000, 100_000])
