"""What a node asks of its disk: keys and values in order, one atomic batch a write, nothing wrong ever handed out.

Every stored value begins with a checksum that is bound to its key, so that a flipped bit, and a value that turns up
under another key, are refused and not read. Keys that begin with a zero byte belong to the store itself: the batch
number, and a row for each recent batch by which a hole is found. `layout` is the table of all others.

Source: docs/spec/storage.md
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol
from zlib import crc32

from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.guard import Guard

CHECKSUM_BYTES: Final = 4
OWN: Final = b"\x00"
"""First byte of the store's own keys."""
FIRST_KEY: Final = b"\x01"
"""Below every key that is not the store's own."""


class Store(Protocol):
    """Ordered keys and values. Not thread-safe: one loop owns it."""

    @property
    def guard(self) -> Guard:
        """What this device must never do again; `write` raises its batch number by itself."""
        ...

    @property
    def batch(self) -> int:
        """How many batches were ever written: the number of the last one."""
        ...

    @property
    def is_restored(self) -> bool:
        """Whether confirmed batches are missing: a backup was put back, or the disk forgot what it had confirmed.

        It stays true over restarts until `Guard.trust` is called.
        """
        ...

    @property
    def refusal(self) -> StoreError | None:
        """Why nothing can be written at present; None when all is well."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value of a key. Raises StoreError, with the key, where it is not what was written."""
        ...

    def iterate(
        self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in order of keys, as they are at the time of the call.

        `start` is a whole key: the first one wanted, or with `reverse` the last. Raises StoreError as `get` does.
        """
        ...

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes] = (), *, sync: bool) -> None:
        """Write one batch: all of it or nothing. Deletes come first. With `sync` it outlives a power cut on return.

        Raises StoreError; then the batch may or may not be there, whole, and nothing more is written until the
        store is opened again or resumed.
        """
        ...

    def scrub(self, keys: Iterable[bytes]) -> None:
        """See to it that values which were deleted leave the disk now, and not when it suits the database.

        For words that somebody wants forgotten. Raises StoreError.
        """
        ...

    def freeze(self) -> Store:
        """The store as it is now, only to be read, also by another thread.

        Close it when it is read. It is closed before anything is scrubbed, and with the store.
        """
        ...

    def resume(self) -> bool:
        """Try to write again after the disk was full. Returns whether writing is possible."""
        ...

    def close(self) -> None:
        """Give everything back. May be called twice; nothing else may be called afterwards."""
        ...


def check_key(key: bytes) -> None:
    """Raise ValueError for a key that is no key: our own bug, so no StoreError."""
    if not key or key.startswith(OWN):
        raise ValueError(f"not a key of the store: {key!r}")


def guarded(key: bytes, value: bytes) -> bytes:
    """A value as it is stored: CRC-32 (4 bytes, big-endian) of the key's length, the key and the value; the value."""
    # Started from the length, so that a byte that moves from the value to the key does not go unseen.
    return crc32(value, crc32(key, len(key))).to_bytes(CHECKSUM_BYTES, "big") + value


def unguarded(key: bytes, stored: bytes) -> bytes:
    """The value without its checksum. Raises StoreError where the two do not agree."""
    value = stored[CHECKSUM_BYTES:]
    if crc32(value, crc32(key, len(key))).to_bytes(CHECKSUM_BYTES, "big") != stored[:CHECKSUM_BYTES]:
        raise damaged(key)
    return value


def damaged(key: bytes) -> StoreError:
    return StoreError(f"the stored value of {name_of(key)} is damaged", reason=StoreReason.DAMAGED, key=key)


def name_of(key: bytes) -> str:
    """A key as a person can read it: its letter, then hexadecimal digits or the text it is."""
    if key.startswith(OWN):
        return f"the store's own {key[1:6].decode('ascii', 'backslashreplace')}"
    rest = key[1:]
    text = rest.decode("ascii") if rest.isascii() and rest.decode("ascii").isprintable() else rest.hex()
    return f"{key[:1].decode('ascii', 'backslashreplace')}:{text}"


def bounds(prefix: bytes, start: bytes | None, *, reverse: bool) -> tuple[bytes, bytes | None, bool]:
    """(first key, stop key or None for the end, whether stop is included) of an iteration."""
    low = max(prefix, FIRST_KEY)
    high = _after(prefix)
    if start is None:
        return low, high, False
    if reverse:
        return (low, start, True) if high is None or start < high else (low, high, False)
    return max(low, start), high, False


def _after(prefix: bytes) -> bytes | None:
    """The smallest key above all keys with this prefix; None when there is none."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes([cut[-1] + 1]) if cut else None
