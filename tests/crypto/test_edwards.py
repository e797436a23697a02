"""The curve in plain Python, compared with another one written from the same paper and with the libraries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.edwards import IDENTITY, L, P, Point, add, decode_point, double, is_identity, multiply
from tallystick.crypto.keys import SecretKey
from tests.crypto import curve_cases, reference

BASE_DATA = (4 * pow(5, -1, P) % P).to_bytes(32, "little")
_scalars = st.integers(0, 2**256)


def base() -> Point:
    point = decode_point(BASE_DATA)
    assert point is not None
    return point


def encoded(point: Point) -> bytes:
    """The canonical encoding, so that points of different coordinates can be compared."""
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_constants_are_those_of_the_rfc() -> None:
    """Not copied from the module: as they stand in RFC 8032, section 5.1."""
    assert (P, L) == (reference.P, reference.L)
    assert not is_identity(base())
    assert is_identity(multiply(L, base()))
    assert is_identity(IDENTITY)


@given(st.binary(min_size=32, max_size=32))
def test_decoding_agrees_with_the_reference(data: bytes) -> None:
    """About half of all numbers are points; both say which, and what they are."""
    point, other = decode_point(data), reference.decode(data)
    assert (point is None) is (other is None)
    if point is not None and other is not None:
        assert encoded(point) == reference.encode(other) == data
        x, y, z, t = point
        assert (x * y - z * t) % P == 0, "the fourth coordinate belongs to the others"


@pytest.mark.parametrize("encoding", curve_cases.KEYS + curve_cases.NONCES, ids=lambda encoding: encoding.name)
def test_only_canonical_encodings_are_points(encoding: curve_cases.Encoding) -> None:
    """Second encodings, of y not below P or with a sign for x = 0, are none."""
    point = decode_point(encoding.data)
    assert (point is not None) is encoding.is_canonical
    if point is not None:
        assert is_identity(multiply(8, point)) is encoding.is_small
        assert is_identity(multiply(L, point)) is (encoding.torsion == 0)


@given(_scalars, _scalars)
def test_sums_agree_with_the_reference(a: int, b: int) -> None:
    """Two formulas for one group."""
    p, q = multiply(a, base()), multiply(b, base())
    assert encoded(add(p, q)) == encoded(multiply(a + b, base()))
    assert encoded(add(p, q)) == reference.encode(reference.multiply((a + b) % L, reference.BASE))
    assert encoded(double(p)) == encoded(add(p, p)) == encoded(multiply(2 * a, base()))


@pytest.mark.parametrize("scalar", [0, 1, 2, 8, L - 1, L, L + 1, 8 * L])
def test_scalars_are_not_reduced_first(scalar: int) -> None:
    """On a point with a part of small order, L times it is not nothing."""
    mixed = next(each for each in curve_cases.KEYS if each.name == "mixed 1")
    point, other = decode_point(mixed.data), reference.decode(mixed.data)
    assert point is not None and other is not None
    assert encoded(multiply(scalar, point)) == reference.encode(reference.multiply(scalar, other))
    assert is_identity(multiply(scalar, point)) is (scalar % (8 * L) == 0)


@given(st.binary(min_size=32, max_size=32))
def test_public_keys_of_the_library_are_points_of_prime_order(seed: bytes) -> None:
    """What OpenSSL derives decodes here, and to nothing of small order."""
    point = decode_point(SecretKey.from_seed(seed).public)
    assert point is not None
    assert is_identity(multiply(L, point)) and not is_identity(multiply(8, point))
