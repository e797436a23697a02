"""Whether an entry is well made: answered from the entry and its causal past alone, alike on every honest node.

No clock, no quota, no rule of the charter. The signature is checked elsewhere, in batches.

Source: docs/spec/entries.md#structural-validity
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.table import body_of

if TYPE_CHECKING:
    from tallystick.protocol.act import History
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.pool import Pool


class Waiting(NamedTuple):
    """Not yet: what has to be here first."""

    parents: tuple[bytes, ...]
    height: int
    """Block that has to be here first; 0 for none."""


def check_structure(entry: Entry, ledger: bytes, pool: Pool, history: History, height: int) -> Body | Waiting:
    """Return the body, or what is missing before that can be said.

    Raises EntryError: WRONG_LEDGER, UNKNOWN_KIND, MALFORMED, NOT_LINKED, UNKNOWN_DEVICE, BAD_SEQ, OTHER_BRANCH,
    BAD_SEAL, tried in that order.
    """
    if entry.ledger != ledger:
        raise EntryError(Reason.WRONG_LEDGER)
    body = body_of(entry)
    parents = entry.parents
    for ref in body.refs():
        if ref not in parents:
            raise EntryError(Reason.NOT_LINKED, ref.hex()[:8])
    if entry.seq > 0 and body.introduces():
        raise EntryError(Reason.UNKNOWN_DEVICE, "only the first entry of a device introduces it")
    if missing := pool.missing(parents):
        return Waiting(tuple(missing), 0)
    if entry.seq == 0 and not body.introduces() and not _is_added(entry, pool, history):
        raise EntryError(Reason.UNKNOWN_DEVICE, "the first entry of a device introduces it, or links what did")
    prev_seal = -1
    if entry.prev is not None:
        pending = pool.entries.get(entry.prev)
        if pending is not None:
            prev = pending.entry
            device, seq = prev.device, prev.seq
            prev_seal = -1 if prev.seal is None else prev.seal[0]
        else:
            sealed = history.sealed(entry.prev)
            if sealed is None:
                return Waiting((entry.prev,), 0)
            device, seq, prev_seal = sealed.device, sealed.seq, sealed.seal_height
        if device != entry.device or seq != entry.seq - 1:
            raise EntryError(Reason.BAD_SEQ, "its prev is not the entry before it")
    if entry.seal is None:
        if prev_seal >= 0:
            raise EntryError(Reason.BAD_SEAL, "the entry before it cites a block")
        return body
    cited, block_id = entry.seal
    if cited > height:
        return Waiting((), cited)
    if history.block_id(cited) != block_id:
        raise EntryError(Reason.OTHER_BRANCH, f"it cites another block {cited}")
    if cited < prev_seal:
        raise EntryError(Reason.BAD_SEAL, "the entry before it cites a newer block")
    return body


def _is_added(entry: Entry, pool: Pool, history: History) -> bool:
    """Whether one of the links is the `device.add` that names this device."""
    for link in entry.links:
        pending = pool.entries.get(link)
        if pending is None:
            if history.added_device(link) == entry.device:
                return True
        elif pending.entry.kind == "device.add" and pending.entry.body["device"] == entry.device:
            return True
    return False
