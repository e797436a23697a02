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
from tallystick.node.verifier_process import question

log = logging.getLogger("tallystick.node")

#: Room for questions on their way, where the system gives it: the process has work while the loop is busy.
_PIPE_BYTES: Final = 1024 * 1024
_READ_BYTES: Final = 64 * 1024

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
        self._waiting: deque[tuple[int, Answer]] = deque()
        self._work = trio.Event()

    def ask(self, checks: Sequence[Check], answer: Answer) -> None:
        """Have these judged. Only while it is alive."""
        self.load += len(checks)
        self._waiting.append((len(checks), answer))
        self._outbox.append(question(checks))
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
                env={**os.environ, "PYTHONPATH": str(Path(tallystick.__file__).parent.parent)},
            )
            _widen(process)
            self.started.set()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_all, process)
                await self._read_all(process)
                nursery.cancel_scope.cancel()
        except* OSError as group:
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
        for _, answer in self._waiting:
            answer(None)

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
                await self._work.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a helper for signatures is gone")

    async def _read_all(self, process: trio.Process) -> None:
        stdout = process.stdout
        assert stdout is not None
        rest = b""
        while data := await stdout.receive_some(_READ_BYTES):
            rest += data
            while self._waiting and len(rest) >= self._waiting[0][0]:
                count, answer = self._waiting.popleft()
                verdicts, rest = [byte == 1 for byte in rest[:count]], rest[count:]
                self.load -= count
                answer(verdicts)


def _widen(process: trio.Process) -> None:
    """Give the questions more room, where that can be done."""
    if sys.platform == "linux" and isinstance(process.stdin, trio.lowlevel.FdStream):
        import fcntl

        try:
            fcntl.fcntl(process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError as error:
            log.debug("pipes stay as they are: %r", error)
