"""Whose recovery words a home goes by: its own, or those that its owner had before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.node.home import Home
from tallystick.node.identity import create_identity, follow_words, need_words, read_identity, use_words
from tests.support.builders import key

OLD = key("ana", "recovery").public


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with keys and one ledger, whose words nobody has confirmed."""
    made = Home.create(tmp_path / "ana")
    create_identity(made, name="Ana", passphrase="correct horse battery staple")
    made.create_store(bytes(32)).close()
    return made


def test_words_that_brought_somebody_back_are_those_of_the_home(home: Home) -> None:
    """They were typed in just now, so they are written down; those made with the home are nobody's."""
    use_words(home, OLD)
    identity = read_identity(home)
    assert (identity.recovery, identity.words_confirmed, identity.words_elsewhere) == (OLD, True, False)


def test_words_of_one_more_computer_are_elsewhere(home: Home) -> None:
    """Until a membership begins here."""
    made = read_identity(home).recovery
    follow_words(home)
    identity = read_identity(home)
    assert (identity.recovery, identity.words_confirmed, identity.words_elsewhere) == (made, False, True)
    need_words(home)
    assert not read_identity(home).words_elsewhere


def test_another_ledger_goes_on_by_the_words_of_the_home(home: Home) -> None:
    """What is said of one ledger would be wrong of the other."""
    home.create_store(bytes([1]) * 32).close()
    before = read_identity(home)
    use_words(home, OLD)
    follow_words(home)
    need_words(home)
    assert read_identity(home) == before
