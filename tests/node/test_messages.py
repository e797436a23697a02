"""Messages as frames: what may be long comes in parts, and nothing else does."""

from __future__ import annotations

import pytest

from tallystick.node import messages as m
from tallystick.node.transport import FRAME_BYTES_MAX
from tallystick.protocol import codec

LONG = [bytes(200_000), bytes(200_000)]


@pytest.mark.parametrize("message", [m.Block(b"h", b"c", LONG, []), m.Sealing(LONG)])
def test_blocks_and_votes_come_in_parts(message: m.Message) -> None:
    """A block carries the READYs it is made of, a proposal its body: they may have megabytes."""
    frames = list(m.frames_of(message))
    assert len(frames) > 1
    assert all(len(frame) <= FRAME_BYTES_MAX for frame in frames)
    reader = m.Reader()
    assert [reader.read(frame) for frame in frames] == [None] * (len(frames) - 1) + [message]


@pytest.mark.parametrize(
    "message",
    [
        m.Heads(0, 1, False, [(bytes(32), [(1, bytes(32))] * 60)] * 300),
        m.Entries([(bytes(60_000), bytes(64), None)] * 8),
        m.Want([(bytes(32), 0, bytes(32))] * 4000),
    ],
)
def test_nothing_else_is_so_long(message: m.Message) -> None:
    """Eight megabytes of heads kept a node busy for a second, and nobody honest has more than a frame of them."""
    first = next(m.frames_of(message))
    with pytest.raises(m.MessageError, match="never so long"):
        m.Reader().read(first)


def test_the_largest_heads_and_wants_of_an_honest_node_fit_a_frame() -> None:
    """As many devices and branches as a frontier has."""
    heads = m.Heads(0, 1, True, [(bytes([255]) * 32, [(2**40, bytes(32))] * 4)] * 1024)
    want = m.Want([(bytes(32), 2**40, bytes(32))] * 1024)
    for message in (heads, want):
        assert len(list(m.frames_of(message))) == 1


def test_parts_come_in_their_order() -> None:
    """The whole has the hash that each part names."""
    frames = list(m.frames_of(m.Sealing(LONG)))
    with pytest.raises(m.MessageError, match="out of order"):
        m.Reader().read(frames[1])
    changed = codec.decode(frames[-1])
    assert isinstance(changed, list)
    assert isinstance(changed[-1], bytes)
    reader = m.Reader()
    assert [reader.read(frame) for frame in frames[:-1]] == [None] * (len(frames) - 1)
    with pytest.raises(m.MessageError, match="another hash"):
        reader.read(codec.encode([*changed[:-1], b"\1" * len(changed[-1])]))
