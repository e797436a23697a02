"""Two sealed blocks of one height: found however they meet, proven, kept, and never resolved by a machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.crypto.signatures import is_valid
from tallystick.node import messages
from tallystick.node.archive import Archive
from tallystick.node.core import NodeCore
from tallystick.node.desk import Desk
from tallystick.node.effects import HangUp, Send
from tallystick.node.fork_report import write_report
from tallystick.node.forking import PARTED_NOWHERE
from tallystick.node.home import Home
from tallystick.node.intake import Taken
from tallystick.node.transport import Frame
from tallystick.protocol.block import read_certificate_untrusted, read_header_untrusted
from tallystick.protocol.errors import BlockError, DecodeError, EntryError, Reason
from tallystick.protocol.evidence import read_evidence_untrusted
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import copy_of, offer, partners, settle, state_of, twin_of


class Torn(Cluster):
    """A cluster in which two blocks of one height are what is looked at, and no failure."""

    def _look(self, machine: Machine) -> None:
        assert machine.core is not None


def test_two_blocks_of_one_height_are_an_alarm_with_the_proof(home: Path) -> None:
    """Ana seals alone, on two computers: whoever sees both blocks keeps both, seals nothing more, and names the key."""
    with Torn(3) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]
        copy = copy_of(ana)
        height = ana.live.ledger.head.height + 1
        here = offer(cluster, "ana", 1)
        settle(cluster)
        twin = twin_of(cluster, copy, "ana")
        Desk(twin).do("offer", {"step": "bake", "units": 2}, ana.secret, cluster.now)
        Desk(twin).do("offer", {"step": "bake", "units": 3}, ana.secret, cluster.now)
        twin.sealer.alone(cluster.now, at_once=True)
        offer(cluster, "bo", 4)
        settle(cluster)
        assert twin.ledger.head.height >= height
        told: list[str] = []
        bo.live.on_alarm = lambda: told.append(bo.live.alarm)
        row = copy_block(twin, height)
        assert bo.live.take_block(row)
        assert bo.live.alarm
        assert told == [bo.live.alarm]
        before = bo.live.ledger.head.height
        answer = cluster.do("bo", "fork")
        assert answer["forked"]
        assert answer["height"] == height
        assert answer["ours"]["block"] != answer["theirs"]["block"]
        assert [each["entry"] for each in answer["only_ours"]] == [here]
        assert len(answer["only_theirs"]) >= 1
        assert [(each["name"], each["proof"]) for each in answer["culprits"]] == [("ana", "e1")]
        assert cluster.do("bo", "status")["fork"] == height
        # Whoever is shown the file can check the two signatures without this program.
        place = Home.create(home / "tally")
        for _ in range(2):
            write_report(place, bo.live)
        (file,) = place.path.glob("fork-*.json")
        report = json.loads(file.read_bytes())
        assert report["height"] == height
        proof = read_evidence_untrusted(bytes.fromhex(report["evidence"][0]))
        assert proof.accused == ana.key
        assert all(is_valid(*check) for check in proof.checks())
        # Ana hears of it from Bo, and stops as well; entries may still be written, and carry the proof.
        cluster.run(10_000)
        assert ana.live.alarm
        entry = offer(cluster, "bo", 5)
        cluster.run(60_000)
        assert bo.live.ledger.head.height == before
        assert state_of(cluster, "ana", entry)["status"] == "pending"
        assert any(row.entry.kind == "evidence" for row in bo.live.ledger.pool.entries.values())
        cluster.switch_off(bo)
        cluster.boot(bo)
        assert bo.live.alarm, "a restart settles nothing"


def copy_block(core: NodeCore, height: int) -> messages.Block:
    row = core.archive.block(height)
    assert row is not None
    return messages.Block(row.header, row.certificate, row.readys, row.entry_ids)


def test_branches_are_followed_down_to_where_they_part() -> None:
    """The other node is several blocks further on its branch: block by block it is asked for lower ones."""
    with Torn(4) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]
        copy = copy_of(ana)
        for name in ("bo", "cy"):
            cluster.disconnect("ana", name)
        cluster.switch_off(cluster.machines["cy"])
        parted = ana.live.ledger.head.height + 1
        for units in (1, 2):
            offer(cluster, "ana", units)
            cluster.run(5000)
        cluster.connect("ana", "bo")
        cluster.run(5000)
        cluster.disconnect("ana", "bo")
        assert bo.live.ledger.head.height == parted + 1
        # The computer is exchanged for its twin, which has gone its own way.
        cluster.switch_off(ana)
        ana.store = copy
        cluster.boot(ana)
        for units in (3, 4, 5, 6):
            offer(cluster, "ana", units)
            cluster.run(5000)
        assert ana.live.ledger.head.height > bo.live.ledger.head.height
        cluster.connect("ana", "bo")
        cluster.run_until(lambda: bool(bo.live.alarm and ana.live.alarm), 60_000, "both see the fork")
        assert cluster.do("bo", "fork")["height"] == parted
        assert cluster.do("ana", "fork")["height"] == parted


def test_a_block_without_votes_is_no_fork() -> None:
    """Anybody can write a block; only the votes in it count."""
    with Torn(5) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        bo = cluster.machines["bo"]
        height = bo.live.ledger.head.height
        row = bo.live.archive.block(height)
        assert row is not None
        header = bytearray(row.header)
        header[-1] ^= 1
        forged = messages.Block(bytes(header), row.certificate, row.readys, row.entry_ids)
        with pytest.raises((BlockError, DecodeError)):
            bo.live.take_block(forged)
        assert not bo.live.alarm
        assert not cluster.do("bo", "fork")["forked"]


def test_an_entry_that_cites_another_block_has_that_block_asked_for() -> None:
    """The entry alone is no alarm, since anybody can write one: whoever has handed it on must show the block."""
    with Torn(6) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]
        twin = twin_of(cluster, copy_of(ana), "ana")
        height = twin.ledger.head.height + 1
        offer(cluster, "ana", 1)
        settle(cluster)
        for units in (2, 3):
            Desk(twin).do("offer", {"step": "bake", "units": units}, ana.secret, cluster.now)
            twin.sealer.alone(cluster.now, at_once=True)
        cited = Desk(twin).do("offer", {"step": "bake", "units": 4}, ana.secret, cluster.now)["entry"]
        entry = twin.intake.find(bytes.fromhex(cited))
        assert entry is not None
        assert entry.seal is not None
        assert entry.seal[0] >= height
        # Its chain is not known here, so the part of it that matters is judged by itself.
        error = EntryError(Reason.OTHER_BRANCH, "it cites another block")
        bo.live.take(Taken(refused=[(entry, error)]), ana.key)
        frames = [effect for effect in bo.live.effects() if isinstance(effect, Send) and effect.peer == ana.key]
        asked = [message for effect in frames for frame in effect.frames if (message := messages.Reader().read(frame))]
        assert messages.GetBlocks(entry.seal[0], 1, False) in asked
        assert not bo.live.alarm
        # Ana's own node has no such block: what it shows is the one that is known.
        session = bo.live.sync.sessions[ana.key]
        row = bo.live.archive.block(height)
        assert row is not None
        bo.live.take_block(messages.Block(row.header, row.certificate, row.readys, row.entry_ids), session)
        assert session.parted == PARTED_NOWHERE
        assert not bo.live.alarm


def test_a_fork_in_two_rounds_names_who_signed_both() -> None:
    """Cy and Di help Bo to one block in round 0, and Ana to another in round 1: no vote of theirs is there twice.

    Their prevotes in round 1 have forgotten what they precommitted in round 0. So whoever has decided in a later round
    keeps the prevotes for it, and shows them to whoever has not.
    """
    with Torn(8) as cluster:
        partners(cluster, "ana", "bo", "cy", "di")
        height = cluster.height() + 1
        sealers = [row.node_key for row in cluster.machines["ana"].live.ledger.sealers()]
        # Whoever is the proposer of round 0 is on the one side alone, who has round 1 on the other.
        first, second = (cluster.by_key(sealers[(height + round_) % 4]) for round_ in (0, 1))
        assert first is not None
        assert second is not None
        both = [row for row in cluster.machines.values() if row not in (first, second)]
        for machine in both:
            cluster.back_up(machine)
        blocks = []
        for one, other in ((second, first), (first, second)):
            cluster.switch_off(other)
            cluster.wake_up(one)
            for machine in both:
                if blocks:
                    # The same key on another machine, which has seen nothing of it.
                    cluster.put_back(machine, guard="old")
                cluster.wake_up(machine)
            cluster.connect_all()
            offer(cluster, one.name, 1 + len(blocks))
            cluster.run_until(lambda one=one: one.live.ledger.head.height == height, 120_000, "sealed")  # type: ignore[misc]
            blocks.append(one.live.ledger.head.block_id)
            cluster.run(3000)
        assert blocks[0] != blocks[1]
        rounds = []
        for machine in (second, first):
            row = machine.store and Archive(machine.store)
            machine.store.kill()
            block = row.block(height)
            assert block is not None
            rounds.append(read_certificate_untrusted(block.certificate).round)
        assert rounds == [1, 0]
        for machine in both:
            cluster.switch_off(machine)
        cluster.switch_off(first)
        cluster.boot(first)
        cluster.boot(second)
        cluster.connect(first.name, second.name)
        cluster.run_until(lambda: bool(first.live.alarm and second.live.alarm), 60_000, "both see the fork")
        cluster.run(2000)
        for machine in (second, first):
            answer = cluster.do(machine.name, "fork")
            assert {each["name"] for each in answer["culprits"]} == {row.name for row in both}
            assert {each["proof"] for each in answer["culprits"]} == {"e3"}


@pytest.mark.parametrize("ahead", [0, 2])
def test_of_a_block_that_does_not_come_next_only_the_header_is_read(ahead: int) -> None:
    """Anybody can send one again and again: what else is in it, eight megabytes of READYs, may be anything."""
    with Cluster(7) as cluster:
        partners(cluster, "ana", "bo")
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]
        head = ana.live.ledger.head
        row = ana.live.archive.block(head.height)
        assert row is not None
        header = replace(read_header_untrusted(row.header), height=head.height + ahead)
        block = messages.Block(header.encode(), row.certificate, [bytes(64)] * 31, list(row.entry_ids))
        effects = ana.live.handle(Frame(peer=bo.key, data=messages.encode_message(block)), cluster.clock(ana))
        assert not any(isinstance(effect, HangUp) for effect in effects)
        assert ana.live.ledger.head is head
