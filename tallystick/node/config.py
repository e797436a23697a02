"""Settings of this device: one dataclass, its defaults, its file `config.toml`.

Nothing here changes what a ledger says; it is about addresses, times and the person at this computer. An unknown key
is an error and not ignored: a misspelt setting that does nothing is worse than a message.

Source: docs/spec/storage.md#settings
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick.node.errors import ConfigError

FILE_BYTES_MAX: Final = 64 * 1024
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_ADDRESS: Final = re.compile(r"(?:/[a-z0-9-]+(?:/[^/\s]+)?)+")

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingTimes:
    """How long sealing waits for others, in milliseconds. Lower values suit tests on one machine only."""

    propose_ms: int = 10_000
    propose_step_ms: int = 5_000
    """More for each round."""
    vote_ms: int = 5_000
    vote_step_ms: int = 2_000
    timeout_ms_max: int = 120_000
    status_ms: int = 10_000
    """How often the status goes out while a height is active, and how far apart two READYs are at least."""
    present_ms: int = 30_000
    """For so long a message proves that its sealer is there."""
    patience_ms: int = 43_200_000
    """The wall-clock deadline of the first round, for sealers that are never there together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings with their defaults: what holds where there is no file."""

    listen: tuple[str, ...] = ("/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0")
    """Addresses that the node listens on."""
    announce: tuple[str, ...] = ()
    """Addresses under which others reach it, where it cannot know them itself (behind a router)."""
    peers: tuple[str, ...] = ()
    """Addresses that are dialled at start, besides those the ledger's members were last seen at."""
    mdns: bool = True
    """Find partners in the same network, and be found."""
    relay: bool = True
    """Let partners reach each other through this node."""
    dial_ms: int = 30_000
    """How often partners that are not connected are tried."""
    api_port: int | None = None
    """Port of the local interface on loopback TCP; 0 takes any. Absent: only the Unix socket of the home."""
    unlock_ms: int = 900_000
    """How long an unlocked key stays so without use."""
    passphrase_file: Path | None = None
    """A file with the passphrase, for machines without a person."""
    ledger: str | None = None
    """The ledger that commands are about, by prefix, where there are several."""
    sealing: SealingTimes = field(default_factory=SealingTimes)


class _Refused(Exception):
    """What is wrong with one value, in words that follow its name."""


_Reader = Callable[[Any], Any]


def _is_true(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Refused("must be true or false")
    return value


def _duration(low_ms: int, high_ms: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        duration_ms = int(match[1]) * _UNITS[match[2]] if match else -1
        if not low_ms <= duration_ms <= high_ms:
            raise _Refused(f'must be a duration such as "10s", from {_words(low_ms)} to {_words(high_ms)}')
        return duration_ms

    return read


def _words(duration_ms: int) -> str:
    unit = next(unit for unit in ("d", "h", "m", "s", "ms") if duration_ms % _UNITS[unit] == 0)
    return f"{duration_ms // _UNITS[unit]}{unit}"


def _port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise _Refused("must be a port, from 0 (any) to 65535")
    return value


def _addresses(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > 64
        or not all(isinstance(each, str) and len(each) <= 512 and _ADDRESS.fullmatch(each) for each in value)
    ):
        raise _Refused('must be a list of at most 64 addresses such as "/ip4/192.0.2.1/tcp/4001"')
    return tuple(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise _Refused("must be the path of a file")
    return Path(value).expanduser()


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{1,64}", value):
        raise _Refused("must be the first digits of a ledger's id, 0-9 and a-f")
    return value


_short = _duration(1, 3_600_000)

_NODE: Final[Mapping[str, tuple[str, _Reader]]] = {
    "listen": ("listen", _addresses),
    "announce": ("announce", _addresses),
    "peers": ("peers", _addresses),
    "mdns": ("mdns", _is_true),
    "relay": ("relay", _is_true),
    "dial": ("dial_ms", _duration(100, _DAY_MS)),
    "api-port": ("api_port", _port),
    "unlock": ("unlock_ms", _duration(0, _DAY_MS)),
    "passphrase-file": ("passphrase_file", _path),
    "ledger": ("ledger", _prefix),
}
_SEALING: Final[Mapping[str, tuple[str, _Reader]]] = {
    "propose": ("propose_ms", _short),
    "propose-step": ("propose_step_ms", _duration(0, 3_600_000)),
    "vote": ("vote_ms", _short),
    "vote-step": ("vote_step_ms", _duration(0, 3_600_000)),
    "timeout-max": ("timeout_ms_max", _short),
    "status": ("status_ms", _short),
    "present": ("present_ms", _short),
    "patience": ("patience_ms", _duration(1, 7 * _DAY_MS)),
}


def read_config(data: bytes, name: str = "config.toml") -> Config:
    """Read a settings file. Raises ConfigError with every problem it has; `name` is what the message calls it."""
    document = _parse(data, name)
    problems: list[str] = []
    sealing = document.pop("sealing", {})
    if isinstance(sealing, dict):
        times = _fields(sealing, _SEALING, "sealing.", problems)
    else:
        problems.append("sealing must be a table")
        times = {}
    values = _fields(document, _NODE, "", problems, tables=("sealing",))
    if problems:
        raise ConfigError(name, tuple(problems))
    return Config(**values, sealing=SealingTimes(**times))


def _parse(data: bytes, name: str) -> dict[str, Any]:
    import tomllib

    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(name, (f"larger than {FILE_BYTES_MAX} bytes",))
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(name, (f"not UTF-8 at byte {error.start}",)) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name, (str(error),)) from error
    except ValueError as error:
        # A number of thousands of digits.
        raise ConfigError(name, ("a value is out of range",)) from error
    except RecursionError as error:
        raise ConfigError(name, ("nested too deeply",)) from error


def _fields(
    table: Mapping[str, Any],
    known: Mapping[str, tuple[str, _Reader]],
    where: str,
    problems: list[str],
    tables: tuple[str, ...] = (),
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            problems.append(f"{where}{key!a} is unknown; known are {', '.join(sorted((*known, *tables)))}")
            continue
        name, read = known[key]
        try:
            values[name] = read(value)
        except _Refused as refused:
            problems.append(f"{where}{key} {refused}")
    return values
