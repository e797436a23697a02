"""The pending entries of a ledger as a graph: what is known, what is on top, what a cut contains, in which order.

Only connected entries are here: an entry is added after its parents. Nothing is decided about what they do.

Source: docs/spec/entries.md#dag, docs/spec/entries.md#order
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tallystick.protocol.act import History
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body

#: Most devices and branches of one device that a frontier names (finality, section 2).
FRONTIER_DEVICES_MAX: Final = 1024
FRONTIER_BRANCHES_MAX: Final = 4

#: [[device, [[seq, id], ...]], ...] as it is encoded.
Frontier = list[list[object]]


class Pending:
    """An entry that is not sealed yet.

    `moment` is its time before it is clamped to the block time: max(claimed time, time of the block it cites,
    moments of its parents). Then at(e) = min(moment, block time), because the clamp passes through the maximum.
    `level` is 0 if all parents are sealed, else 1 + the highest among its unsealed parents.
    `size` is that of its header and words, in bytes, as they were when it came.
    """

    __slots__ = ("body", "entry", "level", "moment", "size")

    def __init__(self, entry: Entry, body: Body, moment: int, level: int) -> None:
        self.entry = entry
        self.body = body
        self.moment = moment
        self.level = level
        self.size = len(entry.header) + len(entry.annex or b"")

    def key(self, time: int) -> tuple[int, int, bytes]:
        """Its place in the order, for a block of this time."""
        moment = self.moment
        return (moment if moment < time else time, self.level, self.entry.id)


class Pool:
    """All pending entries this node knows.

    Its books (branches, tips, counts) are brought up to date when somebody looks: of what a block seals as soon as it
    has come, they never hear.
    """

    __slots__ = ("_branches", "_children", "_history", "_kinds", "_tips", "_unbooked", "_weights", "entries", "size")

    def __init__(self, history: History) -> None:
        self._history = history
        self.entries: dict[bytes, Pending] = {}
        """Parents always come before what refers to them."""
        self.size = 0
        """Bytes of all of them: see `Pending`."""
        self._unbooked: dict[bytes, Pending] = {}
        """Those that the books do not have yet, in the same order."""
        self._kinds: dict[str, int] = {}
        self._branches: dict[bytes, dict[bytes, int]] = {}
        self._weights: dict[bytes, tuple[int, int]] = {}
        self._tips: dict[bytes, None] = {}
        self._children: dict[bytes, int] = {}
        """Entry -> how many others refer to it."""

    def __contains__(self, entry_id: bytes) -> bool:
        return entry_id in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def kinds(self) -> dict[str, int]:
        """Kind -> how many entries of it there are."""
        self._book()
        return self._kinds

    @property
    def branches(self) -> dict[bytes, dict[bytes, int]]:
        """Device -> ids at the ends of its branches -> seq."""
        self._book()
        return self._branches

    @property
    def weights(self) -> dict[bytes, tuple[int, int]]:
        """Device -> how many entries of it there are, on whatever branch, and their bytes."""
        self._book()
        return self._weights

    @property
    def tips(self) -> dict[bytes, None]:
        """Entries that no other pending entry refers to, in the order they came."""
        self._book()
        return self._tips

    def missing(self, parents: Iterable[bytes]) -> list[bytes]:
        """Which of these are neither pending nor sealed here."""
        entries, history = self.entries, self._history
        return [parent for parent in parents if parent not in entries and history.sealed(parent) is None]

    def add(self, entry: Entry, body: Body) -> Pending:
        """Add an entry whose parents are all known."""
        pending = Pending(entry, body, *self._place(entry))
        self.entries[entry.id] = self._unbooked[entry.id] = pending
        self.size += pending.size
        return pending

    def remove_last(self, entry_id: bytes) -> None:
        """Take back an entry that nothing refers to (a trial, or one that is refused after all)."""
        pending = self.entries.pop(entry_id)
        self.size -= pending.size
        if self._unbooked.pop(entry_id, None) is not None:
            return
        self._tips.pop(entry_id, None)
        entry = pending.entry
        for parent in entry.parents:
            left = self._children.get(parent, 0) - 1
            if left > 0:
                self._children[parent] = left
            else:
                self._children.pop(parent, None)
                if parent in self.entries:
                    self._tips[parent] = None
        self._uncount(pending)
        ends = self._branches[entry.device]
        del ends[entry_id]
        if ends:
            # It had forked, and where the other branches begin is not known here.
            self._rebuild_branches({entry.device})
            return
        prev = None if entry.prev is None else self.entries.get(entry.prev)
        if prev is None:
            del self._branches[entry.device]
        else:
            ends[prev.entry.id] = prev.entry.seq

    def settle(self, sealed: Iterable[bytes]) -> None:
        """Drop what a block has sealed, and place the rest anew."""
        entries, unbooked = self.entries, self._unbooked
        for entry_id in sealed:
            pending = entries.pop(entry_id, None)
            if pending is None:
                continue
            self.size -= pending.size
            if unbooked.pop(entry_id, None) is not None:
                continue
            self._tips.pop(entry_id, None)
            self._children.pop(entry_id, None)
            self._uncount(pending)
            # The end of a branch is sealed with all of it, so the ends that stay are the ends they were.
            ends = self._branches.get(pending.entry.device)
            if ends is not None and ends.pop(entry_id, None) is not None and not ends:
                del self._branches[pending.entry.device]
        place = self._place
        for pending in entries.values():
            pending.moment, pending.level = place(pending.entry)

    def closure(self, heads: Iterable[bytes]) -> tuple[dict[bytes, Pending], list[bytes]]:
        """Everything pending at or below these heads, and ids that are not known at all."""
        found: dict[bytes, Pending] = {}
        unknown: dict[bytes, None] = {}
        stack = list(heads)
        entries = self.entries
        while stack:
            entry_id = stack.pop()
            if entry_id in found or entry_id in unknown:
                continue
            pending = entries.get(entry_id)
            if pending is not None:
                found[entry_id] = pending
                stack.extend(pending.entry.parents)
            elif self._history.sealed(entry_id) is None:
                unknown[entry_id] = None
        return found, list(unknown)

    def frontier(self, moment_max: int) -> Frontier:
        """The ends of all branches whose moment is not after `moment_max`, in canonical order."""
        out: Frontier = []
        branches = self.branches
        for device in sorted(branches):
            ends = {self._back(entry_id, moment_max) for entry_id in branches[device]}
            ends.discard(None)
            if ends:
                rows = sorted([self.entries[end].entry.seq, end] for end in ends if end is not None)
                out.append([device, rows[:FRONTIER_BRANCHES_MAX]])
        return out[:FRONTIER_DEVICES_MAX]

    def _back(self, entry_id: bytes, moment_max: int) -> bytes | None:
        """The newest entry of this branch at or below `entry_id` that is not dated beyond `moment_max`."""
        pending = self.entries.get(entry_id)
        while pending is not None and pending.moment > moment_max:
            prev = pending.entry.prev
            pending = None if prev is None else self.entries.get(prev)
        return None if pending is None else pending.entry.id

    def _book(self) -> None:
        """Bring the books up to date."""
        entries, children, tips = self.entries, self._children, self._tips
        kinds, weights, branches = self._kinds, self._weights, self._branches
        for entry_id, pending in self._unbooked.items():
            entry = pending.entry
            for parent in entry.parents:
                if parent in entries:
                    children[parent] = children.get(parent, 0) + 1
                    tips.pop(parent, None)
            tips[entry_id] = None
            kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
            count, size = weights.get(entry.device, (0, 0))
            weights[entry.device] = (count + 1, size + pending.size)
            branch = branches.get(entry.device)
            if branch is None:
                branches[entry.device] = {entry_id: entry.seq}
            else:
                branch.pop(entry.prev, None)  # type: ignore[arg-type]
                branch[entry_id] = entry.seq
        self._unbooked.clear()

    def _uncount(self, pending: Pending) -> None:
        kind, device = pending.entry.kind, pending.entry.device
        left = self._kinds[kind] - 1
        if left:
            self._kinds[kind] = left
        else:
            del self._kinds[kind]
        count, size = self._weights[device]
        if count > 1:
            self._weights[device] = (count - 1, size - pending.size)
        else:
            del self._weights[device]

    def _place(self, entry: Entry) -> tuple[int, int]:
        moment = entry.time
        level = 0
        if entry.seal is not None:
            cited = self._history.block_time(entry.seal[0])
            if cited is not None and cited > moment:
                moment = cited
        entries = self.entries
        for parent in entry.parents:
            pending = entries.get(parent)
            if pending is not None:
                if pending.moment > moment:
                    moment = pending.moment
                if pending.level >= level:
                    level = pending.level + 1
            else:
                sealed = self._history.sealed(parent)
                if sealed is not None and sealed.at > moment:
                    moment = sealed.at
        return moment, level

    def _rebuild_branches(self, devices: set[bytes]) -> None:
        if not devices:
            return
        for device in devices:
            self._branches.pop(device, None)
        mine = [row.entry for row in self.entries.values() if row.entry.device in devices]
        inner = {entry.prev for entry in mine}
        for entry in mine:
            if entry.id not in inner:
                self._branches.setdefault(entry.device, {})[entry.id] = entry.seq
