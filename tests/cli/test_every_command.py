"""Every command there is, once in a wrong way: the exit code and the error object that programs rely on.

And every command that only looks, once in the right way: one JSON value, and words.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import click
import pytest

from tallystick.cli import app
from tests.cli.called import TRIAL, Caller

NONE: Final = "abcdefabcdef"
#: Command -> (what follows it, exit code, word).
WRONG: Final[dict[str, tuple[str, int, str]]] = {
    "accept": (NONE, 3, "not-found"),
    "admit": ("Zed --yes", 3, "not-found"),
    "approve": (f"{NONE} 0", 2, "usage"),
    "attest": (NONE, 3, "not-found"),
    "audit": ("--since 3d", 2, "usage"),
    "away": ("--until 2020-01-01", 1, "too-late"),
    "back": ("", 1, "state"),
    "blocks": ("--limit x", 2, "usage"),
    "bundle in": ("none.tally", 3, "file-not-found"),
    "bundle out": ("none/none.tally", 3, "file-not-found"),
    "cancel": (NONE, 3, "not-found"),
    "cash": ("gift 5 tips", 2, "usage"),
    "charter check": ("bad.toml", 2, "charter-invalid"),
    "charter diff": ("none.toml", 3, "file-not-found"),
    "charter show": ("--version 9", 3, "not-found"),
    "charter simulate": ("bad.toml", 2, "charter-invalid"),
    "charter template": ("zoo", 2, "usage"),
    "claim": ("dance", 2, "bad-argument"),
    "confirm": (NONE, 3, "not-found"),
    "correct": (NONE, 3, "not-found"),
    "cosign": (NONE, 3, "not-found"),
    "deals": ("--partner Zed", 3, "not-found"),
    "deliver": (f"{NONE} some", 2, "usage"),
    "demo": ("--fast", 2, "usage"),
    "device add": ("--scope most", 2, "usage"),
    "device list": ("--partner Zed", 3, "not-found"),
    "device retire": ("now", 2, "usage"),
    "device revoke": (NONE, 3, "not-found"),
    "dispute": (NONE, 3, "not-found"),
    "doctor": ("--please", 2, "usage"),
    "donate": ("0", 2, "usage"),
    "endorse": (NONE, 3, "not-found"),
    "erase": (NONE, 3, "not-found"),
    "evidence": (NONE, 3, "not-found"),
    "explain": (NONE, 3, "not-found"),
    "export": ("pdf here", 2, "usage"),
    "fork": ("--make", 2, "usage"),
    "found": ("none.toml", 3, "file-not-found"),
    "inbox": ("Zed", 2, "usage"),
    "init": ("--name Ana", 2, "home-exists"),
    "invite": ("--as king", 2, "usage"),
    "join": ("hello", 7, "ticket-damaged"),
    "leave": ("--yes", 1, "last-partner"),
    "lock": ("now", 2, "usage"),
    "log": ("--limit 0", 2, "usage"),
    "market": ("dance", 3, "not-found"),
    "node": ("--listen nowhere", 2, "bad-address"),
    "offer": ("dance 3", 2, "bad-argument"),
    "offers": ("--partner Zed", 3, "not-found"),
    "paid": ("Zed 5", 3, "not-found"),
    "partners": ("Ana", 2, "usage"),
    "peers": ("here", 2, "usage"),
    "points": ("Zed", 3, "not-found"),
    "proof check": ("none.json", 3, "file-not-found"),
    "proposals": ("--mine", 2, "usage"),
    "propose amend": ("bad.toml", 2, "charter-invalid"),
    "propose dividend": ("0", 2, "usage"),
    "propose erase": (NONE, 3, "not-found"),
    "propose expel": ("Zed", 3, "not-found"),
    "propose ratify": ("", 1, "state"),
    "propose recover": (NONE, 3, "not-found"),
    "propose reinstate": ("Ana", 1, "state"),
    "propose release": (NONE, 3, "not-found"),
    "propose revoke": (NONE, 3, "not-found"),
    "propose role": ("Ana king", 1, "role"),
    "propose rules": ("1", 1, "already-done"),
    "propose sale": ("5 --costs 6", 2, "malformed"),
    "propose suspend": ("Zed", 3, "not-found"),
    "propose text": ("", 2, "missing"),
    "prove points": ("Zed", 3, "not-found"),
    "re-found": ("--now", 2, "usage"),
    "receipt": (NONE, 3, "not-found"),
    "received": ("5", 1, "balance"),
    "recover approve": (NONE, 3, "not-found"),
    "recover change": ("--words-file none --new-words-file new", 3, "file-not-found"),
    "recover request": ("hello", 7, "ticket-damaged"),
    "recover status": ("now", 2, "usage"),
    "recover ticket": ("Zed", 3, "not-found"),
    "recover words": ("hello", 7, "ticket-damaged"),
    "refuse": ("Zed", 3, "not-found"),
    "rehearse": ("none.toml", 3, "file-not-found"),
    "reject": (NONE, 2, "missing"),
    "report": ("--counted EUR", 2, "usage"),
    "return": (NONE, 2, "missing"),
    "seal": ("--accept-loss", 2, "usage"),
    "sealer": ("maybe", 2, "usage"),
    "settlement": ("--at x", 2, "usage"),
    "show": (NONE, 3, "not-found"),
    "statement": ("Ana --year soon", 2, "usage"),
    "status": ("now", 2, "usage"),
    "subscribe": ("none 1", 2, "bad-argument"),
    "sync": ("nowhere", 2, "bad-address"),
    "transfer": ("Ana 5", 1, "not-allowed"),
    "uninvite": (NONE, 3, "not-found"),
    "unlock": ("--passphrase-file none", 3, "file-not-found"),
    "use-voucher": ("5", 1, "balance"),
    "verdict": (f"{NONE} --grade 300", 2, "usage"),
    "verify": ("all", 2, "usage"),
    "vote": (f"{NONE} maybe", 2, "usage"),
    "withdraw": (NONE, 3, "not-found"),
}
#: Writes that a founder alone can try out on a new ledger.
TRIALS: Final = (
    "away --until 3d",
    "cash income 5 tips",
    "cash expense 5 milk --note text",
    "donate 5 --purpose oven",
    "found other.toml",
    "invite",
    "invite --as observer --uses 3 --expires 2d",
    "offer roast 3 --deadline 10d --copies 2 --expires 5d --note text",
    "offer roast 3 --buy",
    "offer --open Painting 40 --payer buyer",
    "propose amend other.toml --text dearer",
    "propose dividend 5",
    "propose role Ana treasurer --take",
    "propose sale 100 --costs 5 --percent 50",
    "propose text hello",
    "report --counted CNY=5",
    "sealer off",
    "subscribe founders 1",
)
LOOKS: Final = (
    *("audit", "blocks", "charter check other.toml --partners 3", "charter diff other.toml", "charter show"),
    *("charter simulate other.toml", "charter template cafe", "deals --open", "device list", "doctor", "explain Ana"),
    *("fork", "inbox", "log --limit 3", "market roast", "offers --all", "partners", "peers", "points Ana"),
    *("proposals", "recover status", "settlement --at 100 --costs 5 --percent 50", "statement Ana --year 2020"),
    *("status", "verify --full"),
)
#: What else touches the home, as far as it comes with settings that are wrong.
TOUCHING: Final = (
    *("lock", "unlock", "seal", "seal --unmute --yes", "sync", "node", "bundle out out.tally", "bundle in bad.toml"),
    *("prove points Ana", "export csv out", "evidence abcdef", "device add", "device add --offline", "leave --yes"),
    *("recover ticket Ana", "found other.toml --yes", "show abcdef", "deals", "offers", "log", "re-found --dry-run"),
)


@pytest.fixture
def cafe(tally: Caller, founded: Path, home: Path, passphrase: Path, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """`tally` in Ana's home, where she has founded a cafe alone, with some files at hand."""
    shutil.copytree(founded, home / "tally", dirs_exist_ok=True)
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.chdir(home)
    Path("bad.toml").write_text("charter = 2\n", encoding="utf-8")
    text = tally("charter", "template", "cafe").out
    Path("other.toml").write_text(text.replace("Riverside", "Lakeside"), encoding="utf-8")
    return tally


def commands() -> set[str]:
    """Every command that does something, by its words."""
    found: set[str] = set()

    def walk(command: click.Command, path: str) -> None:
        children = getattr(command, "commands", {})
        # A group that does something by itself, as `tally propose` would, has parameters of its own.
        if not children:
            found.add(path)
        for name, child in children.items():
            walk(child, f"{path} {name}")

    for names in app.SECTIONS.values():
        for name in names:
            command = app.find_command(name)
            assert command is not None
            walk(command, name)
    return found


def test_every_command_has_a_wrong_use() -> None:
    """A new command is tried out, too."""
    assert commands() - WRONG.keys() == set()


def test_wrong_uses_have_their_exit_codes(cafe: Caller) -> None:
    """Nothing on stdout; on stderr one object with a word, a sentence and a hint."""
    found: dict[str, tuple[str, int, str]] = {}
    # Opening the key by the passphrase takes longer than all the rest.
    assert cafe("unlock").code == 0
    there = commands()
    wanted = {command: row for command, row in WRONG.items() if command in there}
    for command, (line, _, _) in wanted.items():
        called = cafe(*command.split(), *line.split(), "--json")
        assert called.out == ""
        assert called.error.keys() >= {"code", "message", "hint"}
        assert called.error["message"]
        found[command] = (line, called.code, called.error["code"])
    assert found == wanted


def test_writes_can_be_tried_out(cafe: Caller) -> None:
    """They say what the entry would do, and nothing is signed."""
    before = cafe("log", "--json").value
    for line in TRIALS:
        trial = cafe(*line.split(), "--dry-run", "--json")
        assert (trial.code, trial.value["status"]) == (0, "pending"), (line, trial.err)
        assert trial.value.keys() >= set(TRIAL), line
        assert cafe(*line.split(), "--dry-run").out.startswith("nothing was signed"), line
    assert cafe("log", "--json").value == before


def test_looks_answer_programs_and_people(cafe: Caller) -> None:
    """One JSON value; and for people words, which are none."""
    for line in LOOKS:
        called = cafe(*line.split(), "--json")
        assert (called.code, called.value is not None) == (0, True), (line, called.err)
        words = cafe(*line.split())
        assert (words.code, bool(words.out.strip())) == (0, True), line
        with pytest.raises(json.JSONDecodeError):
            json.loads(words.out)


#: What works whatever the settings say: it is about no ledger of the home, or mends it, or makes it safe.
WITHOUT_SETTINGS: Final = frozenset({"charter check", "charter template", "doctor", "lock", "proof check"})


def test_settings_with_a_fault_are_told_by_every_command(cafe: Caller, home: Path) -> None:
    """The same word and exit code everywhere: a setting that is passed over in silence is a fault that nobody finds."""
    (home / "tally" / "config.toml").write_text("lisen = []\n", encoding="utf-8")
    for line in (*LOOKS, *(f"{each} --dry-run" for each in TRIALS), *TOUCHING):
        called = cafe(*line.split(), "--json")
        if " ".join(line.split()[:2]) in WITHOUT_SETTINGS or line.split()[0] in WITHOUT_SETTINGS:
            assert called.code != 2, line
        else:
            assert (called.code, called.error["code"]) == (2, "config-invalid"), line
            assert "'lisen' is unknown" in called.error["message"], line
