"""Evidence files: bytes that deliveries name by hash, kept beside the ledger under that hash and nothing else.

    ledgers/<id>/evidence/<sha-256>         a whole file
    ledgers/<id>/evidence/<sha-256>.part    the beginning of one that is being fetched

No name that anybody has given a file is ever part of a path here. A file is compared with its hash before the first
byte of it is given away, and again whenever it has changed on the disk since.

Source: docs/spec/sync.md#evidence
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.guard import sync_folder

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A larger file is named by its hash only: it is compared in one go, in the loop of the node."""
_COPY_BYTES: Final = 1024 * 1024
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# Without O_NONBLOCK a pipe would be waited for without end.
_READ: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
_WRITE: Final = os.O_WRONLY | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))


class BlobError(NodeError):
    """A file cannot be kept or read."""


class Blobs(Protocol):
    """Files of one ledger by the SHA-256 of their bytes. Every method may raise BlobError."""

    def size(self, digest: bytes) -> int | None:
        """How large a file is that is whole here; None where it is not."""
        ...

    def begun(self, digest: bytes) -> int:
        """How many bytes of the beginning of a file are here that is not whole yet."""
        ...

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        """Bytes of a whole file; empty where it is not here, or is not what its name says."""
        ...

    def add(self, digest: bytes, data: bytes) -> None:
        """Append to the beginning of a file."""
        ...

    def finish(self, digest: bytes) -> bool:
        """The beginning is the whole. False: it has another hash, and is gone."""
        ...

    def take(self, path: Path, named: Collection[bytes]) -> bytes:
        """Keep a copy of a file of this person, if its hash is among those named; return the hash.

        Raises BlobError: file-not-found, file-unreadable, evidence-large, evidence-unknown, disk-full.
        """
        ...

    def drop(self, digest: bytes) -> None:
        """Forget a file, whole or not."""
        ...

    def where(self, digest: bytes) -> Path | None:
        """Where a whole file lies, for whoever opens it by itself; None where it does not lie on a disk."""
        ...


class FolderBlobs:
    """The files of one ledger on a disk. The folder is made with its first file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checked: dict[bytes, tuple[int, int, int]] = {}
        """Digest -> (inode, time of change, size) of the file when its bytes were compared last."""

    def size(self, digest: bytes) -> int | None:
        try:
            info = self._path(digest).lstat()
        except OSError:
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None

    def begun(self, digest: bytes) -> int:
        try:
            return self._part(digest).lstat().st_size
        except OSError:
            return 0

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        path = self._path(digest)
        try:
            with path.open("rb") as file:
                info = os.fstat(file.fileno())
                mark = info.st_ino, info.st_mtime_ns, info.st_size
                if self._checked.get(digest) != mark:
                    if sha256(file.read(FILE_BYTES_MAX + 1)).digest() != digest:
                        return b""
                    self._checked[digest] = mark
                file.seek(offset)
                return file.read(count)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _failed(path, error) from error

    def add(self, digest: bytes, data: bytes) -> None:
        path = self._part(digest)
        try:
            self._make()
            descriptor = os.open(path, _WRITE | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
        except OSError as error:
            raise _failed(path, error) from error

    def finish(self, digest: bytes) -> bool:
        path = self._part(digest)
        try:
            with path.open("rb") as file:
                is_true = sha256(file.read(FILE_BYTES_MAX + 1)).digest() == digest
                os.fsync(file.fileno())
            if not is_true:
                path.unlink()
                return False
            path.replace(self._path(digest))
            sync_folder(self._folder)
        except OSError as error:
            raise _failed(path, error) from error
        return True

    def take(self, path: Path, named: Collection[bytes]) -> bytes:
        hashing, size = sha256(), 0
        new = self._folder / f"taking-{os.getpid()}.new"
        with _open(path) as file:
            try:
                self._make()
                descriptor = os.open(new, _WRITE | os.O_TRUNC, 0o600)
                with os.fdopen(descriptor, "wb") as copy:
                    while chunk := file.read(_COPY_BYTES):
                        size += len(chunk)
                        if size > FILE_BYTES_MAX:
                            raise _too_large(path)
                        hashing.update(chunk)
                        copy.write(chunk)
                    copy.flush()
                    os.fsync(descriptor)
                if (digest := hashing.digest()) not in named:
                    raise _unknown(path)
                new.replace(self._path(digest))
                sync_folder(self._folder)
            except OSError as error:
                new.unlink(missing_ok=True)
                raise _failed(self._folder, error) from error
            except BlobError:
                new.unlink(missing_ok=True)
                raise
        return digest

    def drop(self, digest: bytes) -> None:
        self._checked.pop(digest, None)
        for path in (self._path(digest), self._part(digest)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _failed(path, error) from error

    def where(self, digest: bytes) -> Path | None:
        return None if self.size(digest) is None else self._path(digest)

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def _part(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.part"


class MemoryBlobs:
    """The same in memory, for ledgers without a folder."""

    def __init__(self) -> None:
        self._files: dict[bytes, bytes] = {}
        self._parts: dict[bytes, bytes] = {}

    def size(self, digest: bytes) -> int | None:
        data = self._files.get(digest)
        return None if data is None else len(data)

    def begun(self, digest: bytes) -> int:
        return len(self._parts.get(digest, b""))

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        return self._files.get(digest, b"")[offset : offset + count]

    def add(self, digest: bytes, data: bytes) -> None:
        self._parts[digest] = self._parts.get(digest, b"") + data

    def finish(self, digest: bytes) -> bool:
        data = self._parts.pop(digest, b"")
        if sha256(data).digest() != digest:
            return False
        self._files[digest] = data
        return True

    def take(self, path: Path, named: Collection[bytes]) -> bytes:
        with _open(path) as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise _too_large(path)
        digest = sha256(data).digest()
        if digest not in named:
            raise _unknown(path)
        self._files[digest] = data
        return digest

    def drop(self, digest: bytes) -> None:
        self._files.pop(digest, None)
        self._parts.pop(digest, None)

    def where(self, digest: bytes) -> Path | None:
        return None


def _open(path: Path) -> BinaryIO:
    """A file of this person, which is one."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError as error:
        raise BlobError(f"{path} does not exist", reason="file-not-found", exit_code=ExitCode.NOT_FOUND) from error
    except OSError as error:
        raise _failed(path, error, "file-unreadable") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BlobError(f"{path} is no file", reason="file-unreadable")
    return os.fdopen(descriptor, "rb")


def _too_large(path: Path) -> BlobError:
    return BlobError(
        f"{path} is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB",
        reason="evidence-large",
        exit_code=ExitCode.USAGE,
        hint="hand it over in another way; a delivery may still name it by its hash",
    )


def _unknown(path: Path) -> BlobError:
    return BlobError(
        f"{path} is not what a delivery of this deal names: no byte of such a file may have changed",
        reason="evidence-unknown",
        exit_code=ExitCode.NOT_FOUND,
    )


def _failed(path: Path, error: OSError, reason: str = "disk-error") -> BlobError:
    if error.errno in _FULL:
        reason = "disk-full"
    return BlobError(f"{path}: {error.strerror or error}", reason=reason)
