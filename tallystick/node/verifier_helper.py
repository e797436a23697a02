"""Processes that judge signatures while this one has its hands full: beside a loop that is busy, threads wait for the
interpreter lock most of the time.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio

import tallystick
from tallystick.node.effects import Check
from tallystick.node.verifier_process import CHECKSUM_BYTES, answer_to, question

log = logging.getLogger("tallystick.node")

#: Room for questions on their way, where the system gives it: the process has work while the loop is busy.
_PIPE_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024
#: A process that has answered nothing for so long though it was asked is not waited for any longer: it was stopped, or
#: hangs. What it was asked takes far less than a second.
PATIENCE_S: Final = 10.0

Answer = Callable[[list[bool] | None], None]
"""Told the verdicts, or None where the process is gone."""


class Helper:
    """One such process. Questions are answered in their order."""

    def __init__(self) -> None:
        self.load = 0
        """Signatures that are not judged yet."""
        self.is_alive = True
        self.started = trio.Event()
        """The process runs."""
        self._outbox: deque[bytes] = deque()
        """What the pipe has not taken yet."""
        self._pipe: int | None = None
        """Its descriptor, which does not block, while the process runs and nothing is being written."""
        self._waiting: deque[tuple[bytes, int, Answer]] = deque()
        """Questions, how many signatures they are about, and who waits."""
        self._answered = 0
        self._work = trio.Event()

    def ask(self, checks: Sequence[Check], answer: Answer) -> None:
        """Have these judged. Only while it is alive."""
        self.load += len(checks)
        asked = question(checks)
        self._waiting.append((asked, len(checks), answer))
        # At once, as far as the pipe takes it: the loop may have its hands full with a block before it writes again.
        rest = asked if self._outbox or self._pipe is None else _written(self._pipe, asked)
        if rest:
            self._outbox.append(rest)
            self._work.set()

    def end(self) -> None:
        """Let it go when everything is answered."""
        self.is_alive = False
        self._work.set()

    async def run(self) -> None:
        """Start the process and serve it to its end; what it leaves is answered with None. Never raises."""
        process: trio.Process | None = None
        try:
            process = await trio.lowlevel.open_process(
                # Not from the working folder, which may hold anything.
                [sys.executable, "-P", "-m", "tallystick.node.verifier_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
            )
            _widen(process)
            self.started.set()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all, process)
                nursery.start_soon(self._watch, nursery.cancel_scope)
                await self._read_all(process)
                nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as group:
            log.warning("no helper for signatures: %r", group.exceptions[0])
        finally:
            self.is_alive = False
            if process is not None:
                process.kill()
                with trio.CancelScope(shield=True):
                    for stream in (process.stdin, process.stdout):
                        if stream is not None:
                            await stream.aclose()
                    await process.wait()
        for _, _, answer in self._waiting:
            answer(None)

    async def _watch(self, scope: trio.CancelScope) -> None:
        """End it when it does not answer, or does not go when it is let go."""
        # Twice, for a loop that was held up itself may not have read yet what has come.
        quiet = 0
        while quiet < 2:
            answered, is_due = self._answered, bool(self._waiting) or not self.is_alive
            await trio.sleep(PATIENCE_S / 2)
            quiet = quiet + 1 if is_due and answered == self._answered else 0
        if self._waiting:
            log.warning("a helper for signatures does not answer")
        scope.cancel()

    async def _write_all(self, process: trio.Process) -> None:
        stdin = process.stdin
        assert stdin is not None
        try:
            while True:
                while self._outbox:
                    await stdin.send_all(self._outbox.popleft())
                if not self.is_alive:
                    await stdin.aclose()
                    return
                self._work = trio.Event()
                self._pipe = stdin.fileno() if isinstance(stdin, trio.lowlevel.FdStream) else None
                try:
                    await self._work.wait()
                finally:
                    # It may be closed next, and its number become that of another file.
                    self._pipe = None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a helper for signatures is gone")

    async def _read_all(self, process: trio.Process) -> None:
        """Hand its answers on, until it ends or says what is no answer."""
        stdout = process.stdout
        assert stdout is not None
        rest = b""
        while data := await stdout.receive_some(_READ_BYTES):
            rest += data
            while self._waiting and len(rest) >= CHECKSUM_BYTES + self._waiting[0][1]:
                asked, count, answer = self._waiting[0]
                size = CHECKSUM_BYTES + count
                verdicts = rest[CHECKSUM_BYTES:size]
                if rest[:size] != answer_to(asked, verdicts) or not {0, 1}.issuperset(verdicts):
                    log.warning("a helper for signatures says what is no answer")
                    return
                self._waiting.popleft()
                self.load -= count
                self._answered += 1
                rest = rest[size:]
                answer([byte == 1 for byte in verdicts])
            if rest and not self._waiting:
                log.warning("a helper for signatures answers what nobody has asked")
                return


def _written(pipe: int, data: bytes) -> bytes:
    """What is left of these bytes when as many are written as the pipe takes now."""
    try:
        return data[os.write(pipe, data) :]
    except OSError:
        # It is full; or the process is gone, which whoever waits for its end will see.
        return data


def _environment() -> dict[str, str]:
    """Ours, in which this very package is found first: it may be a folder that nobody has installed."""
    paths = [str(Path(tallystick.__file__).parent.parent)]
    if before := os.environ.get("PYTHONPATH"):
        # What it needs may be there.
        paths.append(before)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _widen(process: trio.Process) -> None:
    """Give the questions more room, where that can be done."""
    if sys.platform == "linux" and isinstance(process.stdin, trio.lowlevel.FdStream):
        import fcntl

        try:
            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError as error:
            log.debug("pipes stay as they are: %r", error)
