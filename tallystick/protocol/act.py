"""What a rule is given when it acts: the state, its moment, its cause, and the pen that writes postings.

Source: docs/spec/charter.md#postings
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.records import Rules, Tick

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.records import Device, Member
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State

INT_MAX = 2**63 - 1
POINT = "POINT"


class Posting(NamedTuple):
    """One double-entry movement: `source` falls by `amount`, `target` rises."""

    commodity: str
    source: str
    target: str
    amount: int
    rule: str
    """Charter path of the rule, such as `step.roast.price`."""
    formula: str
    """Its arithmetic, such as `3 x 12 x 90% = 32`."""


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """Where a sealed entry stands."""

    height: int
    at: int
    device: bytes
    seq: int
    seal_height: int
    """Height it cited itself; -1 for none."""


class History(Protocol):
    """What is sealed already. Only facts that the chain of blocks fixes: the same on every node."""

    def sealed(self, entry_id: bytes) -> Sealed | None:
        """Where this entry is sealed, or None where it is not."""

    def block_id(self, height: int) -> bytes | None:
        """Id of the block at this height, or None where there is none yet."""

    def block_time(self, height: int) -> int | None:
        """Its time in ms."""

    def charter_digest(self, height: int) -> bytes | None:
        """Hash of the charter in force after the block at this height."""

    def added_device(self, entry_id: bytes) -> bytes | None:
        """The signing key that a sealed `device.add` names; None for any other entry."""

    def closed_deal(self, deal_id: bytes) -> Deal | None:
        """The last state of a deal that has left the live state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is the same for everything in one block (or preview)."""

    ledger: bytes
    height: int
    time: int
    """Block time in ms."""
    time_prev: int
    """Time of the block before."""
    charter: Charter
    """The charter in force: that of the state after the block before."""
    charter_version: int
    history: History
    readers: tuple[bytes, ...] = field(default=())
    """Node keys of the sealers whose READY made this block."""


class Act:
    """One entry or tick at work.

    `at` is the moment in ms, `cause` the id of the entry (for a tick, of what it was about). `author`, `device` and
    `entry` are those of the entry; a tick has none.
    """

    __slots__ = ("at", "author", "author_id", "cause", "charter", "context", "device", "entry", "postings", "state")

    def __init__(
        self,
        state: State,
        context: Context,
        at: int,
        cause: bytes,
        author_id: bytes = b"",
        author: Member | None = None,
        device: Device | None = None,
        entry: Entry | None = None,
    ) -> None:
        self.state = state
        self.context = context
        self.charter = context.charter
        self.at = at
        self.cause = cause
        self.author_id = author_id
        self.author = author
        self.device = device
        self.entry = entry
        self.postings: list[Posting] = []

    def post(self, commodity: str, source: str, target: str, amount: int, rule: str, formula: str) -> None:
        """Move `amount` > 0 from one account to another; nothing happens for 0.

        Raises EntryError: LIMIT beyond 63 bits, BALANCE where a POINT account but `issued` would fall below 0.
        """
        if amount == 0:
            return
        if amount < 0:
            raise EntryError(Reason.LIMIT, "a posting is never negative")
        accounts = self.state.accounts
        rows = accounts.rows
        source_key = f"{commodity}/{source}"
        target_key = f"{commodity}/{target}"
        source_now = rows.get(source_key, 0) - amount
        if source_now < 0 and commodity == POINT and source != "issued":
            raise EntryError(Reason.BALANCE, source)
        target_now = rows.get(target_key, 0) + amount
        if target_now > INT_MAX or source_now < -INT_MAX:
            raise EntryError(Reason.LIMIT, target)
        if source_now:
            accounts.set(source_key, source_now)
        else:
            accounts.delete(source_key)
        if target_now:
            accounts.set(target_key, target_now)
        else:
            accounts.delete(target_key)
        self.postings.append(Posting(commodity, source, target, amount, rule, formula))

    def schedule(self, time: int, what: str, ref: bytes) -> tuple[int, int]:
        """Let something fall due at `time`; the key that comes back cancels it."""
        key = self._number(time)
        self.state.due.set(key, Tick(what, ref))
        return key

    def wait(self, time: int, what: str, ref: bytes, since: int | None = None) -> tuple[int, int]:
        """As `schedule`, where somebody else has until then: never in this block, and see `waits`.

        `since`: when the wait began; now, where it is not said.
        """
        key = self._number(time)
        self.state.fresh.set(key, (what, ref, self.at if since is None else since))
        return key

    def _number(self, time: int) -> tuple[int, int]:
        rules = self.state.rules.rows[""]
        self.state.rules.set("", Rules(rules.version, rules.due_next + 1, rules.sealer_next))
        return time, rules.due_next

    def unschedule(self, key: tuple[int, int] | None) -> None:
        if key is not None:
            state = self.state
            for table in (state.fresh, state.due, state.held):
                if key in table.rows:
                    table.delete(key)
                    return

    def at_boundary(self, what: str, ref: bytes) -> None:
        """Leave something for the end of the block (see `boundary`)."""
        table = self.state.boundary
        table.set(len(table), (what, ref))


TickRule = Callable[[Act, bytes], None]
