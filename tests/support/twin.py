"""A history that grows in breadth, and nodes that hear of it in any order.

`Writers` are people who do not know of everything: their entries link some of the tips they could, blocks are made of
some of what is pending, and now and then a device signs two entries with one number. A `Twin` is a node that gets the
same entries: in whatever order, several at once, some twice, with restarts in between; it makes the same blocks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.crypto.hashing import tagged_hash
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow
from tallystick.node.store_memory import MemoryStore
from tallystick.protocol.act import Sealed
from tallystick.protocol.block import Certificate
from tallystick.protocol.entry import Entry, make_entry, read_entry_untrusted, wire
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.ledger import Executed, Ledger
from tallystick.protocol.structure import Waiting
from tests.support.builders import MINUTE_MS, World, check_books


def block_id_of(executed: Executed) -> bytes:
    """An id for a block without header: it commits to what the block did."""
    return tagged_hash("test-block", executed.height.to_bytes(8) + executed.state_root + executed.log_root)


@dataclass(frozen=True, slots=True)
class Made:
    """A block as the writers made it: from which heads, when, and what was pending then."""

    heads: tuple[bytes, ...]
    time: int
    executed: Executed
    written: int
    """How many entries there were."""


@dataclass(slots=True)
class Writers(World):
    """People whose history is wide. Without `chance` it is as plain as that of `World`."""

    chance: random.Random | None = None
    blocks: list[Made] = field(default_factory=list)
    forks: list[tuple[bytes, bytes]] = field(default_factory=list)

    def unsent(
        self, name: str, body: Body, time: int, links: tuple[bytes, ...] = (), annex: bytes | None = None
    ) -> Entry:
        entry = World.unsent(self, name, body, time, links, annex)
        if self.chance is None:
            return entry
        needed = set(body.refs()) | set(links)
        return make_entry(
            self.people[name].secret,
            ledger=entry.ledger,
            seq=entry.seq,
            prev=entry.prev,
            links=[link for link in entry.links if link in needed or self.chance.random() < 0.4],
            seal=entry.seal,
            time=time,
            kind=entry.kind,
            body=entry.body,
            annex=annex,
        )

    def send(self, name: str, body: Body, *, time: int | None = None) -> bytes:
        chance = self.chance
        if chance is not None and name in ("di", "ed") and chance.random() < 0.15:
            # The same number twice: the second branch may come first in the order, may go on, or may stay alone.
            other = self.unsent(name, body, self.now + chance.randrange(2 * MINUTE_MS))
            self.feed(other)
            entry_id = World.send(self, name, body, time=time)
            if other.id != entry_id:
                self.forks.append((other.id, entry_id))
            person = self.people[name]
            if chance.random() < 0.5:
                person.seq, person.prev = other.seq, other.id
            return entry_id
        return World.send(self, name, body, time=time)

    def seal(self, time: int | None = None) -> Executed:
        """A block of some of what is pending, or of all of it."""
        ledger = self.ledger
        time = max(self.now if time is None else time, ledger.head.time + 1)
        heads = list(ledger.pool.tips)
        if self.chance is not None and len(heads) > 1 and self.chance.random() < 0.7:
            heads = self.chance.sample(heads, self.chance.randint(1, len(heads)))
        taken, unknown = ledger.select(heads, time)
        assert not unknown
        executed = ledger.execute(taken, time, ())
        block_id = block_id_of(executed)
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
        self.blocks.append(Made(tuple(heads), time, executed, len(self.sent)))
        self.now = max(self.now, time)
        assert ledger.check_root()
        check_books(ledger.state)
        return executed


class Twin:
    """A node with a store of its own."""

    def __init__(self, ledger_id: bytes) -> None:
        self.store = MemoryStore()
        self.archive = Archive(self.store)
        self.archive.begin(ledger_id)
        self.ledger = Ledger(ledger_id, self.archive)

    def restart(self) -> None:
        """Everything but the store is gone; what was there is there again."""
        ledger_id, before = self.ledger.id, self.ledger
        self.archive = Archive(self.store)
        self.ledger, loose = self.archive.load(ledger_id)
        assert not loose
        assert self.ledger.head == before.head
        assert set(self.ledger.pool.entries) == set(before.pool.entries)
        assert set(self.ledger.pool.tips) == set(before.pool.tips)
        assert self.ledger.state.rows() == before.state.rows()

    def can_take(self, entry: Entry) -> bool:
        """Whether its parents and the block it cites are here."""
        cited = 0 if entry.seal is None else entry.seal[0]
        return cited <= self.ledger.head.height and all(map(self.ledger.knows, entry.parents))

    def receive(self, batch: Sequence[Entry]) -> None:
        """Take entries that connect, in one write; those that are known already change nothing."""
        fresh = []
        for entry in batch:
            entry = read_entry_untrusted(*wire(entry))
            if self.ledger.knows(entry.id):
                continue
            body = self.ledger.check(entry)
            assert not isinstance(body, Waiting), body
            self.ledger.add(entry, body)
            fresh.append(entry)
        self.archive.keep(fresh, sync=True)

    def seal(self, heads: Sequence[bytes], time: int) -> Executed:
        """The block that follows from these heads, kept as a node keeps it."""
        taken, unknown = self.ledger.select(heads, time)
        assert not unknown
        executed = self.ledger.execute(taken, time, ())
        entries = [pending.entry for pending in taken]
        certificate = Certificate(height=executed.height, round=0, block_id=block_id_of(executed), votes=())
        block = BlockRow(b"", certificate.encode(), [], [entry.id for entry in entries])
        self.archive.keep_block(executed, block, block_id_of(executed), entries)
        self.ledger.commit(executed, block_id_of(executed))
        return executed


def follow(writers: Writers, chance: random.Random) -> Twin:
    """A twin that has heard everything in some order and has made every block; the blocks are compared on the way."""
    twin = Twin(writers.ledger.id)
    waiting = list(writers.sent)
    heard: list[Entry] = []
    for made in [*writers.blocks, None]:
        while True:
            ready = [entry for entry in waiting if twin.can_take(entry)]
            if made is not None and all(map(twin.ledger.knows, made.heads)) and (not ready or chance.random() < 0.3):
                break
            if not ready:
                break
            batch: list[Entry] = []
            for entry in chance.sample(ready, chance.randint(1, min(8, len(ready)))):
                batch.append(entry)
                waiting.remove(entry)
            heard += batch
            twin.receive(batch + chance.sample(heard, min(len(heard), chance.choice([0, 0, 1, 3]))))
            if twin.ledger.head.height and chance.random() < 0.2:
                twin.ledger.view(writers.now - chance.randrange(3 * 86_400_000))
            if chance.random() < 0.05:
                twin.restart()
        if made is not None:
            executed = twin.seal(made.heads, made.time)
            expected = made.executed
            assert executed.results == expected.results
            assert executed.state_root == expected.state_root, f"block {executed.height}"
            assert executed.log_root == expected.log_root
            assert executed.ticks == expected.ticks
            assert executed.sealers_next == expected.sealers_next
    assert not waiting
    return twin
