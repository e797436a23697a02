"""The signing key between two commands: where it may lie, how long, and what takes it away."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from tallystick.cli import keys
from tallystick.cli.options import Options
from tallystick.crypto.keys import SecretKey
from tallystick.node.errors import NodeError
from tallystick.node.home import Home
from tallystick.node.identity import unseal_device_key
from tests.cli.called import PASSPHRASE, Caller

IDLE_MS = 900_000


@pytest.fixture
def place(ana: Caller, home: Path) -> Home:
    return Home.open(home / "tally")


@pytest.fixture
def key(place: Home) -> SecretKey:
    return unseal_device_key(place, PASSPHRASE)


def only_file(memory: Path) -> Path:
    (file,) = (memory / "tallystick").iterdir()
    return file


def test_key_is_kept_for_its_owner_alone(place: Home, key: SecretKey, memory: Path) -> None:
    """Folder 0700, file 0600, and the next command finds it."""
    assert keys.keep_key(place, key, IDLE_MS)
    assert stat.S_IMODE((memory / "tallystick").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(memory).stat().st_mode) == 0o600
    held = keys.held_key(place)
    assert held is not None
    assert held.seed == key.seed


def test_use_prolongs_and_idleness_ends(place: Home, key: SecretKey, memory: Path) -> None:
    """What counts is the time since the last use; what is over is removed."""
    keys.keep_key(place, key, IDLE_MS)
    file = only_file(memory)
    almost = time.time() - IDLE_MS / 1000 + 30
    os.utime(file, (almost, almost))
    assert keys.held_key(place) is not None
    assert file.stat().st_mtime > almost + 60
    over = time.time() - IDLE_MS / 1000 - 1
    os.utime(file, (over, over))
    assert keys.held_key(place) is None
    assert not file.exists()


def test_keys_of_homes_that_are_gone_are_swept_away(place: Home, key: SecretKey, memory: Path) -> None:
    """Whoever keeps a key removes those that nobody will look at again, and leaves the others."""
    keys.keep_key(place, key, IDLE_MS)
    data = only_file(memory).read_bytes()
    old, young = memory / "tallystick" / "old.key", memory / "tallystick" / "young.key"
    for file in (old, young):
        file.write_bytes(data)
    over = time.time() - IDLE_MS / 1000 - 1
    os.utime(old, (over, over))
    keys.keep_key(place, key, IDLE_MS)
    assert not old.exists()
    assert young.exists()


def test_clock_that_was_set_back_ends_it_too(place: Home, key: SecretKey, memory: Path) -> None:
    """Else the key would stay for as long as the clock was wrong."""
    keys.keep_key(place, key, IDLE_MS)
    ahead = time.time() + 3600
    os.utime(only_file(memory), (ahead, ahead))
    assert keys.held_key(place) is None


@pytest.mark.parametrize("damage", ["open to others", "too long", "too short", "a link", "another key"])
def test_file_that_is_not_as_it_was_left_is_not_used(
    place: Home, key: SecretKey, memory: Path, damage: str, tmp_path: Path
) -> None:
    """Whatever is wrong with it, the passphrase is asked for instead."""
    keys.keep_key(place, key, IDLE_MS)
    file = only_file(memory)
    data = file.read_bytes()
    if damage == "open to others":
        file.chmod(0o640)
    elif damage == "a link":
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_bytes({"too long": data + b"x", "too short": data[:-1], "another key": data[:8] + bytes(32)}[damage])
    assert keys.held_key(place) is None


def test_folder_of_somebody_else_is_not_used(place: Home, key: SecretKey, memory: Path) -> None:
    """A place for everybody's files may hold a folder of our name that is open to others."""
    (memory / "tallystick").mkdir(mode=0o755)
    assert not keys.keep_key(place, key, IDLE_MS)
    assert keys.held_key(place) is None


def test_nothing_is_written_to_a_disk(place: Home, key: SecretKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no folder lies in memory the key is not kept."""
    monkeypatch.setattr("tallystick.cli.keys._is_in_memory", lambda folder: False)
    assert not keys.keep_key(place, key, IDLE_MS)


def test_table_of_mounts_says_what_lies_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The innermost mount counts; a blank in its path is written as an escape there."""
    monkeypatch.undo()
    lines = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
        f"23 22 0:21 / {tmp_path} rw,nosuid - tmpfs tmpfs rw",
        f"24 23 8:2 / {tmp_path}/disk rw - ext4 /dev/sdb1 rw",
        f"25 23 0:22 / {tmp_path}/a\\040b rw shared:7 - tmpfs tmpfs rw",
    )
    for name in ("x", "disk", "a b"):
        (tmp_path / name).mkdir()
    real = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, **how: "\n".join(lines) if str(self) == "/proc/self/mountinfo" else real(self, **how),
    )
    verdicts = {name: keys._is_in_memory(tmp_path / name) for name in ("x", "disk", "a b", "missing")}
    assert verdicts == {"x": True, "disk": False, "a b": True, "missing": False}


def test_lock_takes_it_away(place: Home, key: SecretKey, memory: Path, ana: Caller) -> None:
    """At once, and twice does no harm."""
    keys.keep_key(place, key, IDLE_MS)
    assert ana("lock").out == "locked\n"
    assert list((memory / "tallystick").iterdir()) == []
    assert ana("lock", "--json").value == {"unlocked": False}


def test_file_with_the_passphrase_goes_before_a_held_key(
    place: Home, key: SecretKey, passphrase: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a passphrase wants it to count, also when it is wrong."""
    keys.keep_key(place, key, IDLE_MS)
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    assert keys.held_key(place) is None
    assert keys.signing_key(place, Options()).seed == key.seed


def test_settings_may_name_the_file(place: Home, key: SecretKey, passphrase: Path) -> None:
    """For machines without a person."""
    place.write_file("config.toml", f'passphrase-file = "{passphrase}"\n'.encode())
    assert keys.signing_key(place, Options()).seed == key.seed


def test_locked_key_where_nobody_can_be_asked(place: Home, ana: Caller) -> None:
    """Exit 4, and how to unlock it."""
    with pytest.raises(NodeError) as caught:
        keys.signing_key(place, Options())
    assert (caught.value.reason, caught.value.exit_code) == ("key-locked", 4)
    called = ana("offer", "roast", "3", "--json")
    assert (called.code, called.error["code"]) == (4, "key-locked")
    assert "TALLY_PASSPHRASE_FILE" in called.error["hint"]


def test_unlocking_where_nobody_can_be_asked_names_what_is_missing(ana: Caller) -> None:
    """The hint of a locked key would be the very command that was called."""
    called = ana("unlock", "--json")
    assert (called.code, called.error["code"]) == (2, "not-a-terminal")
    assert "--passphrase-file is missing" in called.error["message"]


def test_wrong_passphrase_changes_nothing(ana: Caller, passphrase: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 4, for a write and for `unlock`."""
    passphrase.write_text("not this one\n", encoding="utf-8")
    monkeypatch.setenv("TALLY_PASSPHRASE_FILE", str(passphrase))
    before = ana("log", "--json").value
    for line in (["offer", "roast", "3"], ["unlock"]):
        called = ana(*line, "--json")
        assert (called.code, called.error["code"]) == (4, "wrong-passphrase")
    assert ana("log", "--json").value == before


@pytest.mark.parametrize(
    ("content", "code", "exit_code"),
    [
        (None, "file-not-found", 3),
        (b"", "file-unreadable", 2),
        (b"\nx", "file-unreadable", 2),
        (b"\xff", "file-unreadable", 6),
    ],
)
def test_file_without_a_passphrase(
    ana: Caller, passphrase: Path, content: bytes | None, code: str, exit_code: int
) -> None:
    """The message names the file and never what is in it."""
    if content is None:
        passphrase.unlink()
    else:
        passphrase.write_bytes(content)
    called = ana("unlock", "--passphrase-file", passphrase, "--json")
    assert (called.code, called.error["code"]) == (exit_code, code)
    assert str(passphrase) in called.error["message"]


def test_file_that_others_can_read_is_warned_about(ana: Caller, passphrase: Path) -> None:
    """It works, and says how to close it; `-q` is silent."""
    passphrase.chmod(0o644)
    assert f"chmod 600 '{passphrase}'" in ana("unlock", "--passphrase-file", passphrase).err
    assert ana("-q", "unlock", "--passphrase-file", passphrase).err == ""


def test_unlock_lasts_as_long_as_asked(ana: Caller, passphrase: Path, place: Home) -> None:
    """15 minutes by the settings, another time with --for."""
    assert "15 min" in ana("unlock", "--passphrase-file", passphrase).out
    value = ana("unlock", "--passphrase-file", passphrase, "--for", "2h", "--json").value
    assert value == {"unlocked": True, "idle_ms": 7_200_000, "node": False, "session": True}
    assert keys.held_key(place) is not None
    assert ana("unlock", "--for", "soon", "--passphrase-file", passphrase, "--json").error["code"] == "bad-time"


def test_unlock_where_nothing_can_be_kept(ana: Caller, passphrase: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that it has worked."""
    monkeypatch.setattr("tallystick.cli.keys._is_in_memory", lambda folder: False)
    called = ana("unlock", "--passphrase-file", passphrase, "--json")
    assert (called.code, called.error["code"]) == (4, "key-locked")
