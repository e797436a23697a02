"""What a sealer must remember of a height to go on after a crash as if nothing had happened.

    [1, ledger, height, prev block id, round + 1, step, locked round + 1, locked id or nil, valid round + 1,
     valid id or nil, [height, round, step] of the guard, muted, [own message, ...], [body, ...], [PREVOTE, ...]]

A lock without the prevotes that justify it would never be given up: nobody else might have them any more. So the
prevotes, and the body of the block, are in the same record as the lock.

Source: docs/spec/finality.md#persistence
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tallystick.protocol import codec
from tallystick.protocol.ballot import STEP_PRECOMMIT, STEP_PROPOSE, Prevote
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.limits import ARRAY_LENGTH_MAX, INT_MAX
from tallystick.protocol.proposal import BODY_SIZE_BYTES_MAX, ProposalBody, read_body_untrusted
from tallystick.protocol.sealing import MESSAGE_SIZE_BYTES_MAX, Sealing, read_sealing_untrusted
from tallystick.protocol.sealing_effects import Slot
from tallystick.protocol.signed import HEIGHT_MAX, ROUND_MAX, VERSION, Fields

RECORD_SIZE_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingRecord:
    """The state of one height, as it is stored with every signed message."""

    ledger: bytes
    height: int
    prev_id: bytes
    round: int
    step: int
    locked_round: int
    locked_id: bytes | None
    valid_round: int
    valid_id: bytes | None
    guard: Slot
    muted: bool
    messages: tuple[Sealing, ...]
    """What this sealer has signed itself, proposals without their bodies."""
    bodies: tuple[ProposalBody, ...]
    """Blocks judged valid that a rule may still ask for: the locked, the valid, those proposed in this round."""
    prevotes: tuple[Prevote, ...]
    """Why it is locked, and why the valid block is valid."""

    def encode(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(
            [
                VERSION,
                self.ledger,
                self.height,
                self.prev_id,
                self.round + 1,
                self.step,
                self.locked_round + 1,
                self.locked_id,
                self.valid_round + 1,
                self.valid_id,
                list(self.guard),
                self.muted,
                [message.wire() for message in self.messages],
                [body.encode() for body in self.bodies],
                [vote.wire() for vote in self.prevotes],
            ]
        )


def read_record(data: bytes) -> SealingRecord:
    """Read a record of our own. Raises DecodeError or BlockError where it is not what was written."""
    fields = Fields(codec.decode(data, size_max=RECORD_SIZE_BYTES_MAX), 15)
    fields.version()
    return SealingRecord(
        ledger=fields.fixed(),
        height=fields.number(1, HEIGHT_MAX),
        prev_id=fields.fixed(),
        round=fields.number(0, ROUND_MAX + 1) - 1,
        step=fields.number(STEP_PROPOSE, STEP_PRECOMMIT),
        locked_round=fields.number(0, ROUND_MAX + 1) - 1,
        locked_id=fields.fixed_or_nil(),
        valid_round=fields.number(0, ROUND_MAX + 1) - 1,
        valid_id=fields.fixed_or_nil(),
        guard=_read_slot(fields.array(3)),
        muted=fields.flag(),
        messages=tuple(read_sealing_untrusted(wire) for wire in _blobs(fields, MESSAGE_SIZE_BYTES_MAX)),
        bodies=tuple(read_body_untrusted(wire) for wire in _blobs(fields, BODY_SIZE_BYTES_MAX)),
        prevotes=tuple(_read_prevote(wire) for wire in _blobs(fields, MESSAGE_SIZE_BYTES_MAX)),
    )


def _read_slot(row: list[object]) -> Slot:
    fields = Fields(row, 3)
    return fields.number(0, INT_MAX), fields.number(0, INT_MAX), fields.number(STEP_PROPOSE, STEP_PRECOMMIT)


def _read_prevote(wire: bytes) -> Prevote:
    message = read_sealing_untrusted(wire)
    if not isinstance(message, Prevote):
        raise BlockError(BlockReason.UNKNOWN_TYPE, "a PREVOTE is due")
    return message


def _blobs(fields: Fields, size_max: int) -> list[bytes]:
    rows = fields.array(ARRAY_LENGTH_MAX)
    inner = Fields(rows, len(rows))
    return [inner.blob(size_max) for _ in rows]
