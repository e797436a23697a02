"""Signatures judged on two threads while the main one goes on: the verifier releases the interpreter lock.

Source: docs/spec/storage.md#verify
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final

from tallystick.crypto.signatures import is_valid

if TYPE_CHECKING:
    from tallystick.node.verify_rows import Problems
    from tallystick.protocol.signed import Check

THREADS: Final = 2
_BATCH: Final = 128
_BATCHES_MAX: Final = 64
"""Batches that may wait: entries must not pile up where reading is faster than judging."""

Named = tuple[str, "Check"]


class Signatures:
    """Takes signatures with the name of what they are of, and names those that do not hold."""

    def __init__(self, problems: Problems) -> None:
        self.count = 0
        """How many were judged."""
        self._problems = problems
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._flying: deque[tuple[Future[list[str]], int | None]] = deque()

    def submit(self, checks: Iterable[Named], height: int | None) -> None:
        """Have these judged; `height` is the block they belong to."""
        rest = iter(checks)
        while batch := list(islice(rest, _BATCH)):
            self.count += len(batch)
            self._flying.append((self._pool.submit(_judge, batch), height))
            if len(self._flying) > _BATCHES_MAX:
                self._take()

    def finish(self) -> None:
        """Wait for all that was submitted."""
        while self._flying:
            self._take()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _take(self) -> None:
        future, height = self._flying.popleft()
        for where in future.result():
            self._problems.add(where, "a signature of it does not hold", height)


def _judge(batch: list[Named]) -> list[str]:
    return [where for where, check in batch if not is_valid(check.key, check.message, check.signature)]
