"""The word list is the one of BIP-39, and stays it."""

from hashlib import sha256

from mnemonic import Mnemonic

from tallystick.crypto.wordlist import WORDS


def test_list_is_that_of_the_other_library() -> None:
    """Word by word, in order."""
    assert list(WORDS) == Mnemonic("english").wordlist


def test_list_is_that_of_the_standard() -> None:
    """The hash of `english.txt` of bitcoin/bips: words on paper depend on every letter."""
    text = "".join(f"{word}\n" for word in WORDS)
    assert sha256(text.encode()).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


def test_words_can_be_told_apart() -> None:
    """2048 in order, each known by its first four letters, all of them plain."""
    assert len(WORDS) == 2048 == len({word[:4] for word in WORDS})
    assert list(WORDS) == sorted(WORDS)
    assert all(word.isascii() and word.islower() and 3 <= len(word) <= 8 for word in WORDS)
