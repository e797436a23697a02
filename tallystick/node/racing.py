"""Several ways to one end, tried one shortly after the other: the first that leads there wins.

Source: https://www.rfc-editor.org/rfc/rfc8305 (happy eyeballs)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from tallystick.node.transport import DialError

T = TypeVar("T")

Way = Callable[[], Awaitable[T | None]]
"""One way: what it leads to, or None, or DialError."""


async def first_of(ways: Sequence[Way[T]], next_s: float, failed: Callable[[DialError], None]) -> T | None:
    """Try ways, each `next_s` after the one before or as soon as that has failed; what the first one led to.

    The others are given up then. `failed` hears of each that failed before.
    """
    found: list[T] = []
    async with trio.open_nursery() as nursery:

        async def go(way: Way[T], over: trio.Event) -> None:
            try:
                result = await way()
            except DialError as error:
                failed(error)
            else:
                if result is not None and not found:
                    found.append(result)
                    nursery.cancel_scope.cancel()
            finally:
                over.set()

        for way in ways:
            over = trio.Event()
            nursery.start_soon(go, way, over)
            with trio.move_on_after(next_s):
                await over.wait()
    return found[0] if found else None
