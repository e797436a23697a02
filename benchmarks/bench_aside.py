"""How long a node's loop stands still while it answers long questions about a long ledger.

A node of 100 000 sealed entries is asked each long question in turn; besides, its loop wakes every millisecond and
notes by how much it came too late. Nobody is connected, so what is measured is the asking alone.

python -m benchmarks.bench_aside [entries]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import trio

from benchmarks.ledgers import CHARTER, Writer, sealed
from benchmarks.report import report
from tallystick.node.aside import LONG, Aside
from tallystick.node.collector import collecting_rarely
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.view import NodeFacts

DEMAND_MS: Final = 20.0
_WAKE_S: Final = 0.001


class Watch:
    """How late the loop wakes."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def run(self) -> None:
        while True:
            begun = time.perf_counter()
            await trio.sleep(_WAKE_S)
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - begun - _WAKE_S) * 1e3)


def questions(writer: Writer) -> dict[str, dict[str, Any]]:
    """What each long read is asked."""
    partner = writer.founding.id.hex()
    asked: dict[str, dict[str, Any]] = {name: {} for name in sorted(LONG)}
    asked["explain"] = {"id": partner}
    for name in ("statement", "prove_points"):
        asked[name] = {"partner": partner}
    asked["charter_simulate"] = {"charter": _dearer()}
    # A ledger without money has nothing to settle.
    del asked["settlement"]
    return asked


def _dearer() -> str:
    step = CHARTER["step"][0] | {"price": 8}
    lines = ["charter = 1", 'name = "Dearer"', "[points]", f"pool = {CHARTER['points']['pool']}", "[[step]]"]
    return "\n".join([*lines, *(f"{key} = {value!r}" for key, value in step.items())])


async def measure(writer: Writer, store: LevelStore) -> dict[str, dict[str, float]]:
    aside = Aside(store, writer.ledger_id, writer.authors[0].secret.public)
    figures: dict[str, dict[str, float]] = {}
    for name, args in questions(writer).items():
        watch = Watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            begun = time.perf_counter()
            answer = await aside.answer(name, args, NodeFacts(), lambda: writer.now)
            took_ms = (time.perf_counter() - begun) * 1e3
            size = answer.size_bytes
            del answer
            await trio.sleep(_WAKE_S)
            nursery.cancel_scope.cancel()
        figures[name] = {"took_ms": took_ms, "stood_still_ms": watch.worst_ms, "bytes": size}
    return figures


def main(entries: int) -> None:
    writer = Writer(100)
    with tempfile.TemporaryDirectory() as folder, collecting_rarely():
        store = LevelStore.create(Path(folder))
        sealed(writer, store, entries // 4)
        figures = trio.run(measure, writer, store)
        store.close()
    worst = max(row["stood_still_ms"] for row in figures.values())
    report("aside", figures, {"longest_stand_ms": (worst, "<=", DEMAND_MS)})


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
