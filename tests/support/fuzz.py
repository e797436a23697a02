"""Anything that decodes, under any valid charter: charters, entries and times drawn from one source of luck.

Bodies are drawn from the very schemas that read them, so a new kind is part of it without a line here. What a field is
called says where its value most often comes from: `deal` from deals, `offer` from offers, `to` from members. So most of
it is refused, and enough works that histories become deep.

The luck is a `random.Random`: a seeded one in tests, one that reads a fuzzer's bytes under atheris.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol.act import Act
from tallystick.protocol.amendments import put_in_force
from tallystick.protocol.charter import Charter, CharterError, from_bytes, read_charter
from tallystick.protocol.deal_rules import can_be_accepted, open_terms, terms_of
from tallystick.protocol.duty import term_at
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import EntryError
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.table import KINDS, read_body
from tallystick.protocol.records_deal import Terms
from tallystick.protocol.rehearsal import EPOCH_MS, LEDGER_ID, Rehearsal, entry_id, member_id
from tallystick.protocol.scenario import Event, Scenario
from tallystick.protocol.state import State
from tests.support.builders import check_books

NAMES: Final = ("ana", "bo", "cy", "di", "ed", "fay")
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000

#: Kinds that are written more often: those of which long stories are made.
_OFTEN: Final = ("offer", "accept", "accept", "deliver", "deliver", "approve", "reject", "dispute", "verdict", "claim")
_OFTEN_TOO: Final = (
    "attest",
    "subscribe",
    "donate",
    "receipt",
    "cash",
    "propose",
    "vote",
    "vote",
    "correct",
    "confirm",
)
_KINDS: Final = (*KINDS, *_OFTEN * 4, *_OFTEN_TOO * 3)
_TYPES: Final = ("amend", "sale", "expel", "suspend", "role", "dividend", "release", "text", "ratify", "reinstate")
#: Field -> kinds of entries that it may mean.
_MEANS: Final = {
    "offer": ("offer",),
    "deal": ("accept",),
    "claim": ("claim",),
    "proposal": ("propose",),
    "invite": ("invite",),
    "source": ("donate",),
    "from": ("donate",),
    "request": ("recover.request",),
}
_MEMBERS: Final = frozenset(("to", "partner", "member"))
_DEVICES: Final = frozenset(("device", "node_key", "key", "recovery"))
#: Who, which kind, and with which fields.
_Deed = tuple[str, str, dict[str, Any]]
_WAITS_MS: Final = (*[0] * 12, *[MINUTE_MS] * 6, *[60 * MINUTE_MS] * 4, *[DAY_MS] * 5, *[4 * DAY_MS] * 3, 31 * DAY_MS)


# -- charters ----------------------------------------------------------------------------------------------------------


def any_document(luck: random.Random) -> dict[str, Any]:
    """A valid charter as a document, every setting of it by chance, edges more often than the middle."""

    def maybe(table: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in table.items() if luck.random() < 0.5}

    def period() -> str:
        return luck.choice(["1s", "1h", "1d", "5d", "30d", "1y", "100y"])

    def amount(most: int) -> int:
        return luck.choice([0, 1, 7, 50, 1_000, most])

    roles = [
        {"id": f"role-{number}", **maybe({"max-holders": luck.randint(0, 2)})} for number in range(luck.randint(0, 2))
    ]
    known = [row["id"] for row in roles] + ["treasurer"]

    def some_roles() -> list[str]:
        return luck.sample(known, luck.choice([*[0] * 7, 1]))

    steps = [
        {
            "id": f"step-{number}",
            "price": luck.choice([0, 1, 7, 100, 10**12, *[12] * 14]),
            "budget": luck.choice([0, 60, 500, 10**15, *[5_000] * 5]),
            **maybe(
                {
                    "payer": luck.choice(["pool", "buyer"]),
                    "sellers": some_roles(),
                    "buyers": some_roles(),
                    "max-grade": luck.choice([100, 130, 200]),
                    "period": period(),
                    "pair-cap": luck.choice([0, 40, 300]),
                    "review": period(),
                    "on-silence": luck.choice(["approve", "lapse"]),
                    "late-per-day": luck.choice([0, 7, 100]),
                    "late-max": luck.choice([0, 50, 100]),
                    "cosign-above": luck.choice([0, 10, 30, 10**15]),
                    "max-open": luck.choice([0, 1, 20]),
                }
            ),
        }
        for number in range(luck.randint(0, 3))
    ]
    deeds = [
        {
            "id": f"deed-{number}",
            "points": luck.choice([0, 1, 20, 10**12]),
            **maybe(
                {
                    "attest": luck.choice([0, 1, 2, 9]),
                    "cap": luck.choice([0, 3]),
                    "period": period(),
                    "budget": luck.choice([0, 30]),
                }
            ),
        }
        for number in range(luck.randint(0, 2))
    ]
    rounds = [
        {
            "id": f"round-{number}",
            "currency": "EUR",
            "price": luck.choice([0, 1, 500, 10**12]),
            "points": luck.choice([0, 10, 10**12]),
            "voucher": luck.choice([0, 200, 10**12]),
            **maybe({"shares": luck.choice([0, 3, 10**9]), "max-per-partner": luck.choice([0, 1, 5])}),
        }
        for number in range(luck.randint(0, 2))
    ]
    document: dict[str, Any] = {
        "charter": 1,
        "name": "Any",
        "points": {
            "pool": luck.choice([0, 50, 700, 10**15, *[5_000] * 3, *[100_000] * 6]),
            "start": luck.choice([0, 0, 20, 10**12, *[100] * 9]),
        },
        "membership": {"sponsors": luck.choice([1, 2, 9]), "probation": luck.choice(["0s", "30d"])},
        "sale": {
            "currency": "EUR",
            **maybe({"preference": luck.choice(["capital-first", "none"]), "acceleration": luck.random() < 0.5}),
        },
        "step": steps,
        "role": roles,
        "contribution": deeds,
        "round": rounds,
        **maybe(
            {
                "trial": luck.random() < 0.3,
                "referral": {
                    "percent": luck.choice([0, 7, 100]),
                    **maybe({"cap": luck.choice([0, 9]), "period": period()}),
                },
                "leaver": maybe(
                    {
                        "good": luck.choice(["keep-vested", "keep-all"]),
                        "bad": luck.choice(["keep-vested", "forfeit-all"]),
                    }
                ),
                "vesting": luck.choice(
                    [
                        {"cliff": "0s", "duration": "1s"},
                        {"cliff": "0s", "duration": "20d"},
                        {"cliff": "10d", "duration": "1y", "cliff-from": "lot"},
                        {"cliff": "100y", "duration": "100y"},
                    ]
                ),
                "donation": {"currency": "EUR"},
                "duty": {"size": luck.choice([1, 2, 9]), "term": luck.choice(["3d", "30d", "100y"])},
                "dispute": maybe({"panel": luck.choice([1, 2, 9]), "window": period()}),
                "governance": maybe(
                    {
                        "weight": luck.choice(["partner", "points"]),
                        "quorum": luck.choice(["1/3", "1/1"]),
                        "pass": luck.choice(["1/9", "1/2", "1/1"]),
                        "quorum-major": luck.choice(["1/3", "2/3"]),
                        "amend": luck.choice(["1/3", "2/3"]),
                        "expel": luck.choice(["1/3", "3/4"]),
                        "sale": luck.choice(["1/3", "1/3", "3/4"]),
                        "early-sale": luck.choice(["1/3", "1/1"]),
                        "suspension": period(),
                        "grace": luck.choice(["0s", "1h", "10d"]),
                        "notice": luck.choice(["0s", "1h", "24h"]),
                        "period": luck.choice(["1d", "7d", "100y"]),
                    }
                ),
                "finality": maybe({"sealers": luck.choice(["all", "role:treasurer"]), "absence": period()}),
                "objective": {
                    "metric": luck.choice(["points-earned", "deals-closed", "partners", "capital"]),
                    "threshold": amount(10**15),
                },
            }
        ),
    }
    if not (steps or deeds or rounds) or luck.random() < 0.4:
        document["open"] = {
            "budget": luck.choice([0, 50, 10**15]),
            **maybe(
                {"max": luck.choice([0, 60]), "endorse": luck.choice([0, 1, 9]), "period": period(), "review": period()}
            ),
        }
    return {key: value for key, value in document.items() if value != []}


def any_charter(luck: random.Random) -> Charter:
    """A valid charter; what does not fit together is drawn again."""
    for _ in range(100):
        try:
            return read_charter(any_document(luck))
        except CharterError:
            continue
    return read_charter({"charter": 1, "name": "Any", "points": {"pool": 100}, "open": {"budget": 50}})


# -- entries -----------------------------------------------------------------------------------------------------------


@cache
def _schema(kind: str) -> inspect.StructType:
    found = inspect.type_info(KINDS[kind])
    assert isinstance(found, inspect.StructType)
    return found


def _read(kind: str, fields: dict[str, Any]) -> Body | None:
    try:
        return read_body(kind, fields)
    except EntryError:
        return None


def _name_of(member: bytes) -> str:
    return next(name for name in NAMES if member_id(name) == member)


class Fuzz:
    """A ledger that is fed with anything. Nothing is signed; everything else is as in a block."""

    def __init__(self, luck: random.Random, charter: Charter | None = None) -> None:
        self.luck = luck
        standing = {"ed": "contributor", "fay": "observer"}
        scenario = Scenario(
            charter=any_charter(luck) if charter is None else charter,
            partners=NAMES,
            roles={"bo": ("treasurer",)} if luck.random() < 0.5 else {},
            inviter={"cy": "bo", "ed": "ana"},
            standing=standing,
            joined={"di": 5 * DAY_MS} if luck.random() < 0.3 else {},
            until=None,
            events=(),
        )
        self.rehearsal = Rehearsal(scenario)
        self.sent: dict[str, list[bytes]] = {}
        self.kinds_worked: set[str] = set()
        self.kinds_void: set[str] = set()
        self.count = 0

    @property
    def state(self) -> State:
        return self.rehearsal.state

    @property
    def charter(self) -> Charter:
        return from_bytes(self.state.charter_row.data)

    @property
    def now(self) -> int:
        return EPOCH_MS + self.rehearsal.time

    def run(self, count: int) -> None:
        """Feed so many entries, and check the books now and then."""
        for number in range(count):
            self.feed()
            if number % 8 == 7:
                check_books(self.state)

    def feed(self) -> None:
        """One entry by somebody, after some time; each has a block of its own, and so have ticks."""
        luck = self.luck
        self.count += 1
        at = self.rehearsal.time + luck.choice(_WAITS_MS)
        name, body = self._next() if luck.random() < 0.6 else (luck.choice(NAMES), self.body())
        if body is None:
            return
        event = Event(number=self.count, at=at, by=name, do=body.KIND, name=None, args={})
        self.rehearsal._run_until(EPOCH_MS + at)
        reason, _ = self.rehearsal._block(EPOCH_MS + at, f"block#{self.count}".encode(), (event, body))
        (self.kinds_void if reason is not None else self.kinds_worked).add(body.KIND)
        self.sent.setdefault(body.KIND, []).append(entry_id(self.count))

    # -- what the state of things invites to ---------------------------------------------------------------------------

    def _next(self) -> tuple[str, Body | None]:
        """Something that is waited for, by whoever should do it; or a new offer, or anything."""
        luck, state = self.luck, self.state
        chances = [
            self._answer_offer,
            self._deal,
            self._deal,
            self._small,
            self._money,
            self._vote,
            self._correction,
            self._presence,
        ]
        luck.shuffle(chances)
        for chance in chances[:4]:
            found = chance(state)
            if found is not None:
                name, kind, fields = found
                return name, _read(kind, fields)
        kind = luck.choice(
            ["offer", "offer", "offer", "claim", "subscribe", "donate", "cash", "use.voucher", "propose"]
        )
        return luck.choice(NAMES), self.body(kind)

    def _some(self, table: Any) -> bytes | None:
        return self.luck.choice(sorted(table)) if table else None

    def _answer_offer(self, state: State) -> _Deed | None:
        offer_id = self._some([key for key, row in state.offers.items() if can_be_accepted(row, self.now)])
        if offer_id is None:
            return None
        offer = state.offers[offer_id]
        others = [name for name in NAMES[:5] if member_id(name) != offer.author]
        if offer.to is not None and self.luck.random() < 0.8:
            others = [_name_of(offer.to)]
        if offer.step == "" and offer.terms.payer == "pool" and self.luck.random() < 0.5:
            return self.luck.choice(others), "endorse", {"offer": offer_id}
        return self.luck.choice(others), "accept", {"offer": offer_id}

    def _deal(self, state: State) -> _Deed | None:
        deal_id = self._some(state.deals)
        if deal_id is None:
            return None
        luck, deal = self.luck, state.deals[deal_id]
        seller, buyer = _name_of(deal.seller), _name_of(deal.buyer)
        third = luck.choice(NAMES)
        about = {"deal": deal_id}
        match deal.status:
            case "accepted":
                deliver = (seller, "deliver", about | {"units": luck.choice([deal.units, 1])})
                return luck.choice(
                    [deliver, deliver, deliver, deliver, (luck.choice((seller, buyer)), "cancel", about)]
                )
            case "delivered":
                grade = luck.choice([1, 30, 50, 90, 100, deal.terms.max_grade])
                approve = (buyer, "approve", about | {"grade": grade})
                others = [(buyer, "reject", about), (buyer, "return", about), (seller, "cancel", about)]
                return luck.choice([approve, approve, *others])
            case "waiting":
                third = luck.choice(NAMES[:4])
                return luck.choice([(third, "cosign", about)] * 4 + [(buyer, "cancel", about)])
            case "rejected" | "approved":
                return luck.choice([(seller, "dispute", about)] * 3 + [(buyer, "approve", about)])
            case _:
                judge = _name_of(luck.choice(deal.panel)) if deal.panel else third
                return judge, "verdict", about | {"grade": luck.choice([0, 50, 90, deal.terms.max_grade])}

    def _small(self, state: State) -> _Deed | None:
        claim_id = self._some(state.claims)
        return None if claim_id is None else (self.luck.choice(NAMES[:4]), "attest", {"claim": claim_id})

    def _money(self, state: State) -> _Deed | None:
        entry_id = self._some(state.money)
        luck = self.luck
        owed = [path for path in sorted(state.accounts) if "/payable/" in path or "/paid/" in path]
        if owed and luck.random() < 0.3:
            path = luck.choice(owed)
            who = bytes.fromhex(path.rpartition("/")[2])
            part = max(1, state.accounts[path] // luck.choice([1, 1, 3]))
            if "/paid/" in path:
                return _name_of(who), "received", {"amount": part}
            return luck.choice(NAMES[:4]), "paid", {"partner": who, "amount": part}
        if entry_id is None:
            return None
        row = state.money[entry_id]
        if row.due is not None:
            return luck.choice(NAMES[:4]), "receipt", {"entry": entry_id}
        if row.kind == "donate" and luck.random() < 0.5:
            fields = {"type": "expense", "amount": max(1, row.amount // 2), "category": "x", "from": entry_id}
            return luck.choice(NAMES[:4]), "cash", fields
        if row.kind == "subscribe" and row.voucher:
            return _name_of(row.author), "use.voucher", {"amount": max(1, row.voucher // 3)}
        return _name_of(row.author), "correct", {"entry": entry_id, "amount": luck.choice([0, row.amount * 2, 5])}

    def _vote(self, state: State) -> _Deed | None:
        proposal_id = self._some([key for key, row in state.proposals.items() if row.status == "open"])
        if proposal_id is None:
            return None
        choice = self.luck.choice(["yes"] * 6 + ["no", "abstain"])
        return self.luck.choice(NAMES[:4]), "vote", {"proposal": proposal_id, "choice": choice}

    def _presence(self, state: State) -> _Deed | None:
        away = [name for name in NAMES if (row := state.members.get(member_id(name))) and row.away_until > self.now]
        return (self.luck.choice(away), "back", {}) if away else None

    def _correction(self, state: State) -> _Deed | None:
        luck = self.luck
        correction_id = self._some(state.corrections)
        if correction_id is not None:
            kind, key = luck.choice([("confirm", "entry"), ("confirm", "entry"), ("cosign", "deal")])
            return luck.choice(NAMES), kind, {key: correction_id}
        closed = [key for key, deal in self.rehearsal.history.deals.items() if deal.status == "approved"]
        deal_id = self._some(closed)
        if deal_id is None:
            return None
        deal = self.rehearsal.history.deals[deal_id]
        fields = {"entry": deal.approval, "deal": deal_id, "grade": luck.choice([1, 80, 100, deal.terms.max_grade])}
        return _name_of(deal.buyer), "correct", fields

    def finish(self, ms: int) -> None:
        """Let time pass, tick by tick, then one last block."""
        end = self.now + ms
        self.rehearsal._run_until(end)
        self.rehearsal._block(end, b"until", None)

    def amend(self, charter: Charter) -> None:
        """Put another charter in force now, whatever the vote would say."""
        act = Act(self.state, self.rehearsal._context(self.now + 1, self.now), self.now, LEDGER_ID)
        put_in_force(act, charter)
        self.state.commit()

    # -- bodies --------------------------------------------------------------------------------------------------------

    def body(self, kind: str | None = None) -> Body | None:
        """A body of some kind that its schema takes, or None."""
        kind = kind or self.luck.choice(_KINDS)
        schema = _schema(kind)
        fields: dict[str, Any] = {}
        if kind == "propose":
            return self._proposal()
        for each in schema.fields:
            if not each.required and self.luck.random() < 0.6:
                continue
            value = self.value(each.encode_name, each.type)
            if value is not None:
                fields[each.encode_name] = value
        if kind == "offer" and self.luck.random() < 0.9:
            fields = self._offer(fields)
        return _read(kind, fields)

    def _offer(self, fields: dict[str, Any]) -> dict[str, Any]:
        """With the terms of the charter in force."""
        rules = self.charter
        for name in ("step", "to", "expires", "deadline"):
            fields.pop(name, None)
        terms: Terms
        if rules.open is not None and (not rules.steps or self.luck.random() < 0.3):
            terms = open_terms(rules.open, self.luck.choice([0, 1, 30, 60]), self.luck.choice(["pool", "buyer"]))
            fields["units"] = 1
        elif rules.steps:
            step = self.luck.choice(list(rules.steps.values()))
            terms = terms_of(step)
            fields |= {"step": step.id, "units": self.luck.choice([1, 2, 5] * 12 + [10**9])}
        else:
            return fields
        if self.luck.random() < 0.3:
            fields["deadline"] = self.now + self.luck.choice([-1, 0, DAY_MS, *[9 * DAY_MS] * 6, 400 * DAY_MS])
        if self.luck.random() < 0.2:
            fields["to"] = member_id(self.luck.choice(NAMES))
        return fields | {"terms": list(msgspec.structs.astuple(terms))}

    def _proposal(self) -> Body | None:
        luck = self.luck
        what = luck.choice((*_TYPES, "amend", "sale", "sale", "revoke", "recover", "erase", "rules"))
        fields: dict[str, Any] = {"type": what}
        match what:
            case "amend":
                fields |= {"charter": any_charter(luck).bytes, "replaces": self.state.charter_row.digest}
            case "expel" | "suspend" | "reinstate":
                fields["member"] = member_id(luck.choice(NAMES))
            case "role":
                fields |= {
                    "member": member_id(luck.choice(NAMES)),
                    "role": luck.choice([*self.charter.roles, "nobody"]),
                }
                if luck.random() < 0.3:
                    fields["take"] = True
            case "sale":
                fields |= {"proceeds": luck.choice([1, 999, 10**12, 2**63 - 1])}
                if luck.random() < 0.5:
                    fields["percent"] = luck.choice([1, 30, 99])
            case "dividend":
                fields["amount"] = luck.choice([1, 50, 2**63 - 1])
            case "release":
                fields["deal"] = self._id("deal")
            case "revoke":
                fields |= {"device": self._id("device"), "entry": self._id("entry"), "seq": luck.randint(0, 5)}
            case "recover" | "erase":
                fields["entry"] = self._id("entry")
            case "rules":
                fields["version"] = luck.choice([1, 2, 2**63 - 1])
        return _read("propose", fields)

    def value(self, name: str, kind: Any) -> Any:
        """A value for a field of this type."""
        luck = self.luck
        match kind:
            case inspect.UnionType(types=types):
                return self.value(name, luck.choice([each for each in types if not isinstance(each, inspect.NoneType)]))
            case inspect.IntType():
                return self._int(name, kind)
            case inspect.BytesType():
                if kind.min_length == 32:
                    return self._id(name)
                return tagged_hash("fuzz", luck.getrandbits(32).to_bytes(4)) * 2 if kind.min_length == 64 else b"\x80"
            case inspect.StrType():
                return self._word(name, kind)
            case inspect.LiteralType(values=values):
                return luck.choice(list(values))
            case inspect.BoolType():
                return luck.random() < 0.5
            case inspect.DictType(key_type=key, value_type=value):
                return {self.value(name, key): self.value(name, value) for _ in range(luck.randint(0, 2))}
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                return [self.value(name, item) for _ in range(luck.randint(1, 2))]
            case inspect.StructType(fields=fields):
                return [self.value(each.name, each.type) for each in fields]
        return None

    def _int(self, name: str, kind: inspect.IntType) -> int:
        low = kind.ge if kind.ge is not None else -(2**63)
        high = kind.le if kind.le is not None else kind.lt - 1 if kind.lt is not None else 2**63 - 1
        luck = self.luck
        if name == "period" and luck.random() < 0.7:
            return term_at(self.state, self.now).start
        if name in ("until", "expires", "deadline") and luck.random() < 0.7:
            return self.now + luck.choice([-DAY_MS, 0, 1, DAY_MS, 20 * DAY_MS])
        if luck.random() < 0.85:
            return max(low, min(high, luck.choice([1, 1, 2, 3, 5, 10, 30, 50, 90, 100, 130])))
        return luck.choice([low, low + 1, high, high - 1, (low + high) // 2])

    def _word(self, name: str, kind: inspect.StrType) -> str:
        rules = self.charter
        known = {"contribution": rules.contributions, "round": rules.rounds}.get(name)
        if known and self.luck.random() < 0.9:
            return self.luck.choice(list(known))
        words = [*rules.steps, *rules.contributions, *rules.rounds, *rules.roles, "sales", "EUR", "USD", "x"]
        if kind.pattern is not None:
            words = [word for word in words if re.search(kind.pattern, word)]
        return self.luck.choice(words) if words else "x"

    def _id(self, name: str) -> bytes:
        """What a field of this name most often means, or else anything that has an id."""
        luck = self.luck
        if luck.random() < 0.85:
            if name in _MEMBERS:
                return member_id(luck.choice(NAMES))
            if name in _DEVICES and luck.random() < 0.5:
                return luck.choice(sorted(self.state.devices))
            if name in _DEVICES:
                return tagged_hash("fuzz", luck.getrandbits(32).to_bytes(4))
            for kind in _MEANS.get(name, ()):
                if ids := self._living(kind):
                    return luck.choice(ids)
            if name == "entry" and (ids := [each for kind in sorted(self.sent) for each in self.sent[kind][-3:]]):
                return luck.choice(ids)
        if name == "deal" and self.state.corrections and luck.random() < 0.5:
            return luck.choice(sorted(self.state.corrections))
        anything = [each for kind in sorted(self.sent) for each in self.sent[kind]]
        return luck.choice([*anything, LEDGER_ID, bytes(32), b"\xff" * 32])

    def _living(self, kind: str) -> list[bytes]:
        """Entries of a kind; those that still matter, if there are some."""
        state = self.state
        tables: dict[str, Any] = {"offer": state.offers, "accept": state.deals, "claim": state.claims}
        living = sorted(tables.get(kind, ()))
        if kind == "propose":
            living = sorted(key for key, row in state.proposals.items() if row.status == "open")
        return living or self.sent.get(kind, [])


def stranger(fuzz: Fuzz, body: Body, device: bytes, number: int) -> Entry:
    """An entry of a device that nobody knows: what introduces itself begins so."""
    entry = fuzz.rehearsal._entry(Event(number=number, at=0, by="ana", do="", name=None, args={}), body, fuzz.now)
    entry.device, entry.seq, entry.prev = device, 0, None
    return entry
