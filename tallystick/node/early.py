"""Sealing messages of the height after the one that is being sealed: kept until it begins, in bounded room.

Every sealer has its part of the room, and only its own signature takes from it: whoever floods displaces nothing but
what it sent itself.

Source: docs/spec/finality.md#limits
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import is_valid
from tallystick.node.intake import BlameError

if TYPE_CHECKING:
    from tallystick.node.allowance import Allowance
    from tallystick.node.transport import PeerKey
    from tallystick.protocol.signed import Signed

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

    def take(self, message: Signed, data: bytes, peer: PeerKey, sealers: int, allowance: Allowance, now: int) -> None:
        """Keep a sealer's message, if its part of the room is not full. Raises BlameError where it is forged."""
        digest, signer = tagged_hash("seen", data), message.signer
        held = [len(row.data) for row in self._rows.values() if row.signer == signer]
        if len(held) >= MESSAGES_MAX // sealers or sum(held) + len(data) > BYTES_MAX // sealers:
            return
        if digest in self._rows or not allowance.take(signer, now):
            return
        # Before it is kept: in the name of a sealer anybody could fill its room.
        if not is_valid(*message.check()):
            raise BlameError("a sealing message's signature does not hold")
        self._rows[digest] = _Row(data, signer, peer)

    def taken(self) -> list[tuple[bytes, PeerKey]]:
        """All messages in the order in which they came, and whose they were; they are not kept any more."""
        rows, self._rows = self._rows, {}
        return [(row.data, row.peer) for row in rows.values()]
