"""Running, connecting and watching transports in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import Any, Protocol

import pytest
import trio

from tallystick.node.net_address import peer_id
from tallystick.node.transport import (
    DialError,
    DialReason,
    Listening,
    PeerKey,
    PeerUp,
    Transport,
    TransportEvent,
    TransportLimits,
)

TEST_S = 20.0
"""No test waits longer for anything."""
DIAL_S = 5.0

ANA, BO, CY = b"a" * 32, b"b" * 32, b"c" * 32


class Network(Protocol):
    """Makes transports that can reach each other."""

    def transport(
        self,
        seed: bytes,
        *,
        listen: tuple[str, ...] = ...,
        announce: tuple[str, ...] = ...,
        limits: TransportLimits | None = ...,
        topic: str | None = ...,
        relays: bool = ...,
    ) -> Transport: ...


def in_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test to its end, or to the deadline of all."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            with trio.fail_after(TEST_S):
                await test(*args, **kwargs)

        trio.run(bounded)

    return run


@asynccontextmanager
async def all_running(*transports: Transport) -> AsyncIterator[None]:
    """Run some transports whose gates accept each other; take their first event."""
    keys = {each.peer_key for each in transports}
    async with AsyncExitStack() as stack:
        for each in transports:
            each.set_gate(keys.__contains__)
            await stack.enter_async_context(each.running())
            assert isinstance(await each.events.receive(), Listening)
        yield


async def next_of(transport: Transport, kind: type[TransportEvent]) -> Any:
    """Return the next event of one kind, passing over the others."""
    while True:
        event = await transport.events.receive()
        if isinstance(event, kind):
            return event


async def connect(one: Transport, other: Transport) -> None:
    """Dial, and take both `PeerUp`."""
    assert await one.dial(other.addresses()[0], DIAL_S) == other.peer_key
    up = await next_of(one, PeerUp)
    assert (up.peer, up.outbound, up.relayed) == (other.peer_key, True, False)
    assert up.address == other.addresses()[0].split("/p2p/")[0]
    up = await next_of(other, PeerUp)
    assert (up.peer, up.outbound, up.relayed) == (one.peer_key, False, False)


async def connect_through(between: Transport, one: Transport, other: Transport) -> None:
    """Connect two through a third whom both are connected to, and take both `PeerUp`."""
    await one.dial_through(between.peer_key, other.peer_key, DIAL_S)
    for here, there, outbound in ((one, other, True), (other, one, False)):
        up = await next_of(here, PeerUp)
        assert (up.peer, up.outbound, up.relayed) == (there.peer_key, outbound, True)
        assert up.address.endswith(f"/p2p/{peer_id(between.peer_key)}/p2p-circuit")


async def refused(dial: Awaitable[object]) -> DialReason:
    """Return why a dial failed."""
    with pytest.raises(DialError) as caught:
        await dial
    return caught.value.reason


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.005)


async def reverse(_peer: PeerKey, data: bytes) -> bytes | None:
    return data[::-1]
