"""Ledgers to measure with: many partners, many signed entries, made once and cheaply.

The work is deals: each is an offer, an acceptance, a delivery and an approval, by two of the partners in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node.archive import Archive
from tallystick.node.core import NodeCore
from tallystick.node.founding import founding_entry
from tallystick.node.identity import Identity
from tallystick.node.store import Store
from tallystick.node.sync import entry_wire
from tallystick.protocol import codec
from tallystick.protocol.charter import read_charter
from tallystick.protocol.deal_rules import terms_of
from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.records_deal import Terms

START_MS = 1_790_000_000_000
CHARTER: dict[str, Any] = {
    "charter": 1,
    "name": "Bench",
    "points": {"pool": 10**12},
    "membership": {"sponsors": 1},
    "finality": {"interval": "0s"},
    "step": [{"id": "work", "price": 7, "budget": 10**12, "max-open": 0}],
}


def key(use: str, name: str) -> SecretKey:
    """The secret key that a name always has here."""
    return SecretKey.from_seed(sha256(f"bench/{use}/{name}".encode()).digest())


@dataclass(slots=True)
class Author:
    """One partner's chain."""

    name: str
    secret: SecretKey
    node: SecretKey
    recovery: bytes
    """The public key."""
    seq: int = -1
    prev: bytes | None = None


class Writer:
    """Signs the entries of a whole venture, one after the other."""

    def __init__(
        self,
        partners: int,
        *,
        founder: Author | None = None,
        start: int = START_MS,
        charter: Mapping[str, Any] = CHARTER,
    ) -> None:
        self.charter = read_charter(charter)
        self.now = start
        self.authors = [
            Author(f"p{n}", key("device", f"p{n}"), key("node", f"p{n}"), key("recovery", f"p{n}").public)
            for n in range(partners)
        ]
        if founder is not None:
            self.authors[0] = founder
        founder = self.authors[0]
        identity = Identity(
            name=founder.name, device=founder.secret.public, recovery=founder.recovery, words_confirmed=True
        )
        self.founding = founding_entry(self.charter, identity, founder.secret, founder.node, self.now)
        founder.seq, founder.prev = 0, self.founding.id
        self.ledger_id = self.founding.id

    def sign(self, author: Author, body: Body, links: tuple[bytes, ...] = ()) -> Entry:
        """The next entry of a chain."""
        self.now += 1
        refs = {ref for ref in (*body.refs(), *links) if ref != author.prev}
        entry = make_entry(
            author.secret,
            ledger=self.ledger_id,
            seq=author.seq + 1,
            prev=author.prev,
            links=sorted(refs),
            seal=None,
            time=self.now,
            kind=body.KIND,
            body=body.to_map(),
        )
        author.seq, author.prev = entry.seq, entry.id
        return entry

    def joins(self) -> Iterator[Entry]:
        """Everybody comes in."""
        founder = self.authors[0]
        for author in self.authors[1:]:
            secret = key("invite", author.name)
            invite = self.sign(
                founder, Invite(key=secret.public, standing="partner", uses=1, expires=self.now + 86_400_000)
            )
            yield invite
            payload = codec.encode([author.secret.public, author.node.public, author.recovery])
            grant = grant_message(
                self.ledger_id,
                invite.id,
                author.secret.public,
                author.node.public,
                author.recovery,
                self.charter.hash,
            )
            join = self.sign(
                author,
                Join(
                    invite=invite.id,
                    node_key=author.node.public,
                    recovery=author.recovery,
                    charter=self.charter.hash,
                    grant=secret.sign(grant),
                    possession=author.node.sign(signed_bytes(SignType.POSSESSION, self.ledger_id, payload)),
                ),
            )
            yield join
            yield self.sign(founder, Admit(member=join.id, sealer=False))

    def terms(self) -> Terms:
        """The terms that an offer has to name."""
        return terms_of(self.charter.steps["work"])

    def deals(self, count: int, *, held: bool = False) -> Iterator[Entry]:
        """So many deals between partners, four entries each.

        All that was agreed is delivered and approved, which closes the deal; or, `held`, it is approved at a grade
        below 100, and part of the price lies in escrow for as long as the seller may dispute that.
        """
        terms = self.terms()
        people = len(self.authors)
        for number in range(count):
            seller, buyer = self.authors[number % people], self.authors[(number + 1) % people]
            units = 1 + number % 5
            offer = self.sign(seller, Offer(side="sell", step="work", units=units, terms=terms))
            yield offer
            accept = self.sign(buyer, Accept(offer=offer.id))
            yield accept
            deliver = self.sign(seller, Deliver(deal=accept.id, units=units))
            yield deliver
            yield self.sign(buyer, Approve(deal=accept.id, grade=90 if held else None), (deliver.id,))


def core_of(writer: Writer, store: Store, author: int = 0) -> NodeCore:
    """The core of a partner's node that knows the founding, sealed as block 1 if it is the founder's.

    The entries that it is given are written by others, as far as it knows: its own device is none of the writer's.
    """
    archive = Archive(store)
    if archive.head() is None:
        archive.begin(writer.ledger_id)
        archive.keep((writer.founding,), sync=True)
    ledger, _ = archive.load(writer.ledger_id)
    who = writer.authors[author]
    core = NodeCore(
        archive=archive, ledger=ledger, node_key=who.node, device=key("device", "nobody").public, now=writer.now
    )
    if author == 0:
        core.sealer.alone(writer.now)
    return core


def fill(core: NodeCore, entries: Iterable[Entry], now: int, *, block: int = 1000) -> None:
    """Take entries in as from a peer, with their signatures taken for granted, and seal them in blocks of this size."""
    rest = iter(entries)
    while part := list(islice(rest, block)):
        batch, waiting = core.intake.open([entry_wire(entry) for entry in part], bytes(32), now, asked=True)
        taken = core.intake.close(batch, [True] * len(batch.entries), now)
        if waiting or len(taken.added) != len(part):
            raise ValueError(f"{len(taken.added)} of {len(part)} entries were taken: {taken.refused[:1]}")
        core.take(taken, None)
        core.sealer.alone(now, at_once=True)
        core.effects()


def sealed(writer: Writer, store: Store, deals: int) -> NodeCore:
    """A ledger of so many deals, all of them sealed."""
    core = core_of(writer, store)
    fill(core, writer.joins(), writer.now)
    # The claimed times run ahead of the clock that seals: it is set to the end of all that will be written.
    fill(core, writer.deals(deals), writer.now + 4 * deals)
    if len(core.ledger.pool):
        raise ValueError(f"{len(core.ledger.pool)} entries are not sealed: {core.sealer.muted}")
    return core
