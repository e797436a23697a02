"""Signatures judged while the loop goes on: on two threads, or by two processes where there are very many.

libsodium lets go of the interpreter lock, but beside a loop that is busy each thread waits for it after every
signature. So as soon as much waits, as when a ledger is fetched, helpers are started; they go when they idle.

A batch goes to one of them as a whole, so that handing it over costs little, and while one is judged the next can be
read. The answers come in the order of the questions: what follows an entry is never told of before it.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from tallystick.crypto.signatures import is_valid
from tallystick.node.effects import Check, Verified, Verify

if TYPE_CHECKING:
    from tallystick.node.core import Event
    from tallystick.node.verifier_helper import Helper

THREADS: Final = 2
#: Signatures of a batch that are judged in the loop itself: handing them to a thread would take longer.
INLINE_CHECKS_MAX: Final = 3
#: A batch from this size on is shared between the threads if nothing else is being judged.
SHARED_CHECKS_MIN: Final = 16
#: With so many signatures waiting helpers are worth their start.
HELPED_CHECKS_MIN: Final = 256
#: A helper that has so many to judge is asked about more only when there are as many: a question costs its way.
ASKED_CHECKS: Final = 256
#: Helpers that had nothing to do for so long go.
IDLE_S: Final = 10.0


class _Job:
    """A batch in the hands of others."""

    __slots__ = ("effect", "left", "parts")

    def __init__(self, effect: Verify, parts: int) -> None:
        self.effect = effect
        self.parts: list[list[bool]] = [[] for _ in range(parts)]
        self.left = parts

    def verdicts(self) -> list[bool]:
        return [verdict for part in self.parts for verdict in part]


class _Part(NamedTuple):
    """A batch, or half of one, for one helper."""

    job: _Job
    number: int
    checks: list[Check]


class Verifier:
    """Answers `Verify` with `Verified`, through `answer`, in the order they were asked."""

    def __init__(self, answer: Callable[[Event], None]) -> None:
        self._answer = answer
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        """Signatures that are being judged."""
        self._limiter = trio.CapacityLimiter(THREADS)
        self._nursery: trio.Nursery | None = None
        self.helpers: list[Helper] = []
        self._gathered: list[_Part] = []
        """What is for a helper and not handed to one yet: all of them have enough to do."""
        self._may_help = can_help()
        """False once a helper has failed: then threads do all."""

    def start(self, nursery: trio.Nursery) -> None:
        """Use threads from now on, for as long as this nursery lives; before that everything is judged at once."""
        self._nursery = nursery

    def judge(self, effect: Verify) -> None:
        """Judge these signatures."""
        checks = effect.checks
        if self._nursery is None or (len(checks) <= INLINE_CHECKS_MAX and not self._jobs):
            self._answer(Verified(effect.job, verdicts_of(checks)))
            return
        self._waiting += len(checks)
        if self._may_help and not self.helpers and self._waiting >= HELPED_CHECKS_MIN:
            self._call_helpers(self._nursery)
        is_shared = len(checks) >= SHARED_CHECKS_MIN and not self._jobs
        job = _Job(effect, THREADS if is_shared else 1)
        self._jobs.append(job)
        size = -(-len(checks) // len(job.parts))
        for number in range(len(job.parts)):
            self._hand_out(self._nursery, job, number, checks[number * size : (number + 1) * size])

    def _hand_out(self, nursery: trio.Nursery, job: _Job, number: int, checks: list[Check]) -> None:
        if not self.helpers:
            nursery.start_soon(self._run, job, number, checks)
            return

        self._gathered.append(_Part(job, number, checks))
        self._ask(nursery)

    def _ask(self, nursery: trio.Nursery) -> None:
        """Hand what is gathered to the helper that has least to do, unless it has enough."""
        parts, alive = self._gathered, [helper for helper in self.helpers if helper.is_alive]
        if not alive:
            self._take_back(nursery)
            return
        helper = min(alive, key=lambda helper: helper.load)
        if not parts or (helper.load >= ASKED_CHECKS and sum(len(part.checks) for part in parts) < ASKED_CHECKS):
            return
        self._gathered = []

        def answer(verdicts: list[bool] | None) -> None:
            # First, so that it has work while the loop has its hands full with these.
            self._ask(nursery)
            first = 0
            for job, number, checks in parts:
                if verdicts is None:
                    nursery.start_soon(self._run, job, number, checks)
                else:
                    self._done(job, number, verdicts[first : first + len(checks)])
                    first += len(checks)

        helper.ask([check for part in parts for check in part.checks], answer)

    def _take_back(self, nursery: trio.Nursery) -> None:
        """Nobody is left who could be asked: threads judge what is gathered."""
        parts, self._gathered = self._gathered, []
        for job, number, checks in parts:
            nursery.start_soon(self._run, job, number, checks)

    async def _run(self, job: _Job, number: int, checks: list[Check]) -> None:
        self._done(job, number, await trio.to_thread.run_sync(verdicts_of, checks, limiter=self._limiter))

    def _done(self, job: _Job, number: int, verdicts: list[bool]) -> None:
        job.parts[number] = verdicts
        job.left -= 1
        self._waiting -= len(verdicts)
        while self._jobs and not self._jobs[0].left:
            done = self._jobs.popleft()
            self._answer(Verified(done.effect.job, done.verdicts()))

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _call_helpers(self, nursery: trio.Nursery) -> None:
        from tallystick.node.verifier_helper import Helper

        self.helpers = [Helper() for _ in range(THREADS)]
        for helper in self.helpers:
            nursery.start_soon(self._serve, helper)
        nursery.start_soon(self._release)

    async def _serve(self, helper: Helper) -> None:
        await helper.run()
        if helper in self.helpers:
            # Nobody has sent it away: something is wrong with it, and would be with the next one.
            self._may_help = False
            self._send_away()

    async def _release(self) -> None:
        """Send the helpers away when they have had nothing to do for a while."""
        idle_since = trio.current_time()
        while self.helpers:
            await trio.sleep(IDLE_S / 4)
            if self._jobs:
                idle_since = trio.current_time()
            elif trio.current_time() - idle_since >= IDLE_S:
                self._send_away()

    def _send_away(self) -> None:
        helpers, self.helpers = self.helpers, []
        if self._nursery is not None:
            self._take_back(self._nursery)
        for helper in helpers:
            helper.end()


def can_help() -> bool:
    """Whether another process gains anything, and this program can start one: one that is packed up whole cannot."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)


def verdicts_of(checks: Sequence[Check]) -> list[bool]:
    """The verdicts on signatures, in their order."""
    return [is_valid(key, message, signature) for key, message, signature in checks]
