"""What comes early is kept in the room that its sealer has, and nowhere else."""

from __future__ import annotations

from tallystick.node.early import BYTES_MAX, MESSAGES_MAX, Early

ANA, BO, CY = (bytes([number]) * 32 for number in (1, 2, 3))


def test_what_came_early_is_given_out_once_in_its_order() -> None:
    """Whoever handed it on is told with it."""
    early = Early()
    for number in (3, 1, 2):
        early.keep(bytes([number]), ANA, CY)
    assert early.taken() == [(b"\x03", CY), (b"\x01", CY), (b"\x02", CY)]
    assert early.taken() == []
    assert len(early) == 0


def test_one_sealer_takes_no_room_of_another() -> None:
    """A flood of one fills its part, and the other's is as it was."""
    early = Early()
    for number in range(MESSAGES_MAX):
        data = number.to_bytes(4, "big")
        if early.has_room(data, ANA, 2):
            early.keep(data, ANA, CY)
    assert len(early) == MESSAGES_MAX // 2
    assert early.has_room(b"of bo", BO, 2)


def test_large_messages_have_less_room() -> None:
    """Bytes are counted beside messages."""
    early = Early()
    early.keep(bytes(BYTES_MAX // 2 - 10), ANA, CY)
    assert early.has_room(bytes(range(10)), ANA, 2)
    assert not early.has_room(bytes(range(11)), ANA, 2)


def test_a_message_is_kept_once() -> None:
    """It comes from every neighbour."""
    early = Early()
    assert early.has_room(b"vote", ANA, 2)
    early.keep(b"vote", ANA, CY)
    assert not early.has_room(b"vote", ANA, 2)
