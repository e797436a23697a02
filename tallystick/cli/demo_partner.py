"""One partner of the demo: a home, a node process, and `tally` as that person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli.client import Client
from tallystick.cli.errors import CommandError
from tallystick.cli.keys import drop_key
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tallystick.node.home import Home

if TYPE_CHECKING:
    from tallystick.cli.demo_stage import Stage

COMMAND_S: Final = 40.0
_STOP_S: Final = 10.0
_SHOWN_WIDTH: Final = 84
_TAIL_CHARACTERS: Final = 600
#: Settings for computers that lie on one table: nobody waits ten seconds for a proposal, and no key is left behind.
_CONFIG: Final = """\
listen = ["/ip4/127.0.0.1/tcp/0"]
mdns = false
unlock = "0s"

[sealing]
propose = "2s"
propose-step = "1s"
vote = "1s"
vote-step = "500ms"
status = "500ms"
present = "5s"
"""


class Partner:
    """One person, with a computer."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        self._path = stage.folder / name.lower()
        self._log = stage.folder / f"{name.lower()}.log"
        self._passphrase = stage.folder / f"{name.lower()}.passphrase"
        self._node: subprocess.Popen[str] | None = None

    def init(self) -> None:
        """Keys, recovery words in a file, and settings for one table."""
        self._passphrase.write_text(f"the passphrase of {self.name}\n", encoding="utf-8")
        self._passphrase.chmod(0o600)
        self._path.mkdir(mode=0o700)
        (self._path / "config.toml").write_text(_CONFIG, encoding="utf-8")
        words = self._stage.folder / f"{self.name.lower()}.words"
        self._run("init", "--name", self.name, "--words-file", str(words))

    # -- commands ------------------------------------------------------------------------------------------------------

    def tally(self, *args: str, show: str = "", says: str = "", quiet: bool = False) -> dict[str, Any]:
        """Type a command; its answer. Raises CommandError where it ends with an error."""
        answer: dict[str, Any] = json.loads(self._run("--json", "--yes", *args))
        if not quiet:
            self.line(f"tally {show or ' '.join(map(_typed, args))}", says)
        return answer

    def text(self, *args: str) -> str:
        """What a command prints for people."""
        return self._run(*args)

    def show(self, *args: str) -> None:
        """Type a command, and show what it prints."""
        self.line(f"tally {' '.join(args)}", "")
        for line in self.text(*args).rstrip().splitlines():
            for part in textwrap.wrap(line, _SHOWN_WIDTH, subsequent_indent="    ", break_long_words=False) or [""]:
                self._stage.say(part)

    def line(self, command: str, says: str) -> None:
        """Show what this partner typed and what came of it."""
        self._stage.line(self.name, command, says)

    def _run(self, *args: str) -> str:
        done = subprocess.run(  # noqa: S603 - this very program, with words of our own
            [sys.executable, "-m", "tallystick", "--home", str(self._path), "-q", *args],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise CommandError("demo-failed", f"{self.name}: tally {' '.join(args)[:80]}: {done.stderr.strip()[:400]}")
        return done.stdout

    def _environment(self) -> Mapping[str, str]:
        """Nothing of the person's own homes and ledgers has a part in this."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
        return {**kept, "TALLY_PASSPHRASE_FILE": str(self._passphrase), "PYTHONIOENCODING": "utf-8"}

    # -- the node ------------------------------------------------------------------------------------------------------

    def start(self, says: str = "listens for the others") -> None:
        """Start the node of this computer and wait for it."""
        self.launch()
        self.wait_until_up(says)

    def launch(self) -> None:
        """Start the node, without waiting for it."""
        with self._log.open("a", encoding="utf-8") as log:
            self._node = subprocess.Popen(  # noqa: S603 - as above
                [sys.executable, "-m", "tallystick", "--home", str(self._path), "--json", "node"],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_until_up(self, says: str = "fetches the ledger") -> None:
        """Wait until the node says that it runs. Raises CommandError where it does not."""
        node = self._node
        if node is None or node.stdout is None or not node.stdout.readline():
            raise CommandError("node-gone", f"the node of {self.name} does not start: {self.log_tail()}")
        self.line("tally node &", f"{says} (process {node.pid})")

    def unlock(self) -> None:
        """Let the node sign for the evening: then no command has to work out the key from the passphrase."""
        self.tally("unlock", "--for", "2h", says="the node may sign for this evening")

    def lock(self) -> None:
        """Take the key away again from where `unlock` left it for this session."""
        drop_key(Home(self._path))

    def stop(self, says: str) -> None:
        """Stop the node as Ctrl-C does."""
        self.ask_to_stop()
        self.make_sure()
        self.line("", f"the node {says}")

    def kill(self) -> None:
        """The computer dies: the node gets no chance to say goodbye."""
        if self._node is not None:
            pid = self._node.pid
            self._node.send_signal(signal.SIGKILL)
            self.make_sure()
            self.line("", f"process {pid} is killed with SIGKILL")

    def ask_to_stop(self) -> None:
        if self._node is not None and self._node.poll() is None:
            self._node.send_signal(signal.SIGINT)

    def make_sure(self) -> None:
        """See the node's process end, whatever it takes."""
        node, self._node = self._node, None
        if node is None:
            return
        try:
            node.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        if node.stdout is not None:
            node.stdout.close()

    def has_died(self) -> bool:
        """Whether the node has ended though nobody stopped it."""
        return self._node is not None and self._node.poll() is not None

    def log_tail(self) -> str:
        """The last that the node has said."""
        return self._log.read_text(encoding="utf-8")[-_TAIL_CHARACTERS:] if self._log.exists() else ""

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


def _typed(arg: str) -> str:
    """An argument as somebody types it: ids by their first digits, words in quotes."""
    if len(arg) == 64:
        return arg[:8]
    return f'"{arg}"' if " " in arg else arg
