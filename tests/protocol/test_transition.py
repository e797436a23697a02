"""The transition is total and whole: whatever decoded works or is void with one reason, and never anything between."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tallystick.protocol.entry import make_entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.structure import Waiting
from tallystick.protocol.transition import STALE_MS, Fold, Result
from tests.support.any_body import Maker
from tests.support.builders import DAY_MS, HOUR_MS, MINUTE_MS, World, check_books, key
from tests.support.histories import WAITS, Play, everything, some_events
from tests.support.market import market


def ids_of(world: World) -> list[bytes]:
    """Everything that a body might refer to, and some that it cannot."""
    state = world.view()
    ids = [entry.id for entry in world.sent[-40:]]
    for table in (state.members, state.devices, state.deals, state.offers, state.keys, state.invites, state.money):
        ids += sorted(table)
    return [*ids, bytes(32), b"\1" * 32, key("nobody").public]


def nonsense(seed: int) -> tuple[Counter[str], set[str]]:
    """A history, then sixty bodies out of their schemas; how they ended, and which kinds came as far as the rules."""
    chance = random.Random(seed)
    world = everything()
    Play(world).run(some_events(chance, 20), sealing=True)
    ended: Counter[str] = Counter()
    judged = set()
    for _ in range(60):
        kind = chance.choice(sorted(KINDS))
        body = Maker(chance, ids_of(world), world.now, world.sent[0].body["charter"]).body(KINDS[kind])
        if body is None:
            continue
        name = chance.choice(sorted(world.people))
        person = world.people[name]
        seq, prev = person.seq, person.prev
        try:
            entry = world.sign(name, body, time=world.now + chance.choice([0, MINUTE_MS, -MINUTE_MS, -100 * DAY_MS]))
            checked = world.ledger.check(entry)
        except EntryError:
            checked = None
        if checked is None or isinstance(checked, Waiting):
            person.seq, person.prev = seq, prev
            continue
        before = {path: row for path, row in world.view().rows().items() if not path.startswith("device/")}
        world.ledger.add(entry, checked)
        world.sent.append(entry)
        result = world.outcome(entry.id)
        ended[str(result.reason)] += 1
        judged.add(kind)
        state = world.view()
        check_books(state)
        if result.reason is not None:
            assert not result.postings
            assert isinstance(result.reason, Reason)
            if world.ledger.preview.results()[-1].entry_id == entry.id:
                after = {path: row for path, row in state.rows().items() if not path.startswith("device/")}
                assert after == before, f"{kind} was void and did something"
        if chance.random() < 0.15:
            world.wait(chance.choice(WAITS))
            world.seal()
    world.wait(400 * DAY_MS)
    world.seal()
    return ended, judged


def test_any_body_of_any_kind_is_judged() -> None:
    """Never an error, and what is void has changed nothing but the head of its chain."""
    ended: Counter[str] = Counter()
    judged: set[str] = set()
    for seed in range(12):
        some, kinds = nonsense(seed)
        ended += some
        judged |= kinds
    assert ended["None"] > 20, "some of it even works"
    assert len(ended) > 10
    assert len(judged) > len(KINDS) * 3 // 4
    assert set(ended) - {"None"} <= set(map(str, Reason))


# -- what is asked before the rule -------------------------------------------------------------------------------------


def test_the_first_refusal_is_the_one_that_counts() -> None:
    """Device, author, standing: in the order that is written down, before the kind is asked."""
    world = market()
    eva = world.join("eva", standing="observer")
    world.join("ed", standing="contributor")
    world.seal()
    assert world.refused("ed", SealerOn(device=bytes(32))) is Reason.NOT_A_PARTNER
    assert world.refused("eva", world.offer("roast")) is Reason.NOT_ALLOWED
    world.alter("eva", suspended_from=0, suspended_until=world.now + 300 * DAY_MS)
    world.alter("bo", suspended_from=0, suspended_until=world.now + DAY_MS)
    assert world.refused("bo", Admit(member=eva.member, sealer=False)) is Reason.NOT_ACTIVE
    world.alter("bo", suspended_from=0, suspended_until=0, probation_until=world.now + DAY_MS)
    assert world.refused("bo", SealerOn(device=world.people["bo"].secret.public)) is Reason.NOT_A_PARTNER
    world.alter("bo", probation_until=0)
    world.do("cy", Leave())
    world.seal()
    assert world.refused("cy", world.offer("roast")) is Reason.NOT_ACTIVE


def test_what_is_dated_too_far_back_is_void() -> None:
    """Ninety days before the last block; at the bound itself it still counts."""
    for late, expect in ((0, None), (1, Reason.STALE)):
        world = market()
        bo, head = world.people["bo"], world.ledger.head
        world.wait(STALE_MS - HOUR_MS)
        world.offered("cy", "roast")
        world.seal(head.time + STALE_MS + late)
        old = make_entry(
            bo.secret,
            ledger=world.ledger.id,
            seq=bo.seq + 1,
            prev=bo.prev,
            links=(),
            seal=(head.height, head.block_id),
            time=0,
            kind="offer",
            body=world.offer("roast").to_map(),
        )
        world.feed(old)
        result = world.outcome(old.id)
        assert result.at == head.time, "never before the block that it cites"
        assert result.reason is expect


def test_a_device_nobody_knows_does_nothing() -> None:
    """What follows a `join` that did not work: well made, and void."""
    world = market()
    # Sealed is nothing of it yet.
    world.join("ed", standing="contributor")
    fold = Fold(world.ledger.state, world.ledger.context(world.now))
    entry = world.unsent("ed", Withdraw(offer=bytes(32)), world.now)
    result = fold.apply(entry, Withdraw(offer=bytes(32)), world.now)
    assert result == Result(entry.id, world.now, b"", Reason.UNKNOWN_DEVICE, "", ())
    world.ledger.state.rollback(0)


def test_a_ledger_is_founded_once() -> None:
    """The founding entry again, as if it were the next one of its device."""
    world = market()
    found = Found(**world.sent[0].body)
    fold = Fold(world.ledger.state, world.ledger.context(world.now))
    result = fold.apply(world.sent[0], found, world.now)
    assert result.reason is not None
    world.ledger.state.rollback(0)


# -- forks -------------------------------------------------------------------------------------------------------------


def test_the_first_branch_stands_and_the_device_is_frozen_at_the_end() -> None:
    """The second is void with all that follows it; in the same block the first goes on; then nothing of it works."""
    world = market()
    bo = world.people["bo"]
    body = world.offer("roast")
    first = world.sign("bo", body, time=world.now + MINUTE_MS)
    kept = bo.seq, bo.prev
    bo.seq, bo.prev = first.seq - 1, first.prev
    second = world.sign("bo", body, time=world.now + 2 * MINUTE_MS)
    after_second = world.sign("bo", body, time=world.now + MINUTE_MS)
    bo.seq, bo.prev = kept
    after_first = world.sign("bo", body, time=world.now + MINUTE_MS)
    for entry in (after_first, second, after_second, first):
        if all(map(world.ledger.knows, entry.parents)):
            world.feed(entry)
    for entry in (after_first, after_second):
        if not world.ledger.knows(entry.id):
            world.feed(entry)
    executed = world.seal()
    reasons = {result.entry_id: result.reason for result in executed.results}
    assert reasons == {first.id: None, after_first.id: None, second.id: Reason.FORK, after_second.id: Reason.FORK}
    state = world.ledger.state
    fork = state.forks[bo.secret.public]
    assert (fork.seq, fork.second) == (second.seq, second.id)
    device = state.devices[bo.secret.public]
    assert (device.status, device.head) == ("frozen", after_first.id)
    assert world.refused("bo", world.offer("roast")) is Reason.DEVICE_FROZEN


# -- ticks -------------------------------------------------------------------------------------------------------------


def test_ticks_run_between_the_entries_at_their_time() -> None:
    """Due at the very moment of an entry it comes first; due after the last entry it comes before the block's end."""
    world = market()
    offer = world.offered("bo", "roast", expires=world.now + 2 * HOUR_MS)
    world.delivered("cy", "di", "roast")
    world.seal()
    due = world.ledger.state.due.order[0][0]
    at_the_moment = world.sign("ana", Donate(amount=5), time=due)
    before = world.sign("bo", Withdraw(offer=offer), time=world.now - 30 * DAY_MS)
    world.now = due
    for entry in (before, at_the_moment):
        world.feed(entry)
    executed = world.seal(due + DAY_MS)
    assert executed.ticks[0].time == due
    places = [result.at for result in executed.results]
    assert places == sorted(places) and places[0] < due == places[-1]


def test_postings_carry_their_rule_and_their_arithmetic() -> None:
    """Everything that moves says why, and nothing moves by nothing."""
    world = market()
    deal = world.accepted("bo", "cy", "roast", 2)
    result = world.outcome(deal)
    assert result.postings
    for posting in result.postings:
        assert posting.amount > 0 and posting.source != posting.target
        assert posting.rule and posting.formula


@pytest.mark.parametrize("times", [2, 3])
def test_one_offer_is_taken_once(times: int) -> None:
    """Several accept it knowing nothing of one another: the first has it, the others are void."""
    world = market()
    offer = world.offered("ana", "roast")
    entries = [world.sign(name, Accept(offer=offer)) for name in ("bo", "cy", "di")[:times]]
    for entry in reversed(entries):
        world.feed(entry)
    reasons = [world.outcome(entry.id).reason for entry in entries]
    assert reasons == [None] + [Reason.OFFER_TAKEN] * (times - 1)
    world.seal()
