"""Keys that are lost, copied, restored, revoked and convicted, on whole cores over simulated streams."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

import pytest

from tallystick.crypto.keys import SecretKey
from tallystick.node import enrolment, knock
from tallystick.node.core import EVIDENCE
from tallystick.node.desk import Desk
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.muting import check_can_lose, check_can_unmute, check_is_whole
from tallystick.protocol.ballot import make_prevote
from tallystick.protocol.block import read_certificate_untrusted
from tallystick.protocol.signed import KeySigner
from tests.sim.cluster import Cluster
from tests.sim.people import copy_of, hand, member, offer, partners, refused, settle, state_of, twin_of


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as made:
        yield made


# -- mute --------------------------------------------------------------------------------------------------------------


def test_a_restored_backup_is_mute_until_what_was_lost_has_come_back(cluster: Cluster) -> None:
    """The others have everything that was signed here: once it is back, the node speaks again by itself."""
    partners(cluster, "ana", "bo")
    bo = cluster.machines["bo"]
    image = bo.store.image()
    entry = offer(cluster, "bo")
    settle(cluster)
    cluster.switch_off(bo)
    bo.store.restore(image)
    cluster.boot(bo)
    assert bo.live.sealer.muted
    error = refused(cluster, "bo", "offer", {"step": "bake", "units": 2})
    assert (error.reason, error.exit_code) == ("mute", ExitCode.REFUSED)
    status = cluster.do("bo", "status")
    assert status["mute"]
    assert "older" in status["mute_reason"]
    settle(cluster)
    cluster.run_until(lambda: not bo.live.sealer.muted, 60_000, "bo speaks again")
    assert not bo.store.is_restored
    assert state_of(cluster, "bo", entry)["status"] == "sealed"
    offer(cluster, "bo", 2)
    settle(cluster)
    assert all(not row.live.has_evidence for row in cluster.machines.values())


def test_a_restored_backup_stays_mute_where_something_is_lost_for_good(cluster: Cluster) -> None:
    """Nobody has the entry that was signed last, so only the person can say that it is lost."""
    partners(cluster, "ana", "bo")
    bo = cluster.machines["bo"]
    image = bo.store.image()
    cluster.disconnect("ana", "bo")
    offer(cluster, "bo")
    cluster.switch_off(bo)
    bo.store.restore(image)
    cluster.boot(bo)
    settle(cluster)
    cluster.run(10_000)
    assert bo.live.sealer.muted
    assert refused(cluster, "bo", "offer", {"step": "bake", "units": 2}).reason == "mute"
    bo.live.sealer.unmute(cluster.clock(bo))
    cluster.perform(bo, bo.live.effects())
    assert not bo.live.sealer.muted
    assert not bo.store.is_restored
    entry = offer(cluster, "bo", 2)
    settle(cluster)
    assert state_of(cluster, "ana", entry)["status"] == "sealed"
    assert all(not row.live.has_evidence for row in cluster.machines.values())


def test_unmuting_signs_above_all_that_was_signed_before(cluster: Cluster) -> None:
    """The vote of a height that is still open was lost with the backup: the node goes to a later round."""
    partners(cluster, "ana", "bo")
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    image = bo.store.image()
    offer(cluster, "ana")
    height = bo.live.ledger.head.height + 1
    cluster.run_until(lambda: bo.store.guard.state.vote[0] == height, 60_000, "bo votes")
    vote = bo.store.guard.state.vote
    cluster.switch_off(bo)
    # Nobody else has the block either.
    cluster.switch_off(ana)
    bo.store.restore(image)
    for machine in (ana, bo):
        cluster.boot(machine)
    if ana.live.ledger.head.height < height:
        bo.live.sealer.unmute(cluster.clock(bo))
        cluster.perform(bo, bo.live.effects())
        assert bo.store.guard.state.vote >= vote
    settle(cluster)
    assert all(not row.live.has_evidence for row in cluster.machines.values())


def test_who_seals_alone_may_give_up_lost_blocks(cluster: Cluster) -> None:
    """Blocks that nobody else has seen come again with other entries, in a round above all that was signed."""
    partners(cluster, "ana")
    ana = cluster.machines["ana"]
    image = ana.store.image()
    for units in (1, 2, 3):
        offer(cluster, "ana", units)
        settle(cluster)
    signed = ana.store.guard.state.vote
    cluster.switch_off(ana)
    ana.store.restore(image)
    # These were sealed by her alone, and she gives them up.
    cluster.oracles.forget(from_height=2)
    cluster.boot(ana)
    head = ana.live.ledger.head.height
    assert ana.live.sealer.lost_height == signed[0] > head + 1
    with pytest.raises(NodeError) as caught:
        check_is_whole(ana.live, accept_loss=False)
    assert caught.value.reason == "lost-blocks"
    check_is_whole(ana.live, accept_loss=True)
    nobody = NodeError("nobody is there", reason="no-peer", exit_code=ExitCode.OFFLINE)
    with pytest.raises(NodeError) as caught:
        check_can_lose(ana.live, nobody, accept_loss=False)
    assert "--accept-loss" in caught.value.hint
    check_can_lose(ana.live, nobody, accept_loss=True)
    ana.live.sealer.unmute(cluster.clock(ana))
    cluster.perform(ana, ana.live.effects())
    entry = offer(cluster, "ana", 4)
    settle(cluster)
    assert state_of(cluster, "ana", entry)["status"] == "sealed"
    row = ana.live.archive.block(head + 1)
    assert row is not None
    assert read_certificate_untrusted(row.certificate).round > signed[1]
    with pytest.raises(NodeError) as caught:
        check_can_unmute(ana.live)
    assert caught.value.reason == "not-mute"


def test_where_others_seal_too_nothing_is_given_up(cluster: Cluster) -> None:
    """Whoever is needed for a block has to be met before one is made, so there is no reason not to wait."""
    partners(cluster, "ana", "bo")
    nobody = NodeError("nobody is there", reason="no-peer", exit_code=ExitCode.OFFLINE)
    with pytest.raises(NodeError) as caught:
        check_can_lose(cluster.machines["bo"].live, nobody, accept_loss=True)
    assert "one of them has to be met" in caught.value.message


def test_a_copy_of_a_home_makes_both_mute(cluster: Cluster) -> None:
    """Two computers with one key: as soon as one hears what the other has signed, it signs nothing more."""
    partners(cluster, "ana", "bo")
    bo = cluster.machines["bo"]
    copy = copy_of(bo)
    core = twin_of(cluster, copy)
    written = Desk(core).do("offer", {"step": "bake", "units": 3}, bo.secret, cluster.now)
    entry = core.intake.find(bytes.fromhex(written["entry"]))
    assert entry is not None
    hand(cluster, "bo", entry)
    assert "copy" in bo.live.sealer.muted
    assert refused(cluster, "bo", "offer", {"step": "bake", "units": 2}).reason == "mute"
    cluster.switch_off(bo)
    cluster.boot(bo)
    assert "copy" in bo.live.sealer.muted, "a restart settles nothing"
    settled = cluster.do("bo", "status")
    assert "copy" in settled["mute_reason"]


# -- evidence ----------------------------------------------------------------------------------------------------------


def test_a_contradiction_becomes_an_entry_and_the_key_never_seals_again(cluster: Cluster) -> None:
    """Cy's node key votes twice; whoever writes next says so; Cy goes on with another device."""
    partners(cluster, "ana", "bo", "cy")
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    assert len(ana.live.ledger.sealers()) == 3
    second = _second_device(cluster, "cy")
    settle(cluster)
    signer = KeySigner(cy.node, cluster.ledger_id)
    height = ana.live.ledger.head.height + 1
    votes = [
        make_prevote(signer, ledger=cluster.ledger_id, height=height, round_=0, block_id=bytes([n]) * 32, jr=-1)
        for n in (1, 2)
    ]
    ana.live.sealer.receive([vote.wire() for vote in votes], cy.key, cluster.now)
    assert ana.live.has_evidence
    assert len(ana.live.archive.sealings(EVIDENCE)) == 1
    offer(cluster, "ana")
    assert not ana.live.has_evidence
    cluster.run_until(
        lambda: all(row.member != member(cluster, "cy") for row in ana.live.ledger.sealers()), 120_000, "cy is out"
    )
    settle(cluster)
    assert len(ana.live.ledger.sealers()) == 2
    assert ana.live.ledger.state.keys[cy.key].use == "convicted"
    assert ana.live.ledger.state.members[member(cluster, "cy")].status == "active"
    # Cy's own node has heard votes of its key that it does not know.
    assert refused(cluster, "cy", "sealer", {"on": True}).reason == "mute"
    cy.live.sealer.unmute(cluster.clock(cy))
    assert refused(cluster, "cy", "sealer", {"on": True}).reason == "not-allowed"
    cluster.do("cy", "sealer", {"on": True, "device": second.public.hex()[:12]})
    settle(cluster)
    row = next(row for row in ana.live.ledger.sealers() if row.member == member(cluster, "cy"))
    assert row.device == second.public


def _second_device(cluster: Cluster, name: str) -> SecretKey:
    """Somebody adds another device over a knock."""
    host = cluster.machines[name]
    key, node = (SecretKey.from_seed(sha256(f"{use}/{name}2".encode()).digest()) for use in ("device", "node"))
    ticket = enrolment.issue(host.live, host.secret, scope="all", label="Spare", now=cluster.clock(host))
    response = knock.answer(host.live, node.public, enrolment.ask_to_add(ticket, key, node), cluster.clock(host))
    assert response is not None
    enrolment.read_added_untrusted(response, ticket, key.public)
    cluster.perform(host, host.live.effects())
    return key


# -- devices -----------------------------------------------------------------------------------------------------------


def test_a_device_ticket_is_for_one_machine_and_ten_minutes(cluster: Cluster) -> None:
    """The same machine may ask again; another one, a wrong proof and a late one get no answer at all."""
    partners(cluster, "ana")
    host = cluster.machines["ana"]
    keys = [SecretKey.from_seed(bytes([n]) * 32) for n in range(1, 5)]
    ticket = enrolment.issue(host.live, host.secret, scope="work", label=None, now=cluster.now)
    request = enrolment.ask_to_add(ticket, keys[0], keys[1])
    assert knock.answer(host.live, keys[3].public, request, cluster.now) is None, "another node key than it proves"
    first = knock.answer(host.live, keys[1].public, request, cluster.now)
    again = knock.answer(host.live, keys[1].public, request, cluster.now)
    assert first is not None
    assert first == again
    assert enrolment.read_added_untrusted(first, ticket, keys[0].public).body["scope"] == "work"
    other = enrolment.ask_to_add(ticket, keys[2], keys[3])
    assert knock.answer(host.live, keys[3].public, other, cluster.now) is None
    late = enrolment.issue(host.live, host.secret, scope="all", label=None, now=cluster.now)
    cluster.run(enrolment.TICKET_MS + 1)
    assert knock.answer(host.live, keys[3].public, enrolment.ask_to_add(late, keys[2], keys[3]), cluster.now) is None
    assert host.live.tickets == {}, "and the key is let go"


def test_tickets_that_wait_are_few(cluster: Cluster) -> None:
    """Each holds the signing key."""
    partners(cluster, "ana")
    host = cluster.machines["ana"]
    for _ in range(enrolment.TICKETS_MAX):
        enrolment.issue(host.live, host.secret, scope="all", label=None, now=cluster.now)
    with pytest.raises(NodeError) as caught:
        enrolment.issue(host.live, host.secret, scope="all", label=None, now=cluster.now)
    assert caught.value.reason == "limit"


# -- the words of an entry ---------------------------------------------------------------------------------------------


def test_erased_words_are_gone_from_every_node(cluster: Cluster) -> None:
    """From those that had them, from one that was away, and from one that comes later."""
    partners(cluster, "ana", "bo")
    said = cluster.do("bo", "offer", {"step": "bake", "units": 1, "note": "too much said"})["entry"]
    settle(cluster)
    cluster.do("bo", "withdraw", {"offer": said})
    settle(cluster)
    for name in ("ana", "bo"):
        assert state_of(cluster, name, said)["words"]["note"] == "too much said"
    cluster.do("bo", "erase", {"entry": said})
    settle(cluster)
    late = cluster.join("cy", "ana")
    cluster.connect_all()
    cluster.run_until(
        lambda: late.live.ledger.head == cluster.machines["ana"].live.ledger.head, 60_000, "cy has the ledger"
    )
    for name in ("ana", "bo", "cy"):
        row = state_of(cluster, name, said)
        assert row["words_missing"]
        assert row["status"] == "sealed"
        assert cluster.machines[name].live.archive.store.get(b"A" + bytes.fromhex(said)) is None
        rows = list(cluster.machines[name].live.archive.store.iterate())
        assert not [key for key, value in rows if b"too much said" in value]
    # A node that has not heard yet hands the words over once more: they are not taken in again.
    core = cluster.machines["ana"].live
    entry = core.intake.find(bytes.fromhex(said))
    assert entry is not None
    assert entry.annex is None
    hand(cluster, "ana", entry)
    assert core.archive.store.get(b"A" + bytes.fromhex(said)) is None


def test_words_that_are_needed_are_not_erased(cluster: Cluster) -> None:
    """While an offer is open somebody may rely on what it says."""
    partners(cluster, "ana")
    said = cluster.do("ana", "offer", {"step": "bake", "units": 1, "note": "as agreed"})["entry"]
    settle(cluster)
    assert refused(cluster, "ana", "erase", {"entry": said}).reason == "still-needed"


def test_luck_decides_nothing_here() -> None:
    """The same seed plays the same evening."""

    def play() -> str:
        with Cluster(11) as cluster:
            partners(cluster, "ana", "bo")
            bo = cluster.machines["bo"]
            image = bo.store.image()
            offer(cluster, "bo")
            settle(cluster)
            cluster.cut_power(bo)
            bo.store.restore(image)
            cluster.boot(bo)
            settle(cluster)
            return cluster.digest + str(Random(1).random())

    assert play() == play()
