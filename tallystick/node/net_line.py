"""Lines under libp2p's connections, with the few things about them that matter to us: `Line`, and `TcpLine`.

py-libp2p's own wrapper cannot tell when something was heard last, does not know IPv6 peers' addresses, swallows
writes to a closed socket, and has no way to close while a writer is blocked.
"""

import socket
from abc import abstractmethod
from typing import TYPE_CHECKING

import trio
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError

from tallystick.node.net_address import socket_where

if TYPE_CHECKING:
    from tallystick.node.net_links import Link


class Line(ReadWriteCloser):
    """What carries a connection to one peer: bytes both ways, the time of the last byte heard, and a hard end."""

    is_relayed = False
    """Whether it goes through somebody else's node."""

    def __init__(self, *, allowance: int) -> None:
        self.heard_at = trio.current_time()
        """Time of the trio clock when the last bytes arrived."""
        self.allowance: int | None = allowance
        """Bytes that may still arrive before the line is cut; None for a member, who is bounded elsewhere."""
        self.link: Link | None = None
        """Whose line it is, once a key is proved."""

    @property
    @abstractmethod
    def where(self) -> str:
        """The remote end as a multiaddr, or an empty text."""

    @abstractmethod
    def abort(self) -> None:
        """End it now. Whoever reads or writes is woken; nobody is waited for."""

    def heard(self, data: bytes) -> bytes:
        """Note bytes that have arrived, and return what of them may be read: nothing once there were too many."""
        self.heard_at = trio.current_time()
        if self.allowance is not None:
            self.allowance -= len(data)
            if self.allowance < 0:
                self.abort()
                return b""
        return data


class TcpLine(Line):
    """A TCP stream for `RawConnection`."""

    def __init__(self, stream: trio.SocketStream, *, allowance: int) -> None:
        super().__init__(allowance=allowance)
        self._stream = stream
        self._read_lock = trio.Lock()
        self._write_lock = trio.Lock()
        try:
            self._remote: tuple[str | int, ...] | None = stream.socket.getpeername()
        except OSError:
            self._remote = None
        # A frame waits for nothing: what we write is already as large as it will get.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def where(self) -> str:
        return socket_where(self._remote)

    async def read(self, n: int | None = None) -> bytes:
        async with self._read_lock:
            if n == 0:
                return b""
            try:
                data = bytes(await self._stream.receive_some(n))
            except trio.BrokenResourceError as error:
                raise ConnectionClosedError("reset by the other side", transport="tcp") from error
            except trio.ClosedResourceError:
                return b""
        return self.heard(data)

    async def write(self, data: bytes) -> None:
        async with self._write_lock:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError("the connection is gone", transport="tcp") from error

    async def close(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        self._stream.socket.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        if self._remote is None:
            return None
        return str(self._remote[0]), int(self._remote[1])
