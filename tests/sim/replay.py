"""Play one seed again: `python -m tests.sim.replay SEED`. Prints the digest of its trace, and where it ended."""

from __future__ import annotations

import sys

from tests.sim.scenario import run


def main() -> int:
    seed = int(sys.argv[1])
    cluster = run(seed)
    sys.stdout.write(f"{seed} {cluster.digest} height {cluster.height()} after {cluster.events} events\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
