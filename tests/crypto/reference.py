"""Ed25519 verification in plain Python, written from RFC 8032 alone: a third judge beside the two libraries.

It imports nothing of Tallystick and shares no formula with `tallystick.crypto.edwards`: projective coordinates here,
extended ones there. Slow (some milliseconds a signature) and not for secrets.

Source: RFC 8032, sections 5.1.1 to 5.1.7.
"""

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = (-121665 * pow(121666, P - 2, P)) % P

Point = tuple[int, int, int]
"""(X, Y, Z) with x = X/Z and y = Y/Z."""

IDENTITY: Point = (0, 1, 1)


def add(p: Point, q: Point) -> Point:
    """The complete twisted Edwards addition law in projective coordinates."""
    a = p[2] * q[2] % P
    b = a * a % P
    c = p[0] * q[0] % P
    d = p[1] * q[1] % P
    e = D * c * d % P
    f = (b - e) % P
    g = (b + e) % P
    x = a * f * ((p[0] + p[1]) * (q[0] + q[1]) - c - d) % P
    y = a * g * (d + c) % P
    return (x, y, f * g % P)


def multiply(scalar: int, point: Point) -> Point:
    """[scalar]point, from the lowest bit up."""
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(p: Point, q: Point) -> bool:
    """Whether two triples are one point."""
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def encode(point: Point) -> bytes:
    """The one canonical encoding of a point."""
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data: bytes, *, lenient: bool = False) -> Point | None:
    """The point of an encoding; lenient: y may be P or more and x = 0 may carry a sign, as some decoders permit."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number % 2**255
    if y >= P and not lenient:
        return None
    y %= P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    if x == 0 and sign and not lenient:
        return None
    return ((P - x) % P if x & 1 != sign else x, y, 1)


_BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
assert _BASE is not None
BASE: Point = _BASE


def challenge(nonce: bytes, public: bytes, message: bytes) -> int:
    """k = SHA-512(R, A, M) mod L."""
    return int.from_bytes(sha512(nonce + public + message).digest(), "little") % L


def holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032 verification without the cofactor: [S]B = R + [k]A, every encoding canonical, S below L."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = decode(public), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = challenge(signature[:32], public, message)
    return equal(multiply(s, BASE), add(r, multiply(k, a)))


def is_small_order(point: Point) -> bool:
    """Whether eight times the point is the identity."""
    return equal(multiply(8, point), IDENTITY)


def strict(public: bytes, message: bytes, signature: bytes) -> bool:
    """The rule of Tallystick, from its words: no point of small order, and RFC 8032 for the rest."""
    if len(public) != 32 or len(signature) != 64:
        return False
    for data in (public, signature[:32]):
        point = decode(data)
        if point is None or is_small_order(point):
            return False
    return holds(public, message, signature)
