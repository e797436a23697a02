"""Catching up: what is judged ahead, held back until its block comes, and what of it stays where something breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick.node import messages as m
from tallystick.node.archive import Archive
from tallystick.node.core import NodeCore
from tallystick.node.effects import Effect, HangUp, Send, Verified, Verify, Wake
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.store_memory import MemoryStore
from tallystick.node.sync import ANSWER_MS, entry_wire
from tallystick.node.transport import Frame, PeerDown, PeerUp
from tallystick.protocol.entry import Entry, encode_annex
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import alone_with_partner, chain_of
from tests.support.builders import World, key
from tests.support.market import MARKET
from tests.support.refounding import founding_anew


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Ana seals alone, Bo is a partner of hers, and signatures take their time."""
    with Cluster(31, judge_ms=(1, 30)) as cluster:
        alone_with_partner(cluster)
        yield cluster


def _write(cluster: Cluster, machine: Machine, count: int, words: int = 0) -> list[Entry]:
    """So many entries of one machine, with so many words, of which nobody else knows yet."""
    annex = encode_annex(bytes(16), {"note": "x" * words}) if words else None
    entries = chain_of(cluster, machine.name, count, annex)
    for entry in entries:
        machine.live.submit(entry, cluster.clock(machine))
    cluster.perform(machine, machine.live.effects())
    return entries


def _seal(cluster: Cluster, machine: Machine, count: int, words: int = 0) -> list[Entry]:
    """The same, and they are sealed in one block."""
    entries = _write(cluster, machine, count, words)
    height = machine.live.ledger.head.height
    cluster.run_until(lambda: machine.live.ledger.head.height == height + 1, 60_000, "a block more")
    assert not machine.live.ledger.pool.entries
    return entries


def _messages(effects: list[Effect]) -> list[m.Message]:
    """What is sent, message by message."""
    reader = m.Reader()
    frames = (frame for effect in effects if isinstance(effect, Send) for frame in effect.frames)
    return [message for frame in frames if (message := reader.read(frame)) is not None]


def _judge(core: NodeCore, effects: list[Effect], now: int) -> list[Effect]:
    """Find all signatures good that are asked about; what comes of it."""
    asked = [effect for effect in effects if isinstance(effect, Verify)]
    effects[:] = [effect for effect in effects if not isinstance(effect, Verify)]
    return [each for verify in asked for each in core.handle(Verified(verify.job, [True] * len(verify.checks)), now)]


@pytest.mark.parametrize("is_padded", [False, True])
def test_whoever_answers_without_end_and_gives_nothing_is_not_asked_for_ever(cluster: Cluster, is_padded: bool) -> None:
    """It says that it has blocks, and its answers hold none: others are asked then. Old blocks are nothing either."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    core = bo.live
    head = core.ledger.head
    padding: list[m.Message] = []
    if is_padded:
        row = core.archive.block(1)
        assert row is not None
        padding = [m.Block(row.header, row.certificate, row.readys, row.entry_ids)]
    cluster.perform(bo, core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now))
    hello = m.Hello(1, cluster.ledger_id, 2**40, bytes(32), bytes(32), cluster.now, [])
    asks = 0
    told: list[m.Message] = [hello]
    while told and asks < 100:
        effects = [
            effect
            for message in told
            for frame in m.frames_of(message)
            for effect in core.handle(Frame(peer=ana.key, data=frame), cluster.now)
        ]
        asked = sum(isinstance(message, m.GetBlocks) for message in _messages(effects))
        asks += asked
        told = [*padding, m.BlocksEnd(head.height + 2)] * asked
    assert 0 < asks < 5
    assert core.sync.sessions[ana.key].in_vain
    assert not core.sync.sessions[ana.key].blocks_asked


def test_what_is_judged_for_a_session_that_is_over_leaves_the_next_one_alone(cluster: Cluster) -> None:
    """Its entries are pending; what the new session has brought for its block waits for that, also without words."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entries = _seal(cluster, ana, 5, 100)
    core = bo.live
    bare = [(entry.header, entry.signature, None) for entry in entries]
    hello = m.Hello(1, cluster.ledger_id, ana.live.ledger.head.height + 5, bytes(32), bytes(32), cluster.now, [])

    def hand_over(wires: list[tuple[bytes, bytes, bytes | None]]) -> Verify:
        effects: list[Effect] = []
        for message in (hello, m.Entries(wires)):
            effects += core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now)
        return next(effect for effect in effects if isinstance(effect, Verify))

    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    old = hand_over([entry_wire(entry) for entry in entries[:2]])
    core.handle(PeerDown(peer=ana.key, reason="cut"), cluster.now)
    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    new = hand_over(bare[2:])
    core.handle(Verified(old.job, [True] * 2), cluster.now)
    assert list(core.ledger.pool.entries) == [entry.id for entry in entries[:2]]
    core.handle(Verified(new.job, [True] * 3), cluster.now)
    assert all(core.intake.shelf.has(ana.key, entry.id) for entry in entries[2:])
    row = ana.live.archive.block(ana.live.ledger.head.height)
    assert row is not None
    block = m.Block(row.header, row.certificate, row.readys, row.entry_ids)
    core.handle(Frame(peer=ana.key, data=m.encode_message(block)), cluster.now)
    assert core.ledger.head == ana.live.ledger.head
    assert not core.archive.has_pending()


def test_an_answer_ends_and_what_is_there_without_words_still_waits_for_its_block(cluster: Cluster) -> None:
    """The block may come in the next answer. With the peer it goes."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entries = _seal(cluster, ana, 2, 100)
    core = bo.live
    head = core.ledger.head
    wires = [entry_wire(entries[0]), (entries[1].header, entries[1].signature, None)]
    hello = m.Hello(1, cluster.ledger_id, head.height + 5, bytes(32), bytes(32), cluster.now, [])
    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    for message in (hello, m.Entries(wires), m.BlocksEnd(head.height)):
        for effect in core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now):
            if isinstance(effect, Verify):
                core.handle(Verified(effect.job, [True] * len(effect.checks)), cluster.now)
    assert list(core.ledger.pool.entries) == [entries[0].id]
    assert core.intake.shelf.has(ana.key, entries[1].id)
    core.handle(PeerDown(peer=ana.key, reason="cut"), cluster.now)
    assert not core.intake.shelf.has(ana.key, entries[1].id)


def test_an_answer_may_take_its_time(cluster: Cluster) -> None:
    """Where the line is slow somebody else is asked meanwhile, and what comes in the end is of use all the same."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entries = _seal(cluster, ana, 8, 100)
    core = bo.live
    height = ana.live.ledger.head.height
    row = ana.live.archive.block(height)
    assert row is not None
    # The words of every third are erased.
    wires = [(each.header, each.signature, each.annex if number % 3 else None) for number, each in enumerate(entries)]
    hello = m.Hello(1, cluster.ledger_id, height, bytes(32), bytes(32), cluster.now, [])
    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    core.sync.ask_blocks(core.sync.sessions[ana.key], cluster.now, with_entries=True)
    block = m.Block(row.header, row.certificate, row.readys, row.entry_ids)
    for message in (hello, *(m.Entries([wire]) for wire in wires), block, m.BlocksEnd(height + 1)):
        cluster.now += ANSWER_MS // 4
        for effect in core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now):
            assert not isinstance(effect, HangUp)
            if isinstance(effect, Verify):
                core.handle(Verified(effect.job, [True] * len(effect.checks)), cluster.now)
    assert core.ledger.head == ana.live.ledger.head
    assert not core.archive.has_pending()


def test_what_is_told_of_before_its_block_is_there_for_it(cluster: Cluster) -> None:
    """An entry of the block after the next one, pushed when it was news, comes before both, and comes once."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    core = bo.live
    first, second = _seal(cluster, ana, 2), _seal(cluster, ana, 2)
    height = ana.live.ledger.head.height
    hello = m.Hello(1, cluster.ledger_id, height, bytes(32), bytes(32), cluster.now, [])
    answer: list[m.Message] = [m.Entries([entry_wire(second[1])])]
    for number, entries in ((height - 1, first), (height, second)):
        row = ana.live.archive.block(number)
        assert row is not None
        answer.append(m.Entries([entry_wire(entry) for entry in entries]))
        answer.append(m.Block(row.header, row.certificate, row.readys, row.entry_ids))
    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    effects: list[Effect] = []
    for message in (hello, *answer):
        effects += core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now)
        if message is answer[0]:
            # All else comes while what it is behind is being judged.
            effects += _judge(core, effects, cluster.now)
    effects += _judge(core, effects, cluster.now)
    assert not any(isinstance(effect, HangUp) for effect in effects)
    assert core.ledger.head == ana.live.ledger.head
    assert not core.archive.has_pending()


def test_news_of_a_peer_whose_answer_was_lost_does_not_wait_for_it(cluster: Cluster) -> None:
    """It may be all that there is of them."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entry = _write(cluster, ana, 1)[0]
    core = bo.live
    core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
    hello = m.Hello(1, cluster.ledger_id, core.ledger.head.height + 3, bytes(32), bytes(32), cluster.now, [])
    for message in (hello, m.Entries([entry_wire(entry)])):
        for effect in core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now):
            if isinstance(effect, Verify):
                core.handle(Verified(effect.job, [True]), cluster.now)
    assert entry.id not in core.ledger.pool
    core.handle(Wake(), cluster.now + ANSWER_MS + 1)
    assert entry.id in core.ledger.pool


def test_a_newcomer_to_a_ledger_that_was_founded_anew_learns_of_those_before() -> None:
    """The founding entry comes when blocks are asked for already: without what it says block 1 is of another ledger."""
    world = World.found(MARKET, "bo")
    founding = founding_anew(world, "ana", [world.people[name].secret for name in ("ana", "bo")])
    archive = Archive(MemoryStore())
    archive.begin(founding.id)
    ledger, _ = archive.load(founding.id)
    peer = key("inviter", "node").public
    core = NodeCore(
        archive=archive,
        ledger=ledger,
        node_key=key("newcomer", "node"),
        device=key("newcomer").public,
        now=world.now,
        trusted=(peer,),
    )
    core.handle(PeerUp(peer=peer, outbound=True, relayed=False, address=""), world.now)
    hello = m.Hello(1, founding.id, 5, bytes(32), bytes(32), world.now, [])
    for message in (hello, m.Entries([entry_wire(founding)])):
        core.handle(Frame(peer=peer, data=m.encode_message(message)), world.now)
    assert core.sync.sessions[peer].is_fetching
    assert (
        [(each.ledger, each.height) for each in core.ledger.line]
        == [(world.ledger.id, world.ledger.head.height)]
        == [(each.ledger, each.height) for each in archive.line()]
    )


def test_an_answer_to_a_core_before_is_none(cluster: Cluster) -> None:
    """After a full disk a new core goes on, and is told what the old one has asked: no verdict is taken for another."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entry = _write(cluster, ana, 1)[0]

    def ask(core: NodeCore) -> Verify:
        core.handle(PeerUp(peer=ana.key, outbound=False, relayed=False, address=""), cluster.now)
        hello = m.Hello(1, cluster.ledger_id, core.ledger.head.height, bytes(32), bytes(32), cluster.now, [])
        effects: list[Effect] = []
        for message in (hello, m.Entries([entry_wire(entry)])):
            effects += core.handle(Frame(peer=ana.key, data=m.encode_message(message)), cluster.now)
        return next(effect for effect in effects if isinstance(effect, Verify))

    old = ask(bo.live)
    cluster.now += 1
    cluster.boot(bo)
    new = ask(bo.live)
    for job, is_taken in ((old.job, False), (new.job, True)):
        bo.live.handle(Verified(job, [True]), cluster.now)
        assert (entry.id in bo.live.ledger.pool) is is_taken


@pytest.mark.parametrize("batches", [0, 1, 2])
@pytest.mark.parametrize("is_written", [False, True])
def test_a_disk_that_fails_in_the_middle_leaves_what_a_restart_can_go_on_with(
    cluster: Cluster, batches: int, is_written: bool
) -> None:
    """Of a block with its entries all is stored or nothing, whatever the disk says; what is left is fetched again."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    for _ in range(3):
        _seal(cluster, ana, 3, 100)
    left = [None] * batches
    failures = []

    def fail(sync: bool) -> None:
        if left:
            left.pop()
        elif not failures:
            failures.append(sync)
            raise StoreError("the disk fails", reason=StoreReason.IO)

    setattr(bo.store.faults, "after_write" if is_written else "before_write", fail)

    def meet() -> None:
        cluster.connect("ana", "bo")
        cluster.run(60_000)

    with pytest.raises(StoreError):
        meet()
    cluster.disconnect_all()
    bo.store.kill()
    cluster.boot(bo)
    core = bo.live
    for height in range(1, core.ledger.head.height + 1):
        row = core.archive.block(height)
        assert row is not None
        assert all(core.archive.wire(entry_id) for entry_id in row.entry_ids)
        assert not any(entry_id in core.ledger.pool for entry_id in row.entry_ids)
    cluster.connect("ana", "bo")
    cluster.run_until(lambda: bo.live.ledger.head == ana.live.ledger.head, 60_000, "Bo has it all")
