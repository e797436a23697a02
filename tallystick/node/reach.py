"""How a node comes to its peers: the ways to each, which is tried when, and what is remembered of the last time.

    addresses of its own (HELLO), hearsay (PEERS), tickets, settings, the local network
      -> Dialer (who is due) -> all addresses of a peer, one shortly after the other
      -> the node of a third, where none of them leads anywhere -> directly again, from time to time

Whoever it is that answers, the gate decides and the handshake proves; so all of this may be wrong at no greater cost
than a dial in vain.

Source: docs/spec/sync.md#reaching
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from tallystick.node.archive_rows import ContactRow
from tallystick.node.clock import now_ms
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.messages import Bye, encode_message
from tallystick.node.neighbours import Circle, Neighbours, Tie
from tallystick.node.net_address import peer_id, read_address_untrusted
from tallystick.node.racing import Way, first_of
from tallystick.node.transport import DialError, DialReason, PeerDown, PeerKey, PeerUp, Transport
from tallystick.node.view import PeerFact

if TYPE_CHECKING:
    from tallystick.node.archive import Archive
    from tallystick.node.core import NodeCore
    from tallystick.node.dialer import Dialer
    from tallystick.node.net_lan import Lan
    from tallystick.node.session import Session

log = logging.getLogger("tallystick.node")

DIAL_S: Final = 8.0
NEXT_S: Final = 0.25
"""So long after one address the next one is tried too (RFC 8305 calls it the connection attempt delay)."""
DIRECT_S: Final = 2.0
"""After so long without a direct connection a third node is asked as well."""
BETWEEN_MAX: Final = 3
"""Nodes that are asked for a way to one peer, each time."""
RELAYED_MAX: Final = 8
"""Connections through others that we ask for. More would burden them: the ledger spreads through them anyway."""
AGAIN_MS_MIN: Final = 60_000
AGAIN_MS_MAX: Final = 600_000
"""How often a peer that is connected through a third is dialled directly."""
LAN_MAX: Final = 256
"""Nodes of the local network that are remembered, members or not."""
LOOK_S: Final = 5.0


class Reach:
    """Dials whoever is due, and knows how each peer is connected."""

    def __init__(
        self,
        transport: Transport,
        dialer: Dialer,
        archive: Archive,
        *,
        is_wanted: Callable[[PeerKey], bool],
        is_resting: Callable[[], bool],
        stirred: Callable[[], None],
        clock: Callable[[], int] | None = None,
        circle: Callable[[], Circle] = Circle,
        ties: Callable[[], Mapping[PeerKey, Tie]] = dict,
        introduction: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """`is_wanted` is the gate, `is_resting` says that nobody is dialled now; `stirred` is told of each result.

        `clock` is the time of day in ms; `circle` and `ties` are what `neighbours` has to know; `introduction` is the
        knock of a node that others may not know yet.
        """
        self._transport = transport
        self._dialer = dialer
        self._archive = archive
        self._is_wanted = is_wanted
        self._is_resting = is_resting
        self._stirred = stirred
        self._now = clock or now_ms
        self._ups: dict[PeerKey, PeerUp] = {}
        """How each connected peer is connected."""
        self._again: dict[PeerKey, tuple[int, int]] = {}
        """Peer behind a third -> (when it is dialled directly, how long that was)."""
        self._lan: dict[PeerKey, list[str]] = {}
        self._search: Lan | None = None
        self._listening: tuple[str, ...] = ()
        self._work = trio.Event()
        self.neighbours = Neighbours(transport.peer_key)
        self._circle = circle
        self._ties = ties
        self._introduction = introduction
        self._is_stale = True
        """Whether members may have changed since the last look."""
        self.refusing: set[PeerKey] = set()
        """Who was there when it was dialled last, and did not let us in."""

    # -- what happens --------------------------------------------------------------------------------------------------

    def up(self, event: PeerUp, now: int) -> bool:
        """A peer is connected. False: we have more than enough, and it was sent away."""
        others = [peer for peer in self._ups if peer != event.peer]
        if not event.outbound and not self.neighbours.lets_in(event.peer, others, now):
            self._transport.disconnect(event.peer, encode_message(Bye("full")))
            return False
        self._ups[event.peer] = event
        self._dialer.connected(event.peer, now)
        if event.relayed:
            self._again[event.peer] = now + AGAIN_MS_MIN, AGAIN_MS_MIN
        else:
            self._again.pop(event.peer, None)
        where = f"{event.address}/p2p/{peer_id(event.peer)}" if event.outbound and not event.relayed else ""
        old = self._archive.contact(event.peer)
        self._remember(event.peer, where or (old.address if old else ""), now, old.height if old else -1)
        return True

    def down(self, event: PeerDown, height: int, now: int) -> None:
        """A peer is gone; `height` is that of the newest block it spoke of."""
        self._ups.pop(event.peer, None)
        self._again.pop(event.peer, None)
        self._dialer.lost(event.peer, now)
        old = self._archive.contact(event.peer)
        self._remember(event.peer, old.address if old else "", now, height if height >= 0 or not old else old.height)
        self._work.set()

    def _remember(self, peer: PeerKey, address: str, now: int, height: int) -> None:
        if self._is_resting():
            return
        try:
            self._archive.keep_contact(peer, ContactRow(address, now, height))
        except StoreError as error:
            if error.reason != StoreReason.DISK_FULL:
                raise

    def learn(self, addresses: Iterable[str], *, hearsay: bool = False) -> None:
        """There are these addresses: try them at once, where they are new and there is need."""
        now = self._now()
        before = {peer: set(self._dialer.addresses(peer)) for peer in self._again}
        self._dialer.learn(addresses, hearsay=hearsay)
        for peer, known in before.items():
            if set(self._dialer.addresses(peer)) - known:
                self._again[peer] = now, AGAIN_MS_MIN
        self._work.set()

    def found(self, addresses: Sequence[str]) -> None:
        """Somebody in the local network says so; it is kept for the day on which it is a member."""
        for text in addresses:
            peer = read_address_untrusted(text).peer
            if peer not in self._lan and len(self._lan) >= LAN_MAX:
                del self._lan[next(iter(self._lan))]
            rows = self._lan.setdefault(peer, [])
            if text not in rows:
                rows[:] = [*rows, text][-4:]
        self._work.set()

    def listens(self, addresses: Sequence[str]) -> None:
        """We listen there from now on."""
        self._listening = tuple(addresses)
        if self._search is not None:
            self._search.announce(addresses)

    async def search(self, ledger: bytes) -> None:
        """Look for partners in the local network, and be found there, until cancelled."""
        from tallystick.node.net_lan import Lan

        self._search = Lan(ledger, self._transport.peer_key, self.found)
        self._search.announce(self._listening)
        await self._search.run()

    def hurry(self) -> None:
        """The machine woke up, or its network changed: everybody is due."""
        self._dialer.hurry()
        self._again = dict.fromkeys(self._again, (0, AGAIN_MS_MIN))
        self._work.set()

    def call(self, peers: Iterable[PeerKey]) -> None:
        """Somebody wants something of these: dial them now."""
        rows = list(peers)
        self.neighbours.call(rows, self._now())
        for peer in rows:
            self._dialer.hurry_for(peer)
        self._work.set()

    def members_changed(self) -> None:
        """Somebody came or went, or seals from now on."""
        self._is_stale = True
        self._work.set()

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial until cancelled."""
        for _, row in list(self._archive.contacts()):
            if row.address:
                # What worked last is tried first.
                self._dialer.learn([row.address])
        async with trio.open_nursery() as nursery:
            while True:
                self._work = trio.Event()
                if not self._is_resting():
                    self._begin(nursery)
                wake = self._dialer.wake(self._transport.peers())
                # Where not everybody is met there is always somebody who could be dialled.
                least_s = 0.05 if self.neighbours.is_mesh else 1.0
                wait_s = LOOK_S if wake is None else max(least_s, (wake - self._now()) / 1000)
                with trio.move_on_after(min(wait_s, LOOK_S)):
                    await self._work.wait()

    def _begin(self, nursery: trio.Nursery) -> None:
        now = self._now()
        for peer, rows in self._lan.items():
            if self._is_wanted(peer) and set(rows) - set(self._dialer.addresses(peer)):
                # Anybody can announce anything: it displaces nothing better, but it is tried now.
                self._dialer.learn(rows, hearsay=True)
                self._dialer.hurry_for(peer)
        self._give_back(now)
        there = {*self._ups, *self._dialer.dialling()}
        for peer, addresses in self._dialer.due(
            now, self._transport.peers(), lambda due: self.neighbours.choose(due, there, now)
        ):
            if self._is_wanted(peer):
                nursery.start_soon(self._meet, peer, addresses)
            else:
                self._dialer.failed(peer, "not a member", now)
        for peer, (due, length) in self._again.items():
            if due <= now:
                self._again[peer] = now + length, min(length * 2, AGAIN_MS_MAX)
                nursery.start_soon(self._meet_directly, peer)

    def _give_back(self, now: int) -> None:
        if self._is_stale:
            self._is_stale = False
            self.neighbours.circle = self._circle()
        for peer in self.neighbours.surplus(self._ties(), now):
            log.info("neighbours enough without %s", peer_id(peer))
            self._dialer.rest(peer, now)
            self._transport.disconnect(peer, encode_message(Bye("enough")))

    async def _meet(self, peer: PeerKey, addresses: Sequence[str]) -> None:
        """Come to a peer in one way or another."""
        said: list[DialError] = []
        failed = trio.Event()

        async def directly() -> bool | None:
            try:
                return await first_of([self._way_to(address) for address in addresses], NEXT_S, said.append)
            finally:
                failed.set()

        async def through_others() -> bool | None:
            with trio.move_on_after(DIRECT_S):
                await failed.wait()
            return await first_of(
                [self._way_through(other, peer) for other in self._between(peer)], DIAL_S, said.append
            )

        is_met = await first_of([directly, through_others], 0.0, said.append)
        if not is_met and any(error.reason is DialReason.NOT_ADMITTED for error in said):
            is_met = await self._introduce(addresses) and await directly()
        self.refusing.discard(peer)
        if not is_met and any(error.reason is DialReason.NOT_ADMITTED for error in said):
            self.refusing.add(peer)
        if is_met:
            self._dialer.connected(peer, self._now())
        else:
            self._dialer.failed(peer, str(said[0]) if said else "no address", self._now())
        self._stirred()

    async def _introduce(self, addresses: Sequence[str]) -> bool:
        """Somebody is there who does not know us: show what brought us in. Whether it is welcome."""
        data = self._introduction()
        for address in addresses if data is not None else ():
            try:
                await self._transport.request(address, data or b"", DIAL_S)
            except DialError as error:
                log.debug("not introduced at %s: %s", address, error)
            else:
                return True
        return False

    async def _meet_directly(self, peer: PeerKey) -> None:
        ways = [self._way_to(address) for address in reversed(self._dialer.addresses(peer))]
        await first_of(ways, NEXT_S, lambda error: log.debug("still not directly: %s", error))

    def _between(self, peer: PeerKey) -> list[PeerKey]:
        """Whose nodes may lead to a peer: those that could be dialled first, since others reach them too."""
        if sum(1 for event in self._ups.values() if event.relayed and event.outbound) >= RELAYED_MAX:
            return []
        direct = [event for other, event in self._ups.items() if other != peer and not event.relayed]
        direct.sort(key=lambda event: not event.outbound)
        return [event.peer for event in direct[:BETWEEN_MAX]]

    def _way_to(self, address: str) -> Way[bool]:
        async def way() -> bool:
            await self._transport.dial(address, DIAL_S)
            return True

        return way

    def _way_through(self, other: PeerKey, peer: PeerKey) -> Way[bool]:
        async def way() -> bool:
            await self._transport.dial_through(other, peer, DIAL_S)
            return True

        return way

    # -- what is known of each -----------------------------------------------------------------------------------------

    def facts(self, core: NodeCore) -> list[PeerFact]:
        """Every node that is known, connected or not."""
        sessions = core.sync.sessions
        contacts = dict(self._archive.contacts())
        rows = []
        for peer in dict.fromkeys([*sessions, *self._dialer.peers(), *contacts]):
            session, contact = sessions.get(peer), contacts.get(peer)
            addresses = self._dialer.addresses(peer)
            address, height = addresses[-1] if addresses else "", None
            seen = self._dialer.last_contact(peer)
            if contact is not None:
                address, seen = contact.address or address, max(seen, contact.at)
                height = contact.height if contact.height >= 0 else None
            if session is not None:
                address, seen = _where(session, addresses) or address, max(seen, session.heard)
                height = session.height if session.greeted else height
            rows.append(
                PeerFact(
                    key=peer,
                    member=core.member_of(peer),
                    connected=session is not None,
                    relayed=session is not None and session.relayed,
                    address=address,
                    seen=seen,
                    height=height,
                    clock=session.clock if session is not None and session.greeted else None,
                    error="" if session is not None else self._dialer.last_error(peer),
                )
            )
        return rows


def _where(session: Session, known: Sequence[str]) -> str:
    """Where a connected peer is: with `/p2p/` at the end wherever that is an address at which it can be dialled."""
    if session.relayed or not session.address:
        return session.address
    if session.outbound:
        return f"{session.address}/p2p/{peer_id(session.peer)}"
    # It came from a port at which nobody answers; the one at which it listens on that machine says more.
    host = session.address.rpartition("/tcp/")[0]
    return next((each for each in reversed(known) if each.rpartition("/tcp/")[0] == host), session.address)
