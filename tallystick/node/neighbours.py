"""Whom a node is connected to in a large ledger: a few neighbours instead of everybody.

Up to `MESH_MAX` other nodes everybody meets everybody. Beyond that a node is connected to those that seal, and dials
neighbours until it has `SOUGHT`: in an order of its own that follows from both keys, so that the choices of all are as
good as thrown dice, and the graph hangs together though nobody sees it. It lets others in beyond that, and in a while
gives back what is more than `KEPT`.

Dice can fall badly, and nodes go. So from time to time one more is *visited*, in turn of all. Whoever finds there that
the other had stood elsewhere keeps that link and gives back an older one: what had fallen apart grows together again.

A value machine like the dialer, which it tells whom to dial.

Source: docs/spec/sync.md#neighbours
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from tallystick.node.transport import PeerKey

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore

MESH_MAX: Final = 20
"""So many other nodes are all met."""
SOUGHT: Final = 6
"""Neighbours that a node dials for."""
KEPT: Final = 8
"""Neighbours that it keeps."""
LET_IN_MAX: Final = 16
"""Neighbours that it lets in, for a while: visitors, and newcomers who are refused nowhere then."""
VISIT_MS: Final = 20_000
"""Long enough to tell each other everything, and for a newcomer to be worth more than an old link."""
VISIT_EVERY_MS: Final = 300_000
CALLED_MS: Final = 600_000
"""For so long somebody whom a person wants something of is dialled like a sealer."""


@dataclass(frozen=True, slots=True)
class Circle:
    """Nodes of one ledger, but ours."""

    members: frozenset[PeerKey] = frozenset()
    sealers: frozenset[PeerKey] = frozenset()
    is_sealer: bool = False
    """We seal: then everybody may come to us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """What counts of one connection."""

    since: int
    """When it began, in ms."""
    greeted: bool
    """It has said where it stands."""
    was_apart: bool
    """That was elsewhere than where we stood."""


class Neighbours:
    """The choice of one node. Times are in ms."""

    def __init__(self, own: PeerKey) -> None:
        self._own = own
        self.circle = Circle()
        self._named: set[PeerKey] = set()
        self._called: dict[PeerKey, int] = {}
        self._ranks: dict[PeerKey, bytes] = {}
        self._visit_next = 0
        self._turn = b""
        """The rank of whoever was visited last."""

    def name(self, peers: Iterable[PeerKey]) -> None:
        """A person wrote down these addresses: they are always dialled and never given back."""
        self._named |= set(peers)

    def call(self, peers: Iterable[PeerKey], now: int) -> None:
        """Something is wanted of these: they are dialled for a while."""
        self._called |= dict.fromkeys(peers, now + CALLED_MS)

    @property
    def is_mesh(self) -> bool:
        """Whether everybody meets everybody."""
        return len(self.circle.members) <= MESH_MAX

    def is_always(self, peer: PeerKey, now: int) -> bool:
        """Whether a link to this peer is for more than having neighbours."""
        return peer in self.circle.sealers or peer in self._named or self._called.get(peer, 0) > now

    def choose(self, due: Mapping[PeerKey, int], there: Collection[PeerKey], now: int) -> list[PeerKey]:
        """Whom to dial of those that are due, each with the interval that its failures have led to.

        `there` are those that are connected, or being dialled.
        """
        if self.is_mesh:
            return list(due)
        always = [peer for peer in due if self.is_always(peer, now)]
        members = self.circle.members
        others = [peer for peer in due if peer in members and not self.is_always(peer, now)]
        # Who could not be reached lately waits behind all others: else it would be tried again and again before them.
        others.sort(key=lambda peer: (due[peer], self._rank(peer)))
        lacking = SOUGHT - sum(1 for peer in there if not self.is_always(peer, now))
        if lacking > 0:
            return [*always, *others[:lacking]]
        return [*always, *self._visit(others, now)]

    def _visit(self, others: list[PeerKey], now: int) -> list[PeerKey]:
        if not self._visit_next:
            # Not all in the same minute, though they were all started in the same.
            self._visit_next = now + VISIT_EVERY_MS * (self._rank(self._own)[0] + 1) // 256
        if now < self._visit_next or not others:
            return []
        self._visit_next = now + VISIT_EVERY_MS
        others.sort(key=self._rank)
        chosen = next((peer for peer in others if self._rank(peer) > self._turn), others[0])
        self._turn = self._rank(chosen)
        return [chosen]

    def lets_in(self, peer: PeerKey, there: Collection[PeerKey], now: int) -> bool:
        """Whether somebody who comes to us may stay for now; `there` are the other connections."""
        if self.is_mesh or self.circle.is_sealer or self.is_always(peer, now):
            return True
        return sum(1 for other in there if not self.is_always(other, now)) < LET_IN_MAX

    def surplus(self, ties: Mapping[PeerKey, Tie], now: int) -> list[PeerKey]:
        """Connections to be given back now."""
        if self.is_mesh or self.circle.is_sealer:
            return []
        rows = [(peer, tie) for peer, tie in ties.items() if not self.is_always(peer, now)]
        excess = len(rows) - KEPT
        if excess <= 0:
            return []
        settled = [(peer, tie) for peer, tie in rows if tie.greeted and tie.since + VISIT_MS <= now]
        # The newest go, but for those that had stood elsewhere: for them the oldest go.
        apart = [peer for peer, tie in settled if tie.was_apart and tie.since + 2 * VISIT_MS > now]
        plain = sorted((row for row in settled if row[0] not in apart), key=lambda row: (row[1].since, row[0]))
        from_old = min(len(apart), excess, len(plain))
        given = plain[:from_old]
        rest = plain[from_old:]
        given += rest[max(0, len(rest) - (excess - from_old)) :] if excess > from_old else []
        return [peer for peer, _ in given]

    def _rank(self, peer: PeerKey) -> bytes:
        rank = self._ranks.get(peer)
        if rank is None:
            rank = self._ranks[peer] = blake2b(self._own + peer, digest_size=8, person=b"neighbour").digest()
        return rank


def owner_of(core: NodeCore, peer: PeerKey) -> bytes:
    """Who answers for a peer: its member; for an applicant, of whom a partner can make any number, who invited it."""
    member_id = core.member_of(peer)
    if member_id is None:
        return peer
    member = core.ledger.view(core.now).members.get(member_id)
    return member.inviter or member_id if member is not None and member.status == "applicant" else member_id


def ties_of(core: NodeCore) -> dict[PeerKey, Tie]:
    """What counts of each connection that a node has now."""
    return {
        peer: Tie(since=session.since, greeted=session.greeted, was_apart=session.was_apart)
        for peer, session in core.sync.sessions.items()
        # Whoever is giving us something is not sent away in the middle of it.
        if not session.blocks_asked and not session.inbox
    }


def circle_of(core: NodeCore) -> Circle:
    """The nodes of a ledger as of now, pending entries included."""
    ledger, own = core.ledger, core.node_key.public
    if not ledger.head.height and ledger.id not in ledger.pool:
        return Circle()
    state = core.people()
    gone = {member_id for member_id, member in state.members.items() if member.status == "refused"}
    members = {
        device.node_key
        for device in state.devices.values()
        if device.status in ("active", "frozen") and device.node_key != own and device.member not in gone
    }
    sealers = {row.node_key for row in ledger.sealers()}
    return Circle(frozenset(members), frozenset(sealers - {own}), own in sealers)
