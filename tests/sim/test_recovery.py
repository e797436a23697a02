"""Members who have lost their machines: with their words, and with nothing but partners who know them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from unittest import mock

import pytest

from tallystick.crypto.keys import SecretKey
from tallystick.node import enrolment, joining, knock, recovering
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import JoinRow
from tallystick.node.arriving import claim_here
from tallystick.node.device_ticket import MemberTicket
from tallystick.node.errors import NodeError
from tallystick.node.identity import Identity
from tallystick.node.intake import STRANGERS_MAX
from tallystick.node.ticket import read_ticket_untrusted
from tallystick.protocol import codec
from tallystick.protocol.devices import REQUESTS_MAX, WAIT_MS
from tallystick.protocol.entry import Entry, encode_annex
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import hand, member, offer, partners, settle, state_of

DAY_MS = 86_400_000


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as made:
        yield made


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
    assert caught.value.message == "no device here is 'ffff'"
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
    (text,) = (row["text"] for row in cluster.do("cy", "inbox") if row["what"] == "veto")
    assert text.endswith("whatever you sign now stops it")
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


def test_a_computer_that_is_too_new_to_stop_a_request_is_told_so(cluster: Cluster) -> None:
    """Only one that was there thirty days before it can: whoever trusted in a signature would lose the membership."""
    partners(cluster, "ana", "bo", "cy", seal=False)
    entry, node = _request(cluster, "cy")
    _ask(cluster, "ana", entry, node)
    cluster.run(1000)
    (text,) = (row["text"] for row in cluster.do("cy", "inbox") if row["what"] == "veto")
    assert "too new to stop it" in text
    offer(cluster, "cy")
    settle(cluster)
    assert not _ask(cluster, "ana", entry, node)["vetoed"]


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


@pytest.mark.parametrize("what", ["join", "request"])
def test_what_strangers_hand_in_has_its_words(cluster: Cluster, what: str) -> None:
    """Without them nobody else takes it, so what seals with whoever had taken it in would never be whole again."""
    partners(cluster, "ana", "bo")
    ana = cluster.machines["ana"].live
    if what == "join":
        ticket = read_ticket_untrusted(cluster.do("ana", "invite", {"as": "partner"})["ticket"])
        new = cluster.machine("new")
        terms = mock.Mock(hash=ana.ledger.charter.hash)
        with (
            mock.patch.object(joining, "read_identity", return_value=mock.Mock(recovery=new.recovery.public, name="n")),
            mock.patch.object(joining, "read_node_secret", return_value=new.node),
            mock.patch.object(joining, "encode_annex", return_value=encode_annex(bytes(16), {"name": "new"})),
        ):
            entry = joining.Joining(mock.Mock(), ticket, terms).entry(new.secret, cluster.now)
        node, ask = new.node, knock.ask_join
    else:
        cluster.join("cy", "ana")
        cluster.connect_all()
        cluster.run(2000)
        cluster.do("ana", "admit", {"partner": member(cluster, "cy").hex(), "sealer": False})
        entry, node = _request(cluster, "cy", 1)
        ask = recovering.ask_recovery
    settle(cluster)
    whole = ask(entry)
    wordless = codec.encode([*codec.decode(whole)[:-1], None])  # type: ignore[index,list-item]
    assert knock.answer(ana, node.public, wordless, cluster.now) is None
    cluster.perform(cluster.machines["ana"], ana.effects())
    assert entry.id not in ana.ledger.pool
    offer(cluster, "bo")
    settle(cluster)
    response = knock.answer(ana, node.public, whole, cluster.now)
    cluster.perform(cluster.machines["ana"], ana.effects())
    assert response is not None
    assert entry.id in ana.ledger.pool
    settle(cluster)


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
    hand(cluster, "bo", *many)
    kept = [row.entry for row in bo.ledger.pool.entries.values() if row.entry.kind == "recover.request"]
    assert len(kept) <= 2 * REQUESTS_MAX
    assert len(kept) <= STRANGERS_MAX
