"""Recovery words and fingerprints: BIP-39 judged by another library, and what people get wrong when they type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from tallystick.crypto.errors import KeystoreError
from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.words import (
    ENTROPY_SIZE_BYTES,
    FINGERPRINT_WORD_COUNT,
    WORD_COUNT,
    entropy_from_words,
    fingerprint,
    recovery_seed,
    words_from_entropy,
)

BIP39 = Mnemonic("english")
_entropies = st.binary(min_size=ENTROPY_SIZE_BYTES, max_size=ENTROPY_SIZE_BYTES)
ENTROPY = bytes(range(32))
WORDS = words_from_entropy(ENTROPY)


def refusal(text: str) -> KeystoreError:
    with pytest.raises(KeystoreError) as caught:
        entropy_from_words(text)
    return caught.value


@given(_entropies)
def test_words_are_those_of_bip_39(entropy: bytes) -> None:
    """Another library makes the same words of the same bytes, and reads them back."""
    words = words_from_entropy(entropy)
    assert " ".join(words) == BIP39.to_mnemonic(entropy)
    assert len(words) == WORD_COUNT
    assert entropy_from_words(" ".join(words)) == entropy == bytes(BIP39.to_entropy(list(words)))


@pytest.mark.parametrize(
    ("entropy", "last"),
    [("00" * 32, "art"), ("7f" * 32, "title"), ("80" * 32, "bless"), ("ff" * 32, "vote")],
)
def test_published_cases(entropy: str, last: str) -> None:
    """The checksum words of the 256-bit cases of BIP-39."""
    assert words_from_entropy(bytes.fromhex(entropy))[-1] == last


@given(_entropies, st.sampled_from([" ", "  ", "\n", "\t", " \n ", "\u3000"]), st.booleans())
def test_how_they_are_written_does_not_matter(entropy: bytes, blank: str, wide: bool) -> None:
    """Capitals, any blanks, and full-width letters as some keyboards give them."""
    text = blank.join(words_from_entropy(entropy))
    if wide:
        text = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert entropy_from_words(f" {text.upper()} ") == entropy_from_words(text) == entropy


@pytest.mark.parametrize("count", [0, 1, 12, 23, 25, 48])
def test_another_number_of_words_is_refused(count: int) -> None:
    """With both numbers said."""
    error = refusal(" ".join((WORDS * 2)[:count]))
    assert error.reason == "words-count"
    assert f"there are {count} words" in error.detail and "24" in error.detail


@pytest.mark.parametrize(
    ("changes", "said"),
    [({3: "flourr"}, "word 4 is"), ({0: "x", 23: "y"}, "words 1, 24 are"), ({7: "b\u00e4cker"}, "word 8 is")],
)
def test_a_word_that_is_none_is_refused_by_its_place(changes: dict[int, str], said: str) -> None:
    """The place, never the word: errors end up in logs."""
    words = list(WORDS)
    for place, word in changes.items():
        words[place] = word
    error = refusal(" ".join(words))
    assert error.reason == "word-unknown"
    assert said in error.detail
    assert not any(word in str(error) for word in changes.values() if len(word) > 1)


def test_a_wrong_word_is_noticed_by_the_checksum() -> None:
    """Of all words that could stand in one place only 1 in 256 adds up, and the other library finds the same ones."""
    fits, sentences = [], set()
    for word in BIP39.wordlist:
        text = " ".join((*WORDS[:5], word, *WORDS[6:]))
        if BIP39.check(text):
            fits.append(word)
            entropy_from_words(text)
        else:
            error = refusal(text)
            assert error.reason == "words-checksum"
            sentences.add(str(error))
    assert WORDS[5] in fits and len(fits) < 30
    assert len(sentences) == 1, "which word it was is not said"


def test_exchanged_words_are_refused() -> None:
    """The most likely slip of a person who copies a list."""
    assert refusal(" ".join((WORDS[1], WORDS[0], *WORDS[2:]))).reason == "words-checksum"


@given(st.text(max_size=200))
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    """Whatever somebody types."""
    assert refusal(text).reason in {"words-count", "word-unknown", "words-checksum"}


def test_the_recovery_key_is_not_the_entropy() -> None:
    """A hash of its own: no wallet's words open anything here, and the words open no wallet."""
    assert recovery_seed(ENTROPY) == tagged_hash("recovery-seed", ENTROPY) != ENTROPY
    assert recovery_seed(ENTROPY) != BIP39.to_seed(" ".join(WORDS))[:32]


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_the_beginning_of_a_hash(public: bytes) -> None:
    """Six words, 66 bits, as a person can read them out."""
    words = fingerprint(public).split(" ")
    assert len(words) == FINGERPRINT_WORD_COUNT
    number = 0
    for word in words:
        number = number * 2048 + BIP39.wordlist.index(word)
    assert number == int.from_bytes(tagged_hash("fingerprint", public)[:9], "big") >> 6


@pytest.mark.parametrize("function", [words_from_entropy, recovery_seed, fingerprint])
@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_other_sizes_are_bugs(function: object, size: int) -> None:
    """The caller drew the wrong number of bytes."""
    assert callable(function)
    with pytest.raises(ValueError, match="32 bytes"):
        function(bytes(size))
