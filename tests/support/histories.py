"""Made-up histories: numbers become entries, mostly such as somebody might write now, sometimes anything by anybody.

A `Play` has *makers*: functions that say what the state of things invites to. A new kind is one maker more, and its
body in `wild_bodies`; then it is part of every property that is tried on histories.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from hypothesis import strategies as st

from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.deal_rules import can_be_accepted
from tallystick.protocol.duty import term_at
from tallystick.protocol.entry import Entry
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.endorse import Endorse
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.use_voucher import UseVoucher
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.records_deal import Deal, Terms
from tallystick.protocol.records_governance import Choice
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting
from tests.support import charters
from tests.support.builders import DAY_MS, HOUR_MS, MemoryHistory, World, check_books
from tests.support.market import MARKET

PARTNERS: Final = ("ana", "bo", "cy", "di")
#: With somebody who has no vote.
NAMES: Final = (*PARTNERS, "ed")

#: Which of the things that could be done, with which number, after how long a wait, and whether it may be nonsense.
Event = tuple[int, int, int, bool]
Deed = tuple[str, Body]
Maker = Callable[["Play", int], list[Deed]]

WAITS: Final = (*[0] * 20, *[HOUR_MS] * 12, *[DAY_MS] * 4, *[4 * DAY_MS] * 2, 31 * DAY_MS)
EVENTS: Final[st.SearchStrategy[list[Event]]] = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(1, 12),
        st.sampled_from(WAITS),
        st.sampled_from([False, False, False, False, True]),
    ),
    min_size=10,
    max_size=60,
)

#: What a venture with everything has beside the steps of the market.
TABLES: Final[dict[str, Any]] = {
    "open": {"max": 60, "endorse": 1, "budget": 200, "period": "10d"},
    "contribution": [
        {"id": "share", "points": 3, "attest": 1, "cap": 4, "period": "1d", "budget": 50},
        {"id": "film", "points": 20, "attest": 2},
        {"id": "like", "points": 1, "attest": 0, "cap": 5},
    ],
    "round": [
        {"id": "seed", "currency": "EUR", "price": 500, "points": 30, "voucher": 200, "shares": 9, "max-per-partner": 4}
    ],
    "donation": {"currency": "EUR"},
    "sale": {"currency": "EUR"},
}

_MAYBE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "points": st.sampled_from(
        [{"pool": 700, "start": 100}, {"pool": 5_000, "start": 0}, {"pool": 100_000, "start": 100}]
    ),
    "dispute": st.fixed_dictionaries(
        {"panel": st.integers(1, 3), "window": st.sampled_from(["1h", "5d", "40d"])},
    ),
    "referral": st.fixed_dictionaries({"percent": st.sampled_from([0, 7, 100]), "cap": st.sampled_from([0, 9])}),
    "vesting": st.sampled_from(
        [{"cliff": "0s", "duration": "20d"}, {"cliff": "10d", "duration": "1y", "cliff-from": "lot"}]
    ),
    "duty": st.fixed_dictionaries({"size": st.integers(1, 3), "term": st.sampled_from(["1d", "10d", "30d"])}),
    "leaver": st.fixed_dictionaries(
        {"good": st.sampled_from(["keep-vested", "keep-all"]), "bad": st.sampled_from(["keep-vested", "forfeit-all"])}
    ),
    "open": st.fixed_dictionaries(
        {"max": st.sampled_from([0, 20]), "endorse": st.integers(0, 3), "budget": st.sampled_from([0, 50, 5_000])},
        optional={"period": st.sampled_from(["1d", "30d"]), "on-silence": st.sampled_from(["approve", "lapse"])},
    ),
    "governance": st.fixed_dictionaries(
        {"period": st.sampled_from(["1d", "5d"]), "notice": st.sampled_from(["0s", "1h"])},
        optional={"weight": st.just("points"), "quorum": st.just("1/4"), "suspension": st.just("2d")},
    ),
    "objective": st.sampled_from(
        [{"metric": "points-earned", "threshold": 900}, {"metric": "units:roast", "threshold": 9}]
    ),
}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Charters in which everything can be done, each with other numbers."""
    document = copy.deepcopy(MARKET) | copy.deepcopy(TABLES)
    document |= draw(st.fixed_dictionaries({}, optional=_MAYBE))
    for step in document["step"]:
        step |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "max-grade": st.sampled_from([100, 130]),
                    "late-per-day": st.sampled_from([0, 7]),
                    "review": st.sampled_from(["1h", "3d"]),
                    "cosign-above": st.sampled_from([0, 30]),
                },
            )
        )
    return document


def any_documents() -> st.SearchStrategy[dict[str, Any]]:
    """Every kind of valid charter, but for what would keep newcomers out or change teams every second."""

    def playable(document: dict[str, Any]) -> dict[str, Any]:
        document["membership"] = {"sponsors": 1, "probation": "0s"}
        if "duty" in document:
            document["duty"] = {"size": document["duty"].get("size", 1), "term": "3d"}
        return document

    return charters.documents().map(playable)


def everything(document: dict[str, Any] | None = None) -> World:
    """A world of four partners and a contributor, under such a charter."""
    world = World.found(document or copy.deepcopy(MARKET) | TABLES, *PARTNERS[1:])
    world.join("ed", standing="contributor")
    world.seal()
    return world


def some_events(chance: random.Random, count: int) -> list[Event]:
    """What `EVENTS` draws, from a seed."""
    return [
        (chance.randrange(10_001), chance.randint(1, 12), chance.choice(WAITS), chance.random() < 0.2)
        for _ in range(count)
    ]


class Play:
    """Turns events into entries."""

    def __init__(self, world: World, makers: Mapping[str, Maker] | None = None) -> None:
        self.world = world
        self.makers = MAKERS if makers is None else makers
        self.sent: dict[str, list[bytes]] = {}
        """Ids of what was written, by kind."""

    @property
    def charter(self) -> Charter:
        return from_bytes(self.state.charter_row.data)

    @property
    def names(self) -> dict[bytes, str]:
        return {person.member: name for name, person in self.world.people.items()}

    @property
    def state(self) -> State:
        return self.world.view()

    def run(self, events: list[Event], *, sealing: bool) -> None:
        """Play them, one after the other; the books must balance after each."""
        for which, number, wait, wild in events:
            self.world.wait(wait)
            if sealing and number % 4 == 0:
                self.world.seal()
            turn, pick = which % len(self.makers), which // len(self.makers)
            deeds = wild_deeds(self, pick, number) if wild else self.deeds(turn, number)
            # What somebody who has departed may not write any more is no part of a block.
            deeds = [(name, body) for name, body in deeds if body.DEPARTED_MAY or not self.has_departed(name)]
            if deeds:
                name, body = deeds[pick % len(deeds)]
                self.sent.setdefault(body.KIND, []).append(self.world.send(name, body))
            check_books(self.world.view())

    def deeds(self, turn: int, number: int) -> list[Deed]:
        """What one of the makers finds possible, or the next one that finds something."""
        makers = list(self.makers.values())
        for maker in makers[turn:] + makers[:turn]:
            if deeds := maker(self, number):
                return deeds
        return []

    def has_departed(self, name: str) -> bool:
        """Whether somebody had departed when the newest block was sealed."""
        return self.world.ledger.state.members[self.world.people[name].member].status == "departed"

    def written(self, kind: str) -> list[bytes]:
        """Ids of entries of a kind, oldest first."""
        return self.sent.get(kind, [])


# -- makers ------------------------------------------------------------------------------------------------------------


def offers(play: Play, number: int) -> list[Deed]:
    """New offers of every step, and one of none."""
    world, turn = play.world, len(play.written("offer"))
    more: dict[str, Any] = {"copies": 2} if turn % 7 == 0 else {}
    if turn % 3 == 0:
        more["deadline"] = world.now + number * DAY_MS
    if turn % 5 == 0:
        more["expires"] = world.now + DAY_MS
    side = "buy" if turn % 4 == 0 else "sell"
    name = NAMES[(turn + number) % len(NAMES)]
    deeds: list[Deed] = [
        (name, world.offer(step.id, number * 3 if step.cosign_above else number, side, **more))
        for step in play.charter.steps.values()
    ]
    if play.charter.open is not None:
        payer = "buyer" if turn % 3 == 0 else "pool"
        deeds += [(name, world.open_offer(number * 3, side, payer=payer, **more))] * 3
    return deeds


def answers(play: Play, number: int) -> list[Deed]:
    """What is done with an offer: endorsed, accepted, withdrawn."""
    deeds: list[Deed] = []
    for offer_id in play.written("offer"):
        offer = play.state.offers.get(offer_id)
        if offer is not None and can_be_accepted(offer, play.world.now):
            others = [name for name in NAMES if name != play.names[offer.author]]
            deeds += [(name, Endorse(offer=offer_id)) for name in others[:number] if name not in offer.endorsed]
            deeds += [(name, Accept(offer=offer_id)) for name in others] * 3
            deeds.append((play.names[offer.author], Withdraw(offer=offer_id)))
    return deeds


def deals(play: Play, number: int) -> list[Deed]:
    """What the sides, or somebody else, may do with deals in their present status."""
    state = play.state
    return [
        deed
        for deal_id in play.written("accept")
        if (deal := state.deals.get(deal_id)) is not None
        for deed in _deal_deeds(play, deal_id, deal, number)
    ]


def _deal_deeds(play: Play, deal_id: bytes, deal: Deal, number: int) -> list[Deed]:
    seller, buyer = play.names[deal.seller], play.names[deal.buyer]
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
                (buyer, Reject(deal=deal_id)),
                (buyer, Return(deal=deal_id)),
                (seller, Cancel(deal=deal_id)),
                (buyer, Cancel(deal=deal_id)),
            ]
        case "waiting":
            return [*[(name, Cosign(deal=deal_id)) for name in NAMES] * 3, (seller, Cancel(deal=deal_id))]
        case "rejected" | "approved":
            return [(seller, Dispute(deal=deal_id))] * 3 + [(buyer, Approve(deal=deal_id, grade=50))]
        case _:
            panel = [play.names[member] for member in deal.panel] or list(NAMES)
            verdicts = [(name, Verdict(deal=deal_id, grade=number * 12)) for name in panel]
            return [*verdicts, (buyer, Approve(deal=deal_id, grade=90))]


def corrections(play: Play, number: int) -> list[Deed]:
    """What should have been otherwise: deals that are over, and money; and the word of those who must agree."""
    deeds: list[Deed] = []
    for deal_id in play.written("accept"):
        deal = play.state.closed.get(deal_id) or play.world.history.deals.get(deal_id)
        if deal is not None and deal.status == "approved":
            body = Correct(entry=deal_id, deal=deal_id, units=min(number, deal.units), grade=number * 10)
            deeds.append((play.names[deal.buyer], body))
    for entry_id, row in play.state.money.items():
        deeds.append((play.names[row.author], Correct(entry=entry_id, amount=max(0, row.amount + number * 10 - 60))))
    agreed: list[Deed] = []
    for correction_id in play.state.corrections:
        agreed += [(name, Confirm(entry=correction_id)) for name in NAMES]
        agreed += [(name, Cosign(deal=correction_id)) for name in NAMES[number % 5 :]]
    return deeds + agreed * 2


def claims(play: Play, number: int) -> list[Deed]:
    """Small deeds, and who has seen them."""
    name = NAMES[number % len(NAMES)]
    deeds: list[Deed] = [(name, Claim(contribution=deed, count=1 + number % 3)) for deed in play.charter.contributions]
    return deeds + [(name, Attest(claim=claim_id)) for claim_id in play.state.claims for name in NAMES]


def money(play: Play, number: int) -> list[Deed]:
    """What somebody states about money, and what those on duty say of it."""
    state, now = play.state, play.world.now
    name = NAMES[number % len(NAMES)]
    deeds: list[Deed] = [
        *((name, Subscribe(round=each, shares=1 + number % 3)) for each in play.charter.rounds),
        (name, Donate(amount=number * 10)),
        (name, UseVoucher(amount=number * 20)),
        (name, Cash(type="income", amount=number * 9, category="sales")),
        (name, Cash(type="expense", amount=number * 7, category="rent")),
        (name, Report(period=term_at(state, now).start, counted={"EUR": number})),
        (name, Transfer(to=play.world.people[NAMES[(number + 1) % len(NAMES)]].member, points=number)),
    ]
    for each, person in play.world.people.items():
        if state.balance("VOUCHER-EUR", f"partner/{person.member.hex()}"):
            deeds += [(each, UseVoucher(amount=number * 10))] * 5
    for entry_id, row in state.money.items():
        if row.due is not None:
            deeds += [(each, Receipt(entry=entry_id)) for each in NAMES] * 2
        elif row.kind == "donate":
            body = Cash(type="expense", amount=number * 5, category="books", source=entry_id)
            deeds += [(each, body) for each in PARTNERS]
    return deeds


def payments(play: Play, number: int) -> list[Deed]:
    """What the venture owes, and what has arrived."""
    deeds: list[Deed] = []
    for name, person in play.world.people.items():
        currency = play.charter.sale.currency or "EUR"
        owed, paid = (play.state.balance(currency, f"{what}/{person.member.hex()}") for what in ("payable", "paid"))
        if owed:
            deeds += [(each, Paid(partner=person.member, amount=min(owed, number * 5))) for each in PARTNERS]
        if paid:
            deeds.append((name, Received(amount=number)))
    return deeds


def people(play: Play, number: int) -> list[Deed]:
    """Who is not there for a while, is there again, or goes for good."""
    name = NAMES[number % len(NAMES)]
    away: list[Deed] = [(name, Away(until=play.world.now + number * HOUR_MS)), (name, Back())]
    return [*away * 4, (name, Leave())]


def votes(play: Play, number: int) -> list[Deed]:
    """What is put to the vote, and how it goes."""
    deeds: list[Deed] = []
    for entry_id, proposal in play.state.proposals.items():
        if proposal.status == "open":
            choice: Choice = "no" if number % 5 == 0 else "yes"
            deeds += [(name, Vote(proposal=entry_id, choice=choice)) for name in PARTNERS]
    if len(deeds) > 2 * len(PARTNERS):
        return deeds
    name, other = PARTNERS[number % 4], play.world.people[NAMES[number % 5]].member
    bodies = [
        Propose(type="text"),
        Propose(type="expel", member=other),
        Propose(type="suspend", member=other),
        Propose(type="role", member=other, role="treasurer"),
        Propose(type="dividend", amount=number * 10),
        Propose(type="dividend", amount=number),
        Propose(type="sale", proceeds=number * 1_000, costs=number, percent=number),
        Propose(type="sale", proceeds=number * 1_000),
    ]
    bodies += [Propose(type="release", deal=deal_id) for deal_id in play.state.deals]
    return deeds * 2 + [(name, body) for body in bodies]


MAKERS: Final[dict[str, Maker]] = {
    "offers": offers,
    "answers": answers,
    "deals": deals,
    "deals again": deals,
    "corrections": corrections,
    "claims": claims,
    "money": money,
    "payments": payments,
    "people": people,
    "votes": votes,
}


# -- nonsense ----------------------------------------------------------------------------------------------------------


def wild_deeds(play: Play, which: int, number: int) -> list[Deed]:
    """Some kind about some entry, by somebody."""
    some = [entry_id for kind in sorted(play.sent) for entry_id in play.sent[kind]]
    some.append(play.world.people["bo"].member)
    name = NAMES[number % len(NAMES)]
    return [(name, body) for body in wild_bodies(some[which % len(some)], number)]


def wild_bodies(ref: bytes, number: int) -> list[Body]:
    """Every kind that refers to something, about this."""
    return [
        Offer(side="sell", units=1, to=ref, terms=Terms(number, "pool", DAY_MS, "approve", 0, 0, 100, 0)),
        Endorse(offer=ref),
        Accept(offer=ref),
        Withdraw(offer=ref),
        Deliver(deal=ref, units=number),
        Approve(deal=ref, grade=number * 10),
        Return(deal=ref),
        Reject(deal=ref),
        Cancel(deal=ref),
        Cosign(deal=ref),
        Dispute(deal=ref),
        Verdict(deal=ref, grade=number),
        Correct(entry=ref, deal=ref, grade=number),
        Correct(entry=ref, amount=number),
        Confirm(entry=ref),
        Attest(claim=ref),
        Receipt(entry=ref),
        Cash(type="expense", amount=number, category="books", source=ref),
        Transfer(to=ref, points=number),
        Paid(partner=ref, amount=number),
        Vote(proposal=ref, choice="yes"),
        Away(until=number),
        Received(amount=number),
        UseVoucher(amount=number),
        Report(period=number, counted={}),
        Claim(contribution="none", count=number),
        Subscribe(round="none", shares=number),
    ]


# -- a second node -----------------------------------------------------------------------------------------------------


def copy_of(world: World) -> Ledger:
    """A second node that executes the same blocks, with an archive that knows already how every deal ended."""
    history = MemoryHistory()
    history.deals = world.history.deals
    ledger = Ledger(world.ledger.id, history)
    at = 0
    for height, block in enumerate(world.executed, start=1):
        entries = {result.entry_id for result in block.results}
        for entry in world.sent:
            if entry.id in entries:
                add(ledger, entry)
        at += len(entries)
        taken, unknown = ledger.select(list(ledger.pool.tips), block.time)
        assert not unknown
        executed = ledger.execute(taken, block.time, ())
        assert executed.state_root == block.state_root
        history.blocks.append(world.history.blocks[height - 1])
        for result in executed.results:
            history.entries[result.entry_id] = world.history.entries[result.entry_id]
        ledger.commit(executed, world.history.blocks[height - 1][0])
    return ledger


def add(ledger: Ledger, entry: Entry) -> None:
    """Let a node have an entry."""
    body = ledger.check(entry)
    assert not isinstance(body, Waiting)
    ledger.add(entry, body)
