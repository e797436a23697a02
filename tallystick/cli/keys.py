"""The signing key of this device: held for this session, or unsealed with its passphrase.

`init` and `unlock` leave the key where commands of the same person find it, until it has not been used for a while
(15 minutes, `unlock` in the settings) or `lock` takes it away. It is written only where a file lies in memory and goes
with the session or the machine: $XDG_RUNTIME_DIR if that is a file system in memory, else /dev/shm, in a folder for
its owner alone (0700), file mode 0600. Where there is no such place (macOS, Windows) nothing is kept and the
passphrase is asked for each time. What is not used any more is removed by the next command that looks at it, or that
keeps another key there. Memory may be swapped to disk: who fears that encrypts the swap, or does without `unlock`.

The passphrase comes from the file that TALLY_PASSPHRASE_FILE names, the one in the settings, or the keyboard. A file
that the call names itself goes before a key that is held, so that a wrong passphrase is noticed.

Source: docs/spec/membership.md#keys
"""

from __future__ import annotations

import os
import stat
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tallystick.cli import ask, errors
from tallystick.cli.errors import CommandError
from tallystick.node.errors import ExitCode
from tallystick.node.file_errors import unreadable

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.home import Home

ENVIRONMENT: Final = "TALLY_PASSPHRASE_FILE"
_SEED_BYTES: Final = 32
_IDLE_BYTES: Final = 8
_AHEAD_S: Final = 60
"""A last use further in the future than that means that the clock was set back: then the key is not trusted."""
_PASSPHRASE_BYTES_MAX: Final = 4096
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def signing_key(home: Home, options: Options) -> SecretKey:
    """The key that signs, however it can be had. Raises NodeError: key-locked, wrong-passphrase."""
    return held_key(home) or _unsealed(home, passphrase(home, options))


def held_key(home: Home) -> SecretKey | None:
    """The key of this session, unless this call names a file with the passphrase. Using it prolongs it."""
    if os.environ.get(ENVIRONMENT):
        return None
    path = _path(home)
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        info = os.fstat(descriptor)
        data = os.read(descriptor, _SEED_BYTES + _IDLE_BYTES + 1)
        alone = stat.S_ISREG(info.st_mode) and not info.st_mode & 0o077 and info.st_uid == os.geteuid()
        idle_s = int.from_bytes(data[:_IDLE_BYTES], "big") / 1000
        unused_s = time.time() - info.st_mtime
        if not alone or len(data) != _SEED_BYTES + _IDLE_BYTES or not -_AHEAD_S <= unused_s <= idle_s:
            path.unlink(missing_ok=True)
            return None
        os.utime(descriptor)
    finally:
        os.close(descriptor)
    key = _key(data[_IDLE_BYTES:])
    if key.public != _public(home):
        # Left behind by a home that was here before.
        path.unlink(missing_ok=True)
        return None
    return key


def keep_key(home: Home, key: SecretKey, idle_ms: int) -> bool:
    """Leave the key for this session. False where there is no safe place for it."""
    path = _path(home, create=True)
    if path is None or idle_ms <= 0:
        return False
    new = path.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, idle_ms.to_bytes(_IDLE_BYTES, "big") + key.seed)
        finally:
            os.close(descriptor)
        new.replace(path)
        _sweep(path.parent)
    except OSError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove keys of other homes that nobody has used for too long. Raises OSError."""
    for file in folder.glob("*.key"):
        with file.open("rb") as stream:
            idle_s = int.from_bytes(stream.read(_IDLE_BYTES), "big") / 1000
            unused_s = time.time() - os.fstat(stream.fileno()).st_mtime
        if unused_s > idle_s:
            file.unlink(missing_ok=True)


def drop_key(home: Home) -> bool:
    """Take this session's key away. Whether there was one."""
    path = _path(home)
    if path is None or not path.exists():
        return False
    path.unlink(missing_ok=True)
    return True


def unsealed_with_passphrase(home: Home, options: Options, file: Path | None = None) -> SecretKey:
    """The key, from the passphrase and nothing else.

    Raises UsageError where nobody can be asked; NodeError: wrong-passphrase.
    """
    if file is None and named_file(home) is None:
        # Not `passphrase`: its hint is the very command that asks here.
        return _unsealed(home, ask.secret("Passphrase: ", "--passphrase-file"))
    return _unsealed(home, read_passphrase_file(file, options) if file else passphrase(home, options))


def passphrase(home: Home, options: Options) -> str:
    """The passphrase of the key file. Raises CommandError key-locked where nobody can be asked."""
    if named := named_file(home):
        return read_passphrase_file(named, options)
    if not ask.can_ask():
        raise CommandError("key-locked", exit_code=ExitCode.LOCKED)
    return ask.secret("Passphrase: ", ENVIRONMENT)


def named_file(home: Home | None) -> Path | None:
    """The file with the passphrase that the environment or the settings name."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named).expanduser()
    if home is not None and home.config_path.exists():
        return home.read_config().passphrase_file
    return None


def read_passphrase_file(path: Path, options: Options) -> str:
    """The first line of a file. Raises CommandError: file-not-found, file-unreadable."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_PASSPHRASE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise CommandError(
            "file-not-found", f"the file with the passphrase, {path}, does not exist", exit_code=ExitCode.NOT_FOUND
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if os.name == "posix" and mode & 0o077 and stat.S_ISREG(mode):
        errors.warn(options, f"others can read {path}, which holds the passphrase: chmod 600 '{path}'")
    try:
        line = data.decode("utf-8").split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError as error:
        raise CommandError("file-unreadable", f"{path} is not UTF-8", exit_code=ExitCode.DAMAGED) from error
    if not line:
        raise CommandError("file-unreadable", f"{path} holds no passphrase in its first line", exit_code=ExitCode.USAGE)
    return line


def _unsealed(home: Home, words: str) -> SecretKey:
    from tallystick.node.identity import unseal_device_key

    return unseal_device_key(home, words)


def _key(seed: bytes) -> SecretKey:
    from tallystick.crypto.keys import SecretKey

    return SecretKey.from_seed(seed)


def _public(home: Home) -> bytes:
    from tallystick.node.identity import read_identity

    return read_identity(home).device


def _path(home: Home, *, create: bool = False) -> Path | None:
    """Where the session's key of this home lies, or None where no place is safe."""
    folder = _folder(create=create)
    return None if folder is None else folder / f"{blake2b(os.fsencode(home.path), digest_size=8).hexdigest()}.key"


def _folder(*, create: bool) -> Path | None:
    if sys.platform != "linux":
        return None
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    owner = os.geteuid()
    places = [Path(runtime, "tallystick")] if runtime else []
    places.append(Path("/dev/shm", f"tallystick-{owner}"))  # noqa: S108 -- the folder in it is checked to be ours alone
    for folder in places:
        if not _is_in_memory(folder.parent):
            continue
        try:
            if create:
                folder.mkdir(mode=0o700, exist_ok=True)
            info = folder.lstat()
        except OSError:
            continue
        # /dev/shm is everybody's: somebody else may have been there first.
        if stat.S_ISDIR(info.st_mode) and info.st_uid == owner and not info.st_mode & 0o077:
            return folder
    return None


def _is_in_memory(folder: Path) -> bool:
    """Whether what is written there stays in memory, by the system's table of mounts."""
    try:
        wanted = str(folder.resolve(strict=True))
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].encode("latin-1", "replace").decode("unicode_escape", "replace")
        inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(" ", 1)[0]
    return kind in _IN_MEMORY
