"""What pending entries will add, written down: it says what the long way says, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.node.foresight import foresee, foreseen
from tallystick.node.glance import glance
from tallystick.node.reads import READS
from tallystick.node.store_leveldb import LevelStore
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.membership import DAY_MS
from tests.support.kept import Kept
from tests.support.market import MARKET


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A ledger on a disk: lots that vest, an approval and a newcomer that wait to be sealed."""
    store = LevelStore.create(tmp_path)
    kept = Kept.start({**MARKET, "vesting": {"cliff": "10d", "duration": "100d"}}, "bo", "cy", store=store)
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 2)))
    kept.wait(20 * DAY_MS)
    kept.seal()
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 3)))
    kept.applied("dora")
    yield kept
    store.close()


def at_a_glance(kept: Kept, now: int) -> object:
    return glance(kept.store, "points", {}, now, b"")


def the_long_way(kept: Kept, now: int) -> object:
    kept.now = now
    return READS["points"](kept.look("ana"), {})


def test_it_says_what_the_long_way_says(kept: Kept) -> None:
    """At once, and later, as lots vest further."""
    assert at_a_glance(kept, kept.now) is None
    foresee(kept.store, kept.ledger, kept.now)
    for now in (kept.now, kept.now + 1, kept.now + DAY_MS):
        seen = at_a_glance(kept, now)
        assert seen is not None and seen == the_long_way(kept, now)


def test_it_holds_until_something_is_due(kept: Kept) -> None:
    """What falls due by itself may move points; and a clock that was set back knows nothing."""
    kept.delivered("bo", "cy", "roast", 1)
    kept.seal()
    foresee(kept.store, kept.ledger, kept.now)
    due = kept.ledger.view(kept.now).due.order[0][0]
    assert foreseen(kept.store, due - 1) is not None
    assert foreseen(kept.store, due) is None
    assert foreseen(kept.store, kept.now - 1) is None


def test_it_is_worth_nothing_after_a_write(kept: Kept) -> None:
    foresee(kept.store, kept.ledger, kept.now)
    kept.offered("bo", "roast", 1)
    assert foreseen(kept.store, kept.now) is None


@pytest.mark.parametrize("at", [0, 5, -1])
def test_damage_is_seen(kept: Kept, at: int) -> None:
    foresee(kept.store, kept.ledger, kept.now)
    path = kept.store.folder / "foresight"  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert foreseen(kept.store, kept.now) is None
    path.write_bytes(b"")
    assert foreseen(kept.store, kept.now) is None


def test_nothing_is_foreseen_of_what_is_dated_ahead(kept: Kept) -> None:
    """It acts at the time of the block that seals it, and nobody knows that yet."""
    kept.offered("bo", "roast", 1)
    foresee(kept.store, kept.ledger, kept.now - DAY_MS)
    assert foreseen(kept.store, kept.now) is None


def test_a_store_in_memory_has_no_place_for_it() -> None:
    kept = Kept.start(MARKET, "bo")
    kept.offered("bo", "roast", 1)
    foresee(kept.store, kept.ledger, kept.now)
    assert foreseen(kept.store, kept.now) is None
