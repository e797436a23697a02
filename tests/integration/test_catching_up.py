"""A newcomer fetches a long ledger: it says how far it is, and where it was interrupted it goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.node.archive import Archive
from tallystick.node.desk import Desk
from tallystick.node.founding import founding_entry
from tallystick.node.identity import read_identity, read_node_secret
from tallystick.node.local import LocalLedger
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.charter import read_charter
from tests.integration.computers import Computer, agree, charter, computers, join, now_ms, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BLOCKS = 1200
EARLY = 30


def long_ledger(founder: Computer, blocks: int) -> None:
    """Found a ledger and seal many blocks. In memory, since a disk would be asked ten times for each; then to disk."""
    identity = read_identity(founder.home)
    now = now_ms()
    entry = founding_entry(read_charter(charter("0s")), identity, founder.key, read_node_secret(founder.home), now)
    memory = MemoryStore()
    archive = Archive(memory)
    archive.begin(entry.id)
    archive.keep((entry,), sync=True)
    local = LocalLedger(founder.home, entry.id, archive, now)
    local.settle(now)
    core = local.core()
    desk = Desk(core)
    while core.ledger.head.height < blocks:
        away = core.ledger.head.height % 2
        desk.do("away" if away else "back", {"until": "3d"} if away else {}, founder.key, now_ms())
        local.settle(now_ms(), at_once=True)
    store = founder.home.create_store(entry.id)
    try:
        store.write(list(memory.iterate(prefix=b"")), sync=True)
        state = memory.guard.state
        store.guard.raise_to(vote=state.vote, seq=state.seq)
    finally:
        store.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Computer]]:
    """Ana's node runs with a long ledger; Bo has joined it and has nothing of it yet."""
    with computers(tmp_path, "Ana", "Bo") as both:
        ana, bo = both
        long_ledger(ana, BLOCKS)
        ana.start()
        join(bo, ana.write("invite")["ticket"])
        yield both


def sealed_in(text: str) -> list[int]:
    """Numbers of the blocks that a node says it has made its own, in order."""
    return [int(number) for number in re.findall(r"block (\d+) sealed", text)]


def test_killed_in_the_middle_goes_on_from_the_last_block(pair: list[Computer]) -> None:
    """Twice, at any moment: what was there is there, no block is fetched again, and the end is the same."""
    ana, bo = pair
    said = 0
    had = 0
    for wanted in (EARLY, 4 * EARLY):
        bo.start()
        until(lambda wanted=wanted: bo.status()["height"] >= wanted, f"Bo has {wanted} blocks")
        bo.end(signal.SIGKILL)
        height = bo.status()["height"]
        assert wanted <= height < ana.status()["height"]
        blocks = sealed_in(bo.log.read_text(encoding="utf-8")[said:])
        said = len(bo.log.read_text(encoding="utf-8"))
        assert blocks == list(range(had + 1, had + 1 + len(blocks)))
        # It may have been killed between the disk and the word.
        assert height - blocks[-1] in (0, 1)
        had = height
    bo.start()
    row = agree([ana, bo])
    assert row["height"] >= BLOCKS
    assert sealed_in(bo.log.read_text(encoding="utf-8")[said:])[0] == had + 1
    bo.end()
    assert bo.done("verify")["ok"] is True


def test_node_and_command_say_how_far_it_is(pair: list[Computer]) -> None:
    """`tally status` counts down while the node fetches; `tally sync` draws on stderr and ends when all is there."""
    ana, bo = pair
    target = ana.status()["height"]
    bo.start()
    row = until(lambda: bo.status()["catching_up"], "Bo says that it catches up")
    assert row["target"] >= BLOCKS and 0 < row["blocks"] <= row["target"] and row["rate"] >= 0
    until(lambda: bo.status()["height"] >= target, "Bo has caught up")
    assert bo.status()["catching_up"] is None


def test_command_without_a_node_fetches_all_and_shows_it(pair: list[Computer]) -> None:
    """`tally sync` without a node goes on for as long as something comes; what it says of the way is on stderr."""
    ana, bo = pair
    began = time.monotonic()
    done = subprocess.run(
        [*bo.program(), "--home", str(bo.path), "--json", "sync"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["height"] >= BLOCKS and answer["blocks"] >= BLOCKS
    assert f"of #{ana.status()['height']}" in done.stderr and "left" in done.stderr
    assert time.monotonic() - began < 40
