"""Entries of sealed blocks that have come, with signatures that hold, until their block is worked through.

They are neither pending nor stored yet: that is done once, with the block. Whoever is interrupted asks for that block
again.

Source: docs/spec/sync.md#receiving
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tallystick.node.transport import PeerKey
    from tallystick.protocol.entry import Entry

#: Entries of one peer that wait for their block, and their bytes: two answers have fewer, and what is more waits no
#: longer.
SHELVED_MAX: Final = 8192
SHELVED_BYTES_MAX: Final = 16 * 1024 * 1024
#: So many times that is what can only wait: the longest block.
BLOCK_TIMES: Final = 5


class Shelf:
    """What each peer has handed over for the blocks that it is sending."""

    def __init__(self) -> None:
        self._rows: dict[PeerKey, dict[bytes, tuple[int, Entry]]] = {}
        self._bytes: dict[PeerKey, int] = {}

    def put(self, peer: PeerKey, number: int, entries: Iterable[Entry]) -> None:
        """Keep what came before the block with this number, counted as blocks come."""
        rows = self._rows.setdefault(peer, {})
        size = self._bytes.get(peer, 0)
        for entry in entries:
            # It may have come twice before either was judged.
            if entry.id not in rows:
                rows[entry.id] = (number, entry)
                size += len(entry.header) + len(entry.annex or b"")
        self._bytes[peer] = size

    def is_full(self, peer: PeerKey, times: int = 1) -> bool:
        """`times`: so many times the bytes may be here."""
        return len(self._rows.get(peer, ())) > SHELVED_MAX or self._bytes.get(peer, 0) > times * SHELVED_BYTES_MAX

    def has(self, peer: PeerKey, entry_id: bytes) -> bool:
        return entry_id in self._rows.get(peer, ())

    def take(self, peer: PeerKey, entry_ids: Iterable[bytes]) -> list[Entry]:
        """Those of these entries that are here, in this order; they are here no more."""
        rows = self._rows.get(peer)
        if not rows:
            return []
        out = [row[1] for entry_id in entry_ids if (row := rows.pop(entry_id, None)) is not None]
        self._bytes[peer] -= sum(len(entry.header) + len(entry.annex or b"") for entry in out)
        return out

    def until(self, peer: PeerKey, number: int) -> list[Entry]:
        """All that came before the block with this number and are still here, in the order they came."""
        out: list[Entry] = []
        for before, entry in self._rows.get(peer, {}).values():
            if before > number:
                break
            out.append(entry)
        return out

    def all_of(self, peer: PeerKey) -> list[Entry]:
        """All that are here, in the order they came."""
        return [entry for _, entry in self._rows.get(peer, {}).values()]

    def take_whole(self, peer: PeerKey) -> list[Entry]:
        """All that may be pending, in the order they came; they are here no more.

        Without its words an entry may not, nor what follows it: that can only come with a block, where they are erased.
        """
        stay: set[bytes] = set()
        for entry_id, (_, entry) in self._rows.get(peer, {}).items():
            if not (is_whole(entry) and stay.isdisjoint(entry.parents)):
                stay.add(entry_id)
        return self.take(peer, [entry_id for entry_id in self._rows.get(peer, ()) if entry_id not in stay])

    def clear(self, peer: PeerKey) -> list[Entry]:
        """All of them, in the order they came; none are here any more."""
        self._bytes.pop(peer, None)
        return [entry for _, entry in self._rows.pop(peer, {}).values()]


def is_whole(entry: Entry) -> bool:
    """Whether the words of an entry are here, where it has any."""
    return entry.annex is not None or entry.annex_hash is None
