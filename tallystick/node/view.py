"""What an operation looks at: one ledger, its archive, the moment, who asks, and what only a running node knows.

A view is made for one operation and then dropped. It reads; nothing here writes.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tallystick.node import layout
from tallystick.node.names import name_in, shown, words_in
from tallystick.protocol.ballot import STEP_PRECOMMIT, STEP_PREVOTE, STEP_PROPOSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tallystick.node.archive import Archive
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.ledger import Ledger
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.sealing_effects import Facts
    from tallystick.protocol.state import State

#: What an account of a member begins with.
MEMBER_NOUNS: Final = ("partner", "capital", "donation", "payable", "paid")

_STEPS: Final = {STEP_PROPOSE: "propose", STEP_PREVOTE: "prevote", STEP_PRECOMMIT: "precommit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFact:
    """What a running node knows of one other node."""

    key: bytes
    """Its node key."""
    member: bytes | None = None
    """Whose it is; None for an applicant that nobody knows yet."""
    address: str = ""
    """Where it was reached last."""
    connected: bool = False
    seen: int = 0
    """When something of it came last, in ms; 0 for never."""
    height: int | None = None
    """Height of its newest block, as it said."""
    relayed: bool = False
    """It is connected through somebody else's node."""
    clock: int | None = None
    """Its clock less ours, in ms, while it is connected."""
    error: str = ""
    """Why it could not be reached the last time, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingFact:
    """Where the vote on the next block stands, as this node sees it."""

    height: int
    round: int
    """-1 before the first."""
    step: str
    ready: tuple[bytes, ...] = ()
    """Node keys of the sealers whose READY is here."""
    voted: tuple[bytes, ...] = ()
    """Node keys of those that have voted in this round."""

    @classmethod
    def of(cls, facts: Facts) -> SealingFact:
        """What of it is told."""
        return cls(
            height=facts.height,
            round=facts.round,
            step=_STEPS[facts.step] if facts.round >= 0 else "ready",
            ready=tuple(row.key for row in facts.sealers if row.ready is not None),
            voted=tuple(row.key for row in facts.sealers if row.prevoted or row.precommitted),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchingUpFact:
    """How fetching blocks that others have goes."""

    height: int
    target: int
    """The newest block that a connected peer has."""
    blocks: int
    """Blocks that are still to come."""
    entries: int | None
    """About how many entries are in them."""
    rate: int
    """Entries a second, over the last seconds."""
    left_ms: int | None
    """How long it will take; None while nothing can be said."""


@dataclass(slots=True, kw_only=True)
class NodeFacts:
    """What only a running node knows."""

    peers: list[PeerFact] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    """Where others reach it, each with `/p2p/ID`."""
    orphans: int = 0
    sealing: SealingFact | None = None
    read_only: str | None = None
    """Why nothing can be written, in words."""
    mute: str | None = None
    """Why this node does not vote, in words."""
    warning: str | None = None
    """What else keeps it from sealing, in words: its clock, or that it trusts the ledger no more."""
    seen_by: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    """Pending entry -> node keys of others that are known to have it."""
    catching_up: CatchingUpFact | None = None
    """None when there is nothing to fetch, or it is a matter of a moment."""


@dataclass(slots=True)
class View:
    """One look at a ledger."""

    ledger: Ledger
    archive: Archive
    now: int
    me: bytes | None
    """Member id of this device in this ledger."""
    device: bytes
    """Its signing key."""
    node: NodeFacts | None = None
    """None when no node runs."""
    _names: dict[bytes, str | None] = field(default_factory=dict)

    @property
    def sealed(self) -> State:
        """The state after the newest block."""
        return self.ledger.state

    @property
    def preview(self) -> State:
        """The state with everything pending, as of now. Read it at once, do not keep it."""
        # A newcomer's own join can be here before the ledger is; then there is nothing to apply it to.
        return self.ledger.state if self.is_empty else self.ledger.view(self.now)

    @property
    def is_empty(self) -> bool:
        """Whether not even the founding entry is here yet."""
        return not self.ledger.head.height and self.ledger.id not in self.ledger.pool

    @property
    def moment(self) -> int:
        """The time by which balances vest: now, but never before the newest block."""
        return max(self.now, self.ledger.head.time)

    def entry(self, entry_id: bytes) -> Entry | None:
        """An entry, pending or sealed. Raises StoreError where it is damaged."""
        pending = self.ledger.pool.entries.get(entry_id)
        return self.archive.entry(entry_id) if pending is None else pending.entry

    def entries_with(self, needle: bytes) -> Iterator[Entry]:
        """Entries, pending or sealed, whose header holds these bytes. It reads them all: for rare questions."""
        return self.archive.entries_with(needle)

    def deal(self, deal_id: bytes) -> Deal | None:
        """A deal as it is with everything pending, open or closed."""
        state = self.preview
        return state.deals.get(deal_id) or state.closed.get(deal_id) or self.archive.closed_deal(deal_id)

    def words(self, entry_id: bytes) -> dict[str, Any] | None:
        """The words of an entry as they were written, to be shown by `shown`; None where there are none here."""
        pending = self.ledger.pool.entries.get(entry_id)
        return words_in(self.archive.store.get(layout.ANNEX + entry_id) if pending is None else pending.entry.annex)

    def word(self, entry_id: bytes, key: str) -> str | None:
        """One text among the words of an entry, as it is shown."""
        text = (self.words(entry_id) or {}).get(key)
        return shown(text) if isinstance(text, str) else None

    def raw_name(self, member: bytes) -> str | None:
        """The name that a member gave itself, as it was typed; None where it was erased."""
        if member not in self._names:
            self._names[member] = name_in(self.words(member))
        return self._names[member]

    def name(self, member: bytes) -> str | None:
        """The name of a member as it is shown; None where it was erased."""
        name = self.raw_name(member)
        return None if name is None else shown(name)

    def called(self, member: bytes) -> str:
        """What a sentence calls a member: its name, or the first digits of its id."""
        return self.name(member) or member.hex()[:8]

    def owner_name(self, account: str) -> str | None:
        """The name of the member whose account this is; None for one of the ledger or a deal, or an erased name."""
        noun, _, owner = account.partition("/")
        return self.name(bytes.fromhex(owner)) if noun in MEMBER_NOUNS and len(owner) == 64 else None

    def names(self) -> dict[bytes, str | None]:
        """Names of all members, applicants too, as they were typed."""
        return {member: self.raw_name(member) for member in self.preview.members}
