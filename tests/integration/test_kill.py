"""A node that is killed at any moment loses nothing it has confirmed, and never says two things.

Three partners seal and write without pause while one of them after another, sometimes two at once, is killed with
SIGKILL: while it signs, votes, stores a block, starts up. What was confirmed is counted by those who asked for it, not
by the node.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tallystick.node.guard import FileGuard, GuardState
from tests.integration.computers import Computer, agree, charter, computers, gather, until
from tests.integration.disks import check_stores

KILLS = 30
#: The moments of the kills; what the nodes are doing then is up to the machine.
SEED = 20260301


class Writer:
    """Somebody who writes on one computer all the time, and remembers what was confirmed."""

    def __init__(self, computer: Computer) -> None:
        self.computer = computer
        self.confirmed: list[str] = []
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=computer.name)

    def _work(self) -> None:
        client = Client(self.computer.home, Options())
        key = self.computer.key
        units = 0
        while not self._stop.wait(0.02):
            units += 1
            try:
                answer = client.ask_node("offer", {"step": "roast", "units": units}, key)
            except NodeError as error:
                # Killed in the middle of it, or not there yet: nothing was promised.
                if error.reason not in ("no-node", "node-gone"):
                    self.refused.append(f"{error.reason}: {error.message}")
                continue
            self.confirmed.append(answer["entry"])

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(30)


def guard_of(computer: Computer) -> GuardState:
    """What the guard of a computer remembers, while its node is dead."""
    (ledger,) = computer.home.ledgers()
    guard = FileGuard.open(computer.home.ledger_path(ledger) / "guard")
    try:
        return guard.state
    finally:
        guard.close()


class Reaper:
    """Kills nodes and starts them again, and sees to it that their guards only rise."""

    def __init__(self, everybody: list[Computer], luck: random.Random) -> None:
        self._everybody = everybody
        self._luck = luck
        self._guards = {each.name: GuardState() for each in everybody}
        self.kills = 0
        self.kills_at_start = 0

    def strike(self) -> None:
        """Kill one or two at a random moment; in one of four cases again while they start."""
        victims = self._luck.sample(self._everybody, self._luck.choice((1, 1, 1, 2)))
        peers = [arg for each in self._everybody if each not in victims for arg in ("--peer", each.addresses[0])]
        self._wait(self._luck.uniform(0.0, 0.9))
        self._kill(victims)
        for each in victims:
            each.launch(*peers)
        if self._luck.random() < 0.25:
            self._wait(self._luck.uniform(0.2, 0.9))
            self.kills_at_start += len(victims)
            self._kill(victims)
            for each in victims:
                each.launch(*peers)
        for each in victims:
            each.ready()

    def _wait(self, length_s: float) -> None:
        deadline = time.monotonic() + length_s
        until(lambda: time.monotonic() >= deadline, "time passes")

    def _kill(self, victims: list[Computer]) -> None:
        for victim in victims:
            assert victim.end(signal.SIGKILL) == -signal.SIGKILL, f"{victim.name} had ended: {victim.tail()}"
            self.kills += 1
            state = guard_of(victim)
            before = self._guards[victim.name]
            assert not state.is_restored
            assert state.vote >= before.vote
            assert state.seq >= before.seq
            assert state.batch >= before.batch
            self._guards[victim.name] = state


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_nodes_lose_nothing_and_never_contradict_themselves(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every confirmed entry is sealed everywhere, no number is used twice, nobody voted twice, all roots are equal."""
    luck = random.Random(SEED)
    with computers(tmp_path, "Ana", "Bo", "Cy") as everybody:
        gather(everybody, charter("1s"))
        height = everybody[0].status()["height"]
        writers = [Writer(each) for each in everybody]
        reaper = Reaper(everybody, luck)
        with writers[0].writing(), writers[1].writing(), writers[2].writing():
            while reaper.kills < KILLS:
                reaper.strike()
        row = agree(everybody, 40.0)
        assert row["mute"] is False
        assert row["height"] > height + 5, "blocks were sealed all the time"
        for each in everybody:
            assert each.end() == 0
        confirmed = {entry for writer in writers for entry in writer.confirmed}
        record_property("kills", f"{reaper.kills}, {reaper.kills_at_start} of them during a start")
        record_property("confirmed", len(confirmed))
        record_property("blocks", row["height"] - height)
        assert [writer.refused for writer in writers] == [[], [], []]
        assert min(len(writer.confirmed) for writer in writers) > 50
        check_stores(everybody, confirmed)
        for each in everybody:
            answer = each.done("verify")
            assert answer["ok"] is True
            assert answer["state_root"] == row["state_root"]
            assert "contradiction" not in each.log.read_text()
            assert "mute" not in each.log.read_text()
            assert "Traceback" not in each.log.read_text()
