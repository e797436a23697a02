"""A block that comes with its entries is stored once, with them; nothing is ever sealed and pending at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick.node import layout
from tallystick.node.errors import StoreError, StoreReason
from tests.sim.cluster import Cluster
from tests.sim.people import offer
from tests.sim.scenario import CHARTER


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Ana seals alone, Bo is a partner of hers; they cannot reach each other just now."""
    with Cluster(33) as cluster:
        cluster.found(CHARTER, "ana")
        cluster.join("bo", "ana")
        cluster.connect_all()
        cluster.run_until(cluster.is_settled, 60_000, "joined")
        cluster.do("ana", "admit", {"partner": cluster.machines["bo"].acknowledged[0].hex(), "sealer": False})
        cluster.run_until(cluster.is_settled, 60_000, "admitted")
        cluster.disconnect_all()
        yield cluster


def test_an_error_when_the_block_is_stored_leaves_no_entry_both_sealed_and_pending(cluster: Cluster) -> None:
    """The store may hold the block all the same: whoever starts again goes on from it."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    for _ in range(2):
        height = ana.live.ledger.head.height
        offer(cluster, "ana")
        cluster.run_until(lambda at=height: ana.live.ledger.head.height == at + 1, 60_000, "sealed")  # type: ignore[misc]

    def fail(sync: bool) -> None:
        if sync:
            bo.store.faults.after_write = None
            raise StoreError("the guard cannot be written", reason=StoreReason.IO)

    bo.store.faults.after_write = fail
    cluster.connect_all()
    with pytest.raises(StoreError):
        cluster.run(60_000)
    pending = [key[1:] for key, _ in bo.store.iterate(prefix=layout.PENDING)]
    assert [entry_id for entry_id in pending if bo.live.archive.sealed(entry_id) is not None] == []
    cluster.switch_off(bo)
    cluster.wake_up(bo)
    cluster.connect_all()
    cluster.run_until(lambda: bo.live.ledger.head == ana.live.ledger.head, 60_000, "caught up")
