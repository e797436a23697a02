"""Bech32m: the vectors of BIP-350, what mailing does to a text, and every kind of damage with its words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.bech32m import ALPHABET, TEXT_LENGTH_MAX, clean, decode, encode
from tallystick.crypto.errors import TextError

DATA = bytes(range(41))
TEXT = encode("tally", DATA)
_prefixes = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_.:!"), min_size=1, max_size=20)


def reason_of(text: str) -> str:
    with pytest.raises(TextError) as caught:
        decode(text)
    assert caught.value.detail, "every refusal is a sentence"
    assert str(caught.value).startswith(str(caught.value.reason))
    return str(caught.value.reason)


@pytest.mark.parametrize(
    "text",
    [
        "A1LQFN3A",
        "a1lqfn3a",
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
        "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    ],
)
def test_valid_texts_of_bip_350_are_whole(text: str) -> None:
    """Their checksums hold; some carry values that are no whole number of bytes, which then is all that is wrong."""
    try:
        prefix, data = decode(text)
    except TextError as error:
        assert error.reason == "padding"
    else:
        assert prefix == text.lower().rpartition("1")[0]
        assert encode(prefix, data) == text.lower()


def test_a_segwit_program_of_bip_350_is_read() -> None:
    """Here without the meaning that wallets give it: five values of five bits are three bytes and a bit."""
    assert decode("BC1SW50QGDZ25J") == ("bc", bytes.fromhex("83a8f0"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\x201xj0phk", "no-prefix"),
        ("\x7f1g6xzxy", "character"),
        ("\x801vctc34", "character"),
        ("qyrz8wqd2c9m", "no-prefix"),
        ("1qyrz8wqd2c9m", "no-prefix"),
        ("y1b0jsk6g", "character"),
        ("lt1igcx5c0", "character"),
        ("in1muywd", "truncated"),
        ("mm1crxm3i", "character"),
        ("au1s5cgom", "character"),
        ("M1VUXWEZ", "checksum"),
        ("16plkw9", "no-prefix"),
        ("1p2gdwpf", "no-prefix"),
    ],
)
def test_invalid_texts_of_bip_350_are_refused(text: str, reason: str) -> None:
    """Each for what the standard says is wrong with it."""
    assert reason_of(text) == reason


@given(_prefixes, st.binary(max_size=700))
def test_texts_round_trip(prefix: str, data: bytes) -> None:
    """Also in capitals, as a picture has them; and nothing but the alphabet follows the last 1."""
    text = encode(prefix, data)
    assert decode(text) == (prefix, data)
    assert decode(text.upper()) == (prefix, data)
    assert set(text.rpartition("1")[2]) <= set(ALPHABET)


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=12), st.data())
def test_what_mailing_and_pasting_add_is_forgiven(data: bytes, places: list[int], draw: st.DataObject) -> None:
    """Blanks, line ends, invisible characters anywhere, and quoting at the start of lines."""
    text = encode("tally", data)
    added = text
    for at in sorted((place % (len(text) + 1) for place in places), reverse=True):
        what = draw.draw(
            st.sampled_from([" ", "\n", "\r\n", "\t", "\n> ", "\n>> ", "\n | ", "\n> > ", "\u200b", "\ufeff", "\u00ad"])
        )
        added = added[:at] + what + added[at:]
    assert decode("> " + added + "\n") == ("tally", data)
    assert clean(added) == text


@given(st.binary(max_size=60), st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 31)), min_size=1, max_size=4))
def test_up_to_four_wrong_characters_are_always_noticed(data: bytes, errors: list[tuple[int, int]]) -> None:
    """The promise of the code for a text of up to 90 characters; ours go a little beyond."""
    text = encode("tally", data[:50])
    characters = list(text)
    start = len("tally1")
    for place, shift in errors:
        at = start + place % (len(text) - start)
        characters[at] = ALPHABET[(ALPHABET.index(characters[at]) + shift) % 32]
    damaged = "".join(characters)
    if damaged != text:
        assert reason_of(damaged) == "checksum"


@given(st.binary(min_size=1, max_size=400), st.integers(0, 10_000), st.integers(1, 31))
def test_one_wrong_character_is_located(data: bytes, place: int, shift: int) -> None:
    """Counted from 1, blanks left out; the text is not mended, since a guess could be wrong."""
    text = encode("tally", data)
    at = 6 + place % (len(text) - 6)
    wrong = ALPHABET[(ALPHABET.index(text[at]) + shift) % 32]
    with pytest.raises(TextError) as caught:
        decode(f"{text[:3]} {text[3:at]}{wrong}{text[at + 1 :]}")
    assert caught.value.reason == "checksum"
    assert f"character {at + 1} of {len(text)}" in caught.value.detail


@given(st.binary(min_size=1, max_size=300), st.integers(1, 10_000))
def test_a_text_cut_short_is_refused(data: bytes, cut: int) -> None:
    """Wherever it ends."""
    text = encode("tally", data)
    assert reason_of(text[: -(cut % (len(text) - 1) + 1)]) in {"truncated", "checksum", "no-prefix"}


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("", "empty", "no text"),
        (" \n> \n", "empty", "no text"),
        ("Tally" + TEXT[5:], "mixed-case", "mixes capitals"),
        (TEXT[6:], "no-prefix", "beginning"),
        ("1" + TEXT[6:], "no-prefix", "beginning"),
        (TEXT[:9], "truncated", "end is missing"),
        (TEXT[:-1], "truncated", "missing"),
        (TEXT[:20] + TEXT[21:], "truncated", "missing"),
        (TEXT[:20] + TEXT[22:], "checksum", "mistyped, or a part is missing"),
        (TEXT[:20] + "b" + TEXT[21:], "character", f"character 21 of {len(TEXT)} (b)"),
        (TEXT[:20] + "\u00e9" + TEXT[21:], "character", f"character 21 of {len(TEXT)} is never used"),
        ("t\u00e4lly" + TEXT[5:], "character", f"character 2 of {len(TEXT)} cannot be"),
        (TEXT[:20] + TEXT[22] + TEXT[21] + TEXT[20] + TEXT[23:], "checksum", "mistyped"),
        ("q" * (2 * TEXT_LENGTH_MAX + 1), "too-long", "characters"),
        ("q" * (TEXT_LENGTH_MAX + 1), "too-long", "characters"),
    ],
)
def test_damage_is_worded(text: str, reason: str, words: str) -> None:
    """A reason for programs, and where to look for people."""
    with pytest.raises(TextError, match=re.escape(words)) as caught:
        decode(text)
    assert caught.value.reason == reason


def test_the_old_checksum_is_refused() -> None:
    """Bech32 without m differs in one number; a wallet's text is none of ours."""
    assert reason_of("a12uel5l") == "checksum"


def _recoded(values: list[int]) -> str:
    """A text with these five-bit values and a good checksum, as a careless program makes it; BIP-350 in short."""

    def polymod(row: list[int]) -> int:
        state = 1
        for value in row:
            top, state = state >> 25, (state & 0x1FFFFFF) << 5 ^ value
            for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                state ^= term if top >> bit & 1 else 0
        return state

    prefix = [ord(c) >> 5 for c in "tally"] + [0] + [ord(c) & 31 for c in "tally"]
    state = polymod(prefix + values + [0] * 6) ^ 0x2BC830A3
    checksum = [state >> 5 * (5 - i) & 31 for i in range(6)]
    return "tally1" + "".join(ALPHABET[value] for value in values + checksum)


@pytest.mark.parametrize("values", [[0, 1], [31, 31], [0] * 3 + [2], [0] * 5 + [1], [0]])
def test_other_padding_is_refused(values: list[int]) -> None:
    """Else one ticket would have several texts."""
    assert reason_of(_recoded(values)) == "padding"


@given(st.text(max_size=300))
def test_no_text_does_worse_than_a_refusal(text: str) -> None:
    """Whatever somebody pastes."""
    for each in (text, "tally1" + text, "tally1" + "".join(c for c in text if c in ALPHABET)):
        try:
            prefix, data = decode(each)
        except TextError:
            continue
        assert decode(encode(prefix, data)) == (prefix, data)


@pytest.mark.parametrize("prefix", ["", "Tally", "ta lly", "tally\n", ">", "a|b", "t\u00e4lly"])
def test_a_prefix_of_ours_is_plain(prefix: str) -> None:
    """What mail or people would change is a bug of ours."""
    with pytest.raises(ValueError, match="prefix"):
        encode(prefix, b"")
