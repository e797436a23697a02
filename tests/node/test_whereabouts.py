"""Where a peer says that it can be reached."""

from __future__ import annotations

from tallystick.node import messages as m
from tallystick.node.allowance import WINDOW_MS
from tallystick.node.effects import Learn
from tallystick.node.net_address import peer_id
from tallystick.node.transport import Frame
from tallystick.node.whereabouts import HEARSAY_MAX, MOVES_MAX
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


def test_what_is_said_of_others_is_bounded() -> None:
    """Each row is an address to dial: a peer that repeats one without end has it heard so many times and no more."""
    with Cluster(23) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        ana, bo, cy = (cluster.machines[name] for name in ("ana", "bo", "cy"))

        def say(port: int, now: int) -> int:
            rows = [(cy.key, [f"/ip4/192.0.2.1/tcp/{port}/p2p/{peer_id(cy.key)}"])] * m.PEERS_MAX
            effects = ana.live.handle(Frame(peer=bo.key, data=m.encode_message(m.Peers(rows))), now)
            return sum(isinstance(effect, Learn) for effect in effects)

        heard = sum(say(port, cluster.now) for port in range(1000, 1000 + 2 * HEARSAY_MAX // m.PEERS_MAX))
        # What was said as they met counts too.
        assert HEARSAY_MAX - m.PEERS_MAX <= heard <= HEARSAY_MAX
        assert say(5000, cluster.now + WINDOW_MS) == m.PEERS_MAX
