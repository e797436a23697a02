"""Two partners with a node each: they meet, trade and seal; they write alone and exchange later; they stop cleanly."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.computers import LISTEN, Computer, agree, charter, command, computers, gather, join, seal, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Computer]]:
    """Ana and Bo: partners, both seal, both nodes run."""
    with computers(tmp_path, "Ana", "Bo") as both:
        gather(both)
        yield both


def test_two_partners_meet_trade_and_seal(tmp_path: Path) -> None:
    """A first evening, typed: keys, founding, invitation, joining, a deal, and a block with both votes."""
    ana, bo = Computer(tmp_path, "Ana"), Computer(tmp_path, "Bo")
    try:
        for each in (ana, bo):
            each.path.mkdir(mode=0o700)
            # No key is left behind for a session that nobody has.
            (each.path / "config.toml").write_text(f'listen = ["{LISTEN}"]\nmdns = false\nunlock = "0s"\n')
            each.done("init", "--name", each.name, "--words-file", tmp_path / f"{each.name}.words")
        rules = tmp_path / "cafe.toml"
        text = command("charter", "template", "cafe").out
        rules.write_text(text.replace('probation    = "30d"', 'probation    = "0s"'))
        assert ana.done("found", rules, "--yes")["status"] == "sealed"
        ana.start()
        ticket = ana.done("invite")["ticket"]
        bo.done("join", ticket, "--yes")
        bo.start()
        until(lambda: ana.member("Bo"), "Ana hears of Bo")
        ana.done("admit", "Bo", "--sealer", "--yes")
        until(lambda: bo.member("Bo").get("status") == "active", "Bo is in")
        bo.done("sealer", "on")
        height = seal([ana, bo])
        offer = ana.done("offer", "roast", "2", "--to", "Bo")["entry"]
        until(lambda: bo.has(offer), "the offer reaches Bo")
        deal = bo.done("accept", offer[:8])["deal"]
        until(lambda: ana.has(deal), "the acceptance reaches Ana")
        ana.done("deliver", deal[:8], "2")
        until(lambda: bo.read("deals")[0]["status"] == "delivered", "the delivery reaches Bo")
        bo.done("approve", deal[:8])
        assert seal([ana, bo], by=bo) == height + 1
        block = ana.done("blocks")[-1]
        assert (block["height"], block["entries"], block["votes"]) == (height + 1, 4, 2)
        roots = {row["state_root"] for row in (ana.status(), bo.status())}
        assert len(roots) == 1
        points = {row["name"]: row["points"] for row in bo.done("points")["rows"]}
        assert points["Ana"] > points["Bo"]
    finally:
        ana.clear()
        bo.clear()


def test_what_is_written_without_a_node_travels_later(pair: list[Computer]) -> None:
    """Both write with their nodes stopped; started again, each has what the other wrote, and it is sealed."""
    ana, bo = pair
    bo.end()
    hers = ana.write("offer", step="roast", units=1)
    assert hers["status"] == "pending"
    ana.end()
    assert ana.status()["node_running"] is False
    ours = [ana.done("offer", "roast", "2"), bo.done("offer", "roast", "3"), bo.done("offer", "roast", "4")]
    # Neither vote alone is a quorum.
    assert [row["status"] for row in ours] == ["pending"] * 3
    ana.start()
    bo.start("--peer", ana.addresses[0])
    for row in (hers, *ours):
        for each in pair:
            until(lambda each=each, row=row: each.has(row["entry"]), f"{row['entry'][:8]} reaches {each.name}")
    seal(pair)
    assert {ana.read("show", id=row["entry"])["status"] for row in (hers, *ours)} == {"sealed"}
    agree(pair)


def test_sync_without_a_node_meets_once_and_leaves(pair: list[Computer]) -> None:
    """`tally sync` connects, exchanges both ways and ends; afterwards nobody listens on this home."""
    ana, bo = pair
    bo.end()
    his = bo.done("offer", "roast", "5")["entry"]
    hers = ana.write("offer", step="roast", units=6)["entry"]
    answer = bo.done("sync", ana.addresses[0])
    assert (answer["peers"], answer["pending"]) == (1, 2)
    assert bo.has(hers)
    until(lambda: ana.has(his), "Ana has what Bo wrote")
    assert not bo.home.socket_path().exists()
    # The address is remembered: the next time nobody needs to name it.
    assert bo.done("sync")["peers"] == 1


def test_third_partner_hears_all_through_one_of_the_others(tmp_path: Path) -> None:
    """Cy knows Ana's address only, and still gets what Bo writes, and where Bo is."""
    with computers(tmp_path, "Ana", "Bo", "Cy") as (ana, bo, cy):
        gather([ana, bo])
        join(cy, ana.write("invite")["ticket"])
        cy.start()
        until(lambda: ana.member("Cy"), "Ana hears of Cy")
        ana.write("admit", partner="Cy")
        entry = bo.write("offer", step="roast", units=1)["entry"]
        until(lambda: cy.has(entry), "what Bo wrote reaches Cy")
        until(lambda: cy.status()["peers"] == 2, "Cy finds Bo")
        ana.end(signal.SIGKILL)
        entry = bo.write("offer", step="roast", units=2)["entry"]
        until(lambda: cy.has(entry), "what Bo wrote reaches Cy without Ana")


def test_late_comer_catches_up_on_blocks(tmp_path: Path) -> None:
    """A partner who was away while blocks were sealed gets them at the next meeting, and computes the same."""
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        gather([ana, bo], charter("1s"), sealing=False)
        bo.end()
        height = ana.status()["height"]
        for units in range(1, 6):
            ana.write("offer", step="roast", units=units)
            until(lambda units=units: ana.status()["height"] >= height + units, "Ana's block is sealed")
        bo.start("--peer", ana.addresses[0])
        row = agree([ana, bo])
        assert row["height"] >= height + 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_node_stops_cleanly(pair: list[Computer], number: signal.Signals) -> None:
    """Exit code 0 within five seconds, no socket left, nothing lost, and the next start finds all in order."""
    ana, bo = pair
    entry = ana.write("offer", step="roast", units=1)["entry"]
    began = time.monotonic()
    assert ana.end(number, 5.0) == 0
    assert time.monotonic() - began < 5
    assert not ana.home.socket_path().exists()
    assert "Traceback" not in ana.tail()
    assert ana.has(entry)
    assert ana.done("verify")["ok"] is True
    ana.start("--peer", bo.addresses[0])
    seal(pair)
    assert bo.read("show", id=entry)["status"] == "sealed"
