"""The ledgers before this one, and the one that is left: what a node knows of a ledger that was founded anew.

Source: docs/spec/finality.md#founding-anew
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol.entry import read_entry_untrusted
from tallystick.protocol.kinds.refound import Refound
from tallystick.protocol.kinds.table import body_of

if TYPE_CHECKING:
    from tallystick.node.archive import Archive, Wire
    from tallystick.node.core import NodeCore
    from tallystick.protocol.ledger import Ledger

_LEFT: Final = b"refounded"


def left_for(archive: Archive) -> str | None:
    """Why this node seals nothing more here: it has signed for founding anew, or joined that. None: it has not."""
    data = archive.sealing(_LEFT)
    if data is None:
        return None
    return f"this computer has signed for founding the ledger anew on block {int.from_bytes(data[:8], 'big')}"


def leave(core: NodeCore, height: int) -> None:
    """Seal nothing more on this ledger, durable on return."""
    if not core.left:
        core.archive.keep_sealing([(_LEFT, height.to_bytes(8, "big"))])
        core.left = left_for(core.archive) or ""
        core.sealer.begin(core.now)


def learn_line(archive: Archive, ledger: Ledger, entries: Sequence[Wire]) -> None:
    """Take the ledgers before from the founding entry, which a newcomer is handed before anything else."""
    if ledger.head.height or ledger.line:
        return
    for header, signature, annex in entries:
        if tagged_hash("entry", header) != ledger.id:
            continue
        try:
            entry = read_entry_untrusted(header, signature, annex)
            body = body_of(entry)
        except TallystickError:
            # Whoever reads it next says what is wrong with it.
            return
        if isinstance(body, Refound):
            archive.keep_line(body.line)
            ledger.line = body.line
