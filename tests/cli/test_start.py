"""The beginning: keys, recovery words, a ledger."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.cli import ask
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.words import entropy_from_words, recovery_seed
from tallystick.node.home import Home
from tallystick.node.identity import read_identity
from tests.cli.called import OUTCOME, TRIAL, Caller


@pytest.fixture
def place(home: Path) -> Path:
    return home / "tally"


@pytest.fixture
def charter(tally: Caller, home: Path) -> Path:
    file = home / "cafe.toml"
    file.write_text(tally("charter", "template", "cafe").out, encoding="utf-8")
    return file


class Person:
    """Somebody at the keyboard, who answers questions in the order given."""

    def __init__(self, answers: Iterator[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def answer(self, prompt: str, option: str) -> str:
        self.asked.append(prompt)
        return next(self.answers)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    someone = Person(iter(()))
    monkeypatch.setattr(ask, "can_ask", lambda: True)
    monkeypatch.setattr(ask, "text", someone.answer)
    monkeypatch.setattr(ask, "secret", someone.answer)
    return someone


def words_on(sheet: str) -> list[str]:
    """The recovery words on what was printed, in their order."""
    cells = [
        cell.split()
        for line in sheet.splitlines()
        if line.startswith("  ")
        for cell in (line[2:][at : at + 13] for at in range(0, len(line) - 2, 13))
    ]
    return [word for _, word in sorted((int(number), word) for number, word in cells)]


def test_init_makes_keys_and_shows_the_words_once(tally: Caller, place: Path, passphrase: Path, memory: Path) -> None:
    """The words go to stderr, make the recovery key, and are kept nowhere."""
    called = tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    assert called.code == 0
    words = words_on(called.err)
    identity = read_identity(Home.open(place))
    assert identity.name == "Ana"
    recovery = SecretKey.from_seed(recovery_seed(entropy_from_words(" ".join(words))))
    assert recovery.public == identity.recovery
    assert called.out.startswith(f"Ana is ready: the keys are in {place}\nyour six words: ")
    assert " ".join(words[:3]) not in called.out
    kept = b"".join(file.read_bytes() for file in [*place.rglob("*"), *memory.rglob("*")] if file.is_file())
    assert words[0].encode() + b" " + words[1].encode() not in kept


def test_init_leaves_the_key_for_this_session(tally: Caller, charter: Path, passphrase: Path) -> None:
    """Right after it a ledger is founded and work is offered without a passphrase; `lock` ends that."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    assert tally("found", charter, "--yes").code == 0
    assert tally("offer", "roast", "3").code == 0
    tally("lock")
    assert tally("offer", "roast", "3").code == 4


def test_init_for_programs(tally: Caller, place: Path, passphrase: Path, home: Path) -> None:
    """One JSON value; the words in a file for the owner alone, which then counts as written down."""
    sheet = home / "words"
    called = tally("init", "--name", "Ana", "--passphrase-file", passphrase, "--words-file", sheet, "--json")
    identity = read_identity(Home.open(place))
    assert called.value["home"] == str(place)
    assert called.value["device"] == identity.device.hex()
    assert called.value["words_confirmed"] is True
    assert len(called.value["fingerprint"].split()) == 6
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    entropy = entropy_from_words(sheet.read_text(encoding="utf-8"))
    assert SecretKey.from_seed(recovery_seed(entropy)).public == identity.recovery
    assert all(word not in called.err.split() for word in sheet.read_text(encoding="utf-8").split()[:3])


def test_init_overwrites_nothing(tally: Caller, place: Path, passphrase: Path, home: Path) -> None:
    """Neither a file for the words, before anything is made, nor keys."""
    sheet = home / "words"
    sheet.write_text("mine", encoding="utf-8")
    line = ["init", "--name", "Ana", "--passphrase-file", passphrase]
    refused = tally(*line, "--words-file", sheet, "--json")
    assert (refused.code, refused.error["code"]) == (2, "file-exists")
    assert not place.exists()
    assert tally(*line).code == 0
    again = tally(*line, "--json")
    assert (again.code, again.error["code"]) == (2, "home-exists")
    assert sheet.read_text(encoding="utf-8") == "mine"


def test_init_that_failed_can_be_repeated(tally: Caller, place: Path, passphrase: Path) -> None:
    """An unusable passphrase leaves no half a home in the way."""
    passphrase.write_text("x" * 2000, encoding="utf-8")
    refused = tally("init", "--name", "Ana", "--passphrase-file", passphrase, "--json")
    assert (refused.code, refused.error["code"]) == (2, "passphrase-unusable")
    passphrase.write_text("better", encoding="utf-8")
    assert tally("init", "--name", "Ana", "--passphrase-file", passphrase).code == 0


@pytest.mark.parametrize("name", ["", " ", "a\x1bb", "x" * 65, "\u202eana"])
def test_name_that_would_deceive_is_refused(tally: Caller, place: Path, name: str, passphrase: Path) -> None:
    """Before anything is made."""
    called = tally("init", "--name", name, "--passphrase-file", passphrase, "--json")
    assert (called.code, called.error["code"]) == (2, "name-unusable")
    assert not place.exists()


def test_init_tried_out_makes_nothing(tally: Caller, place: Path) -> None:
    """`--dry-run` needs no passphrase."""
    assert "nothing was made" in tally("init", "--name", "Ana", "--dry-run").out
    assert not place.exists()


def test_person_types_the_passphrase_twice(tally: Caller, person: Person, place: Path) -> None:
    """Two that differ are asked for again, three times in all; then nothing is made."""
    person.answers = iter("abcdef")
    called = tally("init", "--name", "Ana", "--json")
    assert (called.code, called.error["code"]) == (2, "passphrases-differ")
    assert not place.exists()
    person.answers = iter(["one", "two", "abc", "abc", "later"])
    called = tally("init", "--name", "Ana")
    assert called.code == 0
    assert "once more" in called.err
    assert "this passphrase has 3 characters" in called.err


def test_person_gives_two_words_back(
    tally: Caller, person: Person, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two at random; only then does `status` stop to remind."""

    def answers() -> Iterator[str]:
        yield from ("same", "same")
        words = words_on(capsys.readouterr().err)
        while True:
            yield words[int(person.asked[-1].split()[1]) - 1]

    person.answers = answers()
    assert tally("init", "--name", "Ana").code == 0
    assert len(person.asked) == 4
    assert read_identity(Home.open(place)).words_confirmed


@pytest.mark.parametrize("answer", ["later", "nonsense"])
def test_words_that_are_not_given_back_are_asked_for_later(
    tally: Caller, person: Person, place: Path, answer: str
) -> None:
    """The keys are made all the same; three wrong answers count as later."""
    person.answers = iter(["same", "same", *[answer] * 3])
    called = tally("init", "--name", "Ana")
    assert called.code == 0
    assert "tally init --confirm-words" in called.err
    assert not read_identity(Home.open(place)).words_confirmed


def test_words_are_confirmed_later(tally: Caller, place: Path, passphrase: Path, charter: Path, home: Path) -> None:
    """`status` reminds until all of them were typed in, those of another home do not count."""
    words = words_on(tally("init", "--name", "Ana", "--passphrase-file", passphrase).err)
    tally("found", charter, "--yes")
    assert "recovery words: not confirmed" in tally("status").out
    sheet = home / "sheet"
    sheet.write_text(" ".join(words[:23]), encoding="utf-8")
    assert tally("init", "--confirm-words", "--words-file", sheet, "--json").error["code"] == "words-count"
    sheet.write_text("abandon " * 23 + "art", encoding="utf-8")
    other = tally("init", "--confirm-words", "--words-file", sheet, "--json")
    assert (other.code, other.error["code"]) == (2, "other-words")
    sheet.write_text(" ".join(words).upper(), encoding="utf-8")
    assert tally("init", "--confirm-words", "--words-file", sheet).out == "these are the right words\n"
    assert "recovery words" not in tally("status").out


def test_found_starts_a_ledger(tally: Caller, charter: Path, passphrase: Path) -> None:
    """Sealed at once: the founder's vote is a quorum. The answer is that of a write."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    trial = tally("found", charter, "--dry-run", "--json").value
    assert (trial["kind"], trial["status"], trial["reason"]) == ("found", "pending", None)
    assert trial.keys() >= set(TRIAL)
    assert trial["postings"][0]["amount"] == 1_000_000
    assert tally("status").code == 3
    value = tally("found", charter, "--yes", "--json").value
    assert (value["kind"], value["status"], value["height"], value["deal"]) == ("found", "sealed", 1, None)
    assert value.keys() >= set(OUTCOME)
    assert value["warnings"] == trial["warnings"]
    status = tally("status", "--json").value
    assert (status["ledger"], status["height"], status["name"]) == (value["entry"], 1, "Riverside Cafe")


def test_second_ledger_of_a_home_must_be_named_from_then_on(tally: Caller, charter: Path, passphrase: Path) -> None:
    """Whoever founds it is told how, and is warned of rules that may hurt, programs too."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    assert "ledgers are here" not in tally("found", charter, "--yes").err
    second = tally("found", charter, "--yes")
    ledger = second.out.split("ledger ")[1][:8]
    assert f"2 ledgers are here now: name one with --ledger {ledger}, TALLY_LEDGER" in second.err
    assert "another one begins: 1 ledger is in this home already" in second.err
    assert tally("points").code == 3
    assert tally("points", "--ledger", ledger).code == 0
    charter.write_text(charter.read_text(encoding="utf-8").replace("sponsors     = 3", "sponsors     = 1"))
    (warning,) = (
        each
        for each in tally("found", charter, "--dry-run", "--json").value["warnings"]
        if each.startswith("membership.sponsors: ")
    )
    assert warning in tally("found", charter, "--dry-run").err


def test_trial_of_a_founding_has_the_start_points(tally: Caller, charter: Path, passphrase: Path) -> None:
    """What would move is what moves: the pool, and what the founder gets to begin with."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    trial = tally("found", charter, "--dry-run", "--json").value["postings"]
    assert "20 points: pool -> partner/founder by points.start" in tally("found", charter, "--dry-run").out
    ledger = tally("found", charter, "--yes", "--json").value["entry"]
    shown = tally("show", ledger, "--json").value["postings"]
    assert [(row["from"], row["amount"], row["rule"], row["formula"]) for row in trial] == [
        (row["counter_account"], row["amount"], row["rule"], row["formula"]) for row in shown
    ]


def test_found_asks_for_the_date(tally: Caller, charter: Path, passphrase: Path) -> None:
    """With nobody to answer, `--yes` is named."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    called = tally("found", charter, "--json")
    assert (called.code, called.error["code"]) == (2, "not-a-terminal")
    assert "--yes" in called.error["message"]
    assert tally("log").code == 3


def test_found_refuses_a_charter_with_errors(tally: Caller, charter: Path, passphrase: Path) -> None:
    """All of them, and nothing is founded."""
    tally("init", "--name", "Ana", "--passphrase-file", passphrase)
    charter.write_text(charter.read_text(encoding="utf-8") + "\nfoo = 1\n[bar]\n", encoding="utf-8")
    called = tally("found", charter, "--yes", "--json")
    assert (called.code, called.error["code"]) == (2, "charter-invalid")
    assert len(called.error["problems"]) >= 2
    assert Home.open(Path(tally("init", "--name", "x", "--dry-run", "--json").value["home"])).ledgers() == ()


def test_found_without_a_home(tally: Caller, charter: Path) -> None:
    """Exit 3, and how to make one."""
    called = tally("found", charter, "--yes", "--json")
    assert (called.code, called.error["code"]) == (3, "no-home")
    assert "tally init" in called.error["hint"]
