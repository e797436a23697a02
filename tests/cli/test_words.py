"""Every refusal has words: a sentence that says what it means here, and a hint where there is something to do."""

from __future__ import annotations

from enum import StrEnum

import pytest

from tallystick.cli import errors
from tallystick.cli.words import RULES, STRUCTURE, WORDS
from tallystick.crypto.errors import (
    KeystoreError,
    KeystoreReason,
    SignatureError,
    SignatureReason,
    TextError,
    TextReason,
)
from tallystick.node.errors import ExitCode, HomeReason, NodeError, StoreReason
from tallystick.protocol.errors import BlockError, DecodeError, EntryError, Reason


def _missing(reasons: type[StrEnum]) -> list[str]:
    return [str(each) for each in reasons if str(each) not in WORDS]


@pytest.mark.parametrize("reasons", [Reason, HomeReason, StoreReason, KeystoreReason, TextReason])
def test_every_reason_has_words(reasons: type[StrEnum]) -> None:
    """A new reason needs its line in the table: without it a person would read a word of the protocol."""
    assert _missing(reasons) == []


def test_words_are_sentences() -> None:
    """They follow `tally:` on the line, so they begin small and end without a full stop."""
    for reason, (sentence, hint) in WORDS.items():
        assert sentence, reason
        assert not sentence.endswith("."), reason
        assert not hint.endswith("."), reason
        assert sentence[0].islower(), reason


def test_rules_and_structure_share_no_reason() -> None:
    """What a rule refuses and what no node takes are two things."""
    assert set(RULES) & set(STRUCTURE) == set()


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (NodeError("m", reason="home-in-use"), "home-in-use", 6),
        (KeystoreError(KeystoreReason.WRONG_PASSPHRASE), "wrong-passphrase", 4),
        (KeystoreError(KeystoreReason.WORD_COUNT), "words-count", 2),
        (KeystoreError(KeystoreReason.DAMAGED), "key-file-damaged", 6),
        (TextError(TextReason.CHECKSUM), "checksum", 7),
        (SignatureError(SignatureReason.MISMATCH), "signature-mismatch", 7),
        (EntryError(Reason.OFFER_TAKEN), "offer-taken", 1),
        (BlockError("not-in-order"), "not-in-order", 1),
        (DecodeError(Reason.TRUNCATED, 3), "truncated", 7),
        (KeyboardInterrupt(), "interrupted", 130),
        (OSError(28, "No space left on device"), "disk-full", 6),
        (PermissionError(13, "Permission denied", "x"), "disk-error", 6),
        (ZeroDivisionError("oh"), "internal-error", 70),
        (
            ExceptionGroup("tasks", [ValueError("x"), NodeError("m", reason="mute", exit_code=ExitCode.REFUSED)]),
            "mute",
            1,
        ),
    ],
)
def test_every_error_has_a_code_and_an_exit_code(error: BaseException, code: str, exit_code: int) -> None:
    """Programs know failures by the word, scripts by the number."""
    failure = errors.failure_of(error)
    assert (failure.code, failure.exit_code) == (code, exit_code)
    assert failure.message


def test_refusal_says_what_the_reason_means() -> None:
    """Before the protocol's word stands a sentence, and the detail of the rule is kept."""
    error = NodeError(
        "not signed, since it would be void: balance (3 points too few)",
        reason="balance",
        exit_code=ExitCode.REFUSED,
    )
    failure = errors.failure_of(error)
    assert failure.message.startswith("there are not enough points")
    assert "3 points too few" in failure.message
    assert failure.hint


def test_message_of_others_is_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """An error may quote what somebody else wrote."""
    errors.show(errors.Failure("x", "bad \x1b[31mname\u202e", "try \x07", 1), json=False)
    assert capsys.readouterr().err == "tally: bad \\x1b[31mname\\u202e\nhint: try \\x07\n"
