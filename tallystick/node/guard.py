"""The guard: what this device must never do again, in a small file beside the database.

It holds the last vote this node signed, the last entry this device signed, and the number of the last batch the
database confirmed. All are raised after the database has confirmed and before anything leaves the node, so a database
that knows less is a restored backup, and a node on a restored backup is mute: it neither votes nor signs until the
person or time has settled who it is.

The file has two slots that are written in turn, each with its number and checksum. A power cut while one is written
leaves the other, and an update costs one fsync.

Source: docs/spec/finality.md#guard
"""

from __future__ import annotations

import errno
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from tallystick.node.errors import StoreError, StoreReason

Vote = tuple[int, int, int]
"""Height, round, step of a vote; compared in this order."""

_MAGIC: Final = b"TGUARD1\n"
_BODY: Final = struct.Struct(">8sQQQQQQB")
_DIGEST_BYTES: Final = 16
_SLOT_BYTES: Final = _BODY.size + _DIGEST_BYTES
_sync_data: Final = getattr(os, "fdatasync", os.fsync)
_SLOT_STEP: Final = 4096
"""From one slot to the other: a disk that tears a sector must not take both."""


class GuardState(NamedTuple):
    """What the guard remembers. No dataclass: every command opens a store, and importing that module takes longer."""

    batch: int = 0
    """The last batch that the database confirmed."""
    vote: Vote = (0, 0, 0)
    """The last vote signed here: nothing at or below it is signed again, unless the very same bytes."""
    seq: int = 0
    """The number of the last entry this device signed."""
    is_restored: bool = False
    """The database was found older than this file, and nobody has settled that yet."""


class Guard(Protocol):
    """What survives a database that was put back."""

    @property
    def state(self) -> GuardState: ...

    def raise_to(self, *, batch: int | None = None, vote: Vote | None = None, seq: int | None = None) -> None:
        """Remember, durable on return. What is lower than known is ignored. Raises StoreError."""
        ...

    def distrust(self) -> None:
        """Remember that the database is older than this guard."""
        ...

    def trust(self, *, batch: int | None = None, vote: Vote | None = None) -> None:
        """Take the database as it is from now on: the person has settled that no other copy runs.

        `vote` replaces the last one, where blocks that were signed here are given up for lost.
        """
        ...

    def close(self) -> None: ...


def raised(state: GuardState, batch: int | None, vote: Vote | None, seq: int | None) -> GuardState:
    """The state with everything that is higher than it was."""
    return state._replace(
        batch=max(state.batch, batch or 0),
        vote=max(state.vote, vote or (0, 0, 0)),
        seq=max(state.seq, seq or 0),
    )


def trusted(state: GuardState, batch: int | None, vote: Vote | None) -> GuardState:
    """The state of a guard whose database is taken as it is."""
    return state._replace(
        is_restored=False,
        batch=state.batch if batch is None else batch,
        vote=state.vote if vote is None else vote,
    )


class MemoryGuard:
    """A guard for tests and simulation. It outlives crashes, as the file does."""

    def __init__(self, state: GuardState | None = None) -> None:
        self.state = state or GuardState()
        self.is_open = True

    def raise_to(self, *, batch: int | None = None, vote: Vote | None = None, seq: int | None = None) -> None:
        self.state = raised(self.state, batch, vote, seq)

    def distrust(self) -> None:
        self.state = self.state._replace(is_restored=True)

    def trust(self, *, batch: int | None = None, vote: Vote | None = None) -> None:
        self.state = trusted(self.state, batch, vote)

    def close(self) -> None:
        self.is_open = False


class FileGuard:
    """The guard in its file.

    `FileGuard.open` raises StoreError when the file is there and neither slot can be read: then nobody knows what
    was signed. A missing file is a guard that knows nothing; whoever finds a database beside it treats that as
    restored.
    """

    def __init__(self, path: Path, descriptor: int, state: GuardState, number: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._number = number
        self.state = state

    @classmethod
    def create(cls, path: Path) -> FileGuard:
        """Make the file, durable. Raises StoreError when there is one."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise StoreError(f"{path} is there already", reason=StoreReason.EXISTS) from error
        except OSError as error:
            raise disk_error(path, error) from error
        guard = cls(path, descriptor, GuardState(), 0)
        guard._save(GuardState())
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise disk_error(path, error) from error
        return guard

    @classmethod
    def open(cls, path: Path) -> FileGuard:
        """Open the file; StoreError MISSING when there is none, DAMAGED when no slot can be read."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError as error:
            raise StoreError(f"{path} is missing", reason=StoreReason.MISSING) from error
        except OSError as error:
            raise disk_error(path, error) from error
        try:
            data = os.read(descriptor, _SLOT_STEP + _SLOT_BYTES)
        except OSError as error:
            os.close(descriptor)
            raise disk_error(path, error) from error
        slots = [slot for slot in (_read_slot(data[:_SLOT_BYTES]), _read_slot(data[_SLOT_STEP:])) if slot is not None]
        if not slots:
            os.close(descriptor)
            raise StoreError(
                f"{path} is damaged: what this device has signed is not known any more",
                hint="remove the file: the node then stays mute until `tally seal --unmute`",
            )
        number, state = max(slots, key=lambda slot: slot[0])
        return cls(path, descriptor, state, number)

    def raise_to(self, *, batch: int | None = None, vote: Vote | None = None, seq: int | None = None) -> None:
        state = raised(self.state, batch, vote, seq)
        if state != self.state:
            self._save(state)

    def distrust(self) -> None:
        if not self.state.is_restored:
            self._save(self.state._replace(is_restored=True))

    def trust(self, *, batch: int | None = None, vote: Vote | None = None) -> None:
        self._save(trusted(self.state, batch, vote))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _save(self, state: GuardState) -> None:
        number = self._number + 1
        try:
            os.lseek(self._descriptor, (number % 2) * _SLOT_STEP, os.SEEK_SET)
            os.write(self._descriptor, _write_slot(number, state))
            # The file never grows after its first two updates, so its data are all that matters.
            _sync_data(self._descriptor)
        except OSError as error:
            raise disk_error(self._path, error) from error
        # Only what is surely on disk counts: after a failure the old state stands and the caller stops.
        self._number, self.state = number, state


def _write_slot(number: int, state: GuardState) -> bytes:
    height, round_, step = state.vote
    body = _BODY.pack(_MAGIC, number, state.batch, height, round_ + 1, step, state.seq, state.is_restored)
    return body + blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _read_slot(data: bytes) -> tuple[int, GuardState] | None:
    body, digest = data[: _BODY.size], data[_BODY.size : _BODY.size + _DIGEST_BYTES]
    if len(data) != _SLOT_BYTES or blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
        return None
    magic, number, batch, height, round_, step, seq, is_restored = _BODY.unpack(body)
    if magic != _MAGIC:
        return None
    return number, GuardState(batch, (height, round_ - 1, step), seq, bool(is_restored))


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable. Raises OSError."""
    if os.name == "nt":
        return  # Windows cannot open a folder; NTFS journals its names.
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(path: Path, error: OSError) -> StoreError:
    """What the system says of a file, in our words."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = "the disk is full" if full else "the disk fails"
    return StoreError(
        f"{path}: {what} ({error.strerror or error})", reason=StoreReason.DISK_FULL if full else StoreReason.IO
    )
