"""How long a command takes from nothing: `tally points` beside `python -c pass`, in turn, without a running node.

Once with everything sealed and once with entries that wait for the vote of somebody who is not there.

python -m benchmarks.bench_start [pairs]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import report
from tests.integration.computers import Computer, computers, gather

DEMAND = 3.0
WARM_UP = 3


def seconds(command: Sequence[str | Path]) -> float:
    begun = time.perf_counter()
    # A program that is installed is compiled, whatever the shell says that runs this.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, check=True)
    return time.perf_counter() - begun


def compared(computer: Computer, pairs: int) -> dict[str, Any]:
    """Medians in ms, and the median of the ratios pair by pair."""
    tally: list[str | Path] = [Path(sys.executable).parent / "tally", "--home", computer.path, "points"]
    nothing: list[str | Path] = [sys.executable, "-c", "pass"]
    rows = []
    for number in range(WARM_UP + pairs):
        pair = seconds(tally), seconds(nothing)
        if number >= WARM_UP:
            rows.append(pair)
    return {
        "tally_points_ms": statistics.median(row[0] for row in rows) * 1000,
        "python_pass_ms": statistics.median(row[1] for row in rows) * 1000,
        "ratio": statistics.median(a / b for a, b in rows),
    }


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder, computers(Path(folder), "Ana", "Bo") as both:
        gather(both)
        ana, bo = both
        for each in both:
            each.end()
        sealed = compared(ana, pairs)
        for units in range(1, 11):
            bo.write("offer", step="roast", units=units)
        if bo.status()["pending"] != 10:
            raise ValueError("nothing waits")
        pending = compared(bo, pairs)
    report(
        "start",
        {"all_sealed": sealed, "ten_pending": pending},
        {
            "points_in_pythons": (sealed["ratio"], "<=", DEMAND),
            "points_with_pending_in_pythons": (pending["ratio"], "<=", DEMAND),
        },
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
