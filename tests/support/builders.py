"""A small ledger in one call: people with keys by seed, signed entries, blocks without votes, and the books checked.

Everything is real but the vote: entries are encoded, signed, read back and verified, blocks go through `Ledger`. After
every block the preview must have said the same, and the books must balance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.act import POINT, Sealed
from tallystick.protocol.charter import from_bytes, read_charter
from tallystick.protocol.deal_rules import escrow_of, open_terms, terms_of
from tallystick.protocol.entry import Entry, make_entry, read_entry_untrusted, signed_message, wire
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.ledger import Executed, Ledger
from tallystick.protocol.lot_pages import LOTS_MAX
from tallystick.protocol.lots import left
from tallystick.protocol.membership import DAY_MS
from tallystick.protocol.pay import account_of
from tallystick.protocol.records import CharterRow
from tallystick.protocol.records_deal import Deal, Terms
from tallystick.protocol.state import State, Table, path_of
from tallystick.protocol.structure import Waiting
from tallystick.protocol.totals import shares_name, total, used_name
from tallystick.protocol.transition import Result

#: 1 March 2026, 00:00 UTC.
START_MS = 1_772_323_200_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS

__all__ = ["DAY_MS", "HOUR_MS", "MINUTE_MS", "START_MS", "MemoryHistory", "Person", "World", "check_books", "key"]


def key(name: str, use: str = "signing") -> SecretKey:
    """The secret key that a name always has."""
    return SecretKey.from_seed(tagged_hash("test-key", f"{use}/{name}".encode()))


class MemoryHistory:
    """A `History` of plain dicts."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Sealed] = {}
        self.blocks: list[tuple[bytes, int, bytes]] = []
        self.deals: dict[bytes, Deal] = {}
        self.results: dict[bytes, Result] = {}
        self.added: dict[bytes, bytes] = {}

    def sealed(self, entry_id: bytes) -> Sealed | None:
        return self.entries.get(entry_id)

    def block_id(self, height: int) -> bytes | None:
        return self.blocks[height - 1][0] if 0 < height <= len(self.blocks) else None

    def block_time(self, height: int) -> int | None:
        return self.blocks[height - 1][1] if 0 < height <= len(self.blocks) else None

    def charter_digest(self, height: int) -> bytes | None:
        return self.blocks[height - 1][2] if 0 < height <= len(self.blocks) else None

    def added_device(self, entry_id: bytes) -> bytes | None:
        return self.added.get(entry_id)

    def closed_deal(self, deal_id: bytes) -> Deal | None:
        return self.deals.get(deal_id)


@dataclass(slots=True)
class Person:
    """Somebody with one device."""

    name: str
    secret: SecretKey
    node: SecretKey
    recovery: SecretKey
    member: bytes = b""
    seq: int = -1
    prev: bytes | None = None


@dataclass(slots=True)
class World:
    """A ledger and its people. `now` is the clock of everybody, in ms; every entry takes a minute to write."""

    ledger: Ledger
    history: MemoryHistory
    people: dict[str, Person]
    now: int
    sent: list[Entry] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)

    @classmethod
    def found(cls, document: dict[str, Any], *others: str, founder: str = "ana", start: int = START_MS) -> World:
        """A ledger that `founder` has founded, sealed as block 1, with the others as partners, sealed as block 2."""
        charter = read_charter(document)
        person = _person(founder)
        fields = {
            "ledger": bytes(32),
            "seq": 0,
            "prev": None,
            "links": (),
            "seal": None,
            "time": start,
        }
        payload = codec.encode([person.secret.public, person.node.public, person.recovery.public])
        body = Found(
            charter=charter.bytes,
            node_key=person.node.public,
            recovery=person.recovery.public,
            possession=person.node.sign(signed_bytes(SignType.POSSESSION, bytes(32), payload)),
        )
        entry = make_entry(person.secret, kind=Found.KIND, body=body.to_map(), **fields)
        history = MemoryHistory()
        world = cls(Ledger(entry.id, history), history, {founder: person}, start)
        person.member, person.seq, person.prev = entry.id, 0, entry.id
        world.feed(entry)
        world.seal()
        if others:
            for name in others:
                world.join(name)
            world.seal()
        return world

    # -- writing ---------------------------------------------------------------------------------------------------

    def sign(
        self,
        name: str,
        body: Body,
        *,
        time: int | None = None,
        links: tuple[bytes, ...] = (),
        annex: bytes | None = None,
    ) -> Entry:
        """The next entry of a person's chain; nobody has it yet but they have gone on to it."""
        person = self.people[name]
        if time is None:
            time = self.now + MINUTE_MS
        # Time never goes back for everybody because somebody dates an entry back.
        self.now = max(self.now, time)
        entry = self.unsent(name, body, time, links, annex)
        person.seq, person.prev = entry.seq, entry.id
        return entry

    def unsent(
        self, name: str, body: Body, time: int, links: tuple[bytes, ...] = (), annex: bytes | None = None
    ) -> Entry:
        """What `sign` would give, without going on to it."""
        person = self.people[name]
        head = self.ledger.head
        return make_entry(
            person.secret,
            ledger=self.ledger.id,
            seq=person.seq + 1,
            prev=person.prev,
            links=self.ledger.links_for((*body.refs(), *links), person.prev, time),
            seal=(head.height, head.block_id) if head.height else None,
            time=time,
            kind=body.KIND,
            body=body.to_map(),
            annex=annex,
        )

    def feed(self, entry: Entry) -> None:
        """Read an entry from its bytes, check all that a node checks, and add it."""
        header, signature, annex = wire(entry)
        entry = read_entry_untrusted(header, signature, annex)
        assert is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature)
        body = self.ledger.check(entry)
        assert not isinstance(body, Waiting), body
        for proof in body.proofs(entry, self._find):
            assert is_valid(proof.key, proof.message, proof.signature)
        self.ledger.add(entry, body)
        self.sent.append(entry)

    def send(self, name: str, body: Body, *, time: int | None = None) -> bytes:
        """Sign and add an entry; return its id."""
        entry = self.sign(name, body, time=time)
        self.feed(entry)
        return entry.id

    def do(self, name: str, body: Body, *, time: int | None = None) -> bytes:
        """Send an entry that has to work, as the preview sees it; return its id."""
        entry_id = self.send(name, body, time=time)
        result = self.outcome(entry_id)
        assert result.reason is None, f"{name} {body.KIND}: {result.reason} {result.detail}"
        return entry_id

    def refused(self, name: str, body: Body, *, time: int | None = None) -> Reason:
        """Send an entry that must not work; return why. It changes nothing but the head of its chain."""
        before = _without_devices(self.view().rows())
        entry_id = self.send(name, body, time=time)
        result = self.outcome(entry_id)
        assert result.reason is not None, f"{name} {body.KIND} was not refused"
        assert not result.postings
        if not any(tick.time > self.now - MINUTE_MS for tick in self._preview_ticks()):
            assert _without_devices(self.view().rows()) == before
        return result.reason

    def outcome(self, entry_id: bytes) -> Result:
        """What became of an entry, sealed or as the preview sees it now."""
        sealed = self.history.results.get(entry_id)
        if sealed is not None:
            return sealed
        self.ledger.view(self.now)
        result = self.ledger.preview.result(entry_id)
        assert result is not None
        return result

    def join(self, name: str, *, standing: Any = "partner", inviter: str = "ana") -> Person:
        """Invite somebody, let them ask, and let as many vouch as are needed."""
        secret = key(f"{name}/{len(self.sent)}", "invite")
        invite = self.do(inviter, Invite(key=secret.public, standing=standing, uses=1, expires=self.now + 30 * DAY_MS))
        body = self.asking(name, secret, invite)
        person = self.people[name]
        person.member = self.do(name, body)
        for sponsor, other in list(self.people.items()):
            row = self.view().members[person.member]
            if row.status == "active":
                break
            if other.member != person.member and self.view().members[other.member].standing == "partner":
                self.do(sponsor, Admit(member=person.member, sealer=False))
        assert self.view().members[person.member].status == "active"
        return person

    def asking(self, name: str, secret: SecretKey, invite: bytes) -> Join:
        """What somebody new says who has the secret of an invitation."""
        person = self.people[name] = _person(name)
        ledger, device = self.ledger.id, person.secret.public
        charter = self.view().charter_row.digest
        node, recovery = person.node.public, person.recovery.public
        payload = codec.encode([device, node, recovery])
        return Join(
            invite=invite,
            node_key=node,
            recovery=recovery,
            charter=charter,
            grant=secret.sign(grant_message(ledger, invite, device, node, recovery, charter)),
            possession=person.node.sign(signed_bytes(SignType.POSSESSION, ledger, payload)),
        )

    # -- time and blocks ---------------------------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        """Let time pass; what falls due does so in the preview and in the next block."""
        self.now += ms

    def seal(self, time: int | None = None) -> Executed:
        """Make a block of everything pending, check that the preview said the same, and that the books balance."""
        ledger = self.ledger
        time = max(self.now if time is None else time, ledger.head.time + 1)
        taken, unknown = ledger.select(list(ledger.pool.tips), time)
        assert not unknown
        # Of a device that was frozen, and of whoever left, a block does not take everything.
        is_whole = len(taken) == len(ledger.pool)
        foreseen = ledger.preview.finished_rows(time)
        executed = ledger.execute(taken, time, ())
        block_id = tagged_hash("test-block", executed.height.to_bytes(8) + executed.state_root + executed.log_root)
        self.history.blocks.append((block_id, time, executed.charter_digest))
        for pending, result in zip(taken, executed.results, strict=True):
            entry = pending.entry
            cited = -1 if entry.seal is None else entry.seal[0]
            self.history.entries[entry.id] = Sealed(executed.height, result.at, entry.device, entry.seq, cited)
            self.history.results[entry.id] = result
            if entry.kind == "device.add":
                self.history.added[entry.id] = entry.body["device"]
        self.history.deals.update(executed.closed)
        ledger.commit(executed, block_id)
        self.executed.append(executed)
        self.now = max(self.now, time)
        assert ledger.check_root()
        rows = ledger.state.rows()
        assert not is_whole or rows == foreseen, "the preview of a set is the block of that set"
        check_books(ledger.state)
        return executed

    def alter(self, name: str, **fields: Any) -> None:
        """Seal, then change a member's row by hand: what comes of kinds that this test is not about."""
        self.seal()
        member = self.people[name].member
        state = self.ledger.state
        self._overwrite(state.members, member, msgspec.structs.replace(state.members[member], **fields))

    def amend(self, document: dict[str, Any]) -> None:
        """Seal, then put another charter in force by hand."""
        self.seal()
        charter = read_charter(document)
        state = self.ledger.state
        row = CharterRow(state.charter_row.version + 1, charter.bytes, charter.hash)
        self._overwrite(state.charters, "", row)

    def book(self, commodity: str, source: str, target: str, amount: int) -> None:
        """Seal, then post something by hand."""
        self.seal()
        accounts = self.ledger.state.accounts
        for account, change in ((source, -amount), (target, amount)):
            path = f"{commodity}/{account}"
            self._overwrite(accounts, path, accounts.rows.get(path, 0) + change)

    def _overwrite(self, table: Table[Any, Any], row_key: Any, row: Any) -> None:
        ledger = self.ledger
        rows: dict[str, bytes | None] = {path_of(table, row_key): table.encode(row)}
        table.restore(row_key, row)
        tree = ledger._tree_now()
        tree.update(rows)
        ledger.head = replace(ledger.head, state_root=tree.root())
        ledger.preview.follow(rows.items(), ledger.pool.entries.values())

    # -- reading -----------------------------------------------------------------------------------------------------

    def view(self) -> State:
        """The state with everything pending, as of now."""
        return self.ledger.view(self.now)

    def points(self, name: str) -> int:
        """What a person has; `pool` and `issued` are the accounts of these names."""
        account = account_of(self.people[name].member) if name in self.people else name
        return self.view().balance(POINT, account)

    def escrow(self, deal_id: bytes) -> int:
        return self.view().balance(POINT, escrow_of(deal_id))

    def deal(self, deal_id: bytes) -> Deal:
        """A deal, open or closed."""
        state = self.view()
        deal = state.deals.get(deal_id) or state.closed.get(deal_id) or self.history.deals.get(deal_id)
        assert deal is not None
        return deal

    # -- the life of a deal -------------------------------------------------------------------------------------------

    def terms(self, step: str) -> Terms:
        """The terms that the charter has for a step today."""
        return terms_of(from_bytes(self.view().charter_row.data).steps[step])

    def offer(self, step: str, units: int = 1, side: Any = "sell", *, to: str | None = None, **more: Any) -> Offer:
        """The body of an offer with the terms of the charter."""
        receiver = None if to is None else self.people[to].member
        more.setdefault("terms", self.terms(step))
        return Offer(side=side, step=step, units=units, to=receiver, **more)

    def open_offer(self, points: int, side: Any = "sell", *, payer: Any = "pool", **more: Any) -> Offer:
        """The body of an offer that no step describes, with the terms of the charter."""
        rules = from_bytes(self.view().charter_row.data).open
        assert rules is not None
        return Offer(side=side, units=1, terms=open_terms(rules, points, payer), **more)

    def offered(self, name: str, step: str, units: int = 1, side: Any = "sell", **more: Any) -> bytes:
        """Send an offer; return its id."""
        return self.do(name, self.offer(step, units, side, **more))

    def accepted(self, seller: str, buyer: str, step: str, units: int = 1, **more: Any) -> bytes:
        """The seller offers, the buyer accepts; return the id of the deal."""
        return self.do(buyer, Accept(offer=self.offered(seller, step, units, **more)))

    def delivered(self, seller: str, buyer: str, step: str, units: int = 1, **more: Any) -> bytes:
        """The same, and all of it is delivered."""
        deal_id = self.accepted(seller, buyer, step, units, **more)
        self.do(seller, Deliver(deal=deal_id, units=units))
        return deal_id

    # -- inside ------------------------------------------------------------------------------------------------------

    def _find(self, entry_id: bytes) -> Entry | None:
        return next((entry for entry in self.sent if entry.id == entry_id), None)

    def _preview_ticks(self) -> Any:
        fold = self.ledger.preview._fold
        return () if fold is None else fold.ticks


def check_books(state: State) -> None:
    """Whatever happened: every commodity adds up to 0, nobody owes points, lots and escrows are what accounts say."""
    sums: dict[str, int] = {}
    escrows: dict[str, int] = {}
    for path, amount in state.accounts.items():
        commodity, account = path.split("/", 1)
        sums[commodity] = sums.get(commodity, 0) + amount
        assert amount, "an account without a balance has no row"
        assert commodity != POINT or account == "issued" or amount > 0, path
        if commodity == POINT and account.startswith("escrow/"):
            escrows[account] = amount
    assert not any(sums.values()), sums
    for member_id in state.members:
        lots = state.lots.of(member_id)
        assert all(0 <= lot.spent < lot.amount for lot in lots)
        assert [lot.earned for lot in lots] == sorted(lot.earned for lot in lots)
        assert sum(map(left, lots)) == state.balance(POINT, account_of(member_id))
        pages = [state.lots[member_id, number] for number in state.lots.numbers(member_id)]
        assert all(1 <= len(page) <= LOTS_MAX for page in pages)
        assert not pages or (member_id, 0) in state.lots, "the oldest lots are called by the member alone"
    open_deals: dict[bytes, int] = {}
    for deal_id, deal in state.deals.items():
        open_deals[deal.offer] = open_deals.get(deal.offer, 0) + 1
        escrow = escrows.pop(escrow_of(deal_id), 0)
        reduced = deal.status == "approved" or (deal.status == "disputed" and deal.approved > 0)
        assert escrow == (deal.held if reduced else deal.gross)
        assert sum(each.amount for each in deal.taken) == (escrow if deal.terms.payer == "buyer" else 0)
        assert state.tick_of(deal.due) is not None, "a deal that nobody touches ends by itself"
    assert not escrows, "an escrow ends with its deal"
    for offer_id, offer in state.offers.items():
        assert offer.deals == open_deals.pop(offer_id, 0)
        assert offer.deals or (offer.copies and not offer.withdrawn)
    assert not open_deals
    assert all(row.value > 0 for row in state.counts.values())
    _check_money(state)


def _check_money(state: State) -> None:
    """Nobody has fewer than no vouchers; donations, shares and vouchers are what the statements about them say."""
    for path, amount in state.accounts.items():
        commodity, account = path.split("/", 1)
        what = account.partition("/")[0]
        assert not commodity.startswith("VOUCHER-") or account == "issued" or amount > 0, path
        assert commodity == POINT or what not in ("payable", "paid") or amount > 0, path
    booked: dict[str, int] = {}
    shares: dict[str, int] = {}
    spent: dict[bytes, int] = {}
    for row in state.money.values():
        assert row.due is None or state.tick_of(row.due) is not None, "what nobody confirms lapses by itself"
        if row.kind == "subscribe":
            for name in (shares_name(row.word), shares_name(row.word, row.author)):
                shares[name] = shares.get(name, 0) + row.shares
        if row.due is None:
            account = {
                "subscribe": f"capital/{row.author.hex()}",
                "donate": f"donation/{row.author.hex()}",
                "income": f"income/{row.word}",
                "expense": f"expense/{row.word}",
                "voucher": f"used/{row.author.hex()}",
                "paid": f"paid/{row.partner.hex()}",
            }[row.kind]
            sign = -1 if row.kind in ("subscribe", "donate", "income") else 1
            path = f"{row.currency}/{account}"
            booked[path] = booked.get(path, 0) + sign * row.amount
            if row.source:
                spent[row.source] = spent.get(row.source, 0) + row.amount
    totals = {name: amount for name, amount in state.totals.items() if name.startswith("shares/")}
    assert shares == totals
    for path, amount in booked.items():
        currency, what, who = path.split("/", 2)
        if what == "used":
            assert total(state, used_name(currency, bytes.fromhex(who))) == amount
        elif path != f"{currency}/expense/sale":
            assert state.balance(currency, f"{what}/{who}") == amount, path
    for entry_id, row in state.money.items():
        assert row.spent == spent.get(entry_id, 0) <= row.amount
    for target, row in ((row.target, row) for row in state.corrections.values()):
        assert state.tick_of(row.due) is not None
        assert state.corrections.rows[state.corrections.of(target) or b""] is row


def _person(name: str) -> Person:
    return Person(name, key(name), key(name, "node"), key(name, "recovery"))


def _without_devices(rows: dict[str, bytes]) -> dict[str, bytes]:
    return {path: row for path, row in rows.items() if not path.startswith("device/")}
