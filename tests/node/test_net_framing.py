"""Frames and credit on the wire: what is written is read back, however it is cut; what is broken is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.node.net_framing import (
    FRAME_COST,
    Credit,
    FrameReader,
    FramingError,
    encode_credit,
    encode_frame,
    encode_uvarint,
    frame_cost,
)
from tallystick.node.transport import FRAME_BYTES_MAX

ITEMS = st.lists(st.one_of(st.binary(min_size=1, max_size=300), st.integers(0, 2**34).map(Credit)), max_size=20)


def encode(item: bytes | Credit) -> bytes:
    return encode_credit(item.units) if isinstance(item, Credit) else encode_frame(item)


@given(items=ITEMS, cuts=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_what_is_written_is_read_back(items: list[bytes | Credit], cuts: list[int]) -> None:
    """Frames and credit come out as they went in, whatever pieces the network makes of them."""
    data = b"".join(map(encode, items))
    reader, read, position, turn = FrameReader(), [], 0, 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        read += list(reader.feed(data[position : position + size]))
        position, turn = position + size, turn + 1
    assert read == items
    assert reader.is_empty


@pytest.mark.parametrize(
    ("item", "wire"),
    [
        (b"x", "0178"),
        (b"x" * 127, "7f" + "78" * 127),
        (b"x" * 128, "8001" + "78" * 128),
        (Credit(0), "0000"),
        (Credit(1), "0001"),
        (Credit(300), "00ac02"),
    ],
)
def test_wire_form(item: bytes | Credit, wire: str) -> None:
    """The form on the wire is fixed: two versions of the program must understand each other."""
    assert encode(item).hex() == wire
    assert list(FrameReader().feed(bytes.fromhex(wire))) == [item]


def test_largest_frame_is_read_and_a_larger_one_refused_at_once() -> None:
    """A length that is too large is refused before its bytes are there."""
    frame = bytes(FRAME_BYTES_MAX)
    assert list(FrameReader().feed(encode_frame(frame))) == [frame]
    with pytest.raises(FramingError, match=str(FRAME_BYTES_MAX + 1)):
        list(FrameReader().feed(encode_uvarint(FRAME_BYTES_MAX + 1)))
    with pytest.raises(FramingError, match="11 bytes"):
        list(FrameReader(frame_bytes_max=10).feed(encode_frame(bytes(11))))


@pytest.mark.parametrize("wire", ["8000", "808000", "ffffffffff", "ffffffffffff01", "00ffffffffffff", "008000"])
def test_number_that_is_none_is_refused(wire: str) -> None:
    """A number written longer than it needs to be, or without an end, is no length and no credit."""
    with pytest.raises(FramingError):
        list(FrameReader().feed(bytes.fromhex(wire)))


def test_what_came_before_the_fault_is_given_out() -> None:
    """Frames before a broken one are good."""
    reader = FrameReader()
    got = []
    with pytest.raises(FramingError):  # noqa: PT012
        for item in reader.feed(encode_frame(b"good") + b"\x80\x00"):
            got.append(item)  # noqa: PERF402
    assert got == [b"good"]


def test_half_a_frame_is_no_end() -> None:
    """A stream that stops in the middle of a frame was cut."""
    reader = FrameReader()
    assert list(reader.feed(encode_frame(b"hello")[:-1])) == []
    assert not reader.is_empty
    assert list(reader.feed(b"o")) == [b"hello"]
    assert reader.is_empty


def test_cost_counts_more_than_bytes() -> None:
    """A million tiny frames are not free."""
    assert frame_cost(b"x") == 1 + FRAME_COST
