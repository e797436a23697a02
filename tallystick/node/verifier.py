"""Signatures judged on two threads while the loop goes on: libsodium lets go of the interpreter lock.

A batch goes to one thread as a whole, so that handing it over costs little, and while one is judged the next can be
read. The answers come in the order of the questions: what follows an entry is never told of before it.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from tallystick.crypto.signatures import is_valid
from tallystick.node.effects import Check, Verified, Verify

if TYPE_CHECKING:
    from tallystick.node.core import Event

THREADS: Final = 2
#: Signatures of a batch that are judged in the loop itself: handing them to a thread would take longer.
INLINE_CHECKS_MAX: Final = 3
#: A batch from this size on is shared between the threads if nothing else is being judged.
SHARED_CHECKS_MIN: Final = 16


class _Job:
    """A batch in the hands of the threads."""

    __slots__ = ("effect", "left", "parts")

    def __init__(self, effect: Verify, parts: int) -> None:
        self.effect = effect
        self.parts: list[list[bool]] = [[] for _ in range(parts)]
        self.left = parts

    def verdicts(self) -> list[bool]:
        return [verdict for part in self.parts for verdict in part]


class Verifier:
    """Answers `Verify` with `Verified`, through `answer`, in the order they were asked."""

    def __init__(self, answer: Callable[[Event], None]) -> None:
        self._answer = answer
        self._jobs: deque[_Job] = deque()
        self._limiter = trio.CapacityLimiter(THREADS)
        self._nursery: trio.Nursery | None = None

    def start(self, nursery: trio.Nursery) -> None:
        """Use threads from now on, for as long as this nursery lives; before that everything is judged at once."""
        self._nursery = nursery

    def judge(self, effect: Verify) -> None:
        """Judge these signatures."""
        checks = effect.checks
        if self._nursery is None or (len(checks) <= INLINE_CHECKS_MAX and not self._jobs):
            self._answer(Verified(effect.job, verdicts_of(checks)))
            return
        is_shared = len(checks) >= SHARED_CHECKS_MIN and not self._jobs
        job = _Job(effect, THREADS if is_shared else 1)
        self._jobs.append(job)
        size = -(-len(checks) // len(job.parts))
        for number in range(len(job.parts)):
            self._nursery.start_soon(self._run, job, number, checks[number * size : (number + 1) * size])

    async def _run(self, job: _Job, number: int, checks: list[Check]) -> None:
        job.parts[number] = await trio.to_thread.run_sync(verdicts_of, checks, limiter=self._limiter)
        job.left -= 1
        while self._jobs and not self._jobs[0].left:
            done = self._jobs.popleft()
            self._answer(Verified(done.effect.job, done.verdicts()))


def verdicts_of(checks: Sequence[Check]) -> list[bool]:
    """The verdicts on signatures, in their order."""
    return [is_valid(key, message, signature) for key, message, signature in checks]
