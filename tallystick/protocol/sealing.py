"""All that sealers say to one another while a block is made: the union of the messages, its reader, and STATUS.

    STATUS = [1, ledger, height, round, step, prevote bitmap, precommit bitmap, clock]

A STATUS says where its sealer stands and that it is there. Bit i of a bitmap is set where it has a vote of sealer i in
its round. While it waits for READYs the round is -1, and the first bitmap says whose it has. A STATUS is never stored
or passed on later: its clock would lie.

Source: docs/spec/finality.md#messages
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tallystick.crypto.signatures import SignType
from tallystick.protocol import codec
from tallystick.protocol.ballot import (
    STEP_PRECOMMIT,
    STEP_PROPOSE,
    Precommit,
    Prevote,
    read_precommit_untrusted,
    read_prevote_untrusted,
)
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.limits import TIME_MS_MAX
from tallystick.protocol.proposal import BODY_SIZE_BYTES_MAX, Proposal, read_proposal_untrusted
from tallystick.protocol.ready import Ready, read_ready_untrusted
from tallystick.protocol.sealers import SEALERS_MAX
from tallystick.protocol.signed import (
    HEIGHT_MAX,
    ROUND_MAX,
    VERSION,
    Envelope,
    Fields,
    Signed,
    Signer,
    read_envelope_untrusted,
)

MESSAGE_SIZE_BYTES_MAX: Final = BODY_SIZE_BYTES_MAX + 1024
"""Any message, with what is attached."""
BITMAP_MAX: Final = 2**SEALERS_MAX - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Signed):
    """Where a sealer stands in a height, every ten seconds while it is active."""

    TYPE: ClassVar[SignType] = SignType.STATUS

    round: int
    step: int
    prevotes: int
    """Bit i: it has a prevote of sealer i in this round; before round 0, a READY of it."""
    precommits: int
    now: int
    """Its clock in ms."""


Sealing = Ready | Proposal | Prevote | Precommit | Status
"""One sealing message."""


def signer_of_untrusted(data: bytes) -> bytes:
    """Who says that it has signed a sealing message; the rest of it is not read. Raises DecodeError, BlockError."""
    return read_envelope_untrusted(data, size_max=MESSAGE_SIZE_BYTES_MAX).signer


def read_sealing_untrusted(data: bytes, *, deep: bool = True) -> Sealing:
    """Read a sealing message. Its signatures are not checked: see `checks()`.

    If not `deep`, whether the frontiers in it can be read is left to `check_frontiers`: megabytes of them, in the name
    of a sealer, can be sent by anybody, and again and again.
    Raises DecodeError; BlockError: MALFORMED, UNKNOWN_TYPE, then what is wrong with a message of this type.
    """
    envelope = read_envelope_untrusted(data, size_max=MESSAGE_SIZE_BYTES_MAX)
    match envelope.type:
        case SignType.READY.value:
            return read_ready_untrusted(envelope, deep=deep)
        case SignType.PROPOSAL.value:
            return read_proposal_untrusted(envelope, deep=deep)
    reader = _READERS.get(envelope.type)
    if reader is None:
        raise BlockError(BlockReason.UNKNOWN_TYPE, envelope.type[:32])
    return reader(envelope)


def read_status_untrusted(envelope: Envelope) -> Status:
    """Read a STATUS. Raises DecodeError; BlockError: MALFORMED."""
    fields = Fields(codec.decode(envelope.payload), 8)
    fields.version()
    status = Status(
        ledger=fields.fixed(),
        height=fields.number(1, HEIGHT_MAX),
        signer=envelope.signer,
        signature=envelope.signature,
        payload=envelope.payload,
        round=fields.number(-1, ROUND_MAX),
        step=fields.number(STEP_PROPOSE, STEP_PRECOMMIT),
        prevotes=fields.number(0, BITMAP_MAX),
        precommits=fields.number(0, BITMAP_MAX),
        now=fields.number(0, TIME_MS_MAX),
    )
    if envelope.attachment is not None:
        raise BlockError(BlockReason.MALFORMED, "a status has no attachment")
    return status


def make_status(
    signer: Signer,
    *,
    ledger: bytes,
    height: int,
    round_: int,
    step: int,
    prevotes: int,
    precommits: int,
    now: int,
) -> Status:
    """Sign a STATUS. Raises what `read_status_untrusted` raises."""
    payload = codec.encode([VERSION, ledger, height, round_, step, prevotes, precommits, now])
    signature = signer.sign(SignType.STATUS, payload)
    return read_status_untrusted(Envelope(SignType.STATUS.value, payload, signer.public, signature, None))


_READERS: Final[Mapping[str, Callable[[Envelope], Sealing]]] = {
    SignType.PREVOTE.value: read_prevote_untrusted,
    SignType.PRECOMMIT.value: read_precommit_untrusted,
    SignType.STATUS.value: read_status_untrusted,
}
