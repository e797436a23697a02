"""Why a file that somebody named cannot be read or written: the word, the sentence and the exit code, in one place."""

from __future__ import annotations

from pathlib import Path

from tallystick.node.errors import ExitCode, NodeError


class FileError(NodeError):
    """A file that was named cannot be had."""


def unreadable(path: Path, error: OSError) -> FileError:
    """Why a file cannot be read: file-not-found, file-unreadable."""
    if isinstance(error, FileNotFoundError):
        return FileError(f"{path} does not exist", reason="file-not-found", exit_code=ExitCode.NOT_FOUND)
    return FileError(f"{path}: {error.strerror or error}", reason="file-unreadable", exit_code=_code(error))


def unwritable(path: Path, error: OSError) -> FileError:
    """Why a file cannot be written: file-exists, file-not-found, file-unwritable."""
    if isinstance(error, FileExistsError):
        return FileError(f"{path} exists already", reason="file-exists", exit_code=ExitCode.USAGE)
    if isinstance(error, FileNotFoundError):
        message = f"the folder {path.parent} does not exist"
        return FileError(message, reason="file-not-found", exit_code=ExitCode.NOT_FOUND)
    return FileError(f"{path}: {error.strerror or error}", reason="file-unwritable", exit_code=_code(error))


def _code(error: OSError) -> ExitCode:
    """A folder in the place of a file is a mistake of the call; otherwise the system does not give what is there."""
    is_wrong = isinstance(error, IsADirectoryError | NotADirectoryError)
    return ExitCode.USAGE if is_wrong else ExitCode.DAMAGED
