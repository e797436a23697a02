"""One process at a time in a folder.

The lock is on the folder itself: a lock file can be deleted, and then two processes each hold the lock of another
file. The database's own lock is not enough either: a second opening in one process, refused, makes the system drop
the first one's lock. Ours belongs to one open descriptor and goes with the process, however that ends.

Source: docs/spec/storage.md#lock
"""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path
from typing import Final

from tallystick.node.errors import HomeError, HomeReason

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_WAIT_STEP_S: Final = 0.02
_NAME: Final = "lock"
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK})


class FolderLock:
    """An exclusive lock on a folder; the file `lock` in it says which process holds it, for people."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor = descriptor

    @classmethod
    def take(cls, folder: Path, *, wait_s: float = 0.0) -> FolderLock:
        """Take the lock, waiting up to `wait_s` for another process to give it back.

        Raises HomeError: NOT_FOUND without the folder, IN_USE with the process that has it, READ_ONLY, IO.
        """
        try:
            descriptor = os.open(_locked_path(folder), os.O_RDWR | os.O_CREAT if os.name == "nt" else os.O_RDONLY)
        except FileNotFoundError as error:
            raise HomeError(f"{folder} does not exist", reason=HomeReason.NOT_FOUND) from error
        except OSError as error:
            raise HomeError(f"{folder}: {error.strerror}", reason=HomeReason.IO) from error
        lock = cls(folder, descriptor)
        try:
            lock._acquire(time.monotonic() + wait_s)
            lock._sign()
        except BaseException:
            lock.release()
            raise
        return lock

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _acquire(self, deadline: float) -> None:
        while not _try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                pid = holder(self.folder)
                who = "another process" if pid is None else f"process {pid}"
                raise HomeError(
                    f"{self.folder} is in use by {who}",
                    reason=HomeReason.IN_USE,
                    pid=pid,
                    hint="stop it, or wait until it has finished",
                )
            time.sleep(_WAIT_STEP_S)

    def _sign(self) -> None:
        try:
            (self.folder / _NAME).write_text(f"{os.getpid()}\n", encoding="ascii")
        except OSError as error:
            if error.errno == errno.EROFS:
                raise HomeError(
                    f"{self.folder} lies on a disk that cannot be written", reason=HomeReason.READ_ONLY
                ) from error
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise HomeError(f"{self.folder / _NAME}: {error.strerror}", reason=HomeReason.IO) from error
            # On a full disk the lock holds all the same; only its name plate stays blank.


def holder(folder: Path) -> int | None:
    """The process that last took the lock of a folder, if it said so."""
    try:
        return int((folder / _NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _locked_path(folder: Path) -> Path:
    return folder / (_NAME + ".held") if os.name == "nt" else folder


if sys.platform == "win32":

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise HomeError(
                f"this folder cannot be locked: {error.strerror}",
                reason=HomeReason.UNSAFE,
                hint="put the home on a local disk",
            ) from error
        return True
