"""READY: a sealer's report of what it has, and FRONTIER: the report itself.

    READY    = [1, ledger, height, previous block id, time, frontier hash, count]
    FRONTIER = [[device, [[seq, id], ...]], ...]     devices ascending, branches of a device ascending

A READY is no vote and commits to nothing. A sealer may sign a newer one, with a strictly larger clock; only the newest
is kept. A block is a function of the READYs it is made from, so the frontier travels with its READY, as the attachment.

Source: docs/spec/finality.md#ready
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SignType
from tallystick.protocol import codec
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.limits import TIME_MS_MAX
from tallystick.protocol.pool import FRONTIER_BRANCHES_MAX, FRONTIER_DEVICES_MAX
from tallystick.protocol.signed import HEIGHT_MAX, VERSION, Envelope, Fields, Signed, Signer

FRONTIER_SIZE_BYTES_MAX: Final = 256 * 1024
"""1024 devices of 4 branches need 215 KiB."""
SEQ_MAX: Final = TIME_MS_MAX
COUNT_MAX: Final = 2**32 - 1

Branch = tuple[int, bytes]
"""(seq, id) of the newest entry of one branch."""
Frontier = tuple[tuple[bytes, tuple[Branch, ...]], ...]
"""(device, its branches) for every device with pending entries."""


def read_frontier_untrusted(data: bytes) -> Frontier:
    """Read a frontier. Raises DecodeError; BlockError: MALFORMED, NOT_ASCENDING."""
    rows = codec.decode(data, size_max=FRONTIER_SIZE_BYTES_MAX)
    if type(rows) is not list or len(rows) > FRONTIER_DEVICES_MAX:
        raise BlockError(BlockReason.MALFORMED, f"a frontier has at most {FRONTIER_DEVICES_MAX} devices")
    frontier = []
    device_last = b""
    for row in rows:
        fields = Fields(row, 2)
        device = fields.fixed()
        branches = tuple(_read_branch(branch) for branch in fields.array(FRONTIER_BRANCHES_MAX))
        if not branches:
            raise BlockError(BlockReason.MALFORMED, "a device without a branch is left out")
        if device <= device_last or any(a >= b for a, b in pairwise(branches)):
            raise BlockError(BlockReason.NOT_ASCENDING, "frontier")
        device_last = device
        frontier.append((device, branches))
    return tuple(frontier)


def _read_branch(value: codec.Value) -> Branch:
    fields = Fields(value, 2)
    return fields.number(0, SEQ_MAX), fields.fixed()


def frontier_hash(frontier: bytes) -> bytes:
    """The hash by which a READY names its frontier."""
    return tagged_hash("frontier", frontier)


def heads_of(frontier: Frontier) -> list[bytes]:
    """The ids that a frontier names."""
    return [entry_id for _, branches in frontier for _, entry_id in branches]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Signed):
    """One sealer's report for one height."""

    TYPE: ClassVar[SignType] = SignType.READY

    prev_id: bytes
    """Block that it builds on."""
    time: int
    """The sealer's clock in ms."""
    frontier_hash: bytes
    count: int
    """Pending entries that the frontier stands for; only shown."""
    frontier: bytes
    """Canonical bytes of the frontier."""

    def attachment(self) -> bytes | None:
        return self.frontier

    def readys(self) -> tuple[Ready, ...]:
        return (self,)

    def heads(self) -> list[bytes]:
        """The ids that its frontier names."""
        return heads_of(read_frontier_untrusted(self.frontier))


def read_ready_untrusted(envelope: Envelope, *, deep: bool = True) -> Ready:
    """Read a READY and its frontier; if not `deep`, whether the frontier can be read is left to `check_frontiers`.

    Raises DecodeError; BlockError: MALFORMED, BAD_FRONTIER (none, another, or more heads than entries), NOT_ASCENDING.
    """
    fields = Fields(codec.decode(envelope.payload), 7)
    fields.version()
    ledger = fields.fixed()
    height = fields.number(1, HEIGHT_MAX)
    prev_id = fields.fixed()
    time = fields.number(0, TIME_MS_MAX)
    digest = fields.fixed()
    count = fields.number(0, COUNT_MAX)
    frontier = envelope.attachment
    if frontier is None or frontier_hash(frontier) != digest:
        raise BlockError(BlockReason.BAD_FRONTIER, "not the one that was signed")
    ready = Ready(
        ledger=ledger,
        height=height,
        signer=envelope.signer,
        signature=envelope.signature,
        payload=envelope.payload,
        prev_id=prev_id,
        time=time,
        frontier_hash=digest,
        count=count,
        frontier=frontier,
    )
    if deep:
        check_frontiers((ready,))
    return ready


def check_frontiers(readys: Iterable[Ready]) -> None:
    """Whether the frontiers of READYs can be read. A large one takes many milliseconds: by then its signature holds.

    Raises DecodeError; BlockError: MALFORMED, NOT_ASCENDING, BAD_FRONTIER (more heads than entries).
    """
    for ready in readys:
        if len(ready.heads()) > ready.count:
            raise BlockError(BlockReason.BAD_FRONTIER, "it names more entries than it counts")


def make_ready(
    signer: Signer, *, ledger: bytes, height: int, prev_id: bytes, time: int, frontier: bytes, count: int
) -> Ready:
    """Sign a READY. What is made is read back. Raises what `read_ready_untrusted` raises."""
    payload = codec.encode([VERSION, ledger, height, prev_id, time, frontier_hash(frontier), count])
    signature = signer.sign(SignType.READY, payload)
    return read_ready_untrusted(Envelope(SignType.READY.value, payload, signer.public, signature, frontier))


def block_time(prev_time: int, readys: Sequence[Ready]) -> int:
    """The time of a block: the lower median of the READY clocks, and after the block before."""
    clocks = sorted(ready.time for ready in readys)
    return max(prev_time + 1, clocks[(len(clocks) - 1) // 2])
