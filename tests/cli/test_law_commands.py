"""Commands about the law: the market, the audit, statements, settlements, another charter."""

import shutil
from pathlib import Path

import pytest

from tallystick.cli.toml import to_toml
from tallystick.node.clock import now_ms
from tests.cli.called import Caller


@pytest.fixture
def cafe(tally: Caller, founded: Path, home: Path) -> Caller:
    """`tally` in Ana's home, where she has founded a cafe alone."""
    shutil.copytree(founded, home / "tally", dirs_exist_ok=True)
    return tally


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("market", "roast"),
        ("audit", "budgets in the present period"),
        ("statement Ana --year 2020", "statement of Ana, 2020"),
        ("settlement", "amounts in CNY; the till holds 0.00"),
        ("settlement --at 100000 --costs 500", "a sale at 1000.00"),
    ],
)
def test_answer_in_words_and_for_programs(cafe: Caller, line: str, words: str) -> None:
    """Each says something on a ledger that has just begun, and prints one JSON value where that is asked for."""
    called = cafe(*line.split())
    assert called.code == 0, called.err
    assert words in called.out
    assert cafe(*line.split(), "--json").value


def test_charter_is_compared_and_simulated(cafe: Caller, tmp_path: Path) -> None:
    """The template is the charter in force, and another price is another charter."""
    text = cafe("charter", "template", "cafe").out
    same, other = tmp_path / "same.toml", tmp_path / "other.toml"
    same.write_text(text, encoding="utf-8")
    assert cafe("charter", "diff", same).out == "no rule is different\n"
    assert cafe("charter", "simulate", same, "--json").value["void"] == []
    document = cafe("charter", "show", "--json").value["document"]
    document["name"] = "Another"
    other.write_text(to_toml(document), encoding="utf-8")
    rows = cafe("charter", "diff", other, "--json").value["differences"]
    assert [row["path"] for row in rows] == ["name"]
    assert "Ana" in cafe("charter", "simulate", other).out


def test_a_voter_reads_the_amendment_before_voting(
    cafe: Caller, passphrase: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the id of the proposal: every change, the whole charter, what it would have come to, what one votes on."""
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.chdir(tmp_path)
    document = cafe("charter", "show", "--json").value["document"]
    document["referral"]["percent"] = 50
    Path("new.toml").write_text(to_toml(document), encoding="utf-8")
    trial = cafe("propose", "amend", "new.toml", "--dry-run")
    assert "proposed: change the charter: referral.percent: 5 -> 50" in trial.out
    proposal = cafe("propose", "amend", "new.toml", "--text", "for growth", "--json").value["entry"]
    short = proposal[:8]
    assert cafe("charter", "diff", short).out == cafe("charter", "diff", "new.toml").out
    assert cafe("charter", "simulate", short).out == cafe("charter", "simulate", "new.toml").out
    assert to_toml(document) in cafe("charter", "show", "--proposal", short).out
    shown = cafe("show", short).out
    assert "  referral.percent: 5 -> 50\n" in shown
    assert f"charter diff {short}" in shown
    assert "change the charter: referral.percent: 5 -> 50" in cafe("proposals").out
    assert "change the charter: referral.percent: 5 -> 50" in cafe("inbox").out
    dry = cafe("vote", short, "no", "--dry-run")
    assert "note: you vote no on the proposal of Ana" in dry.out
    assert "note: proposed: change the charter: referral.percent: 5 -> 50" in dry.out
    assert "note: because: for growth" in dry.out
    # A file is meant where there is one, whatever it is called.
    document["referral"]["percent"] = 7
    Path(short).write_text(to_toml(document), encoding="utf-8")
    rows = cafe("charter", "diff", short, "--json").value["differences"]
    assert [row["after"] for row in rows] == [7]
    unknown = cafe("charter", "diff", "abcdef12", "--json")
    assert (unknown.code, unknown.error["code"]) == (3, "not-found")
    assert cafe("charter", "show", "--proposal", short, "--version", "1").code == 2


def test_charter_with_errors_is_no_charter(cafe: Caller, tmp_path: Path) -> None:
    """Exit code 2, and what is wrong; a missing file is 3."""
    bad = tmp_path / "bad.toml"
    bad.write_text("charter = 2", encoding="utf-8")
    for word in ("diff", "simulate"):
        called = cafe("charter", word, bad, "--json")
        assert (called.code, called.error["code"]) == (2, "charter-invalid")
        assert cafe("charter", word, tmp_path / "none.toml").code == 3


def test_settlement_of_nonsense_is_usage(cafe: Caller) -> None:
    """Costs without a price."""
    assert cafe("settlement", "--costs", "5").code == 2
    assert cafe("settlement", "--at", "5", "--percent", "101").code == 2
    assert cafe("statement").code == 2
    assert cafe("statement", "nobody").code == 3


def test_odd_clock_is_told_of_and_refuses_nothing(
    cafe: Caller, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr, also of a dry run and for programs; what is asked for is done."""
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    assert "set the clock" not in cafe("offer", "roast", "1").err
    right = now_ms()
    for later_days, words in ((-1, "but the newest block is"), (20, "20 days after the newest block")):
        now = right + later_days * 86_400_000
        monkeypatch.setattr("tallystick.cli.client.now_ms", lambda now=now: now)
        for line in (["--dry-run"], ["--dry-run", "--json"], ["--json"]):
            called = cafe("offer", "roast", "1", *line)
            assert called.code == 0
            assert words in called.err
            if "--json" in line:
                assert [words in each for each in called.value["warnings"]] == [True]
        assert cafe("offer", "roast", "1", "-q", "--dry-run").err == ""


@pytest.mark.parametrize("trial", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("line", "exit_code", "word"),
    [
        ("propose sale 5 --costs 6", 2, "malformed"),
        ("device revoke abcdef", 3, "not-found"),
        ("propose revoke abcdef", 3, "not-found"),
        ("propose ratify", 1, "state"),
    ],
)
def test_wrong_use_and_refusal_are_told_apart(
    cafe: Caller,
    passphrase: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    exit_code: int,
    word: str,
    trial: list[str],
) -> None:
    """What makes no sense is 2, what is not there 3, and what a rule refuses 1."""
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    called = cafe(*line.split(), *trial, "--json")
    assert called.code == exit_code
    assert word == (called.value["reason"] if called.out else called.error["code"])


def test_offer_far_ahead_says_when_it_can_be_accepted(cafe: Caller) -> None:
    """A deadline is at most a year ahead of the acceptance, which may come later."""

    def remarks(*line: str) -> str:
        value = cafe("offer", "roast", "1", *line, "--dry-run", "--json").value
        assert value["status"] == "pending"
        return " ".join(value["remarks"])

    assert "year" not in remarks("--deadline", "360d")
    assert "nobody can accept it yet" in remarks("--deadline", "380d")
    assert "nobody will be able" in remarks("--deadline", "400d")
    assert "nobody can accept it yet" in remarks("--deadline", "400d", "--expires", "60d")
