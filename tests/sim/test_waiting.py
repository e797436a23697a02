"""A height that waits for a quorum, for hours: whoever comes at last finds everybody ready."""

from __future__ import annotations

from tallystick.node.desk import Desk
from tests.sim.cluster import Cluster
from tests.sim.people import offer, partners, settle
from tests.sim.scenario import CHARTER


def test_a_quorum_that_comes_late_seals_at_once() -> None:
    """Three of five wait for as long as it takes to say more than a thousand times that they are there."""
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo", "cy", "di", "eva")
        assert len(cluster.machines["ana"].live.ledger.sealers()) == 5
        for name in ("di", "eva"):
            cluster.switch_off(cluster.machines[name])
        offer(cluster, "ana")
        height = cluster.height()
        # A STATUS a second, at the pace of a simulation.
        cluster.run(1_300_000)
        assert cluster.height() == height
        cluster.boot(cluster.machines["di"])
        cluster.connect_all()
        cluster.run_until(lambda: cluster.height() > height, 60_000, "sealed after the wait")


def test_who_is_waited_for_is_called_by_name() -> None:
    """`tally seal` speaks of people; a number of 64 digits tells nobody whose computer to switch on."""
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo")
        cluster.switch_off(cluster.machines["bo"])
        offer(cluster, "ana")
        core = cluster.machines["ana"].live
        sealing = Desk(core).sealing(cluster.now)
        assert (sealing["waits_for"], sealing["waits_for_least"]) == (["bo"], 1)


def test_how_many_are_waited_for_is_told() -> None:
    """Of two sealers a third partner needs both; of four, each needs two of the others; alone nobody is needed."""
    with Cluster(1) as cluster:
        cluster.found(CHARTER, "ana")
        alone = cluster.do("ana", "offer", {"step": "bake", "units": 1})
        assert (alone["waits_for"], alone["waits_for_least"]) == ([], 0)
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo")
        cy = cluster.join("cy", "ana")
        cluster.connect_all()
        cluster.run(1000)
        cluster.do("ana", "admit", {"partner": cy.acknowledged[0].hex()})
        settle(cluster)
        cluster.disconnect_all()
        answer = cluster.do("cy", "offer", {"step": "bake", "units": 1})
        assert (sorted(answer["waits_for"]), answer["waits_for_least"]) == (["ana", "bo"], 2)
        trial = cluster.do("ana", "offer", {"step": "bake", "units": 1, "dry_run": True})
        assert (trial["waits_for"], trial["waits_for_least"]) == (["bo"], 1)
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo", "cy", "di")
        cluster.disconnect_all()
        answer = cluster.do("bo", "offer", {"step": "bake", "units": 1})
        assert (sorted(answer["waits_for"]), answer["waits_for_least"]) == (["ana", "cy", "di"], 2)
