"""Programs that compute something else, or do not know the rules that were voted for: they stop, and say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tallystick.node import messages as m
from tallystick.node.core import NodeCore
from tallystick.node.desk import Desk
from tallystick.node.fork_report import write_report
from tallystick.node.home import Home
from tallystick.node.status_words import RULES_KNOWN
from tallystick.protocol.assembly import OtherResultError
from tallystick.protocol.errors import BlockError
from tallystick.protocol.kinds.found import RULES_VERSION
from tallystick.protocol.kinds.offer import Offer
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import offer, partners, settle
from tests.sim.test_forks import Torn

UNTIL_MS = 30_000


def waits(cluster: Cluster, name: str) -> list[str]:
    """What `tally status` says at a machine."""
    core = cluster.machines[name].live
    facts = mock.Mock(
        peers=[], addresses=[], orphans=0, sealing=None, read_only=None, mute=None, seen_by={}, catching_up=None
    )
    facts.warning = core.sealer.warning(cluster.now) or None
    found: dict[str, Any] = Desk(core).do("status", {}, None, cluster.now, facts)
    return list(found["waits"])


class OneIsOther(Torn):
    """One machine has another program: an offer for seven units does something else there."""

    other = "cy"

    def feed(self, machine: Machine, event: Any) -> None:
        if machine.name != self.other:
            super().feed(machine, event)
            return
        with mock.patch.object(Offer, "apply", _otherwise(Offer.apply)):
            super().feed(machine, event)


def _otherwise(apply: Callable[..., None]) -> Callable[..., None]:
    def changed(self: Offer, act: Any) -> None:
        apply(self, act)
        if self.units == 7:
            rules = act.state.rules[""]
            act.state.rules.set("", type(rules)(rules.version, rules.due_next + 1, rules.sealer_next))

    return changed


@pytest.mark.parametrize(("seals", "is_late"), [(True, False), (False, False), (False, True)])
def test_whoever_computes_something_else_stops_and_blames_nobody(home: Path, seals: bool, is_late: bool) -> None:
    """A quorum sealed another result: it votes no more, fetches no more, and what came out here lies in a file."""
    with OneIsOther(5) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=seals)
        height, ana = cluster.height(), cluster.machines["ana"].live
        if is_late:
            cluster.switch_off(cluster.machines["cy"])
            offer(cluster, "ana", 7)
            cluster.run_until(lambda: ana.ledger.head.height > height, UNTIL_MS, "the others seal it")
            cluster.boot(cluster.machines["cy"])
        cy = cluster.machines["cy"].live
        told: list[str] = []
        cy.on_alarm = lambda: told.append(cy.alarm)
        if not is_late:
            offer(cluster, "ana", 7)
        cluster.connect_all()
        cluster.run(2 * UNTIL_MS)
        assert ana.ledger.head.height == height + 1
        assert cy.ledger.head.height == height
        assert not [why for who, _, why in cluster.left if who == "cy"]
        assert told == [cy.alarm]
        assert f"block {height + 1}" in cy.alarm
        assert cy.alarm in waits(cluster, "cy")[0]
        assert "seals nothing" not in " ".join(waits(cluster, "ana"))
        offer(cluster, "bo", 1)
        cluster.run(UNTIL_MS)
        assert (cy.ledger.head.height, told) == (height, [cy.alarm])
        place = Home.create(home / "tally")
        write_report(place, cy)
        write_report(place, cy)
        (path,) = place.path.glob("disagreement-*.json")
        report = json.loads(path.read_bytes())
        theirs = ana.archive.block_id(height + 1)
        assert report["height"] == height + 1
        assert report["sealed"]["block"] == (theirs.hex() if theirs else "")
        assert report["sealed"]["state_root"] != report["computed"]["state_root"]
        rows = {row["path"] for row in report["rows"]}
        assert "rules" in rows


def test_entries_of_another_block_are_the_fault_of_whoever_sent_them() -> None:
    """The votes hold, the entries are not those of the block: no reason to mistrust one's own program."""
    with Cluster(6) as cluster:
        partners(cluster, "ana", "bo", seal=False)
        ana, bo = (cluster.machines[name].live for name in ("ana", "bo"))
        cluster.disconnect_all()
        height = cluster.height()
        offer(cluster, "ana", 1)
        cluster.run(UNTIL_MS)
        mine = offer(cluster, "bo", 2)
        row = ana.archive.block(height + 1)
        assert row is not None
        wrong = m.Block(row.header, row.certificate, list(row.readys), [bytes.fromhex(mine)])
        with pytest.raises(BlockError, match="it should be") as caught:
            bo.take_block(wrong)
        assert not isinstance(caught.value, OtherResultError)
        settle(cluster)
        assert (bo.ledger.head, bo.alarm) == (ana.ledger.head, "")


def test_rules_that_this_program_does_not_know_are_not_guessed() -> None:
    """Version 2 is voted for: from the block on that brings it, a program that knows version 1 seals no more."""
    assert RULES_KNOWN == RULES_VERSION == 1
    with Torn(7) as cluster:
        partners(cluster, "ana", "bo")
        proposal = cluster.do("ana", "propose", {"type": "rules", "version": 2})["entry"]
        settle(cluster)
        for name in ("ana", "bo"):
            cluster.do(name, "vote", {"proposal": proposal, "choice": "yes"})
        ana = cluster.machines["ana"].live
        cluster.run_until(lambda: ana.ledger.state.rules[""].version == 2, UNTIL_MS, "version 2 is in force")
        height = ana.ledger.head.height
        offer(cluster, "ana", 1)
        cluster.run(UNTIL_MS)
        for name in ("ana", "bo"):
            core = cluster.machines[name].live
            assert (core.ledger.head.height, len(core.ledger.pool)) == (height, 1)
            assert "update needed" in waits(cluster, name)[0]
        bo = cluster.machines["bo"]
        cluster.switch_off(bo)
        cluster.boot(bo)
        assert isinstance(bo.core, NodeCore)
        assert "update needed" in bo.core.alarm
