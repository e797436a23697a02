"""A machine that is no stranger, at the node of a partner who has not heard of it yet: it brings the proof itself.

Its person may have added it, or let it in, where there was no network, and be away. It hands over the entry that
brought it in, with all that lies below it and is not sealed yet; what it says of itself counts for nothing.

    ["introduce", [[header, signature, annex or nil], ...]] -> ["welcome"]        parents first, at most 65

Whoever is not introduced by them gets no answer, as any stranger.

Source: docs/spec/sync.md#knocking
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.signatures import is_valid
from tallystick.node.intake import BlameError
from tallystick.node.sync import entry_wire
from tallystick.node.transport import KNOCK_REQUEST_BYTES_MAX, PeerKey
from tallystick.protocol import codec
from tallystick.protocol.entry import read_entry_untrusted
from tallystick.protocol.errors import DecodeError, EntryError

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.intake import Wire
    from tallystick.protocol.entry import Entry

KNOCK: Final = "introduce"
#: Entries below the one that introduces.
ANCESTORS_MAX: Final = 64
#: Kinds that bring in a node key without being asked for by anybody else.
_KINDS: Final = frozenset(("join", "device.add", "device.claim"))


def ask(core: NodeCore) -> bytes | None:
    """The knock of this node; None where everybody who has the newest block knows it, or it is more than one knock."""
    ledger, key = core.ledger, core.node_key.public
    if not ledger.head.height or key in ledger.state.keys:
        return None
    found = next((row for row in ledger.pool.entries.values() if _brings_in(row.entry, key)), None)
    if found is None:
        return None
    below, _ = ledger.pool.closure([found.entry.id])
    rows = sorted(below.values(), key=lambda row: (row.level, row.entry.id))
    if len(rows) > ANCESTORS_MAX + 1:
        return None
    data = codec.encode([KNOCK, [list(entry_wire(row.entry)) for row in rows]])
    return data if len(data) <= KNOCK_REQUEST_BYTES_MAX else None


def take(core: NodeCore, peer: PeerKey, request: list[Any], now: int) -> bytes | None:
    """Take in what introduces whoever knocks, all of it or nothing; None says nothing to others. Raises StoreError."""
    match request:
        case ["introduce", [*rows]] if 0 < len(rows) <= ANCESTORS_MAX + 1 and core.ledger.head.height:
            wires = _wires(core, peer, rows)
        case _:
            return None
    if not wires:
        return None
    try:
        batch, _ = core.intake.open(wires, peer, now)
        taken = core.intake.close(batch, [is_valid(*check) for check in batch.checks], now)
    except BlameError:
        return None
    finally:
        # What does not connect is not waited for.
        core.intake.forget_peer(peer)
    core.now = now
    if not core.is_member(peer):
        for row in reversed(taken.added):
            core.ledger.remove(row.entry.id)
        return None
    core.take(taken, None)
    return codec.encode(["welcome"])


def _wires(core: NodeCore, peer: PeerKey, rows: list[Any]) -> list[Wire]:
    """The entries, if they are of this ledger and the last one brings in this peer; else none."""
    wires: list[Wire] = []
    entry: Entry | None = None
    for row in rows:
        match row:
            case [bytes(header), bytes(signature), annex] if annex is None or isinstance(annex, bytes):
                try:
                    entry = read_entry_untrusted(header, signature, annex)
                except (DecodeError, EntryError):
                    return []
                if entry.ledger != core.ledger.id:
                    return []
                wires.append((header, signature, annex))
            case _:
                return []
    return wires if entry is not None and _brings_in(entry, peer) else []


def _brings_in(entry: Entry, key: PeerKey) -> bool:
    return entry.kind in _KINDS and entry.body.get("node_key") == key
