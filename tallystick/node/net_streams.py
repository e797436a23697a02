"""Streams on a link: opening one for a protocol, and finding out what an inbound one is for."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import IOException
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator

from tallystick.node.net_links import Link
from tallystick.node.transport import TransportError

_NEGOTIATION_BYTES_MAX: Final = 4096
_RESET_S: Final = 0.5


class StreamRefusedError(TransportError):
    """The other side does not speak this protocol, or is gone."""


class _Bounded(ReadWriteCloser):
    """The beginning of a stream, while it is negotiated: the library would read a length of any size."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream
        self._left = _NEGOTIATION_BYTES_MAX

    async def read(self, n: int | None = None) -> bytes:
        if n is None or n > self._left:
            raise IOException("too much before the protocol is known")
        data = bytes(await self._stream.read(n))
        self._left -= len(data)
        return data

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def close(self) -> None:
        await self._stream.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        return None


def link_of(stream: INetStream) -> Link:
    """Return the link that a stream belongs to."""
    link: Link = stream.muxed_conn.link  # type: ignore[attr-defined]
    return link


async def open_stream(host: BasicHost, link: Link, protocol: TProtocol, timeout_s: float) -> INetStream:
    """Open a stream of a protocol. Raises StreamRefusedError, also after `timeout_s`."""
    if link.conn is None or link.dropped:
        raise StreamRefusedError("the connection is gone")
    stream: INetStream | None = None
    try:
        with trio.fail_after(timeout_s):
            stream = await link.conn.new_stream()
            await host.multiselect_client.select_one_of(
                [protocol], MultiselectCommunicator(_Bounded(stream)), int(timeout_s) + 1
            )
    except (BaseLibp2pError, OSError, UnicodeError, trio.TooSlowError) as error:
        if stream is not None:
            await reset(stream)
        raise StreamRefusedError(f"{protocol}: {error!r}") from error
    except BaseException:
        if stream is not None:
            await reset(stream)
        raise
    return stream


async def accept_stream(
    host: BasicHost, stream: INetStream, timeout_s: float
) -> Callable[[INetStream], Awaitable[None]] | None:
    """Negotiate an inbound stream, and return who serves its protocol; None when it is none of ours."""
    try:
        _, handler = await host.multiselect.negotiate(MultiselectCommunicator(_Bounded(stream)), max(1, int(timeout_s)))
    except (BaseLibp2pError, OSError, UnicodeError):
        return None
    return handler


async def reset(stream: INetStream) -> None:
    """End a stream in both directions. Waits half a second at most, and never raises."""
    with trio.move_on_after(_RESET_S) as scope:
        scope.shield = True
        # The library swallows its own errors here.
        await stream.reset()
