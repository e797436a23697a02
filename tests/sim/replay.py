"""Play seeds again: `python -m tests.sim.replay SEED...`. Prints their plans, their digests and where they ended."""

from __future__ import annotations

import sys
from random import Random

from tests.sim.scenario import Plan, run


def main() -> int:
    for seed in map(int, sys.argv[1:]):
        sys.stdout.write(f"{Plan.draw(Random(seed))}\n")
        sys.stdout.flush()
        cluster = run(seed)
        sys.stdout.write(f"{seed} {cluster.digest} height {cluster.height()} after {cluster.events} events\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
