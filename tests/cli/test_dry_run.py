"""`--dry-run` of every command there is: it says what would be, or refuses; nothing is done in any case."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from tallystick.cli.app import find_command
from tallystick.cli.command import LOOKS, TRIES, Command
from tests.cli.called import Caller
from tests.cli.test_every_command import WRONG, cafe, commands

__all__ = ["cafe"]

#: Command -> what follows it, for those that would do something here. Of the others their wrong use is tried.
LINES: Final[dict[str, str]] = {
    "away": "--until 3d",
    "bundle in": "there.tally",
    "bundle out": "new.tally",
    "demo": "",
    "device add": "",
    "device retire": "",
    "donate": "5",
    "export": "csv out",
    "found": "other.toml",
    "init": "--home new --name Bo --words-file words",
    "invite": "",
    "lock": "",
    "node": "",
    "offer": "roast 3",
    "propose text": "hello",
    "re-found": "anew.json",
    "recover request": "hello",
    "recover words": "hello",
    "report": "",
    "seal": "",
    "sealer": "off",
    "sync": "",
    "unlock": "",
}


def _named(name: str) -> Command:
    found: click.Command | None = None
    for word in name.split():
        found = find_command(word) if found is None else getattr(found, "commands", {})[word]
    assert isinstance(found, Command), name
    return found


def _files(*places: Path) -> dict[Path, bytes]:
    """Every file but those of the database, which writes its own log whenever it is opened."""
    files = (path for place in places for path in place.rglob("*") if "db" not in path.parts)
    return {path: path.read_bytes() if path.is_file() else b"" for path in files}


def test_every_command_says_what_it_does_with_it() -> None:
    """It looks, or it tries out, or it has a sentence why neither is possible."""
    for name in commands():
        dry = _named(name).dry
        assert dry in (LOOKS, TRIES) or " " in dry, name


def test_no_command_does_anything(cafe: Caller, home: Path, memory: Path) -> None:
    """No file is written, changed or removed, the key stays unlocked, and the ledger has what it had."""
    assert cafe("unlock").code == 0
    assert cafe("bundle", "out", "there.tally").code == 0
    log = cafe("log", "--json").value
    for name in sorted(commands()):
        before = _files(home, memory)
        line = LINES.get(name, WRONG[name][0])
        called = cafe(*name.split(), *line.split(), "--dry-run", "--json")
        assert _files(home, memory) == before, name
        dry = _named(name).dry
        if dry not in (LOOKS, TRIES):
            assert (called.code, called.error["code"]) == (2, "no-dry-run"), name
        elif name in LINES:
            assert called.code == (2 if name == "device add" else 0), (name, called)
    assert cafe("log", "--json").value == log


def test_export_names_its_files(cafe: Caller, home: Path) -> None:
    """Those that it would write; and says that one is there already."""
    called = cafe("export", "csv", "out", "--dry-run")
    assert called.out.startswith("nothing was written; these files would be, in out")
    assert not (home / "out").exists()
    written = cafe("export", "csv", "out", "--json").value["files"]
    assert all(name in called.out for name in written)
    assert cafe("export", "csv", "out", "--dry-run", "--json").error["code"] == "file-exists"


def test_seal_asks_nobody(cafe: Caller) -> None:
    """It says what a block would hold, and that nothing was asked for."""
    assert cafe("seal", "--dry-run").out.startswith("nothing was asked for\n")


def test_founding_anew_that_cannot_be_joined_is_no_success(cafe: Caller) -> None:
    """A ledger that nobody has founded anew: void, exit 1, and no entry."""
    called = cafe("re-found", "--dry-run")
    assert (called.code, called.out.splitlines()[0]) == (1, "nothing was signed")
    assert "would be void: not-found" in called.out
    assert cafe("re-found", "--dry-run", "--json").value["status"] == "void"
