"""A node that breaks the protocol, as a program of its own: one order a line in, one answer a line out, in JSON.

It speaks real libp2p with the transport of the project, and on the stream it writes what it likes. For each attack
there is a member of its own, since whoever is caught is left alone for ten minutes; the last ones are strangers.

    python -m tests.integration.hostile TICKET
    {"do": "join", "name": "Mal"}                     -> {"entry": id}
    {"do": "attack", "what": "orphans", "name": "Mal"} -> {"sent": bytes, "heard": bytes, "ended": bool, "back": bool}
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import trio
from libp2p.exceptions import BaseLibp2pError

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node import knock
from tallystick.node import messages as m
from tallystick.node.net_address import read_address_untrusted
from tallystick.node.net_framing import Credit, FrameReader, encode_credit, encode_frame, encode_uvarint, frame_cost
from tallystick.node.net_links import Link
from tallystick.node.net_peers import KNOCK, SYNC
from tallystick.node.net_streams import StreamRefusedError, open_stream
from tallystick.node.ticket import Ticket, read_ticket_untrusted
from tallystick.node.transport import FRAME_BYTES_MAX, DialError, TransportError
from tallystick.node.transport_libp2p import Libp2pTransport
from tallystick.protocol import codec
from tallystick.protocol.ballot import make_precommit
from tallystick.protocol.charter import Charter
from tallystick.protocol.deal_rules import terms_of
from tallystick.protocol.entry import Entry, encode_annex, make_entry, wire
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.signed import KeySigner

ANSWER_S = 5.0
#: How long it goes on where it is not thrown out.
STAY_S = 2.0
LINES = (StreamRefusedError, TransportError, BaseLibp2pError, OSError)


class Member:
    """Keys, and the join that brought them in."""

    def __init__(self, name: str, ticket: Ticket) -> None:
        self.name = name
        self.ticket = ticket
        self.device, self.node, self.recovery = (SecretKey.from_seed(secrets.token_bytes(32)) for _ in range(3))
        self.join: Entry | None = None
        self.charter: Charter | None = None

    async def knock(self, ask: Callable[[bytes], Awaitable[bytes]]) -> str:
        """Join with the ticket; the entry."""
        ticket, invite = self.ticket, SecretKey.from_seed(self.ticket.secret)
        answer = await ask(knock.ask_charter(invite, ticket.ledger, ticket.invite, self.node.public))
        self.charter = knock.read_charter_untrusted(answer)
        keys = [self.device.public, self.node.public, self.recovery.public]
        body = Join(
            invite=ticket.invite,
            node_key=self.node.public,
            recovery=self.recovery.public,
            charter=self.charter.hash,
            grant=invite.sign(grant_message(ticket.ledger, ticket.invite, *keys, self.charter.hash)),
            possession=self.node.sign(signed_bytes(SignType.POSSESSION, ticket.ledger, codec.encode(keys))),
        )
        annex = encode_annex(secrets.token_bytes(16), {"name": self.name})
        self.join = self.entry(Join.KIND, body.to_map(), 0, None, (ticket.invite,), annex)
        knock.read_joined_untrusted(await ask(knock.ask_join(self.join)))
        return self.join.id.hex()

    def entry(
        self,
        kind: str,
        body: Any,
        seq: int,
        prev: bytes | None,
        links: tuple[bytes, ...] = (),
        annex: bytes | None = None,
    ) -> Entry:
        """Anything, well signed."""
        return make_entry(
            self.device,
            ledger=self.ticket.ledger,
            seq=seq,
            prev=prev,
            links=links,
            seal=None,
            time=time.time_ns() // 1_000_000,
            kind=kind,
            body=body,
            annex=annex,
        )

    def orphan(self) -> Entry:
        """An entry whose parents nobody has."""
        body = Withdraw(offer=secrets.token_bytes(32)).to_map()
        return self.entry("withdraw", body, 500 + secrets.randbelow(10**6), secrets.token_bytes(32))

    def chain(self, count: int) -> Iterator[Entry]:
        """Offers without end, each good in itself."""
        assert self.join is not None
        assert self.charter is not None
        step = self.charter.steps["roast"]
        body = Offer(side="sell", step="roast", units=1, terms=terms_of(step)).to_map()
        prev = self.join.id
        for seq in range(1, count + 1):
            entry = self.entry("offer", body, seq, prev)
            prev = entry.id
            yield entry


class Line:
    """A sync stream on which anything can be written. It keeps count of what the other side says."""

    def __init__(self, stream: Any, link: Link) -> None:
        self.stream, self.link = stream, link
        self.sent = self.heard = self.credit = 0
        self.hello: m.Hello | None = None
        self.over = trio.Event()
        self._news = trio.Event()
        self._reader, self._messages = FrameReader(), m.Reader()

    async def listen(self) -> None:
        """Read to the end."""
        try:
            while data := await self.stream.read(65536):
                self.heard += len(data)
                for item in self._reader.feed(data):
                    if isinstance(item, Credit):
                        self.credit += item.units
                    elif self.hello is None and isinstance(message := self._messages.read(item), m.Hello):
                        self.hello = message
                self._news.set()
                self._news = trio.Event()
        except LINES:
            self.link.drop("it ended")
        self.over.set()
        self._news.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that the other side says; in vain where it has hung up."""
        while not is_so():
            if self.over.is_set():
                raise StreamRefusedError("the other side hung up")
            await self._news.wait()

    async def write(self, data: bytes) -> None:
        await self.stream.write(data)
        self.sent += len(data)

    async def say(self, *messages: m.Message | bytes) -> None:
        """Send messages as the credit allows."""
        for message in messages:
            for frame in [message] if isinstance(message, bytes) else m.frames_of(message):
                cost = frame_cost(frame)
                await self.until(lambda cost=cost: self.credit >= cost)  # type: ignore[misc]
                self.credit -= cost
                await self.write(encode_frame(frame))

    async def greet(self, **changes: Any) -> None:
        """Say hello as the other side has, but for some fields."""
        await self.until(lambda: self.hello is not None)
        assert self.hello is not None
        await self.say(replace_struct(self.hello, addresses=[], **changes))


def replace_struct(message: m.Hello, **changes: Any) -> m.Hello:
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return m.Hello(**{**fields, **changes})


def deep(levels: int) -> bytes:
    """Arrays inside one another."""
    return b"\x91" * levels + b"\xc0"


async def without_end(line: Line, make: Callable[[], m.Message]) -> None:
    """Say one thing after the other until it has been enough."""
    # Not cut off in the middle of a write: that would end the connection, and not the other side.
    end = trio.current_time() + STAY_S
    while trio.current_time() < end and not line.over.is_set():
        await line.say(make())


# -- what it does, by name ---------------------------------------------------------------------------------------------


async def frame_too_long(line: Line, _: Member) -> None:
    await line.write(encode_uvarint(FRAME_BYTES_MAX + 1) + bytes(1000))


async def beyond_credit(line: Line, _: Member) -> None:
    for _ in range(64):
        await line.write(encode_frame(bytes(FRAME_BYTES_MAX)))


async def not_canonical(line: Line, _: Member) -> None:
    await line.say(b"\xc1" + secrets.token_bytes(100))


async def too_deep(line: Line, _: Member) -> None:
    await line.say(deep(9))


async def before_hello(line: Line, _: Member) -> None:
    await line.say(m.GetBlocks(1, 64, True))


async def wrong_ledger(line: Line, _: Member) -> None:
    await line.greet(ledger=secrets.token_bytes(32))


async def header_too_long(line: Line, _: Member) -> None:
    await line.greet()
    await line.say(m.Entries([(secrets.token_bytes(17 * 1024), bytes(64), None)]))


async def annex_too_long(line: Line, member: Member) -> None:
    await line.greet()
    header, signature, _annex = wire(member.orphan())
    await line.say(m.Entries([(header, signature, bytes(65 * 1024))]))


async def forged_entry(line: Line, member: Member) -> None:
    await line.greet()
    header, signature, annex = wire(next(member.chain(1)))
    await line.say(m.Entries([(header, bytes([signature[0] ^ 1]) + signature[1:], annex)]))


async def forged_vote(line: Line, member: Member) -> None:
    """In the name of everybody who may seal, which is whoever was seen to be there: here the one that is attacked."""
    await line.greet()
    assert line.hello is not None
    for height in (line.hello.height + 1, line.hello.height + 2, line.hello.height + 3):
        vote = make_precommit(
            KeySigner(member.node, member.ticket.ledger),
            ledger=member.ticket.ledger,
            height=height,
            round_=0,
            block_id=bytes(32),
        )
        await line.say(m.Sealing([replace(vote, signer=line.link.peer).wire()]))


async def votes_of_nobody(line: Line, member: Member) -> None:
    """Well signed, by somebody who does not seal."""
    await line.greet()
    height = 0 if line.hello is None else line.hello.height + 1
    signer = KeySigner(member.node, member.ticket.ledger)

    def flood() -> m.Sealing:
        votes = [
            make_precommit(signer, ledger=member.ticket.ledger, height=height, round_=n, block_id=None).wire()
            for n in range(64)
        ]
        return m.Sealing(votes)

    await without_end(line, flood)


async def orphans(line: Line, member: Member) -> None:
    await line.greet()
    await without_end(line, lambda: m.Entries([wire(member.orphan()) for _ in range(64)]))


async def own_flood(line: Line, member: Member) -> None:
    """More good entries than anybody may have pending, announced as an honest node would."""
    await line.greet()
    chain = list(member.chain(4000))
    await line.say(m.New([(member.device.public, chain[-1].seq, chain[-1].id)]))
    for start in range(0, len(chain), 64):
        await line.say(m.Entries([wire(entry) for entry in chain[start : start + 64]]))
    await trio.sleep(1)


async def far_ahead(line: Line, member: Member) -> None:
    """Says that it has blocks without end, and sends entries for them that no block has."""
    await line.greet(height=2**50, block_id=secrets.token_bytes(32))
    chain = list(member.chain(4000))
    for start in range(0, len(chain), 64):
        await line.say(m.Entries([wire(entry) for entry in chain[start : start + 64]]))
    await trio.sleep(1)


async def lying_heads(line: Line, _: Member) -> None:
    """Names entries that do not exist, a hundred thousand."""
    await line.greet()
    for _part in range(100):
        rows = [(secrets.token_bytes(32), [(7, secrets.token_bytes(32))]) for _ in range(1000)]
        await line.say(m.Heads(0, 1, False, rows))


async def slow_reader(line: Line, _: Member) -> None:
    """Asks for everything again and again, and reads nothing: it gives no credit beyond the first few bytes."""
    await line.greet()
    await without_end(line, lambda: m.GetBlocks(1, 64, True))


async def parts_without_end(line: Line, _: Member) -> None:
    """Begins messages of eight megabytes, and never ends one."""
    await line.greet()
    part = bytes(FRAME_BYTES_MAX - 300)
    end = trio.current_time() + STAY_S
    while trio.current_time() < end:
        digest = secrets.token_bytes(32)
        for number in range(30):
            await line.say(codec.encode(["part", digest, number, 32, part]))


Attack = Callable[[Line, Member], Awaitable[None]]
ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        frame_too_long,
        beyond_credit,
        not_canonical,
        too_deep,
        before_hello,
        wrong_ledger,
        header_too_long,
        annex_too_long,
        forged_entry,
        forged_vote,
        votes_of_nobody,
        orphans,
        own_flood,
        far_ahead,
        lying_heads,
        slow_reader,
        parts_without_end,
    )
}
#: These read nothing of what they are sent.
SLOW = frozenset(("slow_reader",))


class Hostile:
    """Everybody who attacks, and the one address that they attack."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.address = ticket.addresses[0]
        self.members: dict[str, Member] = {}

    @asynccontextmanager
    async def running(self, member: Member) -> AsyncIterator[Libp2pTransport]:
        transport = Libp2pTransport(member.node.seed, listen=())
        async with transport.running():
            yield transport

    async def join(self, name: str) -> dict[str, Any]:
        member = self.members[name] = Member(name, self.ticket)
        async with self.running(member) as transport:
            return {"entry": await member.knock(lambda data: transport.request(self.address, data, ANSWER_S))}

    async def attack(self, what: str, name: str) -> dict[str, Any]:
        member = self.members[name]
        async with self.running(member) as transport, self.line(transport, slow=what in SLOW) as line:
            try:
                await ATTACKS[what](line, member)
                with trio.move_on_after(0.5):
                    await line.over.wait()
            except LINES:
                await line.over.wait()
        ended = line.over.is_set()
        return {"sent": line.sent, "heard": line.heard, "ended": ended, "back": await self.is_let_in(member)}

    @asynccontextmanager
    async def line(self, transport: Libp2pTransport, *, slow: bool = False) -> AsyncIterator[Line]:
        """A sync stream whose other side has agreed, or not."""
        link = await transport._peers.link_to(read_address_untrusted(self.address))
        assert transport._peers.net is not None
        stream = await open_stream(transport._peers.net.host, link, SYNC, ANSWER_S)
        line = Line(stream, link)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.listen)
            await line.write(encode_credit(400 if slow else 1 << 30))
            yield line
            nursery.cancel_scope.cancel()

    async def is_let_in(self, member: Member) -> bool:
        """Whether a polite node with the same key is talked to now."""
        with trio.move_on_after(ANSWER_S):
            try:
                async with self.running(member) as transport, self.line(transport) as line:
                    await line.until(lambda: line.hello is not None or line.over.is_set())
                    return line.hello is not None
            except (DialError, *LINES, BaseExceptionGroup):
                return False
        return False

    async def stranger(self) -> dict[str, Any]:
        """Somebody who is no member tries everything that it has heard of; what it learns, in bytes."""
        stranger, foreign = Member("Stranger", self.ticket), secrets.token_bytes(32)
        invite = SecretKey.from_seed(secrets.token_bytes(32))
        guesses = [
            secrets.token_bytes(200),
            codec.encode(["invitation"]),
            # Somebody has told it the ledger and an invitation, but not its secret.
            knock.ask_charter(invite, self.ticket.ledger, self.ticket.invite, stranger.node.public),
            knock.ask_charter(invite, foreign, self.ticket.invite, stranger.node.public),
            knock.ask_join(stranger.orphan()),
        ]
        heard = b""
        async with self.running(stranger) as transport:
            for guess in guesses:
                heard += await self._say(transport, KNOCK, encode_frame(guess))
            hello = m.Hello(1, self.ticket.ledger, 1, bytes(32), bytes(32), 0, [])
            heard += await self._say(transport, SYNC, encode_credit(1 << 20) + encode_frame(m.encode_message(hello)))
        return {"heard": len(heard)}

    async def _say(self, transport: Libp2pTransport, protocol: Any, data: bytes) -> bytes:
        """What is answered on a stream of one protocol."""
        heard = b""
        try:
            link = await transport._peers.link_to(read_address_untrusted(self.address))
            assert transport._peers.net is not None
            stream = await open_stream(transport._peers.net.host, link, protocol, ANSWER_S)
            await stream.write(data)
            await stream.close()
            with trio.move_on_after(ANSWER_S):
                while part := await stream.read(65536):
                    heard += part
        except LINES:
            return heard
        return heard

    async def sockets(self, count: int) -> dict[str, Any]:
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

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "join":
                return await self.join(order["name"])
            case "attack":
                return await self.attack(order["what"], order["name"])
            case "stranger":
                return await self.stranger()
            case "sockets":
                return await self.sockets(order["count"])
            case other:
                raise ValueError(other)


async def main(ticket: str) -> None:
    hostile = Hostile(read_ticket_untrusted(ticket))
    while line := await trio.to_thread.run_sync(sys.stdin.readline):
        with trio.fail_after(60):
            answer = await hostile.obey(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
