"""Secret keys: from seed to signature, and what never shows the seed."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from nacl.signing import SigningKey

from tallystick.crypto.keys import SEED_SIZE_BYTES, SecretKey
from tallystick.crypto.signatures import is_valid
from tests.crypto.public_vectors import vectors

SEED = bytes(range(32))


def test_public_vectors_are_signed_as_listed() -> None:
    """The public key and the signature of each seed; Ed25519 draws no luck, so there is only one."""
    for vector in vectors("sign_input"):
        secret = SecretKey.from_seed(bytes.fromhex(vector.note))
        assert secret.public == vector.public, vector.name
        assert secret.sign(vector.message) == vector.signature, vector.name


def test_the_other_library_signs_alike() -> None:
    """What OpenSSL makes here libsodium makes too."""
    secret, other = SecretKey.from_seed(SEED), SigningKey(SEED)
    for message in (b"", b"a", bytes(1000)):
        signature = secret.sign(message)
        assert signature == other.sign(message).signature == secret.sign(message)
        assert is_valid(secret.public, message, signature)
    assert secret.public == bytes(other.verify_key)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(size: int) -> None:
    """Anything else is a bug of the caller."""
    with pytest.raises(ValueError, match="32 bytes"):
        SecretKey.from_seed(bytes(size))


def test_a_later_change_of_a_buffer_does_not_change_the_key() -> None:
    """A caller may wipe its own buffer."""
    buffer: Any = bytearray(SEED)
    secret = SecretKey.from_seed(buffer)
    buffer[:] = bytes(SEED_SIZE_BYTES)
    assert secret.seed == SEED
    assert secret.public == SecretKey.from_seed(SEED).public


def test_no_text_form_shows_the_seed() -> None:
    """Logs and tracebacks print what they hold."""
    secret = SecretKey.from_seed(SEED)
    for text in (repr(secret), str(secret), f"{secret}", f"{[secret]}"):
        assert SEED.hex() not in text and repr(SEED) not in text
        assert secret.public.hex()[:8] in text
    assert not hasattr(secret, "__dict__")


def _to_json(value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy, _to_json])
def test_a_secret_is_not_copied_by_accident(way: Any) -> None:
    """Nor sent to another process."""
    with pytest.raises(TypeError):
        way(SecretKey.from_seed(SEED))
