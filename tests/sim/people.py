"""Short ways of saying what people do in a simulated cluster, and twins of their machines."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.node.archive import Archive
from tallystick.node.core import NodeCore
from tallystick.node.errors import NodeError
from tallystick.node.guard import MemoryGuard
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.sim.cluster import Cluster, Machine
from tests.sim.scenario import CHARTER


def partners(cluster: Cluster, *names: str, seal: bool = True) -> None:
    """The first founds; the others come in one after the other, and all seal."""
    first, *others = names
    cluster.found(CHARTER, first)
    for name in others:
        machine = cluster.join(name, first)
        cluster.connect_all()
        cluster.run(1000)
        member = machine.acknowledged[0].hex()
        for other in names[: names.index(name)]:
            cluster.do(other, "admit", {"partner": member, "sealer": seal}) if seal or other == first else None
            if not seal:
                break
        settle(cluster)
        if seal:
            cluster.do(name, "sealer", {"on": True})
            settle(cluster)


def alone_with_partner(cluster: Cluster) -> None:
    """Ana has founded and seals alone, Bo is a partner of hers, all is sealed, and they cannot reach each other now."""
    cluster.found(CHARTER, "ana")
    cluster.join("bo", "ana")
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, 60_000, "joined")
    cluster.do("ana", "admit", {"partner": cluster.machines["bo"].acknowledged[0].hex(), "sealer": False})
    cluster.run_until(cluster.is_settled, 60_000, "admitted")
    cluster.disconnect_all()


def chain_of(cluster: Cluster, name: str, count: int, annex: bytes | None = None) -> list[Entry]:
    """Good entries of one partner, one after the other, that nobody has seen yet."""
    machine = cluster.machines[name]
    head = machine.live.ledger.head
    seq, prev = machine.live.ledger.head_of(machine.secret.public)
    entries: list[Entry] = []
    for number in range(1, count + 1):
        entry = make_entry(
            machine.secret,
            ledger=cluster.ledger_id,
            seq=seq + number,
            prev=prev,
            links=(cluster.ledger_id,),
            seal=(head.height, head.block_id),
            time=cluster.now,
            kind="withdraw",
            body=Withdraw(offer=cluster.ledger_id).to_map(),
            annex=annex,
        )
        prev = entry.id
        entries.append(entry)
    return entries


def settle(cluster: Cluster, within_ms: int = 120_000) -> None:
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, within_ms, "all is sealed")


def offer(cluster: Cluster, name: str, units: int = 1) -> str:
    answer: dict[str, Any] = cluster.do(name, "offer", {"step": "bake", "units": units})
    return str(answer["entry"])


def member(cluster: Cluster, name: str) -> bytes:
    machine = cluster.machines[name]
    row = machine.live.ledger.view(cluster.clock(machine)).devices[machine.secret.public]
    return row.member


def state_of(cluster: Cluster, name: str, entry: str) -> dict[str, Any]:
    row: dict[str, Any] = cluster.do(name, "show", {"id": entry})
    return row


def refused(cluster: Cluster, name: str, op: str, args: dict[str, Any]) -> NodeError:
    with pytest.raises(NodeError) as caught:
        cluster.do(name, op, args)
    return caught.value


def copy_of(machine: Machine) -> MemoryStore:
    """The same data on another disk, guard and all."""
    store = MemoryStore(guard=MemoryGuard(machine.store.guard.state))
    store.restore(machine.store.image())
    return store


def twin_of(cluster: Cluster, store: MemoryStore, name: str = "bo") -> NodeCore:
    machine = cluster.machines[name]
    archive = Archive(store)
    ledger, loose = archive.load(cluster.ledger_id)
    return NodeCore(
        archive=archive,
        ledger=ledger,
        node_key=machine.node,
        device=machine.secret.public,
        now=cluster.now,
        times=cluster.times,
        loose=loose,
    )


def hand(cluster: Cluster, name: str, *entries: Entry) -> None:
    """Somebody hands entries to a node."""
    core = cluster.machines[name].live
    wires = [(entry.header, entry.signature, entry.annex) for entry in entries]
    batch, _ = core.intake.open(wires, b"somebody", cluster.now, asked=True)
    core.take(core.intake.close(batch, [True] * len(batch.entries), cluster.now), b"somebody")
