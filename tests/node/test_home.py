"""The home: made once, for its owner alone, and clear about what is wrong with it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tallystick.node.errors import ConfigError, ExitCode, HomeError, HomeReason, NodeError
from tallystick.node.home import FILE_BYTES_MAX, Home, default_path, write_atomic
from tallystick.node.lock import holder
from tests.support.faults import Child

ANA, BEN = b"\xa1" * 32, b"\xa1" + b"\xbe" * 31


@pytest.fixture
def ours(tmp_path: Path) -> Home:
    """A new home."""
    return Home.create(tmp_path / "a place" / "für 中文")


def refused(error: pytest.ExceptionInfo[HomeError]) -> tuple[str, int]:
    return error.value.reason, error.value.exit_code


def test_new_home_is_for_its_owner_alone(ours: Home) -> None:
    """Folders 0700, files 0600, whatever the umask; it opens at once."""
    ours.write_device_key(b"sealed")
    ours.write_node_key(b"seed")
    modes = {path.name: path.stat().st_mode & 0o777 for path in [ours.path, *ours.path.iterdir()]}
    assert modes == {
        ours.path.name: 0o700, "run": 0o700, "ledgers": 0o700, "device.key": 0o600, "node.key": 0o600,
    }  # fmt: skip
    again = Home.open(ours.path)
    assert (again.read_device_key(), again.read_node_key()) == (b"sealed", b"seed")
    assert again.has_keys()


def test_home_is_named_by_the_environment_or_the_system(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TALLY_HOME` wins; without it the home is in the user's own folder."""
    assert home in default_path().parents
    monkeypatch.setenv("TALLY_HOME", str(home / "here"))
    assert default_path() == home / "here"


def test_home_is_made_only_where_there_is_none(ours: Home, tmp_path: Path) -> None:
    """An existing home is never touched; a folder that is empty, or has settings only, will do."""
    ours.write_device_key(b"sealed")
    with pytest.raises(HomeError) as caught:
        Home.create(ours.path)
    assert refused(caught) == (HomeReason.EXISTS, ExitCode.USAGE)
    assert ours.read_device_key() == b"sealed"
    prepared = tmp_path / "prepared"
    prepared.mkdir(mode=0o755)
    (prepared / "config.toml").write_text("mdns = false\n")
    assert not Home.create(prepared).read_config().mdns
    assert prepared.stat().st_mode & 0o777 == 0o700


def test_missing_home_is_not_found(tmp_path: Path) -> None:
    """Neither a missing folder nor an empty one is a home, and opening makes none."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(HomeError) as caught:
            Home.open(path)
        assert refused(caught) == (HomeReason.NO_HOME, ExitCode.NOT_FOUND)
        assert "init" in caught.value.hint
    assert not (tmp_path / "none").exists()


def test_home_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """A file where the home should be is said, not overwritten."""
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(HomeError):
        Home.create(path)
    with pytest.raises(HomeError):
        Home.create(path / "below")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o701, 0o720])
def test_home_open_to_others_is_refused_with_the_remedy(ours: Home, mode: int) -> None:
    """The hint is the command to run."""
    ours.path.chmod(mode)
    with pytest.raises(HomeError) as caught:
        Home.open(ours.path)
    assert refused(caught) == (HomeReason.UNSAFE, ExitCode.DAMAGED)
    assert caught.value.hint == f"chmod 700 '{ours.path}'"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_key_open_to_others_is_refused(ours: Home, mode: int) -> None:
    """As ssh does: a key that others may read is no key."""
    ours.write_device_key(b"sealed")
    (ours.path / "device.key").chmod(mode)
    with pytest.raises(HomeError) as caught:
        ours.read_device_key()
    assert refused(caught) == (HomeReason.UNSAFE, ExitCode.DAMAGED)
    assert "chmod 600" in caught.value.hint


def test_key_that_is_no_file_is_refused(ours: Home, tmp_path: Path) -> None:
    """Links, folders, missing and huge files are refused, each in words."""
    key = ours.path / "device.key"
    with pytest.raises(HomeError) as caught:
        ours.read_device_key()
    assert refused(caught) == (HomeReason.NOT_FOUND, ExitCode.NOT_FOUND)
    (tmp_path / "elsewhere").write_bytes(b"sealed")
    key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="is a link") as caught:
        ours.read_device_key()
    assert caught.value.reason == HomeReason.UNSAFE
    key.unlink()
    key.mkdir(mode=0o700)
    with pytest.raises(HomeError, match="is no file"):
        ours.read_device_key()
    key.rmdir()
    os.mkfifo(key, 0o600)
    with pytest.raises(HomeError, match="is no file"):
        ours.read_device_key()
    key.unlink()
    ours.write_device_key(bytes(FILE_BYTES_MAX + 1))
    with pytest.raises(HomeError, match="too large"):
        ours.read_device_key()


def test_written_file_is_the_old_or_the_new_one(ours: Home) -> None:
    """What an interrupted writing left behind neither counts nor is in the way; a link is replaced, not followed."""
    ours.write_device_key(b"old")
    (ours.path / "device.key.new").write_bytes(b"half")
    assert ours.read_device_key() == b"old"
    ours.write_device_key(b"new")
    assert ours.read_device_key() == b"new"
    assert not (ours.path / "device.key.new").exists()
    target = ours.path / "target"
    target.write_bytes(b"untouched")
    (ours.path / "link").symlink_to(target)
    write_atomic(ours.path / "link", b"data")
    assert target.read_bytes() == b"untouched"
    assert not (ours.path / "link").is_symlink()


def test_ledger_is_chosen_by_prefix(ours: Home) -> None:
    """The only one needs no name; of several a clear prefix does; anything else is not found or ambiguous."""
    with pytest.raises(HomeError, match="no ledger here yet") as caught:
        ours.choose_ledger()
    assert refused(caught) == (HomeReason.NOT_FOUND, ExitCode.NOT_FOUND)
    ours.create_store(ANA).close()
    assert ours.choose_ledger() == ANA
    ours.create_store(BEN).close()
    (ours.path / "ledgers" / "notes").mkdir()
    assert ours.ledgers() == (ANA, BEN)
    assert ours.choose_ledger("A1BE") == BEN
    for prefix, reason in [(None, "ambiguous"), ("a1", "ambiguous"), ("b", "not-found"), ("../", "not-found")]:
        with pytest.raises(HomeError) as caught:
            ours.choose_ledger(prefix)
        assert refused(caught) == (reason, ExitCode.NOT_FOUND)
    with pytest.raises(HomeError, match="a1a1a1a1, a1bebebe"):
        ours.choose_ledger("a1")


def test_ledger_has_its_store(ours: Home) -> None:
    """A ledger's store is made once and opened afterwards; one that is not here is not found."""
    store = ours.create_store(ANA)
    store.write([(b"Ea", b"1")], sync=True)
    store.close()
    store = ours.open_store(ANA)
    assert store.get(b"Ea") == b"1"
    with pytest.raises(HomeError) as caught:
        ours.open_store(ANA)
    assert refused(caught) == (HomeReason.IN_USE, ExitCode.DAMAGED)
    store.close()
    with pytest.raises(HomeError) as missing:
        ours.open_store(BEN)
    assert refused(missing) == (HomeReason.NOT_FOUND, ExitCode.NOT_FOUND)
    assert ours.ledgers() == (ANA,)


RUN = """
import sys
from pathlib import Path
from tallystick.node.home import Home
lock = Home.open(Path(sys.argv[1])).lock_run()
print("running", flush=True)
sys.stdin.readline()
"""


def test_one_node_a_home(ours: Home) -> None:
    """The second node of a home learns who is first; a killed one leaves no lock behind."""
    child = Child(RUN, ours.path)
    assert child.line() == "running"
    with pytest.raises(HomeError) as caught:
        ours.lock_run()
    assert refused(caught) == (HomeReason.IN_USE, ExitCode.DAMAGED)
    assert caught.value.pid == child.process.pid
    child.kill()
    lock = ours.lock_run()
    assert holder(ours.path / "run") not in (None, child.process.pid)
    lock.release()
    lock.release()


def test_socket_has_a_short_path_in_a_folder_of_ours(
    ours: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home may lie deep; its socket cannot, and then lies where others cannot get at it either."""
    deep = Home.create(tmp_path / ("deep" * 20) / "home")
    assert len(bytes(deep.path)) > 100
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    path = deep.socket_path()
    assert path == Home.open(deep.path).socket_path()
    assert path != Home.create(tmp_path / ("deep" * 20) / "other").socket_path()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    path.unlink()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path.parent.chmod(0o700)
    (taken,) = [tmp_path / path.parent.name]
    taken.mkdir(mode=0o777)
    taken.chmod(0o777)
    with pytest.raises(HomeError) as caught:
        deep.socket_path()
    assert caught.value.reason == HomeReason.UNSAFE


def test_settings_are_read_where_there_are_any(ours: Home) -> None:
    """Without a file the defaults hold; a bad one is an error with its path."""
    assert ours.read_config().mdns
    ours.config_path.write_text("mdns = 3\n")
    with pytest.raises(ConfigError) as caught:
        ours.read_config()
    assert str(ours.config_path) in str(caught.value)
    assert isinstance(caught.value, NodeError)
    assert caught.value.exit_code == ExitCode.USAGE


LIGHT = """
import sys
from pathlib import Path
from tallystick.node.home import Home
home = Home.open(Path(sys.argv[1]))
home.ledgers()
print(sorted({"plyvel", "trio", "libp2p", "tomllib", "platformdirs"} & set(sys.modules)))
store = home.open_store(home.choose_ledger())
print(sorted({"trio", "libp2p", "tomllib"} & set(sys.modules)))
"""


def test_home_is_light(ours: Home) -> None:
    """A command that stays on this machine pays for nothing that it does not need."""
    ours.create_store(ANA).close()
    assert Child(LIGHT, ours.path).lines() == ["[]", "[]"]
