"""Secrets and fingerprints as English words.

A member's recovery key is 32 bytes of entropy, written down as 24 words; a public key is compared by voice as six.
Only the *entropy* follows BIP-39: the key is derived by a hash of our own, so the words open no wallet and no wallet's
words should be used here.

Source: docs/spec/membership.md; BIP-39.
"""

import unicodedata
from functools import lru_cache
from hashlib import sha256
from typing import Final

from tallystick.crypto.errors import KeystoreError, KeystoreReason
from tallystick.crypto.hashing import tagged_hash

ENTROPY_SIZE_BYTES: Final = 32
WORD_COUNT: Final = 24
FINGERPRINT_WORD_COUNT: Final = 6

_WORD_BITS: Final = 11
_CHECKSUM_BITS: Final = 8
"""One bit for each 32 bits of entropy."""


@lru_cache(maxsize=1)
def _list() -> tuple[str, ...]:
    # Loaded at the first use: most commands show no words.
    from tallystick.crypto.wordlist import WORDS

    return WORDS


@lru_cache(maxsize=1)
def _positions() -> dict[str, int]:
    return {word: index for index, word in enumerate(_list())}


def _words(number: int, count: int) -> tuple[str, ...]:
    """Return `count` words for a number of 11 bits a word, the highest bits first."""
    words = _list()
    return tuple(words[number >> shift & 2047] for shift in range((count - 1) * _WORD_BITS, -1, -_WORD_BITS))


def words_from_entropy(entropy: bytes) -> tuple[str, ...]:
    """Return the 24 words of 32 bytes of entropy; the last word ends in a checksum. Other lengths: ValueError."""
    if len(entropy) != ENTROPY_SIZE_BYTES:
        raise ValueError("recovery words need 32 bytes of entropy")
    number = int.from_bytes(entropy, "big") << _CHECKSUM_BITS | sha256(entropy).digest()[0]
    return _words(number, WORD_COUNT)


def entropy_from_words(text: str) -> bytes:
    """Return the 32 bytes that 24 words stand for.

    Capital letters, full-width letters and any blanks between the words are forgiven. The errors name the place of a
    wrong word, counted from 1, and never the word itself.

    Raises KeystoreError: words-count, word-unknown, words-checksum, tried in that order.
    """
    words = unicodedata.normalize("NFKC", text).lower().split()
    if len(words) != WORD_COUNT:
        raise KeystoreError(KeystoreReason.WORD_COUNT, f"there are {len(words)} words, and not {WORD_COUNT}")
    positions = _positions()
    unknown = [str(place) for place, word in enumerate(words, start=1) if word not in positions]
    if unknown:
        which = f"word {unknown[0]} is" if len(unknown) == 1 else f"words {', '.join(unknown)} are"
        raise KeystoreError(KeystoreReason.WORD_UNKNOWN, f"{which} not in the list of recovery words")
    number = 0
    for word in words:
        number = number << _WORD_BITS | positions[word]
    entropy = (number >> _CHECKSUM_BITS).to_bytes(ENTROPY_SIZE_BYTES, "big")
    if sha256(entropy).digest()[0] != number & 255:
        detail = "every word is in the list, but together they do not add up: one is wrong, or two are exchanged"
        raise KeystoreError(KeystoreReason.WORD_CHECKSUM, detail)
    return entropy


def recovery_seed(entropy: bytes) -> bytes:
    """Return the seed of the recovery key, 32 bytes: a hash, so that the key file and the words differ."""
    if len(entropy) != ENTROPY_SIZE_BYTES:
        raise ValueError("recovery words need 32 bytes of entropy")
    return tagged_hash("recovery-seed", entropy)


def fingerprint(public: bytes) -> str:
    """Return six words for a public key, to be compared by voice: 66 bits of its hash, separated by blanks."""
    if len(public) != 32:
        raise ValueError("a public key has 32 bytes")
    number = int.from_bytes(tagged_hash("fingerprint", public), "big") >> 256 - FINGERPRINT_WORD_COUNT * _WORD_BITS
    return " ".join(_words(number, FINGERPRINT_WORD_COUNT))
