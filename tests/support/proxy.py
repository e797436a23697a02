"""A TCP line that can fall silent: a forwarder between two nodes, switched off and on by a test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import trio


class Proxy:
    """Forwards connections to a port of 127.0.0.1. While it is off it holds everything back, ends too."""

    def __init__(self, target_port: int, listener: trio.SocketListener) -> None:
        self._target_port = target_port
        self._listener = listener
        self._on = trio.Event()
        self._on.set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.socket.getsockname()[1]
        return port

    def off(self) -> None:
        """Let nothing through, in either direction, and say nothing about it."""
        self._on = trio.Event()

    def on(self) -> None:
        """Let everything through again, also what was held back."""
        self._on.set()

    async def forward(self, near: trio.SocketStream) -> None:
        """Serve one connection."""
        with contextlib.suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            far = await trio.open_tcp_stream("127.0.0.1", self._target_port)
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, near, far, nursery.cancel_scope)
                nursery.start_soon(self._pump, far, near, nursery.cancel_scope)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await self._on.wait()
                data = await source.receive_some(16 * 1024)
                await self._on.wait()
                if not data:
                    break
                await sink.send_all(data)
        await self._on.wait()
        scope.cancel()


@contextlib.asynccontextmanager
async def proxied(target_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy before a port. Its buffers are small, so that a writer feels soon that nothing moves."""
    raw = socket.create_server(("127.0.0.1", 0))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    raw.setblocking(False)
    proxy = Proxy(target_port, trio.SocketListener(trio.socket.from_stdlib_socket(raw)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.forward, [proxy._listener])
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
