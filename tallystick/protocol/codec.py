"""Canonical MessagePack: one value has one encoding, and a decoder accepts no other.

Allowed are nil, bool, integers of 64 bits with sign, `str` in UTF-8, `bin`, arrays, and maps whose keys are `str` in
strictly ascending order of their UTF-8 bytes; every header in its shortest form. Nothing else is.

The verdict is: decode, check types and limits, encode again, compare. A compiled decoder and a compiled encoder do the
work. Only for bytes that are refused a slow scanner looks for the reason; the verdict never waits for its opinion.

Source: docs/spec/encoding.md; https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import msgpack
import msgspec

from tallystick.protocol.codec_scan import find_fault
from tallystick.protocol.errors import DecodeError, Reason
from tallystick.protocol.limits import (
    ARRAY_LENGTH_MAX,
    DEPTH_MAX,
    INT_MAX,
    INT_MIN,
    MAP_LENGTH_MAX,
    VALUE_SIZE_BYTES_MAX,
)

Value: TypeAlias = "bool | int | str | bytes | list[Value] | dict[str, Value] | None"
"""What `decode` gives."""
Encodable: TypeAlias = "bool | int | str | bytes | Sequence[Encodable] | Mapping[str, Encodable] | None"
"""What `encode` takes: the same, and tuples for lists."""

_SCALARS: Final = frozenset((type(None), bool, str, bytes))

_unpack: Final = msgpack.unpackb
# Sorts the keys of maps by their bytes, and writes every header in its shortest form.
_pack: Final = msgspec.msgpack.Encoder(order="deterministic").encode


class _OutsideError(Exception):
    """A decoded value is none of ours."""


def encode(value: Encodable) -> bytes:
    """Return the canonical bytes of a value.

    What has no canonical bytes is a bug of the caller: TypeError for a type, ValueError for a range, a length, a depth
    or a text with surrogates.
    """
    _check_ours(value, DEPTH_MAX)
    return _pack(value)


def encode_bytes(value: list[Any]) -> bytes:
    """As `encode`, for lists and tuples that hold nothing but bytes, texts without surrogates and nil, a few levels
    deep: not looked through, because they come by the thousand."""
    return _pack(value)


def decode(
    data: bytes,
    *,
    size_max: int = VALUE_SIZE_BYTES_MAX,
    depth_max: int = DEPTH_MAX,
    array_length_max: int = ARRAY_LENGTH_MAX,
    map_length_max: int = MAP_LENGTH_MAX,
) -> Value:
    """Return the value that these bytes are the canonical encoding of. Sizes in bytes, lengths in items.

    Raises DecodeError: TOO_LARGE first; then the first fault from the left.
    """
    if len(data) > size_max:
        raise DecodeError(Reason.TOO_LARGE, size_max)
    try:
        value = _unpack(
            data,
            ext_hook=_refuse_ext,
            strict_map_key=True,
            max_array_len=array_length_max,
            max_map_len=map_length_max,
        )
        kind = type(value)
        if kind is list or kind is dict:
            _check_decoded(value, depth_max)
        elif kind not in _SCALARS and (kind is not int or value > INT_MAX):
            raise _OutsideError
        if _pack(value) == data:
            return value  # type: ignore[no-any-return]
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError, _OutsideError, msgpack.UnpackException):
        # Which of them depends on the library and its version; the scanner says what is wrong in our own words.
        pass
    reason, offset = find_fault(bytes(data), depth_max, array_length_max, map_length_max)
    raise DecodeError(reason, offset)


def reader(kind: Any) -> Callable[[bytes], Any]:
    """Return a function that reads canonical bytes straight into a type that msgspec knows, None where it cannot.

    For the forms that come by the thousand. None says nothing: `decode` then has the verdict and the reason. A part of
    the type that is `Any` must still be judged by `is_ours`.
    """
    unpack = msgspec.msgpack.Decoder(kind).decode

    def read(data: bytes) -> Any:
        try:
            value = unpack(data)
            return value if _pack(value) == data else None
        except (ValueError, TypeError, OverflowError, RecursionError, MemoryError):
            return None

    return read


def is_ours(value: Any, depth_max: int) -> bool:
    """Whether a decoded container holds our types, integers and lengths only, and not too many levels of them."""
    if type(value) is dict:
        if not depth_max or len(value) > MAP_LENGTH_MAX:
            return False
        for key in value:
            if type(key) is not str:
                return False
        items: Iterable[Any] = value.values()
    elif type(value) is list:
        if not depth_max or len(value) > ARRAY_LENGTH_MAX:
            return False
        items = value
    else:
        return False
    for item in items:
        kind = type(item)
        if kind in _SCALARS:
            continue
        if not (item <= INT_MAX if kind is int else is_ours(item, depth_max - 1)):
            return False
    return True


def _refuse_ext(code: int, data: bytes) -> NoReturn:
    raise _OutsideError


def _check_decoded(value: Any, depth: int) -> None:
    """Refuse types, integers and a depth that are not ours; lengths have been checked.

    Called for a container with the number of levels that are left, itself included.
    """
    if not depth:
        raise _OutsideError
    for item in value if type(value) is list else value.values():
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is int:
            # The format has no number below INT_MIN.
            if item > INT_MAX:
                raise _OutsideError
        elif kind is list or kind is dict:
            _check_decoded(item, depth - 1)
        else:
            raise _OutsideError
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise _OutsideError


def _check_ours(value: Any, depth: int) -> None:
    """As `_check_decoded`, for a value of our own and with words."""
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise ValueError(f"an integer has 64 bits with sign: {value}")
        return
    if kind is list or kind is tuple:
        if len(value) > ARRAY_LENGTH_MAX:
            raise ValueError(f"an array has at most {ARRAY_LENGTH_MAX} items, not {len(value)}")
        items = value
    elif kind is dict:
        if len(value) > MAP_LENGTH_MAX:
            raise ValueError(f"a map has at most {MAP_LENGTH_MAX} keys, not {len(value)}")
        for key in value:
            if type(key) is not str:
                raise TypeError(f"a key is a text: {key!r}")
        items = value.values()
    elif isinstance(value, (str, int)):
        # The words of an enumeration are texts with a type of their own.
        raise TypeError(f"a plain {'text' if isinstance(value, str) else 'integer'} is needed: {value!r}")
    else:
        raise TypeError(f"no canonical bytes for {kind.__name__}")
    if not depth:
        raise ValueError(f"more than {DEPTH_MAX} levels")
    for item in items:
        _check_ours(item, depth - 1)
