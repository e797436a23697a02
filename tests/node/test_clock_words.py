"""A clock that cannot be right is told of before anything else is signed by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.ledgers import Writer, sealed
from tallystick.node.clock_words import CLOCK_MS_MAX, QUIET_MS, clock_words
from tallystick.node.core import NodeCore
from tallystick.node.session import Session
from tallystick.node.store_memory import MemoryStore


@pytest.fixture
def core() -> Iterator[NodeCore]:
    store = MemoryStore()
    yield sealed(Writer(1), store, 0)
    store.close()


def meet(core: NodeCore, *clocks: int) -> None:
    """Be connected with others whose clocks differ from ours by so much."""
    for number, clock in enumerate(clocks):
        peer = bytes([number]) * 32
        core.sync.sessions[peer] = Session(
            peer=peer, address="", outbound=True, relayed=False, since=0, height=1, clock=clock
        )


@pytest.mark.parametrize(
    ("later_ms", "word"),
    [(0, ""), (QUIET_MS, ""), (QUIET_MS + 1, "7 days after"), (-CLOCK_MS_MAX, ""), (-CLOCK_MS_MAX - 1, "10 min later")],
)
def test_alone_it_is_compared_with_the_newest_block(core: NodeCore, later_ms: int, word: str) -> None:
    """Long after it, or before it, somebody should look at the date."""
    words = clock_words(core, core.ledger.head.time + later_ms)
    assert [word in each for each in words] == [True] * bool(word)


@pytest.mark.parametrize(
    ("clocks", "word"),
    [
        ((CLOCK_MS_MAX,), ""),
        ((CLOCK_MS_MAX + 1,), "10 min behind the clocks of the others"),
        ((-86_400_000, -90_000_000, 5), "1 day ahead of the clocks of the others"),
        ((-86_400_000, 0, 5), ""),
        ((-3_000_000, 0), "50 min ahead"),
    ],
)
def test_with_others_it_is_compared_with_theirs(core: NodeCore, clocks: tuple[int, ...], word: str) -> None:
    """The middle one counts, the lower of two; a ledger that has rested is then no reason to doubt."""
    meet(core, *clocks)
    words = clock_words(core, core.ledger.head.time + 10 * QUIET_MS)
    assert [word in each for each in words] == [True] * bool(word)
