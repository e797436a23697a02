"""What comes early is kept in the room that its sealer has, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.crypto.keys import SecretKey
from tallystick.node import early as module
from tallystick.node.allowance import Allowance
from tallystick.node.early import MESSAGES_MAX, Early
from tallystick.node.intake import BlameError
from tallystick.protocol.ballot import Precommit, make_precommit
from tallystick.protocol.signed import KeySigner

LEDGER = bytes(32)
ANA, BO = (KeySigner(SecretKey.from_seed(bytes([number]) * 32), LEDGER) for number in (1, 2))
PEER = bytes([9]) * 32


def vote(signer: KeySigner, round_: int = 0) -> Precommit:
    return make_precommit(signer, ledger=LEDGER, height=7, round_=round_, block_id=None)


class Room:
    """What came early, of two sealers."""

    def __init__(self) -> None:
        self.early = Early()
        self.allowance = Allowance()

    def take(self, message: Precommit) -> None:
        self.early.take(message, message.wire(), PEER, 2, self.allowance, 0)


def test_what_came_early_is_given_out_once_in_its_order() -> None:
    """Whoever handed it on is told with it, and what came from several is there once."""
    room = Room()
    votes = [vote(ANA, 3), vote(BO, 1), vote(ANA, 2)]
    for message in (*votes, *votes):
        room.take(message)
    assert room.early.taken() == [(message.wire(), PEER) for message in votes]
    assert room.early.taken() == []


def test_one_sealer_takes_no_room_of_another() -> None:
    """A flood of one fills its part, and the other's is as it was."""
    room = Room()
    for number in range(MESSAGES_MAX):
        room.take(vote(ANA, number))
    assert len(room.early) == MESSAGES_MAX // 2
    room.take(vote(BO))
    assert len(room.early) == MESSAGES_MAX // 2 + 1


def test_large_messages_have_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted beside messages."""
    room = Room()
    monkeypatch.setattr(module, "BYTES_MAX", 2 * (len(vote(ANA).wire()) + 10))
    room.take(vote(ANA, 1))
    room.take(vote(ANA, 2))
    assert len(room.early) == 1


def test_a_forged_message_takes_no_room() -> None:
    """Whoever hands one on is to blame."""
    room = Room()
    with pytest.raises(BlameError, match="does not hold"):
        room.take(replace(vote(ANA), signature=bytes(64)))
    assert len(room.early) == 0
