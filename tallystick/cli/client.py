"""One operation, wherever the ledger is: asked of the running node, or done here.

A running node has the store to itself and answers HTTP/1.1 on a Unix socket in the home. The request is written by
hand: a whole HTTP library would take longer to import than the answer to come. Without a node the store is opened
here, for this one operation. A node that starts or stops in this very moment is waited for shortly.

Source: docs/spec/cli.md#local-api
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.errors import CommandError
from tallystick.node.errors import ExitCode, HomeError, HomeReason, NodeError

if TYPE_CHECKING:
    import socket

    from tallystick.cli.options import Options
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.home import Home

#: How long a home that is in use, but where no node answers, is tried again.
BUSY_S: Final = 15.0
_BUSY_STEP_S: Final = 0.05
_ANSWER_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
_KEY_HEADER: Final = "Tally-Key"

#: What can be answered at a glance.
GLANCES: Final = frozenset({"points", "status"})

KeyFor = Callable[[], "SecretKey"]
"""Gets the signing key, asking for the passphrase if need be."""


class Client:
    """What `tally` asks, and of whom. Nothing is opened before `call`."""

    def __init__(self, home: Home, options: Options, *, busy_s: float = BUSY_S) -> None:
        self.home = home
        self.options = options
        self.busy_s = busy_s

    # -- operations ------------------------------------------------------------------------------------------------

    def read(self, op: str, args: Mapping[str, Any]) -> Any:
        """The answer to a question. Raises NodeError."""
        return self._somewhere(
            lambda stream: self._ask(stream, "GET", op, args, None),
            lambda: self._here(op, args, None),
        )

    def write(self, op: str, args: Mapping[str, Any], key_for: KeyFor, held: SecretKey | None = None) -> Any:
        """Do something that is signed. `held` is the key if it is at hand already; it is asked for only if needed.

        Raises NodeError, KeystoreError.
        """
        try:
            return self._signed(op, args, held)
        except NodeError as error:
            if error.reason != "key-locked" or held is not None:
                raise
        # Nobody is asked for a passphrase while the store is open: other commands would wait for the person.
        return self._signed(op, args, key_for())

    def unsigned(self, op: str, args: Mapping[str, Any]) -> Any:
        """Do something that needs no signing key, such as `seal`. Raises NodeError."""
        return self._somewhere(
            lambda stream: self._ask(stream, "POST", op, args, None),
            lambda: self._here(op, args, None),
        )

    def with_key(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        """Do something with the key if it is at hand, and without where it is not. Raises NodeError."""
        return self._somewhere(
            lambda stream: self._ask(stream, "POST", op, args, key),
            lambda: self._here(op, args, key),
        )

    def ask_node(
        self,
        op: str,
        args: Mapping[str, Any],
        key: SecretKey | None = None,
        *,
        method: str = "POST",
        wait_s: float = _ANSWER_S,
    ) -> Any:
        """Ask the running node and nobody else. Raises NodeError: no-node."""
        stream = connect(self.home)
        if stream is None:
            raise CommandError("no-node", exit_code=ExitCode.OFFLINE)
        stream.settimeout(wait_s)
        return self._ask(stream, method, op, args, key)

    def has_node(self) -> bool:
        """Whether a node answers on this home."""
        stream = connect(self.home)
        if stream is None:
            return False
        stream.close()
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _signed(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        return self._somewhere(
            lambda stream: self._ask(stream, "POST", op, args, key),
            lambda: self._here(op, args, _needed(key, args)),
        )

    def _somewhere(self, there: Callable[[socket.socket], Any], here: Callable[[], Any]) -> Any:
        """Ask the node if one listens, else do it here; while somebody else has the home, try both again."""
        until = time.monotonic() + self.busy_s
        while True:
            stream = self._node()
            if stream is not None:
                output.detail(self.options, "asking the running node")
                return there(stream)
            try:
                output.detail(self.options, "no node runs: opening the ledger here")
                return here()
            except HomeError as error:
                if error.reason != HomeReason.IN_USE:
                    raise
                if time.monotonic() >= until:
                    raise _busy(error) from error
            time.sleep(_BUSY_STEP_S)

    def _node(self) -> socket.socket | None:
        """A connection to the node of the ledger that is meant: a node has one ledger, a home may have several."""
        stream = connect(self.home)
        if stream is None or len(self.home.ledgers()) < 2:
            return stream
        status = self._ask(stream, "GET", "status", {}, None)
        wanted = choose_ledger(self.home, self.options)
        is_same = isinstance(status, dict) and status.get("ledger") == wanted.hex()
        return connect(self.home) if is_same else None

    def _here(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        now = now_ms()
        answer = self._glance(op, args, now)
        if answer is not None:
            return answer
        from tallystick.node.local import open_local

        with open_local(self.home, wanted_ledger(self.home, self.options), now=now) as local:
            return local.do(op, dict(args), key, now)

    def _glance(self, op: str, args: Mapping[str, Any], now: int) -> Any:
        """The answer where a few rows of the store are enough: then the rules need not be loaded. None elsewhere."""
        if op not in GLANCES or args:
            return None
        from tallystick.node.glance import glance

        store = self.home.open_store(choose_ledger(self.home, self.options))
        try:
            return glance(store, op, args, now, b"" if op == "points" else self._device())
        finally:
            store.close()

    def _device(self) -> bytes:
        from tallystick.node.identity import read_identity

        return read_identity(self.home).device

    def _ask(self, stream: socket.socket, method: str, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        with stream:
            return exchange(stream, method, op, args, {} if key is None else {_KEY_HEADER: key.seed.hex()})


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def wanted_ledger(home: Home, options: Options) -> str | None:
    """The prefix that somebody named: on the line, in the environment or in the settings."""
    import os

    if prefix := options.ledger or os.environ.get("TALLY_LEDGER"):
        return prefix
    path = home.config_path
    # Reading settings takes as long as answering, and hardly any name a ledger.
    if path.exists() and b"ledger" in path.read_bytes():
        return home.read_config().ledger
    return None


def choose_ledger(home: Home, options: Options) -> bytes:
    """The ledger this command is about. Raises HomeError: NOT_FOUND, AMBIGUOUS."""
    return home.choose_ledger(wanted_ledger(home, options))


def connect(home: Home) -> socket.socket | None:
    """A connection to the running node, or None where no node listens."""
    path = home.socket_path()
    if not path.exists():
        return None
    import socket

    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(_ANSWER_S)
    try:
        stream.connect(str(path))
    except (FileNotFoundError, ConnectionError, BlockingIOError):
        # Left behind by a node that was killed, or not listening yet.
        stream.close()
        return None
    except OSError as error:
        stream.close()
        raise CommandError("node-silent", f"{path}: {error.strerror}", exit_code=ExitCode.DAMAGED) from error
    return stream


def exchange(stream: socket.socket, method: str, op: str, args: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    """Send one request and read the answer to its end.

    Raises NodeError: what the node says; node-gone where it stopped, node-silent where it takes too long.
    """
    import json

    text = json.dumps(args, ensure_ascii=True)
    target, body = f"/v1/{op}", b""
    if method == "GET":
        from urllib.parse import quote

        target += f"?args={quote(text)}" if args else ""
    else:
        body = text.encode()
    head = [f"{method} {target} HTTP/1.1", "Host: tally", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    if method != "GET":
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    try:
        stream.sendall("\r\n".join((*head, "", "")).encode("ascii") + body)
        answer = _read_all(stream)
    except TimeoutError as error:
        raise CommandError("node-silent", exit_code=ExitCode.DAMAGED) from error
    except OSError as error:
        raise CommandError("node-gone", exit_code=ExitCode.OFFLINE) from error
    status, payload = _parse(answer)
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise CommandError("node-gone", exit_code=ExitCode.OFFLINE) from error
    if status == 200:
        return value
    raise _remote_error(value)


def _read_all(stream: socket.socket) -> bytes:
    parts, size = [], 0
    while part := stream.recv(65536):
        parts.append(part)
        size += len(part)
        if size > _ANSWER_BYTES_MAX:
            raise CommandError("node-silent", "the node's answer has no end", exit_code=ExitCode.DAMAGED)
    return b"".join(parts)


def _parse(answer: bytes) -> tuple[int, bytes]:
    """Status and body of an HTTP answer that ends with the connection."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not separator or not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise CommandError("node-gone", exit_code=ExitCode.OFFLINE)
    headers = dict(line.lower().split(b":", 1) for line in lines if b":" in line)
    if headers.get(b"transfer-encoding", b"").strip() == b"chunked":
        return int(rest[:3]), _dechunked(body)
    length = headers.get(b"content-length", b"").strip()
    if length.isdigit() and int(length) > len(body):
        raise CommandError("node-gone", exit_code=ExitCode.OFFLINE)
    return int(rest[:3]), body


def _dechunked(body: bytes) -> bytes:
    out: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError as error:
            raise CommandError("node-gone", exit_code=ExitCode.OFFLINE) from error
        if not length:
            return b"".join(out)
        out.append(body[:length])
        body = body[length + 2 :]


def _remote_error(value: Any) -> NodeError:
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return CommandError("node-silent", exit_code=ExitCode.DAMAGED)
    code = error.get("exit_code")
    known = code if isinstance(code, int) and code in set(ExitCode) else ExitCode.REFUSED
    return CommandError(
        str(error.get("code") or "internal-error"),
        str(error.get("message") or ""),
        hint=str(error.get("hint") or ""),
        exit_code=known,
    )


def _busy(error: HomeError) -> NodeError:
    who = "another process" if error.pid is None else f"process {error.pid}"
    return HomeError(
        f"{who} uses this home, and no node answers on its socket",
        reason=HomeReason.IN_USE,
        pid=error.pid,
        hint="wait until it has finished, or stop it; `tally doctor` says more",
    )


def _needed(key: SecretKey | None, args: Mapping[str, Any]) -> SecretKey | None:
    """The key, unless nothing is to be signed. Raises NodeError key-locked, so that it is fetched."""
    if key is None and not args.get("dry_run"):
        raise CommandError("key-locked", exit_code=ExitCode.LOCKED)
    return key
