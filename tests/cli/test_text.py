"""Texts for a terminal: foreign words do no harm, tables align, times are as people say them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli import text

HOUR = 3_600_000
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Ana", "Ana"),
        ("李薇", "李薇"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("two\nlines", "two\\nlines"),
        ("tab\there", "tab\\there"),
        ("no\u00a0break", "no break"),
        ("\u200bzero", "\\u200bzero"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("bell\x07", "bell\\x07"),
        ("half\ud800", "half\\ud800"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
    ],
)
def test_foreign_words_cannot_move_the_cursor(raw: str, shown: str) -> None:
    """Control, bidirectional and invisible characters are shown as escapes; letters stay letters."""
    assert text.clean(raw) == shown


@given(st.text())
def test_no_word_whatever_breaks_a_line(raw: str) -> None:
    """What is shown has one line and nothing that a terminal obeys."""
    shown = text.clean(raw)
    assert len(shown.splitlines()) <= 1
    assert all(each.isprintable() or each in "\u200c\u200d" for each in shown)


def test_lines_of_a_note_stay_lines() -> None:
    """A note of several lines is shown as such, each line made harmless."""
    assert text.clean_lines("a\r\nb\x1b") == ["a", "b\\x1b"]


def test_table_aligns_also_wide_letters() -> None:
    """Chinese letters take two columns, accents none; numbers stand at the right."""
    shown = text.table(("name", "points"), [("李薇", 5), ("e\u0301va", 1234)], right="points")
    assert shown.splitlines() == ["name  points", "李薇       5", "e\u0301va     1234"]


def test_a_column_of_numbers_may_have_a_name_of_two_words() -> None:
    """They stand at the right like all others."""
    shown = text.table(("name", "would be"), [("Ana", 5), ("Bo", 12)], right="would_be")
    assert shown.splitlines() == ["name  would be", "Ana          5", "Bo          12"]


def test_table_leaves_out_what_is_empty() -> None:
    """A column in which nothing stands is not shown, and no line ends in blanks."""
    assert text.table(("a", "b", "c"), [("1", None, "x"), ("2", "", "")]) == "a  c\n1  x\n2"


@pytest.mark.parametrize(
    ("gap", "shown"),
    [
        (0, "now"),
        (999, "now"),
        (45_000, "in 45 s"),
        (90 * 60_000, "in 1 h"),
        (DAY, "in 1 day"),
        (3 * DAY + HOUR, "in 3 days"),
        (3 * DAY - 40, "in 3 days"),
        (3 * DAY - HOUR, "in 2 days"),
        (-5 * 60_000, "5 min ago"),
        (-2 * DAY, "2 days ago"),
    ],
)
def test_deadlines_are_told_as_people_tell_them(gap: int, shown: str) -> None:
    """The largest unit is enough."""
    assert text.relative(10 * DAY + gap, 10 * DAY) == shown


def test_time_that_no_calendar_has_is_shown_as_a_number() -> None:
    """Members may date their entries as they like."""
    assert text.stamp(10**40) == f"{10**40} ms"


@pytest.mark.parametrize(
    ("words", "shown"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_read_as_sentences(words: list[str], shown: str) -> None:
    """`a, b and c`."""
    assert text.listed(words) == shown


def test_member_is_named_with_digits() -> None:
    """Two people may have one name, so the digits stand beside it; without a name they stand alone."""
    assert text.who("7f3a21c0ffff", "Ana") == "Ana (7f3a21c0)"
    assert text.who("7f3a21c0ffff") == "7f3a21c0"
