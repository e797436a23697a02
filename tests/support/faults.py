"""What happens to disks and processes, done to real files and real processes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tallystick.node.errors import StoreError
from tallystick.node.store import Store
from tallystick.node.store_leveldb import LevelStore

RESERVE = 64 * 1024
"""A small reserve, since tests make many stores."""
ROWS_A_BATCH = 3


def flip_bit(path: Path, offset: int, bit: int = 0) -> None:
    """Change one bit of a file; a negative offset counts from its end."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def one_file(folder: Path, pattern: str) -> Path:
    """Return the only file that the pattern matches."""
    (path,) = folder.glob(pattern)
    return path


def offsets(size: int, count: int) -> list[int]:
    """Places all over a file, its first and last byte among them, none of them regular."""
    return sorted({*(step * 7919 % size for step in range(count)), 0, size - 1})


def rows_of(number: int) -> list[tuple[bytes, bytes]]:
    """The rows of a numbered batch: each batch has its own, so that the rows tell which batches are there."""
    return [(b"T%08d/%d" % (number, part), b"%d:%d " % (number, part) * 20) for part in range(ROWS_A_BATCH)]


def write_batches(store: Store, first: int, last: int, *, sync: bool = True) -> None:
    """Write the batches with these numbers."""
    for number in range(first, last + 1):
        store.write(rows_of(number), sync=sync)


def whole_batches(store: Store) -> int:
    """Return how many batches are there; fail if they are not the first ones, each of them whole."""
    found = list(store.iterate(b"T"))
    count, rest = divmod(len(found), ROWS_A_BATCH)
    assert rest == 0, "half a batch"
    assert found == [row for number in range(1, count + 1) for row in rows_of(number)], "not what was written"
    assert all(store.get(key) == value for key, value in found)
    return count


@dataclass(frozen=True)
class Verdict:
    """What became of a store whose files were tampered with."""

    error: StoreError | None
    batches: int
    is_restored: bool


def judge(folder: Path) -> Verdict:
    """Open a store and read all of it. An error is a verdict; wrong rows fail the test."""
    try:
        store = LevelStore.open(folder, reserve_bytes=RESERVE)
    except StoreError as error:
        return Verdict(error, 0, is_restored=False)
    try:
        return Verdict(None, whole_batches(store), store.is_restored)
    except StoreError as error:
        return Verdict(error, 0, is_restored=False)
    finally:
        store.close()


def copy_of(folder: Path, target: Path) -> Path:
    """Copy a store whose process has ended."""
    if target.exists():
        shutil.rmtree(target)
    return Path(shutil.copytree(folder, target))


class Child:
    """Another Python process that runs a script and speaks one line at a time."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Wait for its next line; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def lines(self) -> list[str]:
        """Wait for its end and return what it has still said."""
        assert self.process.stdout is not None
        rest = self.process.stdout.read().split()
        self.process.wait()
        return rest

    def kill(self) -> list[str]:
        """End it without any warning; return the whole lines it had still said."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        rest = self.process.stdout.read()
        self.process.wait()
        return rest[: rest.rfind("\n") + 1].split()
