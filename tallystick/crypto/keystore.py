"""The signing key, sealed by a passphrase: bytes to key and back. No file is touched here.

    TALLYKEY1\\n
    {"v":1,"public":…,"kdf":"argon2id","m":65536,"t":3,"p":4,"salt":…,"nonce":…}\\n
    ciphertext and tag, 48 bytes

Everything before the ciphertext is authenticated with it, so neither the public key nor the cost can be exchanged. A
cost that would take a machine down is refused before anything is derived. The passphrase is NFKC of UTF-8: two
keyboards may spell one and the same text differently.

Source: docs/spec/membership.md#key-file; RFC 9106 (Argon2id), RFC 7914 (scrypt), RFC 8439 (ChaCha20-Poly1305)
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from tallystick.crypto.errors import KeystoreError, KeystoreReason
from tallystick.crypto.keys import SEED_SIZE_BYTES, SecretKey

SALT_SIZE_BYTES: Final = 16
NONCE_SIZE_BYTES: Final = 12
PASSPHRASE_LENGTH_MAX: Final = 1024
_MAGIC: Final = b"TALLYKEY1\n"
_TAG_SIZE_BYTES: Final = 16
_HEADER_SIZE_BYTES_MAX: Final = 1024
_is_newer: Final = re.compile(rb"TALLYKEY[1-9][0-9]{0,3}\n").match
"""The first line of another version; of an older one there is none."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What deriving the sealing key costs."""

    kdf: str = "argon2id"
    """`argon2id`, or `scrypt` where the system's OpenSSL has no Argon2."""
    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


#: Accepted at most when a file is read: 1 GiB of memory and a few seconds.
_MEMORY_KIB_MAX: Final = 1_048_576
_PASSES_MAX: Final = 10
_LANES_MAX: Final = 16
#: scrypt keeps 128 * N * r bytes; with r = 8 one KiB is one N.
_SCRYPT_BLOCK: Final = 8


def seal(seed: bytes, passphrase: str, *, salt: bytes, nonce: bytes, cost: Cost | None = None) -> bytes:
    """Seal the seed of a signing key. `salt` (16 bytes) and `nonce` (12) are luck that the caller drew.

    Raises KeystoreError: passphrase-unusable, cannot-derive.
    """
    if len(seed) != SEED_SIZE_BYTES or len(salt) != SALT_SIZE_BYTES or len(nonce) != NONCE_SIZE_BYTES:
        raise ValueError("a seed has 32 bytes, a salt 16, a nonce 12")
    cost = cost or _best_cost()
    row = {
        "v": 1,
        "public": SecretKey.from_seed(seed).public.hex(),
        "kdf": cost.kdf,
        "m": cost.memory_kib,
        "t": cost.passes,
        "p": cost.lanes,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
    }
    header = _MAGIC + json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n"
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return header + ChaCha20Poly1305(_derive(passphrase, salt, cost)).encrypt(nonce, seed, header)


def unseal(blob: bytes, passphrase: str) -> SecretKey:
    """The signing key in a sealed blob.

    Raises KeystoreError: key-file-too-new, key-file-damaged, key-file-cost, passphrase-unusable, cannot-derive,
    wrong-passphrase (which a change to any part of the file looks like, too), tried in that order.
    """
    header, body, row = _read(blob)
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    derived = _derive(passphrase, row.salt, row.cost)
    try:
        seed = ChaCha20Poly1305(derived).decrypt(row.nonce, body, header)
    except InvalidTag:
        raise KeystoreError(KeystoreReason.WRONG_PASSPHRASE) from None
    key = SecretKey.from_seed(seed)
    if key.public != row.public:
        raise KeystoreError(KeystoreReason.DAMAGED, "it holds another key than it says")
    return key


def public_of(blob: bytes) -> bytes:
    """The public key of a sealed blob, 32 bytes; believed, not proved, until it is unsealed.

    Raises KeystoreError: key-file-too-new, key-file-damaged, key-file-cost.
    """
    return _read(blob)[2].public


@dataclass(frozen=True, slots=True)
class _Row:
    public: bytes
    cost: Cost
    salt: bytes
    nonce: bytes


def _read(blob: bytes) -> tuple[bytes, bytes, _Row]:
    if not blob.startswith(_MAGIC):
        if _is_newer(blob):
            raise KeystoreError(KeystoreReason.TOO_NEW, "a newer program wrote it")
        raise KeystoreError(KeystoreReason.DAMAGED, "it is no key file")
    end = blob.find(b"\n", len(_MAGIC), len(_MAGIC) + _HEADER_SIZE_BYTES_MAX)
    body = blob[end + 1 :]
    if end < 0 or len(body) != SEED_SIZE_BYTES + _TAG_SIZE_BYTES:
        raise KeystoreError(KeystoreReason.DAMAGED, "it is not as long as it should be")
    try:
        value: Any = json.loads(blob[len(_MAGIC) : end])
        if not isinstance(value, dict) or value.get("v") != 1:
            raise KeystoreError(KeystoreReason.DAMAGED, "its header cannot be read")
        row = _Row(
            bytes.fromhex(value["public"]),
            Cost(str(value["kdf"]), _whole(value["m"]), _whole(value["t"]), _whole(value["p"])),
            bytes.fromhex(value["salt"]),
            bytes.fromhex(value["nonce"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeystoreError(KeystoreReason.DAMAGED, "its header cannot be read") from None
    if len(row.public) != 32 or len(row.salt) != SALT_SIZE_BYTES or len(row.nonce) != NONCE_SIZE_BYTES:
        raise KeystoreError(KeystoreReason.DAMAGED, "its header cannot be read")
    _check_cost(row.cost)
    return blob[: end + 1], body, row


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _check_cost(cost: Cost) -> None:
    lanes_fit = 1 <= cost.lanes <= _LANES_MAX and 1 <= cost.passes <= _PASSES_MAX
    memory_fits = 8 * max(1, cost.lanes) <= cost.memory_kib <= _MEMORY_KIB_MAX
    if cost.kdf not in ("argon2id", "scrypt") or not lanes_fit or not memory_fits:
        raise KeystoreError(KeystoreReason.COST, "its cost is beyond what any honest program writes")
    # scrypt fills its memory once for each lane, one after the other.
    if cost.kdf == "scrypt" and cost.memory_kib * cost.lanes > _MEMORY_KIB_MAX:
        raise KeystoreError(KeystoreReason.COST, "its cost is beyond what any honest program writes")
    if cost.kdf == "scrypt" and cost.memory_kib & (cost.memory_kib - 1):
        raise KeystoreError(KeystoreReason.COST, "its cost is no power of two")


def _best_cost() -> Cost:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id(salt=bytes(SALT_SIZE_BYTES), length=32, iterations=1, lanes=1, memory_cost=8)
    except UnsupportedAlgorithm:
        return Cost("scrypt", memory_kib=131_072, passes=1, lanes=1)
    return Cost()


def _derive(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    _check_cost(cost)
    secret = _passphrase_bytes(passphrase)
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        if cost.kdf == "scrypt":
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

            return Scrypt(salt=salt, length=32, n=cost.memory_kib, r=_SCRYPT_BLOCK, p=cost.lanes).derive(secret)
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        return Argon2id(
            salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib
        ).derive(secret)
    except (UnsupportedAlgorithm, MemoryError) as error:
        raise KeystoreError(KeystoreReason.CANNOT_DERIVE, f"this machine cannot do {cost.kdf}") from error


def _passphrase_bytes(passphrase: str) -> bytes:
    if not passphrase or len(passphrase) > PASSPHRASE_LENGTH_MAX:
        raise KeystoreError(KeystoreReason.PASSPHRASE, f"it has 1 to {PASSPHRASE_LENGTH_MAX} characters")
    try:
        return unicodedata.normalize("NFKC", passphrase).encode("utf-8")
    except UnicodeEncodeError:
        raise KeystoreError(KeystoreReason.PASSPHRASE, "it holds half a character") from None
