"""Machines that are no strangers, at partners who have not heard of them yet: what they show, and what is believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from tallystick.node import enrolment, introducing, joining, knock
from tallystick.node.ticket import read_ticket_untrusted
from tallystick.protocol import codec, devices
from tallystick.protocol.entry import encode_annex
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import chain_of, offer, partners, settle
from tests.sim.scenario import CHARTER


@pytest.fixture
def apart() -> Iterator[Cluster]:
    """Ana, Bo and Cy are partners, all is sealed, and nobody can reach anybody."""
    with Cluster(1) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        cluster.disconnect_all()
        yield cluster


def _added(cluster: Cluster) -> Machine:
    """A second machine of Bo's, which only Bo has heard of; it has the ledger."""
    bo = cluster.machines["bo"]
    new = cluster.machine("new")
    ticket = enrolment.issue(bo.live, bo.secret, scope="all", label="Cellar", now=cluster.now)
    response = knock.answer(bo.live, new.key, enrolment.ask_to_add(ticket, new.secret, new.node), cluster.now)
    assert response is not None
    bo.live.effects()
    new.store.restore(bo.store.image())
    new.store.guard.trust(batch=new.store.batch)
    cluster.boot(new)
    return new


def test_who_was_added_elsewhere_is_let_in_with_what_lies_below(apart: Cluster) -> None:
    """Bo has written something before, of which Cy knows nothing either: it comes with the introduction."""
    before = offer(apart, "bo")
    new, cy = _added(apart), apart.machines["cy"].live
    assert not cy.is_member(new.key)
    request = introducing.ask(new.live)
    assert request is not None
    assert knock.answer(cy, new.key, request, apart.now) == codec.encode(["welcome"])
    assert cy.is_member(new.key)
    assert bytes.fromhex(before) in cy.ledger.pool
    # Once more says nothing new, and is as welcome.
    assert knock.answer(cy, new.key, request, apart.now) == codec.encode(["welcome"])
    apart.perform(apart.machines["cy"], cy.effects())
    settle(apart)
    assert introducing.ask(new.live) is None, "everybody knows it now"


def test_who_joined_by_a_file_is_let_in_with_the_invitation(apart: Cluster) -> None:
    """Bo has invited it where there was no network, and Cy has not heard of the invitation either."""
    bo, cy = apart.machines["bo"], apart.machines["cy"].live
    ticket = read_ticket_untrusted(apart.do("bo", "invite", {"as": "partner"})["ticket"])
    new = apart.machine("new")
    new.store.restore(bo.store.image())
    new.store.guard.trust(batch=new.store.batch)
    apart.boot(new)
    terms = mock.Mock(hash=cy.ledger.charter.hash)
    with (
        mock.patch.object(joining, "read_identity", return_value=mock.Mock(recovery=new.recovery.public, name="n")),
        mock.patch.object(joining, "read_node_secret", return_value=new.node),
        mock.patch.object(joining, "encode_annex", return_value=encode_annex(bytes(16), {"name": "new"})),
    ):
        entry = joining.Joining(mock.Mock(), ticket, terms).entry(new.secret, apart.now)
    assert knock.answer(cy, new.key, knock.ask_join(entry), apart.now) is None, "an invitation that nobody knows here"
    new.live.submit(entry, apart.now)
    request = introducing.ask(new.live)
    assert request is not None
    assert knock.answer(cy, new.key, request, apart.now) is not None
    assert cy.is_member(new.key)
    assert {ticket.invite, entry.id} <= cy.ledger.pool.entries.keys()


def _rows(request: bytes) -> list[Any]:
    value = codec.decode(request)
    assert isinstance(value, list)
    rows = value[1]
    assert isinstance(rows, list)
    return rows


@pytest.mark.parametrize("wrong", ["peer", "below", "signature", "ledger", "order", "none", "shape", "words"])
def test_who_is_not_introduced_hears_nothing_and_leaves_nothing(apart: Cluster, wrong: str) -> None:
    """Somebody else's papers, papers with a gap, forged ones: the answer is that of any stranger."""
    offer(apart, "bo")
    new, cy = _added(apart), apart.machines["cy"].live
    request = introducing.ask(new.live)
    assert request is not None
    rows = _rows(request)
    peer = new.key
    match wrong:
        case "peer":
            peer = b"p" * 32
        case "below":
            del rows[0]
        case "signature":
            rows[0][1] = bytes(64)
        case "ledger":
            with Cluster(2) as other:
                other.found(CHARTER, "eva")
                foreign = other.machines["eva"].live.archive.wire(other.ledger_id)
            assert foreign is not None
            rows.insert(0, list(foreign))
        case "order":
            rows.append(rows.pop(0))
        case "none":
            rows.clear()
        case "shape":
            rows[-1] = rows[-1][:2]
        case "words":
            rows[-1][2] = None
    data = codec.encode(["introduce", rows])
    assert knock.answer(cy, peer, data, apart.now) is None
    assert (len(cy.ledger.pool), cy.intake.orphan_count, cy.effects()) == (0, 0, [])
    assert knock.answer(cy, new.key, request, apart.now) is not None


def test_papers_that_would_be_void_bring_nobody_in(apart: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device too many is none, whoever shows it; and what was handed over with it is not kept."""
    new, cy = _added(apart), apart.machines["cy"].live
    request = introducing.ask(new.live)
    assert request is not None
    monkeypatch.setattr(devices, "DEVICES_MAX", 1)
    assert knock.answer(cy, new.key, request, apart.now) is None
    assert len(cy.ledger.pool) == 0
    monkeypatch.undo()
    assert knock.answer(cy, new.key, request, apart.now) is not None


def test_more_than_one_knock_is_not_asked(apart: Cluster) -> None:
    """With too much below it the new machine waits until somebody has brought that."""
    for entry in chain_of(apart, "bo", introducing.ANCESTORS_MAX + 1):
        apart.machines["bo"].live.submit(entry, apart.now)
    new = _added(apart)
    assert introducing.ask(new.live) is None
    rows = [[b"", bytes(64), None]] * (introducing.ANCESTORS_MAX + 2)
    assert knock.answer(apart.machines["cy"].live, new.key, codec.encode(["introduce", rows]), apart.now) is None  # type: ignore[arg-type]
