"""How a command ends that cannot do what was asked: a word for programs, a sentence, a hint, an exit code.

Whatever was raised becomes a `Failure`; nothing here looks into a traceback. `words` has the sentences.

Exit codes: 0 done, 1 refused by a rule, 2 usage, 3 not found or ambiguous, 4 key locked, 5 no peer, 6 store or file
damaged, 7 input not trusted, 130 interrupted; 70 is a fault of this program.

Source: docs/spec/cli.md#errors
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from tallystick.cli import output
from tallystick.crypto.errors import KeystoreError, SignatureError, TallystickError, TextError
from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options

INTERNAL = 70


class UsageError(NodeError):
    """The person asked for something that cannot be asked."""

    def __init__(self, message: str, *, reason: str = "usage", hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=ExitCode.USAGE)


class CommandError(NodeError):
    """A command cannot do what was asked, for a reason in `words`."""

    def __init__(self, reason: str, message: str = "", *, hint: str = "", exit_code: int = ExitCode.REFUSED) -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=ExitCode(exit_code))


class Failure:
    """One failed command, ready to be shown."""

    __slots__ = ("code", "exit_code", "extra", "hint", "message")

    def __init__(self, code: str, message: str, hint: str, exit_code: int, extra: Any = None) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.extra = extra
        """More for programs, such as every problem of a charter."""

    def to_value(self) -> dict[str, Any]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint, **(self.extra or {})}}


def show(failure: Failure, *, json: bool) -> None:
    """Print it, to stderr."""
    from tallystick.cli.text import clean_lines

    if json:
        output.always(output.to_json(failure.to_value()))
        return
    first, *more = clean_lines(failure.message)
    lines = [f"tally: {first}", *(f"  {line}" for line in more)]
    lines += [f"hint: {line}" for line in clean_lines(failure.hint) if line]
    output.always("\n".join(lines))


def warn(options: Options, message: str) -> None:
    """Something the person should know, which stops nothing."""
    output.note(options, f"note: {message}")


def failure_of(error: BaseException) -> Failure:
    """What an error means to the person. Every error has an answer; a bug is called one."""
    if isinstance(error, BaseExceptionGroup):
        # The event loop bundles what its tasks raised; one of them is what stopped the command.
        return failure_of(_first(error))
    if isinstance(error, NodeError):
        hint = error.hint or _of_operation(error.op, error.reason)[1]
        return _failure(error.reason, _message_of(error), hint, error.exit_code, _problems(error))
    if isinstance(error, KeystoreError):
        wrong = error.reason == "wrong-passphrase"
        usage = error.reason.startswith("word") or error.reason == "passphrase-unusable"
        code = ExitCode.LOCKED if wrong else ExitCode.USAGE if usage else ExitCode.DAMAGED
        return _failure(error.reason, error.detail, "", code)
    if isinstance(error, TextError | SignatureError):
        return _failure(error.reason, error.detail, "", ExitCode.UNTRUSTED)
    if isinstance(error, TallystickError):
        return _failure_of_protocol(error)
    if isinstance(error, KeyboardInterrupt):
        return _failure("interrupted", "", "", ExitCode.INTERRUPTED)
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        return _failure("disk-full" if full else "disk-error", message, "", ExitCode.DAMAGED)
    return _failure("internal-error", f"{type(error).__name__}: {error}", "", INTERNAL)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of a group that has words, or simply the first."""
    known, rest = group.split(TallystickError)
    found: BaseException = known or rest or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _failure_of_protocol(error: TallystickError) -> Failure:
    extra = _problems(error)
    if extra is not None:
        message = "\n".join(("the charter has errors:", *(row["message"] for row in extra["problems"])))
        return _failure("charter-invalid", message, "", ExitCode.USAGE, extra)
    reason, detail = str(getattr(error, "reason", "internal-error")), str(getattr(error, "detail", ""))
    from tallystick.protocol.errors import DecodeError

    code = ExitCode.UNTRUSTED if isinstance(error, DecodeError) else ExitCode.REFUSED
    return _failure(reason, _with_detail(reason, detail), "", code)


def _message_of(error: NodeError) -> str:
    """The error's own words; where a rule refuses, the sentence that says what the reason means comes first."""
    from tallystick.cli.words import RULES

    if error.exit_code != ExitCode.REFUSED or error.reason not in RULES or error.reason not in error.message:
        return error.message
    sentence = _of_operation(error.op, error.reason)[0]
    return f"{sentence or RULES[error.reason][0]}: {error.message}"


def _of_operation(op: str, reason: str) -> tuple[str, str]:
    from tallystick.cli.words import OF_OPERATION

    return OF_OPERATION.get((op, str(reason)), ("", ""))


def _problems(error: TallystickError) -> dict[str, Any] | None:
    """For programs: everything that is wrong with a charter, each with its path."""
    rows = getattr(error, "problems", None)
    if not rows or not all(hasattr(each, "path") for each in rows):
        return None
    return {"problems": [{"path": each.path, "message": str(each)} for each in rows]}


def explain(reason: str, detail: str = "", op: str = "") -> str:
    """A reason and its detail as one sentence; of an operation, if it is known."""
    return _with_detail(str(reason), detail, op)


def _with_detail(reason: str, detail: str, op: str = "") -> str:
    sentence = _of_operation(op, reason)[0] or _words(reason)[0]
    return f"{sentence} ({detail})" if detail else sentence


def _failure(reason: str, message: str, hint: str, exit_code: int, extra: Any = None) -> Failure:
    sentence, advice = _words(reason)
    return Failure(str(reason), message or sentence, hint or advice, int(exit_code), extra)


def _words(reason: str) -> tuple[str, str]:
    # Most commands end well, and all of them import this module.
    from tallystick.cli.words import WORDS

    return WORDS.get(str(reason)) or (str(reason), "")
