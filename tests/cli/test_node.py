"""`tally` beside a running node: the same commands, answered by the node; and somebody else who joins through it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.called import OUTCOME, TRIAL, Caller, process

CONFIG = 'listen = ["/ip4/127.0.0.1/tcp/0"]\nmdns = false\n'


@pytest.fixture
def place(founded: Path, home: Path) -> Path:
    """A copy of Ana's home, for a node on this computer only."""
    path = home / "tally"
    shutil.copytree(founded, path)
    (path / "config.toml").write_text(CONFIG, encoding="utf-8")
    return path


class Running:
    """A node in a process of its own, and what it said when it was ready."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "--home", str(place), "--json", "node"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate(timeout=30)
        self.said = json.loads(line)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def node(place: Path) -> Iterator[Running]:
    running = Running(place)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate(timeout=30)


def test_commands_are_answered_by_the_node(node: Running, tally: Caller, passphrase: Path) -> None:
    """Reads and writes as without one; the key goes with one request, or is left with the node for a while."""
    status = tally("status", "--json").value
    assert status["node_running"] is True
    assert status["addresses"] == node.said["addresses"]
    assert status["ledger"] == node.said["ledger"]
    assert tally("points", "--json").value["rows"][0]["name"] == "Ana"

    locked = tally("offer", "roast", "3", "--json")
    assert (locked.code, locked.error["code"]) == (4, "key-locked")
    trial = tally("offer", "roast", "3", "--dry-run", "--json")
    assert (trial.code, trial.value["status"]) == (0, "pending")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
        assert tally("offer", "roast", "3", "--json").value["kind"] == "offer"

    assert tally("unlock", "--passphrase-file", passphrase, "--json").value["node"] is True
    shutil.rmtree(os.environ["XDG_RUNTIME_DIR"] + "/tallystick")
    assert tally("offer", "roast", "2").code == 0
    assert tally("lock").code == 0
    assert tally("offer", "roast", "1").code == 4
    assert len(tally("offers", "--json").value) == 2

    own = tally("accept", tally("offers", "--json").value[0]["offer"], "--dry-run", "--json")
    assert (own.code, own.value["reason"]) == (1, "own-offer")
    missing = tally("show", "abcdef", "--json")
    assert (missing.code, missing.error["code"]) == (3, "not-found")


def test_node_seals_when_asked_and_stops_when_told(node: Running, tally: Caller, passphrase: Path) -> None:
    """`seal` makes the block now; Ctrl-C ends the node in order, and then the store is free."""
    tally("unlock", "--passphrase-file", passphrase)
    tally("offer", "roast", "3")
    assert tally("seal", "--json").code == 0
    assert tally("status", "--json").value["pending"] == 0
    assert [row["status"] for row in tally("log", "--json").value] == ["sealed", "sealed"]
    assert node.stop() == 0
    assert tally("status", "--json").value["node_running"] is False
    assert tally("verify", "--json").value["ok"] is True


def test_care_is_taken_while_the_node_runs(node: Running, tally: Caller) -> None:
    """A second node is refused: exit 6. The ledger is verified all the same, and the doctor works."""
    called = tally("node", "--json")
    assert (called.code, called.error["code"]) == (6, "node-running")
    report = tally("verify", "--full", "--json").value
    assert (report["ok"], report["blocks"], report["problems"]) == (True, tally("status", "--json").value["height"], [])
    rows = {row["name"]: row for row in tally("doctor", "--json").value}
    assert rows["node"]["ok"]
    assert "the node runs" in rows["node"]["what"]


@pytest.mark.parametrize(
    ("option", "address", "word"),
    [
        ("--listen", "4001", "expected /ip4/"),
        ("--listen", "/ip4/127.0.0.1/tcp/99999", "the port"),
        ("--listen", "/dns4/localhost/tcp/1", "expected /ip4/"),
        ("--peer", "/ip4/127.0.0.1/tcp/4001", "/p2p/"),
        ("--peer", "nonsense", "/p2p/"),
    ],
)
def test_address_that_is_none_is_said_at_once(place: Path, tally: Caller, option: str, address: str, word: str) -> None:
    """Exit 2, before anything is opened: no network could mend it."""
    called = tally("node", option, address, "--json")
    assert (called.code, called.error["code"]) == (2, "bad-address")
    assert word in called.error["message"]
    assert called.error["hint"]


def test_newcomer_joins_with_a_ticket(node: Running, tally: Caller, passphrase: Path, home: Path) -> None:
    """Invite, read the charter, agree, and be seen by the inviter; a ticket works once."""
    tally("unlock", "--passphrase-file", passphrase)
    ticket = tally("invite", "--json").value["ticket"]
    bo = home / "bo"
    made = tally("--home", bo, "init", "--name", "Bo", "--passphrase-file", passphrase, "--json")
    assert made.code == 0
    shutil.copy(home / "tally" / "config.toml", bo)

    declined = process("--home", bo, "join", ticket, "--json")
    assert (declined.code, declined.error["code"]) == (2, "not-a-terminal")
    trial = process("--home", bo, "join", ticket, "--dry-run", "--json").value
    assert (trial["name"], trial["standing"]) == ("Riverside Cafe", "partner")
    assert trial.keys() >= set(TRIAL)

    environment = {"TALLY_PASSPHRASE_FILE": str(passphrase)}
    joined = process("--home", bo, "join", ticket, "--yes", "--json", **environment)
    assert joined.code == 0, joined.err
    assert (joined.value["kind"], joined.value["status"]) == ("join", "pending")
    assert joined.value.keys() >= set(OUTCOME)
    assert process("--home", bo, "points").out == "the ledger is not here yet: `tally node` fetches it from a partner\n"
    rows = {row["name"]: row for row in tally("partners", "--json").value}
    assert rows["Bo"]["status"] == "applicant"
    assert rows["Bo"]["partner"] == joined.value["entry"]
    assert rows["Bo"]["fingerprint"] == joined.value["fingerprint"] == made.value["fingerprint"]

    unasked = tally("admit", "Bo", "--json")
    assert (unasked.code, unasked.error["code"]) == (2, "not-a-terminal")
    assert "--yes" in unasked.error["message"]
    admitted = tally("admit", "Bo", "--yes")
    assert admitted.code == 0, admitted.err
    assert f"sees these six words: {made.value['fingerprint']}" in admitted.err
    assert admitted.out.startswith("you vouch for the newcomer (entry ")
    agreed = tally("admit", "Bo", "--sealer", "--yes")
    assert agreed.out.startswith(f"you agree that Bo ({joined.value['entry'][:8]}) seals (entry ")
    assert {row["name"]: row["status"] for row in tally("partners", "--json").value} == {
        "Ana": "active",
        "Bo": "active",
    }

    again = process("--home", bo, "join", ticket, "--yes", "--json", **environment)
    assert (again.code, again.error["code"]) == (2, "home-exists")
    assert "asks again with new keys" in again.error["hint"]


def test_ticket_that_leads_nowhere(node: Running, tally: Caller, passphrase: Path, home: Path) -> None:
    """Damaged: exit 7, before anybody is asked. Nobody there: exit 5, and nothing is left behind."""
    tally("unlock", "--passphrase-file", passphrase)
    ticket = tally("invite", "--json").value["ticket"]
    bo = home / "bo"
    tally("--home", bo, "init", "--name", "Bo", "--passphrase-file", passphrase)
    shutil.copy(home / "tally" / "config.toml", bo)
    at = len(ticket) // 2
    damaged = ticket[:at] + ("q" if ticket[at] != "q" else "p") + ticket[at + 1 :]
    called = tally("--home", bo, "join", damaged, "--json")
    assert (called.code, called.error["code"]) == (7, "ticket-damaged")
    assert node.stop() == 0
    alone = process("--home", bo, "join", ticket, "--yes", "--json")
    assert (alone.code, alone.error["code"]) == (5, "no-peer")
    # A node that listens on any port has another one after each start.
    assert "with a new ticket" in alone.error["hint"]
    assert tally("--home", bo, "status", "--json").error["code"] == "not-found"
