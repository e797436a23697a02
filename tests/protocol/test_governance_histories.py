"""Made-up histories of people and votes among deals and money: the books balance, and everybody agrees."""

import copy
import random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import canonical
from tallystick.protocol.entry import wire
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.sealers import active_sealers
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting
from tests.support.builders import DAY_MS, HOUR_MS, MemoryHistory, World, check_books
from tests.support.market import MARKET, market

NAMES = ("ana", "bo", "cy", "di", "ed")
TABLES: dict[str, Any] = {
    "round": [{"id": "seed", "currency": "EUR", "price": 1_000, "points": 10, "voucher": 500, "max-per-partner": 9}],
    "donation": {"currency": "EUR"},
    "sale": {"currency": "EUR"},
    "vesting": {"cliff": "1d", "duration": "30d"},
    "leaver": {"good": "keep-vested", "bad": "forfeit-all"},
    "governance": {"period": "2d", "notice": "1h", "grace": "1d", "suspension": "3d", "quorum-major": "1/2"},
    "objective": {"metric": "points-earned", "threshold": 520},
    "referral": {"percent": 50},
}
AMENDED: list[dict[str, Any]] = [
    {"points": {"pool": 300, "start": 5}},
    {"points": {"pool": 200_000, "start": 5}},
    {"governance": {"weight": "points", "period": "1d", "notice": "0s", "grace": "0s"}},
    {"vesting": {"duration": "1d", "cliff": "0s"}, "sale": {"currency": "EUR", "acceleration": False}},
    {"sale": {"currency": "CNY", "preference": "none"}, "objective": {"metric": "deals-closed", "threshold": 2}},
    {
        "role": [{"id": "roaster", "max-holders": 1}, {"id": "taster"}, {"id": "baker"}],
        "duty": {"size": 2, "term": "1d"},
    },
]

#: What is done, by whom, about what, and after how long a wait.
Event = tuple[int, int, int, int]

EVENTS: st.SearchStrategy[list[Event]] = st.lists(
    st.tuples(
        st.integers(0, 21),
        st.integers(0, 4),
        st.integers(0, 10_000),
        st.sampled_from([0, 0, 0, 0, HOUR_MS, 6 * HOUR_MS, DAY_MS, 4 * DAY_MS]),
    ),
    min_size=15,
    max_size=70,
)
_MODEST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Play:
    """Turns events into entries, most of which somebody may write."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.deals: list[bytes] = []
        self.money: list[bytes] = []
        self.proposals: list[bytes] = []

    def run(self, events: list[Event], *, sealing: bool = True) -> None:
        for what, who, which, wait in events:
            self.world.wait(wait)
            if sealing and which % 3 == 0:
                self.world.seal()
            self.event(what, NAMES[who], which)
            check_books(self.world.view())

    def event(self, what: int, name: str, which: int) -> None:
        world = self.world
        other = NAMES[which % len(NAMES)]
        about = world.people[other].member
        if what <= 3:
            self.deal(name, other, which)
        elif what <= 5 and self.deals:
            deal = self.deals[which % len(self.deals)]
            self.send(name, [Approve(deal=deal), Reject(deal=deal), Deliver(deal=deal, units=1)][which % 3])
        elif what == 6:
            self.send(name, [Away(until=world.now + (1 + which % 20) * DAY_MS), Back()][which % 2])
        elif what == 7:
            self.send(name, [Leave(), Admit(member=about, sealer=True), Erase(entry=about)][which % 3])
        elif what == 8:
            self.send(name, SealerOn(device=world.people[name].secret.public))
        elif what == 9:
            amount = 1 + which % 5_000
            bodies: list[Body] = [
                Subscribe(round="seed", shares=1 + which % 4),
                Donate(amount=amount),
                Cash(type="income", amount=amount, category="bread"),
                Cash(type="expense", amount=amount, category="rent"),
            ]
            self.money.append(self.send(name, bodies[which % 4]))
        elif what == 10 and self.money:
            self.send(name, Receipt(entry=self.money[which % len(self.money)]))
        elif what <= 13:
            self.proposals.append(self.send(name, self.proposal(which, about)))
        elif self.proposals:
            # Mostly about the newest, and mostly yes, so that something is decided.
            proposal = self.proposals[-1 - (which % min(3, len(self.proposals)))]
            self.send(name, Vote(proposal=proposal, choice=("yes", "yes", "yes", "no", "abstain")[which % 5]))  # type: ignore[arg-type]

    def deal(self, name: str, other: str, which: int) -> None:
        step = ("roast", "bake", "carve", "print", "copy")[which % 5]
        offer = self.send(name, self.world.offer(step, 1 + which % 12))
        deal = self.send(other, Accept(offer=offer))
        if deal in self.world.view().deals:
            self.deals.append(deal)
            if which % 2:
                self.send(name, Deliver(deal=deal, units=1))

    def proposal(self, which: int, about: bytes) -> Propose:
        number = which // 16
        charter = canonical(copy.deepcopy(MARKET) | TABLES | AMENDED[number % len(AMENDED)])
        replaces = self.world.view().charter_row.digest
        last = self.deals[number % len(self.deals)] if self.deals else about
        bodies = [
            Propose(type="text"),
            Propose(type="amend", charter=charter, replaces=replaces),
            Propose(type="amend", charter=charter, replaces=replaces),
            Propose(type="expel", member=about),
            Propose(type="suspend", member=about),
            Propose(type="reinstate", member=about),
            Propose(type="role", member=about, role="roaster"),
            Propose(type="role", member=about, role="roaster", take=True),
            Propose(type="sale", proceeds=1 + number, costs=number // 2, percent=1 + number % 100),
            Propose(type="sale", proceeds=1 + number * 7),
            Propose(type="dividend", amount=1 + number % 900),
            Propose(type="release", deal=last),
            Propose(type="rules", version=2 + number % 5),
            Propose(type="erase", entry=last),
            Propose(
                type="revoke", device=self.world.people["ed"].secret.public, seq=0, entry=self.world.people["ed"].member
            ),
            Propose(type="ratify"),
        ]
        return bodies[which % len(bodies)]

    def send(self, name: str, content: Body) -> bytes:
        """Write an entry, but none that no block would take: what a preview says of those is no block's business."""
        able = [each for each in (name, *NAMES) if self.is_taken(each, content)]
        if not able:
            return self.world.ledger.id
        return self.world.send(able[0], content)

    def is_taken(self, name: str, content: Body) -> bool:
        state = self.world.ledger.state
        person = self.world.people[name]
        gone = state.members[person.member].status == "departed" and not content.DEPARTED_MAY
        return not gone and state.devices[person.secret.public].status == "active"


def made_world() -> World:
    return market("bo", "cy", "di", "ed", **copy.deepcopy(TABLES))


def finished(world: World) -> State:
    """A long time later: everything that ends by itself has ended."""
    world.seal()
    world.wait(400 * DAY_MS)
    world.seal()
    # The block after so long a time may be the one that decides about an amendment, and its grace begins there.
    world.wait(2 * DAY_MS)
    world.seal()
    world.seal()
    return world.ledger.state


@given(EVENTS)
@example([(0, 0, 0, 0)] * 11 + [(4, 0, 1, 0), (14, 0, 0, 0), (14, 1, 0, 0), (14, 2, 0, 0)])
@_MODEST
def test_every_history_keeps_the_books(events: list[Event]) -> None:
    """Nothing raises, sums are 0, every vote ends, somebody seals, and an active partner remains."""
    world = made_world()
    Play(world).run(events)
    state = finished(world)
    assert not any(row.status == "open" for row in state.proposals.values())
    assert not state.amendments
    assert not state.deals
    assert active_sealers(state)
    assert any(row.status == "active" for row in state.members.values())
    assert not state.boundary
    money = sum(amount for path, amount in state.accounts.items() if path.startswith("EUR/payable/"))
    assert money >= 0
    again = State()
    again.load(state.rows().items())
    assert again.rows() == state.rows()


@given(EVENTS, st.integers(0, 2**32))
@_MODEST
def test_the_order_of_arrival_does_not_matter(events: list[Event], seed: int) -> None:
    """Another node that hears the same entries in another order comes to the same block."""
    world = made_world()
    first = len(world.sent)
    Play(world).run(events, sealing=False)
    other = _copy_of(world)
    waiting = world.sent[first:]
    chance = random.Random(seed)
    while waiting:
        ready = [entry for entry in waiting if all(map(other.knows, entry.parents))]
        entry = chance.choice(ready)
        waiting.remove(entry)
        body = other.check(entry)
        assert not isinstance(body, Waiting)
        other.add(entry, body)
        if chance.random() < 0.2:
            other.view(world.now - chance.choice([0, HOUR_MS, 3 * DAY_MS]))
    assert other.preview.finished_rows(world.now) == world.ledger.preview.finished_rows(world.now)
    executed = world.seal()
    taken, unknown = other.select(list(other.pool.tips), executed.time)
    assert not unknown
    again = other.execute(taken, executed.time, ())
    assert (again.state_root, again.log_root) == (executed.state_root, executed.log_root)
    assert again.ticks == executed.ticks


def _copy_of(world: World) -> Ledger:
    """Another node with the same blocks."""
    history = MemoryHistory()
    history.entries.update(world.history.entries)
    history.blocks.extend(world.history.blocks)
    state = State()
    state.load(world.ledger.state.rows().items())
    return Ledger(world.ledger.id, history, head=world.ledger.head, state=state, log=world.ledger.log)


def test_the_wire_form_of_every_proposal_is_read_back() -> None:
    """What the histories above are made of is what a node would send."""
    world = made_world()
    play = Play(world)
    for which in range(16):
        entry_id = play.send("ana", play.proposal(which, world.people["bo"].member))
        header, signature, annex = wire(next(entry for entry in world.sent if entry.id == entry_id))
        assert header
        assert (len(signature), annex) == (64, None)
