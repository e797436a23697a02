"""Many connections at once: of one key, of one member's devices, of strangers, and of nobody."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node import knock
from tallystick.node import messages as m
from tallystick.node.intake import ORPHAN_BYTES_MAX
from tallystick.node.net_address import read_address_untrusted
from tallystick.node.net_framing import encode_credit, encode_frame, encode_uvarint
from tallystick.node.net_links import Link
from tallystick.node.net_peers import KNOCK, SYNC
from tallystick.node.net_streams import open_stream
from tallystick.node.ticket import Ticket
from tallystick.node.transport import KNOCK_REQUEST_BYTES_MAX, TransportLimits
from tallystick.node.transport_libp2p import Libp2pTransport
from tallystick.protocol import codec
from tallystick.protocol.devices import DEVICES_MAX
from tallystick.protocol.entry import wire
from tests.integration.hostile_member import HEAVY, LINES, Line, Member, heavy_words, new_key

ANSWER_S: Final = 5.0
#: Where a connection ends, it is the other side that has ended it.
PATIENT: Final = TransportLimits(stranger_s=3600, session_s=3600, silent_s=3600, watch_every_s=3600)


@asynccontextmanager
async def running(key: SecretKey) -> AsyncIterator[Libp2pTransport]:
    """A node with this key that listens nowhere, takes everybody for a member, and never hangs up by itself."""
    transport = Libp2pTransport(key.seed, listen=(), limits=PATIENT)
    transport.set_gate(lambda _: True)
    async with transport.running():
        yield transport


@asynccontextmanager
async def line_to(address: str, key: SecretKey, *, slow: bool = False) -> AsyncIterator[Line]:
    """A sync stream whose other side has agreed, or not."""
    async with running(key) as transport:
        link = await link_to(address, transport)
        host = host_of(transport)
        line = Line(host, await open_stream(host, link, SYNC, ANSWER_S), link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.listen)
            await line.write(encode_credit(400 if slow else 1 << 30))
            yield line
            nursery.cancel_scope.cancel()


async def link_to(address: str, transport: Libp2pTransport) -> Link:
    """A connection with a proven key and nothing on it."""
    return await transport._peers.link_to(read_address_untrusted(address))


def host_of(transport: Libp2pTransport) -> Any:
    assert transport._peers.net is not None
    return transport._peers.net.host


async def is_let_in(address: str, key: SecretKey) -> bool:
    """Whether a polite node with this key is talked to now."""
    with trio.move_on_after(ANSWER_S):
        try:
            async with line_to(address, key) as line:
                await line.until(lambda: line.hello is not None or line.over.is_set())
                return line.hello is not None
        except (*LINES, ExceptionGroup):
            return False
    return False


async def hand_over_orphans(line: Line, member: Member, words: bytes) -> None:
    """More of them than one peer may have waiting, and an answer that says that they have been looked at."""
    for _ in range(0, ORPHAN_BYTES_MAX // HEAVY + 10, 3):
        await line.say(m.Entries([wire(member.orphan(words)) for _ in range(3)]))
    await line.say(m.GetBlocks(1, 1, False))
    await line.until(lambda: line.answers > 0)


class Crowd:
    """What one address has to bear."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.address = ticket.addresses[0]

    async def devices(self, member: Member, floods: int) -> dict[str, int]:
        """All devices of a member come at once, also those that are more than it may have; each floods."""
        counts = {"in": 0, "refused": 0}
        lines: list[Line] = []

        async def come(key: SecretKey, stack: AsyncExitStack) -> None:
            try:
                line = await stack.enter_async_context(line_to(self.address, key))
                await line.greet()
                lines.append(line)
            except (*LINES, ExceptionGroup):
                counts["refused"] += 1

        async with AsyncExitStack() as stack:
            for key in (member.node, *member.others):
                await come(key, stack)
            for _ in range(floods):
                for line in lines:
                    await line.say(m.Entries([wire(member.orphan()) for _ in range(64)]))
            await trio.sleep(0.5)
            counts["in"] = sum(not line.over.is_set() for line in lines)
            counts["credit"] = max(line.credit_most for line in lines)
        return counts

    async def flood(self, member: Member, task_status: trio.TaskStatus[dict[str, int]]) -> None:
        """Each device that a member may have hands over orphans, as heavy as may be, and stays; until cancelled."""
        async with AsyncExitStack() as stack:
            lines = []
            for key in (member.node, *member.others[: DEVICES_MAX - 1]):
                line = await stack.enter_async_context(line_to(self.address, key))
                await line.greet()
                lines.append(line)
            words = heavy_words()
            async with trio.open_nursery() as nursery:
                for line in lines:
                    nursery.start_soon(hand_over_orphans, line, member, words)
            task_status.started({"in": sum(not line.over.is_set() for line in lines)})
            await trio.sleep_forever()

    async def links(self, member: Member, count: int) -> dict[str, int]:
        """One key comes again and again: only the newest connection is kept."""
        async with AsyncExitStack() as stack:
            lines = []
            for _ in range(count):
                line = await stack.enter_async_context(line_to(self.address, member.node))
                await line.greet()
                lines.append(line)
            await trio.sleep(0.5)
            return {"opened": len(lines), "open": sum(not line.over.is_set() for line in lines)}

    async def streams(self, member: Member, count: int) -> dict[str, int]:
        """One connection has streams without end, and says nothing on them; how many are there at once."""
        async with line_to(self.address, member.node) as line:
            await line.greet()
            streams = []
            for _ in range(count):
                try:
                    streams.append(await open_stream(line.host, line.link, KNOCK, ANSWER_S))
                except LINES:
                    continue
            return {"tried": count, "open": len(streams), "ended": line.over.is_set()}

    async def strangers(self, count: int, seen: Callable[[dict[str, int]], None]) -> None:
        """Keys that nobody knows come all at once and stay; `seen` hears how many are in, and when they are out."""
        come, out = trio.Event(), trio.Event()
        since = trio.current_time()
        links: list[Link | None] = []

        async def stay() -> None:
            async with running(new_key()) as transport:
                try:
                    links.append(await link_to(self.address, transport))
                except LINES:
                    links.append(None)
                if len(links) == count:
                    come.set()
                await out.wait()

        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(stay)
            await come.wait()
            held = [link for link in links if link is not None and not link.dropped]
            for link in held:
                await link.gone.wait()
            seen({"tried": count, "in": len(held), "after_s": round(trio.current_time() - since)})
            out.set()

    async def stranger(self) -> dict[str, int]:
        """Somebody who is no member tries everything that it has heard of; what it learns, in bytes."""
        stranger, foreign = Member("Stranger", self.ticket), secrets.token_bytes(32)
        invite = new_key()
        guesses = [
            secrets.token_bytes(200),
            codec.encode(["invitation"]),
            # Somebody has told it the ledger and an invitation, but not its secret.
            knock.ask_charter(invite, self.ticket.ledger, self.ticket.invite, stranger.node.public),
            knock.ask_charter(invite, foreign, self.ticket.invite, stranger.node.public),
            knock.ask_join(stranger.orphan()),
        ]
        heard = b""
        async with running(stranger.node) as transport:
            for guess in guesses:
                heard += await self._say(transport, KNOCK, encode_frame(guess))
            hello = m.Hello(1, self.ticket.ledger, 1, bytes(32), bytes(32), 0, [])
            heard += await self._say(transport, SYNC, encode_credit(1 << 20) + encode_frame(m.encode_message(hello)))
            heard += await self._say(transport, KNOCK, encode_uvarint(KNOCK_REQUEST_BYTES_MAX + 1) + bytes(1000))
            # More than a stranger may say in all, on however many streams.
            for _ in range(6):
                heard += await self._say(transport, KNOCK, encode_uvarint(KNOCK_REQUEST_BYTES_MAX) + bytes(60_000))
        return {"heard": len(heard)}

    async def _say(self, transport: Libp2pTransport, protocol: Any, data: bytes) -> bytes:
        """What is answered on a stream of one protocol."""
        heard = b""
        try:
            link = await link_to(self.address, transport)
            stream = await open_stream(host_of(transport), link, protocol, ANSWER_S)
            await stream.write(data)
            await stream.close()
            with trio.move_on_after(ANSWER_S):
                while part := await stream.read(65536):
                    heard += part
        except LINES:
            return heard
        return heard

    async def sockets(self, count: int) -> dict[str, int]:
        """Open connections that say nothing, or half of something."""
        _, _, host, _, port, *_ = self.address.split("/")
        openings = [b"", b"\x13/multistream/1.0.0\n", b"\x13/multistream/1.0.0\n\x07/noise\n", secrets.token_bytes(500)]
        streams = []
        for number in range(count):
            stream = await trio.open_tcp_stream(host, int(port))
            streams.append(stream)
            try:
                await stream.send_all(openings[number % 4])
            except trio.BrokenResourceError:
                continue
        await trio.sleep(1)
        for stream in streams:
            await stream.aclose()
        return {"opened": len(streams)}
