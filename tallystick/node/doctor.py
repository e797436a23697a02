"""What is wrong with this computer's part, and what mends it: one small check after the other.

Every check answers {"name", "ok", "what", "fix"}: what was found, in a sentence, and what to do about it, empty where
all is well. It works with the node running, which then has the stores to itself and is asked for its `status`, and
without, and on a home that no command would open.

Source: docs/spec/cli.md#doctor
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.signatures import self_test
from tallystick.node.errors import HomeError, HomeReason, NodeError
from tallystick.node.home import Home

if TYPE_CHECKING:
    from tallystick.node.config import Config

DISK_BYTES_MIN: Final = 64 * 1024 * 1024
"""Less than this, and a busy week may fill the disk."""
#: Versions of Python that the tests run on.
PYTHON_MIN: Final = (3, 11)
PYTHON_TESTED: Final = (3, 13)
LIBP2P_VERSION: Final = "0.8.1"
LIBRARIES: Final = ("libp2p", "PyNaCl", "cryptography", "msgspec", "msgpack", "trio")
#: 1 January 2025: this program is younger, so no clock can honestly say less.
CLOCK_MS_MIN: Final = 1_735_689_600_000
CLOCK_MS_MAX: Final = 4_102_444_800_000
"""The year 2100."""


#: What can be said where there is no home yet.
_BEFORE_HOME: Final = ("python", "libraries", "signatures", "clock", "home")


class Finding(NamedTuple):
    """What one check found."""

    ok: bool
    what: str
    fix: str = ""


def doctor(home: Home, *, now: int, status: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Check everything. `status` is what the running node answers, None when none answers; `now` is in ms."""
    from tallystick.node.doctor_ledger import ledger_checks

    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("libraries", _libraries),
        ("signatures", _signatures),
        ("clock", lambda: _clock(now)),
        ("home", lambda: _home(home)),
        ("disk", lambda: _disk(home)),
        ("settings", lambda: _settings(home)),
        ("keys", lambda: _keys(home)),
        ("words", lambda: _words(home)),
        ("node", lambda: _node(home, status)),
        ("listen", lambda: _listen(home, status)),
        ("addresses", lambda: _addresses(home, status)),
    ]
    if not home.path.is_dir():
        # Everything that follows would say the same once more.
        return [_run(name, check) for name, check in checks if name in _BEFORE_HOME]
    rows = [_run(name, check) for name, check in checks]
    rows += [_row(name, finding) for name, finding in _each(ledger_checks(home, now, status))]
    return rows


def _run(name: str, check: Callable[[], Finding]) -> dict[str, Any]:
    try:
        finding = check()
    except TallystickError as error:
        finding = failed(error)
    return _row(name, finding)


def _each(checks: Iterator[tuple[str, Finding]]) -> Iterator[tuple[str, Finding]]:
    try:
        yield from checks
    except TallystickError as error:
        yield "ledgers", failed(error)


def _row(name: str, finding: Finding) -> dict[str, Any]:
    return {"name": name, **finding._asdict()}


def failed(error: TallystickError) -> Finding:
    """An error as a finding, with its hint as the fix."""
    return Finding(False, str(error), error.hint if isinstance(error, NodeError) else "")


# -- the program -------------------------------------------------------------------------------------------------------


def _python() -> Finding:
    found = sys.version_info[:2]
    text = f"Python {sys.version.split()[0]}"
    if found < PYTHON_MIN:
        return Finding(False, f"{text} is too old", "install Python 3.11, 3.12 or 3.13")
    if found > PYTHON_TESTED:
        return Finding(True, f"{text}, newer than what this version was tried with")
    return Finding(True, text)


def _libraries() -> Finding:
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            return Finding(False, f"{name} is not installed", "install this program again with all it needs")
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    if found["libp2p"] != LIBP2P_VERSION:
        return Finding(False, text, f"this version needs exactly libp2p {LIBP2P_VERSION}: install it again")
    return Finding(True, text)


def _signatures() -> Finding:
    self_test()
    return Finding(True, "signatures are judged as they must be")


def _clock(now: int) -> Finding:
    if CLOCK_MS_MIN <= now < CLOCK_MS_MAX:
        return Finding(True, f"it is {stamp(now)}")
    return Finding(False, f"this computer says it is {stamp(now)}", "set the clock; switch on network time")


def stamp(ms: int) -> str:
    """A moment in UTC, to the minute."""
    from datetime import UTC, datetime, timedelta

    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).strftime("%Y-%m-%d %H:%M UTC")
    except OverflowError:
        return f"{ms} ms after 1970"


# -- the home ----------------------------------------------------------------------------------------------------------


def _home(home: Home) -> Finding:
    Home.open(home.path)
    return Finding(True, f"{home.path} belongs to you alone")


def _disk(home: Home) -> Finding:
    try:
        free = shutil.disk_usage(home.path).free
    except OSError as error:
        return Finding(False, f"{home.path}: {error.strerror}", "")
    text = f"{free // (1024 * 1024)} MiB free"
    return Finding(True, text) if free >= DISK_BYTES_MIN else Finding(False, text, "make room on the disk")


def _settings(home: Home) -> Finding:
    home.read_config()
    return Finding(True, f"{home.config_path}" if home.config_path.exists() else "no file: all settings as they come")


def _keys(home: Home) -> Finding:
    from tallystick.node.identity import read_identity, read_node_secret

    identity = read_identity(home)
    read_node_secret(home)
    return Finding(True, f"the keys of device {identity.device.hex()[:8]} can be read")


def _words(home: Home) -> Finding:
    from tallystick.node.identity import read_identity

    identity = read_identity(home)
    if identity.words_confirmed:
        return Finding(True, "the recovery words are written down")
    if identity.words_elsewhere:
        return Finding(True, "the recovery words are those of your first computer")
    fix = "`tally init --confirm-words` asks for them; without them a lost computer is hard to replace"
    return Finding(False, "nobody has shown yet that the recovery words are written down", fix)


# -- the network -------------------------------------------------------------------------------------------------------


def _node(home: Home, status: Mapping[str, Any] | None) -> Finding:
    if status is not None:
        peers = status.get("peers") or 0
        return Finding(True, f"the node runs, connected to {peers} {'other' if peers == 1 else 'others'}")
    try:
        home.lock_run().release()
    except HomeError as error:
        if error.reason != HomeReason.IN_USE:
            return failed(error)
        return Finding(False, f"a node runs but does not answer: {error}", "wait a little, or stop that process")
    return Finding(True, "no node runs: `tally node` starts one")


def _listen(home: Home, status: Mapping[str, Any] | None) -> Finding:
    config = home.read_config()
    listen = ", ".join(config.listen) or "nowhere"
    if status is None:
        for host, port, family in _ports(config):
            if not _is_free(host, port, family):
                fix = "stop the other program, or choose another port in config.toml (`listen`)"
                return Finding(False, f"another program listens on port {port}", fix)
    if config.listen and all("/127." in each or "/::1/" in each for each in config.listen):
        return Finding(True, f"listens on {listen}: only programs on this computer can reach it")
    return Finding(True, f"listens on {listen}")


def _ports(config: Config) -> Iterator[tuple[str, int, socket.AddressFamily]]:
    """(host, port, family) of every address that names a port."""
    for address in config.listen:
        parts = address.split("/")
        if len(parts) >= 5 and parts[3] == "tcp" and parts[4].isdigit() and int(parts[4]):
            yield parts[2], int(parts[4]), socket.AF_INET6 if parts[1] == "ip6" else socket.AF_INET


def _is_free(host: str, port: int, family: socket.AddressFamily) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # What a node left behind a moment ago is no other program.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
    return True


def _addresses(home: Home, status: Mapping[str, Any] | None) -> Finding:
    config = home.read_config()
    if status is None:
        known = ", ".join(config.announce)
        return Finding(True, f"announces {known}" if known else "known when the node runs")
    addresses = [str(address) for address in status.get("addresses") or ()]
    if not addresses:
        return Finding(False, "the node listens nowhere", "set `listen` in config.toml, and start it again")
    near = ("/127.", "/::1/", "/10.", "/192.168.", "/169.254.", "/fe80:", "/fd", *(f"/172.{n}." for n in range(16, 32)))
    if all(any(part in address for part in near) for address in addresses):
        text = "reached only in this network, unless a partner's node relays: " + ", ".join(addresses)
        return Finding(True, text)
    return Finding(True, "reached at " + ", ".join(addresses))
