"""A running node under attack by a program of its own, while an honest partner trades through it all the time.

Each limit of the protocol is broken once over real libp2p. What is looked at: the stated consequence, the memory of the
attacked process, and how long an honest entry takes meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tallystick.node.intake import ORPHANS_MAX, PENDING_PER_DEVICE_MAX
from tallystick.protocol.block import ENTRIES_MAX
from tests.integration.computers import Computer, agree, charter, computers, gather, until
from tests.integration.hostile import ATTACKS

#: Whoever does this is hung up on, and may come back.
HUNG_UP = ("frame_too_long", "wrong_ledger", "lying_heads")
#: Whoever does this is hung up on, and left alone.
BLAMED = (
    "beyond_credit",
    "not_canonical",
    "too_deep",
    "before_hello",
    "header_too_long",
    "annex_too_long",
    "forged_entry",
    "forged_vote",
)
#: What an honest node might do as well, if not as much of it: it may stay, and its share is bounded.
BOUNDED = ("votes_of_nobody", "orphans", "own_flood", "far_ahead", "slow_reader", "parts_without_end")
#: What the two who flood may leave pending, and what others write meanwhile.
PENDING_MAX = 2 * (PENDING_PER_DEVICE_MAX + ENTRIES_MAX) + 500
#: So much more than before the attacks, all together.
GROWTH_MIB_MAX = 64


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

    def _has(self, there: Client, entry: str) -> bool:
        try:
            there.ask_node("show", {"id": entry}, method="GET")
        except NodeError as error:
            if error.reason != "not-found":
                raise
            return False
        return True


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_node_under_attack_serves_the_honest_and_stays_small(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every breach has its consequence, memory is bounded, and what an honest partner writes arrives meanwhile."""
    assert {*HUNG_UP, *BLAMED, *BOUNDED} == {*ATTACKS}
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        gather([ana, bo], charter("1s"))
        attacker = Attacker(ana.write("invite", uses=1000)["ticket"], tmp_path / "hostile.log")
        customer = Customer(bo, ana)
        try:
            for what in ATTACKS:
                joined = attacker.order(do="join", name=what)["entry"]
                until(lambda joined=joined: ana.has(joined), "the newcomer is known")
                ana.write("admit", partner=joined)
            before, height = ana.memory_mib(), ana.status()["height"]
            with customer.trading():
                for what in ATTACKS:
                    answer = attacker.order(do="attack", what=what, name=what)
                    row = ana.status()
                    record_property(
                        what,
                        f"{answer}, {ana.memory_mib()} MiB, {row['pending']} pending, {row['orphans']} orphans, "
                        f"block {row['height']}",
                    )
                    check_consequence(what, answer)
                    assert row["orphans"] <= ORPHANS_MAX
                    assert row["pending"] <= PENDING_MAX
                assert attacker.order(do="stranger") == {"heard": 0}
                attacker.order(do="sockets", count=300)
            record_property("memory before and after", f"{before} and {ana.memory_mib()} MiB")
            record_property("honest entries, the slowest", f"{len(customer.took_s)}, {max(customer.took_s):.2f} s")
            record_property("blocks meanwhile", ana.status()["height"] - height)
        finally:
            attacker.end()
        assert ana.memory_mib() - before < GROWTH_MIB_MAX
        assert customer.failed == []
        assert len(customer.took_s) > len(ATTACKS)
        # What was flooded is sealed by and by, and what is honest with it.
        row = agree([ana, bo], 180.0)
        assert row["height"] > height + 3
        assert all(bo.read("show", id=entry)["status"] == "sealed" for entry in customer.entries)
        said = ana.log.read_text()
        assert "Traceback" not in said
        assert "mute" not in said


def check_consequence(what: str, answer: dict[str, Any]) -> None:
    """Whether the one who did it is where the specification wants it to be."""
    if what in BOUNDED:
        assert answer["back"], what
    else:
        assert (answer["ended"], answer["back"]) == (True, what in HUNG_UP), what
