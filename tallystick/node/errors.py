"""What can go wrong around a node: the disk, the home, its settings, another node, the local interface.

Families are cut by what the catcher can do. Every error here carries a `reason`, the word by which programs know it
(`error.code` in the command line's JSON), a sentence for people, a hint that says what to do, and the exit code of a
command that ends with it.

Source: docs/spec/cli.md
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from tallystick.crypto.errors import TallystickError


class ExitCode(IntEnum):
    """How a command ends, for programs."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    LOCKED = 4
    OFFLINE = 5
    DAMAGED = 6
    UNTRUSTED = 7
    INTERRUPTED = 130


class StoreReason(StrEnum):
    """Why the store cannot be used."""

    CLOSED = "store-closed"
    DAMAGED = "store-damaged"
    DISK_FULL = "disk-full"
    EXISTS = "store-exists"
    IO = "disk-error"
    MISSING = "store-missing"
    TOO_NEW = "store-too-new"


class HomeReason(StrEnum):
    """Why a home cannot be used."""

    AMBIGUOUS = "ambiguous"
    EXISTS = "home-exists"
    IN_USE = "home-in-use"
    IO = "home-unreadable"
    NO_HOME = "no-home"
    NOT_FOUND = "not-found"
    READ_ONLY = "home-read-only"
    UNSAFE = "home-unsafe"


#: Whoever has lost a store has lost what its keys have signed, too: those keys cannot go on.
ANEW: Final = (
    "come back from a new home, with your recovery words (`tally recover words`) or another computer of yours "
    "(`tally device add`)"
)

_STORE_HINTS: Final[dict[str, str]] = {
    StoreReason.DAMAGED: f"keep a copy of the home, and {ANEW}",
    StoreReason.DISK_FULL: "make room on the disk; nothing that was confirmed is lost",
    StoreReason.IO: "stop, check the disk, and start again",
    StoreReason.MISSING: f"nothing was created in its place: put the folder back, or {ANEW}",
    StoreReason.TOO_NEW: "update this program",
}

#: Everything else about a home ends with 6: it is there and cannot be used.
_HOME_CODES: Final[dict[str, ExitCode]] = {
    HomeReason.AMBIGUOUS: ExitCode.NOT_FOUND,
    HomeReason.EXISTS: ExitCode.USAGE,
    HomeReason.NO_HOME: ExitCode.NOT_FOUND,
    HomeReason.NOT_FOUND: ExitCode.NOT_FOUND,
}


class NodeError(TallystickError):
    """Base of the errors here: a reason, a sentence, a hint, an exit code."""

    def __init__(self, message: str, *, reason: str, hint: str = "", exit_code: ExitCode = ExitCode.DAMAGED) -> None:
        super().__init__(message)
        self.message = message
        self.reason = str(reason)
        self.hint = hint
        self.exit_code = exit_code
        """How a command ends that this error ends."""
        self.op = ""
        """The operation that is refused, where that is known: the same reason may mean another thing in another."""


class StoreError(NodeError):
    """The disk failed, or what is on it is not what was written. The catcher stops writing and says so."""

    def __init__(
        self, message: str, *, reason: str = StoreReason.DAMAGED, key: bytes | None = None, hint: str = ""
    ) -> None:
        exit_code = ExitCode.USAGE if reason == StoreReason.EXISTS else ExitCode.DAMAGED
        super().__init__(message, reason=reason, hint=hint or _STORE_HINTS.get(reason, ""), exit_code=exit_code)
        self.key = key
        """The key whose value is damaged, if it is one value."""


class HomeError(NodeError):
    """The folder with this device's keys and ledgers is missing, unsafe or in use, or has not what was asked for."""

    def __init__(self, message: str, *, reason: str = HomeReason.IO, hint: str = "", pid: int | None = None) -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=_HOME_CODES.get(reason, ExitCode.DAMAGED))
        self.pid = pid
        """The process that uses the home, where it is known."""


class ConfigError(NodeError):
    """The settings file cannot be understood. All its problems at once, each naming the key and what is allowed."""

    def __init__(self, path: str, problems: tuple[str, ...]) -> None:
        message = f"{path}: " + "; ".join(problems)
        super().__init__(message, reason="config-invalid", hint=f"edit {path}", exit_code=ExitCode.USAGE)
        self.problems = problems


class PeerError(NodeError):
    """The other node broke the protocol, lied or went silent. The catcher disconnects; `peer` is its node key."""

    def __init__(self, message: str, *, peer: bytes, reason: str = "peer", hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=ExitCode.OFFLINE)
        self.peer = peer


class ApiError(NodeError):
    """A request to the local interface cannot be answered. `status` is the HTTP status it is answered with."""

    def __init__(
        self, message: str, *, reason: str, status: int = 400, exit_code: ExitCode = ExitCode.USAGE, hint: str = ""
    ) -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=exit_code)
        self.status = status
