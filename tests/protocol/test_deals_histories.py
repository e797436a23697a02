"""Made-up histories: whatever people write, in whatever order it comes, the books balance and everybody agrees."""

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.protocol.deal_rules import can_be_accepted
from tallystick.protocol.entry import Entry, wire
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.records_deal import Deal
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting
from tests.support.builders import DAY_MS, HOUR_MS, MemoryHistory, World, check_books
from tests.support.market import market

NAMES = ("ana", "bo", "cy", "di")
STEPS = ("roast", "bake", "carve", "print", "sing", "tune", "copy", "swap", "rare")

#: Which of the things that could be done, with which number, after how long a wait, and whether it may be nonsense.
Event = tuple[int, int, int, bool]

EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(1, 12),
        st.sampled_from([0, 0, 0, 0, 0, HOUR_MS, DAY_MS, 4 * DAY_MS, 31 * DAY_MS]),
        st.sampled_from([False, False, False, False, True]),
    ),
    min_size=10,
    max_size=60,
)

_MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Deed = tuple[str, Body]


class Play:
    """Turns events into entries: mostly something that somebody may do now, sometimes anything by anybody."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.offers: list[bytes] = []
        self.deals: list[bytes] = []
        self.names = {person.member: name for name, person in world.people.items()}

    def run(self, events: list[Event], *, sealing: bool) -> None:
        for which, number, wait, wild in events:
            self.world.wait(wait)
            if sealing and which % 17 == 0:
                self.world.seal()
            deeds = self.anything(which, number) if wild else self.deeds(number)
            name, body = deeds[which % len(deeds)]
            entry_id = self.world.send(name, body)
            if body.KIND == "offer":
                self.offers.append(entry_id)
            elif body.KIND == "accept":
                self.deals.append(entry_id)
            check_books(self.world.view())

    def deeds(self, number: int) -> list[Deed]:
        """Everything that the state of things invites to."""
        state = self.world.view()
        deeds: list[Deed] = [self.new_offer(number * 7 + len(self.offers), number)]
        for offer_id in self.offers:
            offer = state.offers.get(offer_id)
            if offer is not None and can_be_accepted(offer, self.world.now):
                others = [name for name in NAMES if name != self.names[offer.author]]
                deeds += [(name, Accept(offer=offer_id)) for name in others]
                deeds.append((self.names[offer.author], Withdraw(offer=offer_id)))
        for deal_id in self.deals:
            deal = state.deals.get(deal_id)
            if deal is not None:
                deeds += self.deal_deeds(deal_id, deal, number)
        return deeds

    def deal_deeds(self, deal_id: bytes, deal: Deal, number: int) -> list[Deed]:
        """What the sides, or somebody else, may do with a deal in its present status."""
        seller, buyer = self.names[deal.seller], self.names[deal.buyer]
        some = min(number, deal.units)
        match deal.status:
            case "accepted":
                deliveries: list[Deed] = [(seller, Deliver(deal=deal_id, units=units)) for units in (deal.units, some)]
                return [*deliveries * 2, (seller, Cancel(deal=deal_id)), (buyer, Cancel(deal=deal_id))]
            case "delivered":
                grade = min(number * 20, deal.terms.max_grade)
                return [
                    (buyer, Approve(deal=deal_id)),
                    (buyer, Approve(deal=deal_id, grade=grade)),
                    (buyer, Approve(deal=deal_id, units=min(some, deal.delivered), grade=grade)),
                    (buyer, Reject(deal=deal_id)),
                    (buyer, Return(deal=deal_id)),
                    (seller, Cancel(deal=deal_id)),
                    (buyer, Cancel(deal=deal_id)),
                ]
            case "waiting":
                return [(name, Cosign(deal=deal_id)) for name in NAMES] + [(seller, Cancel(deal=deal_id))]
            case "rejected":
                return [(buyer, Approve(deal=deal_id, grade=50))]
            case _:
                return [(seller, Cancel(deal=deal_id))]

    def anything(self, which: int, number: int) -> list[Deed]:
        """Some kind about some entry, by somebody."""
        name = NAMES[number % len(NAMES)]
        some = [*self.offers, *self.deals, self.world.people["bo"].member]
        ref = some[which % len(some)]
        bodies: list[Body] = [
            Accept(offer=ref),
            Withdraw(offer=ref),
            Deliver(deal=ref, units=number),
            Approve(deal=ref, grade=number * 10),
            Return(deal=ref),
            Reject(deal=ref),
            Cancel(deal=ref),
            Cosign(deal=ref),
        ]
        return [(name, body) for body in bodies]

    def new_offer(self, which: int, number: int) -> Deed:
        more: dict[str, Any] = {"copies": 2} if which % 7 == 0 else {}
        if which % 3 == 0:
            more["deadline"] = self.world.now + number * DAY_MS
        if which % 5 == 0:
            more["expires"] = self.world.now + DAY_MS
        side = "buy" if which % 4 == 0 else "sell"
        step = STEPS[which % len(STEPS)]
        units = number * 3 if step == "carve" else number
        return NAMES[which % len(NAMES)], self.world.offer(step, units, side, **more)


@given(EVENTS)
@_MODEST
def test_every_history_keeps_the_books(events: list[Event]) -> None:
    """Sums are 0, nobody owes, every escrow has its deal, and each block is what the preview said."""
    world = market()
    Play(world).run(events, sealing=True)
    world.seal()
    world.wait(400 * DAY_MS)
    world.seal()
    assert not world.ledger.state.deals, "everything ends by itself"
    assert not any(path.startswith("POINT/escrow") for path in world.ledger.state.accounts)


@given(EVENTS)
@_MODEST
def test_a_state_is_its_rows(events: list[Event]) -> None:
    """Loaded from its rows it has the same rows, and goes on the same way."""
    world = market()
    Play(world).run(events, sealing=True)
    world.seal()
    rows = world.ledger.state.rows()
    again = State()
    again.load(rows.items())
    assert again.rows() == rows
    assert again.due.order == world.ledger.state.due.order
    assert again.offers.order == world.ledger.state.offers.order
    for person in world.people.values():
        for step in STEPS:
            assert again.deals.of(person.member, step) == world.ledger.state.deals.of(person.member, step)
            assert again.offers.of(person.member, step) == world.ledger.state.offers.of(person.member, step)


@given(EVENTS, st.integers(0, 2**32))
@_MODEST
def test_the_order_of_arrival_does_not_matter(events: list[Event], seed: int) -> None:
    """Another node that hears the same entries in another order makes the same block of them, and the same preview."""
    world = market()
    first = len(world.sent)
    Play(world).run(events, sealing=False)
    other = _copy_of(world)
    waiting = world.sent[first:]
    chance = random.Random(seed)
    while waiting:
        ready = [entry for entry in waiting if all(map(other.knows, entry.parents))]
        entry = chance.choice(ready)
        waiting.remove(entry)
        _add(other, entry)
        if chance.random() < 0.3:
            other.view(world.now - chance.choice([0, HOUR_MS, 40 * DAY_MS]))
    assert other.preview.finished_rows(world.now) == world.ledger.preview.finished_rows(world.now)
    executed = world.seal()
    taken, unknown = other.select(list(other.pool.tips), executed.time)
    assert not unknown
    again = other.execute(taken, executed.time, ())
    assert [result[:5] for result in again.results] == [result[:5] for result in executed.results]
    assert (again.state_root, again.log_root) == (executed.state_root, executed.log_root)


def _add(ledger: Ledger, entry: Entry) -> None:
    body = ledger.check(entry)
    assert not isinstance(body, Waiting)
    ledger.add(entry, body)


def _copy_of(world: World) -> Ledger:
    """A second node that has executed the same blocks."""
    history = MemoryHistory()
    ledger = Ledger(world.ledger.id, history)
    at = 0
    for height, block in enumerate(world.executed, start=1):
        for _ in block.results:
            at += 1
        for entry in world.sent[len(history.entries) : at]:
            _add(ledger, entry)
        taken, unknown = ledger.select(list(ledger.pool.tips), block.time)
        assert not unknown
        executed = ledger.execute(taken, block.time, ())
        assert executed.state_root == block.state_root
        history.blocks.append(world.history.blocks[height - 1])
        for result in executed.results:
            history.entries[result.entry_id] = world.history.entries[result.entry_id]
        ledger.commit(executed, world.history.blocks[height - 1][0])
    assert [wire(entry) for entry in world.sent[:at]]
    return ledger
