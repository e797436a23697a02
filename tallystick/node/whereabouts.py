"""Where members can be reached: what a peer says of itself, and what it says of others.

Each piece of such news is a write to the disk, news for everybody, or an address to dial, so a peer has only so many of
them in ten minutes; what is passed over is told again by a later hello, or at the next meeting.

Source: docs/spec/sync.md#reaching
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tallystick.node import messages as m
from tallystick.node.allowance import Allowance
from tallystick.node.effects import Learn
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.net_address import peer_id

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.transport import PeerKey

MOVES_MAX: Final = 16
"""How often the addresses of a peer may change."""
HEARSAY_MAX: Final = 1024
"""Of so many members a peer may say where they are: twice as many as a node has connections."""

TELLINGS_MAX: Final = 16
"""How often a peer is told where all others are: once for each connection, and all are looked through for it."""
TELL_MS: Final = 1_000
"""How often everybody is told who has moved; what is left over after the last of them is told with the next repair."""


class Whereabouts:
    """The addresses of one ledger's members, as they come in."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._moves = Allowance(MOVES_MAX)
        self._hearsay = Allowance(HEARSAY_MAX)
        self._tellings = Allowance(TELLINGS_MAX)
        self._moved: dict[PeerKey, list[str]] = {}
        """Who has moved since everybody was told, and where to."""
        self._told_at = -TELL_MS

    def says(self, peer: PeerKey, addresses: Sequence[str]) -> None:
        """Keep where a member says it can be reached, for the next start. It speaks for nobody else."""
        own = f"/p2p/{peer_id(peer)}"
        rows = [address for address in addresses if len(address) <= 256 and address.endswith(own)][:8]
        core = self._core
        if rows and core.archive.addresses_of(peer) != rows and self._moves.take(peer, core.now):
            self._keep(peer, rows)
            core.out.append(Learn(tuple(rows), hearsay=False))
            self._moved[peer] = rows[: m.ADDRESSES_MAX]
            self.tell_all(core.now)

    def tell_all(self, now: int) -> None:
        """Tell everybody who has moved: many who do so at once together, or each would be told of each."""
        if self._moved and not 0 <= now - self._told_at < TELL_MS:
            self._told_at = now
            moved, self._moved = self._moved, {}
            self._core.sync.tell_of(list(moved.items()))

    def tell(self, peer: PeerKey) -> None:
        """Tell one who has just come where the others are; one that comes again and again knows it already."""
        if self._tellings.take(peer, self._core.now):
            self._core.sync.tell_peers(peer, self._core.is_member)

    def hears(self, of: PeerKey, message: m.Peers) -> None:
        """Where others were reached: worth a try, but no better than what a member has said of itself."""
        core = self._core
        for peer, addresses in message.peers:
            if not self._hearsay.take(of, core.now):
                return
            own = f"/p2p/{peer_id(peer)}"
            rows = [address for address in addresses if address.endswith(own)]
            if not rows or peer == core.node_key.public or not core.is_member(peer):
                continue
            if not core.archive.addresses_of(peer):
                self._keep(peer, rows)
            core.out.append(Learn(tuple(rows), hearsay=True))

    def _keep(self, peer: PeerKey, rows: list[str]) -> None:
        try:
            self._core.archive.keep_addresses(peer, rows)
        except StoreError as error:
            if error.reason != StoreReason.DISK_FULL:
                raise
