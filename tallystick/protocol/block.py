"""A block: its header, the certificate that makes it final, the READYs it is a function of, the ids of its entries.

    header = [1, ledger, height, prev block id, time, [proposer, round created], readys hash, entry count,
              log size, log root, state root, sealers hash, next sealers hash, charter hash, rules version]
    CERT   = [height, round, block id, [[sealer index, signature], ...]]     ascending, a quorum or more

    block id     = H("block", header bytes)
    readys hash  = H("readys", [[sealer index, READY payload], ...])         ascending, without signatures
    sealers hash = H("sealers", [[partner, node key], ...])                  in order of enrolment

Here blocks are read and their votes counted. Which entries they hold is in `ledger`, what those do in `transition`.

Source: docs/spec/blocks.md
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SIGNATURE_SIZE_BYTES, SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.ballot import precommit_payload
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.limits import INT_MAX, TIME_MS_MAX
from tallystick.protocol.quorum import quorum
from tallystick.protocol.ready import FRONTIER_SIZE_BYTES_MAX, Ready, block_time, read_ready_untrusted
from tallystick.protocol.sealers import SEALERS_MAX
from tallystick.protocol.signed import HEIGHT_MAX, ROUND_MAX, VERSION, Check, Fields, read_envelope_untrusted

HEADER_SIZE_BYTES_MAX: Final = 512
"""A header needs about 330."""
CERTIFICATE_SIZE_BYTES_MAX: Final = 4096
"""31 votes need 2 200."""
READY_SIZE_BYTES_MAX: Final = FRONTIER_SIZE_BYTES_MAX + 1024
ENTRIES_MAX: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the votes are about. It commits to everything in the block and everything after it."""

    ledger: bytes
    height: int
    prev_id: bytes
    """32 zero bytes at height 1."""
    time: int
    proposer: int
    """Index of the sealer who made it."""
    round_created: int
    """Round in which it was made; proposed again, it keeps its bytes."""
    readys_hash: bytes
    entry_count: int
    log_size: int
    log_root: bytes
    state_root: bytes
    sealers_hash: bytes
    sealers_next_hash: bytes
    charter_hash: bytes
    rules_version: int

    def encode(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(
            [
                VERSION,
                self.ledger,
                self.height,
                self.prev_id,
                self.time,
                [self.proposer, self.round_created],
                self.readys_hash,
                self.entry_count,
                self.log_size,
                self.log_root,
                self.state_root,
                self.sealers_hash,
                self.sealers_next_hash,
                self.charter_hash,
                self.rules_version,
            ]
        )

    def id(self) -> bytes:
        """The block id."""
        return block_id(self.encode())


def block_id(header: bytes) -> bytes:
    """The id of the block with this header."""
    return tagged_hash("block", header)


def read_header_untrusted(data: bytes) -> Header:
    """Read a header. Raises DecodeError; BlockError: MALFORMED."""
    fields = Fields(codec.decode(data, size_max=HEADER_SIZE_BYTES_MAX), 15)
    fields.version()
    ledger = fields.fixed()
    height = fields.number(1, HEIGHT_MAX)
    prev_id = fields.fixed()
    time = fields.number(0, TIME_MS_MAX)
    made = Fields(fields.array(2), 2)
    return Header(
        ledger=ledger,
        height=height,
        prev_id=prev_id,
        time=time,
        proposer=made.number(0, SEALERS_MAX - 1),
        round_created=made.number(0, ROUND_MAX),
        readys_hash=fields.fixed(),
        entry_count=fields.number(0, ENTRIES_MAX),
        log_size=fields.number(0, INT_MAX),
        log_root=fields.fixed(),
        state_root=fields.fixed(),
        sealers_hash=fields.fixed(),
        sealers_next_hash=fields.fixed(),
        charter_hash=fields.fixed(),
        rules_version=fields.number(0, INT_MAX),
    )


def readys_hash(readys: Iterable[Ready], sealers: Sequence[bytes]) -> bytes:
    """The hash by which a header names its READYs; `sealers` are the node keys in order.

    Raises BlockError: NOT_A_SEALER.
    """
    rows = sorted((index_of(ready.signer, sealers), ready.payload) for ready in readys)
    return tagged_hash("readys", codec.encode(rows))


def sealers_hash(sealers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The hash of (partner, node key) of all sealers, in order of enrolment."""
    return tagged_hash("sealers", codec.encode(list(sealers)))


def index_of(key: bytes, sealers: Sequence[bytes]) -> int:
    """The index of a sealer. Raises BlockError: NOT_A_SEALER."""
    if key not in sealers:
        raise BlockError(BlockReason.NOT_A_SEALER, key.hex()[:8])
    return sealers.index(key)


def check_readys(header: Header, readys: Sequence[Ready], sealers: Sequence[bytes], prev_time: int) -> None:
    """Whether a header is about these READYs and its time follows from them. Signatures are not checked.

    Raises BlockError: NOT_A_SEALER, NOT_ASCENDING, TOO_FEW, OTHER_BRANCH, BAD_READYS, BAD_TIME, tried in that order.
    """
    indices = [index_of(ready.signer, sealers) for ready in readys]
    if any(a >= b for a, b in pairwise(indices)):
        raise BlockError(BlockReason.NOT_ASCENDING, "one READY for each sealer, in their order")
    if len(readys) < quorum(len(sealers)):
        raise BlockError(BlockReason.TOO_FEW, f"{len(readys)} READYs")
    about = (header.ledger, header.height, header.prev_id)
    if any((ready.ledger, ready.height, ready.prev_id) != about for ready in readys):
        raise BlockError(BlockReason.OTHER_BRANCH, "a READY for something else")
    if readys_hash(readys, sealers) != header.readys_hash:
        raise BlockError(BlockReason.BAD_READYS)
    if block_time(prev_time, readys) != header.time:
        raise BlockError(BlockReason.BAD_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The votes that made a block final. Nodes hold different ones of the same block."""

    height: int
    round: int
    block_id: bytes
    votes: tuple[tuple[int, bytes], ...]
    """(sealer index, signature of its PRECOMMIT), ascending."""

    def encode(self) -> bytes:
        """The canonical bytes."""
        return codec.encode([self.height, self.round, self.block_id, self.votes])

    def checks(self, ledger: bytes, sealers: Sequence[bytes]) -> list[Check]:
        """The signatures that have to hold; `sealers` are the node keys of its height in order.

        Raises BlockError: NOT_A_SEALER, TOO_FEW.
        """
        if self.votes and self.votes[-1][0] >= len(sealers):
            raise BlockError(BlockReason.NOT_A_SEALER, f"there are {len(sealers)}")
        if len(self.votes) < quorum(len(sealers)):
            raise BlockError(BlockReason.TOO_FEW, f"{len(self.votes)} votes")
        payload = precommit_payload(ledger, self.height, self.round, self.block_id)
        message = signed_bytes(SignType.PRECOMMIT, ledger, payload)
        return [Check(sealers[index], message, signature) for index, signature in self.votes]


def read_certificate_untrusted(data: bytes) -> Certificate:
    """Read a certificate; whether its votes are enough, `checks` says.

    Raises DecodeError; BlockError: MALFORMED, NOT_ASCENDING.
    """
    fields = Fields(codec.decode(data, size_max=CERTIFICATE_SIZE_BYTES_MAX), 4)
    height = fields.number(1, HEIGHT_MAX)
    round_ = fields.number(0, ROUND_MAX)
    about = fields.fixed()
    votes = []
    for row in fields.array(SEALERS_MAX):
        vote = Fields(row, 2)
        votes.append((vote.number(0, SEALERS_MAX - 1), vote.fixed(SIGNATURE_SIZE_BYTES)))
    if any(a[0] >= b[0] for a, b in pairwise(votes)):
        raise BlockError(BlockReason.NOT_ASCENDING, "one vote for each sealer, in their order")
    return Certificate(height=height, round=round_, block_id=about, votes=tuple(votes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A sealed block as it is stored and sent; its entries travel apart."""

    header: Header
    certificate: Certificate
    readys: tuple[Ready, ...]
    """With their frontiers, in the order of the sealers."""
    entry_ids: tuple[bytes, ...]
    """In block order."""

    def id(self) -> bytes:
        return self.header.id()

    def checks(self, sealers: Sequence[bytes], prev_time: int) -> list[Check]:
        """The signatures that have to hold: of the votes and of the READYs; `sealers` are node keys in order.

        Raises BlockError: what `check_readys` and `Certificate.checks` raise.
        """
        check_readys(self.header, self.readys, sealers, prev_time)
        votes = self.certificate.checks(self.header.ledger, sealers)
        return votes + [ready.check() for ready in self.readys]

    def wire(self) -> tuple[bytes, bytes, list[bytes], list[bytes]]:
        """Header, certificate, READYs and entry ids as they are stored and sent."""
        readys = [ready.wire() for ready in self.readys]
        return self.header.encode(), self.certificate.encode(), readys, list(self.entry_ids)


def read_block_untrusted(
    header: bytes, certificate: bytes, readys: Sequence[bytes], entry_ids: Sequence[bytes], *, deep: bool = True
) -> Block:
    """Read a block as it was sent or stored; who may seal it is asked of `Block.checks`.

    If not `deep`, whether the frontiers can be read is left to `check_frontiers`.
    Raises DecodeError; BlockError: MALFORMED, NOT_ASCENDING, OTHER_HEIGHT, OTHER_BRANCH (the votes are for another
    block), BAD_BODY (another number of entries), BAD_FRONTIER.
    """
    head = read_header_untrusted(header)
    votes = read_certificate_untrusted(certificate)
    if votes.height != head.height:
        raise BlockError(BlockReason.OTHER_HEIGHT, "the certificate is for another height")
    if votes.block_id != block_id(header):
        raise BlockError(BlockReason.OTHER_BRANCH, "the certificate is for another block")
    if len(entry_ids) != head.entry_count or len(set(entry_ids)) != len(entry_ids):
        raise BlockError(BlockReason.BAD_BODY, f"{head.entry_count} entries are due")
    return Block(
        header=head,
        certificate=votes,
        readys=read_readys_untrusted(readys, deep=deep),
        entry_ids=tuple(entry_ids),
    )


def read_readys_untrusted(wires: Sequence[object], *, deep: bool = True) -> tuple[Ready, ...]:
    """Read the READYs of one block, at most one for each sealer. Raises what `read_ready_untrusted` raises."""
    if len(wires) > SEALERS_MAX:
        raise BlockError(BlockReason.MALFORMED, f"at most {SEALERS_MAX} READYs")
    readys = []
    for wire in wires:
        if type(wire) is not bytes:
            raise BlockError(BlockReason.MALFORMED, "a READY is bytes here")
        envelope = read_envelope_untrusted(wire, size_max=READY_SIZE_BYTES_MAX)
        if envelope.type != SignType.READY.value:
            raise BlockError(BlockReason.UNKNOWN_TYPE, "a READY is due")
        readys.append(read_ready_untrusted(envelope, deep=deep))
    return tuple(readys)
