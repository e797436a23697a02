"""Partners who are never all together: only two ever meet, and still everything is sealed."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.sim.cheat import Cheat, Mood
from tests.sim.cluster import Cluster
from tests.sim.people import offer, partners, settle

FIVE = ("ana", "bo", "cy", "di", "eva")


def _meet_in_pairs(cluster: Cluster, names: tuple[str, ...], within_ms: int) -> int:
    """One pair after the other, each for some seconds, until all is sealed. Returns how often somebody met."""
    pairs = [frozenset(pair) for pair in combinations(names, 2)]
    until = cluster.now + within_ms
    meetings = 0
    while not cluster.is_settled():
        assert cluster.now < until, cluster.failure("not in time: only pairs meet")
        cluster.only(cluster.random.choice(pairs))
        assert len(cluster.links) <= 1
        cluster.run(4000)
        meetings += 1
    return meetings


@pytest.mark.parametrize("seed", range(3))
def test_five_who_only_meet_in_pairs_seal(seed: int) -> None:
    """Four of five are a quorum, and two are the most that are ever together: votes travel with whoever travels."""
    with Cluster(seed) as cluster:
        partners(cluster, *FIVE)
        cluster.only(frozenset(FIVE[:2]))
        for name in FIVE:
            offer(cluster, name)
        assert _meet_in_pairs(cluster, FIVE, 6 * 3_600_000) > 4
        cluster.oracles.check_end()


def test_one_of_them_cheats_and_they_seal_all_the_same() -> None:
    """Four who meet in pairs, one of whom tells everybody another block."""
    with Cluster(7) as cluster:
        names = FIVE[:4]
        partners(cluster, *names)
        di = cluster.machines["di"]
        di.cheat = Cheat(cluster, di, Mood(split=100))
        for name in names[:3]:
            offer(cluster, name)
        _meet_in_pairs(cluster, names, 6 * 3_600_000)
        cluster.oracles.check_end()


def test_two_halves_seal_nothing_alone_and_everything_together() -> None:
    """Neither half of four is a quorum; when the wall falls, what both have written is sealed in one block each."""
    with Cluster(3) as cluster:
        names = FIVE[:4]
        partners(cluster, *names)
        height = cluster.height()
        cluster.part({"ana": 1, "bo": 1})
        for name in names:
            offer(cluster, name)
        cluster.run(300_000)
        assert {row.live.ledger.head.height for row in cluster.machines.values()} == {height}
        cluster.part({})
        settle(cluster)
        cluster.oracles.check_end()


def test_the_larger_part_goes_on_without_the_smaller() -> None:
    """Three of four seal; the fourth writes meanwhile, and catches up when it is back."""
    with Cluster(4) as cluster:
        names = FIVE[:4]
        partners(cluster, *names)
        cluster.part({"di": 1})
        for name in names:
            offer(cluster, name)
        ana, di = cluster.machines["ana"], cluster.machines["di"]
        height = di.live.ledger.head.height
        cluster.run_until(lambda: not len(ana.live.ledger.pool), 60_000, "three seal")
        assert di.live.ledger.head.height == height
        cluster.part({})
        settle(cluster)
        cluster.oracles.check_end()
