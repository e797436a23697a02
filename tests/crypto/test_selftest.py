"""The start-up self-test: its table is what it says, and a library that judges otherwise is caught."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.crypto import signatures
from tallystick.crypto.errors import SignatureError
from tallystick.crypto.selftest import CASES
from tallystick.crypto.signatures import is_valid, self_test
from tests.crypto import curve_cases, reference


def test_the_table_is_what_its_maker_makes() -> None:
    """Sixteen situations built anew from the curve, byte for byte, with the verdict of the construction."""
    made = [
        (case.name, case.key.data, case.message, case.signature, case.expect == "valid")
        for case in curve_cases.self_test_cases()
    ]
    assert list(CASES[2:]) == made
    assert [case[4] for case in CASES[:2]] == [True, False]
    assert len({case[0] for case in CASES}) == len(CASES) == 18


def test_the_reference_agrees_with_the_table() -> None:
    """A third judge, which knows nothing of the program."""
    for name, public, message, signature, expected in CASES:
        assert reference.strict(public, message, signature) is expected, name


def test_the_libraries_of_this_machine_pass() -> None:
    """As every node asks at its start."""
    self_test()
    assert all(is_valid(*case[1:4]) is case[4] for case in CASES)


def test_each_laxer_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that gets one case wrong, whichever it is, does not start."""
    for name, public, message, signature, expected in CASES:

        def wrong(key: bytes, text: bytes, signed: bytes, _case: Any = (public, message, signature)) -> bool:
            return is_valid(key, text, signed) is not ((key, text, signed) == _case)

        monkeypatch.setattr(signatures, "is_valid", wrong)
        with pytest.raises(SignatureError) as caught:
            self_test()
        assert caught.value.reason == "library-deviates"
        assert name in caught.value.detail
        assert ("refused" if expected else "accepted") in caught.value.detail


def test_a_verifier_that_says_yes_or_no_to_everything_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has both outcomes."""
    for answer in (True, False):
        monkeypatch.setattr(signatures, "is_valid", lambda *_, _answer=answer: _answer)
        with pytest.raises(SignatureError, match="self-test"):
            self_test()
