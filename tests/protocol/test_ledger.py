"""One ledger on many nodes: whatever comes in whatever order, the same blocks; and what goes into a block."""

from __future__ import annotations

import copy
import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.errors import BlockError, EntryError, Reason
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.sealer import SealerOff
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.ledger import (
    AHEAD_MS_MAX,
    BLOCK_ENTRIES_MAX,
    BLOCK_HEADER_BYTES_MAX,
    DEVICE_ENTRIES_MAX,
    LINKS_MAX,
    Ledger,
)
from tallystick.protocol.pool import Pending
from tallystick.protocol.structure import Waiting
from tests.support.builders import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, MemoryHistory, World, key
from tests.support.histories import EVENTS, PARTNERS, TABLES, Event, Play, documents, some_events
from tests.support.market import MARKET, market
from tests.support.twin import Writers, follow

_MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def written(document: dict[str, Any], events: list[Event], seed: int) -> Writers:
    """A history of people who do not know of everything, with forks."""
    writers = Writers.found(document, *PARTNERS[1:])
    assert isinstance(writers, Writers)
    writers.join("ed", standing="contributor")
    writers.seal()
    writers.chance = random.Random(seed)
    Play(writers).run(events, sealing=True)
    return writers


# -- the same on every node --------------------------------------------------------------------------------------------


@given(documents(), EVENTS, st.integers(0, 2**32), st.integers(0, 2**32))
@_MODEST
def test_two_fresh_nodes_reach_the_same_state(
    document: dict[str, Any], events: list[Event], seed: int, luck: int
) -> None:
    """Block by block, root by root: any causal order, any batches, some of it twice, with restarts, forks and all."""
    writers = written(document, events, seed)
    one, other = follow(writers, random.Random(luck)), follow(writers, random.Random(luck + 1))
    assert one.ledger.head == other.ledger.head == writers.ledger.head
    assert dict(one.archive.state_rows()) == dict(other.archive.state_rows()) == writers.ledger.state.rows()
    assert one.ledger.pool.entries.keys() == other.ledger.pool.entries.keys() == writers.ledger.pool.entries.keys()
    later = writers.now + DAY_MS
    assert one.ledger.preview.finished_rows(later) == other.ledger.preview.finished_rows(later)
    assert list(one.archive.outcomes()) == list(other.archive.outcomes())


def test_such_histories_are_wide() -> None:
    """They have blocks that leave something for later, forks that are seen, and entries that work."""
    left, forks, blocks, worked, void = 0, 0, 0, 0, 0
    for seed in range(6):
        chance = random.Random(seed)
        writers = written(copy.deepcopy(MARKET) | TABLES, some_events(chance, 60), seed)
        follow(writers, chance)
        forks += len(writers.ledger.state.forks)
        blocks += len(writers.blocks)
        for made in writers.blocks:
            sealed = sum(len(each.executed.results) for each in writers.blocks[: made.executed.height])
            left += sealed < made.written
            reasons = [result.reason for result in made.executed.results]
            worked, void = worked + reasons.count(None), void + len(reasons) - reasons.count(None)
    assert min(left, forks) >= 5 and blocks > 50 and worked > 100 and void > 50


def test_a_rule_that_saw_the_order_of_arrival_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With entries sorted as they came, nodes part within a few histories."""
    arrival: dict[Pending, int] = {}
    count = itertools.count()

    def by_arrival(self: Pending, time: int) -> tuple[int, int, bytes]:
        return (0, 0, arrival.setdefault(self, next(count)).to_bytes(32))

    with pytest.raises(AssertionError):  # noqa: PT012
        for seed in range(5):
            chance = random.Random(seed)
            writers = written(copy.deepcopy(MARKET) | TABLES, some_events(chance, 60), seed)
            monkeypatch.setattr(Pending, "key", by_arrival)
            follow(writers, chance)
            monkeypatch.undo()


# -- what goes into a block --------------------------------------------------------------------------------------------


def chain(world: World, name: str, count: int, size: int = 0, *, time: int | None = None) -> list[Pending]:
    """So many more entries of a device, linked to nothing else, put into the pool as they are."""
    person, body = world.people[name], Withdraw(offer=bytes(32))
    rows = []
    for _ in range(count):
        world.now += 1
        entry = make_entry(
            person.secret,
            ledger=world.ledger.id,
            seq=person.seq + 1,
            prev=person.prev,
            links=(),
            seal=(world.ledger.head.height, world.ledger.head.block_id),
            time=world.now if time is None else time,
            kind="propose" if size else Withdraw.KIND,
            body={"charter": bytes(size)} if size else body.to_map(),
        )
        person.seq, person.prev = entry.seq, entry.id
        rows.append(world.ledger.add(entry, body))
    return rows


def taken_of(world: World, time: int | None = None) -> list[Entry]:
    taken, unknown = world.ledger.select(list(world.ledger.pool.tips), world.now if time is None else time)
    assert not unknown
    return [pending.entry for pending in taken]


def test_a_block_has_so_many_entries_of_one_device() -> None:
    """256, the first ones; what follows on the same chain waits, what others wrote does not."""
    world = market()
    mine = chain(world, "bo", DEVICE_ENTRIES_MAX + 10)
    others = chain(world, "cy", 3)
    taken = taken_of(world)
    assert len(taken) == DEVICE_ENTRIES_MAX + 3
    assert taken == [row.entry for row in mine[:DEVICE_ENTRIES_MAX] + others]


def test_what_follows_something_left_out_is_left_out() -> None:
    """Also on the chain of somebody else, who has written little."""
    world = market()
    mine = chain(world, "bo", DEVICE_ENTRIES_MAX + 1)
    cy = world.people["cy"]
    entry = make_entry(
        cy.secret,
        ledger=world.ledger.id,
        seq=cy.seq + 1,
        prev=cy.prev,
        links=[mine[-1].entry.id],
        seal=None,
        time=world.now,
        kind=Withdraw.KIND,
        body={"offer": bytes(32)},
    )
    world.ledger.add(entry, Withdraw(offer=bytes(32)))
    free = chain(world, "di", 1)
    taken = taken_of(world)
    assert len(taken) == DEVICE_ENTRIES_MAX + 1
    assert entry not in taken and taken[-1] == free[0].entry


def test_a_block_has_so_many_entries_in_all() -> None:
    """1024, the first ones in the one order."""
    world = World.found(copy.deepcopy(MARKET), "bo", "cy", "di", "eva")
    rows = [row for name in world.people for row in chain(world, name, DEVICE_ENTRIES_MAX)]
    world.now += MINUTE_MS
    taken = taken_of(world)
    assert len(taken) == BLOCK_ENTRIES_MAX < len(rows)
    assert taken == [row.entry for row in sorted(rows, key=lambda row: row.key(world.now))[:BLOCK_ENTRIES_MAX]]


def test_a_block_has_so_many_bytes() -> None:
    """4 MiB of headers; a large one that does not fit any more is passed over, a small one after it is not."""
    world = market()
    large = chain(world, "bo", 80, 60_000)
    small = chain(world, "cy", 5)
    taken = taken_of(world)
    size = sum(len(entry.header) for entry in taken)
    assert BLOCK_HEADER_BYTES_MAX - 61_000 < size <= BLOCK_HEADER_BYTES_MAX
    assert [entry for entry in taken if entry.device == small[0].entry.device] == [row.entry for row in small]
    fits = [row.entry for row in large[: len(taken) - len(small)]]
    assert taken[: len(fits)] == fits


def test_a_selection_is_what_lies_below_its_heads() -> None:
    """In order, each after its parents; nothing of what others have."""
    world = market()
    rows, others = chain(world, "bo", 5), chain(world, "cy", 5)
    taken, unknown = world.ledger.select([rows[2].entry.id], world.now)
    assert ([row.entry for row in taken], unknown) == ([row.entry for row in rows[:3]], [])
    heads = [rows[4].entry.id, others[0].entry.id, rows[0].entry.id, world.ledger.id]
    taken, unknown = world.ledger.select(heads, world.now)
    assert {row.entry.id for row in taken} == {row.entry.id for row in rows + others[:1]}
    assert world.ledger.select([], world.now) == ([], [])


def test_heads_that_are_not_here_are_said_first() -> None:
    """Nothing is selected before they have been fetched."""
    world = market()
    rows = chain(world, "bo", 2)
    missing = [b"\7" * 32, b"\10" * 32]
    taken, unknown = world.ledger.select([rows[1].entry.id, *missing], world.now)
    assert taken == []
    assert sorted(unknown) == sorted(missing)


def test_a_frozen_device_is_left_out_unless_it_is_needed() -> None:
    """An entry of it that somebody else links comes along, with what lies below it; what lies above does not."""
    world = market()
    body = world.offer("roast")
    world.feed(world.unsent("bo", body, world.now + 2 * MINUTE_MS))
    world.send("bo", body)
    world.seal()
    bo = world.people["bo"]
    device = world.ledger.state.devices[bo.secret.public]
    assert device.status == "frozen"
    bo.seq, bo.prev = device.head_seq, device.head
    frozen = chain(world, "bo", 4)
    assert taken_of(world) == []
    linked = world.sign("cy", world.offer("bake"), links=(frozen[1].entry.id,))
    assert linked.links == (frozen[1].entry.id,)
    world.feed(linked)
    assert taken_of(world) == [frozen[0].entry, frozen[1].entry, linked]
    executed = world.seal()
    assert [row.reason for row in executed.results] == [Reason.DEVICE_FROZEN, Reason.DEVICE_FROZEN, None]
    assert set(world.ledger.pool.entries) == {frozen[2].entry.id, frozen[3].entry.id}


def test_of_the_departed_only_what_they_may_do_is_taken() -> None:
    """A deal that was open is still approved by who left; an offer of theirs is no work for anybody."""
    world = market()
    deal = world.delivered("bo", "cy", "roast")
    world.do("cy", Leave())
    world.seal()
    offer = world.sign("cy", world.offer("bake"))
    world.feed(offer)
    assert taken_of(world) == []
    approval = world.sign("cy", Approve(deal=deal))
    world.feed(approval)
    assert taken_of(world) == [offer, approval], "the offer lies below it on the chain"
    assert [row.reason for row in world.seal().results] == [Reason.NOT_ACTIVE, None]


# -- links and frontiers -----------------------------------------------------------------------------------------------


def test_links_are_what_is_meant_and_the_newest_tips() -> None:
    """Never prev, never more than 16, in the order of ids; what is meant comes first."""
    world = World.found(copy.deepcopy(MARKET), *[f"p{number}" for number in range(20)])
    rows = [chain(world, name, 1)[0] for name in world.people]
    ids = [row.entry.id for row in rows]
    ledger, refs = world.ledger, (ids[0], ids[1], ids[0], b"\1" * 32)
    links = ledger.links_for(refs, ids[5], world.now)
    assert list(links) == sorted(links) and len(links) == LINKS_MAX == len(set(links))
    newest = [each for each in reversed(ids) if each not in (ids[0], ids[1], ids[5])][: LINKS_MAX - 3]
    assert set(links) == {ids[0], ids[1], b"\1" * 32, *newest}
    assert ledger.links_for((), None, world.now) == tuple(sorted(ids[::-1][:LINKS_MAX]))
    assert ids[5] not in ledger.links_for((ids[5],), ids[5], world.now)
    many = [bytes([number]) * 32 for number in range(1, 20)]
    assert ledger.links_for(many, None, world.now) == tuple(many), "too many are for the reader to refuse"


def test_what_is_dated_ahead_is_neither_linked_nor_reported() -> None:
    """More than ten minutes; but what somebody means is linked all the same."""
    world = market()
    now = world.now
    good = chain(world, "bo", 1, time=now + AHEAD_MS_MAX)[0].entry
    ahead = chain(world, "cy", 1, time=now + AHEAD_MS_MAX + 1)[0].entry
    assert world.ledger.links_for((), None, now) == (good.id,)
    assert set(world.ledger.links_for((ahead.id,), None, now)) == {good.id, ahead.id}
    assert world.ledger.frontier(now) == [[good.device, [[good.seq, good.id]]]]
    assert len(world.ledger.frontier(now + 1)) == 2


def test_nobody_links_who_has_forked() -> None:
    """As soon as the fork is known, pending or sealed; else every block would take what the device goes on with."""
    world = market()
    body = world.offer("roast")
    other = world.unsent("bo", body, world.now + 2 * MINUTE_MS)
    first = world.sign("bo", body)
    world.feed(first)
    assert world.ledger.links_for((), None, world.now) == (first.id,)
    world.feed(other)
    assert world.ledger.links_for((), None, world.now) == ()
    assert world.ledger.links_for((other.id,), None, world.now) == (other.id,), "but for what is meant"
    # One branch is sealed before the other is known.
    taken, _ = world.ledger.select([first.id], world.now)
    assert [row.entry for row in taken] == [first]
    world.ledger.pool.remove_last(other.id)
    world.ledger.preview.forget(other.id)
    world.seal()
    world.feed(other)
    world.view()
    assert world.ledger.links_for((), None, world.now) == ()
    world.seal()
    chain(world, "bo", 2)
    assert world.ledger.links_for((), None, world.now) == ()


def test_the_head_of_a_device_is_the_end_of_its_longest_branch() -> None:
    """Pending before sealed; a device that wrote nothing has none."""
    world = market()
    bo = world.people["bo"].secret.public
    assert world.ledger.head_of(bo) == (world.people["bo"].seq, world.people["bo"].prev)
    rows = chain(world, "bo", 2)
    assert world.ledger.head_of(bo) == (rows[1].entry.seq, rows[1].entry.id)
    assert world.ledger.head_of(bytes(32)) == (-1, None)


def test_a_tick_that_is_due_asks_for_a_block() -> None:
    """At its time and not before."""
    world = market()
    world.accepted("bo", "cy", "roast")
    world.seal()
    first = world.ledger.state.due.order[0][0]
    assert not world.ledger.due_by(first - 1)
    assert world.ledger.due_by(first)


# -- trial and commit --------------------------------------------------------------------------------------------------


def test_a_trial_leaves_no_trace() -> None:
    """What an entry would do, in the same words as afterwards, and then nothing of it."""
    world = market()
    world.do("bo", world.offer("roast"))
    before = world.view().rows()
    tips, branches = dict(world.ledger.pool.tips), copy.deepcopy(world.ledger.pool.branches)
    entry = world.unsent("cy", world.offer("bake", to="bo"), world.now)
    body = world.ledger.check(entry)
    assert not isinstance(body, Waiting)
    result = world.ledger.try_out(entry, body, world.now)
    assert result.reason is None and result.entry_id == entry.id
    assert world.view().rows() == before
    assert (set(world.ledger.pool.tips), world.ledger.pool.branches) == (set(tips), branches)
    assert entry.id not in world.ledger.pool and world.ledger.preview.result(entry.id) is None


def test_a_block_that_is_not_wanted_leaves_no_trace() -> None:
    """Executed twice, it is the same; looked at in between, the state is that of before, and so is its root."""
    world = market()
    world.accepted("bo", "cy", "roast")
    ledger, rows = world.ledger, world.ledger.state.rows()
    taken, _ = ledger.select(list(ledger.pool.tips), world.now)
    one = ledger.execute(taken, world.now, ())
    assert ledger.state.rows() == rows and ledger.check_root()
    other = ledger.execute(taken, world.now, ())
    ledger.discard()
    ledger.discard()
    assert (one.state_root, one.log_root, one.results) == (other.state_root, other.log_root, other.results)
    assert ledger.state.rows() == rows and len(ledger.pool) == 2


@pytest.mark.parametrize("looked", [False, True])
def test_committing_gives_the_executed_state(looked: bool) -> None:
    """Whether or not somebody looked at the sealed state since."""
    world = market()
    world.accepted("bo", "cy", "roast")
    ledger = world.ledger
    taken, _ = ledger.select(list(ledger.pool.tips), world.now)
    executed = ledger.execute(taken, world.now, ())
    if looked:
        assert not ledger.state.deals
    ledger.commit(executed, b"\1" * 32)
    assert ledger.head.state_root == executed.state_root and ledger.check_root()
    assert len(ledger.state.deals) == 1 and not ledger.pool.entries
    with pytest.raises(BlockError, match="not-executed"):
        ledger.commit(executed, b"\1" * 32)


def test_a_block_must_come_connected_and_in_order() -> None:
    """The entries of a block somebody else made."""
    world = market()
    rows = [row.entry.id for row in chain(world, "bo", 3)]
    ledger = world.ledger
    assert [row.entry.id for row in ledger.in_order(rows, world.now)] == rows
    assert ledger.in_order([], world.now) == []
    for wrong, reason in [
        (rows[1:], "not-connected"),
        ([rows[0], rows[2]], "not-connected"),
        ([rows[1], rows[0]], "not-in-order"),
        ([rows[0], rows[0]], "not-in-order"),
        ([*rows, world.sent[0].id], "not-connected"),
    ]:
        with pytest.raises(BlockError, match=reason):
            ledger.in_order(wrong, world.now)


def test_the_time_of_a_block_bounds_the_times_in_it() -> None:
    """Entries dated after it count as at its time, and then their level and id decide."""
    world = market()
    later = [row.entry for row in chain(world, "bo", 2, time=world.now + HOUR_MS)]
    other = chain(world, "cy", 1, time=world.now + 2 * HOUR_MS)[0].entry
    early = taken_of(world, world.now)
    assert early == [*sorted([later[0], other], key=lambda entry: entry.id), later[1]]
    assert taken_of(world, world.now + 3 * HOUR_MS) == [*later, other]


# -- the beginning -----------------------------------------------------------------------------------------------------


def test_a_ledger_begins_with_its_founding_entry() -> None:
    """Alone in block 1, sealed by the founder's node; before it there is no charter and nobody who seals."""
    world = World.found(copy.deepcopy(MARKET))
    founding = world.sent[0]
    ledger = Ledger(founding.id, MemoryHistory())
    assert ledger.sealers() == () and ledger.head.height == 0
    with pytest.raises(BlockError, match="not-a-founding"):
        _ = ledger.charter
    with pytest.raises(BlockError, match="not-a-founding"):
        ledger.execute([], START_MS, ())
    body = ledger.check(founding)
    assert isinstance(body, Found)
    ledger.add(founding, body)
    assert ledger.knows(founding.id) and ledger.charter.name == "Market"
    (sealer,) = ledger.sealers()
    assert (sealer.member, sealer.node_key) == (founding.id, key("ana", "node").public)
    taken, _ = ledger.select([founding.id], START_MS)
    executed = ledger.execute(taken, START_MS, ())
    assert executed.state_root == world.executed[0].state_root
    assert [row.member for row in executed.sealers_next] == [founding.id]
    assert ledger.view(START_MS).founding.founder == founding.id


def test_another_founding_entry_does_not_found_this_ledger() -> None:
    """Its id is another, so it belongs to another ledger; and an entry with the ledger's id must found it."""
    one, other = World.found(copy.deepcopy(MARKET)), World.found(copy.deepcopy(MARKET), start=START_MS + 1)
    with pytest.raises(EntryError) as caught:
        one.ledger.check(other.sent[0])
    assert caught.value.reason is Reason.WRONG_LEDGER
    stray = one.unsent("ana", SealerOff(), one.now)
    with pytest.raises(EntryError) as caught:
        Ledger(stray.id, MemoryHistory()).check(stray)
    assert caught.value.reason is Reason.WRONG_LEDGER
