"""The curve of Ed25519 in plain Python: as much of it as judging a key needs.

Used once for each key that is enrolled, never for a signature: a few milliseconds a point. Nothing here is secret, so
nothing needs to run in constant time.

Source: RFC 8032, sections 5.1.3 and 5.1.4.
"""

from typing import Final

P: Final = 2**255 - 19
"""The prime of the field."""
L: Final = 2**252 + 27742317777372353535851937790883648493
"""The prime order of the group that the base point spans; the curve has 8 * L points."""
D: Final = -121665 * pow(121666, -1, P) % P

_SQRT_MINUS_ONE: Final = pow(2, (P - 1) // 4, P)
_Y_MASK: Final = 2**255 - 1

Point = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x * y = T/Z."""

IDENTITY: Final[Point] = (0, 1, 1, 0)


def decode_point(data: bytes) -> Point | None:
    """Return the point that 32 bytes encode, or None when they encode none: y not below P, no such x, or x = -0."""
    number = int.from_bytes(data, "little")
    sign = number >> 255
    y = number & _Y_MASK
    if y >= P:
        return None
    # x^2 = u/v, and its root is u*v^3*(u*v^7)^((p-5)/8), perhaps times the root of -1: no division needed.
    u = (y * y - 1) % P
    v = (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P != 0:
        if (v * x * x + u) % P != 0:
            return None
        x = x * _SQRT_MINUS_ONE % P
    if x == 0 and sign == 1:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def add(p: Point, q: Point) -> Point:
    """Return p + q, with one formula for every pair of points, p = q included."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def double(p: Point) -> Point:
    """Return p + p, cheaper than `add`."""
    a = p[0] * p[0] % P
    b = p[1] * p[1] % P
    c = 2 * p[2] * p[2] % P
    h = a + b
    e = h - (p[0] + p[1]) * (p[0] + p[1]) % P
    g = a - b
    f = c + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    """Return [scalar]point, for a scalar >= 0 that is not reduced first: a point need not have order L."""
    result = IDENTITY
    for bit in bin(scalar)[2:]:
        result = double(result)
        if bit == "1":
            result = add(result, point)
    return result


def is_identity(point: Point) -> bool:
    """Whether a point is the neutral one, (0, 1)."""
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0
