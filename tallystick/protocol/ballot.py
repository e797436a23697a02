"""PREVOTE and PRECOMMIT: the two votes of a round.

    PREVOTE   = [1, ledger, 1, height, round, block id or nil, jr + 1]     nil: jr + 1 = 0
    PRECOMMIT = [1, ledger, 2, height, round, block id or nil]             the same bytes for all signers

`jr` is the round in which a quorum prevoted for the block, as far as the voter relies on one, and -1 where it does not.

Source: docs/spec/finality.md#votes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from tallystick.crypto.signatures import SignType
from tallystick.protocol import codec
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.signed import HEIGHT_MAX, ROUND_MAX, VERSION, Envelope, Fields, Signed, Signer

STEP_PROPOSE: Final = 0
STEP_PREVOTE: Final = 1
STEP_PRECOMMIT: Final = 2
"""Steps of a round: (height, round, step) is the slot in which a key signs one thing only. A proposal is in step 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevote(Signed):
    """The first vote of a round."""

    TYPE: ClassVar[SignType] = SignType.PREVOTE

    round: int
    block_id: bytes | None
    """None is a vote for no block."""
    jr: int
    """Round whose quorum of prevotes justifies this one; -1 for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precommit(Signed):
    """The second vote of a round. A quorum of them for one block is its certificate."""

    TYPE: ClassVar[SignType] = SignType.PRECOMMIT

    round: int
    block_id: bytes | None
    """None is a vote for no block."""


def read_prevote_untrusted(envelope: Envelope) -> Prevote:
    """Read a PREVOTE. Raises DecodeError; BlockError: MALFORMED."""
    fields = Fields(codec.decode(envelope.payload), 7)
    fields.version()
    ledger = fields.fixed()
    fields.number(STEP_PREVOTE, STEP_PREVOTE)
    height = fields.number(1, HEIGHT_MAX)
    round_ = fields.number(0, ROUND_MAX)
    block_id = fields.fixed_or_nil()
    # Only what came before can justify, and nothing justifies a vote for no block: it needs no reason.
    jr = fields.number(0, round_ if block_id is not None else 0) - 1
    _check_bare(envelope)
    return Prevote(
        ledger=ledger,
        height=height,
        signer=envelope.signer,
        signature=envelope.signature,
        payload=envelope.payload,
        round=round_,
        block_id=block_id,
        jr=jr,
    )


def read_precommit_untrusted(envelope: Envelope) -> Precommit:
    """Read a PRECOMMIT. Raises DecodeError; BlockError: MALFORMED."""
    fields = Fields(codec.decode(envelope.payload), 6)
    fields.version()
    ledger = fields.fixed()
    fields.number(STEP_PRECOMMIT, STEP_PRECOMMIT)
    height = fields.number(1, HEIGHT_MAX)
    round_ = fields.number(0, ROUND_MAX)
    block_id = fields.fixed_or_nil()
    _check_bare(envelope)
    return Precommit(
        ledger=ledger,
        height=height,
        signer=envelope.signer,
        signature=envelope.signature,
        payload=envelope.payload,
        round=round_,
        block_id=block_id,
    )


def _check_bare(envelope: Envelope) -> None:
    if envelope.attachment is not None:
        raise BlockError(BlockReason.MALFORMED, "a vote has no attachment")


def make_prevote(
    signer: Signer, *, ledger: bytes, height: int, round_: int, block_id: bytes | None, jr: int
) -> Prevote:
    """Sign a PREVOTE. Raises what `read_prevote_untrusted` raises."""
    payload = codec.encode([VERSION, ledger, STEP_PREVOTE, height, round_, block_id, jr + 1])
    signature = signer.sign(SignType.PREVOTE, payload)
    return read_prevote_untrusted(Envelope(SignType.PREVOTE.value, payload, signer.public, signature, None))


def precommit_payload(ledger: bytes, height: int, round_: int, block_id: bytes | None) -> bytes:
    """What every sealer signs who precommits so."""
    return codec.encode([VERSION, ledger, STEP_PRECOMMIT, height, round_, block_id])


def make_precommit(signer: Signer, *, ledger: bytes, height: int, round_: int, block_id: bytes | None) -> Precommit:
    """Sign a PRECOMMIT. Raises what `read_precommit_untrusted` raises."""
    payload = precommit_payload(ledger, height, round_, block_id)
    signature = signer.sign(SignType.PRECOMMIT, payload)
    return read_precommit_untrusted(Envelope(SignType.PRECOMMIT.value, payload, signer.public, signature, None))
