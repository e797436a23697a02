"""Files that the person names: read whole, within a bound, or refused in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tallystick.cli.errors import CommandError
from tallystick.node.errors import ExitCode
from tallystick.node.file_errors import unreadable, unwritable

_TEXT_BYTES_MAX: Final = 4 * 1024 * 1024


def read_text(path: Path, *, bytes_max: int = _TEXT_BYTES_MAX) -> str:
    """A text file; `-` is standard input. Raises NodeError: file-not-found, file-unreadable."""
    import sys

    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > bytes_max:
        raise CommandError("file-unreadable", f"{path} is too large", exit_code=ExitCode.USAGE)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}"
        raise CommandError("file-unreadable", message, exit_code=ExitCode.USAGE) from error


def try_new(path: Path) -> None:
    """Find out whether a file can be written, before there is anything to write. Raises FileError as `write_new`."""
    write_new(path, "")
    path.unlink(missing_ok=True)


def write_new(path: Path, text: str) -> None:
    """Write a file for its owner alone; one that exists is left as it is. Raises FileError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
