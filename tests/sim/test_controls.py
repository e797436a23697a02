"""Rules left out of whole nodes: the simulation must catch each, or it would prove nothing.

Those of the vote alone are in `tests/protocol/test_consensus_sim.py` and `test_consensus_directed.py`; the table in
docs/spec/simulation.md names the test for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from random import Random
from typing import Any
from unittest import mock

import pytest

from tallystick.node import core as core_module
from tallystick.node import layout
from tallystick.node import sealer as sealer_module
from tallystick.node.archive import Archive
from tallystick.node.config import SealingTimes
from tallystick.node.core import NodeCore
from tallystick.node.errors import StoreError
from tallystick.node.sealer import Sealer
from tallystick.protocol.block import read_certificate_untrusted
from tallystick.protocol.consensus import Height
from tallystick.protocol.ledger import Executed, Ledger
from tallystick.protocol.pool import Pending
from tests.sim.cluster import Cluster
from tests.sim.people import offer
from tests.sim.scenario import Plan, run, set_up

#: Nothing goes wrong but that disks are put back, and that streams break.
BACKUPS = replace(
    Plan.draw(Random(0)),
    people=4,
    sealers=4,
    steps=30,
    crash_percent=0,
    cut_percent=30,
    sleep_percent=5,
    skew_ms=0,
    delay_ms=(5, 80),
    is_fresh=False,
    pairs=False,
    part_percent=0,
    restore_percent=40,
    cheats=(),
)


@pytest.fixture
def patched() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _first_caught(seeds: range, play: Callable[[int], object], words: str) -> int | None:
    """The first seed in which something does not hold, for this reason."""
    for seed in seeds:
        try:
            play(seed)
        except AssertionError as error:
            if words in str(error):
                return seed
    return None


def test_without_a_guard_a_restored_backup_votes_twice(patched: ExitStack) -> None:
    """No memory beside the database, and no shame when others show what was signed: it is signed again, otherwise."""
    true_init = Sealer.__init__

    def init(self: Sealer, core: NodeCore, times: SealingTimes, now: int) -> None:
        core.archive.store.guard.trust(batch=core.archive.store.batch)
        true_init(self, core, times, now)

    def nothing(*_: object) -> None:
        return None

    def height(**fields: Any) -> Height:
        return Height(**(fields | {"guard": (0, 0, 0)}))

    patched.enter_context(mock.patch.object(Sealer, "__init__", init))
    patched.enter_context(mock.patch.object(sealer_module, "Height", height))
    patched.enter_context(mock.patch.object(Sealer, "mute", nothing))
    patched.enter_context(mock.patch.object(core_module, "check_own", nothing))
    seed = _first_caught(range(100), lambda seed: run(seed, plan=BACKUPS), "could be framed")
    assert seed is not None
    patched.close()
    run(seed, plan=BACKUPS)


def _sealed_among(seed: int, people: int) -> None:
    """So many come in one after the other, all seal, and some things are written."""
    with Cluster(seed) as cluster:
        set_up(cluster, people, people)
        for machine in cluster.machines:
            offer(cluster, machine)
        cluster.run_until(cluster.is_settled, 60_000, "all is sealed")
        cluster.oracles.check_end()


def test_presence_read_from_certificates_makes_two_states_of_one_block(patched: ExitStack) -> None:
    """Nodes hold different certificates of one block, so who was there is read from its READYs alone."""
    true_execute = Ledger.execute

    def execute(self: Ledger, taken: Sequence[Pending], time: int, readers: Sequence[bytes] = ()) -> Executed:
        archive = self.history
        assert isinstance(archive, Archive)
        row = archive.block(self.head.height)
        if row is not None:
            seats = archive.seats(self.head.height)
            readers = tuple(seats[index][1] for index, _ in read_certificate_untrusted(row.certificate).votes)
        return true_execute(self, taken, time, tuple(readers))

    patched.enter_context(mock.patch.object(Ledger, "execute", execute))
    seed = _first_caught(range(10), lambda seed: _sealed_among(seed, 5), "another result")
    assert seed is not None
    patched.close()
    _sealed_among(seed, 5)


@pytest.mark.parametrize("prefix", [layout.CONTENTS, layout.BLOCK, layout.SEALED, layout.OUTCOME])
def test_a_row_that_is_lost_is_missed_at_the_end(prefix: bytes) -> None:
    """What a machine has in memory may be right while its disk is not: the disk is recomputed from the founding on."""
    with Cluster(5) as cluster:
        set_up(cluster, 2, 2)
        offer(cluster, "ana")
        cluster.run_until(cluster.is_settled, 60_000, "all is sealed")
        cluster.oracles.check_end()
        for machine in cluster.honest():
            key, _ = next(iter(machine.store.iterate(prefix=prefix)))
            machine.store.write([], [key], sync=True)
        with pytest.raises((AssertionError, StoreError), match=r"is not sound|has not stored|has no block|missing"):
            cluster.oracles.check_end()
