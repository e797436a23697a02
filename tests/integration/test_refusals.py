"""What a person gets wrong around a running node, and what other programs do to it: each has its words and its code."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tests.integration.computers import LISTEN, Computer, command, computers, establish, gather, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Computer]:
    """Ana, who has founded a ledger; her node does not run."""
    with computers(tmp_path, "Ana") as (computer,):
        establish(computer)
        yield computer


def test_second_node_is_refused_and_commands_talk_to_the_first(ana: Computer) -> None:
    """A home has one node: the second ends with 6 and says so, and whatever is typed is answered by the first."""
    ana.start()
    second = ana.tally("node", "--listen", LISTEN)
    assert second.code == 6
    assert second.error["code"] in ("node-running", "home-in-use")
    entry = ana.done("offer", "roast", "1")["entry"]
    assert Client(ana.home, Options()).ask_node("show", {"id": entry}, method="GET")["entry"] == entry
    assert ana.done("status")["node_running"] is True
    assert ana.done("verify")["entries"] == 2, "the node verifies what it has, with the ledger to itself"
    assert ana.end() == 0
    assert ana.done("status")["node_running"] is False


def test_two_nodes_started_at_once_are_one(ana: Computer) -> None:
    """Whoever takes the lock first runs; the other ends with 6, and does not take the socket away."""
    twin = Computer(ana.path.parent, "Ana")
    try:
        ana.launch()
        twin.launch()
        processes = [each.process for each in (ana, twin)]
        assert processes[0] is not None
        assert processes[1] is not None
        until(lambda: any(each is not None and each.poll() is not None for each in processes), "one of them gives up")
        codes = [each.poll() for each in processes if each is not None]
        assert sorted(codes, key=str) == [6, None]
        first = ana if codes[0] is None else twin
        first.ready()
        assert first.status()["node_running"] is True
        assert first.end() == 0
    finally:
        twin.clear()


def test_port_in_use(ana: Computer) -> None:
    """Exit 5 with the address; nothing of the node is left, and the next start works."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = ana.tally("node", "--listen", f"/ip4/127.0.0.1/tcp/{port}")
    assert (said.code, said.error["code"]) == (5, "port-in-use")
    assert str(port) in said.error["message"]
    assert not ana.home.socket_path().exists()
    ana.start("--listen", f"/ip4/127.0.0.1/tcp/{port}")
    assert f"/tcp/{port}/" in ana.addresses[0]


def test_no_peer_reachable(tmp_path: Path) -> None:
    """`sync`, and `join` with a ticket of somebody whose node is off, end with 5 and change nothing."""
    with computers(tmp_path, "Ana", "Bo", "Cy") as (ana, bo, cy):
        gather([ana, bo], sealing=False)
        ticket = ana.write("invite")["ticket"]
        ana.end()
        bo.end()
        for args in (["sync"], ["sync", ana.addresses[0]]):
            said = bo.tally(*args)
            assert (said.code, said.error["code"]) == (5, "no-peer"), args
        said = cy.tally("join", ticket, "--yes")
        assert (said.code, said.error["code"]) == (5, "no-peer")
        assert cy.home.ledgers() == ()
        # And with the node running, that has tried in vain.
        bo.start()
        began = time.monotonic()
        said = bo.tally("sync")
        assert (said.code, said.error["code"]) == (5, "no-peer")
        assert time.monotonic() - began < 5, "nobody is waited for when all have refused"


def test_wrong_passphrase(ana: Computer) -> None:
    """Exit 4, with and without a node; nothing is written."""
    ana.passphrase.write_text("the passphrase of somebody else\n")
    for run in (False, True):
        if run:
            ana.start()
        said = ana.tally("offer", "roast", "1")
        assert (said.code, said.error["code"]) == (4, "wrong-passphrase")
        assert ana.tally("unlock").code == 4
        assert len(ana.read("log")) == 1


def test_damaged_ticket_changes_nothing(tmp_path: Path) -> None:
    """One letter changed, a piece missing, something else altogether: 7, and no folder is made."""
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        establish(ana)
        ana.start()
        ticket = ana.write("invite")["ticket"]
        before = sorted(path.relative_to(bo.path) for path in bo.path.rglob("*"))
        middle = len(ticket) // 2
        letter = "q" if ticket[middle] != "q" else "p"
        for text in (ticket[:middle] + letter + ticket[middle + 1 :], ticket[:-7], "tally1", "tally", ticket[6:]):
            said = bo.tally("join", text, "--yes")
            assert (said.code, said.error["code"]) == (7, "ticket-damaged"), text
            assert "Traceback" not in said.err
        assert sorted(path.relative_to(bo.path) for path in bo.path.rglob("*")) == before
        assert len(ana.read("partners")) == 1
        # The ticket itself is as good as before.
        assert bo.tally("join", ticket, "--yes").code == 0


def test_ticket_that_was_used_or_taken_back(tmp_path: Path) -> None:
    """A ticket that was used, or taken back, is refused by a rule of the partner's node, and nothing is left behind."""
    with computers(tmp_path, "Ana", "Bo", "Cy") as (ana, bo, cy):
        establish(ana)
        ana.start()
        used, back = ana.write("invite"), ana.write("invite")
        assert bo.tally("join", used["ticket"], "--yes").code == 0
        ana.write("uninvite", invite=back["entry"])
        for ticket in (used["ticket"], back["ticket"]):
            said = cy.tally("join", ticket, "--yes")
            assert (said.code, said.error["code"]) == (1, "invitation-refused")
            assert cy.home.ledgers() == ()
        said = bo.tally("join", used["ticket"], "--yes")
        assert (said.code, said.error["code"]) == (2, "home-exists")


WRONG = """
charter = 1
name = "Wrong"
colour = "red"

[points]
pool = -5

[membership]
sponsors = 0

[[step]]
id = "Roast!"
price = 12
budget = 10

[[step]]
id = "bake"
price = 1
payer = "buyer"
sellers = ["nobody"]
"""


def test_charter_with_five_errors_shows_all_five(tmp_path: Path) -> None:
    """Each with its path, in one go; exit 2, and no ledger is founded."""
    with computers(tmp_path, "Ana") as (ana,):
        rules = tmp_path / "wrong.toml"
        rules.write_text(WRONG)
        for args in (("found", rules, "--yes"), ("charter", "check", rules)):
            said = ana.tally(*args)
            assert said.code == 2, said
            # `check` is asked for the errors, and gives them as its result.
            text = said.err + said.out
            for path in ("colour", r"points\.pool", r"membership\.sponsors", r"step\S*\.id", r"step\.bake"):
                assert re.search(path, text), (path, text)
        assert ana.home.ledgers() == ()


def test_ambiguous_prefix_and_unknown_partner(ana: Computer) -> None:
    """Exit 3 in both cases; what was ambiguous is listed."""
    entries: dict[str, str] = {}
    ana.start()
    twins: list[str] = []
    # Two ids that begin alike turn up soon, with prefixes as short as they may be; shorter ones are refused.
    for units in range(1, 40):
        entry = ana.write("offer", step="roast", units=units)["entry"]
        if entry[0] in entries:
            twins = [entries[entry[0]], entry]
            break
        entries[entry[0]] = entry
    assert twins
    said = ana.tally("show", twins[0][:1])
    assert said.code == 3
    assert ana.done("show", twins[0][:8])["entry"] == twins[0]
    for args in (["points", "Nobody"], ["admit", "Nobody"], ["offer", "roast", "1", "--to", "Nobody"]):
        said = ana.tally(*args)
        assert (said.code, said.error["code"]) == (3, "not-found"), args


def test_two_partners_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """A name that two have is ambiguous, and both ids are shown; with one of them it works."""
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        twin = Computer(tmp_path, "Twin")
        twin.name = "Bo"
        twin.make()
        try:
            gather([ana, bo], sealing=False)
            from tests.integration.computers import join

            entry = join(twin, ana.write("invite")["ticket"])
            until(lambda: ana.has(entry), "Ana hears of the second Bo")
            said = ana.tally("offer", "roast", "1", "--to", "Bo")
            assert (said.code, said.error["code"]) == (3, "ambiguous")
            ids = [row["partner"] for row in ana.read("partners") if row["name"] == "Bo"]
            assert len(ids) == 2
            assert all(each[:8] in said.error["message"] + said.error["hint"] for each in ids)
            assert ana.tally("admit", entry[:8], "--yes").code == 0
        finally:
            twin.clear()


def test_node_says_where_it_is_for_people_and_for_programs(ana: Computer) -> None:
    """`tally node --json` gives one line of JSON; `status` has the same addresses."""
    ana.start()
    assert ana.status()["addresses"] == ana.addresses
    assert all("/p2p/" in each for each in ana.addresses)
    said = command("--home", ana.path, "status")
    assert said.code == 0
    assert "Table" in said.out
    assert json.loads(command("--home", ana.path, "peers", "--json").out) == []
