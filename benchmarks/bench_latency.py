"""How soon others see a new entry, and how soon it is sealed: real `tally node` processes on loopback.

The time runs from before the entry is signed, through the local interface of one node, until the local interface of
another one shows it; the others are asked again and again, which is part of the time.

python -m benchmarks.bench_latency [rounds]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.report import report
from tests.integration.computers import Computer, charter, computers, gather

VISIBLE_MS = 100.0
SEALED_MS = 2000.0
WARM_UP = 2
GIVE_UP_S = 30.0


def ms_until(begun: float, is_so: Callable[[], bool]) -> float:
    """Milliseconds from `begun` until something is so; it is looked at without a pause."""
    while not is_so():
        if time.perf_counter() - begun > GIVE_UP_S:
            raise TimeoutError("it does not come")
    return (time.perf_counter() - begun) * 1000


def visible(one: Computer, other: Computer, units: int) -> tuple[float, float]:
    """(ms from before the signature, ms from the answer of the writing node) until the other node shows an entry."""
    begun = time.perf_counter()
    entry = one.write("offer", step="roast", units=units)["entry"]
    answered = time.perf_counter()
    whole = ms_until(begun, lambda: other.has(entry))
    return whole, whole - (answered - begun) * 1000


def sealed(everybody: Sequence[Computer], writer: Computer, units: int) -> float:
    """Milliseconds until all nodes have a block with an entry."""
    begun = time.perf_counter()
    entry = writer.write("offer", step="roast", units=units)["entry"]
    took = 0.0
    for each in everybody:
        took = ms_until(begun, lambda each=each: each.has(entry) and each.read("show", id=entry)["status"] == "sealed")
    return took


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with computers(Path(folder), "Ana", "Bo") as both:
            gather(both)
            rows = [visible(both[number % 2], both[1 - number % 2], number + 1) for number in range(rounds + WARM_UP)]
        with computers(Path(folder), "Cy", "Dora", "Eve", "Finn") as four:
            gather(four, charter("0s"))
            times = [sealed(four, four[number % 4], number + 1) for number in range(rounds // 2 + WARM_UP)]
    seen, sent, times = [row[0] for row in rows[WARM_UP:]], [row[1] for row in rows[WARM_UP:]], times[WARM_UP:]
    report(
        "latency",
        {
            "visible_ms": {"median": statistics.median(seen), "most": max(seen)},
            "visible_after_the_answer_ms": {"median": statistics.median(sent), "most": max(sent)},
            "sealed_by_four_ms": {"median": statistics.median(times), "most": max(times)},
            "rounds": [len(seen), len(times)],
        },
        {
            "visible_ms": (statistics.median(seen), "<=", VISIBLE_MS),
            "sealed_by_four_ms": (statistics.median(times), "<=", SEALED_MS),
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
