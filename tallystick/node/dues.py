"""What a peer asks for in few bytes and gets in many, or with much work: all of it, but not as often as it asks.

Each answer is followed by a rest that is as long as the answer was costly. What is asked for meanwhile is owed, and
answered once at its end, all of it together: so nothing is lost, two that meet for the first time wait for nothing, and
whoever asks without end keeps a node busy for a small part of its time.

Source: docs/spec/sync.md#limits
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tallystick.node.sync import HEADS_MS, WANTED_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallystick.node.core import NodeCore
    from tallystick.node.session import Session
    from tallystick.node.transport import PeerKey

#: Of sealing messages so many bytes are sent for each millisecond of rest: eight megabytes in two seconds.
SEALING_BYTES_PER_MS: Final = 4096
#: The same of entries that are wanted, and of entries that are looked through for them.
WANTED_BYTES_PER_MS: Final = 64 * 1024
WANTED_VISITS_PER_MS: Final = 100


#: The same of entries that wait for others, all of which are looked through for those of one peer.
ORPHANS_PER_MS: Final = 10
#: Nobody rests longer, also where the clock is set back.
REST_MS_MAX: Final = 5_000


@dataclass(slots=True)
class _Due:
    """What one peer is owed, and when it may have it."""

    meets: int | None = None
    """The height at which it has said hello, or has asked for the sealing messages of the next one."""
    meets_at: int = 0
    heads: bool | None = None
    """It asks for our heads; True: it is to send its own, too."""
    heads_at: int = 0
    orphans: bool = False
    """Its entries wait for others, which it is to be asked for."""
    orphans_at: int = 0
    wants: dict[tuple[bytes, bytes], int] = field(default_factory=dict)
    """(device, id) -> from which number on."""
    wants_at: int = 0

    def clear(self) -> None:
        """It is owed nothing."""
        self.meets, self.heads, self.orphans = None, None, False
        self.wants.clear()

    def soonest(self) -> int | None:
        """When it may have the first of what it is owed."""
        owed = (
            (self.meets is not None, self.meets_at),
            (self.heads is not None, self.heads_at),
            (self.orphans, self.orphans_at),
            (bool(self.wants), self.wants_at),
        )
        return min((at for is_owed, at in owed if is_owed), default=None)

    @property
    def rests_until(self) -> int:
        return max(self.meets_at, self.heads_at, self.orphans_at, self.wants_at)


class Dues:
    """What all peers of one node are owed."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._rows: dict[PeerKey, _Due] = {}
        """Also of peers that have gone, as long as they rest: coming back is no way round."""
        self.wake: int | None = None
        """When `pay` has something to do."""

    # -- what a peer asks for ------------------------------------------------------------------------------------------

    def meets(self, session: Session, height: int) -> None:
        """It is at this height: if it is ours, whatever it lacks there is to be handed over."""
        self._row(session).meets = height
        self._pay(session)

    def heads(self, session: Session, *, reply: bool) -> None:
        """It is to be sent our heads; `reply`: and to send its own."""
        row = self._row(session)
        row.heads = bool(row.heads) or reply
        self._pay(session)

    def orphans(self, session: Session) -> None:
        """Entries of it wait for others: it is to be asked for them by name."""
        self._row(session).orphans = True
        self._pay(session)

    def wants(self, session: Session, chains: Iterable[tuple[bytes, int, bytes]]) -> None:
        """It wants these entries and what is pending below them."""
        wants = self._row(session).wants
        for device, seq, entry_id in chains:
            key = device, entry_id
            if key in wants or len(wants) < WANTED_MAX:
                wants[key] = min(seq, wants.get(key, seq))
        self._pay(session)

    # -- when ----------------------------------------------------------------------------------------------------------

    def pay(self, now: int) -> None:
        """Answer everybody whose rest is over."""
        if self.wake is None or not _is_over(self.wake, now):
            return
        for peer, row in self._rows.items():
            session = self._core.sync.sessions.get(peer)
            if session is None:
                row.clear()
            else:
                self._answer(session, row)
        self._look()

    def block_came(self) -> None:
        """What was told of the height before says nothing of this one."""
        for row in self._rows.values():
            row.meets_at = min(row.meets_at, self._core.now + HEADS_MS)
        self._look()

    def close(self, peer: PeerKey) -> None:
        """A peer is gone; its rest is not over by that."""
        row = self._rows.get(peer)
        if row is not None:
            row.clear()

    def forget(self, now: int) -> None:
        """Let go of those who rest no more and are owed nothing."""
        self._rows = {
            peer: row
            for peer, row in self._rows.items()
            if row.soonest() is not None or not _is_over(row.rests_until, now)
        }

    # -- inside --------------------------------------------------------------------------------------------------------

    def _row(self, session: Session) -> _Due:
        return self._rows.setdefault(session.peer, _Due())

    def _pay(self, session: Session) -> None:
        self._answer(session, self._rows[session.peer])
        self._look_at(self._rows[session.peer])

    def _look(self) -> None:
        self.wake = min((at for row in self._rows.values() if (at := row.soonest()) is not None), default=None)

    def _look_at(self, row: _Due) -> None:
        soonest = row.soonest()
        if soonest is not None:
            self.wake = soonest if self.wake is None else min(self.wake, soonest)

    def _answer(self, session: Session, row: _Due) -> None:
        core, now = self._core, self._core.now
        sync = core.sync
        if row.meets is not None and _is_over(row.meets_at, now):
            height, row.meets = row.meets, None
            if height == core.ledger.head.height:
                if height == session.height and not sync.has_same_pending(session):
                    row.heads = True
                messages = core.sealer.messages()
                sync.send_sealing(session.peer, messages)
                size = sum(map(len, messages))
                row.meets_at = now + min(REST_MS_MAX, max(HEADS_MS, size // SEALING_BYTES_PER_MS))
        if row.orphans and _is_over(row.orphans_at, now):
            row.orphans = False
            # By name: where a device has branched, numbers do not find what is missing.
            sync.want(session, core.intake.lacks(session.peer), {}, now)
            row.heads = True
            row.orphans_at = now + min(HEADS_MS, core.intake.orphan_count // ORPHANS_PER_MS)
        if row.heads is not None and _is_over(row.heads_at, now):
            sync.send_heads(session, now, reply=row.heads)
            row.heads = None
            row.heads_at = now + HEADS_MS
        if row.wants and _is_over(row.wants_at, now):
            chains = [(device, seq, entry_id) for (device, entry_id), seq in row.wants.items()]
            row.wants.clear()
            visits, size = sync.serve(session, chains)
            rest = visits // WANTED_VISITS_PER_MS + size // WANTED_BYTES_PER_MS
            row.wants_at = now + min(REST_MS_MAX, rest)


def _is_over(until: int, now: int) -> bool:
    """Whether a rest is over."""
    return not 0 < until - now <= REST_MS_MAX
