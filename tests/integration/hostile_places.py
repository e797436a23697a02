"""One who takes every place that a node has: by hundreds of proven keys, each of a member, that come and stay.

A partner invites whom it has made up, vouches for them where the charter lets one do that alone, and gives each as many
devices as a member may have.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node.ticket import Ticket
from tallystick.node.transport import FRAME_BYTES_MAX
from tallystick.protocol import codec
from tallystick.protocol.devices import DEVICES_MAX
from tallystick.protocol.entry import Entry
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.invite import Invite
from tests.integration.hostile_crowd import line_to
from tests.integration.hostile_member import LINES, Line, Member, new_key

#: So many come at the same time.
AT_ONCE: Final = 16
#: Whoever was refused tries again after this.
AGAIN_S: Final = 1.0
#: So many begin messages, and so many parts of them: far more than may wait to become whole.
BEGINNERS: Final = 24
BEGUN_PARTS: Final = 28
DAY_MS: Final = 86_400_000


class Puppets:
    """Members who exist in name only, and what their devices do to a node."""

    def __init__(self, ticket: Ticket, nursery: trio.Nursery) -> None:
        self._ticket = ticket
        self._address = ticket.addresses[0]
        self._nursery = nursery
        self._leave = trio.Event()
        self._everybody: list[Member] = []
        self._there: dict[bytes, Line] = {}
        """Who has a place now, by node key."""
        self._refused = 0

    def make(self, by: Member, count: int) -> Iterator[Entry]:
        """All that it takes to bring in so many, parents first."""
        secret, expires = new_key(), time.time_ns() // 1_000_000 + DAY_MS
        invite = by.follow(Invite(key=secret.public, standing="partner", uses=count, expires=expires))
        yield invite
        ticket = replace(self._ticket, invite=invite.id, secret=secret.seed)
        assert by.charter is not None
        for number in range(count):
            puppet = Member(f"Puppet {number}", ticket)
            self._everybody.append(puppet)
            join = puppet.apply(by.charter)
            yield join
            admit = by.follow(Admit(member=join.id, sealer=False))
            yield admit
            for _ in range(DEVICES_MAX - 1):
                yield puppet.add_device(admit.id)

    async def come(self) -> dict[str, int]:
        """All of them come, and stay as long as they may: whoever is refused, or sent away, tries again and again."""
        keys = [key for puppet in self._everybody for key in (puppet.node, *puppet.others)]
        room = trio.Semaphore(AT_ONCE)
        for key in keys:
            await room.acquire()
            self._nursery.start_soon(self._insist, key, room.release)
        for _ in range(AT_ONCE):
            # Now each has had its turn.
            await room.acquire()
        return {"keys": len(keys), **self.count()}

    async def _insist(self, key: SecretKey, tried: Callable[[], None]) -> None:
        is_first = True
        while not self._leave.is_set():
            try:
                # What is meant for it waits at the other side: it reads no more than a HELLO.
                async with line_to(self._address, key, slow=True) as line:
                    await line.until(lambda line=line: line.hello is not None)  # type: ignore[misc]
                    self._there[key.public] = line
                    if is_first:
                        is_first = False
                        tried()
                    await self._stay(line)
            except (*LINES, ExceptionGroup):
                self._refused += 1
            self._there.pop(key.public, None)
            if is_first:
                is_first = False
                tried()
            with trio.move_on_after(AGAIN_S):
                await self._leave.wait()

    async def _stay(self, line: Line) -> None:
        """Until the other side ends it, or all leave."""
        async with trio.open_nursery() as nursery:

            async def end(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end, line.over)
            nursery.start_soon(end, self._leave)

    async def begin_messages(self) -> dict[str, int]:
        """Some begin a message of eight megabytes each, and none ends it; what has been sent of them."""
        lines = list(self._there.values())[-BEGINNERS:]
        sent = sum(line.sent for line in lines)

        async def begin(line: Line) -> None:
            digest = secrets.token_bytes(32)
            # It begins as a block does: nothing else may be so long.
            part = b"\x95\xa5block" + bytes(FRAME_BYTES_MAX - 310)
            with suppress(*LINES):
                for number in range(BEGUN_PARTS):
                    await line.say(codec.encode(["part", digest, number, 32, part]))

        async with trio.open_nursery() as nursery:
            for line in lines:
                nursery.start_soon(begin, line)
        return {"sent": sum(line.sent for line in lines) - sent, **self.count()}

    def count(self) -> dict[str, int]:
        """How many are in, and how often any of them was not let in."""
        return {"in": sum(not line.over.is_set() for line in self._there.values()), "refused": self._refused}

    def leave(self) -> dict[str, int]:
        """All of them go."""
        self._leave.set()
        return self.count()
