"""One verdict on every machine: public collections and our own forgeries, judged by two libraries and a reference."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from tallystick.crypto import signatures
from tallystick.crypto.edwards import L, decode_point, is_identity, multiply
from tallystick.crypto.errors import SignatureError, SignatureReason
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import (
    SMALL,
    SignType,
    check_enrolment_key,
    is_valid,
    signed_bytes,
    verify,
)
from tests.crypto import curve_cases, reference
from tests.crypto.public_vectors import COLLECTIONS, Vector, every_vector, vectors

HONEST = SecretKey.from_seed(bytes(range(32)))
OTHER = SecretKey.from_seed(bytes(range(1, 33)))
MESSAGE = b"three sacks of flour"
SIGNATURE = HONEST.sign(MESSAGE)


def openssl(public: bytes, message: bytes, signature: bytes) -> bool:
    """What `cryptography` says, without any rule of ours."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def sodium(public: bytes, message: bytes, signature: bytes) -> bool:
    """What PyNaCl says, without any rule of ours."""
    try:
        crypto_sign_open(signature + message, public)
    except (BadSignatureError, ValueError):
        return False
    return len(signature) == 64


def passes_prechecks(public: bytes, signature: bytes) -> bool:
    """The rule's first half, from its words and the reference curve: what may reach a library at all."""
    if len(public) != 32 or len(signature) != 64:
        return False
    for data in (public, signature[:32]):
        point = reference.decode(data, lenient=True)
        if int.from_bytes(data, "little") % 2**255 >= reference.P:
            return False
        if point is not None and reference.is_small_order(point):
            return False
    return int.from_bytes(signature[32:], "little") < reference.L


def reason_of(public: bytes, message: bytes, signature: bytes) -> str:
    """The reason of a refusal, or `valid`."""
    try:
        verify(public, message, signature)
    except SignatureError as error:
        return str(error.reason)
    return "valid"


# -- public collections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_public_case_has_the_listed_verdict(collection: str) -> None:
    """The fast answer and the one with a reason both say what our list says."""
    wrong = [
        vector.name
        for vector in vectors(collection)
        if reason_of(vector.public, vector.message, vector.signature) != vector.expect
        or is_valid(vector.public, vector.message, vector.signature) is not (vector.expect == "valid")
    ]
    assert wrong == []


def test_the_collections_are_whole() -> None:
    """As many cases as were published, with acceptances and every refusal of a signature among them."""
    assert {name: len(vectors(name)) for name in COLLECTIONS} == {
        "cctv": 914,
        "speccheck": 12,
        "wycheproof": 151,
        "sign_input": 257,
    }
    seen = Counter(vector.expect for vector in every_vector())
    assert seen["valid"] > 300
    assert set(seen) == {
        "valid",
        "key-small-order",
        "nonce-not-canonical",
        "nonce-small-order",
        "scalar-range",
        "signature-length",
        "signature-mismatch",
    }


def test_behind_the_prechecks_both_libraries_and_the_reference_agree() -> None:
    """What passes the first half of the rule is judged alike by all three, and as our list says."""
    for vector in every_vector():
        arguments = (vector.public, vector.message, vector.signature)
        if not passes_prechecks(vector.public, vector.signature):
            assert not is_valid(*arguments), vector.name
            continue
        expected = vector.expect == "valid"
        assert openssl(*arguments) is expected, vector.name
        assert sodium(*arguments) is expected, vector.name
        # Each honest signature of the long list costs the reference some milliseconds; some of them are enough.
        if not vector.name.startswith("sign_input") or vector.number % 16 == 0:
            assert reference.holds(*arguments) is expected, vector.name


def test_without_the_prechecks_the_libraries_disagree() -> None:
    """Else the test before would show nothing: the libraries alone would split a ledger."""
    split = [
        vector
        for vector in every_vector()
        if openssl(vector.public, vector.message, vector.signature)
        is not sodium(vector.public, vector.message, vector.signature)
    ]
    assert len(split) > 100
    assert not any(vector.expect == "valid" for vector in split)


def test_our_rule_is_stricter_than_the_collections() -> None:
    """Nothing is valid here that a collection calls invalid; where it is the reverse, a point is of small order."""
    for vector in vectors("wycheproof"):
        if vector.note == "invalid":
            assert vector.expect != "valid", vector.name
        elif vector.expect != "valid":
            assert vector.expect.endswith("small-order"), vector.name


@pytest.mark.parametrize(
    ("seed", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                "d25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                "387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "af82",
            (
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                "4a7c15e9716ed28dc027beceea1ec40a"
            ),
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            (
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
            ),
            (
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
                "3dca179c138ac17ad9bef1177331a704"
            ),
        ),
    ],
)
def test_rfc_8032_signatures_are_made_and_accepted(seed: str, message: str, signature: str) -> None:
    """Section 7.1: TEST 1, 2, 3 and SHA(abc)."""
    secret = SecretKey.from_seed(bytes.fromhex(seed))
    data = bytes.fromhex(message)
    assert secret.sign(data).hex() == signature
    assert is_valid(secret.public, data, bytes.fromhex(signature))


# -- our own forgeries -------------------------------------------------------------------------------------------------


def test_every_kind_of_key_with_every_kind_of_nonce() -> None:
    """The verdict that follows from the construction, by our rule and, where they may judge, by both libraries."""
    seen: Counter[str] = Counter()
    for number, case in enumerate(curve_cases.every_pair()):
        arguments = (case.key.data, case.message, case.signature)
        assert reason_of(*arguments) == case.expect, case.name
        seen[case.expect] += 1
        if case.expect in ("valid", "signature-mismatch"):
            expected = case.expect == "valid"
            assert openssl(*arguments) is sodium(*arguments) is expected, case.name
            if number % 5 == 0:
                assert reference.strict(*arguments) is expected, case.name
    assert set(seen) == {"key-small-order", "nonce-small-order", "valid", "signature-mismatch"}
    assert min(seen.values()) > 20


def test_the_list_of_small_points_is_complete() -> None:
    """All encodings of a point whose order divides 8, found by a search over the curve."""
    assert {encoding.data for encoding in curve_cases.SMALL} == SMALL
    assert len(SMALL) == 14
    assert sum(encoding.is_canonical for encoding in curve_cases.SMALL) == 8


@pytest.mark.parametrize(
    ("public", "signature", "reason"),
    [
        (b"", SIGNATURE, "key-length"),
        (HONEST.public[:31], SIGNATURE, "key-length"),
        (HONEST.public + b"\0", SIGNATURE, "key-length"),
        (bytes(32), SIGNATURE, "key-small-order"),
        ((reference.P + 2).to_bytes(32, "little"), SIGNATURE, "key-not-canonical"),
        (b"\xff" * 32, SIGNATURE, "key-not-canonical"),
        (HONEST.public, b"", "signature-length"),
        (HONEST.public, SIGNATURE[:63], "signature-length"),
        (HONEST.public, SIGNATURE + b"\0", "signature-length"),
        (HONEST.public, bytes(64), "nonce-small-order"),
        (HONEST.public, (reference.P + 2).to_bytes(32, "little") + SIGNATURE[32:], "nonce-not-canonical"),
        (HONEST.public, SIGNATURE[:32] + reference.L.to_bytes(32, "little"), "scalar-range"),
        (HONEST.public, SIGNATURE[:32] + b"\xff" * 32, "scalar-range"),
        (HONEST.public, SIGNATURE[:32] + (reference.L - 1).to_bytes(32, "little"), "signature-mismatch"),
        (OTHER.public, SIGNATURE, "signature-mismatch"),
        (HONEST.public, OTHER.sign(MESSAGE), "signature-mismatch"),
        (HONEST.public, SIGNATURE, "valid"),
        # Two faults: the first of the order that is written down.
        (bytes(32), b"", "key-small-order"),
        (HONEST.public, bytes(32) + b"\xff" * 32, "nonce-small-order"),
    ],
)
def test_each_refusal_has_its_reason(public: bytes, signature: bytes, reason: str) -> None:
    """In the order in which they are tried; the fast answer is the same yes or no."""
    assert reason_of(public, MESSAGE, signature) == reason
    assert is_valid(public, MESSAGE, signature) is (reason == "valid")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=80))
def test_the_fast_tests_say_what_the_words_say(public: bytes, signature: bytes, message: bytes) -> None:
    """`is_valid` looks at single bytes where the rule has numbers; the outcome is the same."""
    assert is_valid(public, message, signature) is (reason_of(public, message, signature) == "valid")


_NEAR = st.sampled_from([0, 1, 2, reference.P - 2, reference.P - 1, reference.P, reference.P + 1, 2**255 - 1])


@given(_NEAR, st.booleans(), _NEAR, st.booleans(), st.integers(-3, 3))
def test_the_edges_of_the_ranges_are_exact(key: int, key_sign: bool, nonce: int, sign: bool, off: int) -> None:
    """Points around P and scalars around L: refused before the library, or judged, exactly as the rule says."""
    public = (key | key_sign << 255).to_bytes(32, "little")
    signature = (nonce | sign << 255).to_bytes(32, "little") + (reference.L + off).to_bytes(32, "little")
    reason = reason_of(public, b"", signature)
    assert (reason == "signature-mismatch") is passes_prechecks(public, signature)
    assert not is_valid(public, b"", signature)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.integers(0, 10_000))
def test_any_damage_is_noticed(seed: bytes, message: bytes, place: int) -> None:
    """A good signature holds for its key and message alone; one flipped bit anywhere breaks it."""
    secret = SecretKey.from_seed(seed)
    signature = secret.sign(message)
    assert is_valid(secret.public, message, signature)
    parts = [secret.public, signature, message]
    which = place % (3 if message else 2)
    part = bytearray(parts[which])
    part[place // 3 % len(part)] ^= 1 << place % 8
    parts[which] = bytes(part)
    public, signature, message = parts
    assert not is_valid(public, message, signature)


# -- keys that may be enrolled -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", curve_cases.KEYS, ids=lambda encoding: encoding.name)
def test_only_keys_of_prime_order_are_enrolled(encoding: curve_cases.Encoding) -> None:
    """One of the eight points that differ by a part of small order; the reason says which check found it."""
    if encoding.is_small:
        expect = SignatureReason.KEY_SMALL_ORDER
    elif encoding.torsion:
        expect = SignatureReason.KEY_MIXED_ORDER
    else:
        check_enrolment_key(encoding.data)
        return
    with pytest.raises(SignatureError) as caught:
        check_enrolment_key(encoding.data)
    assert caught.value.reason == expect


@pytest.mark.parametrize(
    ("public", "reason"),
    [
        (b"", "key-length"),
        (HONEST.public + b"\0", "key-length"),
        ((reference.P + 3).to_bytes(32, "little"), "key-not-canonical"),
        (b"\x02" + bytes(31), "key-not-on-curve"),
    ],
)
def test_what_is_no_point_is_not_enrolled(public: bytes, reason: str) -> None:
    """Lengths, second encodings, and numbers that belong to no point."""
    with pytest.raises(SignatureError) as caught:
        check_enrolment_key(public)
    assert caught.value.reason == reason


@given(st.binary(min_size=32, max_size=32))
def test_every_honest_key_can_be_enrolled(seed: bytes) -> None:
    """Whatever seed somebody draws; the short way and the long way agree."""
    public = SecretKey.from_seed(seed).public
    check_enrolment_key(public)
    assert signatures._is_shown_to_have_prime_order(public)
    point = decode_point(public)
    assert point is not None
    assert is_identity(multiply(L, point))


def test_no_key_with_a_part_of_small_order_takes_the_short_way() -> None:
    """Also a part of order 2, which the library's own question about a point has let through."""
    assert {each.torsion for each in curve_cases.KEYS} == set(range(8))
    for each in curve_cases.KEYS:
        assert signatures._is_shown_to_have_prime_order(each.data) == (not each.is_small and not each.torsion), each


# -- what is signed ----------------------------------------------------------------------------------------------------


def test_signed_bytes_keep_purposes_and_ledgers_apart() -> None:
    """The exact bytes, as any other program must make them; no purpose is the beginning of another."""
    ledger = bytes(range(32))
    assert signed_bytes(SignType.ENTRY, ledger, b"id") == b"tallystick/1/sign/entry\0" + ledger + b"id"
    prefixes = [signed_bytes(purpose, ledger, b"")[:-32] for purpose in SignType]
    assert len(set(prefixes)) == len(SignType) == 11
    assert not any(a != b and b.startswith(a) for a in prefixes for b in prefixes)
    assert all(re.fullmatch(rb"tallystick/1/sign/[a-z]+\0", prefix) for prefix in prefixes)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_ledger_id_of_another_size_is_never_signed(size: int) -> None:
    """Else bytes could move between the ledger id and what is said in it."""
    with pytest.raises(ValueError, match="32 bytes"):
        signed_bytes(SignType.ENTRY, bytes(size), b"")


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    """Nor in another ledger."""
    signature = HONEST.sign(signed_bytes(SignType.ENTRY, bytes(32), bytes(32)))
    assert is_valid(HONEST.public, signed_bytes(SignType.ENTRY, bytes(32), bytes(32)), signature)
    assert not is_valid(HONEST.public, signed_bytes(SignType.BUNDLE, bytes(32), bytes(32)), signature)
    assert not is_valid(HONEST.public, signed_bytes(SignType.ENTRY, b"\1" * 32, bytes(32)), signature)


def test_vectors_know_their_place() -> None:
    """A name leads back to the collection and the number."""
    first: Vector = vectors("speccheck")[0]
    assert (first.name, first.number, first.expect) == ("speccheck 0", 0, "key-small-order")
