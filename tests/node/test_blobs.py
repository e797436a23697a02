"""Evidence files on a disk and in memory: one contract, and what only a disk can do wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tallystick.node.blobs import FILE_BYTES_MAX, BlobError, Blobs, FolderBlobs, MemoryBlobs
from tallystick.node.errors import ExitCode

DATA = b"what was made" * 1000
DIGEST = sha256(DATA).digest()


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return FolderBlobs(tmp_path / "evidence") if request.param == "folder" else MemoryBlobs()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of this person."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(DATA)
    return path


def refused(act: Callable[[], object]) -> tuple[str, ExitCode]:
    with pytest.raises(BlobError) as caught:
        act()
    return caught.value.reason, caught.value.exit_code


def test_file_is_kept_under_its_hash(blobs: Blobs, file: Path) -> None:
    """Its name is nowhere; any part of it can be read, and beyond its end there is nothing."""
    assert blobs.size(DIGEST) is None
    assert blobs.read(DIGEST, 0, 10) == b""
    assert blobs.take(file, {DIGEST}) == DIGEST
    assert blobs.size(DIGEST) == len(DATA)
    assert blobs.read(DIGEST, 13, 13) == DATA[13:26]
    assert blobs.read(DIGEST, len(DATA) - 2, 10) == DATA[-2:]
    assert blobs.read(DIGEST, len(DATA), 10) == b""
    where = blobs.where(DIGEST)
    assert where is None or (where.name == DIGEST.hex() and where.read_bytes() == DATA)
    blobs.drop(DIGEST)
    assert blobs.size(DIGEST) is None and blobs.where(DIGEST) is None


def test_only_a_file_that_is_named_is_taken(blobs: Blobs, file: Path, tmp_path: Path) -> None:
    """Anything else, and anything too large, leaves nothing behind."""
    assert refused(lambda: blobs.take(file, {bytes(32)})) == ("evidence-unknown", ExitCode.NOT_FOUND)
    assert refused(lambda: blobs.take(tmp_path / "none", {DIGEST})) == ("file-not-found", ExitCode.NOT_FOUND)
    assert refused(lambda: blobs.take(tmp_path, {DIGEST}))[0] == "file-unreadable"
    with file.open("wb") as large:
        large.truncate(FILE_BYTES_MAX + 1)
    assert refused(lambda: blobs.take(file, {DIGEST})) == ("evidence-large", ExitCode.USAGE)
    folder = tmp_path / "evidence"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_beginning_becomes_the_whole_if_it_has_the_hash(blobs: Blobs) -> None:
    """Bytes are added in their order; the wrong ones are gone when they are compared."""
    assert blobs.begun(DIGEST) == 0
    blobs.add(DIGEST, DATA[:100])
    assert blobs.begun(DIGEST) == 100
    assert blobs.read(DIGEST, 0, 10) == b""
    blobs.add(DIGEST, DATA[101:])
    assert not blobs.finish(DIGEST)
    assert blobs.begun(DIGEST) == 0 and blobs.size(DIGEST) is None
    blobs.add(DIGEST, DATA[:100])
    blobs.add(DIGEST, DATA[100:])
    assert blobs.finish(DIGEST)
    assert blobs.read(DIGEST, 0, len(DATA)) == DATA
    empty = sha256(b"").digest()
    blobs.add(empty, b"")
    assert blobs.finish(empty)
    assert blobs.size(empty) == 0


def test_what_was_changed_on_the_disk_is_not_given_away(tmp_path: Path, file: Path) -> None:
    """A file is compared before its first byte goes out, and again when it has changed; other runs know it, too."""
    blobs = FolderBlobs(tmp_path / "evidence")
    blobs.take(file, {DIGEST})
    assert blobs.read(DIGEST, 0, 4) == DATA[:4]
    where = blobs.where(DIGEST)
    assert where is not None
    assert where.stat().st_mode & 0o777 == 0o600 and where.parent.stat().st_mode & 0o777 == 0o700
    where.write_bytes(DATA[::-1])
    os.utime(where, ns=(1, 1))
    assert blobs.read(DIGEST, 0, 4) == b""
    assert FolderBlobs(tmp_path / "evidence").read(DIGEST, 0, 4) == b""


def test_a_pipe_or_a_link_is_no_evidence(tmp_path: Path, file: Path) -> None:
    """Nobody waits for a pipe, and a link in the place of a file is not written through."""
    os.mkfifo(tmp_path / "pipe")
    blobs = FolderBlobs(tmp_path / "evidence")
    assert refused(lambda: blobs.take(tmp_path / "pipe", {DIGEST}))[0] == "file-unreadable"
    blobs.add(sha256(b"").digest(), b"")
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    (tmp_path / "evidence" / f"{DIGEST.hex()}.part").symlink_to(target)
    assert refused(lambda: blobs.add(DIGEST, b"theirs"))[0] == "disk-error"
    (tmp_path / "evidence" / DIGEST.hex()).symlink_to(file)
    assert blobs.size(DIGEST) is None
    assert target.read_bytes() == b"mine"
