"""Names: what is shown cannot deceive, and what looks alike is known to."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.node.names import folded, like, name_in, shown, shown_all, skeleton, words_in
from tallystick.protocol.entry import encode_annex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 3 kg", "plain words, 3 kg"),
        ("Café 李伟 🙂", "Café 李伟 🙂"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2066isolated\u2069", "\\u2066isolated\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ufeffmark", "\\ufeffmark"),
        ("line\u2028separator", "line\\u2028separator"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("filler \u3164", "filler \\u3164"),
        ("half \ud83d", "half \\ud83d"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),
    ],
)
def test_hostile_words_are_escaped(text: str, expected: str) -> None:
    """Controls, bidirectional marks and what cannot be seen are written out; honest words stay as they are."""
    assert shown(text) == expected


@given(st.text())
def test_nothing_shown_moves_the_cursor(text: str) -> None:
    """Whatever somebody writes: it is one line, it can be printed, and nothing in it is invisible."""
    out = shown(text)
    out.encode("utf-8")
    assert all(
        unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")
        and (unicodedata.category(letter) != "Cf" or letter in "\u200c\u200d")
        for letter in out
    )
    assert shown(out) == out


def test_values_of_an_annex_are_shown_to_their_last_leaf() -> None:
    """Texts in lists and keys are escaped as well; bytes become digits, numbers stay."""
    value = {"files": ["a\x07", b"\x01\xff"], "k\u202e": {"n": 3, "yes": True, "none": None}}
    assert shown_all(value) == {"files": ["a\\x07", "01ff"], "k\\u202e": {"n": 3, "yes": True, "none": None}}


@pytest.mark.parametrize(
    "other",
    ["Anna", "ANNA", "anna ", "Ａnna", "Аnna", "Αnna", "Ann\u200ba", "An na", "Ännä", "A.n-n_a", "𝐀𝐧𝐧𝐚", "Anna\ufe0f"],
)
def test_names_that_look_alike_have_one_skeleton(other: str) -> None:
    """Case, width, other alphabets, accents, blanks and what is invisible make no difference to an eye."""
    assert skeleton(other) == skeleton("anna")


@pytest.mark.parametrize(("one", "other"), [("Bernd", "Bemd"), ("Ina", "lna"), ("Bo", "B0"), ("Ian", "1an")])
def test_letters_that_are_drawn_alike_are_alike(one: str, other: str) -> None:
    """Some letters and digits, and some pairs of letters, cannot be told apart in every font."""
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Anna", "Anne"), ("李伟", "李维"), ("राम", "रमा"), ("Ana", "Anna"), ("🙂", "🙃"), ("Ben", "Bo")]
)
def test_names_that_differ_stay_apart(one: str, other: str) -> None:
    """Refusing names that differ would help nobody: also in scripts whose vowels are marks."""
    assert skeleton(one) != skeleton(other)


@given(st.text(), st.sampled_from(["", " ", "\u200b", "\u202e", "\u3164"]))
def test_what_cannot_be_seen_changes_no_skeleton(name: str, hidden: str) -> None:
    """An invisible letter at the end makes no new name."""
    if skeleton(name) != folded(name) or name.strip().isalnum():
        assert skeleton(name + hidden) == skeleton(name)


def test_a_name_of_nothing_but_signs_is_compared_as_it_is() -> None:
    """Else all names without a letter would look alike."""
    assert skeleton("🙂🙂") == "🙂🙂"
    assert skeleton("...") != skeleton("???")


def test_like_finds_all_that_look_so() -> None:
    """In the order of the ids, those without a name left out."""
    names = {b"\3": "Anna", b"\1": "Аnna", b"\2": "Bo", b"\4": None}
    assert like(names, "ANNA") == [b"\1", b"\3"]
    assert like(names, "nobody") == []


def test_words_of_an_annex_come_without_its_salt() -> None:
    """The salt is no word; a name that is no text, or blank, is none."""
    assert words_in(encode_annex(bytes(16), {"name": "Ana", "n": 1})) == {"name": "Ana", "n": 1}
    assert words_in(None) is None
    assert name_in({"name": "Ana"}) == "Ana"
    assert [name_in(words) for words in (None, {}, {"name": 7}, {"name": " \u3000"})] == [None] * 4
