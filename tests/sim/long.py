"""Play many seeds, and go on after a failure: `python -m tests.sim.long FIRST LAST`.

Prints a line for every failure and for every hundred seeds, and in the end how many of what were played. The exit code
is 1 where something failed.
"""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections import Counter
from random import Random

from tests.sim.scenario import Plan, run


def main(first: int, last: int) -> int:
    # What nodes log about those who cheat is no news here.
    logging.disable(logging.CRITICAL)
    # Most of what is made here is dropped at once; looking for circles in it takes a tenth of the time.
    gc.set_threshold(200_000)
    started = time.monotonic()
    failed: list[int] = []
    played: Counter[str] = Counter()
    for seed in range(first, last):
        plan = Plan.draw(Random(seed))
        played.update(
            name
            for name, is_so in (
                ("with cheats", plan.cheats),
                ("with cheats that seal", any(number < plan.sealers for number in plan.cheats)),
                ("in pairs", plan.pairs),
                ("in parts", plan.part_percent),
                ("with backups", plan.restore_percent),
                ("with crashes", plan.crash_percent),
                ("founded anew", plan.is_fresh),
            )
            if is_so
        )
        try:
            run(seed)
        except Exception as error:
            failed.append(seed)
            say(f"seed {seed} failed: {type(error).__name__}: {str(error)[:400]}")
        if seed % 100 == 99:
            # Whole clusters are circles, and whoever froze what there was has hidden them from the collector.
            gc.collect()
            say(f"{seed + 1 - first} seeds in {time.monotonic() - started:.0f} s, {len(failed)} failed")
    say(f"{last - first} seeds in {time.monotonic() - started:.0f} s; failed: {failed or 'none'}; {dict(played)}")
    return 1 if failed else 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
