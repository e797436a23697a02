"""The home: one folder with this device's keys, its settings and its ledgers.

    config.toml          settings, optional; see `config`
    device.key           the signing key, sealed by a passphrase
    node.key             the node key; unattended, so not sealed
    ledgers/<id>/        one ledger: database, guard, lock, see `store_leveldb`; evidence files, see `blobs`
    run/                 what only a running node needs: its lock and its socket

Folders are for their owner alone (0700), files too (0600), as for any program that keeps keys. What the files mean is
the business of others: a home reads and writes bytes.

Source: docs/spec/storage.md#home
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tallystick.node.errors import HomeError, HomeReason, NodeError, StoreError
from tallystick.node.guard import sync_folder

if TYPE_CHECKING:
    from tallystick.node.blobs import FolderBlobs
    from tallystick.node.config import Config
    from tallystick.node.lock import FolderLock
    from tallystick.node.store_leveldb import LevelStore

LEDGER_ID_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1024 * 1024
"""No file of a home is larger, databases apart."""
_SOCKET_PATH_BYTES_MAX: Final = 100
"""The system allows 104 to 108 bytes, by its kind."""
_OTHERS: Final = 0o077
_IS_POSIX: Final = os.name == "posix"
# Without O_NONBLOCK a pipe in place of a key would be waited for without end.
_READ: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY"))


def default_path() -> Path:
    """Where the home is when nobody says: `TALLY_HOME`, else the place the system has for such things."""
    if named := os.environ.get("TALLY_HOME"):
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("tallystick", appauthor=False)


class Home:
    """A home that exists and is safe to use. Made by `create` or `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- the folder ----------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path) -> Home:
        """Make a home where there is none yet. An empty folder, or one with settings only, may be there.

        Raises HomeError: EXISTS where keys or ledgers are, UNSAFE, READ_ONLY, IO.
        """
        path = path.expanduser().absolute()
        home = cls(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("device.key", "node.key", "ledgers"):
                if os.path.lexists(path / name):
                    raise HomeError(
                        f"{path} is a home already: it has {name}",
                        reason=HomeReason.EXISTS,
                        hint="choose another folder with --home",
                    )
            _check_owner(path, path.stat())
            path.chmod(0o700)
            for name in ("run", "ledgers"):
                (path / name).mkdir(mode=0o700, exist_ok=True)
            sync_folder(path)
        except OSError as error:
            raise _failed(path, error) from error
        return home

    @classmethod
    def open(cls, path: Path) -> Home:
        """Open a home. Raises HomeError: NO_HOME, UNSAFE with the command that mends it, IO."""
        path = path.expanduser().absolute()
        try:
            if not (path / "ledgers").is_dir():
                raise HomeError(
                    f"there is no home in {path}",
                    reason=HomeReason.NO_HOME,
                    hint="`tally init --name NAME` makes one, --home names another",
                )
            info = path.stat()
        except OSError as error:
            raise _failed(path, error) from error
        _check_owner(path, info)
        _check_mode(path, info, "700")
        return cls(path)

    # -- keys and settings ---------------------------------------------------------------------------------------------

    @property
    def config_path(self) -> Path:
        return self.path / "config.toml"

    def read_config(self) -> Config:
        """The settings; the defaults where there is no file. Raises ConfigError, HomeError."""
        from tallystick.node import config

        try:
            text = self.config_path.read_bytes()
        except FileNotFoundError:
            return config.Config()
        except OSError as error:
            raise _failed(self.config_path, error) from error
        return config.read_config(text, str(self.config_path))

    def has_keys(self) -> bool:
        return (self.path / "device.key").exists()

    def read_device_key(self) -> bytes:
        """The sealed signing key, as `write_device_key` was given it. Raises HomeError."""
        return self.read_file("device.key")

    def write_device_key(self, blob: bytes) -> None:
        self.write_file("device.key", blob)

    def read_node_key(self) -> bytes:
        """The seed of the node key. Raises HomeError."""
        return self.read_file("node.key")

    def write_node_key(self, seed: bytes) -> None:
        self.write_file("node.key", seed)

    def read_file(self, name: str) -> bytes:
        """A file of this home that is for its owner alone.

        Raises HomeError: NOT_FOUND; UNSAFE for a link, or a file that others may read; IO.
        """
        path = self.path / name
        try:
            descriptor = os.open(path, _READ)
        except FileNotFoundError as error:
            hint = "put it back from a copy, or come back on a new home: `tally recover`; `tally doctor` says more"
            raise HomeError(f"{path} does not exist", reason=HomeReason.NOT_FOUND, hint=hint) from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise HomeError(
                    f"{path} is a link", reason=HomeReason.UNSAFE, hint="put the file itself there"
                ) from error
            raise _failed(path, error) from error
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise HomeError(f"{path} is no file", reason=HomeReason.UNSAFE)
            _check_owner(path, info)
            _check_mode(path, info, "600")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise _failed(path, error) from error
        finally:
            os.close(descriptor)
        if len(data) > FILE_BYTES_MAX:
            raise HomeError(f"{path} is too large: at most {FILE_BYTES_MAX} bytes", reason=HomeReason.IO)
        return data

    def write_file(self, name: str, data: bytes) -> None:
        """Write a file of this home: the old one or the new one is there at every moment. Raises HomeError."""
        write_atomic(self.path / name, data)

    # -- ledgers -------------------------------------------------------------------------------------------------------

    def ledgers(self) -> tuple[bytes, ...]:
        """The ledgers that are here, by id."""
        try:
            names = sorted(path.name for path in (self.path / "ledgers").iterdir() if path.is_dir())
        except OSError as error:
            raise _failed(self.path / "ledgers", error) from error
        return tuple(bytes.fromhex(name) for name in names if _is_ledger_name(name))

    def choose_ledger(self, prefix: str | None = None) -> bytes:
        """The ledger whose id begins so, or the only one there is.

        Raises HomeError: NOT_FOUND, AMBIGUOUS with the ids to choose from.
        """
        wanted = (prefix or "").strip().lower()
        here = self.ledgers()
        found = [ledger for ledger in here if ledger.hex().startswith(wanted)]
        if len(found) > 1 and not wanted:
            # Whoever names none means the one that goes on.
            found = [ledger for ledger in found if self._follower(ledger) not in here]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(ledger.hex()[:8] for ledger in found[:5])
            raise HomeError(
                f"{len(found)} ledgers{f' begin with {wanted}' if wanted else ' are here'}: {ids}",
                reason=HomeReason.AMBIGUOUS,
                hint="name one with --ledger",
            )
        raise HomeError(
            f"no ledger here begins with {wanted!r}" if wanted else "no ledger here yet",
            reason=HomeReason.NOT_FOUND,
            hint=f"here: {', '.join(ledger.hex()[:8] for ledger in here[:5])}"
            if here
            else "`tally found CHARTER.toml` starts one, `tally join TICKET` joins one",
        )

    def follow(self, ledger: bytes, follower: bytes) -> None:
        """Write down that a ledger was founded anew as another, which is here. Raises HomeError."""
        write_atomic(self.ledger_path(ledger) / "followed-by", follower.hex().encode() + b"\n")

    def _follower(self, ledger: bytes) -> bytes | None:
        """As what a ledger was founded anew, if it was."""
        try:
            return bytes.fromhex((self.ledger_path(ledger) / "followed-by").read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return None

    def ledger_path(self, ledger: bytes) -> Path:
        return self.path / "ledgers" / ledger.hex()

    def create_store(self, ledger: bytes, *, unfinished: bool = False) -> LevelStore:
        """Make the store of a new ledger. Raises HomeError, StoreError as `LevelStore.create` does.

        A folder that was made for it is gone again then: half a ledger would stand in the way of a second try. An
        `unfinished` one counts as a ledger only after `finish_store`: what is killed before leaves none.
        """
        from tallystick.node.store_leveldb import LevelStore

        path = self._unfinished_path(ledger) if unfinished else self.ledger_path(ledger)
        if unfinished and not self.ledger_path(ledger).exists():
            # What an earlier try has left behind.
            self.drop_ledger(ledger)
        is_new = not path.exists()
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            sync_folder(path.parent)
        except OSError as error:
            raise _failed(path, error) from error
        try:
            return LevelStore.create(path)
        except NodeError:
            if is_new:
                self.drop_ledger(ledger)
            raise

    def finish_store(self, ledger: bytes) -> None:
        """Make an unfinished store, which is closed by now, a ledger of this home. Raises HomeError."""
        path = self._unfinished_path(ledger)
        try:
            path.rename(self.ledger_path(ledger))
            sync_folder(path.parent)
        except OSError as error:
            raise _failed(path, error) from error

    def _unfinished_path(self, ledger: bytes) -> Path:
        return self.path / "ledgers" / f"{ledger.hex()}.new"

    def open_store(self, ledger: bytes, *, wait_s: float = 0.0) -> LevelStore:
        """Open the store of a ledger, alone. Raises HomeError, StoreError as `LevelStore.open` does."""
        from tallystick.node.layout import FORMAT, FORMAT_KEY
        from tallystick.node.store_leveldb import LevelStore

        path = self.ledger_path(ledger)
        if not path.is_dir():
            raise HomeError(f"no ledger {ledger.hex()[:8]} here", reason=HomeReason.NOT_FOUND)
        store = LevelStore.open(path, wait_s=wait_s)
        try:
            is_present = store.get(FORMAT_KEY) == bytes([FORMAT])
        except StoreError:
            # Whoever reads it says what is wrong with it.
            return store
        if not is_present:
            from tallystick.node.upgrade import upgrade

            try:
                upgrade(store)
            except BaseException:
                store.close()
                raise
        return store

    def open_blobs(self, ledger: bytes) -> FolderBlobs:
        """Evidence files of a ledger."""
        from tallystick.node.blobs import FolderBlobs

        return FolderBlobs(self.ledger_path(ledger) / "evidence")

    def drop_ledger(self, ledger: bytes) -> None:
        """Remove a ledger that never came to be, finished or not. Raises HomeError."""
        import shutil

        for path in (self.ledger_path(ledger), self._unfinished_path(ledger)):
            if not path.exists():
                continue
            try:
                shutil.rmtree(path)
                sync_folder(path.parent)
            except OSError as error:
                raise _failed(path, error) from error

    # -- the running node ----------------------------------------------------------------------------------------------

    def lock_run(self, *, wait_s: float = 0.0) -> FolderLock:
        """Become the node of this home until the lock is released. Raises HomeError IN_USE with the process."""
        from tallystick.node.lock import FolderLock

        run = self.path / "run"
        try:
            run.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _failed(run, error) from error
        return FolderLock.take(run, wait_s=wait_s)

    def api_path(self) -> Path:
        """Where port and token of the local interface on TCP stand, while a node offers it."""
        return self.path / "run" / "api.json"

    def socket_path(self) -> Path:
        """Where the running node listens for commands. It may not exist; its folder does, and is ours alone."""
        path = self.path / "run" / "node.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES_MAX:
            return path
        # The path of a socket must be short, that of a home need not be.
        import tempfile
        from hashlib import blake2b

        digest = blake2b(os.fsencode(self.path), digest_size=6).hexdigest()
        owner = os.getuid() if _IS_POSIX else 0
        folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"tallystick-{owner}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            info = folder.lstat()
        except OSError as error:
            raise _failed(folder, error) from error
        # The folder for temporary files is everybody's: somebody else may have been there first.
        if not stat.S_ISDIR(info.st_mode):
            raise HomeError(f"{folder} is not a folder", reason=HomeReason.UNSAFE)
        _check_owner(folder, info)
        _check_mode(folder, info, "700")
        return folder / f"{digest}.sock"


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file for its owner alone: written beside, synced, renamed, its folder synced. Raises HomeError."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, _WRITE, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            new.unlink(missing_ok=True)
        raise _failed(path, error) from error


def _is_ledger_name(name: str) -> bool:
    return len(name) == 2 * LEDGER_ID_BYTES and all(digit in "0123456789abcdef" for digit in name)


def _check_owner(path: Path, info: os.stat_result) -> None:
    if _IS_POSIX and info.st_uid != os.geteuid() and os.geteuid() != 0:
        raise HomeError(f"{path} belongs to another user", reason=HomeReason.UNSAFE)


def _check_mode(path: Path, info: os.stat_result, wanted: str) -> None:
    if _IS_POSIX and info.st_mode & _OTHERS:
        raise HomeError(
            f"{path} is open to others (mode {stat.S_IMODE(info.st_mode):o})",
            reason=HomeReason.UNSAFE,
            hint=f"chmod {wanted} '{path}'",
        )


def _failed(path: Path, error: OSError) -> HomeError:
    reason = HomeReason.READ_ONLY if error.errno == errno.EROFS else HomeReason.IO
    return HomeError(f"{path}: {error.strerror or error}", reason=reason)
