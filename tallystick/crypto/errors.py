"""What can go wrong with keys, signatures and the texts that carry them.

`TallystickError` is the base of every error this package raises on purpose; it lives here because `crypto` is the
lowest layer. A reason is a word that logs, tests, vectors and the command line share.
"""

from enum import StrEnum


class SignatureReason(StrEnum):
    """Why a signature or a public key is refused."""

    KEY_LENGTH = "key-length"
    KEY_MIXED_ORDER = "key-mixed-order"
    KEY_NOT_CANONICAL = "key-not-canonical"
    KEY_NOT_ON_CURVE = "key-not-on-curve"
    KEY_SMALL_ORDER = "key-small-order"
    LIBRARY_DEVIATES = "library-deviates"
    MISMATCH = "signature-mismatch"
    NONCE_NOT_CANONICAL = "nonce-not-canonical"
    NONCE_SMALL_ORDER = "nonce-small-order"
    SCALAR_RANGE = "scalar-range"
    SIGNATURE_LENGTH = "signature-length"


class KeystoreReason(StrEnum):
    """Why a key file or recovery words are refused."""

    CANNOT_DERIVE = "cannot-derive"
    COST = "key-file-cost"
    DAMAGED = "key-file-damaged"
    LABEL = "key-label"
    PASSPHRASE = "passphrase-unusable"
    TOO_NEW = "key-file-too-new"
    WORD_CHECKSUM = "words-checksum"
    WORD_COUNT = "words-count"
    WORD_UNKNOWN = "word-unknown"
    WRONG_PASSPHRASE = "wrong-passphrase"


class TextReason(StrEnum):
    """Why a bech32m text is refused."""

    CHARACTER = "character"
    CHECKSUM = "checksum"
    EMPTY = "empty"
    MIXED_CASE = "mixed-case"
    NO_PREFIX = "no-prefix"
    PADDING = "padding"
    TOO_LONG = "too-long"
    TRUNCATED = "truncated"


class TallystickError(Exception):
    """Base of every error that Tallystick raises on purpose."""


class SignatureError(TallystickError):
    """A signature does not verify, or a public key may not be used. `detail` is a sentence for people or empty."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class KeystoreError(TallystickError):
    """A key file, its passphrase or recovery words cannot be used. `detail` is a sentence for people or empty.

    Neither part ever repeats a passphrase or a recovery word: errors end up in logs.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


class TextError(TallystickError):
    """A text that was typed, scanned or pasted is not what it should be. `detail` is a sentence for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
