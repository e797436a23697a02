"""The ledger state: typed tables under one undo journal.

Rules write straight into the tables inside a transaction. A refusal rolls the journal back, a preview rolls back to
where a new entry sorts, a block is what lies above the last commit: one mechanism for all three. Nothing here
decides anything; `transition` and the kinds do. Rows leave this file only as canonical bytes for the state root.

Source: docs/spec/blocks.md#state
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic, TypeVar

import msgspec

from tallystick.protocol import (
    records,
    records_deal,
    records_device,
    records_governance,
    records_money,
    records_refounding,
)

K = TypeVar("K")
V = TypeVar("V")

_encode = msgspec.msgpack.Encoder().encode

_NEVER: Final = 2**63 - 1


class Table(Generic[K, V]):
    """Rows of one noun. Every write goes into the journal first, so that it can be taken back.

    `key_text` and `text_key` turn a key into the rest of its path in the state root and back. `rows` is there to be
    read: rules ask millions of times, and a dict answers fastest.
    """

    __slots__ = ("_journal", "decode", "get", "key_text", "name", "rooted", "rows", "text_key")

    get: Callable[[K], V | None]

    def __init__(
        self,
        name: str,
        journal: list[tuple[Table[Any, Any], Any, Any]],
        row: Any,
        key_text: Callable[[K], str],
        text_key: Callable[[str], K],
        *,
        rooted: bool = True,
    ) -> None:
        self.name = name
        self.rows: dict[K, V] = {}
        self.get = self.rows.get
        self.key_text = key_text
        self.text_key = text_key
        self.rooted = rooted
        self.decode = msgspec.msgpack.Decoder(row).decode
        self._journal = journal

    def __getitem__(self, key: K) -> V:
        return self.rows[key]

    def __contains__(self, key: K) -> bool:
        return key in self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[K]:
        return iter(self.rows)

    def items(self) -> Iterable[tuple[K, V]]:
        """Rows in the order of their first writing. Sort before anything that must be the same on every node."""
        return self.rows.items()

    def values(self) -> Iterable[V]:
        """Rows without their keys, in the same order."""
        return self.rows.values()

    def set(self, key: K, row: V) -> None:
        rows = self.rows
        self._journal.append((self, key, rows.get(key)))
        rows[key] = row

    def delete(self, key: K) -> None:
        old = self.rows.pop(key, None)
        if old is not None:
            self._journal.append((self, key, old))

    def restore(self, key: K, row: V | None) -> None:
        """Put a row back, or load it, without a journal entry."""
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row

    def encode(self, row: V) -> bytes:
        return _encode(row)


class IndexedTable(Table[K, V]):
    """A table that keeps something beside its rows, which follows every write, also what is undone.

    `_index` is told of every write.
    """

    __slots__ = ()

    def set(self, key: K, row: V) -> None:
        rows = self.rows
        old = rows.get(key)
        self._journal.append((self, key, old))
        self._index(key, old, row)
        rows[key] = row

    def delete(self, key: K) -> None:
        old = self.rows.pop(key, None)
        if old is not None:
            self._journal.append((self, key, old))
            self._index(key, old, None)

    def restore(self, key: K, row: V | None) -> None:
        """Put a row back, or load it, without a journal entry."""
        old = self.rows.get(key)
        if row is not None:
            self._index(key, old, row)
            self.rows[key] = row
        elif old is not None:
            self._index(key, old, None)
            del self.rows[key]

    @abstractmethod
    def _index(self, key: K, old: V | None, new: V | None) -> None:
        """A row comes (`old` is None), changes, or goes (`new` is None)."""


class AmountTable(Table[str, int]):
    """Balances by `<commodity>/<account>`, or totals by their name; what is 0 has no row."""

    __slots__ = ()

    def encode(self, row: int) -> bytes:
        return _encode((row,))


class SortedTable(IndexedTable[tuple[int, int], records.Tick]):
    """Ticks, with their keys (time, number) in order."""

    __slots__ = ("order",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order: list[tuple[int, int]] = []

    def _index(self, key: tuple[int, int], old: records.Tick | None, new: records.Tick | None) -> None:
        if old is None:
            insort(self.order, key)
        elif new is None:
            del self.order[bisect_left(self.order, key)]


class FadingTable(IndexedTable[K, V]):
    """Rows that end: `until` says when. After that and the longest back-dating they can go (see `transition`).

    `order` has those that end at all, in the order of their ends.
    """

    __slots__ = ("order", "until")

    def __init__(self, *args: Any, until: Callable[[V], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.until = until
        self.order: list[tuple[int, K]] = []

    def _index(self, key: K, old: V | None, new: V | None) -> None:
        until_old = _NEVER if old is None else self.until(old)
        until = _NEVER if new is None else self.until(new)
        if until == until_old:
            return
        if until_old != _NEVER:
            del self.order[bisect_left(self.order, (until_old, key))]
        if until != _NEVER:
            insort(self.order, (until, key))


class BySide:
    """Which rows of a table concern a member in one step. Follows every write of the table, also what is undone."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[tuple[bytes, str], set[bytes]] = {}

    def add(self, step: str, sides: Iterable[bytes], row_id: bytes) -> None:
        for side in sides:
            ids = self._ids.get((side, step))
            if ids is None:
                self._ids[side, step] = {row_id}
            else:
                ids.add(row_id)

    def remove(self, step: str, sides: Iterable[bytes], row_id: bytes) -> None:
        for side in sides:
            ids = self._ids[side, step]
            ids.discard(row_id)
            if not ids:
                del self._ids[side, step]

    def of(self, member: bytes, step: str) -> AbstractSet[bytes]:
        return self._ids.get((member, step), frozenset())


class DealTable(IndexedTable[bytes, records_deal.Deal]):
    """Deals, and for each member and step which ones are its own."""

    __slots__ = ("_sides",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sides = BySide()

    def of(self, member: bytes, step: str) -> AbstractSet[bytes]:
        """Ids of the deals of a step in which this member is a side, in no particular order."""
        return self._sides.of(member, step)

    def _index(self, key: bytes, old: records_deal.Deal | None, new: records_deal.Deal | None) -> None:
        # Neither side nor step of a deal ever changes.
        if old is None:
            if new is not None:
                self._sides.add(new.step, (new.seller, new.buyer), key)
        elif new is None:
            self._sides.remove(old.step, {old.seller, old.buyer}, key)


class OfferTable(FadingTable[bytes, records_deal.Offer]):
    """Offers, and for each member and step which ones are its own."""

    __slots__ = ("_sides",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sides = BySide()

    def of(self, member: bytes, step: str) -> AbstractSet[bytes]:
        """Ids of this member's offers of a step, in no particular order."""
        return self._sides.of(member, step)

    def _index(self, key: bytes, old: records_deal.Offer | None, new: records_deal.Offer | None) -> None:
        if old is None:
            if new is not None:
                self._sides.add(new.step, (new.author,), key)
        elif new is None:
            self._sides.remove(old.step, (old.author,), key)
        FadingTable._index(self, key, old, new)


class LotTable(IndexedTable[tuple[bytes, int], tuple[records_deal.Lot, ...]]):
    """Lots by (member, number of the page), and for each member the numbers of its pages.

    Page 0 is called by the member alone. What stands in which page decides `lot_pages`.
    """

    __slots__ = ("_numbers",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: dict[bytes, list[int]] = {}

    def set(self, key: tuple[bytes, int], row: tuple[records_deal.Lot, ...]) -> None:
        rows = self.rows
        old = rows.get(key)
        self._journal.append((self, key, old))
        if old is None:
            self._index(key, None, row)
        rows[key] = row

    def numbers(self, member: bytes) -> Sequence[int]:
        """Numbers of a member's pages, ascending: the oldest lots first."""
        return self._numbers.get(member, ())

    def of(self, member: bytes) -> tuple[records_deal.Lot, ...]:
        """All lots of a member, oldest first."""
        rows = self.rows
        return tuple(lot for number in self.numbers(member) for lot in rows[member, number])

    def _index(
        self,
        key: tuple[bytes, int],
        old: tuple[records_deal.Lot, ...] | None,
        new: tuple[records_deal.Lot, ...] | None,
    ) -> None:
        if old is not None and new is not None:
            return
        member, number = key
        numbers = self._numbers.get(member)
        if numbers is None:
            self._numbers[member] = [number]
        elif new is not None:
            insort(numbers, number)
        elif len(numbers) == 1:
            del self._numbers[member]
        else:
            del numbers[bisect_left(numbers, number)]


class CorrectionTable(IndexedTable[bytes, records_money.Correction]):
    """Corrections that wait, and which one is about an entry: there is never more than one."""

    __slots__ = ("_by_target",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._by_target: dict[bytes, bytes] = {}

    def of(self, target: bytes) -> bytes | None:
        """Id of the correction of an entry that waits, or None."""
        return self._by_target.get(target)

    def _index(self, key: bytes, old: records_money.Correction | None, new: records_money.Correction | None) -> None:
        if new is not None:
            self._by_target[new.target] = key
        elif old is not None:
            del self._by_target[old.target]


def _offer_until(offer: records_deal.Offer) -> int:
    """When an offer stops to matter: never while a deal of it is open."""
    if offer.deals:
        return _NEVER
    return min(offer.expires, offer.deadline) if offer.deadline else offer.expires


def _hex(key: bytes) -> str:
    return key.hex()


def _page_text(key: tuple[bytes, int]) -> str:
    return f"{key[0].hex()}/{key[1]}" if key[1] else key[0].hex()


def _text_page(text: str) -> tuple[bytes, int]:
    member, _, number = text.partition("/")
    return bytes.fromhex(member), int(number or 0)


def _pair_text(key: tuple[int, int]) -> str:
    return f"{key[0]}/{key[1]}"


def _text_pair(text: str) -> tuple[int, int]:
    time, number = text.split("/")
    return int(time), int(number)


def _report_text(key: tuple[int, bytes]) -> str:
    return f"{key[0]}/{key[1].hex()}"


def _text_report(text: str) -> tuple[int, bytes]:
    time, who = text.split("/")
    return int(time), bytes.fromhex(who)


def _count_text(key: tuple[str, int, str]) -> str:
    return f"{key[0]}/{key[1]}/{key[2]}"


def _text_count(text: str) -> tuple[str, int, str]:
    rule, period, who = text.split("/", 2)
    return rule, int(period), who


class State:
    """All tables of one ledger.

    Two states with the same rows have the same root, whatever happened to them before.
    """

    def __init__(self) -> None:
        self.journal: list[tuple[Table[Any, Any], Any, Any]] = []
        one: dict[str, Any] = {"key_text": str, "text_key": str}
        by_id: dict[str, Any] = {"key_text": _hex, "text_key": bytes.fromhex}
        self.charters: Table[str, records.CharterRow] = self._table("charter", records.CharterRow, one)
        self.rules: Table[str, records.Rules] = self._table("rules", records.Rules, one)
        self.founded: Table[str, records.Founded] = self._table("founded", records.Founded, one)
        self.accounts = AmountTable("acct", self.journal, tuple[int], str, str)
        self.lots = LotTable("lots", self.journal, tuple[records_deal.Lot, ...], _page_text, _text_page)
        self.members: Table[bytes, records.Member] = self._table("member", records.Member, by_id)
        self.devices: Table[bytes, records.Device] = self._table("device", records.Device, by_id)
        self.keys: Table[bytes, records.KeyUse] = self._table("key", records.KeyUse, by_id)
        self.sealers: Table[int, records.Sealer] = Table("sealer", self.journal, records.Sealer, str, int)
        self.invites: Table[bytes, records.Invite] = self._table("invite", records.Invite, by_id)
        self.offers = OfferTable("offer", self.journal, records_deal.Offer, _hex, bytes.fromhex, until=_offer_until)
        self.deals = DealTable("deal", self.journal, records_deal.Deal, _hex, bytes.fromhex)
        self.corrected: Table[bytes, records_deal.Corrected] = self._table("corrected", records_deal.Corrected, by_id)
        self.draws: Table[bytes, records_deal.Draw] = self._table("draw", records_deal.Draw, by_id)
        self.claims: Table[bytes, records_money.Claim] = self._table("claim", records_money.Claim, by_id)
        self.money: Table[bytes, records_money.Money] = self._table("money", records_money.Money, by_id)
        self.corrections = CorrectionTable("correction", self.journal, records_money.Correction, _hex, bytes.fromhex)
        self.duties: Table[str, records_money.Duty] = self._table("duty", records_money.Duty, one)
        self.reports: Table[tuple[int, bytes], records_money.Report] = Table(
            "report", self.journal, records_money.Report, _report_text, _text_report
        )
        self.counts: FadingTable[tuple[str, int, str], records.Count] = FadingTable(
            "count", self.journal, records.Count, _count_text, _text_count, until=lambda row: row.until
        )
        self.due = SortedTable("due", self.journal, records.Tick, _pair_text, _text_pair)
        self.held: Table[tuple[int, int], records.Tick] = Table(
            "held", self.journal, records.Tick, _pair_text, _text_pair
        )
        self.refounded: Table[str, records_refounding.Refounded] = self._table(
            "refounded", records_refounding.Refounded, one
        )
        self.awaited: Table[bytes, records_refounding.Awaited] = self._table(
            "awaited", records_refounding.Awaited, by_id
        )
        self.forks: Table[bytes, records.Fork] = self._table("fork", records.Fork, by_id)
        self.courses: Table[str, records_governance.Course] = self._table("course", records_governance.Course, one)
        self.proposals: Table[bytes, records_governance.Proposal] = self._table(
            "proposal", records_governance.Proposal, by_id
        )
        self.amendments: Table[str, records_governance.Amendment] = self._table(
            "amendment", records_governance.Amendment, one
        )
        self.erased: Table[bytes, records_governance.Erased] = self._table("erased", records_governance.Erased, by_id)
        self.recoveries: Table[bytes, records_device.Recovery] = self._table("recovery", records_device.Recovery, by_id)
        self.totals = AmountTable("total", self.journal, tuple[int], str, str)
        # What the end of the block has still to do, waits that its entries have begun (what, ref, since when), and
        # deals that closed since the last commit. Journaled like the rest but no part of the root: the first two are
        # empty between blocks, the third belongs to the archive.
        self.boundary: Table[int, tuple[str, bytes]] = Table(
            "boundary", self.journal, tuple[str, bytes], str, int, rooted=False
        )
        self.fresh: Table[tuple[int, int], tuple[str, bytes, int]] = Table(
            "fresh", self.journal, tuple[str, bytes, int], _pair_text, _text_pair, rooted=False
        )
        self.closed: Table[bytes, records_deal.Deal] = self._table("closed", records_deal.Deal, by_id, rooted=False)
        self.tables: dict[str, Table[Any, Any]] = {
            table.name: table for table in vars(self).values() if isinstance(table, Table)
        }

    def _table(self, name: str, row: Any, keys: dict[str, Any], *, rooted: bool = True) -> Table[Any, Any]:
        return Table(name, self.journal, row, **keys, rooted=rooted)

    # -- the journal -------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A point to which `rollback` can return."""
        return len(self.journal)

    def rollback(self, mark: int) -> None:
        """Undo every write since `mark`."""
        journal = self.journal
        while len(journal) > mark:
            table, key, old = journal.pop()
            table.restore(key, old)

    def changed(self, mark: int = 0) -> dict[str, bytes | None]:
        """Rows of the root written since `mark`: path -> encoded row, or None where it went.

        What came and went since then has left no trace.
        """
        before: dict[Table[Any, Any], dict[Any, Any]] = {table: {} for table in self.tables.values() if table.rooted}
        for table, key, old in self.journal[mark:] if mark else self.journal:
            if table.rooted:
                before[table].setdefault(key, old)
        rows: dict[str, bytes | None] = {}
        for table, olds in before.items():
            for key, old in olds.items():
                row = table.rows.get(key)
                if row is not None or old is not None:
                    rows[path_of(table, key)] = None if row is None else table.encode(row)
        return rows

    def commit(self) -> None:
        """Make everything written so far final."""
        self.closed.rows.clear()
        self.journal.clear()

    def load(self, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Take over rows as `changed` gave them. Used at start-up, and to follow another state's commit."""
        for path, data in rows:
            name, _, text = path.partition("/")
            table = self.tables[name]
            key = table.text_key(text)
            if data is None:
                table.restore(key, None)
            else:
                row = table.decode(data)
                table.restore(key, row[0] if isinstance(table, AmountTable) else row)

    def rows(self) -> dict[str, bytes]:
        """Every row of the root: path -> encoded row."""
        return {
            path_of(table, key): table.encode(row)
            for table in self.tables.values()
            if table.rooted
            for key, row in table.items()
        }

    def rows_at(self, paths: Iterable[str]) -> dict[str, bytes | None]:
        """These rows as they are now: path -> encoded row, or None."""
        out: dict[str, bytes | None] = {}
        for path in paths:
            name, _, text = path.partition("/")
            table = self.tables[name]
            row = table.get(table.text_key(text))
            out[path] = None if row is None else table.encode(row)
        return out

    # -- small conveniences that every rule needs ----------------------------------------------------------------

    def balance(self, commodity: str, account: str) -> int:
        return self.accounts.rows.get(f"{commodity}/{account}", 0)

    def tick_of(self, key: tuple[int, int] | None) -> str | None:
        """What falls due under this key, wherever it waits."""
        if key is None:
            return None
        if (fresh := self.fresh.get(key)) is not None:
            return fresh[0]
        tick = self.due.get(key) or self.held.get(key)
        return None if tick is None else tick.what

    @property
    def charter_row(self) -> records.CharterRow:
        return self.charters.rows[""]

    @property
    def founding(self) -> records.Founded:
        return self.founded.rows[""]

    @property
    def course(self) -> records_governance.Course:
        return self.courses.rows[""]


def path_of(table: Table[Any, Any], key: Any) -> str:
    """Path of a row in the state root: `deal/<id>`; `charter`, `rules` and `founded` stand alone."""
    text = table.key_text(key)
    return f"{table.name}/{text}" if text else table.name
