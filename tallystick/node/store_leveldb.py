"""The store on a disk: LevelDB, and the care it needs.

A ledger's folder holds `db/` (LevelDB), `guard` (see `guard`), `reserve` (room for the day the disk is full) and
`lock`. LevelDB keeps batches whole, but by itself it opens an empty database where files are missing, hands out
flipped bits, and drops the middle of a log without a word. So:

* only `create` makes a database; `open` never does;
* every read checks LevelDB's checksums and our own;
* every batch has a number. A row stays for each batch that can still be in a log: a gap among them is a hole, and a
  last number below the guard's means that a backup was put back or that the disk forgot what it had confirmed;
* a log that ends in the middle of a record is what a power cut leaves. It is told from damage by opening a copy;
* after an error nothing more is written: what a failed fsync has left behind cannot be known.

This is the only file that imports plyvel.

Source: docs/spec/storage.md
"""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn
from zlib import crc32

import plyvel

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.guard import FileGuard, GuardState, disk_error, sync_folder
from tallystick.node.lock import FolderLock
from tallystick.node.store import CHECKSUM_BYTES, OWN, bounds, check_key, damaged, guarded, unguarded
from tallystick.node.store_frozen import FrozenStore, Stretch

RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Enough to open a database on a disk that is full otherwise: a manifest and one write buffer, with room."""
WRITE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""What a log holds at most: whoever opens the database replays it. With half of it tables are merged twice as often."""
CACHE_BYTES: Final = 32 * 1024 * 1024
"""What is kept unpacked of the tables, once it was read: ids are scattered, so every look goes to another place."""

BLOCK_BYTES: Final = 2 * 1024  # of a table: each look computes the checksum of a whole one
_HEAD_KEY: Final = OWN + b"head"
_HEAD: Final = struct.Struct(">BQQ")
"""Format, last batch, first batch that has a row."""
_FORMAT: Final = 1
_ROW: Final = OWN + b"batch"
_ROWS_DROPPED_MAX: Final = 256
"""Rows that one batch may drop, so that no batch is a heavy one."""
_ROWS_AT_OPENING_MAX: Final = 1024
"""With more rows than that, the opening drops them, so that the next one need not read them again."""

_DB: Final = "db"
_TRIAL: Final = "db.trial"
_TORN: Final = "db.torn"
_FULL_WORDS: Final = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def _row_key(number: int) -> bytes:
    return _ROW + number.to_bytes(8, "big")


class LevelStore:
    """One ledger's `Store` on a disk. Made by `create` or `open`."""

    def __init__(self, folder: Path, lock: FolderLock, guard: FileGuard, reserve_bytes: int) -> None:
        self.folder = folder
        self.guard = guard
        self.batch = 0
        self.refusal: StoreError | None = None
        self.was_torn = False
        """Whether this opening cut off a batch that a power cut had left unfinished."""
        self._lock = lock
        self._reserve_bytes = reserve_bytes
        self._db: Any = None
        self._frozen: list[FrozenStore] = []
        self._first_row = 1
        self._recent: deque[int] = deque()
        """Bytes of each batch since the opening, oldest first: earlier ones are in no log any more."""
        self._recent_bytes = 0
        self._recent_first = 1

    # -- opening -------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, folder: Path, *, wait_s: float = 0.0, reserve_bytes: int = RESERVE_BYTES) -> LevelStore:
        """Make an empty store in a folder that exists. One that was made and never written counts as empty.

        Raises HomeError IN_USE; StoreError EXISTS, DISK_FULL, IO.
        """
        lock = FolderLock.take(folder, wait_s=wait_s)
        try:
            _drop_unfinished(folder)
            if any((folder / name).exists() for name in (_DB, _TRIAL, _TORN)):
                store = cls._open_locked(folder, lock, reserve_bytes)
                if store.batch or store.guard.state.batch:
                    store._close_files()
                    raise _exists(folder)
                return store
            if (folder / "guard").exists():
                raise _exists(folder)
            guard = FileGuard.create(folder / "guard")
            store = cls(folder, lock, guard, reserve_bytes)
            try:
                store._db = _open_database(folder / _DB, create=True, paranoid=True)
                sync_folder(folder)
            except plyvel.Error as error:
                guard.close()
                raise store._translated(error) from error
            store.refusal = store._make_reserve()
        except BaseException:
            lock.release()
            raise
        return store

    @classmethod
    def open(cls, folder: Path, *, wait_s: float = 0.0, reserve_bytes: int = RESERVE_BYTES) -> LevelStore:
        """Open what `create` made, as its last process left it, however that ended.

        Raises HomeError NOT_FOUND, IN_USE, READ_ONLY; StoreError MISSING, TOO_NEW, DAMAGED, DISK_FULL, IO.
        A store that is older than its guard opens, and says so in `is_restored`.
        """
        lock = FolderLock.take(folder, wait_s=wait_s)
        try:
            return cls._open_locked(folder, lock, reserve_bytes)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_locked(cls, folder: Path, lock: FolderLock, reserve_bytes: int) -> LevelStore:
        _finish_exchange(folder)
        if not (folder / _DB / "CURRENT").exists():
            raise StoreError(
                f"{folder / _DB} holds no database: the file CURRENT is missing", reason=StoreReason.MISSING
            )
        try:
            guard = FileGuard.open(folder / "guard")
        except StoreError as error:
            if error.reason != StoreReason.MISSING:
                raise
            guard = FileGuard.create(folder / "guard")
            # Nobody knows what was signed before the guard was lost.
            guard.distrust()
        store = cls(folder, lock, guard, reserve_bytes)
        try:
            store._open_files()
        except BaseException:
            store._close_files()
            raise
        return store

    def _open_files(self) -> None:
        if _free_bytes(self.folder) < self._reserve_bytes:
            (self.folder / "reserve").unlink(missing_ok=True)
        path = self.folder / _DB
        try:
            self._db = _open_database(path, paranoid=True)
        except plyvel.CorruptionError:
            self._cut_torn_tail()
            self._db = self._open_again(path)
            self.was_torn = True
        except plyvel.Error as error:
            raise self._translated(error) from error
        self.batch, self._first_row = _read_head(self._db)
        _check_rows(self._db, self._first_row, self.batch)
        if self.batch < self.guard.state.batch:
            self.guard.distrust()
            # Numbers that were confirmed once are never given to other batches; rows start anew behind the gap.
            self.batch = self.guard.state.batch
            self._first_row = self.batch + 1
        self._recent.clear()
        self._recent_bytes = 0
        self._recent_first = self.batch + 1
        self.refusal = self._make_reserve()
        if self.refusal is None and self.batch - self._first_row >= _ROWS_AT_OPENING_MAX:
            self._drop_all_rows()

    def _open_again(self, path: Path) -> Any:
        try:
            return _open_database(path, paranoid=True)
        except plyvel.Error as error:
            raise self._translated(error) from error

    def _cut_torn_tail(self) -> None:
        """Put in the database's place a copy of it without a torn tail, if that is all that is wrong with it.

        The files are not touched before the copy is known to be whole. Raises StoreError.
        """
        import shutil

        trial = self.folder / _TRIAL
        try:
            shutil.rmtree(trial, ignore_errors=True)
            # Tables never change once written, so the copy may share them.
            shutil.copytree(self.folder / _DB, trial, copy_function=_link_or_copy)
            database = _open_database(trial, paranoid=False)
            try:
                _check_whole(database)
            finally:
                database.close()
            (self.folder / _DB).rename(self.folder / _TORN)
            trial.rename(self.folder / _DB)
            sync_folder(self.folder)
        except plyvel.Error as error:
            raise self._translated(error) from error
        except OSError as error:
            raise disk_error(self.folder, error) from error
        finally:
            shutil.rmtree(trial, ignore_errors=True)
        shutil.rmtree(self.folder / _TORN, ignore_errors=True)

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def is_restored(self) -> bool:
        return self.guard.state.is_restored

    def get(self, key: bytes) -> bytes | None:
        try:
            stored = (self._db or self._database).get(key, verify_checksums=True)
        except plyvel.Error as error:
            self._raise_read(error, key)
        return None if stored is None else unguarded(key, stored)

    def iterate(
        self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        first, stop, include_stop = bounds(prefix, start, reverse=reverse)
        # Made here and not at the first step, so that it shows the store as it is now.
        cursor = _cursor(self._database)
        return self._checked(_walk(cursor, first, stop, include_stop=include_stop, reverse=reverse), prefix)

    def _checked(self, rows: Iterator[tuple[bytes, bytes]], key: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            for key, stored in rows:
                yield key, unguarded(key, stored)
        except plyvel.Error as error:
            self._raise_read(error, key)

    @property
    def _database(self) -> Any:
        if self._db is None:
            raise StoreError("the store is closed", reason=StoreReason.CLOSED)
        return self._db

    def _raise_read(self, error: plyvel.Error, key: bytes) -> NoReturn:
        if isinstance(error, plyvel.CorruptionError):
            raise damaged(key) from error
        raise self._translated(error) from error

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool) -> None:
        database = self._database
        if self.refusal is not None:
            raise self.refusal
        number = self.batch + 1
        batch = database.write_batch(sync=sync)
        size = 0
        delete, put = batch.delete, batch.put
        for key in deletes:
            check_key(key)
            delete(key)
            size += len(key)
        for key, value in puts:
            if not key or not key[0]:
                check_key(key)
            # As `guarded` does it: the hot path of fetching a ledger.
            put(key, crc32(value, crc32(key, len(key))).to_bytes(CHECKSUM_BYTES, "big") + value)
            size += len(key) + len(value)
        self._drop_rows(batch)
        batch.put(_row_key(number), b"")
        batch.put(_HEAD_KEY, guarded(_HEAD_KEY, _HEAD.pack(_FORMAT, number, self._first_row)))
        try:
            batch.write()
            self.batch = number
            if sync:
                self.guard.raise_to(batch=number)
        except plyvel.Error as error:
            self._refuse(self._translated(error), error)
        except StoreError as error:
            self._refuse(error, error)
        self._recent.append(size)
        self._recent_bytes += size

    def _drop_rows(self, batch: Any) -> None:
        """Drop rows of batches that are in no log any more: a log is at most a write buffer, and at most two exist."""
        while self._recent_bytes > 2 * WRITE_BUFFER_BYTES:
            self._recent_bytes -= self._recent.popleft()
            self._recent_first += 1
        last = min(self._recent_first, self._first_row + _ROWS_DROPPED_MAX)
        for number in range(self._first_row, last):
            batch.delete(_row_key(number))
        self._first_row = max(self._first_row, last)

    def _drop_all_rows(self) -> None:
        """Drop the rows of all batches so far: opening has put what was in the log into tables."""
        batch = self._database.write_batch()
        for number in range(self._first_row, self.batch + 1):
            batch.delete(_row_key(number))
        batch.put(_HEAD_KEY, guarded(_HEAD_KEY, _HEAD.pack(_FORMAT, self.batch, self.batch + 1)))
        try:
            batch.write()
        except plyvel.Error as error:
            self._refuse(self._translated(error), error)
        self._first_row = self.batch + 1

    def _refuse(self, error: StoreError, cause: Exception) -> NoReturn:
        """Write nothing from now on."""
        self.refusal = error
        if error.reason == StoreReason.DISK_FULL:
            (self.folder / "reserve").unlink(missing_ok=True)
        raise error from (None if cause is error else cause)

    def freeze(self) -> FrozenStore:
        snapshot = self._database.snapshot()

        def get(key: bytes) -> bytes | None:
            try:
                stored: bytes | None = snapshot.get(key, verify_checksums=True)
            except plyvel.Error as error:
                self._raise_read(error, key)
            return stored

        def walk(each: Stretch) -> Iterator[tuple[bytes, bytes]]:
            cursor = _cursor(snapshot)
            try:
                yield from _walk(cursor, each.first, each.stop, include_stop=each.include_stop, reverse=each.reverse)
            except plyvel.Error as error:
                self._raise_read(error, each.first)

        frozen = FrozenStore(
            guard=self.guard,
            batch=self.batch,
            is_restored=self.is_restored,
            get=get,
            walk=walk,
            close=snapshot.close,
        )
        self._frozen = [each for each in self._frozen if each.is_open] + [frozen]
        return frozen

    def _close_frozen(self) -> None:
        for frozen in self._frozen:
            frozen.close()
        self._frozen.clear()

    def scrub(self, keys: Iterable[bytes]) -> None:
        database = self._database
        # A value that somebody may still read does not leave the disk.
        self._close_frozen()
        try:
            for key in keys:
                # The first time it empties the write buffer into a table, and starts a new log. A value is dropped
                # only where a deletion from above is merged with it, so there has to be one above that table.
                for _ in range(2):
                    database.delete(key, sync=True)
                    database.compact_range(start=key, stop=key + b"\0")
        except plyvel.Error as error:
            self._refuse(self._translated(error), error)

    def resume(self) -> bool:
        """After a full disk: open the database anew, with all checks, once there is room again.

        Raises StoreError when it does not open any more; the store is closed then.
        """
        if self.refusal is None:
            return True
        if self.refusal.reason != StoreReason.DISK_FULL or _free_bytes(self.folder) < 2 * self._reserve_bytes:
            return False
        self._close_frozen()
        self._database.close()
        self._db = None
        try:
            self._open_files()
        except BaseException:
            self._close_database()
            raise
        return self.refusal is None

    def _make_reserve(self) -> StoreError | None:
        """Take the room that opening needs, while there is some; return why nothing may be written without it."""
        path = self.folder / "reserve"
        try:
            if path.exists() and path.stat().st_size >= self._reserve_bytes:
                return None
            if _free_bytes(self.folder) < 2 * self._reserve_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            _allocate(path, self._reserve_bytes)
        except OSError as error:
            path.unlink(missing_ok=True)
            return disk_error(path, error)
        return None

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        self._close_database()
        self.guard.close()

    def _close_database(self) -> None:
        self._close_frozen()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _translated(self, error: Exception) -> StoreError:
        """An error of the database in our words."""
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        if isinstance(error, plyvel.CorruptionError) or "No such file" in text or "does not exist" in text:
            return StoreError(f"the database in {self.folder / _DB} is damaged: {text}", reason=StoreReason.DAMAGED)
        if text.startswith("IO error: lock "):
            return StoreError(f"another program has the database open: {text}", reason=StoreReason.IO)
        if any(word in text for word in _FULL_WORDS):
            return StoreError(f"the disk of {self.folder} is full: {text}", reason=StoreReason.DISK_FULL)
        return StoreError(f"the disk of {self.folder} fails: {text}", reason=StoreReason.IO)


# -- the database --------------------------------------------------------------------------------------------------


def _open_database(path: Path, *, paranoid: bool, create: bool = False) -> Any:
    return plyvel.DB(
        str(path),
        create_if_missing=create,
        error_if_exists=create,
        paranoid_checks=paranoid,
        write_buffer_size=WRITE_BUFFER_BYTES,
        lru_cache_size=CACHE_BYTES,
        bloom_filter_bits=10,
        block_size=BLOCK_BYTES,
        # Hashes and signatures do not shrink: a fifth of the disk for two thirds of the time of merging tables.
        compression=None,
    )


def _cursor(database: Any) -> Any:
    return database.raw_iterator(verify_checksums=True)


def _walk(
    cursor: Any, first: bytes, stop: bytes | None, *, include_stop: bool = False, reverse: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Rows from `first` to `stop`. Raises plyvel.Error where a block cannot be read.

    plyvel's own iterators do not look at the status when they come to an end: with the last block damaged they just
    end early. A cursor's every step looks.
    """
    try:
        if not reverse:
            cursor.seek(first)
            while cursor.valid():
                row = cursor.item()
                if stop is not None and (row[0] > stop or (row[0] == stop and not include_stop)):
                    return
                yield row
                cursor.next()
            return
        if stop is None:
            cursor.seek_to_last()
        else:
            cursor.seek(stop)
            if not cursor.valid():
                cursor.seek_to_last()
            elif not (include_stop and cursor.key() == stop):
                cursor.prev()
        while cursor.valid():
            row = cursor.item()
            if row[0] < first:
                return
            yield row
            cursor.prev()
    finally:
        cursor.close()


def _read_head(database: Any) -> tuple[int, int]:
    """(last batch, first batch that has a row). Raises StoreError."""
    try:
        stored = database.get(_HEAD_KEY, verify_checksums=True)
    except plyvel.Error as error:
        raise damaged(_HEAD_KEY) from error
    if stored is None:
        return 0, 1
    value = unguarded(_HEAD_KEY, stored)
    if value[:1] != bytes([_FORMAT]):
        raise StoreError(f"the store has format {value[0]}, this program knows {_FORMAT}", reason=StoreReason.TOO_NEW)
    _, last, first = _HEAD.unpack(value)
    return last, first


def _check_rows(database: Any, first: int, last: int) -> None:
    """Raise StoreError where a batch is missing between others: the log had a hole."""
    expected = first
    try:
        for key, _ in _walk(_cursor(database), _row_key(first), _row_key(last), include_stop=True):
            if key != _row_key(expected):
                break
            expected += 1
    except plyvel.Error as error:
        raise damaged(_ROW) from error
    if expected != last + 1:
        raise StoreError(f"the database has a hole: batch {expected} of {last} is missing", reason=StoreReason.DAMAGED)


def _check_whole(database: Any) -> None:
    """Read everything there is. Raises StoreError."""
    first, last = reversed(_read_head(database))
    _check_rows(database, first, last)
    key = OWN
    try:
        for key, stored in _walk(_cursor(database), OWN, None):
            if not key.startswith(_ROW):
                unguarded(key, stored)
    except plyvel.Error as error:
        raise damaged(key) from error


# -- files ---------------------------------------------------------------------------------------------------------


def _finish_exchange(folder: Path) -> None:
    """Settle what a process left that ended while it exchanged the database for its copy."""
    if (folder / _TORN).exists():
        if (folder / _DB).exists():
            _remove(folder / _TORN)
        else:
            (folder / _TORN).rename(folder / _DB)
    if (folder / _TRIAL).exists():
        _remove(folder / _TRIAL)


def _drop_unfinished(folder: Path) -> None:
    """Remove what a `create` left that did not come to its end: files without a database, beside an unused guard."""
    path = folder / "guard"
    if not path.exists() or (folder / _DB / "CURRENT").exists() or (folder / _TORN).exists():
        return
    guard = FileGuard.open(path)
    state = guard.state
    guard.close()
    if state == GuardState():
        _remove(folder / _DB)
        path.unlink()


def _remove(folder: Path) -> None:
    # Imported here and above, so that the opening of a store that is in order, which every command does, is quick.
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _exists(folder: Path) -> StoreError:
    return StoreError(
        f"{folder} holds a ledger already, or what guards one",
        reason=StoreReason.EXISTS,
        hint="nothing is ever overwritten: move the folder away if it is really not wanted",
    )


def _link_or_copy(source: str, target: str) -> object:
    import shutil

    if source.endswith((".ldb", ".sst")):
        try:
            os.link(source, target)
        except OSError:
            return shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)


def _allocate(path: Path, size: int) -> None:
    """Make a file that really takes `size` bytes of the disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.write(descriptor, bytes(size))
    finally:
        os.close(descriptor)


def _free_bytes(folder: Path) -> int:
    if hasattr(os, "statvfs"):
        info = os.statvfs(folder)
        return info.f_bavail * info.f_frsize
    import shutil

    return shutil.disk_usage(folder).free
