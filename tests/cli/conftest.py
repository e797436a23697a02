"""What the tests of the command line share."""

import shutil
from pathlib import Path

import pytest

from tests.cli.called import PASSPHRASE, Caller, found_ledger


@pytest.fixture
def tally(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path, memory: Path) -> Caller:
    """`tally`, called in this process, with a home of its own and nobody at the keyboard."""
    monkeypatch.setenv("TALLY_HOME", str(home / "tally"))
    monkeypatch.setattr("tallystick.cli.ask.can_ask", lambda: False)
    return Caller(capsys)


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of the one in memory where this session's keys lie."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setattr("tallystick.cli.keys._is_in_memory", lambda place: place == folder)
    return folder


@pytest.fixture
def passphrase(home: Path) -> Path:
    """A file with the passphrase of `ana`'s home."""
    file = home / "passphrase"
    file.write_text(f"{PASSPHRASE}\n", encoding="utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which Ana has founded a cafe; to be copied."""
    return found_ledger(tmp_path_factory.mktemp("founded") / "tally")


@pytest.fixture
def ana(founded: Path, home: Path, tally: Caller) -> Caller:
    """`tally` in a copy of that home, its key locked."""
    shutil.copytree(founded, home / "tally")
    return tally
