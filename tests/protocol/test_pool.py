"""The pending graph: moments and levels, tips and branches, cuts and frontiers, whatever the order of arrival."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol.act import Sealed
from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.pool import FRONTIER_BRANCHES_MAX, FRONTIER_DEVICES_MAX, Pool
from tests.support.builders import MemoryHistory, key

BODY = Withdraw(offer=bytes(32))
LEDGER = b"\x11" * 32
ROOT = b"\xee" * 32
"""An entry that is sealed, at 500."""


def history() -> MemoryHistory:
    past = MemoryHistory()
    past.entries[ROOT] = Sealed(1, 500, key("ana").public, 0, -1)
    past.blocks.append((b"\xbb" * 32, 700, bytes(32)))
    return past


def entry(
    name: str, seq: int, *, prev: Entry | None = None, links: Any = (), time: int = 1000, seal: bool = False
) -> Entry:
    """An entry of a device; the first of each links the sealed one."""
    ids = [each if isinstance(each, bytes) else each.id for each in links]
    if seq == 0:
        ids.append(ROOT)
    return make_entry(
        key(name),
        ledger=LEDGER,
        seq=seq,
        prev=None if prev is None else prev.id,
        links=ids,
        seal=(1, b"\xbb" * 32) if seal else None,
        time=time,
        kind="withdraw",
        body={"offer": bytes(32)},
    )


def pool_of(*entries: Entry) -> Pool:
    pool = Pool(history())
    for each in entries:
        assert pool.missing(each.parents) == []
        pool.add(each, BODY)
    return pool


def place(pool: Pool, each: Entry) -> tuple[int, int]:
    pending = pool.entries[each.id]
    return pending.moment, pending.level


def test_a_moment_is_never_before_what_is_known_to_be_earlier() -> None:
    """The claimed time, the time of the block it cites, and the moments of its parents: the latest counts."""
    a = entry("ana", 0, time=400)
    b = entry("bo", 0, links=[a], time=100)
    c = entry("cy", 0, time=100, seal=True)
    d = entry("di", 0, links=[b, c], time=100)
    e = entry("di", 1, prev=d, time=9000)
    pool = pool_of(a, b, c, d, e)
    assert [place(pool, each) for each in (a, b, c, d, e)] == [(500, 0), (500, 1), (700, 0), (700, 2), (9000, 3)]


def test_the_order_is_moment_level_and_id() -> None:
    """The time of the block bounds the moments; every prefix has the parents of what is in it."""
    a, b = entry("ana", 0, time=800), entry("bo", 0, time=800)
    c = entry("cy", 0, links=[a], time=100)
    pool = pool_of(a, b, c)
    keys = {each.id: pool.entries[each.id].key(10_000) for each in (a, b, c)}
    assert keys == {a.id: (800, 0, a.id), b.id: (800, 0, b.id), c.id: (800, 1, c.id)}
    assert pool.entries[a.id].key(600) == (600, 0, a.id)


def test_missing_are_parents_that_are_nowhere() -> None:
    """Neither pending nor sealed, in the order they were asked for."""
    a = entry("ana", 0)
    pool = pool_of(a)
    assert pool.missing([a.id, ROOT]) == []
    assert pool.missing([b"\1" * 32, a.id, bytes(32)]) == [b"\1" * 32, bytes(32)]
    assert a.id in pool and ROOT not in pool and len(pool) == 1


def test_tips_and_branches_follow_what_comes() -> None:
    """A tip is what no other refers to; a branch ends where its device has not gone on."""
    a = entry("ana", 0)
    b = entry("bo", 0, links=[a])
    c, other = entry("ana", 1, prev=a), entry("ana", 1, prev=a, time=2000)
    d = entry("ana", 2, prev=c, links=[b])
    pool = pool_of(a, b)
    assert list(pool.tips) == [b.id]
    assert pool.branches == {key("ana").public: {a.id: 0}, key("bo").public: {b.id: 0}}
    for each in (c, other, d):
        pool.add(each, BODY)
    assert set(pool.tips) == {other.id, d.id}
    assert pool.branches[key("ana").public] == {other.id: 1, d.id: 2}


def test_a_cut_is_everything_below_its_heads() -> None:
    """Up to what is sealed; what is not known at all is said."""
    a = entry("ana", 0)
    b = entry("bo", 0, links=[a])
    c = entry("cy", 0)
    pool = pool_of(a, b, c)
    found, unknown = pool.closure([b.id, ROOT])
    assert (set(found), unknown) == ({a.id, b.id}, [])
    found, unknown = pool.closure([c.id, b"\1" * 32, b"\1" * 32])
    assert (set(found), unknown) == ({c.id}, [b"\1" * 32])
    assert pool.closure([]) == ({}, [])


def test_taking_back_the_last_one_leaves_no_trace() -> None:
    """As for a trial: tips, branches and everything else are as before."""
    a = entry("ana", 0)
    b = entry("bo", 0, links=[a])
    pool = pool_of(a, b)
    branches = {device: dict(ends) for device, ends in pool.branches.items()}
    before = (set(pool.tips), branches, dict(pool._children), dict(pool.weights))
    for each in (entry("bo", 1, prev=b, links=[a]), entry("cy", 0, links=[a, b]), entry("bo", 0, links=[a], time=3000)):
        pool.add(each, BODY)
        pool.remove_last(each.id)
        assert (set(pool.tips), pool.branches, pool._children, pool.weights) == before


def test_what_is_sealed_makes_room_and_the_rest_is_placed_anew() -> None:
    """Levels count from what is sealed; moments keep what sealed parents were given."""
    a = entry("ana", 0, time=400)
    b = entry("ana", 1, prev=a, time=100)
    c = entry("bo", 0, links=[b], time=100)
    pool = pool_of(a, b, c)
    assert [place(pool, each) for each in (a, b, c)] == [(500, 0), (500, 1), (500, 2)]
    past = pool._history
    assert isinstance(past, MemoryHistory)
    past.entries[a.id] = Sealed(2, 500, a.device, 0, -1)
    pool.settle([a.id, b"\1" * 32])
    assert [place(pool, each) for each in (b, c)] == [(500, 0), (500, 1)]
    assert set(pool.entries) == {b.id, c.id} and set(pool.tips) == {c.id}
    assert pool.branches == {key("ana").public: {b.id: 1}, key("bo").public: {c.id: 0}}
    past.entries[b.id] = Sealed(3, 650, b.device, 1, -1)
    pool.settle([b.id])
    assert place(pool, c) == (650, 0)
    assert set(pool.branches) == {key("bo").public}


def test_a_frontier_is_the_ends_in_canonical_order() -> None:
    """By device, then by number and id; from an end that is dated ahead one goes back until one is not."""
    a = entry("ana", 0, time=800)
    b = entry("ana", 1, prev=a, time=900)
    ends = sorted((entry("ana", 2, prev=b, time=time) for time in (1000, 1001)), key=lambda each: each.id)
    c = entry("bo", 0, time=5000)
    pool = pool_of(a, b, *ends, c)
    ana, bo = key("ana").public, key("bo").public
    assert pool.frontier(9000) == sorted([[ana, [[2, each.id] for each in ends]], [bo, [[0, c.id]]]])
    assert pool.frontier(4999) == [[ana, [[2, each.id] for each in ends]]]
    assert pool.frontier(950) == [[ana, [[1, b.id]]]], "both branches end in one entry"
    assert pool.frontier(850) == [[ana, [[0, a.id]]]]
    assert pool.frontier(799) == []


def test_a_frontier_is_bounded() -> None:
    """So many branches of one device; the first of them in canonical order, so that others can check it."""
    a = entry("ana", 0)
    branches = [entry("ana", 1, prev=a, time=1000 + number) for number in range(FRONTIER_BRANCHES_MAX + 3)]
    rows = pool_of(a, *branches).frontier(9000)
    assert rows == [[a.device, [[1, each] for each in sorted(each.id for each in branches)[:FRONTIER_BRANCHES_MAX]]]]
    assert FRONTIER_DEVICES_MAX == 1024


@st.composite
def graphs(draw: st.DrawFn) -> list[Entry]:
    """Some devices, some branches, links across; parents come first."""
    made: list[Entry] = []
    for _ in range(draw(st.integers(1, 14))):
        name = draw(st.sampled_from(["ana", "bo", "cy"]))
        own = [each for each in made if each.device == key(name).public]
        prev = draw(st.sampled_from([None, *own[-2:]])) if own else None
        links = {each.id for each in draw(st.lists(st.sampled_from(made), max_size=3))} if made else set()
        links.discard(b"" if prev is None else prev.id)
        seq = 0 if prev is None else prev.seq + 1
        each = entry(name, seq, prev=prev, links=links, time=draw(st.integers(0, 1500)), seal=draw(st.booleans()))
        if each.id not in {other.id for other in made}:
            made.append(each)
    return made


@given(graphs(), st.integers(0, 2**32), st.integers(0, 2000))
def test_the_order_of_arrival_does_not_matter(made: list[Entry], seed: int, time: int) -> None:
    """Any causal order gives the same moments, levels, tips, branches, frontiers and order; and it is causal."""
    chance, waiting, other = random.Random(seed), list(made), Pool(history())
    while waiting:
        ready = [each for each in waiting if not other.missing(each.parents)]
        each = chance.choice(ready)
        waiting.remove(each)
        other.add(each, BODY)
        if chance.random() < 0.2:
            trial = entry("di", 0, links=[each.id], time=chance.randrange(1500))
            other.add(trial, BODY)
            other.remove_last(trial.id)
    pool = pool_of(*made)
    assert {row.entry.id: (row.moment, row.level) for row in pool.entries.values()} == {
        row.entry.id: (row.moment, row.level) for row in other.entries.values()
    }
    assert (set(pool.tips), pool.branches, pool.weights) == (set(other.tips), other.branches, other.weights)
    assert pool.frontier(time) == other.frontier(time)
    order = sorted(pool.entries.values(), key=lambda row: row.key(time))
    seen: set[bytes] = {ROOT}
    for row in order:
        assert set(row.entry.parents) <= seen
        seen.add(row.entry.id)
    assert {each.id for each in made if not any(each.id in other.parents for other in made)} == set(pool.tips)


@given(graphs(), st.integers(0, 2**32))
def test_settling_is_as_if_it_had_always_been_sealed(made: list[Entry], seed: int) -> None:
    """A causally closed part is sealed: the rest stands as in a pool that never had it."""
    chance = random.Random(seed)
    pool = Pool(history())
    for each in made:
        pool.add(each, BODY)
        if chance.random() < 0.2:
            assert each.id in pool.tips, "now the books have what came so far, and not what comes"
    heads = [each.id for each in chance.sample(made, chance.randint(0, len(made)))]
    sealed, _ = pool.closure(heads)
    past = pool._history
    assert isinstance(past, MemoryHistory)
    for row in sealed.values():
        past.entries[row.entry.id] = Sealed(2, row.moment, row.entry.device, row.entry.seq, -1)
    pool.settle(sealed)
    fresh = Pool(past)
    for each in made:
        if each.id not in sealed:
            fresh.add(each, BODY)
    assert {row.entry.id: (row.moment, row.level) for row in pool.entries.values()} == {
        row.entry.id: (row.moment, row.level) for row in fresh.entries.values()
    }
    assert (set(pool.tips), pool.branches, pool._children) == (set(fresh.tips), fresh.branches, fresh._children)
    assert pool.weights == fresh.weights
    assert sum(count for count, _ in pool.weights.values()) == len(pool)
    size = sum(len(row.entry.header) for row in pool.entries.values())
    assert pool.size == sum(size for _, size in pool.weights.values()) == size


@pytest.mark.parametrize("seal", [True, False])
def test_a_cited_block_is_a_lower_bound(seal: bool) -> None:
    """Who cites a block has written after it, whatever the clock said."""
    pool = pool_of(entry("ana", 0, time=0, seal=seal))
    assert [row.moment for row in pool.entries.values()] == [700 if seal else 500]
