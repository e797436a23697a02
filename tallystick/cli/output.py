"""Where words go: results to stdout, everything else to stderr, and nothing breaks when nobody reads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def result(text: str) -> None:
    """What was asked for."""
    _write(sys.stdout, text if text.endswith("\n") else text + "\n")


def result_json(value: Any) -> None:
    """What was asked for, for a program: one JSON value."""
    text = to_json(value)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        import json

        text = json.dumps(value)
    _write(sys.stdout, text + "\n")


def note(options: Options, text: str) -> None:
    """A remark for the person; `-q` silences it."""
    if not options.quiet:
        _write(sys.stderr, text + "\n")


def detail(options: Options, text: str) -> None:
    """A remark for who asked for them with `-v`."""
    if options.verbose:
        _write(sys.stderr, text + "\n")


def always(text: str) -> None:
    """What must be seen, whatever was asked for: an error, or words that are shown only once."""
    _write(sys.stderr, text + "\n")


def always_part(text: str) -> None:
    """The same without an end of line: the person's answer follows."""
    _write(sys.stderr, text)
    if sys.stderr is not None:
        sys.stderr.flush()


def to_json(value: Any) -> str:
    """One line of JSON that a terminal can be shown: what is not printable in it is escaped, and means the same."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def close() -> None:
    """Hand out what is still held back, and see to it that Python's own farewell finds nothing to complain about."""
    for stream in (sys.stdout, sys.stderr):
        # A process may be started without one.
        if stream is None:
            continue
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            _silence(stream)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _silence(stream: TextIO) -> None:
    """Point a stream whose reader has gone to nowhere."""
    import os

    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
