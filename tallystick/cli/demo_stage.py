"""What the demo is played on: partners with homes and node processes, and a stage that shows what they do.

Commands run as processes, exactly as typed. Waiting asks the running nodes, and has an end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tallystick.cli import output
from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tallystick.node.home import Home

WAIT_S: Final = 20.0
COMMAND_S: Final = 40.0
_STEP_S: Final = 0.03
#: Sealing for computers that lie on one table: nobody waits ten seconds for a proposal.
_CONFIG: Final = """\
listen = ["/ip4/127.0.0.1/tcp/0"]
mdns = false

[sealing]
propose = "2s"
propose-step = "1s"
vote = "1s"
vote-step = "500ms"
status = "500ms"
present = "5s"
"""


class DemoError(Exception):
    """Something is not as the demo says it is."""


class Stage:
    """Where it happens: a folder, the people, and what is shown."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        self.folder = folder
        self._quiet = quiet
        self._partners: list[Partner] = []
        self._began = time.monotonic()

    def people(self, *names: str) -> list[Partner]:
        """Partners with keys of their own."""
        self._partners = [Partner(self, name) for name in names]
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(Partner.init, self._partners))
        for partner in self._partners:
            self.line(partner.name, "tally init --name " + partner.name, "keys made, sealed by a passphrase")
        return self._partners

    def title(self, text: str) -> None:
        if not self._quiet:
            output.result(f"\n{text}")

    def say(self, text: str) -> None:
        if not self._quiet:
            output.result(f"  {text}")

    def line(self, who: str, command: str, result: str) -> None:
        """What somebody typed, and what came of it."""
        if not self._quiet:
            output.result(f"{time.monotonic() - self._began:5.1f}s {who.lower():>4}$ {command:<46} {result}".rstrip())

    def expect(self, holds: bool, good: str, bad: str) -> None:
        """Raises DemoError unless it holds."""
        if not holds:
            raise DemoError(bad)
        if good:
            self.say(good)

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so. Raises DemoError if it is not in time."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not within {WAIT_S:.0f} s")
            time.sleep(_STEP_S)

    def all_know(self, entry: str, kind: str, partners: Sequence[Partner]) -> None:
        """Wait until an entry has reached these partners."""
        for partner in partners:
            self.until(lambda partner=partner: partner.has(entry), f"the {kind} reaches {partner.name}")  # type: ignore[misc]

    def seal(self, partner: Partner, everybody: Sequence[Partner]) -> None:
        """Somebody asks for a block; wait until all have it."""
        height = max(each.status()["height"] for each in everybody)
        # A block is a function of what its sealers have: let them have everything first.
        self.until(lambda: len({each.status()["pending"] for each in everybody}) == 1, "everybody has everything")
        partner.tally("seal", show=("seal",), quiet=True)
        self.until(lambda: all(each.status()["height"] > height for each in everybody), f"block {height + 1} is sealed")
        row = partner.read("blocks", {"limit": 1})[-1]
        self.line(partner.name, "tally seal", f"#{row['height']}: {row['entries']} entries, {row['votes']} votes")

    def agree(self, everybody: Sequence[Partner]) -> None:
        """Wait until nothing is pending and all are at one height."""

        def is_so() -> bool:
            rows = [each.status() for each in everybody]
            return len({row["height"] for row in rows}) == 1 and not any(row["pending"] for row in rows)

        self.until(is_so, "all nodes are at one height with nothing pending")

    def end(self) -> None:
        """Stop every node that still runs."""
        for partner in self._partners:
            partner.stop(shown=False)


class Partner:
    """One person, with a computer."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        self._path = stage.folder / name.lower()
        self._passphrase = stage.folder / f"{name.lower()}.passphrase"
        self._node: subprocess.Popen[str] | None = None

    def init(self) -> None:
        """Keys, recovery words in a file, and settings for one table."""
        self._passphrase.write_text(f"the passphrase of {self.name}\n", encoding="utf-8")
        self._passphrase.chmod(0o600)
        words = self._stage.folder / f"{self.name.lower()}.words"
        self._run("init", "--name", self.name, "--words-file", str(words))
        (self._path / "config.toml").write_text(_CONFIG, encoding="utf-8")

    # -- commands ------------------------------------------------------------------------------------------------------

    def tally(self, *args: str, show: Sequence[str] = (), quiet: bool = False) -> dict[str, Any]:
        """Type a command; its answer. Raises DemoError where it ends with an error."""
        answer: dict[str, Any] = json.loads(self._run("--json", "--yes", *args))
        if not quiet:
            shown = " ".join(arg[:8] if len(arg) == 64 else f'"{arg}"' if " " in arg else arg for arg in show or args)
            self._stage.line(self.name, f"tally {shown}", _outcome(answer))
        return answer

    def text(self, *args: str) -> str:
        """What a command prints for people."""
        return self._run(*args)

    def show(self, *args: str) -> None:
        """Type a command, and show what it prints."""
        self._stage.line(self.name, f"tally {' '.join(args)}", "")
        for line in self.text(*args).rstrip().splitlines():
            self._stage.say(line)

    def _run(self, *args: str) -> str:
        done = subprocess.run(  # noqa: S603 - this very program, with words of our own
            [sys.executable, "-m", "tallystick", "--home", str(self._path), "-q", *args],
            env={**os.environ, "TALLY_PASSPHRASE_FILE": str(self._passphrase), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"{self.name}: tally {' '.join(args)[:80]}: {done.stderr.strip()[:400]}")
        return done.stdout

    # -- the node ------------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Start the node of this computer."""
        log = (self._stage.folder / f"{self.name.lower()}.log").open("a", encoding="utf-8")
        with log:
            self._node = subprocess.Popen(  # noqa: S603 - as above
                [sys.executable, "-m", "tallystick", "--home", str(self._path), "--json", "node"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        if wait:
            self.is_up()

    def is_up(self) -> None:
        """Wait until the node says that it runs."""
        assert self._node is not None and self._node.stdout is not None
        if not self._node.stdout.readline():
            log = self._stage.folder / f"{self.name.lower()}.log"
            raise DemoError(f"the node of {self.name} does not start: {log.read_text(encoding='utf-8')[-400:]}")
        self._stage.line(self.name, "tally node &", f"runs as process {self._node.pid}")

    def stop(self, *, shown: bool = True) -> None:
        """Stop the node as Ctrl-C does."""
        self._end(signal.SIGINT, "stopped" if shown else "")

    def kill(self) -> None:
        """The computer dies: the node gets no chance to say goodbye."""
        self._end(signal.SIGKILL, "killed with SIGKILL")

    def _end(self, number: int, shown: str) -> None:
        node, self._node = self._node, None
        if node is None:
            return
        node.send_signal(number)
        try:
            node.wait(10)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        if node.stdout is not None:
            node.stdout.close()
        if shown:
            self._stage.line(self.name, "", f"the node is {shown}")

    # -- what is known here --------------------------------------------------------------------------------------------

    def read(self, op: str, args: dict[str, Any] | None = None) -> Any:
        """The answer to a question, from the running node or the store."""
        return Client(Home(self._path), Options()).read(op, args or {})

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.read("status")
        return answer

    def has(self, entry: str) -> bool:
        try:
            self.read("show", {"id": entry})
        except NodeError:
            return False
        return True

    def deal(self, deal: str) -> dict[str, Any]:
        """A deal as this partner sees it; empty where it has not heard of it."""
        return next((row for row in self.read("deals") if row["deal"] == deal), {})

    def knows(self, deal: str, status: str) -> None:
        """Wait until a deal has this status here."""
        self._stage.until(
            lambda: self.deal(deal).get("status") == status, f"{self.name} sees deal {deal[:8]} as {status}"
        )

    def knows_member(self, name: str, status: str) -> None:
        """Wait until somebody is `applicant` or `active` here."""

        def is_so() -> bool:
            try:
                rows = self.read("partners")
            except NodeError:
                return False
            return any(row["name"] == name and row["status"] == status for row in rows)

        self._stage.until(is_so, f"{self.name} sees {name} as {status}")


def _outcome(answer: dict[str, Any]) -> str:
    status = answer.get("status")
    if status == "sealed":
        return f"{answer['kind']} {answer['entry'][:8]}: sealed in #{answer['height']}"
    if status == "pending":
        return f"{answer['kind']} {answer['entry'][:8]}: pending"
    if "ok" in answer:
        return "ok" if answer["ok"] else "NOT ok"
    return ""
