"""What every command has to know of the settings: that they make sense, and which ledger they name.

To read a settings file takes longer than the whole answer of `tally points`. So what was read once without a fault lies
beside, in `run/`, with what it said; as long as the file has the same bytes, nothing is read again.

Source: docs/spec/storage.md#settings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick import __version__
from tallystick.node.errors import HomeError

if TYPE_CHECKING:
    from tallystick.node.home import Home

#: Another release may know other settings.
_RELEASE: Final = f"tallystick {__version__}\n".encode()


def named_ledger(home: Home) -> str | None:
    """The beginning of a ledger's id that the settings name, if they do. Raises ConfigError, HomeError."""
    try:
        text = home.config_path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        # It has the words for what stands in the way.
        return home.read_config().ledger
    name, newline, read = _seen(home).partition(b"\n")
    if newline and read == text:
        return name.decode("ascii") or None
    ledger = home.read_config().ledger
    _keep(home, ledger or "", text)
    return ledger


def _seen(home: Home) -> bytes:
    try:
        kept = (home.path / "run" / "settings").read_bytes()
    except OSError:
        return b""
    return kept.removeprefix(_RELEASE) if kept.startswith(_RELEASE) else b""


def _keep(home: Home, ledger: str, text: bytes) -> None:
    from tallystick.node.home import write_atomic

    try:
        write_atomic(home.path / "run" / "settings", _RELEASE + ledger.encode("ascii") + b"\n" + text)
    except HomeError:
        # A disk that is full, or only read: then they are read each time.
        return
