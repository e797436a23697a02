"""`tally`: where a command begins and ends.

Everything that can go wrong ends here as a sentence and an exit code: a person never sees a traceback, unless
TALLY_DEBUG=1 asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

_INTERRUPTED: Final = 130
"""As `ExitCode.INTERRUPTED`, which would have to be imported."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _run(words)
    except KeyboardInterrupt:
        # Ctrl-C while something was still being imported, or twice: `ended` has the rest.
        if os.environ.get("TALLY_DEBUG") == "1":
            raise
        return _interrupted(json="--json" in words)


def _run(words: Sequence[str]) -> int:
    from tallystick.cli.argv import read_plain

    plain = read_plain(words)
    if plain is None:
        from tallystick.cli.app import command_of, run

        return ended(lambda: run(words), json="--json" in words, command=lambda: command_of(words))
    from tallystick.cli import reads

    return ended(
        lambda: reads.run(plain.name, plain.args, plain.options),
        json=plain.options.json,
        command=lambda: f"tally {plain.name}",
    )


def ended(work: Callable[[], int], *, json: bool, command: Callable[[], str]) -> int:
    """Do the work of a command and end it as the contract says, whatever happens.

    `command` is how it is called, for hints that name it.
    """
    from tallystick.cli import output

    try:
        code = work()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough.
        code = 0
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        if os.environ.get("TALLY_DEBUG") == "1":
            raise
        from tallystick.cli import errors

        failure = errors.failure_of(error)
        failure.hint = failure.hint.replace("tally COMMAND", command())
        try:
            errors.show(failure, json=json)
        except OSError:
            return failure.exit_code
        code = failure.exit_code
    output.close()
    return code


def _interrupted(*, json: bool) -> int:
    """The words of `errors` for it, without importing anything."""
    said = '{"error": {"code": "interrupted", "message": "interrupted", "hint": ""}}' if json else "tally: interrupted"
    try:
        if sys.stderr is not None:
            sys.stderr.write(said + "\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        return _INTERRUPTED
    return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
