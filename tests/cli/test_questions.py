"""What cannot be taken back is asked about: with what it costs, on a terminal only, and `--yes` answers."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.called import Caller, process
from tests.cli.test_every_command import cafe

__all__ = ["cafe"]


def types(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Somebody sits at the keyboard and answers."""
    monkeypatch.setattr("tallystick.cli.ask.can_ask", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))


def erasable(cafe: Caller) -> str:
    """An entry with words that nobody needs any more."""
    entry = cafe("propose", "text", "a secret of mine", "--json").value["entry"]
    cafe("vote", entry, "yes")
    assert isinstance(entry, str)
    return entry


@pytest.mark.parametrize("line", [["device", "retire"], ["erase"]])
def test_nobody_is_asked_without_a_terminal(cafe: Caller, line: list[str]) -> None:
    """Exit 2, the missing option by its name, and nothing is signed."""
    line = [*line, erasable(cafe)] if line == ["erase"] else line
    before = cafe("log", "--json").value
    called = cafe(*line, "--json")
    assert (called.code, called.error["code"]) == (2, "not-a-terminal")
    assert "--yes" in called.error["message"]
    assert cafe("log", "--json").value == before


def test_no_at_the_question_changes_nothing(cafe: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 130, after what it would have cost."""
    types(monkeypatch, "n")
    called = cafe("device", "retire")
    assert called.code == 130
    for words in ("nobody can sign for you any more", "nothing will ever be sealed", "recovery words", "[y/N]"):
        assert words in called.err, words
    assert [row["kind"] for row in cafe("log", "--json").value] == ["found"]


def test_retired_computer_says_so(cafe: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes, and the status says from then on that nobody can sign; sealed or not."""
    types(monkeypatch, "y")
    assert cafe("device", "retire").code == 0
    assert "this computer is retired" in cafe("status").out
    assert any("you have no other" in each for each in cafe("status", "--json").value["waits"])


def test_words_are_shown_before_they_are_deleted(cafe: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever erases the wrong entry sees it."""
    entry = erasable(cafe)
    types(monkeypatch, "n")
    called = cafe("erase", entry)
    assert (called.code, "'a secret of mine'" in called.err) == (130, True)
    assert cafe("erase", entry, "--yes").code == 0
    assert "a secret of mine" not in cafe("show", entry).out


def test_what_is_refused_is_not_asked_about(cafe: Caller) -> None:
    """The rule answers first: exit 1, with or without a terminal."""
    called = cafe("leave", "--json")
    assert (called.code, called.error["code"]) == (1, "last-partner")
    assert cafe("erase", "abcdefabcdef", "--json").code == 3


def test_trial_says_what_it_costs(cafe: Caller) -> None:
    """The same sentences, for programs too."""
    trial = cafe("device", "retire", "--dry-run", "--json").value
    assert any("nothing will ever be sealed" in each for each in trial["remarks"])
    assert any("--confirm-words" in each for each in trial["remarks"])


def test_words_file_is_tried_before_keys_are_made(tally: Caller, home: Path, passphrase: Path) -> None:
    """A folder that is not there: exit 3, and there is no home that nobody has words for."""
    sheet = home / "none" / "words"
    called = tally("init", "--name", "Ana", "--passphrase-file", passphrase, "--words-file", sheet, "--json")
    assert (called.code, called.error["code"]) == (3, "file-not-found")
    assert not (home / "tally").exists()
    assert called.err.count("\n") == 1, "no words were shown"


def test_words_are_utf8_whatever_the_system_speaks(tally: Caller, home: Path, passphrase: Path) -> None:
    """In the language C Python takes letters for bytes; the ledger keeps what was typed."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TALLY_PASSPHRASE_FILE": str(passphrase)}
    called = process("init", "--name", "Zoë", "--words-file", home / "words", "--json", **plain)
    assert (called.code, called.value["name"]) == (0, "Zoë")
