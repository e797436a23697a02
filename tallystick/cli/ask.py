"""Questions to the person. Nobody is asked where nobody can answer: then the option that answers is named."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tallystick.cli import output
from tallystick.cli.errors import CommandError, UsageError
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def can_ask() -> bool:
    """Whether a person sits at the keyboard."""
    return sys.stdin is not None and sys.stdin.isatty()


def text(prompt: str, option: str) -> str:
    """What the person types. Raises UsageError that names the option where nobody can be asked."""
    _need(option)
    return _line(prompt)


def secret(prompt: str, option: str) -> str:
    """The same for a passphrase, which does not appear on the screen."""
    _need(option)
    from getpass import getpass

    try:
        return getpass(prompt, stream=sys.stderr)
    except EOFError:
        raise KeyboardInterrupt from None


def confirm(options: Options, question: str, option: str = "--yes") -> None:
    """Go on only if the person says yes. Raises CommandError: declined."""
    if options.yes:
        return
    _need(option)
    if _line(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("declined", exit_code=ExitCode.INTERRUPTED)


def _need(option: str) -> None:
    if not can_ask():
        raise UsageError(
            f"nobody can be asked here, since there is no terminal: {option} is missing",
            reason="not-a-terminal",
            hint=f"give {option}",
        )


def _line(prompt: str) -> str:
    # input() would write its prompt to stdout, which belongs to results.
    output.always_part(prompt)
    line = sys.stdin.readline()
    if not line:
        raise KeyboardInterrupt
    return line.rstrip("\r\n")
