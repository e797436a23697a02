"""Ed25519 signatures with one verdict on every machine.

Libraries disagree on signatures that no honest signer makes: points of small order, second encodings of a point,
scalars that are too large. A ledger splits where two machines disagree, so the rule is our own and stricter than any
library: the checks here come first, and only what passes them reaches the library, where all libraries agree.

    P = 2^255 - 19,  L = 2^252 + 27742317777372353535851937790883648493
    point_ok(b):      32 bytes, not one of the 14 encodings of a point of small order, (b mod 2^255) < P
    verify(A, m, s):  len(s) = 64, point_ok(A), point_ok(s[:32]), s[32:] < L, then RFC 8032 without the cofactor
    enrolling A:      point_ok(A), A is on the curve, [L]A is the identity

The verifier is libsodium through PyNaCl: twice as fast as OpenSSL here, and its calls release the interpreter lock, so
signatures can be judged on several cores. It is loaded at the first use, so that programs which only read stay light.

Source: docs/spec/entries.md; RFC 8032, section 5.1.7.
"""

from enum import StrEnum
from typing import Any, Final

from tallystick.crypto.edwards import L, P, decode_point, is_identity, multiply
from tallystick.crypto.errors import SignatureError, SignatureReason

PUBLIC_SIZE_BYTES: Final = 32
SIGNATURE_SIZE_BYTES: Final = 64

SMALL: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        # Order 1, 2 and 4, each followed by its other encodings: y not below P, or the sign of x = 0 set.
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        # Order 8.
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""All encodings of the 8 points of small order: 8 canonical and 6 others that some decoders accept."""

_Y_MASK: Final = 2**255 - 1
_L_LESS_1: Final = (L - 1).to_bytes(32, "little")


class SignType(StrEnum):
    """What a signature is for; it is part of the signed bytes, so no signature serves two purposes.

    The signing key signs entry, invite, recovery, bundle and refound; the node key signs ready, proposal, prevote,
    precommit and status; both sign possession when they are enrolled.
    """

    ENTRY = "entry"
    READY = "ready"
    PROPOSAL = "proposal"
    PREVOTE = "prevote"
    PRECOMMIT = "precommit"
    STATUS = "status"
    BUNDLE = "bundle"
    INVITE = "invite"
    RECOVERY = "recovery"
    POSSESSION = "possession"
    REFOUND = "refound"


_PREFIX: Final = {sign_type: b"tallystick/1/sign/" + sign_type.encode() + b"\0" for sign_type in SignType}


def signed_bytes(sign_type: SignType, ledger: bytes, payload: bytes) -> bytes:
    """Return what is signed: "tallystick/1/sign/" + type + NUL + ledger id (32 bytes) + payload.

    The payload is the 32-byte id for an entry and the canonical array for everything else.
    """
    if len(ledger) != 32:
        # Any other length would let bytes move between the ledger id and the payload.
        raise ValueError("a ledger id has 32 bytes")
    return _PREFIX[sign_type] + ledger + payload


# libsodium's crypto_sign_open and cffi's NULL, once loaded. Typed Any: PyNaCl has no types for its lowest layer.
_open: Any = None
_null: Any = None


def _load() -> Any:
    """Load libsodium and return its crypto_sign_open."""
    global _null, _open  # noqa: PLW0603
    # The compiled layer under `nacl.bindings`: importing it takes 1 ms instead of 15, and a call with NULL for the
    # opened message copies nothing. cffi releases the interpreter lock around every call.
    from nacl._sodium import ffi, lib

    if lib.sodium_init() < 0:
        raise SignatureError(SignatureReason.LIBRARY_DEVIATES, "libsodium does not start")
    # In this order: another thread that sees `_open` must find `_null` too.
    _null = ffi.NULL
    _open = lib.crypto_sign_open
    return _open


def is_valid(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `message` by `public`, under the strict rule. Never raises for bytes.

    The hot path of the whole program: under the rule's words stand cheaper tests with the same outcome. A number below
    2^255 is at least P only if bytes 1 to 30 are all 255, so one byte settles nearly every point; a number whose last
    byte is below 16 is below 2^252 and so below L.
    """
    if len(signature) != 64 or len(public) != 32 or public in SMALL:
        return False
    nonce = signature[:32]
    if (
        nonce in SMALL
        or (signature[63] > 15 and int.from_bytes(signature[32:], "little") >= L)
        or (public[30] == 255 and int.from_bytes(public, "little") & _Y_MASK >= P)
        or (nonce[30] == 255 and int.from_bytes(nonce, "little") & _Y_MASK >= P)
    ):
        return False
    # `_load()` comes before the arguments are read, so `_null` is set when it is passed.
    return bool((_open or _load())(_null, _null, signature + message, 64 + len(message), public) == 0)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise unless `is_valid`, saying why; for places where the reason is shown.

    Raises SignatureError: key-length, key-small-order, key-not-canonical, signature-length, nonce-small-order,
    nonce-not-canonical, scalar-range, signature-mismatch, tried in that order.
    """
    _check_key(public)
    if len(signature) != SIGNATURE_SIZE_BYTES:
        raise SignatureError(SignatureReason.SIGNATURE_LENGTH)
    nonce = signature[:32]
    if nonce in SMALL:
        raise SignatureError(SignatureReason.NONCE_SMALL_ORDER)
    if int.from_bytes(nonce, "little") & _Y_MASK >= P:
        raise SignatureError(SignatureReason.NONCE_NOT_CANONICAL)
    if int.from_bytes(signature[32:], "little") >= L:
        raise SignatureError(SignatureReason.SCALAR_RANGE)
    if not is_valid(public, message, signature):
        raise SignatureError(SignatureReason.MISMATCH)


def check_enrolment_key(public: bytes) -> None:
    """Raise unless a key may be enrolled in a ledger; about 0.1 ms, and 2 ms for one that may not.

    A key with a part of small order would pass `is_valid` for some messages only. No honest key is one.

    Raises SignatureError: key-length, key-small-order, key-not-canonical, key-not-on-curve, key-mixed-order, tried in
    that order.
    """
    _check_key(public)
    if _is_shown_to_have_prime_order(public):
        return
    point = decode_point(public)
    if point is None:
        raise SignatureError(SignatureReason.KEY_NOT_ON_CURVE)
    if not is_identity(multiply(L, point)):
        raise SignatureError(SignatureReason.KEY_MIXED_ORDER)


def _is_shown_to_have_prime_order(public: bytes) -> bool:
    """Whether libsodium's arithmetic gives [L-1]A = -A, which is so exactly where [L]A is the identity.

    Its own `crypto_core_ed25519_is_valid_point` is not asked: in some releases it lets points through that have a part
    of order 2. False says nothing here: the long way has the verdict then.
    """
    from nacl._sodium import ffi, lib

    if not lib.PYNACL_HAS_CRYPTO_SCALARMULT_ED25519:
        return False
    product = ffi.new("unsigned char[32]")
    if lib.crypto_scalarmult_ed25519_noclamp(product, _L_LESS_1, public):
        return False
    return bytes(product) == public[:31] + bytes((public[31] ^ 0x80,))


def _check_key(public: bytes) -> None:
    if len(public) != PUBLIC_SIZE_BYTES:
        raise SignatureError(SignatureReason.KEY_LENGTH)
    if public in SMALL:
        raise SignatureError(SignatureReason.KEY_SMALL_ORDER)
    if int.from_bytes(public, "little") & _Y_MASK >= P:
        raise SignatureError(SignatureReason.KEY_NOT_CANONICAL)


def self_test() -> None:
    """Judge the built-in cases and raise on any verdict that is not the expected one; about 2 ms.

    A node runs this at its start and refuses to go on: with a library that judges otherwise it would leave its ledger
    without knowing.

    Raises SignatureError: library-deviates.
    """
    from tallystick.crypto.selftest import CASES

    for name, public, message, signature, expected in CASES:
        if is_valid(public, message, signature) is not expected:
            verdict = "refused" if expected else "accepted"
            raise SignatureError(SignatureReason.LIBRARY_DEVIATES, f"the self-test case '{name}' was {verdict}")
