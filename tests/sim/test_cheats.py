"""Partners whose machines break the protocol, one way at a time: what they reach, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tallystick.node import messages as m
from tallystick.node.desk import Desk
from tallystick.node.transport import Frame
from tallystick.protocol.ballot import STEP_PROPOSE
from tallystick.protocol.evidence import find_evidence
from tallystick.protocol.sealing import make_status
from tallystick.protocol.signed import KeySigner
from tests.sim.cheat import Cheat, Mood
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import copy_of, hand, offer, partners, refused, settle, state_of, twin_of
from tests.sim.scenario import may_be_away, may_cheat_safely


@pytest.fixture
def four() -> Iterator[Cluster]:
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo", "cy", "di")
        yield cluster


def _cheats(cluster: Cluster, name: str, mood: Mood) -> Machine:
    machine = cluster.machines[name]
    machine.cheat = Cheat(cluster, machine, mood)
    return machine


def _convicted(cluster: Cluster, name: str) -> bool:
    use = cluster.machines["ana"].live.ledger.state.keys[cluster.machines[name].key]
    return use.use == "convicted"


@pytest.mark.parametrize(
    ("sealers", "safely", "away"), [(1, 0, 0), (2, 1, 0), (3, 0, 1), (4, 1, 1), (5, 2, 1), (6, 3, 1), (7, 2, 2)]
)
def test_how_many_may_cheat(sealers: int, safely: int, away: int) -> None:
    """As the table of the specification has it: 2Q - n - 1 forge nothing, n - Q stop nothing."""
    assert (may_cheat_safely(sealers), may_be_away(sealers)) == (safely, away)


def test_two_proposals_and_two_votes_convict_their_key_and_no_other(four: Cluster) -> None:
    """One of four tells each half another block: all agree on one, and the proof goes on the ledger by itself."""
    di = _cheats(four, "di", Mood(split=100))
    for units in range(1, 9):
        offer(four, "ana", units)
        settle(four)
    assert {each.accused for each in find_evidence(four.oracles.votes.values())} == {di.key}
    assert _convicted(four, "di")
    assert [row.node_key for row in four.machines["ana"].live.ledger.sealers()] == [
        four.machines[name].key for name in ("ana", "bo", "cy")
    ]
    four.oracles.check_end()


def test_votes_for_blocks_that_do_not_exist_stop_nothing(four: Cluster) -> None:
    """Rounds that nobody is in, blocks that nobody has, reasons that there are none for."""
    _cheats(four, "di", Mood(invent=100))
    for units in range(1, 7):
        offer(four, "bo", units)
        settle(four)
    four.oracles.check_end()


def test_two_entries_of_one_number_freeze_their_device_and_convict_no_sealer(four: Cluster) -> None:
    """Each half has another one: in the end all have the same ledger, and the device seals no more, without a crime."""
    di = _cheats(four, "di", Mood(fork=100))
    offer(four, "di")
    offer(four, "ana")
    settle(four)
    ana = four.machines["ana"].live.ledger
    four.run_until(lambda: di.live.ledger.head == ana.head, 60_000, "di has the block as well")
    assert refused(four, "di", "offer", {"step": "bake", "units": 2}).reason == "device-frozen"
    state = four.machines["ana"].live.ledger.state
    assert [device for device, _ in state.forks.items()] == [di.secret.public]
    assert not _convicted(four, "di")
    assert di.key not in {row.node_key for row in four.machines["ana"].live.ledger.sealers()}
    four.oracles.check_end()


def test_who_keeps_everything_to_itself_stops_nobody(four: Cluster) -> None:
    """Neither entries nor blocks nor votes come from it; what it is asked for others have as well."""
    _cheats(four, "di", Mood(withhold=100))
    offer(four, "di")
    for name in ("ana", "bo", "cy"):
        offer(four, name)
    settle(four)
    four.oracles.check_end()


@pytest.mark.parametrize("silent", [0, 100])
def test_who_says_it_is_far_ahead_keeps_nobody_from_the_blocks_of_others(silent: int) -> None:
    """It was asked again and again, since nobody else was so far ahead. Now whoever shows nothing is asked last."""
    with Cluster(2) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        bo, cy = cluster.machines["bo"], cluster.machines["cy"]
        cluster.switch_off(bo)
        for units in (1, 2, 3):
            offer(cluster, "ana", units)
            cluster.run(5000)
        _cheats(cluster, "cy", Mood(boast=True, withhold=silent))
        cluster.boot(bo)
        # The one who lies comes first, and from then on it is always the one who is furthest ahead.
        cluster.connect("bo", "cy")
        cluster.run(1000)
        cluster.connect("ana", "bo")
        ana = cluster.machines["ana"].live
        cluster.run_until(lambda: bo.live.ledger.head == ana.ledger.head, 60_000, "bo has the blocks")
        # It is not asked without end, either.
        session = bo.live.sync.sessions[cy.key]
        assert session.in_vain <= 4


def test_broken_signatures_end_the_connection_and_blame_nobody_else(four: Cluster) -> None:
    """Whoever sends them is hung up on; whoever is honest never hands them on."""
    _cheats(four, "di", Mood(garble=30))
    for units in range(1, 5):
        offer(four, "ana", units)
        settle(four)
        four.connect_all()
    assert any(whom == "di" for _, whom, _ in four.left)
    four.oracles.check_end()


def _lying(hours: int) -> Callable[[Cluster], None]:
    def set_clock(cluster: Cluster) -> None:
        cluster.machines["di"].skew_ms = hours * 3_600_000

    return set_clock


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_clock_that_is_a_day_off_makes_no_time(four: Cluster, hours: int) -> None:
    """Blocks have the lower median of the clocks that were reported: one liar of four is outside of it, or near it."""
    _lying(hours)(four)
    _cheats(four, "di", Mood(lie=50))
    entry = offer(four, "ana")
    settle(four)
    assert state_of(four, "bo", entry)["status"] == "sealed"
    head = four.machines["ana"].live.ledger.head
    assert abs(head.time - four.now) < 60_000


@pytest.mark.parametrize("names", [("ana", "bo", "cy"), ("ana", "bo", "cy", "di")])
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_lies_before_anybody_else_is_heard_stops_nobody(names: tuple[str, ...], hours: int) -> None:
    """One STATUS of each height was enough: everybody else thought that its own clock was wrong, and did not begin."""
    with Cluster(3) as cluster:
        partners(cluster, *names)
        liar = _cheats(cluster, names[-1], Mood(withhold=100))
        status = make_status(
            KeySigner(liar.node, cluster.ledger_id),
            ledger=cluster.ledger_id,
            height=cluster.height() + 1,
            round_=-1,
            step=STEP_PROPOSE,
            prevotes=0,
            precommits=0,
            now=cluster.now + hours * 3_600_000,
        )
        for name in names[:-1]:
            frame = m.encode_message(m.Sealing([status.wire()]))
            cluster.feed(cluster.machines[name], Frame(peer=liar.key, data=frame))
        offer(cluster, "ana")
        settle(cluster)


@pytest.mark.parametrize("hours", [-1, 1])
def test_of_two_whose_clocks_differ_both_are_told(hours: int) -> None:
    """Only the one who was ahead was told, and it may have been right."""
    with Cluster(4) as cluster:
        partners(cluster, "ana", "bo")
        cluster.machines["bo"].skew_ms = hours * 3_600_000
        cluster.disconnect_all()
        cluster.connect_all()
        cluster.run(1000)
        height = cluster.height()
        offer(cluster, "ana")
        cluster.run(60_000)
        assert cluster.height() == height
        for name in ("ana", "bo"):
            core = cluster.machines[name].live
            assert "minutes off" in core.sealer.warning(cluster.clock(cluster.machines[name]))
            assert not core.sealer.is_active


def test_a_cheat_is_told_apart_from_a_person(four: Cluster) -> None:
    """A convicted node key seals no more; its person still writes, and everybody takes it."""
    di = _cheats(four, "di", Mood(split=100))
    for units in range(1, 9):
        offer(four, "ana", units)
        settle(four)
    assert _convicted(four, "di")
    di.cheat = None
    entry = offer(four, "di")
    settle(four)
    assert state_of(four, "ana", entry)["status"] == "sealed"
    assert Desk(di.live).do("status", {}, None, four.now)["height"] == four.height()


@pytest.mark.parametrize(("sealed", "shown"), [(2, 1), (1, 1), (1, 3), (3, 3)])
def test_the_branch_that_was_not_sealed_still_travels_with_what_builds_on_it(sealed: int, shown: int) -> None:
    """Bo shows Ana one branch, which she seals, and Cy another, whose offer he accepts: that has to be sealed too.

    Numbers said that Ana had all of Bo's entries up there, so she never asked for those of the other branch.
    """
    with Cluster(9) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        bo, cy = cluster.machines["bo"], cluster.machines["cy"]
        twin = twin_of(cluster, copy_of(bo), "bo")
        cluster.part({"cy": 1})
        # The other branch, which only Cy sees.
        other = [
            Desk(twin).do("offer", {"step": "bake", "units": 3, "buy": True}, bo.secret, cluster.now)["entry"]
            for _ in range(shown)
        ]
        found = [twin.intake.find(bytes.fromhex(entry)) for entry in other]
        hand(cluster, "cy", *(entry for entry in found if entry is not None))
        for units in range(1, sealed + 1):
            offer(cluster, "bo", units)
        ana = cluster.machines["ana"].live
        cluster.run_until(lambda: not len(ana.ledger.pool), 60_000, "the first branch is sealed")
        accepted = cluster.do("cy", "accept", {"offer": other[-1]})["entry"]
        bo.cheat = Cheat(cluster, bo, Mood(withhold=100))
        cluster.part({})
        cluster.connect("ana", "cy")
        sealed_row = ana.archive.sealed_row
        cluster.run_until(lambda: sealed_row(bytes.fromhex(accepted)) is not None, 8000, "sealed with it")
        assert [device for device, _ in ana.ledger.state.forks.items()] == [bo.secret.public]
        cluster.run(2000)
        assert cy.live.ledger.head == ana.ledger.head
