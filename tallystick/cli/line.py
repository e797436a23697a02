"""A line to the running node: one HTTP/1.1 request and its answer.

It is the Unix socket in the home; where there is none, loopback TCP, as `run/api.json` of the home says. There the node
has to prove with every answer that it is the node of this home, and a key travels sealed: see `node/door`.

The request is written by hand: a whole HTTP library would take longer to import than the answer to come.

Source: docs/spec/api.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from tallystick.cli.errors import CommandError
from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    import socket

    from tallystick.crypto.keys import SecretKey
    from tallystick.node.door import Door
    from tallystick.node.home import Home

ANSWER_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
_PING_S: Final = 5.0
_KEY_HEADER: Final = "Tally-Key"


class Line:
    """One open connection, for one request."""

    def __init__(self, stream: socket.socket, door: Door | None = None) -> None:
        self._stream = stream
        self._door = door

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    def wait_at_most(self, wait_s: float) -> None:
        """How long the answer may take."""
        self._stream.settimeout(wait_s)

    def exchange(self, method: str, op: str, args: Mapping[str, Any], key: SecretKey | None = None) -> Any:
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
        status, payload = self._ask(method, target, body, key)
        try:
            value = json.loads(payload)
        except ValueError as error:
            raise _gone() from error
        if status == 200:
            return value
        raise _remote_error(value)

    def _ask(self, method: str, target: str, body: bytes, key: SecretKey | None) -> tuple[int, bytes]:
        """Status and body of the answer, which is the node's own."""
        headers, nonce = self._headers(method, target, body, key)
        head = [f"{method} {target} HTTP/1.1", "Connection: close", *(f"{name}: {text}" for name, text in headers)]
        if method != "GET":
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        try:
            self._stream.sendall("\r\n".join((*head, "", "")).encode("ascii") + body)
            answer = self._read_all()
        except TimeoutError as error:
            raise CommandError("node-silent", exit_code=ExitCode.DAMAGED) from error
        except OSError as error:
            raise CommandError("node-gone", exit_code=ExitCode.OFFLINE) from error
        status, answered, payload = _parse(answer)
        if self._door is not None:
            from hmac import compare_digest

            from tallystick.node.door import PROOF_HEADER

            proof = answered.get(PROOF_HEADER.lower().encode(), b"").strip()
            if not compare_digest(proof, self._door.proof(nonce, status, [payload]).encode()):
                raise CommandError(
                    "node-silent", "something else listens where the node was", exit_code=ExitCode.DAMAGED
                )
        return status, payload

    def _headers(
        self, method: str, target: str, body: bytes, key: SecretKey | None
    ) -> tuple[list[tuple[str, str]], bytes]:
        door = self._door
        if door is None:
            return [("Host", "tally"), *([] if key is None else [(_KEY_HEADER, key.seed.hex())])], b""
        import secrets

        from tallystick.node.door import NONCE_HEADER, SEALED_HEADER

        nonce = secrets.token_hex(16)
        headers = [("Host", door.host), ("Authorization", f"Bearer {door.token}"), (NONCE_HEADER, nonce)]
        if key is not None:
            sealed = door.seal_key(key.seed, secrets.token_bytes(12), method, target, body)
            headers.append((SEALED_HEADER, sealed))
        return headers, nonce.encode()

    def _read_all(self) -> bytes:
        parts, size = [], 0
        while part := self._stream.recv(65536):
            parts.append(part)
            size += len(part)
            if size > _ANSWER_BYTES_MAX:
                raise CommandError("node-silent", "the node's answer has no end", exit_code=ExitCode.DAMAGED)
        return b"".join(parts)


def connect(home: Home) -> Line | None:
    """A line to the running node, or None where no node listens. Raises CommandError, HomeError."""
    return _over_socket(home) or _over_tcp(home)


def _over_socket(home: Home) -> Line | None:
    path = home.socket_path()
    if not path.exists():
        return None
    import socket

    if not hasattr(socket, "AF_UNIX"):
        return None
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(ANSWER_S)
    try:
        stream.connect(str(path))
    except (FileNotFoundError, ConnectionError, BlockingIOError):
        # Left behind by a node that was killed, or not listening yet.
        stream.close()
        return None
    except OSError as error:
        stream.close()
        raise CommandError("node-silent", f"{path}: {error.strerror}", exit_code=ExitCode.DAMAGED) from error
    return Line(stream)


def _over_tcp(home: Home) -> Line | None:
    if not home.api_path().exists():
        return None
    from tallystick.node.door import read_door

    door = read_door(home)
    # The port of a node that was killed may be anybody's: nothing is asked before the node has shown what it is.
    return _dialled(door) if door is not None and _is_there(door) else None


def _is_there(door: Door) -> bool:
    line = _dialled(door)
    if line is None:
        return False
    with line:
        line.wait_at_most(_PING_S)
        try:
            line._ask("GET", "/v1/", b"", None)
        except CommandError:
            return False
    return True


def _dialled(door: Door) -> Line | None:
    import socket

    from tallystick.node.door import HOST

    try:
        return Line(socket.create_connection((HOST, door.port), ANSWER_S), door)
    except OSError:
        return None


def _gone() -> CommandError:
    return CommandError("node-gone", exit_code=ExitCode.OFFLINE)


def _parse(answer: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an HTTP answer that ends with the connection."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not separator or not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise _gone()
    headers = dict(line.lower().split(b":", 1) for line in lines if b":" in line)
    if headers.get(b"transfer-encoding", b"").strip() == b"chunked":
        return int(rest[:3]), headers, _dechunked(body)
    length = headers.get(b"content-length", b"").strip()
    if length.isdigit() and int(length) > len(body):
        raise _gone()
    return int(rest[:3]), headers, body


def _dechunked(body: bytes) -> bytes:
    out: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        try:
            length = int(size.split(b";")[0], 16)
        except ValueError as error:
            raise _gone() from error
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
