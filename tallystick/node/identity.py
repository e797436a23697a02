"""Who this device is: the sealed signing key, the node key, and a small file with what the keys do not say.

    device.key      the signing key, sealed by a passphrase (crypto/keystore.py)
    node.key        the seed of the node key, 32 bytes
    identity.json   {"v": 1, "name", "recovery": hex of the recovery key, "words": "confirmed" | "later" | "elsewhere"}

The recovery words are shown once and kept nowhere; only their public key is.

Source: docs/spec/membership.md#keys
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tallystick.crypto import keystore, words
from tallystick.crypto.errors import KeystoreError, KeystoreReason
from tallystick.crypto.keys import SecretKey
from tallystick.node.errors import ExitCode, HomeError, HomeReason, NodeError
from tallystick.node.names import is_hidden

if TYPE_CHECKING:
    from tallystick.node.home import Home

FILE: Final = "identity.json"
NAME_LENGTH_MAX: Final = 64


class UnusableNameError(NodeError):
    """A display name that would deceive or break a line."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="name-unusable", exit_code=ExitCode.USAGE, hint="use letters, 1 to 64")


class KeyLockedError(NodeError):
    """The signing key is locked, or the passphrase is not the right one."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=ExitCode.LOCKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What may be known of this device without a passphrase."""

    name: str
    device: bytes
    """Public signing key."""
    recovery: bytes
    """Public recovery key."""
    words_confirmed: bool
    words_elsewhere: bool = False
    """Whose computer this is has words of before, and the ledgers here know nothing of those of this home."""


def clean_name(text: str) -> str:
    """A display name as it is kept: NFC, no surrounding blanks, nothing invisible.

    Raises NodeError: name-unusable.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX:
        raise UnusableNameError(f"a name has 1 to {NAME_LENGTH_MAX} characters")
    unwanted = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
    if any(is_hidden(letter) or unicodedata.category(letter) in unwanted for letter in name):
        raise UnusableNameError("a name has only visible characters")
    return name


def create_identity(home: Home, *, name: str, passphrase: str, words_confirmed: bool = False) -> tuple[str, ...]:
    """Make the keys of this device and return the 24 recovery words, which are kept nowhere.

    Raises NodeError: name-unusable; HomeError: EXISTS; KeystoreError for an unusable passphrase.
    """
    name = clean_name(name)
    if home.has_keys():
        raise HomeError(f"{home.path} has keys already", reason=HomeReason.EXISTS)
    entropy = secrets.token_bytes(words.ENTROPY_SIZE_BYTES)
    recovery = SecretKey.from_seed(words.recovery_seed(entropy))
    blob = keystore.seal(
        secrets.token_bytes(32),
        passphrase,
        salt=secrets.token_bytes(keystore.SALT_SIZE_BYTES),
        nonce=secrets.token_bytes(keystore.NONCE_SIZE_BYTES),
    )
    # The device key comes last: with it, and not before, the home has an identity.
    home.write_node_key(secrets.token_bytes(32))
    _write(home, name, recovery.public, "confirmed" if words_confirmed else "later")
    home.write_device_key(blob)
    return words.words_from_entropy(entropy)


def read_identity(home: Home) -> Identity:
    """Raises HomeError: NO_HOME without keys, IO where the file is not what was written."""
    if not home.has_keys():
        raise HomeError(
            f"{home.path} has no keys", reason=HomeReason.NO_HOME, hint="`tally init --name NAME` makes them"
        )
    try:
        row = json.loads(home.read_file(FILE))
        identity = Identity(
            name=str(row["name"]),
            device=keystore.public_of(home.read_device_key()),
            recovery=bytes.fromhex(row["recovery"]),
            words_confirmed=row["words"] == "confirmed",
            words_elsewhere=row["words"] == "elsewhere",
        )
    except (ValueError, KeyError, TypeError, KeystoreError) as error:
        raise HomeError(f"{home.path / FILE} or the key file beside it is damaged: {error}") from error
    return identity


def confirm_words(home: Home) -> None:
    """The person has shown that the recovery words are written down."""
    identity = read_identity(home)
    _write(home, identity.name, identity.recovery, "confirmed")


def use_words(home: Home, recovery: bytes) -> None:
    """The person came back with these words, so they are written down; they are those of this home from now on."""
    # Another ledger may go by the words that were made with the home.
    if len(home.ledgers()) == 1:
        _write(home, read_identity(home).name, recovery, "confirmed")


def follow_words(home: Home) -> None:
    """The home became one more computer of a member, whose words lie with the computer that it had before."""
    identity = read_identity(home)
    if len(home.ledgers()) == 1:
        _write(home, identity.name, identity.recovery, "elsewhere")


def need_words(home: Home) -> None:
    """A membership begins here: with the words of this home."""
    identity = read_identity(home)
    if identity.words_elsewhere:
        _write(home, identity.name, identity.recovery, "later")


def set_recovery(home: Home, old: bytes, new: bytes, *, confirmed: bool) -> None:
    """The recovery words were changed in a ledger; the home follows where it had the old ones. Raises HomeError."""
    identity = read_identity(home)
    if identity.recovery == old:
        _write(home, identity.name, new, "confirmed" if confirmed else "later")


def unseal_device_key(home: Home, passphrase: str) -> SecretKey:
    """The signing key. Raises NodeError: wrong-passphrase, exit code 4; HomeError."""
    try:
        return keystore.unseal(home.read_device_key(), passphrase)
    except KeystoreError as error:
        if error.reason == KeystoreReason.WRONG_PASSPHRASE:
            raise KeyLockedError("the passphrase is wrong", reason=str(error.reason)) from None
        raise HomeError(f"the key file cannot be used: {error}", reason=str(error.reason)) from error


def read_node_secret(home: Home) -> SecretKey:
    """The node key. Raises HomeError."""
    seed = home.read_node_key()
    if len(seed) != 32:
        raise HomeError(f"{home.path / 'node.key'} is damaged")
    return SecretKey.from_seed(seed)


def _write(home: Home, name: str, recovery: bytes, state: str) -> None:
    row = {"v": 1, "name": name, "recovery": recovery.hex(), "words": state}
    home.write_file(FILE, json.dumps(row, ensure_ascii=False, indent=1).encode() + b"\n")
