"""A mesh of node processes: everybody writes at the same time, everybody is restarted once, and all end up equal.

A small one is part of `make test`; `make mesh` runs twenty nodes and two thousand entries. Half of the restarts are
SIGKILLs. What a node has confirmed is counted by those who asked for it, not by the node.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.computers import (
    Computer,
    agree,
    charter,
    computers,
    establish,
    has_all,
    join,
    seal,
    until,
)
from tests.integration.disks import check_stores
from tests.integration.trading import ENTRIES_PER_DEAL, Market

NODES = int(os.environ.get("MESH_NODES", "5"))
ENTRIES = int(os.environ.get("MESH_ENTRIES", "100"))
SEALERS = 7
SEED = 20260402
#: What one node may take at most, whatever the size of the mesh.
MEMORY_MIB_MAX = 250
#: Twenty nodes that have two cores between them stop as slowly as they do everything.
STOP_S = 10 + NODES * 3
WITHIN_S = 60 + NODES * 20 + ENTRIES // 5


def assemble(everybody: list[Computer], sealers: int) -> None:
    """The first founds, all others join by tickets through it, and some of them seal as well."""
    first, *others = everybody
    establish(first, charter("5s"))
    first.start()
    ticket = first.write("invite", uses=1000)["ticket"]
    for newcomer in others:
        join(newcomer, ticket)
        newcomer.launch()
    for newcomer in others:
        newcomer.ready()
        until(lambda newcomer=newcomer: first.member(newcomer.name), f"{newcomer.name} asks to be let in", WITHIN_S)
        first.write("admit", partner=newcomer.name)
    for each in everybody:
        until(lambda each=each: has_all(each, everybody), f"{each.name} sees everybody", WITHIN_S, 0.2)
    seal(everybody, within_s=WITHIN_S)
    sealing = others[: sealers - 1]
    for one in sealing:
        one.write("sealer", on=True)
        for agreeing in everybody[:sealers]:
            if agreeing is not one:
                agreeing.write("admit", partner=one.name, sealer=True)
    while len(first.status()["sealers"]) < sealers:
        # A boundary lets in a third of those who seal at most, so it takes some blocks; each needs an entry.
        first.write("offer", step="roast", units=1)
        seal(everybody, within_s=WITHIN_S)


@pytest.mark.slow
@pytest.mark.timeout(3 * WITHIN_S)
def test_a_mesh_of_restarted_nodes_ends_up_equal(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Entries from all sides, every node restarted once: one height, one root, nothing confirmed is lost."""
    luck = random.Random(SEED)
    with computers(tmp_path, *(f"P{number:02}" for number in range(NODES))) as everybody:
        began = time.monotonic()
        assemble(everybody, min(SEALERS, NODES))
        record_property("assembled within s", round(time.monotonic() - began))
        market = Market(everybody, ENTRIES // ENTRIES_PER_DEAL, luck)
        memory = Memory()
        began = time.monotonic()
        with market.open():
            restart_all(everybody, market, memory, luck)
            until(lambda: market.is_over, market.where, WITHIN_S, 0.1)
        assert market.refused == []
        record_property("traded within s", round(time.monotonic() - began))
        row = agree(everybody, WITHIN_S)
        record_property("equal within s", round(time.monotonic() - began))
        for each in everybody:
            memory.look(each)
            assert each.end(within_s=STOP_S) == 0
        record_property("confirmed entries", len(market.confirmed))
        record_property("blocks", row["height"])
        record_property("memory of a node in MiB", str(memory))
        assert len(market.confirmed) >= ENTRIES - NODES
        assert max(memory.peaks) < MEMORY_MIB_MAX
        check_stores(everybody, market.confirmed)
        check_deals(everybody[0], market)
        for each in everybody:
            said = each.log.read_text()
            assert not [word for word in ("Traceback", "contradiction", "mute") if word in said], each.name
        # Every one of them did the same arithmetic; one proves it again from the first entry on.
        answer = luck.choice(everybody).done("verify")
        assert answer["ok"] is True
        assert answer["state_root"] == row["state_root"]


class Memory:
    """The most that each process had in use in its life."""

    def __init__(self) -> None:
        self.peaks: list[int] = []

    def look(self, computer: Computer) -> None:
        self.peaks.append(computer.memory_mib())

    def __str__(self) -> str:
        return f"{min(self.peaks)} to {max(self.peaks)}, in {len(self.peaks)} processes"


def restart_all(everybody: list[Computer], market: Market, memory: Memory, luck: random.Random) -> None:
    """Stop and start everybody once, in random order, spread over the time in which most is written."""
    victims = luck.sample(everybody, len(everybody))
    moments = sorted(luck.uniform(0.05, 0.8) * ENTRIES for _ in victims)
    for number, (victim, moment) in enumerate(zip(victims, moments, strict=True)):
        until(lambda moment=moment: market.is_over or len(market.confirmed) >= moment, market.where, WITHIN_S, 0.1)
        memory.look(victim)
        how = signal.SIGKILL if number % 2 else signal.SIGTERM
        assert victim.end(how, STOP_S) == (-how if how == signal.SIGKILL else 0), victim.tail()
        victim.start()


def check_deals(computer: Computer, market: Market) -> None:
    """Every deal has come to its end, as one of them sees it."""
    ended = [row for row in computer.read("deals") if row["status"] == "approved"]
    assert len(ended) == market.deals
    assert not any(row["pending"] for row in ended)
