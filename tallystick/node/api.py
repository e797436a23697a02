"""The local interface of a running node: HTTP/1.1 with JSON over a Unix socket that only its owner can open.

    GET  /v1/<read>?args=<JSON>     what is: 200 with the JSON of docs/spec/cli.md
    POST /v1/<operation>            a JSON object of arguments; what was done: 200
    anything that is refused        {"error": {"code", "message", "hint", "exit_code"}}

The command line uses nothing else. One request a connection: there is nothing to keep in step. `openapi` says the same
for programs: GET /v1/openapi.json.

On request, and where there are no Unix sockets, it also listens on loopback TCP. There every program of this computer,
and every page in its browser, can knock: see `door`.

Source: docs/spec/api.md; RFC 9112.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node.aside import Encoded
from tallystick.node.door import HOST, NONCE_HEADER, PROOF_HEADER, SEALED_HEADER, Door, is_nonce
from tallystick.node.errors import ApiError, ExitCode, HomeError, HomeReason, NodeError

if TYPE_CHECKING:
    from tallystick.node.home import Home

log = logging.getLogger("tallystick.api")

BODY_BYTES_MAX: Final = 1024 * 1024
HEADER_BYTES_MAX: Final = 16 * 1024
DIGITS_MAX: Final = 100
"""Of a number among the arguments: no field takes more than twenty, and says so itself."""
REQUEST_S: Final = 30.0
ANSWER_S: Final = 600.0
CONNECTIONS_MAX: Final = 32
WAITING_MAX: Final = 64
_FAULT: Final = ("this is a fault of the program", "the log of the node says where; please report it")
_PREFIX: Final = "/v1/"
_KEY_HEADER: Final = b"tally-key"

Do = Callable[[str, str, Mapping[str, Any], SecretKey | None], Awaitable[Any]]
"""Carries out (method, operation, arguments, key of this request); raises NodeError."""

_STATUS: Final = {
    ExitCode.REFUSED: 409,
    ExitCode.USAGE: 400,
    ExitCode.NOT_FOUND: 404,
    ExitCode.LOCKED: 423,
    ExitCode.OFFLINE: 503,
    ExitCode.DAMAGED: 500,
    ExitCode.UNTRUSTED: 422,
}


def open_socket(path: Path) -> socket.socket:
    """Listen on a Unix socket for the owner alone. Call it with the home's run lock held. Raises HomeError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The lock says that no other node lives here, so what is there was left by one that was killed.
        path.unlink(missing_ok=True)
        old = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(old)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise HomeError(f"{path}: {error.strerror or error}", reason=HomeReason.IO) from error
    return listener


def open_port(path: Path, port: int) -> tuple[socket.socket, Door]:
    """Listen on loopback TCP, and write port and token into a file of the home. Raises HomeError."""
    from tallystick.node.home import write_atomic

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((HOST, port))
        listener.listen(64)
        port = listener.getsockname()[1]
        door = Door(token=secrets.token_urlsafe(32), seal=secrets.token_bytes(32), port=port)
        write_atomic(path, door.to_file())
    except OSError as error:
        listener.close()
        raise HomeError(f"port {port} of this computer: {error.strerror or error}", reason=HomeReason.IO) from error
    return listener, door


def open_doors(home: Home, port: int | None) -> list[tuple[socket.socket, Door | None]]:
    """Where the local interface listens: the Unix socket; loopback TCP where it is asked for, or there is no other."""
    doors: list[tuple[socket.socket, Door | None]] = []
    # What a node that was killed has left says where nobody is any more.
    home.api_path().unlink(missing_ok=True)
    if hasattr(socket, "AF_UNIX"):
        try:
            doors.append((open_socket(home.socket_path()), None))
        except HomeError as error:
            # Some disks hold no sockets: network shares, those of other systems.
            log.warning("no Unix socket, so loopback TCP: %s", error.message)
    if port is not None or not doors:
        doors.append(open_port(home.api_path(), port or 0))
    return doors


class Waiting:
    """Connections whose request has not come whole yet; the oldest makes room for the newest.

    On loopback TCP any user of this computer can open them, as many as it likes, and say nothing.
    """

    def __init__(self) -> None:
        self._scopes: OrderedDict[object, trio.CancelScope] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scopes)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Be one of them inside. Raises trio.BrokenResourceError where it has to go."""
        while len(self._scopes) >= WAITING_MAX:
            self._scopes.popitem(last=False)[1].cancel()
        name = object()
        with trio.CancelScope() as scope:
            self._scopes[name] = scope
            try:
                yield
            finally:
                self._scopes.pop(name, None)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("newer connections need the room")


async def serve(listener: socket.socket, do: Do, door: Door | None = None) -> None:
    """Serve until cancelled. Never raises for anything a client does."""
    limit, waiting = trio.CapacityLimiter(CONNECTIONS_MAX), Waiting()
    listener.setblocking(False)
    sock = trio.socket.from_stdlib_socket(listener)
    async with trio.open_nursery() as nursery:
        while True:
            try:
                conn, _ = await sock.accept()
            except OSError as error:
                log.warning("the local interface cannot accept: %s", error)
                await trio.sleep(1)
                continue
            nursery.start_soon(_serve_one, trio.SocketStream(conn), do, limit, waiting, door)


async def _serve_one(
    stream: trio.SocketStream, do: Do, limit: trio.CapacityLimiter, waiting: Waiting, door: Door | None
) -> None:
    try:
        async with stream:
            await _answer(stream, do, limit, waiting, door)
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, h11.ProtocolError) as error:
        log.debug("local client: %r", error)
    except Exception:
        log.exception("local client")


async def _answer(
    stream: trio.SocketStream, do: Do, limit: trio.CapacityLimiter, waiting: Waiting, door: Door | None
) -> None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
    nonce = b""
    try:
        with trio.fail_after(REQUEST_S), waiting.one():
            request, body = await _read(connection, stream)
        shown = dict(request.headers)
        nonce = shown.get(NONCE_HEADER.lower().encode(), b"")
        refusal = None if door is None else door.refusal(shown)
        if refusal is not None:
            raise ApiError(refusal[1], reason="not-allowed", status=refusal[0])
        with trio.fail_after(ANSWER_S):
            async with limit:
                status, answer = await _carry_out(request, body, do, door)
        value = _encoded(answer)
    except h11.RemoteProtocolError as error:
        status, value = error.error_status_hint, _encoded(_error("bad-request", _no_request(error)))
    except ApiError as error:
        status, value = error.status, _encoded(_error(error.reason, error.message, error.hint, error.exit_code))
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        raise
    except Exception:
        # Whoever asked gets an answer, whatever went wrong here; what it was is for whoever reads the log.
        log.exception("local request")
        status, value = 500, _encoded(_error("internal-error", *_FAULT, exit_code=ExitCode.DAMAGED))
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Length", str(value.size_bytes)),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ]
    if door is not None and is_nonce(nonce):
        headers.append((PROOF_HEADER, door.proof(nonce, status, value.parts)))
    with trio.fail_after(REQUEST_S), suppress(trio.BrokenResourceError):
        first = connection.send(h11.Response(status_code=status, headers=headers)) or b""
        for number, part in enumerate(value.parts):
            data = connection.send(h11.Data(data=part)) or b""
            await stream.send_all(data if number else first + data)
        connection.send(h11.EndOfMessage())


def _encoded(value: Any) -> Encoded:
    if isinstance(value, Encoded):
        return value
    return Encoded([json.dumps(value, separators=(",", ":")).encode("ascii")])


async def _read(connection: h11.Connection, stream: trio.SocketStream) -> tuple[h11.Request, bytes]:
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65_536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise ApiError("the body is too large", reason="too-large", status=413)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            raise trio.BrokenResourceError("the client hung up")


async def _carry_out(request: h11.Request, body: bytes, do: Do, door: Door | None) -> tuple[int, Any]:
    headers = dict(request.headers)
    method = request.method.decode("ascii")
    try:
        target = urlsplit(request.target.decode("ascii", "replace"))
    except ValueError:
        return 400, _error("bad-request", "this is no address of an operation", exit_code=ExitCode.USAGE)
    if not target.path.startswith(_PREFIX) or target.netloc:
        return 404, _error(
            "not-found", "there is nothing here; operations are below /v1/", exit_code=ExitCode.NOT_FOUND
        )
    if method not in ("GET", "POST"):
        return 405, _error("method", "GET reads, POST does", exit_code=ExitCode.USAGE)
    if target.path == "/v1/openapi.json" and method == "GET":
        from tallystick.node.openapi import document

        return 200, document()
    try:
        if method == "POST":
            kind = headers.get(b"content-type", b"").split(b";")[0].strip()
            if kind != b"application/json":
                return 415, _error("content-type", "the body must be application/json", exit_code=ExitCode.USAGE)
            args = _read_object(body.decode("utf-8"))
        else:
            query = parse_qs(target.query, keep_blank_values=True)
            if query.keys() - {"args"}:
                said = "the arguments are one JSON object: ?args={...}"
                return 400, _error("bad-argument", said, exit_code=ExitCode.USAGE)
            args = _read_object(query.get("args", ["{}"])[0])
    except (ValueError, RecursionError) as error:
        return 400, _error("bad-json", f"the arguments are no JSON object: {_fault(error)}", exit_code=ExitCode.USAGE)
    try:
        key = _key(headers, door, method, request.target.decode("ascii", "replace"), body)
        return 200, await do(method, target.path.removeprefix(_PREFIX), args, key)
    except ApiError as error:
        return error.status, _error(error.reason, error.message, error.hint, error.exit_code)
    except NodeError as error:
        status = _STATUS.get(error.exit_code, 500)
        return status, _error(error.reason, error.message, error.hint, error.exit_code)


def _key(headers: Mapping[bytes, bytes], door: Door | None, method: str, target: str, body: bytes) -> SecretKey | None:
    """The key that came with a request: plain on the Unix socket, sealed on TCP. Raises ApiError."""
    seed, sealed = headers.get(_KEY_HEADER), headers.get(SEALED_HEADER.lower().encode())
    if door is not None:
        if seed is not None:
            raise ApiError(
                "a key does not travel over TCP as it is: unlock the node, or seal it", reason="key-refused", status=403
            )
        return None if sealed is None else SecretKey.from_seed(door.open_key(sealed, method, target, body))
    if seed is None:
        return None
    try:
        return SecretKey.from_seed(bytes.fromhex(seed.decode("ascii")))
    except ValueError:
        raise ApiError("Tally-Key is 64 hexadecimal digits", reason="bad-key", status=400) from None


def _read_object(text: str) -> dict[str, Any]:
    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("a name stands twice")
        return value

    def no_constant(word: str) -> float:
        raise ValueError(f"{word} is no number")

    def whole(digits: str) -> int:
        if len(digits) > DIGITS_MAX:
            raise ValueError("a number is too long")
        return int(digits)

    value = json.loads(text or "{}", object_pairs_hook=no_twins, parse_constant=no_constant, parse_int=whole)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - every fault of the text is one and the same error here
    return value


def _fault(error: ValueError | RecursionError) -> str:
    """What is wrong with arguments, in our words: those of the language tell nobody anything."""
    match error:
        case RecursionError():
            return "too many brackets in each other"
        case json.JSONDecodeError():
            return f"it breaks off, or goes wrong, at line {error.lineno}, column {error.colno}"
        case UnicodeError():
            return "it is not UTF-8"
    return str(error)


def _no_request(error: h11.RemoteProtocolError) -> str:
    """The same of what should be a request; rubbish is not repeated."""
    return "the request is too long" if error.error_status_hint == 431 else "this is no HTTP request"


def _error(code: str, message: str, hint: str = "", exit_code: ExitCode = ExitCode.USAGE) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "hint": hint, "exit_code": int(exit_code)}}
