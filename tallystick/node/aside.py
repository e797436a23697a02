"""Long questions beside the loop: a thread answers them from the ledger as the store has it at this moment.

The loop goes on meanwhile: it votes, seals and serves others. The thread shares nothing with it: it reads a frozen
store and makes its own state of that. The answer comes as bytes, since writing it out takes long, too.

Source: docs/spec/api.md#long-questions
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import trio

from tallystick.node.archive import Archive
from tallystick.node.errors import StoreError, StoreReason
from tallystick.node.view import NodeFacts, View

if TYPE_CHECKING:
    from tallystick.node.store import Store
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.ledger import Ledger

T = TypeVar("T")

#: Reads whose work grows with the history, or with everything that is open.
LONG: Final = frozenset(
    (
        "audit",
        "blocks",
        "charter_simulate",
        "deals",
        "devices",
        "explain",
        "export",
        "fork",
        "journal",
        "log",
        "market",
        "offers",
        "prove_points",
        "settlement",
        "statement",
    )
)
#: A question is begun anew so often when the store is closed under it, as it is when words are erased.
_TRIES: Final = 3
#: So many rows of an answer are written out at once. Nothing else runs meanwhile.
_ROWS: Final = 256


#: Least size of a part but the last.
_PART_BYTES: Final = 65_536
#: The loop waits no longer than this for the interpreter, unless one step of the thread takes longer.
_SWITCH_S: Final = 0.001


class Encoded(NamedTuple):
    """An answer that is JSON already, in parts: a whole one may be larger than what is copied in a moment."""

    parts: list[bytes]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.parts))


class Aside:
    """Where the long questions of one node are answered, one after the other."""

    def __init__(self, store: Store, ledger_id: bytes, device: bytes) -> None:
        self._store = store
        self._ledger_id = ledger_id
        self._device = device
        # Two of them would only take the interpreter from one another, and from the loop.
        self._limiter = trio.CapacityLimiter(1)

    async def answer(self, op: str, args: Mapping[str, Any], facts: NodeFacts, clock: Callable[[], int]) -> Encoded:
        """The answer to one of `LONG`, as JSON. Raises NodeError."""

        def read(archive: Archive, ledger: Ledger, loose: list[Entry]) -> Encoded:
            from tallystick.node.reads import READS

            now = clock()
            row = None
            if ledger.head.height or ledger.id in ledger.pool:
                row = ledger.view(now).devices.get(self._device)
            me = None if row is None else row.member
            view = View(ledger=ledger, archive=archive, now=now, me=me, device=self._device, node=facts)
            return Encoded(list(_gathered(_encoded(READS[op](view, args)))))

        return await self.run(read)

    async def run(self, work: Callable[[Archive, Ledger, list[Entry]], T]) -> T:
        """Have a thread do something with the ledger, and with entries that do not connect. Raises what it raises."""
        for left in reversed(range(_TRIES)):
            async with self._limiter:
                frozen = self._store.freeze()
                try:
                    # Whoever asked may have gone. The thread then ends at its next look into the store.
                    return await trio.to_thread.run_sync(  # type: ignore[call-arg]
                        self._work, frozen, work, abandon_on_cancel=True
                    )
                except StoreError as error:
                    if error.reason != StoreReason.CLOSED or not left:
                        raise
                finally:
                    frozen.close()
        raise AssertionError("the last try raises or returns")

    def _work(self, store: Store, work: Callable[[Archive, Ledger, list[Entry]], T]) -> T:
        with _giving_way():
            archive = Archive(store)
            ledger, loose = archive.load(self._ledger_id, check_root=False)
            return work(archive, ledger, loose)


def _encoded(value: Any) -> Iterator[bytes]:
    """A value as JSON, in parts. Long lists are emptied on the way: letting go of them at once would take long, too."""
    if isinstance(value, dict):
        yield b"{"
        for number, (key, each) in enumerate(value.items()):
            yield (b"," if number else b"") + _dumped(key) + b":"
            yield from _encoded(each)
        yield b"}"
    elif isinstance(value, list) and len(value) > _ROWS:
        yield b"["
        for first in range(0, len(value), _ROWS):
            rows = value[first : first + _ROWS]
            value[first : first + _ROWS] = [None] * len(rows)
            yield (b"," if first else b"") + _dumped(rows)[1:-1]
        yield b"]"
    else:
        yield _dumped(value)


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts that are worth a system call each."""
    waiting = b""
    for part in parts:
        waiting += part
        if len(waiting) >= _PART_BYTES:
            yield waiting
            waiting = b""
    yield waiting


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let the loop have the interpreter whenever it wants it.

    A long answer is many new objects and no circles, and the collector would walk over all of them in one step.
    """
    was_on, switch_s = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(max(switch_s, _SWITCH_S))
        if was_on:
            gc.enable()
