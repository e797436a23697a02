"""Seeds: each is a venture's evening with crashes at every fsync, cut streams, sleeping laptops and wrong clocks.

`TALLY_SIM_SEEDS=FIRST:LAST make sim` plays others. A failure prints its seed; `python -m tests.sim.replay SEED` plays
it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.scenario import run

_FIRST, _, _LAST = os.environ.get("TALLY_SIM_SEEDS", "0:200").partition(":")
SEEDS = range(int(_FIRST), int(_LAST))
CHUNK = 20


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(SEEDS.start, SEEDS.stop, CHUNK))
def test_everybody_agrees_whatever_breaks(first: int) -> None:
    """One block for each height, one root, nothing acknowledged lost, nobody framed, and all sealed once all works."""
    for seed in range(first, min(first + CHUNK, SEEDS.stop)):
        run(seed)


def test_a_seed_is_one_trace() -> None:
    """The same seed gives the same events, byte for byte, in another process and with other hash seeds."""
    here = run(7).digest
    for hash_seed in ("0", "1"):
        there = subprocess.run(
            [sys.executable, "-m", "tests.sim.replay", "7"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        assert there.stdout.split()[1] == here
