"""One question and one answer on a stream of its own: what strangers may say, and nothing else.

Both are a uvarint length and so many bytes. The side that asked ends the stream when it has its answer, the other
waits for that end a little, so that nothing is cut off on the way. Who has no answer resets the stream.

Source: docs/spec/sync.md#knocking.
"""

import contextlib
import logging
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError

from tallystick.node.net_framing import FrameReader, FramingError, encode_frame
from tallystick.node.transport import (
    KNOCK_REQUEST_BYTES_MAX,
    KNOCK_RESPONSE_BYTES_MAX,
    KnockHandler,
    PeerKey,
)

log = logging.getLogger("tallystick.net")

_READ_BYTES: Final = 16 * 1024
_LINGER_S: Final = 2.0


async def ask(stream: INetStream, request: bytes) -> bytes | None:
    """Send a request and return the answer; None when the other side closes without a word."""
    try:
        await stream.write(encode_frame(request))
        answer = await _read_one(stream, KNOCK_RESPONSE_BYTES_MAX)
        if answer is not None:
            await stream.close()
    except (BaseLibp2pError, OSError, FramingError) as error:
        log.debug("a knock was not answered: %r", error)
        return None
    return answer


async def answer(stream: INetStream, peer: PeerKey, handler: KnockHandler) -> None:
    """Read a request, let `handler` answer it, and wait until the answer has arrived. The caller sets the deadline."""
    request = await _read_one(stream, KNOCK_REQUEST_BYTES_MAX)
    if request is None:
        return
    response = await handler(peer, request)
    if response is None:
        return
    if not 1 <= len(response) <= KNOCK_RESPONSE_BYTES_MAX:
        log.error("an answer of %d bytes to a knock is not sent", len(response))
        return
    await stream.write(encode_frame(response))
    with trio.move_on_after(_LINGER_S), contextlib.suppress(BaseLibp2pError):
        while await stream.read(_READ_BYTES):
            continue


async def _read_one(stream: INetStream, size_bytes_max: int) -> bytes | None:
    """Return one length-prefixed message, or None when the stream ends before. Raises FramingError."""
    reader = FrameReader(frame_bytes_max=size_bytes_max)
    while True:
        try:
            data = await stream.read(_READ_BYTES)
        except EOFError:
            return None
        if not data:
            return None
        for item in reader.feed(data):
            if not isinstance(item, bytes):
                raise FramingError("credit where none is given")
            return item
