"""What others have signed for an open height takes bounded room on the disk, however long it is open."""

from __future__ import annotations

import pytest

from tallystick.node import kept_messages as module
from tallystick.node.archive import Archive
from tallystick.node.kept_messages import KeptMessages
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.ready import Ready
from tests.support.sealing import START_MS, Bench

HEIGHT = 12


def test_readys_that_were_displaced_leave_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealer signs one after the other: two hundred megabytes in ten minutes lay there until the next block."""
    bench = Bench(4)
    readys: list[Ready] = [bench.ready(1, time=START_MS + number, seq=number) for number in range(100)]
    own, other = bench.ready(0), bench.ready(2)
    size = len(readys[0].wire())
    monkeypatch.setattr(module, "STALE_BYTES_MAX", 10 * size)
    archive = Archive(MemoryStore())
    kept = KeptMessages(archive, bench.keys[0])
    assert kept.begin(HEIGHT) == []
    kept.keep(HEIGHT, other.wire(), list)
    for ready in readys:
        kept.keep(HEIGHT, ready.wire(), lambda ready=ready: [each.wire() for each in (own, ready, other)])  # type: ignore[misc]
        assert sum(map(len, archive.kept_messages(HEIGHT))) <= 13 * size
    # What counts still is there, and what was signed here lies elsewhere.
    rows = set(archive.kept_messages(HEIGHT))
    assert {readys[-1].wire(), other.wire()} <= rows
    assert own.wire() not in rows
    assert set(KeptMessages(archive, bench.keys[0]).begin(HEIGHT)) == rows
    assert archive.kept_messages(HEIGHT + 1) == []
