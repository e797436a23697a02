"""The local interface where something goes wrong, and where somebody else of this computer keeps it busy."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tallystick.node import api
from tallystick.node.door import Door
from tallystick.node.errors import ExitCode
from tests.support.transports import in_trio

SECRET = "what-nobody-is-to-know"


@asynccontextmanager
async def served(do: api.Do, *, has_door: bool = False) -> AsyncIterator[tuple[int, Door | None]]:
    """An interface on loopback TCP, and its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        port = listener.getsockname()[1]
        door = Door(token="t" * 43, seal=bytes(32), port=port) if has_door else None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api.serve, listener, do, door)
            yield port, door
            nursery.cancel_scope.cancel()


async def ask(port: int, door: Door | None = None) -> tuple[int, Any]:
    """One question, and the status and JSON of its answer."""
    token = "" if door is None else f"Authorization: Bearer {door.token}\r\n"
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(f"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{token}\r\n".encode())
        answer = b""
        async for part in stream:
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("fault", ["raises", "is no JSON"])
@in_trio
async def test_a_fault_of_the_program_is_told_without_what_is_inside(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A sentence for whoever asked; what and where is in the log."""

    async def do(*_: object) -> object:
        if fault == "raises":
            raise KeyError(SECRET)
        return {"state": {SECRET}}

    with caplog.at_level(logging.ERROR, "tallystick.api"):
        async with served(do) as (port, _):
            status, answer = await ask(port)
    error = answer["error"]
    assert (status, error["code"], error["exit_code"]) == (500, "internal-error", ExitCode.DAMAGED)
    assert SECRET not in json.dumps(answer) and "Error" not in error["message"]
    assert error["message"] and error["hint"]
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[0] in (KeyError, TypeError)


@in_trio
async def test_idle_connections_keep_nobody_out() -> None:
    """Anybody of this computer can open them without end: the oldest makes room, and the owner is answered at once."""

    async def do(*_: object) -> object:
        return {"here": True}

    async with served(do, has_door=True) as (port, door):
        idle = []
        for _ in range(api.WAITING_MAX):
            idle.append(await trio.open_tcp_stream("127.0.0.1", port))
            await idle[-1].send_all(b"GET /v1/sta")
        with trio.fail_after(10):
            assert await ask(port, door) == (200, {"here": True})
            # The first has gone for it, and the second for the third of those that come now.
            assert await idle[0].receive_some() == b""
            idle += [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(api.WAITING_MAX)]
            for each in idle[: api.WAITING_MAX]:
                assert await each.receive_some() == b""
            assert (await ask(port))[0] == 401
            assert await ask(port, door) == (200, {"here": True})
        for each in idle:
            await each.aclose()


@in_trio
async def test_who_may_not_come_in_takes_no_place_of_who_may() -> None:
    """While as many questions as may be are being answered, one without the token is refused all the same."""
    asked, go = trio.Semaphore(0), trio.Event()

    async def do(*_: object) -> object:
        asked.release()
        await go.wait()
        return {}

    async with served(do, has_door=True) as (port, door), trio.open_nursery() as nursery:
        for _ in range(api.CONNECTIONS_MAX + 1):
            nursery.start_soon(ask, port, door)
        for _ in range(api.CONNECTIONS_MAX):
            await asked.acquire()
        with trio.fail_after(10):
            assert (await ask(port))[0] == 401
        assert asked.value == 0
        go.set()
