"""Whom to dial and when: every known member that is not connected, at intervals that grow and jitter.

A value machine: it is told what happened and asked who is due; `service` dials.

Source: docs/spec/sync.md#reaching
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from tallystick.node.net_address import read_address_untrusted
from tallystick.node.transport import DialError, PeerKey

BACK_OFF_MS_MIN: Final = 500
BACK_OFF_MS_MAX: Final = 60_000
#: A peer that is no neighbour any more is not dialled for so long.
REST_MS: Final = 180_000
#: A peer that broke the protocol waits so long, each time longer.
BLAME_MS_MIN: Final = 600_000
BLAME_MS_MAX: Final = 86_400_000
ADDRESSES_MAX: Final = 16


@dataclass(slots=True)
class _Target:
    addresses: dict[str, None] = field(default_factory=dict)
    """Newest last."""
    next_ms: int = 0
    back_off_ms: int = BACK_OFF_MS_MIN
    dialling: bool = False
    last_error: str = ""
    last_contact_ms: int = 0

    def take(self, address: str, *, hearsay: bool) -> None:
        """Add an address, at the end or, if others say so, at the beginning."""
        if address in self.addresses and hearsay:
            return
        if address not in self.addresses:
            if len(self.addresses) >= ADDRESSES_MAX:
                del self.addresses[next(iter(self.addresses))]
            if not hearsay:
                self.hurry()
        self.addresses.pop(address, None)
        self.addresses = {address: None, **self.addresses} if hearsay else {**self.addresses, address: None}

    def hurry(self) -> None:
        """There is something new to be tried: do it now."""
        self.next_ms = 0
        self.back_off_ms = BACK_OFF_MS_MIN


class Dialer:
    """Addresses and intervals of all peers."""

    def __init__(self, own: PeerKey, seed: int) -> None:
        self._own = own
        self._targets: dict[PeerKey, _Target] = {}
        self._blamed: dict[PeerKey, tuple[int, int]] = {}
        """Peer -> (until, how long that was)."""
        # Jitter is for the network, not for a rule: it keeps peers that woke together from dialling together.
        self._random = random.Random(seed)

    def learn(self, addresses: Iterable[str], *, hearsay: bool = False) -> list[PeerKey]:
        """Take in addresses that end in `/p2p/...`; return whose they are. Unreadable ones are left out.

        What is only hearsay is tried last, and displaces nothing but what was tried last so far.
        """
        peers = []
        for text in addresses:
            try:
                address = read_address_untrusted(text)
            except DialError:
                continue
            if address.peer == self._own:
                continue
            target = self._targets.setdefault(address.peer, _Target())
            peers.append(address.peer)
            target.take(str(address), hearsay=hearsay)
        return peers

    def peers(self) -> list[PeerKey]:
        """Everybody with an address."""
        return list(self._targets)

    def due(
        self, now: int, connected: Iterable[PeerKey], choose: Callable[[dict[PeerKey, int]], list[PeerKey]] = list
    ) -> list[tuple[PeerKey, list[str]]]:
        """Peers to dial now, with their addresses, the newest first.

        `choose` says which of those that are due; it is told the interval of each.
        """
        there = set(connected)
        due = {
            peer: target.back_off_ms
            for peer, target in self._targets.items()
            if peer not in there and not target.dialling and target.next_ms <= now and not self.is_blamed(peer, now)
        }
        chosen = choose(due)
        for peer in chosen:
            self._targets[peer].dialling = True
        return [(peer, list(reversed(self._targets[peer].addresses))) for peer in chosen]

    def dialling(self) -> list[PeerKey]:
        """Who is being dialled."""
        return [peer for peer, target in self._targets.items() if target.dialling]

    def is_trying(self, now: int, among: Collection[PeerKey] | None = None) -> bool:
        """Whether somebody, or one of these, is being dialled, or is due."""
        return any(
            target.dialling or (target.next_ms <= now and not self.is_blamed(peer, now))
            for peer, target in self._targets.items()
            if among is None or peer in among
        )

    def wake(self, connected: Iterable[PeerKey]) -> int | None:
        """When somebody will be due."""
        there = set(connected)
        times = [row.next_ms for peer, row in self._targets.items() if peer not in there and not row.dialling]
        return min(times, default=None)

    def failed(self, peer: PeerKey, why: str, now: int) -> None:
        target = self._targets.setdefault(peer, _Target())
        target.dialling = False
        target.last_error = why
        jitter = self._random.uniform(0.75, 1.25)
        target.next_ms = now + round(target.back_off_ms * jitter)
        target.back_off_ms = min(target.back_off_ms * 2, BACK_OFF_MS_MAX)

    def connected(self, peer: PeerKey, now: int) -> None:
        target = self._targets.setdefault(peer, _Target())
        target.dialling = False
        target.back_off_ms = BACK_OFF_MS_MIN
        target.last_error = ""
        target.last_contact_ms = now

    def lost(self, peer: PeerKey, now: int) -> None:
        """The connection ended: try again soon."""
        target = self._targets.get(peer)
        if target is not None:
            target.last_contact_ms = now
            soon = now + round(target.back_off_ms * self._random.uniform(0.5, 1.5))
            target.next_ms = max(target.next_ms, soon)

    def rest(self, peer: PeerKey, now: int) -> None:
        """There are neighbours enough, on one side or the other: leave this one alone for a while."""
        self._targets.setdefault(peer, _Target()).next_ms = now + REST_MS

    def hurry(self) -> None:
        """The machine woke up, or its network changed: everybody is due."""
        for target in self._targets.values():
            target.hurry()

    def hurry_for(self, peer: PeerKey) -> None:
        """There is a new way to this peer: it is due."""
        target = self._targets.get(peer)
        if target is not None:
            target.hurry()

    def blame(self, peer: PeerKey, now: int) -> None:
        """The peer broke the protocol: leave it alone for a while."""
        _, length = self._blamed.get(peer, (0, BLAME_MS_MIN // 2))
        length = min(length * 2, BLAME_MS_MAX)
        self._blamed[peer] = (now + length, length)

    def is_blamed(self, peer: PeerKey, now: int) -> bool:
        return self._blamed.get(peer, (0, 0))[0] > now

    def last_error(self, peer: PeerKey) -> str:
        target = self._targets.get(peer)
        return "" if target is None else target.last_error

    def last_contact(self, peer: PeerKey) -> int:
        """When it was connected last, in ms; 0 for never since the start."""
        target = self._targets.get(peer)
        return 0 if target is None else target.last_contact_ms

    def addresses(self, peer: PeerKey) -> list[str]:
        target = self._targets.get(peer)
        return [] if target is None else list(target.addresses)
