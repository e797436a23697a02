"""Computers of partners: a home each, a node as a process of its own, and `tally` as it is typed on them.

Everything is real: keys, database, libp2p on loopback at ports that the system chooses, signals. Nothing waits without
an end: what should become so is looked at again and again until a deadline, and a failure tells what the nodes said.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import trio

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.crypto.keys import SecretKey
from tallystick.node import joining
from tallystick.node.archive import Archive
from tallystick.node.errors import NodeError
from tallystick.node.founding import found
from tallystick.node.home import Home
from tallystick.node.identity import create_identity, unseal_device_key
from tallystick.node.ticket import read_ticket_untrusted
from tallystick.protocol.charter import read_charter

WAIT_S = 20.0
COMMAND_S = 40.0
_STEP_S = 0.02
LISTEN = "/ip4/127.0.0.1/tcp/0"
#: Sealing for computers that lie side by side: nobody waits ten seconds for a proposal that does not come.
CONFIG = f"""\
listen = ["{LISTEN}"]
mdns = false

[sealing]
propose = "1s"
propose-step = "500ms"
vote = "500ms"
vote-step = "250ms"
status = "300ms"
present = "5s"
"""
#: Everybody may sell and buy, as much as they like, and two partners are enough to let in a third.
CHARTER: dict[str, Any] = {
    "charter": 1,
    "name": "Table",
    "points": {"pool": 1_000_000_000, "start": 100},
    "membership": {"sponsors": 1},
    "step": [{"id": "roast", "price": 12, "budget": 500_000_000, "max-open": 0}],
    "finality": {"interval": "1d"},
}


def charter(interval: str) -> dict[str, Any]:
    """The charter, with blocks as often as that."""
    return {**CHARTER, "finality": {"interval": interval}}


#: How `tally` is started.
TALLY = (sys.executable, "-m", "tallystick")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Said(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Its result for programs."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """Its error for programs."""
        error: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return error


def pause(step_s: float = _STEP_S) -> None:
    """Let others go on for a moment; whoever calls it looks at a deadline too."""
    threading.Event().wait(step_s)


def until(
    is_so: Callable[[], Any], what: str | Callable[[], str], within_s: float = WAIT_S, step_s: float = _STEP_S
) -> Any:
    """Look until something is so, and return it. Fails at the deadline, and says `what` was not so then."""
    deadline = time.monotonic() + within_s
    while True:
        found = is_so()
        if found:
            return found
        is_late = time.monotonic() >= deadline
        assert not is_late, f"not within {within_s:.0f} s: {what if isinstance(what, str) else what()}"
        pause(step_s)


def command(*args: str | Path, environment: Mapping[str, str] | None = None, program: Sequence[str] = TALLY) -> Said:
    """Run `tally` as a process without a terminal."""
    done = subprocess.run(
        [*program, *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        env={**os.environ, **(environment or {})},
    )
    return Said(done.returncode, done.stdout, done.stderr)


class Computer:
    """One partner's computer."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path = folder / name.lower()
        self.words = f"the passphrase of {name}"
        self.log = folder / f"{name.lower()}.log"
        self.passphrase = folder / f"{name.lower()}.passphrase"
        self.passphrase.write_text(self.words + "\n", encoding="utf-8")
        self.passphrase.chmod(0o600)
        self.process: subprocess.Popen[str] | None = None
        self.addresses: list[str] = []

    def make(self, config: str = CONFIG) -> Computer:
        """Keys and settings."""
        create_identity(Home.create(self.path), name=self.name, passphrase=self.words)
        (self.path / "config.toml").write_text(config, encoding="utf-8")
        return self

    @property
    def home(self) -> Home:
        return Home.open(self.path)

    @cached_property
    def key(self) -> SecretKey:
        """The signing key, unsealed."""
        return unseal_device_key(self.home, self.words)

    # -- commands ------------------------------------------------------------------------------------------------------

    def tally(self, *args: str | Path) -> Said:
        """Type a command here, with the passphrase in a file."""
        return command(
            "--home", self.path, "--json", "-q", *args, environment={"TALLY_PASSPHRASE_FILE": str(self.passphrase)}
        )

    def done(self, *args: str | Path) -> Any:
        """Type a command that has to work; its answer."""
        said = self.tally(*args)
        assert said.code == 0, (args, said)
        return said.value

    def read(self, op: str, **args: Any) -> Any:
        """Ask the running node, or the store; as a command does, without its process."""
        return Client(self.home, Options()).read(op, args)

    def write(self, op: str, **args: Any) -> Any:
        """Have something signed; as a command does, without its process."""
        return Client(self.home, Options()).write(op, args, lambda: self.key, self.key)

    def status(self) -> dict[str, Any]:
        row: dict[str, Any] = self.read("status")
        return row

    def has(self, entry: str) -> bool:
        """Whether an entry is known here."""
        try:
            self.read("show", id=entry)
        except NodeError:
            return False
        return True

    def member(self, name: str) -> dict[str, Any]:
        """A partner as seen here; empty where nobody has that name."""
        try:
            rows = self.read("partners")
        except NodeError:
            return {}
        return next((row for row in rows if row["name"] == name), {})

    # -- the node ------------------------------------------------------------------------------------------------------

    def program(self) -> list[str]:
        """How `tally` is started as a node here."""
        return [*TALLY]

    def launch(self, *args: str) -> None:
        """Start the node, without waiting for it."""
        assert self.process is None or self.process.poll() is not None
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*self.program(), "--home", str(self.path), "--json", "node", *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> None:
        """Wait until the node says that it runs."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the node of {self.name} does not start: {self.tail()}"
        self.addresses = json.loads(line)["addresses"]

    def start(self, *args: str) -> Computer:
        """Start the node and wait for it."""
        self.launch(*args)
        self.ready()
        return self

    def end(self, number: int = signal.SIGTERM, within_s: float = 10.0) -> int:
        """Send the node a signal; its exit code."""
        process = self.process
        assert process is not None
        process.send_signal(number)
        try:
            code = process.wait(within_s)
        finally:
            self.clear()
        return code

    def clear(self) -> None:
        """Nothing of the node is left behind, whatever happened."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def memory_mib(self) -> int:
        """The most memory that the node has had in use since its start: its own, and what it shares with others."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status")
        if status.exists():
            (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) // 1024
        # Elsewhere the system only tells what is in use now.
        told = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True)
        return int(told.stdout) // 1024

    def tail(self) -> str:
        """The last the node has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""

    # -- the store -----------------------------------------------------------------------------------------------------

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        """The store, while no node runs."""
        (ledger,) = self.home.ledgers()
        store = self.home.open_store(ledger, wait_s=5.0)
        try:
            yield Archive(store)
        finally:
            store.close()


@contextmanager
def computers(folder: Path, *names: str, config: str = CONFIG) -> Iterator[list[Computer]]:
    """Computers with keys; at the end their nodes are gone."""
    made = [Computer(folder, name).make(config) for name in names]
    try:
        yield made
    finally:
        for each in made:
            each.clear()


def establish(founder: Computer, document: Mapping[str, Any] = CHARTER) -> None:
    """Found a ledger."""
    found(founder.home, read_charter(dict(document)), founder.key, now_ms())


def join(newcomer: Computer, ticket: str) -> str:
    """Join through a running node, as `tally join` does; the entry."""

    async def work() -> str:
        read = read_ticket_untrusted(ticket)
        async with joining.knocking(newcomer.home, read.addresses) as request:
            terms = await joining.read_terms(newcomer.home, read, request)
            entry = await joining.agree(terms, newcomer.key, request, now_ms())
        return entry.id.hex()

    return trio.run(work)


def gather(everybody: Sequence[Computer], document: Mapping[str, Any] = CHARTER, *, sealing: bool = True) -> None:
    """The first founds and lets the others in; all nodes run then, everything is sealed, and all of them seal."""
    first, *others = everybody
    establish(first, document)
    first.start()
    for newcomer in others:
        join(newcomer, first.write("invite")["ticket"])
        newcomer.launch()
    for newcomer in others:
        newcomer.ready()
    for newcomer in others:
        until(lambda newcomer=newcomer: first.member(newcomer.name), f"{newcomer.name} asks to be let in")
        first.write("admit", partner=newcomer.name, sealer=sealing)
    for each in everybody:
        until(lambda each=each: has_all(each, everybody), f"{each.name} sees everybody")
    seal(everybody)
    if sealing:
        for count, newcomer in enumerate(others, 1):
            newcomer.write("sealer", on=True)
            seal(everybody)
            # Half of those who seal are not enough to let in one more.
            for agreeing in others[: max(0, count // 2)]:
                if len(first.status()["sealers"]) == count:
                    agreeing.write("admit", partner=newcomer.name, sealer=True)
                    seal(everybody)
        assert len(first.status()["sealers"]) == len(everybody)


def has_all(one: Computer, everybody: Iterable[Computer]) -> bool:
    """Whether everybody is a member, as seen here."""
    return all(one.member(each.name).get("status") == "active" for each in everybody)


def seal(everybody: Sequence[Computer], by: Computer | None = None, within_s: float = WAIT_S) -> int:
    """Have sealed what is pending when all have it, and wait until all have the block; its height."""
    # The interval of the charter may be over in this very moment: then there is nothing left to ask for.
    until(
        lambda: len({each.status()["pending"] for each in everybody}) == 1,
        "all have everything",
        within_s,
        _step_s(everybody),
    )
    Client((by or everybody[0]).home, Options()).unsigned("seal", {"wait_s": 10})
    height: int = agree(everybody, within_s)["height"]
    return height


def _step_s(everybody: Sequence[Computer]) -> float:
    """How often many are looked at: asking twenty nodes fifty times a second would be all that a machine does."""
    return _STEP_S * len(everybody)


def agree(everybody: Sequence[Computer], within_s: float = WAIT_S) -> dict[str, Any]:
    """Wait until all are at one height with nothing pending; what the first says then. Their roots are equal."""

    def settled() -> list[dict[str, Any]]:
        rows = [each.status() for each in everybody]
        same = len({row["height"] for row in rows}) == 1 and not any(row["pending"] for row in rows)
        return rows if same else []

    rows = until(settled, "all are at one height with nothing pending", within_s, _step_s(everybody))
    assert len({row["state_root"] for row in rows}) == 1
    first: dict[str, Any] = rows[0]
    return first
