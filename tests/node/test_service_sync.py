"""What a `sync` says at its end of those whom it met."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import cast

import trio
import trio.testing

from tallystick.node.joining import none_met
from tallystick.node.service import Node
from tests.sim.cluster import Cluster
from tests.sim.people import offer, partners


def test_who_has_gone_by_the_end_was_met() -> None:
    """Whoever brings the block that revokes this computer hangs up at once, and is counted all the same."""
    with Cluster(31) as cluster:
        partners(cluster, "ana", "bo")
        cluster.disconnect("ana", "bo")
        entry = offer(cluster, "ana")
        bo = cluster.machines["bo"]

        async def dial_now(address: str) -> None:
            cluster.connect("ana", "bo")
            cluster.run_until(lambda: bytes.fromhex(entry) in bo.live.ledger.pool, 10_000, "the offer is there")
            cluster.disconnect("ana", "bo")

        one = SimpleNamespace(core=bo.live, dial_now=dial_now)
        one._greeted, one._progress = partial(Node._greeted, cast(Node, one)), partial(Node._progress, cast(Node, one))

        said = trio.run(Node.sync, cast(Node, one), "ana", clock=trio.testing.MockClock(autojump_threshold=0))
        assert (said["peers"], said["pending"]) == (1, 1)


def test_nobody_is_met_for_one_of_three_reasons() -> None:
    """Nobody is known, nobody answers, or those who are there do not let this computer in."""
    assert none_met(0, 0).message == "no peer is known yet"
    assert none_met(2, 0).message == "none of 2 known peers answers"
    assert "revoked" not in none_met(2, 0).hint
    shut = none_met(2, 1)
    assert shut.message == "1 of 2 known peers did not let this computer in"
    assert "may have been revoked" in shut.hint
