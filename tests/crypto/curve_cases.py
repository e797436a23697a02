"""Signatures that no honest signer makes, built from known discrete logarithms.

Every point here is [log]B + [torsion]T with T of order 8, so for any pair of a key A and a nonce R the scalar S that
verifies is known, and whether the parts of small order cancel is arithmetic modulo 8:

    S = log R + k * log A (mod L)         verifies with the cofactor, always
    torsion R + k * torsion A = 0 (mod 8)   and then without the cofactor too

The same situations as in the public collections of edge cases, but made here, all of them, from nothing but the curve.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha512

from tests.crypto.reference import BASE, IDENTITY, L, P, Point, add, challenge, decode, encode, equal, multiply


def _torsion_base() -> Point:
    """A point of order exactly 8: L times a point whose part of small order is a generator."""
    for y in range(2, 100):
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            candidate = multiply(L, point)
            if not equal(multiply(4, candidate), IDENTITY):
                return candidate
    raise AssertionError("no point of order 8 found")


TORSION_BASE = _torsion_base()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """32 bytes that some decoder takes for a point, and what the point is."""

    name: str
    data: bytes
    log: int
    """The discrete logarithm of the part of order L; 0 for a point of small order."""
    torsion: int
    """The multiple of `TORSION_BASE`, modulo 8."""
    canonical: bytes
    """The one right encoding of the same point."""

    @property
    def is_small(self) -> bool:
        return self.log == 0

    @property
    def is_canonical(self) -> bool:
        return self.data == self.canonical


def small_encodings() -> list[Encoding]:
    """All encodings of the 8 points of small order, found by trying every sign and every y + P below 2^255."""
    found = []
    for torsion in range(8):
        point = multiply(torsion, TORSION_BASE)
        canonical = encode(point)
        y = int.from_bytes(canonical, "little") % 2**255
        for alias in (y, y + P):
            for sign in (0, 1):
                data = (alias | sign << 255).to_bytes(32, "little") if alias < 2**255 else b""
                read = decode(data, lenient=True) if data else None
                if read is not None and equal(read, point):
                    name = f"small {torsion}" if data == canonical else f"small {torsion} alias {data[:1].hex()}{sign}"
                    found.append(Encoding(name=name, data=data, log=0, torsion=torsion, canonical=canonical))
    return found


def large_encodings(label: str) -> list[Encoding]:
    """A point of order L and the seven that differ from it by a point of small order."""
    log = int.from_bytes(sha512(label.encode()).digest(), "little") % L
    made = []
    for torsion in range(8):
        data = encode(add(multiply(log, BASE), multiply(torsion, TORSION_BASE)))
        name = f"mixed {torsion}" if torsion else "prime"
        made.append(Encoding(name=name, data=data, log=log, torsion=torsion, canonical=data))
    return made


SMALL = small_encodings()
KEYS = SMALL + large_encodings("key")
NONCES = SMALL + large_encodings("nonce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One signature and what the construction says of it."""

    name: str
    key: Encoding
    nonce: Encoding
    message: bytes
    scalar: int
    cancels: bool
    """Whether the parts of small order cancel, so that it verifies without the cofactor."""

    @property
    def signature(self) -> bytes:
        return self.nonce.data + self.scalar.to_bytes(32, "little")

    @property
    def expect(self) -> str:
        """The verdict under the strict rule, from the construction alone."""
        if self.key.is_small:
            return "key-small-order"
        if self.nonce.is_small:
            return "nonce-small-order"
        if self.scalar >= L:
            return "scalar-range"
        return "valid" if self.cancels else "signature-mismatch"


def forge(
    name: str,
    key: Encoding,
    nonce: Encoding,
    wanted: Callable[[int], bool],
    *,
    reduced_hash: bool = False,
    raise_scalar: int = 0,
) -> Case | None:
    """Search a message whose challenge k pleases `wanted`, and solve for S; None when none of 200 does.

    `reduced_hash` takes k over the canonical encodings, as a verifier does that encodes the points anew.
    `raise_scalar` adds that multiple of L to S.
    """
    for number in range(200):
        message = f"{name} {number}".encode()
        nonce_hashed, key_hashed = (nonce.canonical, key.canonical) if reduced_hash else (nonce.data, key.data)
        k = challenge(nonce_hashed, key_hashed, message)
        if wanted(k):
            scalar = (nonce.log + k * key.log) % L + raise_scalar * L
            cancels = (nonce.torsion + k * key.torsion) % 8 == 0
            return Case(name=name, key=key, nonce=nonce, message=message, scalar=scalar, cancels=cancels)
    return None


def every_pair() -> Iterator[Case]:
    """Every kind of key with every kind of nonce: a case that needs no cofactor and one that does, where they exist."""
    for key in KEYS:
        for nonce in NONCES:

            def cancels(k: int, key: Encoding = key, nonce: Encoding = nonce) -> bool:
                return (nonce.torsion + k * key.torsion) % 8 == 0

            def remains(k: int, key: Encoding = key, nonce: Encoding = nonce) -> bool:
                return (nonce.torsion + k * key.torsion) % 8 != 0

            for word, wanted in (("cancels", cancels), ("remains", remains)):
                for reduced in (False, True) if not (key.is_canonical and nonce.is_canonical) else (False,):
                    name = f"key {key.name}, nonce {nonce.name}, {word}{', hash of canonical' if reduced else ''}"
                    case = forge(name, key, nonce, wanted, reduced_hash=reduced)
                    if case is not None:
                        yield case


def self_test_cases() -> list[Case]:
    """The 16 situations of the start-up self-test: 12 on which verifiers differ, 4 that need a cofactor."""
    small = {encoding.name: encoding for encoding in SMALL}
    key = {encoding.torsion: encoding for encoding in KEYS if not encoding.is_small}
    nonce = {encoding.torsion: encoding for encoding in NONCES if not encoding.is_small}
    alias = next(e for e in SMALL if not e.is_canonical and e.torsion == 4)

    def cancels(a: Encoding, r: Encoding) -> Callable[[int], bool]:
        return lambda k: (r.torsion + k * a.torsion) % 8 == 0

    def remains(a: Encoding, r: Encoding) -> Callable[[int], bool]:
        return lambda k: (r.torsion + k * a.torsion) % 8 != 0

    def prereduced(a: Encoding) -> Callable[[int], bool]:
        # Multiplying by 8 before A does not clear its part of small order once 8k is reduced modulo L.
        return lambda k: k * a.torsion % 8 != 0 and 8 * k % L * a.torsion % 8 != 0

    top = (2**256 - 1) // L - 1
    made = (
        forge("key and nonce small", small["small 1"], small["small 3"], cancels(small["small 1"], small["small 3"])),
        forge("key small", small["small 1"], nonce[3], cancels(small["small 1"], nonce[3])),
        forge("nonce small", key[1], small["small 3"], cancels(key[1], small["small 3"])),
        forge("key and nonce mixed, no cofactor needed", key[1], nonce[3], cancels(key[1], nonce[3])),
        forge("key and nonce mixed, cofactor needed", key[1], nonce[3], remains(key[1], nonce[3])),
        forge("key mixed, cofactor applied to the hash", key[1], nonce[0], prereduced(key[1])),
        forge("scalar above L", key[0], nonce[0], lambda _: True, raise_scalar=1),
        forge("scalar far above L", key[0], nonce[0], lambda _: True, raise_scalar=top),
        forge("nonce alias, hash of canonical", key[1], alias, cancels(key[1], alias), reduced_hash=True),
        forge("nonce alias, hash as sent", key[1], alias, cancels(key[1], alias)),
        forge("key alias, hash of canonical", alias, nonce[4], cancels(alias, nonce[4]), reduced_hash=True),
        forge("key alias, hash as sent", alias, nonce[4], cancels(alias, nonce[4])),
        forge("residue of order 8 from the nonce", key[0], nonce[1], lambda _: True),
        forge("residue of order 2 from the nonce", key[0], nonce[4], lambda _: True),
        forge("residue from the key", key[2], nonce[0], remains(key[2], nonce[0])),
        forge("residue from key and nonce", key[3], nonce[5], remains(key[3], nonce[5])),
    )
    cases = [case for case in made if case is not None]
    assert len(cases) == len(made), "a self-test case could not be built"
    return cases
