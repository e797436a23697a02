"""A node that breaks the protocol, as a program of its own: one order a line in, one answer a line out, in JSON.

It speaks real libp2p with the transport of the project, and on the streams it writes what it likes. Whoever is caught
is left alone for ten minutes, so those attacks have a member each; the last ones are strangers.

    python -m tests.integration.hostile TICKET
    {"do": "join", "name": "Mal"}                      -> {"entry": id}
    {"do": "write", "name": "Mal", "what": "devices"}  -> {"entry": id of the last one}
    {"do": "attack", "what": "orphans", "name": "Mal"} -> {"sent": bytes, "heard": bytes, "credit": the most, ...}
    {"do": "leave"}                                    -> {"ended": bool, "back": bool}        whoever attacked stayed
    {"do": "come"}                                     -> {"keys": all, "in": places taken, "refused": times}
"""

from __future__ import annotations

import json
import sys
from typing import Any

import trio

from tallystick.node import messages as m
from tallystick.node.ticket import Ticket, read_ticket_untrusted
from tallystick.protocol.kinds.sealer import SealerOn
from tests.integration.hostile_attacks import ATTACKS, SLOW, hand_over
from tests.integration.hostile_crowd import ANSWER_S, Crowd, is_let_in, line_to, running
from tests.integration.hostile_member import LINES, Member
from tests.integration.hostile_places import Puppets

#: Devices that a member adds to its first: more than it may have.
DEVICES_MORE = 11
#: Members that are made up; with all their devices they are more than a node has places for.
PUPPETS = 66
#: No order takes so long.
ORDER_S = 120


class Hostile:
    """Everybody who attacks, and the one address that they attack."""

    def __init__(self, ticket: Ticket, nursery: trio.Nursery) -> None:
        self.ticket = ticket
        self.address = ticket.addresses[0]
        self.crowd = Crowd(ticket)
        self.puppets = Puppets(ticket, nursery)
        self.members: dict[str, Member] = {}
        self._nursery = nursery
        self._flood = trio.CancelScope()
        self._leave = trio.Event()
        self._left: trio.MemoryReceiveChannel[dict[str, Any]] | None = None
        self._strangers: trio.MemoryReceiveChannel[dict[str, int]] | None = None

    async def join(self, name: str) -> dict[str, Any]:
        member = self.members[name] = Member(name, self.ticket)
        async with running(member.node) as transport:
            return {"entry": await member.knock(lambda data: transport.request(self.address, data, ANSWER_S))}

    async def write(self, name: str, what: str) -> dict[str, Any]:
        """What it takes to attack, handed over as anybody would."""
        member = self.members[name]
        match what:
            case "devices":
                entries = [member.add_device() for _ in range(DEVICES_MORE)]
            case "puppets":
                entries = list(self.puppets.make(member, PUPPETS))
            case _:
                entries = [member.follow(SealerOn(device=member.device.public))]
        async with line_to(self.address, member.node) as line:
            hello = await line.greet()
            await hand_over(line, entries)
            # The answer to this says that they have been judged.
            await line.say(m.GetBlocks(hello.height, 1, False))
            await line.until(lambda: line.answers > 0)
        return {"entry": entries[-1].id.hex()}

    async def attack(
        self, what: str, name: str, *, task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Attack, tell what has come of it, and stay where one may until told to leave."""
        member, leave = self.members[name], trio.Event()
        send, self._left = trio.open_memory_channel[dict[str, Any]](1)
        self._leave = leave
        async with line_to(self.address, member.node, slow=what in SLOW) as line:
            found: dict[str, int] = {}
            try:
                found = await ATTACKS[what](line, member) or {}
                with trio.move_on_after(0.5):
                    await line.over.wait()
            except LINES:
                await line.over.wait()
            task_status.started({"sent": line.sent, "heard": line.heard, "credit": line.credit_most, **found})
            await leave.wait()
            ended = line.over.is_set()
        await send.send({"ended": ended, "back": await is_let_in(self.address, member.node)})

    async def leave(self) -> dict[str, Any]:
        assert self._left is not None
        self._leave.set()
        return await self._left.receive()

    async def begin_flood(self, name: str) -> dict[str, Any]:
        """All devices of a member hand over what nobody can place, and stay."""

        async def stay(task_status: trio.TaskStatus[dict[str, int]]) -> None:
            with trio.CancelScope() as self._flood:
                await self.crowd.flood(self.members[name], task_status)

        answer: dict[str, Any] = await self._nursery.start(stay)
        return answer

    def begin_strangers(self, count: int) -> dict[str, Any]:
        """Strangers come while others attack."""
        send, self._strangers = trio.open_memory_channel[dict[str, int]](1)
        self._nursery.start_soon(self.crowd.strangers, count, send.send_nowait)
        return {}

    async def end_strangers(self) -> dict[str, Any]:
        assert self._strangers is not None
        return await self._strangers.receive()

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order:
            case {"do": "join", "name": name}:
                return await self.join(name)
            case {"do": "write", "name": name, "what": what}:
                return await self.write(name, what)
            case {"do": "attack", "what": what, "name": name}:
                answer: dict[str, Any] = await self._nursery.start(self.attack, what, name)
                return answer
            case {"do": "leave"}:
                return await self.leave()
            case {"do": "devices", "name": name, "floods": floods}:
                return await self.crowd.devices(self.members[name], floods)
            case {"do": "links", "name": name, "count": count}:
                return await self.crowd.links(self.members[name], count)
            case {"do": "streams", "name": name, "count": count}:
                return await self.crowd.streams(self.members[name], count)
            case {"do": "begin strangers", "count": count}:
                return self.begin_strangers(count)
            case {"do": "end strangers"}:
                return await self.end_strangers()
            case {"do": "knock again", "name": name}:
                return {"back": await is_let_in(self.address, self.members[name].node)}
            case {"do": "flood", "name": name}:
                return await self.begin_flood(name)
            case {"do": "end flood"}:
                self._flood.cancel()
                return {}
            case {"do": "come"}:
                return await self.puppets.come()
            case {"do": "begin messages"}:
                return await self.puppets.begin_messages()
            case {"do": "count"}:
                return self.puppets.count()
            case {"do": "go"}:
                return self.puppets.leave()
            case {"do": "stranger"}:
                return await self.crowd.stranger()
            case {"do": "sockets", "count": count}:
                return await self.crowd.sockets(count)
        raise ValueError(order)


async def main(ticket: str) -> None:
    async with trio.open_nursery() as nursery:
        hostile = Hostile(read_ticket_untrusted(ticket), nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            with trio.fail_after(ORDER_S):
                answer = await hostile.obey(json.loads(line))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
