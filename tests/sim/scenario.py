"""One evening, or one month, of a venture, drawn from a seed: who is on, who does what, what breaks, and then peace.

Source: docs/spec/simulation.md
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tallystick.node.errors import NodeError
from tests.sim.cluster import Cluster, Machine, SimCrash

NAMES = ("ana", "bo", "cy", "di", "eva", "fay", "gus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go wrong in one run."""

    people: int
    sealers: int
    steps: int
    crash_percent: int
    """Of 1000 synced writes, so many kill the machine, before or after."""
    cut_percent: int
    sleep_percent: int
    skew_ms: int
    delay_ms: tuple[int, int]

    @classmethod
    def draw(cls, random: Random) -> Plan:
        people = random.randint(2, 5)
        return cls(
            people=people,
            sealers=random.randint(1, people),
            steps=random.randint(15, 40),
            crash_percent=random.choice((0, 0, 5, 20)),
            cut_percent=random.choice((0, 10, 30)),
            sleep_percent=random.choice((0, 5, 15)),
            skew_ms=random.choice((0, 1000, 120_000)),
            delay_ms=random.choice(((1, 10), (5, 80), (20, 1500))),
        )


CHARTER: dict[str, Any] = {
    "charter": 1,
    "name": "Simulated venture",
    "points": {"pool": 1_000_000, "start": 500},
    "membership": {"sponsors": 1},
    "finality": {"interval": "1s"},
    "step": [
        {"id": "bake", "price": 7, "budget": 100_000, "max-open": 0, "review": "1h"},
        {"id": "serve", "price": 11, "payer": "buyer", "max-open": 0, "max-grade": 150, "review": "2h"},
    ],
}


def run(seed: int) -> Cluster:
    """Play one scenario to its end; AssertionError with the seed where something does not hold."""
    plan = Plan.draw(Random(seed))
    with Cluster(seed, delay_ms=plan.delay_ms) as cluster:
        random = cluster.random
        _set_up(cluster, plan)
        for machine in cluster.machines.values():
            _arm(cluster, machine, plan)
        for _ in range(plan.steps):
            _step(cluster, plan)
            cluster.run(random.randint(10, 3000))
        _heal(cluster)
        check_end(cluster)
    return cluster


def _set_up(cluster: Cluster, plan: Plan) -> None:
    random = cluster.random

    def skew() -> int:
        return random.randint(-plan.skew_ms, plan.skew_ms)

    names = NAMES[: plan.people]
    cluster.found(CHARTER, names[0], skew())
    for number, name in enumerate(names[1:], start=1):
        cluster.join(name, names[0], skew())
        cluster.connect_all()
        cluster.run(1000)
        member = cluster.machines[name].acknowledged[0].hex()
        seals = number < plan.sealers
        cluster.do(names[0], "admit", {"partner": member, "sealer": seals})
        entered = bytes.fromhex(member)
        cluster.run_until(
            lambda entered=entered: all(  # type: ignore[misc]
                row.live.ledger.head.height and _is_in(entered, row, cluster.clock(row))
                for row in cluster.machines.values()
            ),
            60_000,
            f"everybody knows {name}",
        )
        if seals:
            for other in names[1:number]:
                cluster.do(other, "admit", {"partner": member, "sealer": True})
            cluster.do(name, "sealer", {"on": True})
        cluster.run_until(cluster.is_settled, 60_000, f"{name} comes in")


def _is_in(member: bytes, machine: Machine, now: int) -> bool:
    row = machine.live.ledger.view(now).members.get(member)
    return row is not None and row.status == "active"


def _arm(cluster: Cluster, machine: Machine, plan: Plan) -> None:
    """Let synced writes kill the machine, before or after they are done: that is where recovery is hard."""

    def maybe(sync: bool) -> None:
        if sync and machine.core is not None and cluster.random.randrange(1000) < plan.crash_percent:
            raise SimCrash

    machine.store.faults.before_write = maybe
    machine.store.faults.after_write = maybe


def _step(cluster: Cluster, plan: Plan) -> None:
    random = cluster.random
    chance = random.randrange(100)
    names = sorted(cluster.machines)
    if chance < plan.cut_percent:
        if cluster.links and random.random() < 0.6:
            cluster.disconnect(*random.choice(sorted(cluster.links)))
        else:
            cluster.connect(*random.sample(names, 2))
    elif chance < plan.cut_percent + plan.sleep_percent:
        machine = cluster.machines[random.choice(names)]
        if machine.core is not None:
            cluster.switch_off(machine)
            cluster.at(random.randint(1000, 30_000), lambda: cluster.wake_up(machine))
    else:
        _act(cluster, random.choice(names))


def _act(cluster: Cluster, name: str) -> None:
    """Somebody does something that makes sense, or nearly."""
    machine = cluster.machines[name]
    core = machine.core
    if core is None:
        return
    random = cluster.random
    state = core.ledger.view(cluster.clock(machine))
    device = state.devices.get(core.device)
    me = b"" if device is None else device.member
    offers = sorted(key for key, row in state.offers.items() if row.author != me and row.copies and not row.withdrawn)
    mine = sorted(
        (key, row.status, row.seller == me) for key, row in state.deals.items() if me in (row.seller, row.buyer)
    )
    choices: list[tuple[str, dict[str, Any]]] = [
        (
            "offer",
            {"step": random.choice(("bake", "serve")), "units": random.randint(1, 9), "buy": random.random() < 0.4},
        )
    ]
    if offers:
        choices += [("accept", {"offer": random.choice(offers).hex()})] * 3
    for deal, status, sells in mine:
        ref = {"deal": deal.hex()}
        if status == "accepted" and sells:
            choices += [("deliver", {**ref, "units": 1}), ("cancel", ref)]
        if status == "delivered" and not sells:
            choices += [
                ("approve", {**ref, "grade": random.choice((50, 100, 130))}),
                ("reject", {**ref, "reason": "not what was agreed"}),
                ("return", {**ref, "note": "once more, please"}),
            ]
    op, args = random.choice(choices)
    try:
        cluster.do(name, op, args)
    except NodeError as error:
        # Refused by a rule, as it would be anywhere; a fault of the disk is none of these.
        assert error.exit_code in (1, 3), cluster.failure(f"{name} {op}: {error}")
    except SimCrash:
        cluster.crashed(machine)


def _heal(cluster: Cluster) -> None:
    """Everything works again: all on, all connected, and time enough."""
    for machine in cluster.machines.values():
        machine.store.faults.before_write = None
        machine.store.faults.after_write = None
    for machine in cluster.machines.values():
        cluster.wake_up(machine)
    cluster.connect_all()

    def reconnect() -> None:
        for machine in cluster.machines.values():
            cluster.wake_up(machine)
        cluster.connect_all()
        cluster.at(2000, reconnect)

    cluster.at(2000, reconnect)
    cluster.run_until(cluster.is_settled, 30 * 60_000, "everybody agrees once everything works")


def check_end(cluster: Cluster) -> None:
    """What must hold whatever has happened."""
    roots = {row.live.ledger.head.state_root for row in cluster.machines.values()}
    assert len(roots) == 1, cluster.failure("another state root")
    for machine in cluster.machines.values():
        core = machine.live
        for entry_id in machine.acknowledged:
            assert core.archive.sealed_row(entry_id) is not None, cluster.failure(
                f"{machine.name} lost {entry_id.hex()[:8]}, which was acknowledged"
            )
        assert not core.ledger.state.forks.rows, cluster.failure("an honest device was taken for a fork")
        assert not core.sealer.muted, cluster.failure(f"{machine.name} is mute: {core.sealer.muted}")
        assert not [use for use in core.ledger.state.keys.values() if use.use == "convicted"], cluster.failure("framed")
        sums: dict[str, int] = {}
        for account, amount in core.ledger.state.accounts.items():
            commodity = account.partition("/")[0]
            sums[commodity] = sums.get(commodity, 0) + amount
        assert not any(sums.values()), cluster.failure(f"the book does not balance: {sums}")
        reloaded, _ = core.archive.load(cluster.ledger_id)
        assert reloaded.head == core.ledger.head, cluster.failure("what is on disk is something else")
    # Whoever breaks the protocol is hung up on; nobody here did.
    blamed = [why for _, why in cluster.hang_ups if why]
    assert not blamed, cluster.failure(f"an honest peer was blamed: {blamed}")
