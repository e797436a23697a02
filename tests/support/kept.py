"""A small ledger that is kept in a store as a node keeps it: names and words in annexes, real blocks, real votes.

It is `World` with an archive behind it, so that what a node reads from its disk can be asked and damaged.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow
from tallystick.node.store import Store
from tallystick.node.store_memory import MemoryStore
from tallystick.node.view import NodeFacts, View
from tallystick.protocol import codec
from tallystick.protocol.act import Sealed
from tallystick.protocol.assembly import Assembled, assemble
from tallystick.protocol.ballot import precommit_payload
from tallystick.protocol.block import Block, Certificate
from tallystick.protocol.charter import read_charter
from tallystick.protocol.entry import Entry, encode_annex, make_entry
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.ledger import Executed, Ledger
from tallystick.protocol.ready import make_ready
from tallystick.protocol.signed import KeySigner
from tests.support.builders import DAY_MS, START_MS, MemoryHistory, Person, World, check_books, key
from tests.support.market import MARKET


def salt_of(number: int) -> bytes:
    """The salt of the entry with this number: every run has the same ids."""
    return tagged_hash("test-salt", number.to_bytes(8))[:16]


def without_sealers(rows: dict[str, bytes]) -> dict[str, bytes]:
    """Rows of a state but for those that note when a sealer was seen."""
    return {path: row for path, row in rows.items() if not path.startswith("sealer/")}


@dataclass
class Kept(World):
    """A ledger in a store. What `names` has for a person is the name in its annex; else it is the person's key."""

    store: Store = field(default_factory=MemoryStore)
    names: dict[str, str] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    """Words of the next entry; used up by it."""
    marks: dict[str, bytes] = field(default_factory=dict)
    """Ids that a test gave a name."""

    def __post_init__(self) -> None:
        self.archive = Archive(self.store)

    @classmethod
    def start(
        cls,
        document: dict[str, Any],
        *others: str,
        founder: str = "ana",
        store: Store | None = None,
        names: dict[str, str] | None = None,
        start: int = START_MS,
    ) -> Kept:
        """A founded ledger, sealed as block 1, with the others as partners, sealed as block 2."""
        charter = read_charter(document)
        person = Person(founder, key(founder), key(founder, "node"), key(founder, "recovery"))
        payload = codec.encode([person.secret.public, person.node.public, person.recovery.public])
        body = Found(
            charter=charter.bytes,
            node_key=person.node.public,
            recovery=person.recovery.public,
            possession=person.node.sign(signed_bytes(SignType.POSSESSION, bytes(32), payload)),
        )
        entry = make_entry(
            person.secret,
            ledger=bytes(32),
            seq=0,
            prev=None,
            links=(),
            seal=None,
            time=start,
            kind=Found.KIND,
            body=body.to_map(),
            annex=encode_annex(salt_of(0), {"name": (names or {}).get(founder, founder)}),
        )
        kept = cls(
            Ledger(entry.id, MemoryHistory()),
            MemoryHistory(),
            {founder: person},
            start,
            store=store or MemoryStore(),
            names=names or {},
        )
        kept.ledger = Ledger(entry.id, kept.archive)
        kept.archive.begin(entry.id)
        person.member, person.seq, person.prev = entry.id, 0, entry.id
        kept.feed(entry)
        kept.seal()
        for name in others:
            kept.join(name)
        if others:
            kept.seal()
        return kept

    def unsent(
        self, name: str, body: Body, time: int, links: tuple[bytes, ...] = (), annex: bytes | None = None
    ) -> Entry:
        words, self.words = self.words, {}
        if isinstance(body, Join):
            words = {"name": self.names.get(name, name), **words}
        if words and annex is None:
            annex = encode_annex(salt_of(len(self.sent)), words)
        return super().unsent(name, body, time, links, annex)

    def feed(self, entry: Entry) -> None:
        super().feed(entry)
        self.archive.keep([entry], sync=True)

    def applied(self, name: str, *, standing: Any = "partner", inviter: str = "ana") -> bytes:
        """Invite somebody and let them ask, as `join` does; nobody vouches. Returns the member id."""
        person = self.people[name] = Person(name, key(name), key(name, "node"), key(name, "recovery"))
        secret = key(f"{name}/{len(self.sent)}", "invite")
        invite = self.do(inviter, Invite(key=secret.public, standing=standing, uses=1, expires=self.now + DAY_MS))
        device, node, recovery = person.secret.public, person.node.public, person.recovery.public
        charter = self.view().charter_row.digest
        payload = codec.encode([device, node, recovery])
        body = Join(
            invite=invite,
            node_key=node,
            recovery=recovery,
            charter=charter,
            grant=secret.sign(grant_message(self.ledger.id, invite, device, node, recovery, charter)),
            possession=person.node.sign(signed_bytes(SignType.POSSESSION, self.ledger.id, payload)),
        )
        person.member = self.do(name, body)
        return person.member

    def seal(self, time: int | None = None) -> Executed:
        """A block of everything pending, reported and voted for by all sealers, stored as a node stores it."""
        ledger = self.ledger
        time = max(self.now if time is None else time, ledger.head.time + 1)
        foreseen = ledger.preview.finished_rows(time)
        sealers = ledger.sealers()
        nodes = {person.node.public: person.node for person in self.people.values()}
        signers = [KeySigner(nodes[row.node_key], ledger.id) for row in sealers]
        height = ledger.head.height + 1
        readys = [
            make_ready(
                signer,
                ledger=ledger.id,
                height=height,
                prev_id=ledger.head.block_id,
                time=time,
                frontier=codec.encode(ledger.pool.frontier(time)),
                count=len(ledger.pool),
            )
            for signer in signers
        ]
        made = assemble(ledger, readys, proposer=height % len(sealers), round_created=0)
        assert isinstance(made, Assembled)
        vote = precommit_payload(ledger.id, height, 0, made.block_id)
        block = Block(
            header=made.header,
            certificate=Certificate(
                height=height,
                round=0,
                block_id=made.block_id,
                votes=tuple((index, signer.sign(SignType.PRECOMMIT, vote)) for index, signer in enumerate(signers)),
            ),
            readys=tuple(readys),
            entry_ids=made.entry_ids,
        )
        executed = made.executed
        for pending, result in zip(made.taken, executed.results, strict=True):
            entry = pending.entry
            cited = -1 if entry.seal is None else entry.seal[0]
            self.history.entries[entry.id] = Sealed(height, result.at, entry.device, entry.seq, cited)
            self.history.results[entry.id] = result
        self.history.deals.update(executed.closed)
        entries = [pending.entry for pending in made.taken]
        self.archive.keep_block(executed, BlockRow(*block.wire()), made.block_id, entries)
        ledger.commit(executed, made.block_id)
        self.executed.append(executed)
        self.now = max(self.now, time)
        # All but who was there, which a preview cannot know.
        rows = ledger.state.rows()
        assert without_sealers(rows) == without_sealers(foreseen), "the preview of a set is the block of that set"
        check_books(ledger.state)
        return executed

    def look(self, name: str | None = "ana", node: NodeFacts | None = None) -> View:
        """What a person looks at; None is a device that belongs to nobody."""
        person = self.people.get(name or "")
        me = person.member if person is not None else None
        device = key("nobody").public if person is None else person.secret.public
        return View(ledger=self.ledger, archive=self.archive, now=self.now, me=me, device=device, node=node)

    def reopened(self) -> Kept:
        """The same ledger, loaded from its store as a command does that finds no node."""
        ledger, _ = self.archive.load(self.ledger.id)
        return Kept(ledger, self.history, self.people, self.now, store=self.store, names=self.names)


def kept_market(*others: str, store: Store | None = None, names: dict[str, str] | None = None, **tables: Any) -> Kept:
    """The market of `tests.support.market`, in a store."""
    document = copy.deepcopy(MARKET) | tables
    return Kept.start(document, *(others or ("bo", "cy", "di")), store=store, names=names)
