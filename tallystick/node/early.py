"""Sealing messages of the height after the one that is being sealed: kept until it begins, in bounded room.

Every sealer has its part of the room, and only its own signature takes from it: whoever floods displaces nothing but
what it sent itself.

Source: docs/spec/finality.md#limits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.crypto.hashing import tagged_hash

if TYPE_CHECKING:
    from tallystick.node.transport import PeerKey

MESSAGES_MAX: Final = 256
BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Row:
    data: bytes
    signer: bytes
    peer: PeerKey


class Early:
    """What came early, by whom it was signed, and who handed it on."""

    def __init__(self) -> None:
        self._rows: dict[bytes, _Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def has_room(self, data: bytes, signer: bytes, sealers: int) -> bool:
        """Whether a message is new, and its signer's part of the room is not full."""
        held = [len(row.data) for row in self._rows.values() if row.signer == signer]
        return (
            len(held) < max(1, MESSAGES_MAX // sealers)
            and sum(held) + len(data) <= BYTES_MAX // sealers
            and tagged_hash("seen", data) not in self._rows
        )

    def keep(self, data: bytes, signer: bytes, peer: PeerKey) -> None:
        """Keep a message whose signature holds."""
        self._rows[tagged_hash("seen", data)] = _Row(data, signer, peer)

    def taken(self) -> list[tuple[bytes, PeerKey]]:
        """All messages in the order in which they came, and whose they were; they are not kept any more."""
        rows, self._rows = self._rows, {}
        return [(row.data, row.peer) for row in rows.values()]
