"""What everything pending will add, written down for the next look: then `tally points` need not compute it again.

It is a small file beside the database that names the newest batch of the store: once anything else is written it is
worth nothing. It holds from the moment it was made until the next thing falls due by itself. What is wrong with it, or
with its bytes, only means that the long way is taken.

Source: docs/spec/cli.md#start-up
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import msgpack

if TYPE_CHECKING:
    from pathlib import Path

    from tallystick.node.store import Store
    from tallystick.protocol.ledger import Ledger

_NAME: Final = "foresight"
_FORMAT: Final = 1
_NEVER: Final = 2**63 - 1


class Foreseen(NamedTuple):
    """A member as everything pending will leave it."""

    since: int
    member: str
    """Id, in hexadecimal digits."""
    standing: str
    status: str
    points: int


def foreseen(store: Store, now: int) -> list[Foreseen] | None:
    """What was written down, if it still holds."""
    path = _path(store)
    if path is None:
        return None
    try:
        data = path.read_bytes()
        if crc32(data[4:]).to_bytes(4, "big") != data[:4]:
            return None
        form, batch, since, until, rows = msgpack.unpackb(data[4:])
    except (OSError, ValueError, TypeError, msgpack.UnpackException):
        return None
    if form != _FORMAT or batch != store.batch or not since <= now < until:
        return None
    return [Foreseen(*row) for row in rows]


def foresee(store: Store, ledger: Ledger, now: int) -> None:
    """Write down what the preview of a ledger says. Nothing is done where it could not be believed or kept."""
    path = _path(store)
    if path is None or store.refusal is not None or not ledger.head.height:
        return
    state = ledger.view(now)
    time = ledger.preview.time
    # What is dated ahead acts at the time of the block, and that is not known yet.
    if any(pending.moment > time for pending in ledger.pool.entries.values()):
        return
    until = state.due.order[0][0] if state.due.order else _NEVER
    rows = [
        Foreseen(row.since, member.hex(), row.standing, row.status, state.balance("POINT", f"partner/{member.hex()}"))
        for member, row in state.members.items()
    ]
    data = msgpack.packb((_FORMAT, store.batch, now, until, sorted(rows)))
    with suppress(OSError):
        # Torn or not: its checksum tells, and nothing depends on it.
        path.write_bytes(crc32(data).to_bytes(4, "big") + data)


def _path(store: Store) -> Path | None:
    folder: Any = getattr(store, "folder", None)
    return None if folder is None else folder / _NAME
