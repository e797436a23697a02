"""Sealing messages as a peer hands them on: what no honest one does is blamed.

A message may have eight megabytes attached, and anybody can write a sealer's name on it. So who signs, whether it is
wanted and whether its signatures hold comes before what takes long to read: the frontiers.

Source: docs/spec/finality.md#messages
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.crypto.signatures import is_valid
from tallystick.node.intake import BlameError
from tallystick.protocol.errors import BlockError, DecodeError
from tallystick.protocol.ready import check_frontiers
from tallystick.protocol.sealing import Sealing, read_sealing_untrusted, signer_of_untrusted

if TYPE_CHECKING:
    from collections.abc import Collection


#: Messages of a height that cost nothing when they come again.
SEEN_MAX: Final = 16_384


class Seen:
    """Digests of messages that were looked at, and no more of them than fit: a height may last for weeks."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, digest: bytes) -> None:
        if len(self._digests) >= SEEN_MAX:
            self._digests.clear()
        self._digests.add(digest)

    def clear(self) -> None:
        """Forget all: what is wanted may have been here before."""
        self._digests.clear()


def read_heard_untrusted(data: bytes, signers: Collection[bytes] | None) -> Sealing | None:
    """Read a message, all but its frontiers; None where its signer is none of `signers`. Raises BlameError."""
    try:
        # Of who does not seal nothing is kept, so what is attached is not even looked at.
        if signers is not None and signer_of_untrusted(data) not in signers:
            return None
        return read_sealing_untrusted(data, deep=False)
    except (DecodeError, BlockError) as error:
        raise BlameError(f"sealing message: {error}") from None


def check_heard(message: Sealing) -> None:
    """Whether a message that is wanted is whole: its signatures, then its frontiers. Raises BlameError."""
    if not all(is_valid(*check) for check in message.checks()):
        raise BlameError("a sealing message's signature does not hold")
    try:
        check_frontiers(message.readys())
    except (DecodeError, BlockError) as error:
        raise BlameError(f"sealing message: {error}") from None
