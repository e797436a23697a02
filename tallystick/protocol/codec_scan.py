"""Why bytes are not canonical MessagePack: a slow reader that stops at the first fault from the left.

Only `codec.decode` uses it, and only for bytes it has refused already.

Source: docs/spec/encoding.md
"""

from __future__ import annotations

from typing import Final

from tallystick.protocol.errors import Reason
from tallystick.protocol.limits import INT_MAX

#: First byte -> size in bytes of the length that follows it.
_STR: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BIN: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY: Final = {0xDC: 2, 0xDD: 4}
_MAP: Final = {0xDE: 2, 0xDF: 4}
#: First byte -> size in bytes of the number.
_UINT: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_INT: Final = {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FLOAT: Final = (0xCA, 0xCB)
_EXT: Final = (0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8)


class _FaultError(Exception):
    def __init__(self, reason: Reason, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


def find_fault(data: bytes, depth_max: int, array_length_max: int, map_length_max: int) -> tuple[Reason, int | None]:
    """Return the first fault and the offset of the byte that begins it; NOT_CANONICAL and None if there is none."""
    scanner = _Scanner(data, array_length_max, map_length_max)
    try:
        scanner.value(depth_max)
        if scanner.at != len(data):
            return Reason.TRAILING_BYTES, scanner.at
    except _FaultError as fault:
        return fault.reason, fault.offset
    return Reason.NOT_CANONICAL, None


class _Scanner:
    def __init__(self, data: bytes, array_length_max: int, map_length_max: int) -> None:
        self.data = data
        self.at = 0
        self._array_length_max = array_length_max
        self._map_length_max = map_length_max

    def value(self, depth: int) -> None:
        """Read one value; `depth` more containers may be inside one another."""
        start = self.at
        first = self._take(1)[0]
        if first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
            return
        if first in _UINT or first in _INT:
            self._number(first, start)
        elif first in _BIN:
            self._take(self._length(_BIN[first], 0, start))
        elif 0xA0 <= first <= 0xBF or first in _STR:
            self._text(first, start)
        elif 0x90 <= first <= 0x9F or first in _ARRAY:
            length = first & 0x0F if first <= 0x9F else self._length(_ARRAY[first], 0x10, start)
            self._check_container(length, self._array_length_max, depth, start)
            for _ in range(length):
                self.value(depth - 1)
        elif 0x80 <= first <= 0x8F or first in _MAP:
            length = first & 0x0F if first <= 0x8F else self._length(_MAP[first], 0x10, start)
            self._check_container(length, self._map_length_max, depth, start)
            self._map(length, depth)
        else:
            raise _FaultError(self._foreign(first), start)

    def _map(self, length: int, depth: int) -> None:
        last: bytes | None = None
        for _ in range(length):
            start = self.at
            first = self._take(1)[0]
            if not (0xA0 <= first <= 0xBF or first in _STR):
                raise _FaultError(Reason.KEY_TYPE if first != 0xC1 else Reason.RESERVED_BYTE, start)
            key = self._text(first, start)
            if last is not None and key <= last:
                raise _FaultError(Reason.DUPLICATE_KEY if key == last else Reason.UNSORTED_KEYS, start)
            last = key
            self.value(depth - 1)

    def _number(self, first: int, start: int) -> None:
        size = _UINT.get(first) or _INT[first]
        number = int.from_bytes(self._take(size), "big", signed=first in _INT)
        if number > INT_MAX:
            raise _FaultError(Reason.INTEGER_RANGE, start)
        if number >= 0:
            # A number that is not negative is written without sign.
            is_shortest = first in _UINT and number > (0x7F if size == 1 else 2 ** (4 * size) - 1)
        else:
            is_shortest = number < (-32 if size == 1 else -(2 ** (4 * size - 1)))
        if not is_shortest:
            raise _FaultError(Reason.NOT_SHORTEST, start)

    def _text(self, first: int, start: int) -> bytes:
        length = first & 0x1F if first <= 0xBF else self._length(_STR[first], 0x20, start)
        body = self.at
        data = self._take(length)
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _FaultError(Reason.BAD_UTF8, body + error.start) from None
        return data

    def _length(self, size: int, least: int, start: int) -> int:
        """Read a length of `size` bytes. One below `least` has a shorter form, as has one that fits half the size."""
        length = int.from_bytes(self._take(size), "big")
        if length < least or (size == 2 and length <= 0xFF and least != 0x10) or (size == 4 and length <= 0xFFFF):
            raise _FaultError(Reason.NOT_SHORTEST, start)
        return length

    def _check_container(self, length: int, length_max: int, depth: int, start: int) -> None:
        if length > length_max:
            raise _FaultError(Reason.TOO_LONG, start)
        if depth < 1:
            raise _FaultError(Reason.TOO_DEEP, start)

    def _foreign(self, first: int) -> Reason:
        if first in _FLOAT:
            return Reason.FLOAT
        return Reason.EXT if first in _EXT else Reason.RESERVED_BYTE

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise _FaultError(Reason.TRUNCATED, len(self.data))
        taken = self.data[self.at : end]
        self.at = end
        return taken
