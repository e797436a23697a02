"""PROPOSAL: the proposer of a round names a block; its body is what everybody needs to judge it.

    PROPOSAL = [1, ledger, height, round, block id, vr + 1]
    body     = [header bytes, [READY wire, ...], [PREVOTE wire, ...]]

`vr` is the round in which a quorum prevoted for the block, -1 for a new one; then the body carries those prevotes, and
the earlier ones that they in turn rely on. The body is not signed: the block id fixes the header, the header fixes the
READYs, and the prevotes are signed themselves. It may travel apart.

Source: docs/spec/finality.md#proposal
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from tallystick.crypto.signatures import SignType
from tallystick.protocol import codec
from tallystick.protocol.ballot import Prevote, read_prevote_untrusted
from tallystick.protocol.block import (
    HEADER_SIZE_BYTES_MAX,
    Header,
    block_id,
    read_header_untrusted,
    read_readys_untrusted,
)
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealers import SEALERS_MAX
from tallystick.protocol.signed import (
    HEIGHT_MAX,
    ROUND_MAX,
    VERSION,
    Check,
    Envelope,
    Fields,
    Signed,
    Signer,
    read_envelope_untrusted,
)

BODY_SIZE_BYTES_MAX: Final = 8 * 1024 * 1024 - 128 * 1024
"""31 READYs with the largest frontiers, and the prevotes; with its envelope it stays below 8 MiB."""
PREVOTES_MAX: Final = 512
"""A quorum of 31 sealers from more than 20 rounds. Earlier ones are asked for where somebody lacks them."""
PREVOTE_SIZE_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalBody:
    """A block before it is decided: the header, and the READYs it is a function of."""

    header: Header
    readys: tuple[Ready, ...]
    """In the order of the sealers."""
    prevotes: tuple[Prevote, ...] = ()
    """Why it is proposed again; empty for a new block."""

    def block_id(self) -> bytes:
        return self.header.id()

    def encode(self) -> bytes:
        """The canonical bytes, as they are attached to a proposal."""
        readys = [ready.wire() for ready in self.readys]
        return codec.encode([self.header.encode(), readys, [vote.wire() for vote in self.prevotes]])

    def checks(self) -> list[Check]:
        """The signatures inside."""
        return [message.check() for message in (*self.readys, *self.prevotes)]

    def bare(self) -> ProposalBody:
        """The body without prevotes: what belongs to the block, whoever proposes it."""
        return replace(self, prevotes=()) if self.prevotes else self


def read_body_untrusted(data: bytes, *, deep: bool = True) -> ProposalBody:
    """Read a body. Whether its READYs are those of its header needs the list of sealers: `block.check_readys`.

    If not `deep`, whether their frontiers can be read is left to `check_frontiers`.
    Raises DecodeError; BlockError: MALFORMED, UNKNOWN_TYPE, BAD_FRONTIER, NOT_ASCENDING.
    """
    fields = Fields(codec.decode(data, size_max=BODY_SIZE_BYTES_MAX), 3)
    header = read_header_untrusted(fields.blob(HEADER_SIZE_BYTES_MAX))
    readys = read_readys_untrusted(fields.array(SEALERS_MAX), deep=deep)
    return ProposalBody(header=header, readys=readys, prevotes=_read_prevotes(fields.array(PREVOTES_MAX)))


def _read_prevotes(wires: Sequence[object]) -> tuple[Prevote, ...]:
    votes = []
    for wire in wires:
        if type(wire) is not bytes:
            raise BlockError(BlockReason.MALFORMED, "a PREVOTE is bytes here")
        envelope = read_envelope_untrusted(wire, size_max=PREVOTE_SIZE_BYTES_MAX)
        if envelope.type != SignType.PREVOTE.value:
            raise BlockError(BlockReason.UNKNOWN_TYPE, "a PREVOTE is due")
        votes.append(read_prevote_untrusted(envelope))
    return tuple(votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(Signed):
    """What the proposer of a round wants sealed."""

    TYPE: ClassVar[SignType] = SignType.PROPOSAL

    round: int
    block_id: bytes
    vr: int
    """Round whose prevotes are the reason to propose it again; -1 for a new block."""
    body: ProposalBody | None
    """None where it travels apart."""

    def checks(self) -> list[Check]:
        return [self.check()] if self.body is None else [self.check(), *self.body.checks()]

    def attachment(self) -> bytes | None:
        return None if self.body is None else self.body.encode()

    def readys(self) -> tuple[Ready, ...]:
        return () if self.body is None else self.body.readys

    def without_body(self) -> Proposal:
        """The signed part alone, for announcing it."""
        return replace(self, body=None)


def read_proposal_untrusted(envelope: Envelope, *, deep: bool = True) -> Proposal:
    """Read a PROPOSAL and its body, if it is with it; for `deep` see `read_body_untrusted`.

    Raises DecodeError; BlockError: MALFORMED; for the body MALFORMED, UNKNOWN_TYPE, BAD_FRONTIER, NOT_ASCENDING,
    BAD_BODY (of another block, made in a later round, or with prevotes that say nothing for it).
    """
    fields = Fields(codec.decode(envelope.payload), 6)
    fields.version()
    ledger = fields.fixed()
    height = fields.number(1, HEIGHT_MAX)
    round_ = fields.number(0, ROUND_MAX)
    about = fields.fixed()
    vr = fields.number(0, round_) - 1
    body = None if envelope.attachment is None else read_body_untrusted(envelope.attachment, deep=deep)
    proposal = Proposal(
        ledger=ledger,
        height=height,
        signer=envelope.signer,
        signature=envelope.signature,
        payload=envelope.payload,
        round=round_,
        block_id=about,
        vr=vr,
        body=body,
    )
    if body is not None:
        _check_body(proposal, body)
    return proposal


def _check_body(proposal: Proposal, body: ProposalBody) -> None:
    header = body.header
    if header.id() != proposal.block_id or (header.ledger, header.height) != (proposal.ledger, proposal.height):
        raise BlockError(BlockReason.BAD_BODY, "of another block")
    if header.round_created > proposal.round:
        raise BlockError(BlockReason.BAD_BODY, "made in a later round")
    for vote in body.prevotes:
        if (vote.ledger, vote.height, vote.block_id) != (proposal.ledger, proposal.height, proposal.block_id):
            raise BlockError(BlockReason.BAD_BODY, "a prevote for something else")
        if vote.round > proposal.vr:
            raise BlockError(BlockReason.BAD_BODY, "a prevote of a later round")


def make_proposal(signer: Signer, *, ledger: bytes, height: int, round_: int, vr: int, body: ProposalBody) -> Proposal:
    """Sign a PROPOSAL. Raises what `read_proposal_untrusted` raises."""
    header = body.header.encode()
    payload = codec.encode([VERSION, ledger, height, round_, block_id(header), vr + 1])
    signature = signer.sign(SignType.PROPOSAL, payload)
    return read_proposal_untrusted(
        Envelope(SignType.PROPOSAL.value, payload, signer.public, signature, body.encode()),
    )
