"""Keys that are lost, copied, restored, revoked and convicted, on whole cores over simulated streams."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from tallystick.crypto.keys import SecretKey
from tallystick.node import enrolment, knock, messages, recovering
from tallystick.node.archive import Archive, JoinRow
from tallystick.node.arriving import claim_here
from tallystick.node.core import EVIDENCE, NodeCore
from tallystick.node.desk import Desk
from tallystick.node.device_ticket import MemberTicket
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.guard import MemoryGuard
from tallystick.node.identity import Identity
from tallystick.node.intake import STRANGERS_MAX
from tallystick.node.muting import check_can_lose, check_can_unmute, check_is_whole
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.ballot import make_prevote
from tallystick.protocol.block import read_certificate_untrusted
from tallystick.protocol.devices import REQUESTS_MAX, WAIT_MS
from tallystick.protocol.entry import Entry
from tallystick.protocol.signed import KeySigner
from tests.sim.cluster import Cluster, Machine
from tests.sim.scenario import CHARTER

DAY_MS = 86_400_000


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as made:
        yield made


def partners(cluster: Cluster, *names: str, seal: bool = True) -> None:
    """The first founds; the others come in one after the other, and all seal."""
    first, *others = names
    cluster.found(CHARTER, first)
    for name in others:
        machine = cluster.join(name, first)
        cluster.connect_all()
        cluster.run(1000)
        member = machine.acknowledged[0].hex()
        for other in names[: names.index(name)]:
            cluster.do(other, "admit", {"partner": member, "sealer": seal}) if seal or other == first else None
            if not seal:
                break
        settle(cluster)
        if seal:
            cluster.do(name, "sealer", {"on": True})
            settle(cluster)


def settle(cluster: Cluster, within_ms: int = 120_000) -> None:
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, within_ms, "all is sealed")


def offer(cluster: Cluster, name: str, units: int = 1) -> str:
    answer: dict[str, Any] = cluster.do(name, "offer", {"step": "bake", "units": units})
    return str(answer["entry"])


def member(cluster: Cluster, name: str) -> bytes:
    machine = cluster.machines[name]
    row = machine.live.ledger.view(cluster.clock(machine)).devices[machine.secret.public]
    return row.member


def state_of(cluster: Cluster, name: str, entry: str) -> dict[str, Any]:
    row: dict[str, Any] = cluster.do(name, "show", {"id": entry})
    return row


def refused(cluster: Cluster, name: str, op: str, args: dict[str, Any]) -> NodeError:
    with pytest.raises(NodeError) as caught:
        cluster.do(name, op, args)
    return caught.value


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
    cluster.blocks = {height: block for height, block in cluster.blocks.items() if height < 2}
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
    copy = _copy_of(bo)
    core = _boot(cluster, copy)
    written = Desk(core).do("offer", {"step": "bake", "units": 3}, bo.secret, cluster.now)
    entry = core.intake.find(bytes.fromhex(written["entry"]))
    assert entry is not None
    _hand(cluster, "bo", entry)
    assert "copy" in bo.live.sealer.muted
    assert refused(cluster, "bo", "offer", {"step": "bake", "units": 2}).reason == "mute"
    cluster.switch_off(bo)
    cluster.boot(bo)
    assert "copy" in bo.live.sealer.muted, "a restart settles nothing"
    settled = cluster.do("bo", "status")
    assert "copy" in settled["mute_reason"]


def _copy_of(machine: Machine) -> MemoryStore:
    """The same data on another disk, guard and all."""
    store = MemoryStore(guard=MemoryGuard(machine.store.guard.state))
    store.restore(machine.store.image())
    return store


def _boot(cluster: Cluster, store: MemoryStore, name: str = "bo") -> NodeCore:
    machine = cluster.machines[name]
    archive = Archive(store)
    ledger, loose = archive.load(cluster.ledger_id)
    return NodeCore(
        archive=archive,
        ledger=ledger,
        node_key=machine.node,
        device=machine.secret.public,
        now=cluster.now,
        times=cluster.times,
        loose=loose,
    )


def _hand(cluster: Cluster, name: str, *entries: Entry) -> None:
    """Somebody hands entries to a node."""
    core = cluster.machines[name].live
    wires = [(entry.header, entry.signature, entry.annex) for entry in entries]
    batch, _ = core.intake.open(wires, b"somebody", cluster.now, asked=True)
    core.take(core.intake.close(batch, [True] * len(batch.entries), cluster.now), b"somebody")


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


# -- recovery ----------------------------------------------------------------------------------------------------------


def _new_machine(cluster: Cluster, name: str) -> Machine:
    """A laptop that fetches the ledger as a guest or a member: its store begun, not yet on."""
    machine = cluster.machine(name)
    archive = Archive(machine.store)
    archive.begin(cluster.ledger_id, join=JoinRow(bytes(32), (1, bytes(32)), []))
    return machine


def test_words_let_a_stranger_fetch_the_ledger_and_claim(cluster: Cluster) -> None:
    """A guest for an hour, by proof of the recovery key; the claim cuts off the machine that was lost."""
    partners(cluster, "ana", "bo")
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    lost = offer(cluster, "bo")
    settle(cluster)
    new = _new_machine(cluster, "new")
    assert not ana.live.is_member(new.key)
    ask = recovering.ask_in(cluster.ledger_id, new.recovery, new.key)
    assert knock.answer(ana.live, new.key, ask, cluster.now) is None, "a recovery key that nobody has named"
    ask = recovering.ask_in(cluster.ledger_id, bo.recovery, new.key)
    assert knock.answer(ana.live, bo.key, ask, cluster.now) is None, "somebody else's proof"
    response = knock.answer(ana.live, new.key, ask, cluster.now)
    assert response is not None
    assert recovering.read_guest_untrusted(response) == ana.live.ledger.head.height
    cluster.switch_off(bo)
    cluster.boot(new, trusted=(ana.key,))
    cluster.connect("ana", "new")
    cluster.run_until(lambda: new.live.ledger.head == ana.live.ledger.head, 60_000, "the ledger comes")
    entry = claim_here(new.live, bo.recovery, new.secret, new.node, None, cluster.now)
    cluster.perform(new, new.live.effects())
    cluster.run(1000)
    assert ana.live.ledger.knows(entry.id)
    assert new.live.member_of(new.key) == ana.live.member_of(bo.key)
    # Bo's old node seals, and is gone: with two sealers nothing is final, but the claim already counts for the gate.
    cluster.run(enrolment.TICKET_MS * 7)
    assert ana.live.is_member(new.key)
    row = ana.live.ledger.view(cluster.now).devices[new.secret.public]
    assert (row.status, row.scope) == ("active", "all")
    assert state_of(cluster, "new", lost)["status"] == "sealed"


def test_a_claim_names_what_it_cuts_off(cluster: Cluster) -> None:
    """A device that does not exist is refused, and so are words that belong to nobody."""
    partners(cluster, "ana")
    ana = cluster.machines["ana"]
    new = SecretKey.from_seed(bytes([9]) * 32), SecretKey.from_seed(bytes([8]) * 32)
    with pytest.raises(NodeError) as caught:
        claim_here(ana.live, ana.recovery, *new, ["ffff"], cluster.now)
    assert "0 of your devices" in caught.value.message
    with pytest.raises(NodeError) as caught:
        claim_here(ana.live, SecretKey.from_seed(bytes(32)), *new, None, cluster.now)
    assert caught.value.reason == "other-words"


def _request(cluster: Cluster, of: str, number: int = 0) -> tuple[Entry, SecretKey]:
    """A request in the name of somebody whose machine is on, by one that nobody knows."""
    host = cluster.machines["ana"]
    key, node, recovery = (
        SecretKey.from_seed(sha256(f"{use}/{number}".encode()).digest()) for use in ("device", "node", "recovery")
    )
    ticket = MemberTicket(place=enrolment.place_of(host.live), member=member(cluster, of))
    identity = Identity(name="Lost", device=key.public, recovery=recovery.public, words_confirmed=True)
    return recovering.request_entry(ticket, identity, key, node, cluster.now), node


def _ask(cluster: Cluster, name: str, entry: Entry, node: SecretKey) -> dict[str, Any]:
    core = cluster.machines[name].live
    response = knock.answer(core, node.public, recovering.ask_recovery(entry), cluster.now)
    assert response is not None
    cluster.perform(cluster.machines[name], core.effects())
    return recovering.read_request_untrusted(response)


def test_partners_give_new_keys_to_who_has_lost_everything(cluster: Cluster) -> None:
    """Two approve, thirty days pass, nobody objects: the new machine is Cy's, and the old one is not."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    cy = cluster.machines["cy"]
    entry, node = _request(cluster, "cy")
    cluster.switch_off(cy)
    answer = _ask(cluster, "ana", entry, node)
    assert (answer["state"], answer["approvals"], answer["needed"]) == ("waits", 0, 2)
    cluster.run(1000)
    assert [row["what"] for row in cluster.do("bo", "inbox")] == ["recover"]
    cluster.do("bo", "recover_approve", {"request": entry.id.hex()[:8]})
    cluster.run(1000)
    cluster.do("ana", "recover_approve", {"request": "cy"})
    cluster.run(5000)
    answer = _ask(cluster, "ana", entry, node)
    assert answer["approvals"] == 2
    assert answer["ready"] is not None
    rows = cluster.do("bo", "recoveries")
    assert [(row["name"], len(row["approved"]), row["vetoed"]) for row in rows] == [("cy", 2, False)]
    _skip(cluster, WAIT_MS + DAY_MS)
    answer = _ask(cluster, "ana", entry, node)
    assert answer["state"] == "recovered"
    assert cluster.machines["ana"].live.is_member(node.public)
    assert not cluster.machines["ana"].live.is_member(cy.key)


def test_an_old_device_stops_a_request_and_a_vote_overrules_it(cluster: Cluster) -> None:
    """Cy's laptop was stolen and not lost: the thief's veto is overruled by the others."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    _skip(cluster, 40 * DAY_MS)
    entry, node = _request(cluster, "cy")
    _ask(cluster, "ana", entry, node)
    cluster.run(1000)
    for name in ("ana", "bo"):
        cluster.do(name, "recover_approve", {"request": "cy"})
        cluster.run(1000)
    offer(cluster, "cy")
    settle(cluster)
    assert _ask(cluster, "ana", entry, node)["vetoed"]
    cluster.switch_off(cluster.machines["cy"])
    _skip(cluster, WAIT_MS + DAY_MS)
    assert _ask(cluster, "ana", entry, node)["state"] == "waits"
    proposal = cluster.do("ana", "propose", {"type": "recover", "entry": entry.id.hex()})["entry"]
    cluster.run(5000)
    for name in ("ana", "bo"):
        cluster.do(name, "vote", {"proposal": proposal, "choice": "yes"})
        cluster.run(5000)
    _skip(cluster, 20 * DAY_MS)
    assert _ask(cluster, "ana", entry, node)["state"] == "recovered"


def _skip(cluster: Cluster, ms: int) -> None:
    """Long time passes while all machines rest; then something is written, and sealed."""
    on = [row for row in cluster.machines.values() if row.core is not None]
    for machine in on:
        cluster.switch_off(machine)
    cluster.run(ms)
    for machine in on:
        cluster.boot(machine)
    cluster.connect_all()
    cluster.run(1000)
    # Whoever seals alone confirms the date after so long a rest.
    on[0].live.sealer.hurry(cluster.clock(on[0]))
    offer(cluster, "ana")
    cluster.run(30_000)


def test_requests_of_strangers_are_bounded(cluster: Cluster) -> None:
    """Anybody can make keys without end, and ask in a member's name with each: a node takes a few."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    answers = []
    for number in range(REQUESTS_MAX + 3):
        entry, node = _request(cluster, "cy", number)
        response = knock.answer(cluster.machines["ana"].live, node.public, recovering.ask_recovery(entry), cluster.now)
        assert response is not None
        answers.append(response)
    with pytest.raises(NodeError) as caught:
        recovering.read_request_untrusted(answers[-1])
    assert caught.value.reason == "limit"
    bo = cluster.machines["bo"].live
    many = [_request(cluster, name, 100 + number)[0] for number in range(20) for name in ("ana", "cy")]
    _hand(cluster, "bo", *many)
    kept = [row.entry for row in bo.ledger.pool.entries.values() if row.entry.kind == "recover.request"]
    assert len(kept) <= 2 * REQUESTS_MAX
    assert len(kept) <= STRANGERS_MAX


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
    _hand(cluster, "ana", entry)
    assert core.archive.store.get(b"A" + bytes.fromhex(said)) is None


def test_words_that_are_needed_are_not_erased(cluster: Cluster) -> None:
    """While an offer is open somebody may rely on what it says."""
    partners(cluster, "ana")
    said = cluster.do("ana", "offer", {"step": "bake", "units": 1, "note": "as agreed"})["entry"]
    settle(cluster)
    assert refused(cluster, "ana", "erase", {"entry": said}).reason == "still-needed"


# -- forks -------------------------------------------------------------------------------------------------------------


class Torn(Cluster):
    """A cluster in which two blocks of one height are what is looked at, and no failure."""

    def _look(self, machine: Machine) -> None:
        assert machine.core is not None


def test_two_blocks_of_one_height_are_an_alarm_with_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ana seals alone, on two computers: whoever sees both blocks keeps both, seals nothing more, and names the key."""
    with Torn(3) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        ana, bo = cluster.machines["ana"], cluster.machines["bo"]
        copy = _copy_of(ana)
        height = ana.live.ledger.head.height + 1
        here = offer(cluster, "ana", 1)
        settle(cluster)
        twin = _boot(cluster, copy, "ana")
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
        copy = _copy_of(ana)
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
        with pytest.raises(Exception):  # noqa: B017, PT011
            bo.live.take_block(forged)
        assert not bo.live.alarm
        assert not cluster.do("bo", "fork")["forked"]


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
