"""`tally`: where a command begins and ends.

Everything that can go wrong ends here as a sentence and an exit code: a person never sees a traceback, unless
TALLY_DEBUG=1 asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    from tallystick.cli.argv import read_plain

    words = list(sys.argv[1:] if args is None else args)
    plain = read_plain(words)
    if plain is None:
        from tallystick.cli.app import run

        return ended(lambda: run(words), json="--json" in words)
    from tallystick.cli import reads

    return ended(lambda: reads.run(plain.name, plain.args, plain.options), json=plain.options.json)


def ended(work: Callable[[], int], *, json: bool) -> int:
    """Do the work of a command and end it as the contract says, whatever happens."""
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
        try:
            errors.show(failure, json=json)
        except OSError:
            return failure.exit_code
        code = failure.exit_code
    output.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
