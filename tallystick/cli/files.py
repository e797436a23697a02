"""Files that the person names: read whole, within a bound, or refused in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tallystick.cli.errors import CommandError
from tallystick.node.errors import ExitCode

_TEXT_BYTES_MAX: Final = 4 * 1024 * 1024


def read_text(path: Path, *, bytes_max: int = _TEXT_BYTES_MAX) -> str:
    """A text file; `-` is standard input. Raises CommandError: file-not-found, file-unreadable."""
    import sys

    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
    except FileNotFoundError as error:
        raise CommandError("file-not-found", f"{path} does not exist", exit_code=ExitCode.NOT_FOUND) from error
    except OSError as error:
        raise CommandError("file-unreadable", f"{path}: {error.strerror}", exit_code=ExitCode.DAMAGED) from error
    if len(data) > bytes_max:
        raise CommandError("file-unreadable", f"{path} is too large", exit_code=ExitCode.USAGE)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 at byte {error.start}"
        raise CommandError("file-unreadable", message, exit_code=ExitCode.USAGE) from error


def write_new(path: Path, text: str) -> None:
    """Write a file for its owner alone; one that exists is left as it is. Raises CommandError: file-exists."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise CommandError("file-exists", f"{path} exists already", exit_code=ExitCode.USAGE) from error
    except OSError as error:
        raise CommandError("file-unreadable", f"{path}: {error.strerror}", exit_code=ExitCode.DAMAGED) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
