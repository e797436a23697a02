"""A newcomer catches up: sealed entries over loopback libp2p into an empty store, every signature checked.

Two real `tally node` processes. The yardstick is what the two cores verify with libsodium alone in the same run; the
node that serves works on the same two cores meanwhile.

python -m benchmarks.bench_catchup [entries]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ledgers import Author, Writer, sealed
from benchmarks.report import report
from benchmarks.signatures import alone_per_s
from tallystick.node.collector import collecting_rarely
from tallystick.node.identity import read_identity, read_node_secret
from tallystick.protocol.entry import Entry
from tests.integration.computers import Computer, computers, join, now_ms

DEMAND = 0.5
PARTNERS = 100
GIVE_UP_S = 600.0
LOOK_S = 0.02


def long_ledger(founder: Computer, entries: int) -> int:
    """Found a ledger on this computer and seal so many entries; its height."""
    identity = read_identity(founder.home)
    author = Author(identity.name, founder.key, read_node_secret(founder.home), identity.recovery)
    # In the past, so that nothing of it lies ahead of the clock of the nodes.
    writer = Writer(PARTNERS, founder=author, start=now_ms() - 2 * entries - 60_000)
    store = founder.home.create_store(writer.ledger_id)
    try:
        core = sealed(writer, store, entries // 4)
        store.guard.raise_to(seq=author.seq)
        return core.ledger.head.height
    finally:
        store.close()


def caught_up(entries: int, yardstick: Sequence[Entry] = ()) -> tuple[float, int, float]:
    """(seconds, blocks, what libsodium alone does a second in between) of one newcomer who fetches so many entries."""
    with tempfile.TemporaryDirectory() as folder, computers(Path(folder), "Ana", "Bo") as both:
        ana, bo = both
        with collecting_rarely():
            height = long_ledger(ana, entries)
        ana.start()
        join(bo, ana.write("invite")["ticket"])
        alone = [alone_per_s(yardstick) for _ in range(3) if yardstick]
        bo.start()
        begun = time.perf_counter()
        # What the node says is read, and not asked for: answering would take its time.
        while f"block {height} sealed" not in bo.tail():
            if time.perf_counter() - begun > GIVE_UP_S:
                raise TimeoutError(f"it hangs: {bo.tail()}")
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - begun
        alone += [alone_per_s(yardstick) for _ in range(3) if yardstick]
    return seconds, height, statistics.median(alone) if alone else 0.0


def main(entries: int) -> None:
    seconds, height, alone = caught_up(entries, list(Writer(PARTNERS).deals(2500)))
    rate = entries / seconds
    report(
        "catchup",
        {
            "entries": entries,
            "blocks": height,
            "seconds": seconds,
            "entries_per_s": rate,
            "libsodium_alone_per_s": alone,
        },
        {"fraction_of_libsodium_alone": (rate / alone, ">=", DEMAND)},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
