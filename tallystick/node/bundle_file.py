"""Bundles on a disk: written beside and renamed, read where they lie, sealed by a passphrase if asked.

    TALLYE1\n{"v":1,"kdf":"scrypt","n":65536,"r":8,"p":1,"salt":…,"nonce":…}\n then chunks of at most 64 KiB, each
    ChaCha20-Poly1305 under a nonce that counts; the last one says that it is the last.

Source: docs/spec/bundles.md#sealed; RFC 7914, RFC 8439
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tallystick.crypto.signatures import is_valid
from tallystick.node.bundle import MAGIC, BundleError, Contents, Judge, damaged, write_bundle
from tallystick.node.effects import Check
from tallystick.node.errors import ExitCode
from tallystick.node.file_errors import FileError, unreadable, unwritable
from tallystick.node.writes_base import ArgumentError

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey

SEALED_MAGIC: Final = b"TALLYE1\n"
CHUNK_BYTES: Final = 64 * 1024
_TAG_BYTES: Final = 16
_HEADER_BYTES_MAX: Final = 512
#: scrypt with N = 2^16 and r = 8 takes 64 MiB; a file that asks for more than sixteen times that is refused.
_SCRYPT_N: Final = 1 << 16
_SCRYPT_N_MAX: Final = 1 << 20
#: Blocks that a bundle has when nobody says since when.
BLOCKS_BACK: Final = 256


def write_bundle_file(contents: Contents, args: Mapping[str, Any], now: int, key: SecretKey | None) -> dict[str, Any]:
    """`bundle out`: args are path, full, since (a height), passphrase.

    Raises ArgumentError, BundleError, FileError, StoreError.
    """
    path = _path(args)
    height = contents.ledger.head.height
    since = args.get("since")
    if since is not None and (type(since) is not int or not 0 <= since <= height):
        raise ArgumentError(f"since is a height from 0 to {height}")
    base = 0 if args.get("full") else max(0, height - BLOCKS_BACK) if since is None else since
    new = path.with_name(path.name + ".new")
    for each in (path, new):
        _check_may_go(each)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            sink: BinaryIO = file
            if args.get("passphrase"):
                sink = _Sealing(file, str(args["passphrase"]))  # type: ignore[assignment]
            counts = write_bundle(contents, sink, base=base, now=now, key=key)
            if isinstance(sink, _Sealing):
                sink.finish()
            file.flush()
            os.fsync(file.fileno())
        size = new.stat().st_size
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    return {**counts, "path": str(path), "bytes": size, "base": base, "height": height}


def _check_may_go(path: Path) -> None:
    """The bundle of yesterday is written over, and nothing else: a mistyped name may be that of a key or a charter.

    Raises FileError: file-exists.
    """
    try:
        if not path.is_file():
            # A folder, or what is no file at all, is told of by whoever tries to write there.
            is_other = path.exists() and not path.is_dir()
        else:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
            # One that a full disk cut off, or emptied, is a bundle too.
            is_other = not any(magic.startswith(head) for magic in (MAGIC, SEALED_MAGIC))
    except OSError as error:
        raise unwritable(path, error) from error
    if is_other:
        raise FileError(
            f"{path} exists already, and is no bundle",
            reason="file-exists",
            exit_code=ExitCode.USAGE,
            hint="choose another name: only a bundle is written over by a newer one",
        )


@contextmanager
def open_bundle(args: Mapping[str, Any]) -> Iterator[BinaryIO]:
    """The bundle of `bundle in`: args are path, passphrase. Raises ArgumentError, BundleError, FileError."""
    path = _path(args)
    try:
        opened = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with opened as file:
        if file.read(len(SEALED_MAGIC)) != SEALED_MAGIC:
            file.seek(0)
            yield file
            return
        passphrase = args.get("passphrase")
        if not passphrase:
            raise BundleError(
                "this bundle is sealed by a passphrase",
                reason="passphrase-needed",
                exit_code=ExitCode.LOCKED,
                hint="--passphrase-file FILE",
            )
        yield io.BufferedReader(_Opening(file, str(passphrase)), CHUNK_BYTES)


@contextmanager
def two_core_judge() -> Iterator[Judge]:
    """Judges the signatures of a frame on two threads: libsodium lets go of the interpreter lock."""
    with ThreadPoolExecutor(2) as pool:

        def judge(checks: list[Check]) -> list[bool]:
            half = len(checks) // 2
            first = pool.submit(_verdicts, checks[:half])
            return [*first.result(), *_verdicts(checks[half:])] if half < 2 else _both(pool, checks, half)

        yield judge


def _both(pool: ThreadPoolExecutor, checks: list[Check], half: int) -> list[bool]:
    parts = [pool.submit(_verdicts, checks[:half]), pool.submit(_verdicts, checks[half:])]
    return [verdict for part in parts for verdict in part.result()]


def _verdicts(checks: list[Check]) -> list[bool]:
    return [is_valid(key, message, signature) for key, message, signature in checks]


def _path(args: Mapping[str, Any]) -> Path:
    path = args.get("path")
    if not isinstance(path, str) or not path or "\0" in path:
        raise ArgumentError("which file? the path is missing")
    return Path(path)


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    import unicodedata

    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(unicodedata.normalize("NFKC", passphrase).encode())


class _Sealing:
    """A file to write to, whose bytes are sealed chunk by chunk."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        salt, prefix = secrets.token_bytes(16), secrets.token_bytes(7)
        row = {"v": 1, "kdf": "scrypt", "n": _SCRYPT_N, "r": 8, "p": 1, "salt": salt.hex(), "nonce": prefix.hex()}
        self._header = SEALED_MAGIC + json.dumps(row, separators=(",", ":")).encode() + b"\n"
        self._cipher = ChaCha20Poly1305(_derive(passphrase, salt, _SCRYPT_N))
        self._prefix = prefix
        self._file = file
        self._number = 0
        self._buffer = bytearray()
        file.write(self._header)

    def write(self, data: bytes) -> int:
        self._buffer += data
        while len(self._buffer) > CHUNK_BYTES:
            self._put(bytes(self._buffer[:CHUNK_BYTES]), last=False)
            del self._buffer[:CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk, which says so: a file cut between two chunks is not a whole one."""
        self._put(bytes(self._buffer), last=True)
        self._buffer.clear()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last=last), chunk, self._header))
        self._number += 1


class _Opening(io.RawIOBase):
    """A sealed file to read from. A chunk that does not open ends the reading with BundleError."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        line = file.readline(_HEADER_BYTES_MAX)
        try:
            row = json.loads(line)
            salt, self._prefix, cost = bytes.fromhex(row["salt"]), bytes.fromhex(row["nonce"]), row["n"]
            known = row["v"] == 1 and row["kdf"] == "scrypt" and (row["r"], row["p"]) == (8, 1)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged("its header is not readable") from None
        if not known or type(cost) is not int or not 2 <= cost <= _SCRYPT_N_MAX or cost & (cost - 1):
            raise damaged("its header asks for what no honest program writes")
        if len(self._prefix) != 7:
            raise damaged("its header is not readable")
        self._header = SEALED_MAGIC + line
        self._cipher = ChaCha20Poly1305(_derive(passphrase, salt, cost))
        self._file = file
        self._number = 0
        self._open = b""
        self._next = file.read(CHUNK_BYTES + _TAG_BYTES)
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._open and not self._ended:
            self._open = self._chunk()
        size = min(len(buffer), len(self._open))
        buffer[:size] = self._open[:size]
        self._open = self._open[size:]
        return size

    def _chunk(self) -> bytes:
        from cryptography.exceptions import InvalidTag

        chunk, self._next = self._next, self._file.read(CHUNK_BYTES + _TAG_BYTES)
        last = not self._next
        try:
            data = self._cipher.decrypt(_nonce(self._prefix, self._number, last=last), chunk, self._header)
        except InvalidTag:
            if self._number:
                raise damaged("a sealed part of it does not open") from None
            raise BundleError(
                "the passphrase is wrong, or the bundle is damaged",
                reason="wrong-passphrase",
                exit_code=ExitCode.LOCKED,
            ) from None
        self._number += 1
        self._ended = last
        return data


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])
