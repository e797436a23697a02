"""What waits for its parents, of all peers together: whoever has most of it loses it first."""

from __future__ import annotations

from random import Random

import pytest

from tallystick.node.intake import ORPHAN_BYTES_ALL_MAX, ORPHANS_ALL_MAX, ORPHANS_MAX, Intake, Wire
from tallystick.protocol.entry import encode_annex, make_entry, wire
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.support.builders import key
from tests.support.kept import Kept
from tests.support.market import MARKET

HEAVY = 60_000
PEERS = [bytes([number]) * 32 for number in range(8)]
HONEST = bytes([99]) * 32


class Buffer:
    """The way in of a small ledger, and entries for it that nobody can place."""

    def __init__(self) -> None:
        self._kept = Kept.start(MARKET)
        self._random = Random(7)
        self.intake = Intake(self._kept.ledger, self._kept.archive)

    def orphan(self, annex: bytes | None) -> Wire:
        return wire(
            make_entry(
                key("mal"),
                ledger=self._kept.ledger.id,
                seq=500 + self._random.randrange(10**6),
                prev=self._random.randbytes(32),
                links=(),
                seal=None,
                time=self._kept.now,
                kind="withdraw",
                body=Withdraw(offer=self._random.randbytes(32)).to_map(),
                annex=annex,
            )
        )

    def flood(self, peer: bytes, count: int, annex: bytes | None = None) -> int:
        """How many more wait then."""
        before = self.intake.orphan_count
        self.intake.open([self.orphan(annex) for _ in range(count)], peer, self._kept.now)
        return self.intake.orphan_count - before


@pytest.mark.parametrize(("words", "most"), [(0, ORPHANS_ALL_MAX), (HEAVY, ORPHAN_BYTES_ALL_MAX // HEAVY)])
def test_orphans_of_all_together_are_bounded(words: int, most: int) -> None:
    """However many peers hand them over; those of the few who have little stay, and have room for more."""
    buffer = Buffer()
    annex = encode_annex(bytes(16), {"note": "x" * words}) if words else None
    assert buffer.flood(HONEST, 10, annex) == 10
    for _ in range(2):
        for peer in PEERS:
            buffer.flood(peer, ORPHANS_MAX if not words else most // 4, annex)
            assert buffer.intake.orphan_count <= most
    assert buffer.intake.orphan_count > most // 2
    buffer.flood(HONEST, 10, annex)
    for peer in PEERS:
        buffer.intake.forget_peer(peer)
    assert buffer.intake.orphan_count == 20
    buffer.intake.forget_peer(HONEST)
    assert buffer.intake.orphan_count == 0
    assert buffer.flood(PEERS[0], 100, annex) == 100


def test_what_has_expired_takes_no_room() -> None:
    """Nor does what has come again: the buffer is as large as at first."""
    buffer = Buffer()
    for _ in range(3):
        assert sum(buffer.flood(peer, ORPHANS_MAX) for peer in PEERS[:4]) == ORPHANS_ALL_MAX
        buffer.intake.expire(2**62)
        assert buffer.intake.orphan_count == 0
