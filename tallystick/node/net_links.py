"""Which connections we hold, to whom, and which one of two is kept: `Link` and `Links`.

A link exists from the moment that a node key is proved, before libp2p knows the connection, until it is dropped.
Dropping is one synchronous step: whatever libp2p still has to tidy up, nobody waits for it.

Three rules keep it at one link for each pair of peers.
A peer that dials us again has lost its old connection, whatever ours looks like: the new one replaces it.
Two nodes that dial each other at the same moment both keep the connection that the lower node key dialled.
And a direct connection replaces one through a third node, but not the other way round while the direct one is alive.

Where all places are taken, whoever answers for the most connections gives up one of them to somebody who has fewer: so
nobody's crowd keeps others out, however many keys it has.
"""

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import trio
from libp2p.peer.id import ID

from tallystick.node.net_address import peer_id
from tallystick.node.net_line import Line
from tallystick.node.transport import Owner, PeerKey, TransportError, TransportLimits

if TYPE_CHECKING:
    from libp2p.network.connection.swarm_connection import SwarmConn

    from tallystick.node.net_session import Session

log = logging.getLogger("tallystick.net")

SAME_TIME_S: Final = 5.0
"""Two dials in opposite directions within this time count as simultaneous."""
ALIVE_PINGS: Final = 1.2
"""A line that said nothing for so many pings may be dead."""
STREAMS_MAX: Final = 16
"""Streams of one kind or another that a peer may have open at once; one sync, one gossip, a few knocks."""


class LinkRefusedError(TransportError):
    """A proven peer whom we do not want a connection with, at least not this one."""


class Link:
    """One connection to one proven peer."""

    def __init__(self, *, peer: PeerKey, line: Line, outbound: bool, admitted: bool) -> None:
        self.peer = peer
        self.peer_id = ID.from_base58(peer_id(peer))
        self.line = line
        self.outbound = outbound
        self.admitted = admitted
        """The gate says yes; strangers have False and get the knock protocol only."""
        self.born_at = trio.current_time()
        self.conn: SwarmConn | None = None
        self.session: Session | None = None
        self.up = False
        """The sync stream is open on both sides, and the node has been told."""
        self.opening = False
        """A task is opening the sync stream."""
        self.knocks = 0
        """Questions of ours that are open."""
        self.gossiping = False
        """It has opened its gossip stream to us."""
        self.streams = 0
        """Inbound streams that are open."""
        self.circuits = 0
        """Circuits to others that go through this link, with us as their node between or their far end."""
        self.settled = trio.Event()
        """Set when there is a sync stream, or the link is dropped."""
        self.gone = trio.Event()
        """Set when the link is dropped."""
        self.dropped = False
        self.on_drop: Callable[[str], None] | None = None

    @property
    def name(self) -> str:
        """How a log line calls the peer."""
        return peer_id(self.peer)[-8:]

    def drop(self, reason: str) -> None:
        """End the connection now, once."""
        if self.dropped:
            return
        self.dropped = True
        self.settled.set()
        self.gone.set()
        self.line.abort()
        if self.on_drop is not None:
            self.on_drop(reason)


class Links:
    """All connections of a node, and who of the strangers may come in."""

    def __init__(
        self,
        *,
        own: PeerKey,
        limits: TransportLimits,
        dropped: Callable[[Link, str], None],
        owner_of: Owner = lambda peer: peer,
    ) -> None:
        self._own = own
        self._owner_of = owner_of
        self._limits = limits
        self._dropped = dropped
        self._links: dict[PeerKey, Link] = {}
        self.refused = 0
        self._arrived = trio.Event()

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def get(self, peer: PeerKey) -> Link | None:
        """Return the link to a peer, if there is one."""
        return self._links.get(peer)

    def arrive(self, link: Link) -> None:
        """Take a new link in, dropping the one it replaces.

        Raises LinkRefusedError: we ourselves, too many connections, too many strangers, the other of two simultaneous
        dials is kept.
        """
        if link.peer == self._own:
            raise LinkRefusedError("it is ourselves")
        old = self._links.get(link.peer)
        if old is None and len(self._links) >= self._limits.connections_max:
            self._make_room(link)
        if not link.admitted and not link.outbound:
            strangers = [other for other in self if not other.admitted and not other.outbound and other is not old]
            if len(strangers) >= self._limits.strangers_max:
                self._make_room_among(strangers)
        if old is not None:
            if link.line.is_relayed and not old.line.is_relayed and self._is_alive(old):
                raise LinkRefusedError("the direct connection is kept")
            same = link.line.is_relayed == old.line.is_relayed
            young = same and link.born_at - old.born_at < SAME_TIME_S and not old.dropped
            if old.outbound != link.outbound and young and self._dialler(old) < self._dialler(link):
                raise LinkRefusedError("the other of two simultaneous connections is kept")
            old.drop("replaced by a newer connection")
        link.on_drop = lambda reason: self._drop(link, reason)
        self._links[link.peer] = link
        self._arrived.set()
        self._arrived = trio.Event()

    def shares(self) -> dict[bytes, list[Link]]:
        """The links of each who answers for some, the newest last."""
        shares: dict[bytes, list[Link]] = {}
        for link in self:
            shares.setdefault(self._owner_of(link.peer), []).append(link)
        return shares

    def _make_room(self, link: Link) -> None:
        """Have somebody give up a place to a new link. Raises LinkRefusedError.

        Strangers do so first. Then it is the newest link of whoever has the most, if that is at least two more than the
        newcomer has: between equals nobody is pushed out, or they would take turns for ever.
        """
        places = [other for other in self if not other.admitted and not other.outbound]
        if not places:
            shares = self.shares()
            places = max(shares.values(), key=len)
            if len(places) < len(shares.get(self._owner_of(link.peer), ())) + 2:
                places = []
        if not places or not (link.admitted or link.outbound):
            self.refused += 1
            raise LinkRefusedError("too many connections")
        places[-1].drop("others need its place")

    def _make_room_among(self, strangers: list[Link]) -> None:
        """Have a stranger give up its place to a new one, if it has had time for a knock. Raises LinkRefusedError.

        Else a few who say nothing would keep everybody out who has a ticket, for as long as they like.
        """
        sure_since = trio.current_time() - self._limits.stranger_sure_s
        places = [other for other in strangers if other.born_at <= sure_since]
        if not places:
            self.refused += 1
            raise LinkRefusedError("too many strangers")
        # Those who are saying something last.
        min(places, key=lambda other: (other.streams > 0, other.born_at)).drop("others need its place")

    async def arrival(self, peer: PeerKey) -> None:
        """Wait until there is a link to this peer."""
        while peer not in self._links:
            await self._arrived.wait()

    def _is_alive(self, link: Link) -> bool:
        heard_since = trio.current_time() - link.line.heard_at
        return not link.dropped and heard_since < ALIVE_PINGS * self._limits.ping_every_s

    def _dialler(self, link: Link) -> PeerKey:
        return self._own if link.outbound else link.peer

    def _drop(self, link: Link, reason: str) -> None:
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
        self._dropped(link, reason)


def key_of(peer: ID) -> PeerKey:
    """Return the node key inside a libp2p peer id. Raises ValueError for ids of another kind of key."""
    key = peer.extract_public_key()
    data = key.to_bytes() if key is not None else b""
    if len(data) != 32:
        raise ValueError("the peer's key is not Ed25519")
    return data
