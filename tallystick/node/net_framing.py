"""How frames and credit are written on a sync stream, and read back; bytes in, values out, no I/O.

    frame    uvarint length (1..FRAME_BYTES_MAX), then so many bytes
    credit   a zero byte, then a uvarint: so many more units may be sent

A side may send nothing until it is given credit. A frame costs its length and `FRAME_COST` more, so that a million
tiny frames are bounded too. Credit is ours and not the muxer's, because the muxer of py-libp2p breaks a stream whose
reader pauses for five seconds: so we always read at once, and stop the *other side* instead.

Source: docs/spec/sync.md#frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tallystick.node.transport import FRAME_BYTES_MAX, TransportError

FRAME_COST: Final = 64
"""What a frame costs beside its bytes: about what it takes up in a queue."""
_UVARINT_BYTES_MAX: Final = 5


class FramingError(TransportError):
    """The other side wrote something that is no frame."""


@dataclass(frozen=True, slots=True)
class Credit:
    """The other side may receive so many units more."""

    units: int


def encode_uvarint(number: int) -> bytes:
    """Write an unsigned LEB128 number."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_frame(frame: bytes) -> bytes:
    """Write one frame of 1 to FRAME_BYTES_MAX bytes."""
    return encode_uvarint(len(frame)) + frame


def encode_credit(units: int) -> bytes:
    """Write a grant of credit."""
    return b"\0" + encode_uvarint(units)


def frame_cost(frame: bytes) -> int:
    """Return the credit that a frame uses up."""
    return len(frame) + FRAME_COST


class FrameReader:
    """Cuts what arrives into frames and credit."""

    def __init__(self, *, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._frame_bytes_max = frame_bytes_max

    def feed(self, data: bytes) -> Iterator[bytes | Credit]:
        """Take in bytes and give out what is complete. Raises FramingError: bad number, empty, too long."""
        self._buffer += data
        start = 0
        try:
            while (item := self._next(start)) is not None:
                value, start = item
                yield value
        finally:
            # One deletion a chunk and not one a frame: small frames would cost quadratic time otherwise.
            del self._buffer[:start]

    def _next(self, start: int) -> tuple[bytes | Credit, int] | None:
        head = self._uvarint(start)
        if head is None:
            return None
        length, after = head
        if length == 0:
            units = self._uvarint(after)
            return None if units is None else (Credit(units[0]), units[1])
        if length > self._frame_bytes_max:
            raise FramingError(f"a frame of {length} bytes; at most {self._frame_bytes_max} are allowed")
        end = after + length
        if len(self._buffer) < end:
            return None
        return bytes(memoryview(self._buffer)[after:end]), end

    def _uvarint(self, start: int) -> tuple[int, int] | None:
        number = 0
        for index in range(_UVARINT_BYTES_MAX):
            if start + index >= len(self._buffer):
                return None
            byte = self._buffer[start + index]
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index:
                    raise FramingError("a number is written longer than it needs to be")
                return number, start + index + 1
        raise FramingError("a number is longer than any length")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left over: the stream may end here."""
        return not self._buffer
