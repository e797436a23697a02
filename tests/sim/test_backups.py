"""An older disk put back, with its guard, without it, or with one as old: the node is mute, and never signs twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallystick.node.errors import NodeError
from tallystick.node.muting import check_can_unmute, check_is_whole
from tallystick.protocol.ballot import make_precommit
from tallystick.protocol.block import read_certificate_untrusted
from tallystick.protocol.signed import KeySigner
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import offer, partners, refused, settle, state_of


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as made:
        yield made


def _unmute(cluster: Cluster, machine: Machine) -> None:
    """`tally seal --unmute`, after meeting the others."""
    check_can_unmute(machine.live)
    check_is_whole(machine.live, accept_loss=False)
    machine.live.sealer.unmute(cluster.clock(machine))
    cluster.perform(machine, machine.live.effects())


def test_the_last_entry_that_comes_back_is_no_sign_of_a_copy(cluster: Cluster) -> None:
    """It settles that the backup has caught up. It used to be taken for the work of another machine, at once."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    bo = cluster.machines["bo"]
    cluster.back_up(bo)
    entry = offer(cluster, "bo")
    # Cy has it; Ana, who seals alone, is asleep, so it is still pending when it comes back.
    cluster.run(500)
    cluster.switch_off(cluster.machines["ana"])
    cluster.put_back(bo)
    cluster.boot(bo)
    assert bo.live.sealer.muted
    cluster.connect("bo", "cy")
    cluster.run(5000)
    assert bytes.fromhex(entry) in bo.live.ledger.pool.entries
    assert not bo.live.sealer.muted
    offer(cluster, "bo", 2)
    cluster.boot(cluster.machines["ana"])
    settle(cluster)
    assert state_of(cluster, "ana", entry)["status"] == "sealed"
    cluster.oracles.check_end()


@pytest.mark.parametrize("guard", ["kept", "lost"])
def test_who_votes_with_others_is_mute_until_its_person_has_settled_it(cluster: Cluster, guard: str) -> None:
    """Its vote is needed, and it must not guess what it has signed: nothing is sealed until the person says so."""
    partners(cluster, "ana", "bo")
    bo = cluster.machines["bo"]
    cluster.back_up(bo)
    offer(cluster, "ana")
    settle(cluster)
    # It has voted in a height that is not sealed yet, as far as it knows: the last word never comes.
    offer(cluster, "bo")
    cluster.run_until(lambda: bo.store.guard.state.vote[0] > cluster.height(), 20_000, "bo has voted")
    cluster.put_back(bo, guard=guard)
    waiting = offer(cluster, "ana", 3)
    cluster.boot(bo)
    assert bo.live.sealer.muted
    assert refused(cluster, "bo", "offer", {"step": "bake", "units": 2}).reason == "mute"
    cluster.connect_all()
    cluster.run(20_000)
    assert bo.live.sealer.muted
    assert state_of(cluster, "ana", waiting)["status"] == "pending"
    _unmute(cluster, bo)
    settle(cluster)
    assert state_of(cluster, "bo", waiting)["status"] == "sealed"
    assert not any(row.live.has_evidence for row in cluster.machines.values())
    cluster.oracles.check_end()


def test_a_whole_disk_put_back_is_mute_as_soon_as_somebody_shows_it_its_own_entries(cluster: Cluster) -> None:
    """The guard is as old as the rest, so only others can tell; whoever is met first does."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    bo = cluster.machines["bo"]
    cluster.back_up(bo)
    offer(cluster, "bo")
    cluster.run(500)
    cluster.switch_off(cluster.machines["ana"])
    cluster.put_back(bo, guard="old")
    cluster.boot(bo)
    assert not bo.live.sealer.muted
    cluster.connect("bo", "cy")
    cluster.run(3000)
    assert "copy" in bo.live.sealer.muted
    assert refused(cluster, "bo", "offer", {"step": "bake", "units": 2}).reason == "mute"
    _unmute(cluster, bo)
    cluster.boot(cluster.machines["ana"])
    offer(cluster, "bo", 2)
    settle(cluster)
    cluster.oracles.check_end()


def test_a_whole_disk_put_back_is_mute_as_soon_as_somebody_shows_it_its_own_vote(cluster: Cluster) -> None:
    """It has voted, everybody forgot to tell it, and it is asked to vote again: it stays silent."""
    partners(cluster, "ana", "bo", "cy", "di")
    bo = cluster.machines["bo"]
    for name in ("cy", "di"):
        cluster.switch_off(cluster.machines[name])
    offer(cluster, "ana")
    cluster.run(3000)
    cluster.back_up(bo)
    # With a third a block can be made; it goes to sleep before it hears of what the other two have signed.
    cluster.boot(cluster.machines["cy"])
    cluster.connect_all()
    height = cluster.height()
    cluster.run_until(lambda: bo.store.guard.state.vote[0] == height + 1, 60_000, "bo has voted")
    cluster.run(100)
    cluster.switch_off(cluster.machines["cy"])
    if cluster.machines["ana"].live.ledger.head.height > height:
        raise AssertionError("it was sealed before anything could happen")
    cluster.put_back(bo, guard="old")
    cluster.boot(bo)
    cluster.connect("ana", "bo")
    cluster.run(3000)
    assert "vote" in bo.live.sealer.muted
    _unmute(cluster, bo)
    for name in ("cy", "di"):
        cluster.boot(cluster.machines[name])
    settle(cluster)
    assert not any(row.live.has_evidence for row in cluster.machines.values())


@pytest.mark.parametrize("lost", [1, 2])
def test_who_seals_alone_is_asked_about_a_single_lost_block_too(cluster: Cluster, lost: int) -> None:
    """Others may have it who were not met: sealed anew without a word it would be a fork. One block used to pass."""
    partners(cluster, "ana", "bo", seal=False)
    ana = cluster.machines["ana"]
    cluster.back_up(ana)
    cluster.switch_off(cluster.machines["bo"])
    height = cluster.height()
    for units in range(1, lost + 1):
        offer(cluster, "ana", units)
        cluster.run_until(lambda units=units: cluster.height() == height + units, 60_000, "sealed")  # type: ignore[misc]
    cluster.put_back(ana)
    cluster.boot(ana)
    with pytest.raises(NodeError) as caught:
        check_is_whole(ana.live, accept_loss=False)
    assert caught.value.reason == "lost-blocks"
    assert f"sealed up to {height + lost}" in caught.value.message
    check_is_whole(ana.live, accept_loss=True)


def test_a_block_whose_vote_is_with_others_is_not_given_up(cluster: Cluster) -> None:
    """That height is decided: whoever knows the vote would wait for its block for ever. It used to be sealed anew."""
    partners(cluster, "ana", "bo", seal=False)
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    cluster.back_up(ana)
    cluster.switch_off(bo)
    height = cluster.height()
    offer(cluster, "ana")
    cluster.run_until(lambda: cluster.height() == height + 1, 60_000, "sealed")
    row = ana.live.archive.block(height + 1)
    assert row is not None
    certificate = read_certificate_untrusted(row.certificate)
    key, ledger = ana.live.node_key, ana.live.ledger.id
    cluster.put_back(ana)
    cluster.boot(bo)
    vote = make_precommit(
        KeySigner(key, ledger),
        ledger=ledger,
        height=height + 1,
        round_=certificate.round,
        block_id=certificate.block_id,
    )
    bo.live.sealer.receive([vote.wire()], key.public, cluster.clock(bo))
    assert bo.live.sealer.waits_for_content
    cluster.boot(ana)
    cluster.connect_all()
    cluster.run_until(lambda: ana.live.sealer.waits_for_content, 60_000, "bo has told it")
    with pytest.raises(NodeError) as caught:
        check_is_whole(ana.live, accept_loss=True)
    assert (caught.value.reason, ana.live.sealer.lost_height) == ("sealed-elsewhere", height + 1)
    assert "re-found" in str(caught.value.hint)
    assert bo.live.sealer.report(cluster.clock(bo))["warning"] == "what the next block holds is not here"
