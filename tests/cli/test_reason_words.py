"""What a refusal says where it happens: the sentence of the operation, and hints that can be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.cli.app import command_of
from tests.cli.called import Caller
from tests.cli.test_every_command import cafe

__all__ = ["cafe"]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("settlement --at 0", "tally settlement"),
        ("--home h propose role Bo king", "tally propose role"),
        ("--json charter", "tally charter"),
        ("charter zoo", "tally charter"),
        ("nonsense", "tally"),
        ("", "tally"),
    ],
)
def test_command_is_known_by_its_words(line: str, command: str) -> None:
    """Wherever it stands on the line."""
    assert command_of(line.split()) == command


@pytest.mark.parametrize(
    ("line", "code", "message", "hint"),
    [
        # The operation's own sentence, where a word means another thing elsewhere.
        ("paid Ana 5", "balance", "less than that is owed", "`tally settlement`"),
        ("received 5", "balance", "less than that was paid to you", "`tally settlement`"),
        ("use-voucher 5", "balance", "your vouchers are worth less", "`tally statement"),
        ("propose role Ana barista", "role", "the charter has no role barista", "`tally charter show`"),
        ("offer roast 3 --deadline 2020-01-01", "deadline", "has passed", "lies ahead"),
        ("back", "state", "you are not away", "`tally partners`"),
        ("transfer Ana 5", "not-allowed", "points are given to somebody else", ""),
        ("propose reinstate Ana", "state", "present state of things", "`tally partners`"),
        ("propose rules 1", "already-done", "there would be nothing to decide", "`tally charter show`"),
        ("sealer on", "already-done", "it is so already", "`tally status`"),
        # Where one finds what is meant.
        ("deals --partner Zed", "not-found", "no partner here is 'Zed'", "`tally partners`"),
        ("vote nosuch yes", "not-found", "no proposal here is 'nosuch'", "`tally proposals`"),
        ("accept abcdefabcdef", "not-found", "no offer here is", "`tally offers --all`"),
        ("deliver abcdefabcdef 1", "not-found", "no deal here is", "`tally deals`"),
        ("cash expense 5 milk --from nosuch", "not-found", "no donation here is", "`tally log`"),
        ("explain nobody", "not-found", "no partner, deal or entry here is 'nobody'", "by its name"),
        ("points --ledger ffff", "not-found", "no ledger here begins with 'ffff'", "here: "),
        # Numbers.
        ("settlement --at 0", "usage", "'--at'", "`tally settlement --help`"),
        ("offer roast 99999999999", "usage", "99999999999", "`tally offer --help`"),
        ("donate 12.50", "usage", "minor units such as cents, so 12.50 is 1250", "`tally donate --help`"),
        ("settlement --at 12.50", "usage", "minor units", "`tally settlement --help`"),
        ("deliver abcdefabcdef 1.5", "usage", "units are whole", "`tally deliver --help`"),
        ("deliver abcdefabcdef -1", "usage", "-1 is below zero", "`tally deliver --help`"),
        ("offer --open  5", "usage", "the TITLE of an open offer is empty", ""),
        ("offer roast 0", "usage", "'UNITS': 0 is not between 1 and 1000000000", "`tally offer --help`"),
        ("offer roast x", "usage", "'UNITS': 'x' is no whole number", ""),
        ("log --limit 0", "usage", "0 is not between 1 and", ""),
        ("explain Ana --commodity points", "bad-argument", "--commodity 'points' is not possible: POINT", ""),
        ("sync /ip4/192.0.2.1/tcp/1", "bad-address", "/p2p/", "`tally status` of that node"),
        # The command itself.
        ("propose sale 5 --costs 6", "malformed", "", "`tally propose sale --help`"),
        ("claim dance", "bad-argument", "", ""),
    ],
)
def test_refusal_fits_what_was_asked(cafe: Caller, line: str, code: str, message: str, hint: str) -> None:
    """The word, the sentence, the hint."""
    called = cafe(*line.split(" ") if "  " in line else line.split(), "--json")
    assert called.error["code"] == code
    assert message in called.error["message"]
    assert hint in called.error["hint"]
    for internal in ("Expected", "$.", "COMMAND", "validation", "Traceback"):
        assert internal not in called.err


def test_trial_has_the_same_sentence(cafe: Caller) -> None:
    """That of the operation, and the detail of the rule."""
    trial = cafe("propose", "role", "Ana", "barista", "--dry-run")
    assert "the charter has no such role (the charter has no role barista)" in trial.out


def test_missing_key_names_the_way_back(cafe: Caller) -> None:
    """A file of the home that is gone is no entry of a ledger."""
    Path("tally/node.key").unlink()
    called = cafe("seal", "--json")
    assert (called.code, called.error["code"]) == (3, "not-found")
    assert "`tally recover`" in called.error["hint"]
    assert "`tally log`" not in called.error["hint"]


@pytest.mark.parametrize("text", ["{}", "[]", "null", "not json", '{"type": "points"}', '{"header": 1, "key": []}'])
def test_proof_that_is_none_is_called_so(cafe: Caller, text: str) -> None:
    """Exit 7, and not the part of this program that stumbled over it."""
    Path("proof.json").write_text(text, encoding="utf-8")
    called = cafe("proof", "check", "proof.json", "--json")
    assert (called.code, called.error["code"]) == (7, "proof-refused")
    said = called.error["message"].removeprefix("proof.json proves nothing: ")
    assert said[0].islower()
    for internal in ("'", "argument", "iterable", "NoneType", "Expecting", "indices"):
        assert internal not in said
