"""A pile of entries that wait: looking at all of them, one more on top, and sealing them in blocks of 1024.

Sealing a pile that is ten times as high must not cost an entry much more: what is still pending after a block is
placed anew, and looked at anew when somebody asks. The node asks after each block here, as one with peers does.

python -m benchmarks.bench_backlog [heights...]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench_growth import cpu_us, offer
from benchmarks.ledgers import Writer, core_of, fill
from benchmarks.report import report
from tallystick.node.collector import collecting_rarely
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.sync import entry_wire

DEMAND = 2.0
PARTNERS = 100
ROUNDS = 21


def pile(writer: Writer, count: int) -> dict[str, Any]:
    """So many pending entries, and then none."""
    with tempfile.TemporaryDirectory() as folder:
        store = LevelStore.create(Path(folder))
        core = core_of(writer, store)
        fill(core, writer.joins(), writer.now)
        entries = list(writer.deals(count // 4))
        now = writer.now + 1000
        wires = [entry_wire(entry) for entry in entries]
        begun = time.thread_time()
        batch, _ = core.intake.open(wires, bytes(32), now, asked=True)
        taken = core.intake.close(batch, [True] * len(batch.entries), now)
        core.archive.keep((row.entry for row in taken.added), sync=False)
        in_us = (time.thread_time() - begun) * 1e6 / count
        looked_us = cpu_us(lambda: core.ledger.view(now)) / count
        ones = []
        for number in range(ROUNDS):
            entry = offer(writer, number)
            body = core.intake.judge(entry)
            ones.append(cpu_us(partial(core.ledger.try_out, entry, body, writer.now)))
            core.ledger.add(entry, body)
            core.ledger.view(writer.now)
        count += ROUNDS
        peer = writer.authors[1].node.public
        height = core.ledger.head.height
        core.on_block = lambda _height: core.is_member(peer) and None
        begun, begun_wall = time.thread_time(), time.perf_counter()
        core.sealer.alone(writer.now, at_once=True)
        sealed_us = (time.thread_time() - begun) * 1e6 / count
        wall_us = (time.perf_counter() - begun_wall) * 1e6 / count
        if len(core.ledger.pool):
            raise ValueError("something is left")
        blocks = core.ledger.head.height - height
        store.close()
    return {
        "taken_in_us": in_us,
        "looked_at_us": looked_us,
        "one_more_us": statistics.median(ones),
        "sealed_us": sealed_us,
        "sealed_wall_us": wall_us,
        "blocks": blocks,
    }


def main(heights: Sequence[int]) -> None:
    with collecting_rarely():
        rows = {str(height): pile(Writer(PARTNERS), height) for height in heights}
    first, last = rows[str(heights[0])], rows[str(heights[-1])]
    report(
        "backlog",
        rows,
        {
            "sealing_of_an_entry": (last["sealed_us"] / first["sealed_us"], "<=", DEMAND),
            "preview_of_one_more": (last["one_more_us"] / first["one_more_us"], "<=", DEMAND),
        },
    )


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [1_000, 10_000])
