"""The recovery words: handed over once, and proof asked that they are written down.

They are kept nowhere. What stays is a line in `tally status` until two of them were given back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tallystick.cli import ask, output
from tallystick.cli.errors import CommandError
from tallystick.cli.files import read_text, write_new
from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home

_ASKED: Final = 2
_TRIES: Final = 3
_COLUMNS: Final = 4


def hand_over(home: Home, options: Options, words: Sequence[str], file: str | None, *, confirm: bool = True) -> bool:
    """Give the words to the person; whether they are confirmed, which the home remembers unless `confirm` is off."""
    from tallystick.node.identity import confirm_words

    if file is not None:
        try:
            write_new(Path(file), " ".join(words) + "\n")
        except NodeError:
            # The keys are made, and these words will never be seen again.
            output.always(_sheet(words))
            raise
        output.note(options, f"the recovery words are in {file}: keep it away from this computer")
        if confirm:
            confirm_words(home)
        return True
    output.always("These 24 words bring your membership back if this device is lost. They are shown only now.")
    output.always("Write them on paper; whoever has them is you.\n")
    output.always(_sheet(words))
    if ask.can_ask() and _proves(words):
        if confirm:
            confirm_words(home)
        return True
    output.note(options, "`tally init --confirm-words` asks for them later")
    return False


def confirm_later(home: Home, options: Options, file: str | None) -> int:
    """Take all words in and compare them with the recovery key of this home. Raises KeystoreError, CommandError."""
    from tallystick.crypto.keys import SecretKey
    from tallystick.crypto.words import entropy_from_words, recovery_seed
    from tallystick.node.identity import confirm_words, read_identity

    identity = read_identity(home)
    if identity.words_elsewhere:
        raise CommandError(
            "other-words",
            "the words of this home do nothing in the ledger that is here",
            exit_code=ExitCode.USAGE,
            hint="this is one more computer of yours: its words are those that you had before; confirm them there",
        )
    text = read_text(Path(file)) if file is not None else ask.secret("Your 24 recovery words: ", "--words-file")
    recovery = SecretKey.from_seed(recovery_seed(entropy_from_words(text)))
    if recovery.public != identity.recovery:
        raise CommandError(
            "other-words",
            "these are the words of another home",
            exit_code=ExitCode.USAGE,
            hint="compare with your paper",
        )
    if not options.dry_run:
        confirm_words(home)
    if options.json:
        output.result_json({"words_confirmed": not options.dry_run})
    else:
        output.result("these are the right words")
    return 0


def _proves(words: Sequence[str]) -> bool:
    """Ask two of them back, in random places."""
    output.always("")
    places = sorted(secrets.SystemRandom().sample(range(len(words)), _ASKED))
    for place in places:
        for _ in range(_TRIES):
            answer = ask.text(f"Word {place + 1} (or `later`): ", "--words-file").strip().lower()
            if answer == "later":
                return False
            if answer == words[place]:
                break
            output.always("that is another word")
        else:
            return False
    return True


def _sheet(words: Sequence[str]) -> str:
    """The words in numbered columns, to be read downwards."""
    rows = len(words) // _COLUMNS
    lines = []
    for row in range(rows):
        cells = [f"{at + 1:2} {words[at]:<10}" for at in range(row, len(words), rows)]
        lines.append("  " + "".join(cells).rstrip())
    return "\n".join(lines)
