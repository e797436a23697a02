"""The sealed key file: opened by another library too, old ones for ever, and every damage refused."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any

import cryptography.hazmat.primitives.kdf.argon2 as argon2
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_decrypt, crypto_pwhash_alg, crypto_pwhash_ALG_ARGON2ID13

from tallystick.crypto import keystore
from tallystick.crypto.errors import KeystoreError
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.keystore import PASSPHRASE_LENGTH_MAX, Cost, public_of, seal, unseal

SEED = bytes(range(32))
SALT = bytes(range(16))
NONCE = bytes(range(12))
PUBLIC = SecretKey.from_seed(SEED).public
CHEAP = Cost(memory_kib=32, passes=1, lanes=1)
CHEAP_SCRYPT = Cost("scrypt", memory_kib=32, passes=1, lanes=1)

# Written by the first version. A later one must open them, whatever it writes itself.
OLD_ARGON2ID = (
    b'TALLYKEY1\n{"v":1,"public":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","kdf":"argon2id",'
    b'"m":65536,"t":3,"p":4,"salt":"000102030405060708090a0b0c0d0e0f","nonce":"000102030405060708090a0b"}\n'
) + bytes.fromhex("818afcba21f890683f4d07fb33a7b0f562701bba7e11fe613aaa4913182b84691591fcd2ee91815aa1f4acc2eba592a7")
OLD_SCRYPT = (
    b'TALLYKEY1\n{"v":1,"public":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","kdf":"scrypt",'
    b'"m":131072,"t":1,"p":1,"salt":"000102030405060708090a0b0c0d0e0f","nonce":"000102030405060708090a0b"}\n'
) + bytes.fromhex("b2e1ef92812be08f50505410 04c8d2d660c5f37c81883d3a2260d40c8617032f4958aadf1987b79406701e923814fa83")


def sealed(passphrase: str = "tally", cost: Cost = CHEAP, seed: bytes = SEED) -> bytes:
    return seal(seed, passphrase, salt=SALT, nonce=NONCE, cost=cost)


def header_of(blob: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(blob.split(b"\n")[1])
    return header


def with_header(blob: bytes, **changes: Any) -> bytes:
    """The same file with other words in its header; None takes one out."""
    row = {key: value for key, value in (header_of(blob) | changes).items() if value is not None}
    return b"TALLYKEY1\n" + json.dumps(row, separators=(",", ":")).encode() + b"\n" + blob[-48:]


def reason_of(blob: bytes, passphrase: str = "tally") -> str:
    with pytest.raises(KeystoreError) as caught:
        unseal(blob, passphrase)
    assert passphrase == "" or passphrase not in str(caught.value)
    return str(caught.value.reason)


# -- there and back ----------------------------------------------------------------------------------------------------


@given(
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.sampled_from([CHEAP, CHEAP_SCRYPT, Cost(memory_kib=64, passes=2, lanes=2), Cost("scrypt", 16, 1, 2)]),
)
def test_what_is_sealed_can_be_unsealed(seed: bytes, passphrase: str, cost: Cost) -> None:
    """With the same words, whatever they are; and the public key is there without them."""
    blob = sealed(passphrase, cost, seed)
    key = unseal(blob, passphrase)
    assert (key.seed, key.public) == (seed, SecretKey.from_seed(seed).public)
    assert public_of(blob) == key.public
    assert seed not in blob and seed.hex().encode() not in blob
    assert reason_of(blob, passphrase + "x") == "wrong-passphrase"


@pytest.mark.parametrize("blob", [OLD_ARGON2ID, OLD_SCRYPT])
def test_old_files_are_opened_for_ever(blob: bytes) -> None:
    """At the cost they were written with."""
    assert unseal(blob, "k\u00e4se & brot").seed == SEED
    assert public_of(blob) == PUBLIC


def test_what_is_written_today_is_what_the_first_version_wrote() -> None:
    """Byte for byte, at the cost that is used when none is named."""
    assert seal(SEED, "k\u00e4se & brot", salt=SALT, nonce=NONCE) == OLD_ARGON2ID
    assert header_of(OLD_ARGON2ID) | {"m": 65536, "t": 3, "p": 4} == header_of(OLD_ARGON2ID)


def test_another_library_opens_it() -> None:
    """libsodium derives the same key with Argon2id and decrypts, the header being what is authenticated."""
    blob = sealed("tally")
    derived = crypto_pwhash_alg(32, b"tally", SALT, 1, 32 * 1024, crypto_pwhash_ALG_ARGON2ID13)
    assert crypto_aead_chacha20poly1305_ietf_decrypt(blob[-48:], blob[:-48], NONCE, derived) == SEED


def test_the_standard_library_opens_the_other_kind() -> None:
    """scrypt of hashlib, with N equal to the memory in KiB and r = 8."""
    blob = sealed("tally", CHEAP_SCRYPT)
    derived = hashlib.scrypt(b"tally", salt=SALT, n=32, r=8, p=1, dklen=32)
    assert crypto_aead_chacha20poly1305_ietf_decrypt(blob[-48:], blob[:-48], NONCE, derived) == SEED


def test_without_argon2_scrypt_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenSSL is too old; the file says which it was, and such a machine says what it cannot open."""

    def unsupported(*_: Any, **__: Any) -> None:
        raise UnsupportedAlgorithm("argon2id is not supported by this version of OpenSSL")

    monkeypatch.setattr(argon2, "Argon2id", unsupported)
    cost = keystore._best_cost()
    assert (cost.kdf, cost.memory_kib) == ("scrypt", 131_072)
    assert header_of(OLD_SCRYPT)["kdf"] == "scrypt"
    assert reason_of(OLD_ARGON2ID) == "cannot-derive"


# -- passphrases -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("k\u00e4se", "ka\u0308se"),
        ("\uff54\uff41\uff4c\uff4c\uff59", "tally"),
        ("\ufb01sh", "fish"),
        ("\u30ab\u3099", "\u30ac"),
    ],
)
def test_two_keyboards_spell_one_passphrase(typed: str, meant: str) -> None:
    """Composed or not, full-width or not: what looks the same opens the same file."""
    assert unicodedata.normalize("NFKC", typed) == unicodedata.normalize("NFKC", meant)
    assert unseal(sealed(typed), meant).seed == unseal(sealed(meant), typed).seed == SEED


@pytest.mark.parametrize("other", ["Tally", "tally ", " tally", "tall", "tally\n", "t\u0430lly"])
def test_what_is_another_passphrase_stays_one(other: str) -> None:
    """Capitals, blanks and look-alikes are not forgiven."""
    assert reason_of(sealed("tally"), other) == "wrong-passphrase"


@pytest.mark.parametrize("passphrase", ["", "x" * (PASSPHRASE_LENGTH_MAX + 1), "half\ud83d"])
def test_an_unusable_passphrase_is_refused_both_ways(passphrase: str) -> None:
    """None at all, a whole book, or half a character."""
    with pytest.raises(KeystoreError) as caught:
        sealed(passphrase)
    assert caught.value.reason == "passphrase-unusable"
    assert reason_of(sealed("tally"), passphrase) == "passphrase-unusable"


def test_the_longest_passphrase_works() -> None:
    """The bound itself is inside."""
    passphrase = "\u00e4" * PASSPHRASE_LENGTH_MAX
    assert unseal(sealed(passphrase), passphrase).seed == SEED


@pytest.mark.parametrize("sizes", [(31, 16, 12), (33, 16, 12), (32, 15, 12), (32, 16, 11), (32, 0, 0)])
def test_luck_of_another_size_is_a_bug(sizes: tuple[int, int, int]) -> None:
    """The caller drew the wrong number of bytes."""
    seed, salt, nonce = map(bytes, sizes)
    with pytest.raises(ValueError, match="bytes"):
        seal(seed, "tally", salt=salt, nonce=nonce, cost=CHEAP)


# -- damage ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_any_flipped_bit_is_refused(place: int, bit: int) -> None:
    """In the header or in the ciphertext: no part of the file can be changed by somebody without the passphrase."""
    blob = bytearray(sealed())
    blob[place % len(blob)] ^= 1 << bit
    assert reason_of(bytes(blob)) in {"wrong-passphrase", "key-file-damaged", "key-file-too-new", "key-file-cost"}


@given(st.integers(0, 10_000), st.binary(max_size=3))
def test_any_cut_is_refused(place: int, rest: bytes) -> None:
    """As a full disk, a mail program or an editor leaves it."""
    blob = sealed()
    cut = blob[: place % len(blob)]
    assert reason_of(cut) == "key-file-damaged"
    assert reason_of(blob + rest + b"\0") == "key-file-damaged"


@pytest.mark.parametrize(
    "changes",
    [
        {"public": SecretKey.from_seed(bytes(32)).public.hex()},
        {"m": 64},
        {"m": 16},
        {"t": 2},
        {"kdf": "scrypt"},
        {"salt": "00" * 16},
        {"nonce": "00" * 12},
        {"more": 1},
    ],
)
def test_every_field_of_the_header_is_authenticated(changes: dict[str, Any]) -> None:
    """A cheaper cost or another public key is not believed, though the file is well formed."""
    changed = with_header(sealed(), **changes)
    assert public_of(changed) == bytes.fromhex(changes.get("public", PUBLIC.hex()))
    assert reason_of(changed) == "wrong-passphrase"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"m": 2**20 + 1}, "key-file-cost"),
        ({"m": 2**40}, "key-file-cost"),
        ({"m": 10**300}, "key-file-cost"),
        ({"t": 11}, "key-file-cost"),
        ({"t": 0}, "key-file-cost"),
        ({"t": -1}, "key-file-cost"),
        ({"p": 17}, "key-file-cost"),
        ({"p": 0}, "key-file-cost"),
        ({"m": 7}, "key-file-cost"),
        ({"m": 31, "p": 4}, "key-file-cost"),
        ({"m": 0}, "key-file-cost"),
        ({"m": -8}, "key-file-cost"),
        ({"kdf": "md5"}, "key-file-cost"),
        ({"kdf": "scrypt", "m": 33}, "key-file-cost"),
        ({"kdf": "scrypt", "m": 2**20, "p": 2}, "key-file-cost"),
        ({"m": "65536"}, "key-file-damaged"),
        ({"m": 65536.0}, "key-file-damaged"),
        ({"m": True}, "key-file-damaged"),
        ({"t": []}, "key-file-damaged"),
        ({"public": PUBLIC.hex()[:-2]}, "key-file-damaged"),
        ({"public": "z" * 64}, "key-file-damaged"),
        ({"public": 7}, "key-file-damaged"),
        ({"salt": "00" * 15}, "key-file-damaged"),
        ({"nonce": "00" * 13}, "key-file-damaged"),
        ({"nonce": None}, "key-file-damaged"),
        ({"kdf": None}, "key-file-damaged"),
        ({"v": 2}, "key-file-damaged"),
        ({"v": None}, "key-file-damaged"),
        ({"note": "x" * 1100}, "key-file-damaged"),
    ],
)
def test_absurd_headers_are_refused_before_anything_is_derived(
    changes: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cannot make a machine work for minutes; neither question gets as far as the passphrase."""

    def derived(*_: Any) -> bytes:
        raise AssertionError("derived from an absurd header")

    monkeypatch.setattr(keystore, "_derive", derived)
    changed = with_header(sealed_before, **changes)
    assert reason_of(changed) == reason
    with pytest.raises(KeystoreError) as caught:
        public_of(changed)
    assert caught.value.reason == reason


sealed_before = sealed()


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "key-file-damaged"),
        (b"\0" * 300, "key-file-damaged"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "key-file-damaged"),
        (b"TALLYKEY2\n{}\n" + bytes(48), "key-file-too-new"),
        (b"TALLYKEY10\n{}\n" + bytes(48), "key-file-too-new"),
        (b"TALLYKEY1\n{}\n" + bytes(48), "key-file-damaged"),
        (b"TALLYKEY1\n[]\n" + bytes(48), "key-file-damaged"),
        (b"TALLYKEY1\nnull\n" + bytes(48), "key-file-damaged"),
        (b"TALLYKEY1\n\xff\xfe\n" + bytes(48), "key-file-damaged"),
        (b"TALLYKEY1\n" + b"[" * 1000 + b"\n" + bytes(48), "key-file-damaged"),
        (b"TALLYKEY1\n" + b"x" * 5000, "key-file-damaged"),
        (sealed_before.replace(b"\n", b"\r\n"), "key-file-damaged"),
        (b"TALLYKEY", "key-file-damaged"),
        (b"TALLYKEYS are here\n", "key-file-damaged"),
        (sealed_before[:-1], "key-file-damaged"),
        (sealed_before + b"\n", "key-file-damaged"),
    ],
)
def test_what_is_no_key_file_is_refused(blob: bytes, reason: str) -> None:
    """Other files, other versions, and what an editor does to one."""
    assert reason_of(blob) == reason


def test_a_key_that_is_not_the_one_it_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody with the passphrase made a file that says another public key: it does not pass for that one."""
    other = SecretKey.from_seed(bytes(32))

    class Liar:
        @staticmethod
        def from_seed(_: bytes) -> SecretKey:
            return other

    monkeypatch.setattr(keystore, "SecretKey", Liar)
    blob = sealed()
    monkeypatch.undo()
    assert public_of(blob) == other.public
    assert reason_of(blob) == "key-file-damaged"


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_a_refusal(data: bytes) -> None:
    """Whatever is in the file."""
    for blob in (data, b"TALLYKEY1\n" + data, b"TALLYKEY1\n" + data + b"\n" + bytes(48)):
        with pytest.raises(KeystoreError):
            unseal(blob, "tally")
