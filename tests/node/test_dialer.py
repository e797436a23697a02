"""Whom to dial and when: addresses by who told them, intervals that grow, and peers that are left alone."""

from __future__ import annotations

from tallystick.crypto.keys import SecretKey
from tallystick.node.dialer import ADDRESSES_MAX, BACK_OFF_MS_MAX, BACK_OFF_MS_MIN, BLAME_MS_MIN, Dialer
from tallystick.node.net_address import peer_id

OWN = SecretKey.from_seed(bytes(32)).public
PEER = SecretKey.from_seed(b"\x01" * 32).public
NOW = 1_000_000


def address(port: int, peer: bytes = PEER) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(peer)}"


def dialer() -> Dialer:
    return Dialer(OWN, 1)


def test_newest_address_is_tried_first() -> None:
    """A peer that has moved is looked for where it said it is."""
    row = dialer()
    assert row.learn([address(1), address(2)]) == [PEER, PEER]
    row.learn([address(1)])
    assert row.due(NOW, []) == [(PEER, [address(1), address(2)])]


def test_hearsay_is_tried_last() -> None:
    """Others may be wrong, or lie: what a peer has said of itself goes first and stays."""
    row = dialer()
    row.learn([address(1)])
    row.learn([address(2), address(1)], hearsay=True)
    assert row.addresses(PEER) == [address(2), address(1)]
    for port in range(100, 200):
        row.learn([address(port)], hearsay=True)
    assert len(row.addresses(PEER)) == ADDRESSES_MAX
    assert row.due(NOW, [])[0][1][0] == address(1)


def test_hearsay_makes_a_peer_known() -> None:
    """Somebody who only knows one member finds the others through it."""
    row = dialer()
    row.learn([address(5)], hearsay=True)
    assert row.due(NOW, []) == [(PEER, [address(5)])]


def test_own_and_unreadable_addresses_are_left_out() -> None:
    """A node never dials itself, and a text that is no address does no harm."""
    row = dialer()
    assert row.learn([address(1, OWN), "nonsense", "/ip4/127.0.0.1/tcp/1", ""]) == []
    assert row.due(NOW, []) == []


def test_intervals_grow_until_there_is_news() -> None:
    """Failures double the interval up to its limit; a new address of the peer's own is tried at once."""
    row = dialer()
    row.learn([address(1)])
    at, waits = NOW, []
    for _ in range(12):
        assert row.due(at, [])
        row.failed(PEER, "refused", at)
        wake = row.wake([])
        assert wake is not None
        waits.append(wake - at)
        at = wake
    assert 0.75 * BACK_OFF_MS_MIN <= waits[0] <= 1.25 * BACK_OFF_MS_MIN
    assert 0.75 * BACK_OFF_MS_MAX <= waits[-1] <= 1.25 * BACK_OFF_MS_MAX
    assert row.due(at - 1, []) == []
    row.learn([address(2)], hearsay=True)
    assert row.due(at - 1, []) == [], "hearsay does not hurry: whoever repeats it could make us dial for ever"
    row.learn([address(3)])
    assert row.due(at - 1, [])[0][1] == [address(3), address(1), address(2)]


def test_connected_peers_are_not_dialled() -> None:
    """Nor is one that is being dialled."""
    row = dialer()
    row.learn([address(1)])
    assert row.due(NOW, [PEER]) == []
    assert row.wake([PEER]) is None
    assert row.due(NOW, [])
    assert row.due(NOW, []) == []
    row.connected(PEER, NOW)
    assert row.due(NOW, [])


def test_blamed_peer_is_left_alone_longer_each_time() -> None:
    """Who broke the protocol waits ten minutes, then twenty."""
    row = dialer()
    row.learn([address(1)])
    row.blame(PEER, NOW)
    assert row.is_blamed(PEER, NOW + BLAME_MS_MIN - 1)
    assert row.due(NOW, []) == []
    later = NOW + BLAME_MS_MIN
    assert not row.is_blamed(PEER, later)
    row.blame(PEER, later)
    assert row.is_blamed(PEER, later + 2 * BLAME_MS_MIN - 1)


def test_trying_ends_when_everybody_has_failed() -> None:
    """Whoever waits for somebody to answer knows when it is in vain."""
    row = dialer()
    assert not row.is_trying(NOW)
    row.learn([address(1)])
    assert row.is_trying(NOW)
    row.due(NOW, [])
    assert row.is_trying(NOW)
    row.failed(PEER, "refused", NOW)
    assert not row.is_trying(NOW)
    row.hurry()
    assert row.is_trying(NOW)
    row.blame(PEER, NOW)
    assert not row.is_trying(NOW)
