"""One evening, or one month, of a venture, drawn from a seed: who is on, who does what, what breaks, and then peace.

Source: docs/spec/simulation.md
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Any

from tallystick.node import layout
from tallystick.node.core import NodeCore
from tallystick.node.errors import NodeError
from tallystick.node.guard import MemoryGuard
from tallystick.node.muting import check_can_unmute, check_is_whole
from tallystick.protocol.assembly import Missing, judge
from tallystick.protocol.quorum import quorum
from tests.sim.cheat import Cheat, Mood
from tests.sim.cluster import QUICK, Backup, Cluster, Machine, SimCrash
from tests.sim.network import Air

NAMES = ("ana", "bo", "cy", "di", "eva", "fay", "gus")
#: How long everybody honest may take to agree once everything works; where only two ever meet, it takes longer.
CALM_MS = 30 * 60_000
PAIRS_MS = 6 * 3_600_000
#: How many people, and how many of them seal, where some cheat. The largest take longest, so they are rare.
WITH_CHEATS = ((2, 2), (3, 1), *[(4, 4)] * 8, (5, 4), (5, 4), (5, 5), (5, 5), (5, 5), (7, 7))
#: At the quick pace of other tests most of the messages would be that somebody is still there.
PACE = replace(QUICK, status_ms=3000, present_ms=9000)


def may_cheat_safely(sealers: int) -> int:
    """So many sealers may cheat and there is one block for each height: one less than stands in two quorums."""
    return max(0, 2 * quorum(sealers) - sealers - 1)


def may_be_away(sealers: int) -> int:
    """So many sealers may cheat or be away and the others still decide."""
    return sealers - quorum(sealers)


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
    gossip_doubled: float
    said_again: int
    """So many frames of a broken stream come again when it is made anew."""
    is_fresh: bool
    """The ledger is founded and joined in this very network, and not beforehand in a good one."""
    pairs: bool
    """Only two can ever reach each other, in the end neither."""
    part_percent: int
    """How often the network falls into two parts, or becomes one again."""
    restore_percent: int
    """How often an old backup is put back."""
    cheats: tuple[int, ...]
    """Who cheats, by number; who seals has a number below `sealers`."""
    judge_ms: tuple[int, int] | None
    """How long signatures are judged, while other messages come; None: not at all."""
    is_narrow: bool
    """A few blocks are many answers."""

    @classmethod
    def draw(cls, random: Random) -> Plan:
        people = random.choice((2, 3, 4, 4, 4, 5, 5))
        sealers = random.randint(1, people)
        cheats: tuple[int, ...] = ()
        if random.random() < 0.45:
            # Where four or more seal, one may cheat and nothing stops.
            people, sealers = random.choice(WITH_CHEATS)
            most = may_cheat_safely(sealers)
            sealing = random.sample(range(sealers), random.randint(min(1, most), most))
            others = random.sample(range(sealers, people), random.randint(0, people - sealers))
            cheats = tuple(sorted(sealing + others))[: people - 1]
        pairs = people > 2 and random.random() < 0.15
        return cls(
            people=people,
            sealers=sealers,
            steps=random.randint(8, 24),
            crash_percent=random.choice((0, 0, 5, 20)),
            cut_percent=random.choice((0, 10, 30)),
            sleep_percent=random.choice((0, 5, 15)),
            skew_ms=random.choice((0, 1000, 120_000)),
            delay_ms=random.choice(((1, 10), (5, 80), (20, 1500))),
            gossip_doubled=random.choice((0.0, 0.3)),
            said_again=random.choice((0, 0, 4)),
            is_fresh=not cheats and random.random() < 0.1,
            pairs=pairs,
            part_percent=0 if pairs else random.choice((0, 0, 8)),
            restore_percent=random.choice((0, 0, 6)),
            cheats=cheats,
            judge_ms=random.choice((None, (0, 40), (5, 1500))),
            is_narrow=random.random() < 0.5,
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


def run(seed: int, *, node_class: type[NodeCore] = NodeCore, plan: Plan | None = None) -> Cluster:
    """Play one scenario to its end; AssertionError with the seed where something does not hold."""
    drawn = Plan.draw(Random(seed))
    plan = plan or drawn
    air = Air(delay_ms=plan.delay_ms, gossip_doubled=plan.gossip_doubled, said_again=plan.said_again)
    with Cluster(
        seed, air=air, times=PACE, node_class=node_class, judge_ms=plan.judge_ms, is_narrow=plan.is_narrow
    ) as cluster:
        random = cluster.random
        if plan.is_fresh:
            set_up(cluster, plan.people, plan.sealers, plan.skew_ms)
        else:
            _continue(cluster, plan)
        for number in plan.cheats:
            machine = cluster.machines[NAMES[number]]
            machine.cheat = Cheat(cluster, machine, Mood.draw(random))
        for machine in cluster.honest():
            arm(cluster, machine, plan.crash_percent)
        for _ in range(plan.steps):
            _step(cluster, plan)
            cluster.run(random.randint(10, 3000))
        cluster.oracles.check_end(everything_sealed=_heal(cluster, plan))
    return cluster


# -- how it begins -----------------------------------------------------------------------------------------------------


def set_up(cluster: Cluster, people: int, sealers: int, skew_ms: int = 0) -> None:
    """The first founds; the others come in one after the other, and so many seal."""
    random = cluster.random

    def skew() -> int:
        return random.randint(-skew_ms, skew_ms)

    names = NAMES[:people]
    cluster.found(CHARTER, names[0], skew())
    for number, name in enumerate(names[1:], start=1):
        cluster.join(name, names[0], skew())
        cluster.connect_all()
        cluster.run(1000)
        member = cluster.machines[name].acknowledged[0].hex()
        seals = number < sealers
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


@lru_cache
def _made_before(people: int, sealers: int) -> tuple[bytes, int, dict[str, Backup], dict[str, list[bytes]]]:
    """A ledger at peace: its id, the time, everybody's disk, and what everybody has written. The same every time."""
    with Cluster(people * 100 + sealers, delay_ms=(1, 10)) as cluster:
        set_up(cluster, people, sealers)
        for machine in cluster.machines.values():
            cluster.back_up(machine)
        disks = {name: row.backup for name, row in cluster.machines.items() if row.backup is not None}
        written = {name: list(row.acknowledged) for name, row in cluster.machines.items()}
        return cluster.ledger_id, cluster.now, disks, written


def _continue(cluster: Cluster, plan: Plan) -> None:
    """Go on with a ledger that was made before: half the time of a run would go into making it."""
    ledger_id, now, disks, written = _made_before(plan.people, plan.sealers)
    cluster.ledger_id, cluster.now = ledger_id, now
    for name, disk in disks.items():
        machine = cluster.machine(name, cluster.random.randint(-plan.skew_ms, plan.skew_ms))
        machine.store.restore(disk.image)
        machine.store.guard = MemoryGuard(disk.guard)
        machine.acknowledged = list(written[name])
    for machine in cluster.machines.values():
        cluster.boot(machine)
    cluster.connect_all()
    cluster.run(2000)


def _is_in(member: bytes, machine: Machine, now: int) -> bool:
    row = machine.live.ledger.view(now).members.get(member)
    return row is not None and row.status == "active"


def arm(cluster: Cluster, machine: Machine, crash_percent: int) -> None:
    """Let synced writes kill the machine, before or after they are done: that is where recovery is hard."""

    def maybe(sync: bool) -> None:
        if sync and machine.core is not None and cluster.random.randrange(1000) < crash_percent:
            raise SimCrash

    machine.store.faults.before_write = maybe
    machine.store.faults.after_write = maybe


# -- what happens ------------------------------------------------------------------------------------------------------


def _step(cluster: Cluster, plan: Plan) -> None:
    random = cluster.random
    chance = random.randrange(100)
    names = sorted(cluster.machines)
    if plan.pairs and random.random() < 0.5:
        cluster.only(frozenset(random.sample(names, 2)))
    if plan.part_percent and random.randrange(100) < plan.part_percent:
        cluster.part({} if cluster.walls.groups else {name: random.randrange(2) for name in names})
    if plan.restore_percent and random.randrange(100) < plan.restore_percent:
        _back_up_or_restore(cluster, plan)
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


def _back_up_or_restore(cluster: Cluster, plan: Plan) -> None:
    """Somebody honest copies a disk, or puts the copy back because something broke."""
    random = cluster.random
    machine = random.choice(cluster.honest())
    if machine.core is None:
        return
    if machine.backup is None:
        cluster.back_up(machine)
        return
    # Without its guard a machine knows nothing of its votes. Others may, who cheat: then it must not be unmuted.
    guard = "lost" if not plan.cheats and random.random() < 0.3 else "kept"
    machine.may_stay_mute = bool(plan.cheats)
    kept = machine.backup.acknowledged
    sealers = machine.core.ledger.sealers()
    cluster.put_back(machine, guard=guard)
    alone = cluster.by_key(sealers[0].node_key) if len(sealers) == 1 else None
    if alone is not None and alone.has_lost_guard:
        # Blocks of a lone sealer that are on nobody's disk are gone, and no guard remembers them.
        cluster.oracles.forget(from_height=max(_newest(row) for row in cluster.honest()) + 1)
    # What it had told nobody is gone with its disk; in the end it is asked for only if somebody honest has it.
    machine.at_risk += machine.acknowledged[kept:]
    del machine.acknowledged[kept:]
    cluster.at(random.randint(200, 20_000), lambda: cluster.wake_up(machine))


def _newest(machine: Machine) -> int:
    """Height of the newest block on a disk."""
    rows = machine.store.image().rows
    return max((int.from_bytes(key[1:], "big") for key, _ in rows if key.startswith(layout.HEIGHT)), default=0)


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


# -- how it ends -------------------------------------------------------------------------------------------------------


def _heal(cluster: Cluster, plan: Plan) -> bool:
    """Everything works again, but for those who cheat: all on, all connected, and time enough.

    Returns whether enough of the sealers are left to seal everything; then it is asked that they have.

    Where only two can ever meet it stays like that: one pair after the other, by turns that nobody has chosen.
    """
    random = cluster.random
    for machine in cluster.machines.values():
        machine.store.faults.before_write = None
        machine.store.faults.after_write = None
        cluster.wake_up(machine)
    cluster.part({})
    for machine in cluster.honest():
        # It is somewhere, so it is not lost after all.
        machine.acknowledged += [each for each in machine.at_risk if any(_has(row, each) for row in cluster.honest())]
    names = sorted(cluster.machines)
    calm_since = cluster.now

    def reconnect() -> None:
        for machine in cluster.machines.values():
            cluster.wake_up(machine)
        if plan.pairs:
            cluster.only(frozenset(random.sample(names, 2)))
        else:
            cluster.connect_all()
        if cluster.now - calm_since > (PAIRS_MS if plan.pairs else CALM_MS) // 10:
            for machine in cluster.honest():
                _speak_again(cluster, machine)
        cluster.at(random.randint(3000, 15_000) if plan.pairs else 2000, reconnect)

    reconnect()
    within_ms = PAIRS_MS if plan.pairs else CALM_MS

    def is_over() -> bool:
        return cluster.is_settled() and not any(_waits_for_its_person(row) for row in cluster.honest())

    cluster.run_unless(is_over, 30_000)
    if not _are_enough(cluster, plan):
        # Nothing more can be asked: there is no quorum without those who cheat, or must not speak.
        cluster.run(15_000)
        return False
    cluster.run_unless(is_over, within_ms)
    lost = [row for row in cluster.honest() if _has_lost_what_is_sealed(row)]
    if not is_over() and lost:
        # A block is sealed, and what it holds was on one disk that is lost: the way out is to found anew.
        assert not any(_can_decide(row) for row in cluster.honest()), cluster.failure("somebody has what it holds")
        for machine in lost:
            machine.may_stay_mute = True
        return False
    cluster.run_until(is_over, 0, "everybody agrees once everything works")
    for machine in cluster.honest():
        if not machine.live.sealer.muted:
            try:
                cluster.do(machine.name, "offer", {"step": "bake", "units": 1})
            except NodeError as error:
                raise AssertionError(cluster.failure(f"{machine.name} may not write any more: {error}")) from error
    cluster.run_until(cluster.is_settled, within_ms, "and goes on")
    return True


def _are_enough(cluster: Cluster, plan: Plan) -> bool:
    sealing = [cluster.machines[name] for name in NAMES[: plan.sealers]]
    away = [row for row in sealing if row.cheat is not None or (row.may_stay_mute and row.live.sealer.muted)]
    return len(away) <= may_be_away(plan.sealers)


def _has_lost_what_is_sealed(machine: Machine) -> bool:
    sealer = machine.live.sealer
    return bool(sealer.muted) and sealer.waits_for_content and len(machine.live.ledger.sealers()) == 1


def _can_decide(machine: Machine) -> bool:
    """Whether everything is here that a block consists of for which there is a quorum."""
    height, ledger = machine.live.sealer._height, machine.live.ledger
    if height is None:
        return False
    bodies = [height.body(block_id) for block_id in height._docket.votes.committed]
    return any(body is not None and not isinstance(judge(ledger, body), Missing) for body in bodies)


def _has(machine: Machine, entry_id: bytes) -> bool:
    return machine.core is not None and machine.core.ledger.knows(entry_id)


def _waits_for_its_person(machine: Machine) -> bool:
    return machine.core is not None and bool(machine.core.sealer.muted) and not machine.may_stay_mute


def _speak_again(cluster: Cluster, machine: Machine) -> None:
    """The person settles, after meeting everybody for a while, that this is the only copy: `tally seal --unmute`."""
    core = machine.core
    if core is None or not _waits_for_its_person(machine):
        return
    check_can_unmute(core)
    try:
        check_is_whole(core, accept_loss=True)
    except NodeError as error:
        assert error.reason == "sealed-elsewhere", error
        return
    if core.sealer.lost_height and len(core.ledger.sealers()) == 1:
        # Whoever seals alone gives up the blocks that were on the lost disk and nowhere else.
        cluster.oracles.forget(from_height=max(row.live.ledger.head.height for row in cluster.honest()) + 1)
    cluster.note(f"{machine.name} speaks again")
    machine.has_spoken_again = True
    core.sealer.unmute(cluster.clock(machine))
    cluster.perform(machine, core.effects())
