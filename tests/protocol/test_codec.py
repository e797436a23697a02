"""Canonical MessagePack: golden encodings, each refusal with its reason and place, and a second writer."""

from __future__ import annotations

import json
import random
from collections import Counter
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol import codec
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

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "codec"
LIMITS = (DEPTH_MAX, ARRAY_LENGTH_MAX, MAP_LENGTH_MAX)


def read(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cases"]
    return cases


def spelled(text: str) -> bytes:
    """The bytes of a case: hexadecimal, with `*N` after what comes N times."""
    parts = [part.partition("*") for part in text.split()]
    return b"".join(bytes.fromhex(digits) * int(times or 1) for digits, _, times in parts)


REFUSED = read("refused.json")
ACCEPTED = read("accepted.json")


def written(value: Any) -> bytes:
    """A second encoder, from the specification of the format alone."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            if -32 <= value <= 127:
                return (value & 0xFF).to_bytes(1)
            for power, first in enumerate((0xCC, 0xCD, 0xCE, 0xCF)):
                if 0 <= value < 1 << (8 << power):
                    return bytes([first]) + value.to_bytes(1 << power)
            for power, first in enumerate((0xD0, 0xD1, 0xD2, 0xD3)):
                if -(1 << ((8 << power) - 1)) <= value < 0:
                    return bytes([first]) + value.to_bytes(1 << power, signed=True)
            raise AssertionError(value)
        case str():
            data = value.encode()
            return _length(len(data), (0xA0, 32), (0xD9, 0xDA, 0xDB)) + data
        case bytes():
            return _length(len(value), (0, 0), (0xC4, 0xC5, 0xC6)) + value
        case list() | tuple():
            return _length(len(value), (0x90, 16), (0, 0xDC, 0xDD)) + b"".join(map(written, value))
        case _:
            rows = sorted((key.encode(), each) for key, each in value.items())
            data = b"".join(written(key.decode()) + written(each) for key, each in rows)
            return _length(len(rows), (0x80, 16), (0, 0xDE, 0xDF)) + data


def _length(count: int, fixed: tuple[int, int], firsts: tuple[int, int, int]) -> bytes:
    if count < fixed[1]:
        return bytes([fixed[0] | count])
    for power, first in enumerate(firsts):
        if first and count < 1 << (8 << power):
            return bytes([first]) + count.to_bytes(1 << power)
    raise AssertionError(count)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_ints = st.one_of(
    st.integers(INT_MIN, INT_MAX),
    st.builds(lambda power, off: 2**power + off, st.integers(0, 62), st.integers(-2, 1)),
    st.builds(lambda power, off: -(2**power) + off, st.integers(0, 62), st.integers(-1, 2)),
)
_scalars = st.one_of(
    st.none(), st.booleans(), _ints, _texts, st.binary(max_size=40), st.binary(min_size=250, max_size=260)
)
values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=18), st.dictionaries(_texts, inner, max_size=18)),
    max_leaves=30,
)


def depth(value: Any) -> int:
    if isinstance(value, (list, dict)):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, inner), default=0)
    return 0


# -- golden encodings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_what_is_not_canonical_is_refused_with_its_reason(case: dict[str, Any]) -> None:
    """The first fault from the left, and the byte at which it begins."""
    with pytest.raises(DecodeError) as caught:
        codec.decode(spelled(case["bytes"]))
    assert (caught.value.reason, caught.value.offset) == (case["expect"], case["offset"])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_the_plain_decoder_says_what_is_written_beside_it(case: dict[str, Any]) -> None:
    """So one can see which refusals are ours alone."""
    try:
        msgpack.unpackb(spelled(case["bytes"]))
    except Exception:
        said = "refused"
    else:
        said = "accepted"
    assert said == case["plain"]


def test_the_refusals_mean_something() -> None:
    """Many, with every reason of bytes among them, and most would pass a plain decoder."""
    reasons = Counter(case["expect"] for case in REFUSED)
    of_bytes = list(Reason)[: list(Reason).index(Reason.BAD_ANNEX)]
    assert set(reasons) == set(of_bytes) - {Reason.NOT_CANONICAL}, "the scanner names every fault"
    assert len(REFUSED) >= 42
    assert sum(case["plain"] == "accepted" for case in REFUSED) >= 29
    assert len({spelled(case["bytes"]) for case in REFUSED}) == len(REFUSED)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_canonical_encodings_are_read_and_written(case: dict[str, Any]) -> None:
    """Both ways, byte for byte, also by the second encoder."""
    if "data" in case:
        value: Any = spelled(case["data"])
    elif "letters" in case:
        value = "a" * case["letters"]
    elif "nils" in case:
        value = [None] * case["nils"]
    else:
        value = case["value"]
    data = spelled(case["bytes"])
    decoded = codec.decode(data)
    assert decoded == value and type(decoded) is type(value)
    assert codec.encode(value) == written(value) == data
    assert find_fault(data, *LIMITS) == (Reason.NOT_CANONICAL, None), "the scanner finds no fault either"


# -- properties --------------------------------------------------------------------------------------------------------


@given(values)
def test_values_round_trip(value: Any) -> None:
    """What is written is what another writer writes, and what is read again; a value that is too deep is a bug."""
    if depth(value) > DEPTH_MAX:
        with pytest.raises(ValueError, match="levels"):
            codec.encode(value)
        with pytest.raises(DecodeError, match="too-deep"):
            codec.decode(written(value))
        return
    data = codec.encode(value)
    assert data == written(value)
    again = codec.decode(data)
    assert again == value
    assert codec.encode(again) == data
    assert find_fault(data, *LIMITS) == (Reason.NOT_CANONICAL, None)


@given(values, values)
def test_one_value_has_one_encoding(one: Any, other: Any) -> None:
    """Two values share their bytes exactly when they are the same, types included."""
    if max(depth(one), depth(other)) <= DEPTH_MAX:
        assert (codec.encode(one) == codec.encode(other)) is (_typed(one) == _typed(other))


def _typed(value: Any) -> Any:
    """With types, since Python takes True for 1."""
    if isinstance(value, list):
        return ("list", [_typed(each) for each in value])
    if isinstance(value, dict):
        return ("dict", {key: _typed(each) for key, each in value.items()})
    return (type(value).__name__, value)


@given(st.permutations(["", "a", "A", "aa", "b", "z", "\u00e4", "\uffff", "\U0001f35e"]))
def test_the_order_in_which_a_map_was_filled_does_not_matter(keys: list[str]) -> None:
    """Keys are sorted by their UTF-8 bytes."""
    data = codec.encode(dict.fromkeys(keys, 1))
    assert data == written(dict.fromkeys(keys, 1))
    decoded = codec.decode(data)
    assert isinstance(decoded, dict)
    assert list(decoded) == sorted(keys, key=str.encode)


def test_tuples_are_written_as_lists() -> None:
    """And come back as lists."""
    assert codec.decode(codec.encode((1, (2, [3])))) == [1, [2, [3]]]


# -- fuzz --------------------------------------------------------------------------------------------------------------


def check_verdict(data: bytes) -> bool:
    """Decode, allow nothing but a DecodeError, and hold the scanner to the verdict; whether it was accepted."""
    reason, offset = find_fault(data, *LIMITS)
    try:
        value = codec.decode(data)
    except DecodeError as error:
        assert (error.reason, error.offset) == (reason, offset)
        assert reason is not Reason.NOT_CANONICAL and offset is not None, data.hex()
        assert 0 <= offset <= len(data)
        return False
    assert reason is Reason.NOT_CANONICAL, data.hex()
    assert codec.encode(value) == data == written(value)
    return True


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    """The verdict and the scanner, which share no code, agree."""
    check_verdict(data)


@given(values, st.data())
def test_damaged_encodings_are_judged_alike(value: Any, draw: st.DataObject) -> None:
    """Near a canonical encoding, where most of both programs is used: a byte changed, put in, taken out."""
    data = bytearray(written(value))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data)))
        byte = draw.draw(st.one_of(st.integers(0, 255), st.sampled_from([0x80, 0x91, 0xA0, 0xC1, 0xC4, 0xCC, 0xD9])))
        what = draw.draw(st.sampled_from(["change", "insert", "remove"]))
        if what == "insert":
            data.insert(at, byte)
        elif at < len(data):
            if what == "change":
                data[at] = byte
            else:
                del data[at]
    check_verdict(bytes(data))


def test_many_short_encodings_are_judged_alike() -> None:
    """Everything of one and two bytes, and many of a few: nothing but a refusal, and some of each."""
    chance = random.Random(7)
    firsts = bytes.fromhex("808182909192a0a1c0c4cccdd0d9dcde00ff")
    seen = Counter(check_verdict(bytes([one])) for one in range(256))
    seen += Counter(check_verdict(number.to_bytes(2)) for number in range(65536))
    for _ in range(20_000):
        length = chance.randint(3, 9)
        seen[check_verdict(bytes(chance.choice(firsts) if chance.random() < 0.8 else 1 for _ in range(length)))] += 1
    assert min(seen.values()) > 500


# -- limits ------------------------------------------------------------------------------------------------------------


def test_sizes_are_judged_before_anything_is_read() -> None:
    """Also bytes that are no encoding at all; the place is the size that would have been allowed."""
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"\xc1" * 11, size_max=10)
    assert (caught.value.reason, caught.value.offset) == (Reason.TOO_LARGE, 10)
    assert codec.decode(b"\xc4\x08" + bytes(8), size_max=10) == bytes(8)
    assert codec.decode(b"\xc6" + (VALUE_SIZE_BYTES_MAX - 5).to_bytes(4) + bytes(VALUE_SIZE_BYTES_MAX - 5))


@pytest.mark.parametrize(
    ("limits", "fits", "breaks", "reason"),
    [
        ({"depth_max": 2}, [[]], [[[]]], Reason.TOO_DEEP),
        ({"depth_max": 2}, {"a": [1]}, {"a": [{}]}, Reason.TOO_DEEP),
        ({"depth_max": 0}, 1, [], Reason.TOO_DEEP),
        ({"array_length_max": 3}, [1, 2, 3], [1, 2, 3, 4], Reason.TOO_LONG),
        ({"array_length_max": 3}, [[1, 2, 3]], [[1, 2, 3, 4]], Reason.TOO_LONG),
        ({"map_length_max": 1}, {"a": 1}, {"a": 1, "b": 2}, Reason.TOO_LONG),
        ({"map_length_max": 1}, [{"a": 1}], [{"a": 1, "b": 2}], Reason.TOO_LONG),
    ],
)
def test_a_reader_may_ask_for_less(limits: dict[str, int], fits: Any, breaks: Any, reason: Reason) -> None:
    """The bound itself is inside."""
    assert codec.decode(codec.encode(fits), **limits) == fits
    with pytest.raises(DecodeError) as caught:
        codec.decode(codec.encode(breaks), **limits)
    assert caught.value.reason is reason


def test_lengths_up_to_the_limits_are_accepted() -> None:
    """4096 items and 256 keys."""
    for value in (list(range(ARRAY_LENGTH_MAX)), {f"{number}": number for number in range(MAP_LENGTH_MAX)}):
        assert codec.decode(codec.encode(value)) == value


# -- our own mistakes --------------------------------------------------------------------------------------------------


class _Word(StrEnum):
    A = "a"


class _Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1.0, TypeError),
        (object(), TypeError),
        ({1, 2}, TypeError),
        (bytearray(b"a"), TypeError),
        (memoryview(b"a"), TypeError),
        (_Word.A, TypeError),
        (_Number.ONE, TypeError),
        ({1: 2}, TypeError),
        ({b"a": 2}, TypeError),
        ({_Word.A: 2}, TypeError),
        ([1, [2.0]], TypeError),
        (INT_MAX + 1, ValueError),
        (INT_MIN - 1, ValueError),
        ("half\ud83d", ValueError),
        ({"half\ud83d": 1}, ValueError),
        ([None] * (ARRAY_LENGTH_MAX + 1), ValueError),
        ({str(number): None for number in range(MAP_LENGTH_MAX + 1)}, ValueError),
        ([[[[[[[[[]]]]]]]]], ValueError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_canonical_bytes_is_a_bug_and_loud(value: Any, error: type[Exception]) -> None:
    """Nothing is written that another node would refuse."""
    with pytest.raises(error):
        codec.encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    """By its depth, before the stack ends."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="levels"):
        codec.encode(value)
