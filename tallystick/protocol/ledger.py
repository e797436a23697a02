"""One ledger as a value machine: the sealed state, the pending graph, the preview, and the making of blocks.

It reads no disk and no clock: what is sealed is asked of a `History`, the time comes in. A block is executed on the
sealed state before anybody votes for it; `commit` makes it final, `discard` takes it back to the last bit.

Source: docs/spec/blocks.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop
from typing import TYPE_CHECKING, Final

from tallystick.protocol import codec
from tallystick.protocol.act import Context, History
from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.entry import NO_LEDGER
from tallystick.protocol.errors import BlockError
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.refound import Before, Refound
from tallystick.protocol.merkle import Absence, CompactRange, Inclusion, StateTree
from tallystick.protocol.pool import Frontier, Pending, Pool
from tallystick.protocol.preview import Preview
from tallystick.protocol.records import Sealer
from tallystick.protocol.sealers import active_sealers
from tallystick.protocol.state import State
from tallystick.protocol.structure import Waiting, check_structure
from tallystick.protocol.transition import Fold, Result, TickResult

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.records_deal import Deal

#: Limits of one block (finality, section 3).
DEVICE_ENTRIES_MAX: Final = 256
BLOCK_ENTRIES_MAX: Final = 1024
BLOCK_HEADER_BYTES_MAX: Final = 4 * 1024 * 1024

#: Nodes neither cite nor push a pending entry dated further ahead than this.
AHEAD_MS_MAX: Final = 600_000

LINKS_MAX: Final = 16


_RESULT_HEAD: Final = b"\x93\xc4\x20"
"""How the canonical bytes of [entry id, height, status] begin, which is a leaf of the log."""


def _result_tail(height: int, status: int) -> bytes:
    """The canonical bytes of such a leaf behind the id."""
    return codec.encode([height, status])[1:]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block. Height 0 is the time before the founding."""

    height: int
    block_id: bytes
    time: int
    state_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A block's entries at work: everything its header commits to and everything a store has to keep."""

    height: int
    time: int
    results: tuple[Result, ...]
    ticks: tuple[TickResult, ...]
    rows: dict[str, bytes | None]
    """Changed rows of the state: path -> encoded row, None where it went."""
    closed: dict[bytes, Deal]
    log: CompactRange
    log_root: bytes
    state_root: bytes
    sealers: tuple[Sealer, ...]
    """Who seals this block."""
    sealers_next: tuple[Sealer, ...]
    charter_digest: bytes
    """Hash of the charter in the state after the block."""
    charter_version: int
    """Number of the charter by which the block was judged."""
    rules_version: int


class Ledger:
    """All that one node knows of one ledger."""

    def __init__(
        self,
        ledger_id: bytes,
        history: History,
        *,
        head: Head | None = None,
        state: State | None = None,
        log: CompactRange | None = None,
        line: tuple[Before, ...] = (),
    ) -> None:
        self.id = ledger_id
        self.line = line
        """The ledgers whose blocks come first, where this one was founded anew; known from its founding entry."""
        self.history = history
        self.head = head or Head(0, bytes(32), 0, bytes(32))
        self._state = state or State()
        self.log = log or CompactRange()
        self.pool = Pool(history)
        self.preview = Preview(self._preview_context)
        self.preview.follow(self._state.rows().items(), ())
        self._tree: StateTree | None = None
        self._executed: Executed | None = None

    @property
    def state(self) -> State:
        """The sealed state. Whoever looks at it ends a trial that `execute` left open."""
        self.discard()
        return self._state

    @property
    def charter(self) -> Charter:
        """The charter in force: that of the sealed state, or of the founding entry before it is sealed."""
        if self.head.height:
            return from_bytes(self.state.charter_row.data)
        founding = self.pool.entries.get(self.id_at(1))
        if founding is None or not isinstance(founding.body, Found):
            raise BlockError("not-a-founding")
        return from_bytes(founding.body.charter)

    # -- the ledgers before ----------------------------------------------------------------------------------------

    @property
    def base(self) -> int:
        """The height on which this ledger was founded anew; 0 where it was not."""
        return self.line[-1].height if self.line else 0

    def id_at(self, height: int) -> bytes:
        """The ledger to which the block of this height belongs."""
        return next((before.ledger for before in self.line if height <= before.height), self.id)

    @property
    def founding_next(self) -> bytes | None:
        """The founding entry where the next block holds it, first and alone; None for every other block."""
        height = self.head.height + 1
        begins = height == 1 or any(before.height + 1 == height for before in self.line)
        return self.id_at(height) if begins else None

    # -- entries ---------------------------------------------------------------------------------------------------

    def check(self, entry: Entry) -> Body | Waiting:
        """Structural validity (see `check_structure`)."""
        if not self.line and entry.id != self.id:
            # Nearly every entry there is.
            return check_structure(entry, self.id, self.pool, self.history, self.head.height)
        ledgers = {self.id, *(before.ledger for before in self.line if before.height > self.head.height)}
        if entry.id in ledgers:
            body = check_structure(entry, NO_LEDGER, self.pool, self.history, self.head.height)
            if not isinstance(body, Waiting):
                self._check_founding(entry, body)
            return body
        ledger = entry.ledger if entry.ledger in ledgers else self.id
        return check_structure(entry, ledger, self.pool, self.history, self.head.height)

    def _check_founding(self, entry: Entry, body: Body) -> None:
        """Raises BlockError: not-a-founding."""
        ids = [each.ledger for each in self.line]
        before = self.line[: ids.index(entry.id)] if entry.id in ids else self.line
        if not (isinstance(body, Refound) and body.line == before if before else isinstance(body, Found)):
            raise BlockError("not-a-founding")

    def is_new(self, entry: Entry) -> bool:
        """Whether an entry is neither pending nor sealed here.

        A block never seals an entry before its parents, so what has a pending one is not sealed: that is known without
        looking into the archive.
        """
        pending = self.pool.entries
        if entry.id in pending:
            return False
        for parent in entry.parents:
            if parent in pending:
                return True
        return self.history.sealed(entry.id) is None

    def knows(self, entry_id: bytes) -> bool:
        return entry_id in self.pool.entries or self.history.sealed(entry_id) is not None

    def add(self, entry: Entry, body: Body) -> Pending:
        """Add an entry that `check` has passed, whose signature holds and which is not known yet."""
        pending = self.pool.add(entry, body)
        self.preview.add(pending)
        return pending

    def remove(self, entry_id: bytes) -> None:
        """Take back a pending entry that nothing refers to."""
        self.preview.forget(entry_id)
        self.pool.remove_last(entry_id)

    def try_out(self, entry: Entry, body: Body, now: int, look: Callable[[State], None] | None = None) -> Result:
        """What an entry would do if it were signed now; leaves no trace. `look` sees the state with it."""
        pending = self.add(entry, body)
        try:
            state = self.preview.refresh(max(now, pending.moment))
            result = self.preview.result(entry.id)
            if look is not None:
                look(state)
        finally:
            self.remove(entry.id)
        if result is None:
            raise BlockError("no-result")
        return result

    def view(self, now: int) -> State:
        """The state with everything pending applied, as of `now`. Read it at once."""
        return self.preview.refresh(now)

    def context(self, now: int) -> Context:
        """What a rule would be given in a block made now: for questions about what is not written yet."""
        return self._preview_context(now)

    def head_of(self, device: bytes) -> tuple[int, bytes | None]:
        """(seq, id) of the newest entry of a device on its longest known branch; (-1, None) without one."""
        ends = self.pool.branches.get(device)
        if ends:
            entry_id = max(ends, key=lambda end: (ends[end], end))
            return ends[entry_id], entry_id
        row = self.state.devices.get(device)
        return (-1, None) if row is None else (row.head_seq, row.head or None)

    def links_for(self, refs: Iterable[bytes], prev: bytes | None, now: int) -> tuple[bytes, ...]:
        """What a new entry links: everything it refers to, then the newest tips of the graph.

        A tip of a device that has forked is never among them: no block takes what it goes on with unless somebody
        links it (entries, section 4).
        """
        links = [ref for ref in dict.fromkeys(refs) if ref != prev]
        entries = self.pool.entries
        tips = sorted(
            (tip for tip in self.pool.tips if tip != prev and tip not in links),
            key=lambda tip: entries[tip].moment,
            reverse=True,
        )
        room = max(0, LINKS_MAX - len(links))
        links += [
            tip for tip in tips if entries[tip].moment <= now + AHEAD_MS_MAX and not self._has_forked(entries[tip])
        ][:room]
        return tuple(sorted(links))

    def frontier(self, now: int) -> Frontier:
        """What this node would report in a READY."""
        return self.pool.frontier(now + AHEAD_MS_MAX)

    def due_by(self, now: int) -> bool:
        """Whether a tick is due: reason enough for a block."""
        order = self.state.due.order
        return bool(order) and order[0][0] <= now

    # -- blocks ----------------------------------------------------------------------------------------------------

    def sealers(self) -> tuple[Sealer, ...]:
        """Who seals the next block, in the order of enrolment. A founding is sealed by the founder."""
        if (founding_id := self.founding_next) is None:
            return tuple(active_sealers(self.state))
        founding = self.pool.entries.get(founding_id)
        if founding is None:
            return ()
        entry, body = founding.entry, founding.body
        if isinstance(body, Found):
            return (Sealer(founding_id, entry.device, body.node_key, "active", founding.moment),)
        device = self.state.devices.get(entry.device)
        if device is None:
            return ()
        return (Sealer(device.member, entry.device, device.node_key, "active", founding.moment),)

    def select(self, heads: Iterable[bytes], time: int) -> tuple[list[Pending], list[bytes]]:
        """The entries of a block that is made from these heads, in order; and ids that must be fetched first.

        Source: finality, section 3.
        """
        closure, unknown = self.pool.closure(heads)
        if unknown:
            return [], unknown
        if self.head.height and (founding_id := self.founding_next) is not None:
            return ([closure[founding_id]] if founding_id in closure else []), []
        for entry_id in self._left_out(closure):
            del closure[entry_id]
        taken: dict[bytes, Pending] = {}
        per_device: dict[bytes, int] = {}
        size = 0
        # One after the other from a heap: of a high pile most entries have to wait for a later block.
        rest = [(row.key(time), row) for row in closure.values()]
        heapify(rest)
        while rest and len(taken) < BLOCK_ENTRIES_MAX:
            _, pending = heappop(rest)
            entry = pending.entry
            count = per_device.get(entry.device, 0)
            if (
                count >= DEVICE_ENTRIES_MAX
                or size + len(entry.header) > BLOCK_HEADER_BYTES_MAX
                or any(parent in closure and parent not in taken for parent in entry.parents)
            ):
                continue
            taken[entry.id] = pending
            per_device[entry.device] = count + 1
            size += len(entry.header)
        return list(taken.values()), []

    def has_work(self, heads: Iterable[bytes]) -> bool:
        """Whether `select` would take anything of what lies at or below these heads, all of which are known."""
        heads = list(heads)
        unwanted = self._unwanted_devices()
        entries = self.pool.entries
        if any(head in entries and not _is_unwanted(entries[head], unwanted) for head in heads):
            return True
        closure, _ = self.pool.closure(heads)
        return len(closure) > len(self._left_out(closure))

    def in_order(self, entry_ids: Sequence[bytes], time: int) -> list[Pending]:
        """A block's entries as pending ones, checked to be connected and in the one order.

        Raises BlockError: not-connected, not-in-order.
        """
        known, ids = self.pool.entries, set(entry_ids)
        rows: list[Pending] = []
        for entry_id in entry_ids:
            pending = known.get(entry_id)
            if pending is None:
                raise BlockError("not-connected", entry_id.hex()[:8])
            for parent in pending.entry.parents:
                if parent not in ids and parent in known:
                    raise BlockError("not-connected", entry_id.hex()[:8])
            rows.append(pending)
        last: tuple[int, int, bytes] = (-1, -1, b"")
        for pending in rows:
            key = pending.key(time)
            if key <= last:
                raise BlockError("not-in-order")
            last = key
        return rows

    def execute(self, taken: Sequence[Pending], time: int, readers: tuple[bytes, ...]) -> Executed:
        """What a block would do. The trial stays applied until somebody looks at the state, or it is committed."""
        self.discard()
        height = self.head.height + 1
        if height > 1 and (founding_id := self.founding_next) is not None:
            self._check_taken(taken, founding_id)
        sealers = self.sealers()
        context = self._context(height, time, self.head.time, readers, taken)
        fold = Fold(self._state, context)
        apply = fold.apply
        for pending in taken:
            moment = pending.moment
            apply(pending.entry, pending.body, moment if moment < time else time)
        fold.finish()
        if height > 1 and self.founding_next is not None and fold.results[0].reason is not None:
            self._state.rollback(0)
            raise BlockError("not-a-founding", fold.results[0].detail)
        rows = self._state.changed()
        tree = self._tree_now()
        tree.update(rows)
        log = CompactRange.from_value(self.log.to_value())
        if height > 1:
            log.append(codec.encode(["seal", self.head.height, self.head.block_id, self.head.state_root]))
        applied, void = (_result_tail(height, status) for status in (0, 1))
        log.extend(
            _RESULT_HEAD + result.entry_id + (applied if result.reason is None else void) for result in fold.results
        )
        self._executed = Executed(
            height=height,
            time=time,
            results=tuple(fold.results),
            ticks=tuple(fold.ticks),
            rows=rows,
            closed=dict(self._state.closed.rows),
            log=log,
            log_root=log.root(),
            state_root=tree.root(),
            sealers=sealers,
            sealers_next=tuple(active_sealers(self._state)),
            charter_digest=self._state.charter_row.digest,
            charter_version=context.charter_version,
            rules_version=self._state.rules[""].version,
        )
        return self._executed

    def discard(self) -> None:
        """Take back what `execute` did."""
        if self._executed is None:
            return
        touched = list(self._executed.rows)
        self._state.rollback(0)
        if self._tree is not None:
            self._tree.update(self._state.rows_at(touched))
        self._executed = None

    def commit(self, executed: Executed, block_id: bytes) -> None:
        """Make the block final. Call it after the store holds it. Raises BlockError for another height's."""
        if executed.height != self.head.height + 1:
            raise BlockError("not-executed")
        if self._executed is executed:
            self._state.commit()
            self._executed = None
        else:
            # Somebody looked at the sealed state since.
            self.discard()
            self._state.load(executed.rows.items())
            if self._tree is not None:
                self._tree.update(executed.rows)
        self.log = executed.log
        self.head = Head(executed.height, block_id, executed.time, executed.state_root)
        self.pool.settle(result.entry_id for result in executed.results)
        self.preview.follow(executed.rows.items(), self.pool.entries.values())

    def prove(self, path: str) -> Inclusion | Absence:
        """The proof that the sealed state has this row, or that it has none."""
        self.discard()
        return self._tree_now().prove(path)

    def check_root(self) -> bool:
        """Whether the sealed state has the root that the newest block says."""
        return self._tree_now().root() == self.head.state_root

    # -- inside ----------------------------------------------------------------------------------------------------

    def _check_taken(self, taken: Sequence[Pending], founding_id: bytes) -> None:
        """Whether a block holds a founding anew, alone, and on this very state. Raises BlockError: not-a-founding."""
        if [row.entry.id for row in taken] != [founding_id]:
            raise BlockError("not-a-founding", "it stands alone in its block")
        body, head = taken[0].body, self.head
        if not isinstance(body, Refound) or (body.block, body.state_root) != (head.block_id, head.state_root):
            raise BlockError("not-a-founding", "it goes on with another state")

    def _tree_now(self) -> StateTree:
        """The tree of the state. First made for the first block: a command that only reads does not pay for it."""
        if self._tree is None:
            self._tree = StateTree()
            self._tree.update(dict(self._state.rows()))
        return self._tree

    def _left_out(self, closure: dict[bytes, Pending]) -> list[bytes]:
        """Entries of devices that are frozen, revoked or departed, unless something else that is taken needs them."""
        unwanted = self._unwanted_devices()
        if not unwanted:
            return []
        out = {entry_id for entry_id, pending in closure.items() if _is_unwanted(pending, unwanted)}
        if not out:
            return []
        needed: set[bytes] = set()
        stack = [parent for entry_id, row in closure.items() if entry_id not in out for parent in row.entry.parents]
        while stack:
            entry_id = stack.pop()
            if entry_id in closure and entry_id in out and entry_id not in needed:
                needed.add(entry_id)
                stack.extend(closure[entry_id].entry.parents)
        return [entry_id for entry_id in out if entry_id not in needed]

    def _has_forked(self, pending: Pending) -> bool:
        """Whether this device is known to have signed two entries with one number, sealed or not."""
        device = pending.entry.device
        return len(self.pool.branches.get(device, ())) > 1 or device in self.preview.state.forks

    def _unwanted_devices(self) -> dict[bytes, bool]:
        """Devices from which nothing is taken for its own sake -> whether what the departed may still say is taken."""
        state = self.state
        found: dict[bytes, bool] = {}
        for key, device in state.devices.items():
            if device.status in ("frozen", "revoked"):
                found[key] = False
            elif state.members[device.member].status == "departed":
                found[key] = True
        return found

    def _preview_context(self, now: int) -> Context:
        time = max(self.head.time + 1, now)
        first = [] if self.head.height else [row for row in self.pool.entries.values() if row.entry.id == self.id_at(1)]
        return self._context(self.head.height + 1, time, self.head.time, (), first)

    def _context(
        self, height: int, time: int, time_prev: int, readers: tuple[bytes, ...], taken: Sequence[Pending]
    ) -> Context:
        if height == 1:
            body = taken[0].body if taken else None
            if not isinstance(body, Found):
                raise BlockError("not-a-founding")
            charter, version, time_prev = from_bytes(body.charter), 1, taken[0].moment
        else:
            row = self.state.charter_row
            charter, version = from_bytes(row.data), row.version
        return Context(
            ledger=self.id_at(height),
            height=height,
            time=time,
            time_prev=time_prev,
            charter=charter,
            charter_version=version,
            history=self.history,
            readers=readers,
        )


def _is_unwanted(pending: Pending, unwanted: Mapping[bytes, bool]) -> bool:
    """Whether an entry is taken only where something else needs it (see `Ledger._unwanted_devices`)."""
    may_some = unwanted.get(pending.entry.device)
    return may_some is not None and not (may_some and pending.body.DEPARTED_MAY)
