"""Founding anew with real homes: the document goes round, and each does the next thing with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli import proof_check
from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.ballot import precommit_payload
from tallystick.protocol.block import read_header_untrusted, sealers_hash
from tests.cli.called import Called, Caller


class Circle:
    """People with a home each, who meet by files only."""

    def __init__(self, tally: Caller, folder: Path) -> None:
        self.call = tally
        self.folder = folder
        self.file = folder / "anew.json"

    def __call__(self, who: str, *args: str | Path) -> Called:
        done = self.call("--home", self.folder / who, "--yes", *args)
        assert done.code == 0, done.err
        return done

    def value(self, who: str, *args: str | Path) -> Any:
        return self(who, "--json", *args).value

    def refused(self, who: str, *args: str | Path) -> tuple[int, str]:
        done = self.call("--home", self.folder / who, "--yes", "--json", *args)
        assert done.code != 0, done.out
        return done.code, done.error["code"]

    def pass_on(self, source: str, *targets: str, ledger: str = "") -> None:
        name = ("--ledger", ledger) if ledger else ()
        for target in targets:
            stick = self.folder / "stick.tally"
            self(source, *name, "bundle", "out", stick)
            self(target, *name, "bundle", "in", stick)
            stick.unlink()

    def start(self, charter: str, *names: str) -> None:
        """The first one founds, and the others become partners."""
        toml = self.folder / "charter.toml"
        toml.write_text(charter, encoding="utf-8")
        for name in names:
            words = self.folder / f"{name}.words"
            self(name, "init", "--name", name, "--words-file", words, "--passphrase-file", self.folder / "passphrase")
        first = names[0]
        self(first, "found", toml)
        for name in names[1:]:
            ticket = self.value(first, "invite")["ticket"]
            stick = self.folder / "ticket.tally"
            self(first, "bundle", "out", stick)
            self(name, "join", ticket, "--bundle", stick)
            stick.unlink()
            self.pass_on(name, first)
            self(first, "admit", name, "--yes")
            self.pass_on(first, *list(names[1 : names.index(name) + 1]))

    def points(self, who: str) -> dict[str, int]:
        return {row["name"]: row["points"] for row in self.value(who, "points")["rows"]}


CHARTER = """
charter = 1
name = "Three"
[points]
pool = 1000
start = 100
[membership]
sponsors = 1
[open]
max = 50
endorse = 1
budget = 1000
"""


@pytest.fixture
def circle(tally: Caller, home: Path, passphrase: Path) -> Circle:
    return Circle(tally, home)


def test_two_of_three_found_it_anew_and_the_third_joins_later(circle: Circle) -> None:
    """Propose, sign, found, join: points, names and history are there, and what was lost is not waited for."""
    circle.start(CHARTER, "ana", "bo", "cy")
    circle("ana", "offer", "--open", "carry it on", "5")
    circle.pass_on("ana", "bo", "cy")
    old = circle.value("ana", "status")["ledger"]
    points = circle.points("ana")
    assert points == {"ana": 100, "bo": 100, "cy": 100}
    # What nobody has sealed is not in it.
    circle("cy", "offer", "--open", "never sealed", "5")

    trial = circle.value("cy", "re-found", circle.file, "--dry-run")
    assert (trial["step"], trial["needed"], trial["partners"], trial["signed"]) == ("propose", 2, 3, [])
    assert not circle.file.exists()
    assert circle.value("cy", "status")["left"] is None
    assert circle.value("cy", "re-found", circle.file)["step"] == "propose"
    assert circle.value("cy", "re-found", circle.file)["step"] == "wait"
    assert "founding the ledger anew" in circle.value("cy", "status")["left"]
    signed = circle.value("bo", "re-found", circle.file)
    assert (signed["step"], {row["name"] for row in signed["signed"]}) == ("sign", {"bo", "cy"})
    founded = circle.value("cy", "re-found", circle.file)
    assert founded["step"] == "found"
    new = founded["new_ledger"]
    assert new != old

    status = circle.value("cy", "status")
    assert (status["ledger"], status["height"]) == (new, founded["height"] + 1)
    assert {row["name"] for row in status["refounded"]["awaited"]} == {"ana", "bo"}
    assert circle.refused("cy", "offer", "--open", "too early", "5") == (1, "too-few-joined")

    joined = circle.value("bo", "re-found", circle.file)
    assert (joined["step"], joined["joined"]) == ("join", True)
    assert circle.refused("bo", "re-found", circle.file) == (1, "already-here")
    circle.pass_on("bo", "cy")
    circle("cy", "offer", "--open", "now", "5")
    circle.pass_on("cy", "bo")
    assert circle.refused("cy", "propose", "expel", "ana") == (1, "not-joined")
    assert circle.points("bo") == points
    assert circle.value("bo", "verify")["ok"]

    circle("ana", "re-found", circle.file)
    circle.pass_on("ana", "cy")
    circle.pass_on("cy", "ana")
    assert circle.points("ana") == points
    assert circle.value("ana", "status")["refounded"]["awaited"] == []
    # The ledger before is still there to be read, and nothing is sealed in it.
    assert circle.value("ana", "--ledger", old, "status")["left"]
    kinds = [row["kind"] for row in circle.value("ana", "log")]
    assert "refound" in kinds and "found" in kinds and kinds.count("rejoin") == 2

    proof = circle.value("ana", "prove", "points", "bo")
    shown = proof_check.check(proof)
    assert shown["refounded"] == {"ledger": old, "height": founded["height"], "signed": 2, "partners": 3}
    file = circle.folder / "proof.json"
    file.write_text(json.dumps(proof), encoding="utf-8")
    assert f"re-founded from {old} at {founded['height']} by 2 of 3" in circle("ana", "proof", "check", file).out
    with pytest.raises(proof_check.BadProof, match="founder's computer"):
        proof_check.check(_sealed_by_a_stranger(proof, founded["height"] + 1))
    for part in ("foundings", "founders", "refounded"):
        broken = json.loads(json.dumps(proof))
        row = broken if part != "founders" else {part: broken[part][0]}
        text = row[part][0]
        row[part][0] = text[:300] + ("0" if text[300] != "0" else "1") + text[301:] if len(text) > 300 else "90"
        with pytest.raises((proof_check.BadProof, ValueError, KeyError, IndexError, TypeError)):
            proof_check.check(broken)


def _sealed_by_a_stranger(proof: dict[str, Any], height: int) -> dict[str, Any]:
    """The proof with another first block after the founding, in which a stranger has put what it likes."""
    forged: dict[str, Any] = json.loads(json.dumps(proof))
    stranger = SecretKey.from_seed(b"s" * 32)
    seat = (bytes(32), stranger.public)
    ledger, key = bytes.fromhex(proof["ledger"]), proof["key"]
    rows = [(key, codec.encode([1_000_000])), ("refounded", bytes.fromhex(proof["refounded"][0]))]
    leaves = [sha256(b"\0\x92" + codec.encode(path) + value).digest() for path, value in rows]
    root = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    named = sealers_hash([seat])
    first = read_header_untrusted(bytes.fromhex(proof["headers"][height - 1]))
    header = replace(
        first,
        sealers_hash=named,
        sealers_next_hash=named,
        state_root=tagged_hash("state", codec.encode([2, root])),
    )
    payload = precommit_payload(ledger, height, 0, header.id())
    vote = stranger.sign(signed_bytes(SignType.PRECOMMIT, ledger, payload))
    forged["headers"][height - 1 :] = [header.encode().hex()]
    seats, votes = ([row for row in proof[part] if row[0] < height] for part in ("sealers", "certificates"))
    forged["sealers"] = [*seats, [height, [[each.hex() for each in seat]]]]
    forged["certificates"] = [*votes, [height, codec.encode([height, 0, header.id(), [[0, vote]]]).hex()]]
    forged |= {
        "refounded": [rows[1][1].hex(), 1, 2, [leaves[0].hex()]],
        "value": rows[0][1].hex(),
        "inclusion": [0, 2, [leaves[1].hex()]],
    }
    return forged


def test_one_of_two_founds_at_once_and_can_do_nothing_alone(circle: Circle) -> None:
    """Half of two is one. Until the other one is back, its points are as safe as before."""
    circle.start(CHARTER, "ana", "bo")
    founded = circle.value("ana", "re-found", circle.file)
    assert founded["step"] == "found"
    assert circle.refused("ana", "propose", "text", "all mine") == (1, "too-few-joined")
    assert circle.refused("ana", "re-found") == (1, "already-done")
    circle("bo", "re-found", circle.file)
    circle.pass_on("bo", "ana")
    circle("ana", "propose", "text", "welcome back")


def test_a_document_that_was_changed_is_worth_nothing(circle: Circle) -> None:
    """Another block, founder or signature; another kind of file; a ledger that is not here."""
    circle.start(CHARTER, "ana", "bo", "cy")
    circle("ana", "re-found", circle.file)
    good = json.loads(circle.file.read_text(encoding="utf-8"))
    for key, value in (
        ("block", "00" * 32),
        ("founder", good["signatures"][0][0][:-2] + "00"),
        ("state_root", "11" * 32),
        ("line", [[good["line"][0][0], good["line"][0][1] + 1]]),
        ("signatures", [[good["signatures"][0][0], "00" * 64]]),
        ("tallystick", "something else"),
        ("line", []),
    ):
        circle.file.write_text(json.dumps(good | {key: value}), encoding="utf-8")
        assert circle.refused("bo", "re-found", circle.file) == (7, "bad-document")
    circle.file.write_text("no json", encoding="utf-8")
    assert circle.refused("bo", "re-found", circle.file) == (7, "bad-document")
    assert circle.value("bo", "status")["left"] is None


def test_whoever_knows_more_or_less_does_not_sign(circle: Circle) -> None:
    """A document about a block that is not here, or not the newest one here."""
    circle.start(CHARTER, "ana", "bo", "cy")
    circle("ana", "offer", "--open", "only ana has it", "5")
    ahead = circle.folder / "ahead.json"
    circle("ana", "re-found", ahead)
    assert circle.refused("bo", "re-found", ahead) == (1, "not-here")
    behind = circle.folder / "behind.json"
    circle("bo", "re-found", behind)
    assert circle.refused("ana", "re-found", behind) == (1, "not-last")


def test_a_newcomer_joins_by_a_bundle(circle: Circle) -> None:
    """Whoever knows neither the ledger before nor the document is told by the bundle whose the first blocks are."""
    circle.start(CHARTER, "ana", "bo")
    assert circle.value("ana", "re-found", circle.file)["step"] == "found"
    circle("bo", "re-found", circle.file)
    circle.pass_on("bo", "ana")
    words, passphrase = circle.folder / "di.words", circle.folder / "passphrase"
    circle("di", "init", "--name", "di", "--words-file", words, "--passphrase-file", passphrase)
    ticket = circle.value("ana", "invite")["ticket"]
    stick = circle.folder / "ticket.tally"
    circle("ana", "bundle", "out", stick, "--full")
    circle("di", "join", ticket, "--bundle", stick)
    circle.pass_on("di", "ana")
    circle("ana", "admit", "di", "--yes")
    circle.pass_on("ana", "di")
    assert circle.value("di", "verify")["ok"]
    assert circle.points("di") == circle.points("ana")


def test_after_a_fork_those_on_both_branches_choose_one(circle: Circle) -> None:
    """A copy of the founder's computer seals another block: bo has one branch, cy the other. Both go on with cy's."""
    circle.start(CHARTER, "ana", "bo", "cy")
    shutil.copytree(circle.folder / "ana", circle.folder / "copy")
    circle("copy", "unlock", "--passphrase-file", circle.folder / "passphrase")
    circle("copy", "offer", "--open", "only on the branch of bo", "7")
    circle("ana", "offer", "--open", "on the branch of cy", "5")
    circle.pass_on("copy", "bo")
    circle.pass_on("ana", "cy")
    circle.pass_on("cy", "bo")
    assert circle.value("bo", "fork")["forked"]
    assert circle.value("bo", "status")["fork"]

    circle("cy", "re-found", circle.file)
    assert circle.refused("bo", "re-found", circle.file) == (1, "other-branch")
    stick = circle.folder / "cy.tally"
    circle("cy", "bundle", "out", stick, "--full")
    assert circle.value("bo", "re-found", circle.file, "--bundle", stick)["step"] == "sign"
    founded = circle.value("cy", "re-found", circle.file)
    assert founded["step"] == "found"

    joined = circle.value("bo", "re-found", circle.file, "--bundle", stick)
    assert (joined["step"], joined["joined"]) == ("join", True)
    circle.pass_on("bo", "cy")
    circle.pass_on("cy", "bo")
    assert circle.value("bo", "status")["block"] == circle.value("cy", "status")["block"]
    assert circle.value("bo", "verify")["ok"]
    # A node of the wrong branch that has no bundle begins with nothing: it fetches, and joins then.
    waiting = circle.value("copy", "re-found", circle.file)
    assert (waiting["step"], waiting["joined"]) == ("join", False)
    circle.pass_on("cy", "copy")
    status = circle.value("copy", "status")
    assert (status["ledger"], status["block"]) == (founded["new_ledger"], circle.value("cy", "status")["block"])
    circle("copy", "re-found")
    circle.pass_on("copy", "cy")
    assert circle.value("cy", "status")["refounded"]["awaited"] == []
