"""Care: the ledger is recomputed, the computer is examined, and what is wrong ends with an exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.node import layout
from tallystick.node.home import Home
from tests.cli.called import Caller


def test_verify_says_that_all_is_well(ana: Caller) -> None:
    """In words and for programs."""
    assert ana("verify").out.startswith("everything is as it should be: 1 entry, 1 block, ")
    value = ana("verify", "--full", "--json").value
    assert (value["ok"], value["entries"], value["blocks"]) == (True, 1, 1)
    assert value["state_root"] == ana("points", "--json").value["state_root"]


def test_verify_names_what_is_wrong(ana: Caller, home: Path) -> None:
    """Exit 6, and where."""
    place = Home.open(home / "tally")
    (ledger,) = place.ledgers()
    store = place.open_store(ledger)
    store.write([(layout.STATE + b"acct/POINT/pool", b"\x91\x07")], sync=True)
    store.close()
    called = ana("verify")
    assert called.code == 6
    assert called.out.startswith("NOT as it should be: ")
    assert "acct/POINT/pool" in called.out
    assert ana("verify", "--json").value["ok"] is False


def test_doctor_finds_nothing_wrong(ana: Caller) -> None:
    """Words that are not written down yet are advice and no fault."""
    called = ana("doctor")
    assert called.code == 0
    assert called.out.count("NO  ") == 1
    assert "NO  words: " in called.out
    assert "tally init --confirm-words" in called.out


def test_doctor_works_on_a_home_that_no_command_opens(ana: Caller, home: Path) -> None:
    """Exit 6, with what mends it; also where there is no home at all."""
    (home / "tally").chmod(0o755)
    called = ana("doctor", "--json")
    assert called.code == 6
    row = next(each for each in called.value if each["name"] == "home")
    assert not row["ok"]
    assert "chmod 700" in row["fix"]
    assert ana("--home", home / "nothing", "doctor").code == 6


def test_demo_that_is_not_there_says_so(tally: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation may come without it."""
    monkeypatch.setattr("tallystick.cli.commands.care.find_spec", lambda name: None)
    called = tally("demo", "--json")
    assert (called.code, called.error["code"]) == (3, "no-demo")


def test_deeds_of_one_partner_are_told(ana: Caller, passphrase: Path) -> None:
    """From the offer to its withdrawal: each says what it is now, and the tables show it."""
    ana("unlock", "--passphrase-file", passphrase)
    offer = ana("offer", "roast", "3", "--deadline", "3d", "--note", "fresh \u202ebeans", "--json").value
    assert (offer["kind"], offer["status"], offer["height"], offer["deal"]) == ("offer", "sealed", 2, None)
    assert "(in 3 days)" in ana("offers").out
    shown = ana("show", offer["entry"][:8]).out
    assert "sealed in #2" in shown
    assert "fresh \\u202ebeans" in shown
    own = ana("accept", offer["entry"][:8])
    assert own.code == 1
    assert own.err.startswith("tally: nobody accepts, or endorses, an offer of their own: ")
    gone = ana("withdraw", offer["entry"][:8])
    assert gone.out.splitlines()[1] == "sealed in #3"
    assert ana("offers").out == "no offers: `tally offer STEP UNITS` makes one\n"
    closed = ana("withdraw", offer["entry"][:8], "--dry-run", "--json")
    assert (closed.code, closed.value["status"], closed.value["reason"]) == (1, "void", "offer-closed")
    assert [row["kind"] for row in ana("log", "--json").value] == ["found", "offer", "withdraw"]
    assert ana("log", "--limit", "1", "--json").value[0]["kind"] == "withdraw"
    assert ana("explain", "Ana").out.splitlines()[-1] == f"= {ana('points', '--json').value['rows'][0]['points']}"


def test_ticket_that_leads_nowhere_is_warned_about(ana: Caller, passphrase: Path) -> None:
    """Before any node has run nobody can knock; the ticket stands alone on its line."""
    ana("unlock", "--passphrase-file", passphrase)
    called = ana("invite")
    assert called.out.splitlines()[-1].startswith("tally1")
    assert "it names no address" in called.err
    # Nobody who has no network needs a node.
    assert "`tally bundle out FILE --full`" in called.err
    assert "must run" not in called.err
    assert ana("invite", "--json", "--as", "observer").value["ticket"].startswith("tally1")


def test_short_and_long_way_to_points_agree(ana: Caller, home: Path) -> None:
    """At a glance or through the rules: the same answer, told in the same words."""
    short = ana("points")
    assert short.out == ana("points", "Ana").out
    assert ana("points", "--json").value == ana("points", "Ana", "--json").value


def test_home_that_is_not_there_is_one_fault(tally: Caller, home: Path) -> None:
    """And not one of every check that would look into it."""
    rows = tally("--home", home / "none", "doctor", "--json").value
    assert [row["name"] for row in rows if not row["ok"]] == ["home"]
