"""Where a peer says that it can be reached."""

from __future__ import annotations

from tallystick.node import messages as m
from tallystick.node.allowance import MOVES_MAX, WINDOW_MS
from tallystick.node.effects import Learn
from tallystick.node.net_address import peer_id
from tallystick.node.transport import Frame
from tests.sim.cluster import Cluster
from tests.sim.people import partners


def test_ever_new_addresses_are_bounded_and_the_last_are_heard_later() -> None:
    """Each is a write to the disk and news for everybody; whoever really moves says so again."""
    with Cluster(22) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]

        def say(port: int, now: int) -> tuple[str, int]:
            address = f"/ip4/192.0.2.1/tcp/{port}/p2p/{peer_id(bo.key)}"
            head = ana.live.ledger.head
            hello = m.Hello(m.SYNC_VERSION, ana.live.ledger.id, head.height, head.block_id, bytes(32), now, [address])
            effects = ana.live.handle(Frame(peer=bo.key, data=m.encode_message(hello)), now)
            return address, sum(isinstance(effect, Learn) for effect in effects)

        # Where it is really was the first.
        assert sum(say(port, cluster.now)[1] for port in range(1000, 1000 + 2 * MOVES_MAX)) == MOVES_MAX - 1
        address, learned = say(5000, cluster.now + WINDOW_MS)
        assert learned == 1
        assert ana.live.archive.addresses_of(bo.key) == [address]
