"""A ledger of sixty: few links each, one graph all the same, and what is written reaches everybody."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import trio
import trio.testing

from tallystick.node.desk import Desk
from tallystick.node.neighbours import (
    KEPT,
    LET_IN_MAX,
    MESH_MAX,
    SOUGHT,
    VISIT_EVERY_MS,
    VISIT_MS,
    Circle,
    Neighbours,
    Tie,
)
from tests.support.crowd import Crowd, Laptop
from tests.support.kept import Kept
from tests.support.market import MARKET

NAMES = tuple(f"p{number:02}" for number in range(1, 60))
NOW = 1_000_000


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


OWN = key(999)
FEW = [key(number) for number in range(1, MESH_MAX + 1)]
MANY = [key(number) for number in range(1, 61)]


def large(own: bytes = OWN, *sealers: bytes) -> Neighbours:
    """The choice of one of sixty-one."""
    made = Neighbours(own)
    made.circle = Circle(frozenset({*MANY, *sealers} - {own}), frozenset(sealers) - {own}, own in sealers)
    return made


def fresh(*peers: bytes) -> dict[bytes, int]:
    """Peers that are due and have not failed."""
    return dict.fromkeys(peers, 500)


def tie(since: int, *, greeted: bool = True, was_apart: bool = False) -> Tie:
    return Tie(since=since, greeted=greeted, was_apart=was_apart)


# -- the choice --------------------------------------------------------------------------------------------------------


def test_in_a_small_ledger_everybody_meets_everybody() -> None:
    """Also who is no member as far as we know: a newcomer has no ledger yet."""
    small = Neighbours(OWN)
    assert small.choose(fresh(*MANY), [], NOW) == MANY
    small.circle = Circle(frozenset(FEW), frozenset(FEW[:3]), False)
    assert small.choose(fresh(*FEW), [], NOW) == FEW
    assert small.lets_in(FEW[0], FEW[1:], NOW)
    assert small.surplus({peer: tie(0) for peer in FEW}, NOW) == []


def test_in_a_large_one_few_are_dialled_besides_those_that_seal() -> None:
    """The same ones each time, others for another node; who fails makes room for the next."""
    sealer = key(500)
    one = large(OWN, sealer)
    chosen = one.choose(fresh(*MANY, sealer), [], NOW)
    assert len(chosen) == 1 + SOUGHT and chosen[0] == sealer
    assert large(OWN, sealer).choose(fresh(*reversed(MANY), sealer), [], NOW) == chosen
    assert set(large(key(998), sealer).choose(fresh(*MANY), [], NOW)) != set(chosen[1:])
    rest = [peer for peer in MANY if peer not in chosen[1:3]]
    assert one.choose(fresh(*rest), [], NOW)[: SOUGHT - 2] == chosen[3:]
    assert one.choose(fresh(*rest), [sealer, *chosen[1:3]], NOW) == chosen[3:]
    assert one.choose(fresh(key(700)), [], NOW) == []
    late = fresh(*MANY) | {chosen[1]: 60_000}
    assert chosen[1] not in one.choose(late, [], NOW) and one.choose({chosen[1]: 60_000}, [], NOW) == [chosen[1]]


def test_whoever_a_person_names_or_asks_for_is_dialled_besides() -> None:
    """And is not given back for being one too many; what was asked for ends after a while."""
    one = large()
    there = MANY[:KEPT]
    one.name([MANY[20]])
    one.call([MANY[30]], NOW)
    assert one.choose(fresh(*MANY[20:31:10]), there, NOW) == MANY[20:31:10]
    ties = {peer: tie(0) for peer in [*there, MANY[20], MANY[30]]}
    assert one.surplus(ties, NOW) == []
    assert one.is_always(MANY[20], 10 * NOW) and not one.is_always(MANY[30], 10 * NOW)


def test_who_seals_lets_everybody_in_others_up_to_a_bound() -> None:
    """A bound that visitors and newcomers fit in besides the neighbours."""
    others = MANY[: LET_IN_MAX - 1]
    assert large().lets_in(MANY[50], others, NOW)
    assert not large().lets_in(MANY[50], [*others, MANY[40]], NOW)
    assert large(OWN, MANY[50]).lets_in(MANY[50], [*others, MANY[40]], NOW)
    sealing = large(OWN, OWN)
    assert sealing.lets_in(MANY[50], MANY[:50], NOW)
    assert sealing.surplus({peer: tie(0) for peer in MANY}, NOW) == []


def test_more_than_enough_is_given_back_after_a_visit() -> None:
    """The newest go; not before they have had time to say everything, and not before they have said anything."""
    one = large()
    old = {peer: tie(number) for number, peer in enumerate(MANY[:KEPT])}
    visitor, second = MANY[40], MANY[41]
    ties = old | {visitor: tie(NOW - VISIT_MS), second: tie(NOW - VISIT_MS + 1)}
    assert one.surplus(old | {visitor: tie(NOW - VISIT_MS)}, NOW) == [visitor]
    assert one.surplus(ties, NOW + 1) == [visitor, second]
    assert visitor not in one.surplus(old | {visitor: tie(NOW - VISIT_MS, greeted=False)}, NOW)
    assert one.surplus(old, NOW) == []


def test_whoever_had_stood_elsewhere_takes_the_place_of_the_oldest() -> None:
    """So two parts that had lost each other stay together once they have met."""
    one = large()
    old = {peer: tie(number) for number, peer in enumerate(MANY[:KEPT])}
    assert one.surplus(old | {MANY[40]: tie(NOW - VISIT_MS, was_apart=True)}, NOW) == [MANY[0]]


def test_somebody_is_visited_from_time_to_time_in_turn_of_all() -> None:
    """One at a time, and after as many visits as there are others everybody was visited."""
    one = large()
    there = MANY[:SOUGHT]
    others = MANY[SOUGHT:]
    now, seen = NOW, []
    # Not all at once: the first look only says when the first visit is.
    assert one.choose(fresh(*others), there, now) == []
    for _ in others:
        now += VISIT_EVERY_MS
        seen += one.choose(fresh(*others), there, now)
        assert one.choose(fresh(*others), there, now + 1) == []
    assert set(seen) == set(others) and len(seen) == len(others)


def test_the_choices_of_all_hang_together() -> None:
    """Whoever dials by these ranks alone, with half of the others off: one piece, in two hundred ledgers."""
    for seed in range(200):
        random = Random(seed)
        nodes = [random.randbytes(32) for _ in range(60)]
        on = set(random.sample(nodes, 30))
        links: dict[bytes, set[bytes]] = {node: set() for node in on}
        for node in random.sample(sorted(on), len(on)):
            choice = Neighbours(node)
            choice.circle = Circle(frozenset(nodes) - {node})
            for peer in choice.choose(fresh(*sorted(on - {node} - links[node])), links[node], NOW):
                links[node].add(peer)
                links[peer].add(node)
        edge, seen = [min(on)], set()
        while edge:
            node = edge.pop()
            if node not in seen:
                seen.add(node)
                edge += links[node]
        assert seen == on, seed
        assert max(map(len, links.values())) <= LET_IN_MAX


# -- sixty nodes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept() -> Kept:
    """A ledger of sixty partners, of whom Ana alone seals."""
    return Kept.start(MARKET, *NAMES)


async def until(is_so: Callable[[], bool], within_s: float, what: str) -> float:
    since = trio.current_time()
    while not is_so():
        assert trio.current_time() - since < within_s, what
        await trio.sleep(0.25)
    return trio.current_time() - since


def writes(laptop: Laptop, note: str = "") -> bytes:
    """A partner makes an offer."""
    args = {"step": "roast", "units": 1, "note": note or "one more"}
    answer = Desk(laptop.core).do("offer", args, laptop.person.secret, laptop.crowd.now())
    laptop.perform(laptop.core.effects())
    return bytes.fromhex(answer["entry"])


def reached(crowd: Crowd, entry: bytes) -> bool:
    return all(each.core.ledger.knows(entry) for each in crowd.running())


def settled(crowd: Crowd) -> bool:
    return all(SOUGHT <= len(each.neighbours()) <= KEPT for each in crowd.running() if each.key not in crowd.sealers)


def run_crowd(scenario: Callable[[Crowd, trio.Nursery], object], kept: Kept, seed: int) -> None:
    async def work() -> None:
        crowd = Crowd(kept, seed)
        async with trio.open_nursery() as nursery:
            await scenario(crowd, nursery)  # type: ignore[misc]
            nursery.cancel_scope.cancel()

    trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


def test_sixty_come_together_and_what_is_written_reaches_all(kept: Kept) -> None:
    """Each knows the founder and two more at first. Then the founder goes, a third goes, some come back."""

    async def scenario(crowd: Crowd, nursery: trio.Nursery) -> None:
        crowd.switch_on(nursery, "ana")
        for name in NAMES:
            crowd.switch_on(nursery, name, "ana", *crowd.random.sample(NAMES, 2))
        await until(lambda: settled(crowd), 180, "everybody has neighbours enough, and not too many")
        ana = crowd.laptops["ana"]
        assert len(ana.core.sync.sessions) == len(NAMES), "whoever seals is connected to all"
        assert len(crowd.pieces()) == 1
        assert max(each.most for each in crowd.running() if each is not ana) <= LET_IN_MAX
        small, big = writes(crowd.laptops["p07"]), writes(crowd.laptops["p33"], "\U0001f0a1" * 4000)
        await until(lambda: reached(crowd, small) and reached(crowd, big), 3, "both are everywhere")
        # Nobody seals any more, and a third is gone.
        gone = crowd.random.sample(NAMES, 20)
        for name in ("ana", *gone):
            crowd.switch_off(name)
        await until(lambda: settled(crowd) and len(crowd.pieces()) == 1, 180, "those that are left close the gaps")
        small, big = writes(crowd.running()[0]), writes(crowd.running()[-1], "\U0001f0a1" * 4000)
        await until(lambda: reached(crowd, small) and reached(crowd, big), 5, "both are everywhere")
        for name in gone[:10]:
            crowd.switch_on(nursery, name)
        await until(lambda: reached(crowd, big), 60, "those that come back hear of it")
        await until(lambda: settled(crowd) and len(crowd.pieces()) == 1, 300, "and have neighbours again")

    run_crowd(scenario, kept, 1)


def test_two_halves_that_lost_each_other_grow_together_again(kept: Kept) -> None:
    """Nobody lacks neighbours, so nobody would look for others; visits find what is missing, and links stay."""

    async def scenario(crowd: Crowd, nursery: trio.Nursery) -> None:
        left, right = NAMES[:25], NAMES[25:50]
        laptops = {name: crowd.switch_on(nursery, name, *NAMES[:50]) for name in (*left, *right)}
        for one in left:
            for other in right:
                crowd.network.cut(laptops[one].transport, laptops[other].transport)
        await until(lambda: settled(crowd), 300, "each half has neighbours enough")
        assert sorted(len(piece) for piece in crowd.pieces()) == [25, 25]
        here, there = writes(laptops[left[0]]), writes(laptops[right[0]])
        for one in left:
            for other in right:
                crowd.network.heal(laptops[one].transport, laptops[other].transport)
        await until(lambda: reached(crowd, here) and reached(crowd, there), VISIT_EVERY_MS / 1000, "all hear of both")
        await until(lambda: settled(crowd) and len(crowd.pieces()) == 1, VISIT_EVERY_MS / 1000, "one graph again")
        await trio.sleep(60)
        assert len(crowd.pieces()) == 1

    run_crowd(scenario, kept, 2)
