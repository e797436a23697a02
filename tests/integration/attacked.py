"""A node under attack, as the tests see it: the hostile program, and the honest partner who goes on working."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tests.integration.computers import Computer


class Attacker:
    """The hostile program."""

    def __init__(self, ticket: str, log: Path) -> None:
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.hostile", ticket],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log = log

    def order(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self._log.read_text()[-3000:]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Customer:
    """Writes at an honest node, and looks until it has arrived at the attacked one."""

    def __init__(self, at: Computer, through: Computer) -> None:
        self._at, self._through = at, through
        self.took_s: list[float] = []
        self.entries: list[str] = []
        self.failed: list[str] = []

    @contextmanager
    def trading(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._work, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)

    def _work(self, stop: threading.Event) -> None:
        there = Client(self._through.home, Options())
        while not stop.wait(0.1):
            began = time.monotonic()
            try:
                entry = self._at.write("offer", step="roast", units=1)["entry"]
                while not self._has(there, entry) and not stop.wait(0.02):
                    continue
            except NodeError as error:
                self.failed.append(f"{error.reason}: {error.message}")
                return
            if not stop.is_set():
                self.took_s.append(time.monotonic() - began)
            self.entries.append(entry)

    def is_done(self) -> bool:
        """Whether all that it wrote is sealed, at the attacked node."""
        return all(self._through.read("show", id=entry)["status"] == "sealed" for entry in self.entries)

    def _has(self, there: Client, entry: str) -> bool:
        try:
            there.ask_node("show", {"id": entry}, method="GET")
        except NodeError as error:
            if error.reason != "not-found":
                raise
            return False
        return True
