"""Where a peer says that it can be reached."""

from __future__ import annotations

from tallystick.node import messages as m
from tallystick.node.allowance import WINDOW_MS
from tallystick.node.core import REPAIR_MS, Event
from tallystick.node.effects import Learn, Send, Wake
from tallystick.node.net_address import peer_id
from tallystick.node.transport import Frame, PeerDown, PeerUp
from tallystick.node.whereabouts import HEARSAY_MAX, MOVES_MAX, TELL_MS, TELLINGS_MAX
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


def test_many_who_move_at_once_are_told_of_together() -> None:
    """Each of hundreds would have to be told of each of hundreds; and of each only where it is now."""
    with Cluster(26) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        ana, bo, cy = (cluster.machines[name] for name in ("ana", "bo", "cy"))
        cluster.run(TELL_MS)
        ana.live.handle(Wake(), cluster.now)
        now = cluster.now + TELL_MS

        def told(event: Event, now: int) -> list[list[str]]:
            """What Cy is told of Bo."""
            out: list[list[str]] = []
            for effect in ana.live.handle(event, now):
                if isinstance(effect, Send) and effect.peer == cy.key:
                    for frame in effect.frames:
                        if isinstance(message := m.Reader().read(frame), m.Peers):
                            out += [addresses for peer, addresses in message.peers if peer == bo.key]
            return out

        def move(port: int) -> Frame:
            address = f"/ip4/192.0.2.1/tcp/{port}/p2p/{peer_id(bo.key)}"
            head = ana.live.ledger.head
            hello = m.Hello(m.SYNC_VERSION, ana.live.ledger.id, head.height, head.block_id, bytes(32), now, [address])
            return Frame(peer=bo.key, data=m.encode_message(hello))

        ports = range(1000, 1000 + MOVES_MAX - 1)
        heard = [addresses for port in ports for addresses in told(move(port), now)]
        assert [f"/tcp/{ports[0]}/" in addresses[0] for addresses in heard] == [True]
        heard = told(Wake(), now + REPAIR_MS)
        assert [f"/tcp/{ports[-1]}/" in addresses[0] for addresses in heard] == [True]
        assert told(Wake(), now + 3 * REPAIR_MS) == []


def test_who_comes_again_and_again_is_told_so_often_where_the_others_are() -> None:
    """All addresses are read for it, of everybody who ever was here."""
    with Cluster(27) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        ana, bo, cy = (cluster.machines[name] for name in ("ana", "bo", "cy"))
        ana.live.archive.keep_addresses(cy.key, [f"/ip4/192.0.2.1/tcp/4001/p2p/{peer_id(cy.key)}"])
        head = ana.live.ledger.head
        hello = m.Hello(m.SYNC_VERSION, ana.live.ledger.id, head.height, head.block_id, bytes(32), cluster.now, [])

        def comes(now: int) -> int:
            """How often Bo, who comes anew, is told of others."""
            ana.live.handle(PeerDown(peer=bo.key, reason="gone"), now)
            ana.live.handle(PeerUp(peer=bo.key, outbound=False, relayed=False, address=""), now)
            effects = ana.live.handle(Frame(peer=bo.key, data=m.encode_message(hello)), now)
            frames = [frame for effect in effects if isinstance(effect, Send) for frame in effect.frames]
            return sum(isinstance(m.Reader().read(frame), m.Peers) for frame in frames)

        times = sum(comes(cluster.now) for _ in range(3 * TELLINGS_MAX))
        assert 0 < times <= TELLINGS_MAX
        assert comes(cluster.now + WINDOW_MS) == 1
