"""Sealing messages of others that lie on the disk while their height is open, in bounded room.

A height may stay open for weeks, and a sealer may sign another READY or proposal every moment: all but a few are
displaced by its next one where the votes are counted, and so they are here.

Source: docs/spec/finality.md#limits
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tallystick.protocol.sealing import read_sealing_untrusted

if TYPE_CHECKING:
    from tallystick.node.archive import Archive

#: So much may lie here that has been displaced since.
STALE_BYTES_MAX: Final = 32 * 1024 * 1024


class KeptMessages:
    """What is kept of one height after the other."""

    def __init__(self, archive: Archive, own: bytes) -> None:
        """`own` is our node key: what it has signed lies in the record."""
        self._archive = archive
        self._own = own
        self._size = 0
        self._limit = STALE_BYTES_MAX

    def begin(self, height: int) -> list[bytes]:
        """What was kept of a height before."""
        messages = self._archive.kept_messages(height)
        self._size = sum(map(len, messages))
        self._limit = STALE_BYTES_MAX
        return messages

    def keep(self, height: int, message: bytes, all_known: Callable[[], list[bytes]]) -> None:
        """Keep one more; when there are too many only `all_known`, which are those that count still."""
        self._archive.keep_message(height, message)
        self._size += len(message)
        if self._size > self._limit:
            rows = [each for each in all_known() if read_sealing_untrusted(each).signer != self._own]
            self._archive.replace_messages(height, rows)
            self._size = sum(map(len, rows))
            self._limit = self._size + STALE_BYTES_MAX
