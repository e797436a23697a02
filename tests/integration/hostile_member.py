"""One who breaks the protocol: its keys, what it can sign, and a stream on which it can write what it likes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.basic_host import BasicHost

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node import knock
from tallystick.node import messages as m
from tallystick.node.net_framing import Credit, FrameReader, encode_frame, frame_cost
from tallystick.node.net_links import Link
from tallystick.node.net_streams import StreamRefusedError
from tallystick.node.ticket import Ticket
from tallystick.node.transport import TransportError
from tallystick.protocol import codec
from tallystick.protocol.charter import Charter
from tallystick.protocol.deal_rules import terms_of
from tallystick.protocol.devices import possession_payload
from tallystick.protocol.entry import VERSION, Entry, annex_hash, encode_annex, make_entry, signed_message
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.device import DeviceAdd
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.signed import KeySigner

#: What a broken or refused line raises.
LINES = (StreamRefusedError, TransportError, BaseLibp2pError, OSError)
#: Bytes of words with which a few entries are as much as many.
HEAVY = 60_000

Wire = tuple[bytes, bytes, bytes | None]


def new_key() -> SecretKey:
    return SecretKey.from_seed(secrets.token_bytes(32))


def heavy_words() -> bytes:
    """Words that nearly fill an annex."""
    return encode_annex(secrets.token_bytes(16), {"note": "x" * HEAVY})


class Member:
    """Keys, and the join that brought them in."""

    def __init__(self, name: str, ticket: Ticket) -> None:
        self.name = name
        self.ticket = ticket
        self.device, self.node, self.recovery = new_key(), new_key(), new_key()
        self.others: list[SecretKey] = []
        """Node keys of further devices."""
        self.join: Entry | None = None
        self.head: Entry | None = None
        """The last entry that was meant to stay."""
        self.charter: Charter | None = None

    @property
    def signer(self) -> KeySigner:
        """Signs sealing messages."""
        return KeySigner(self.node, self.ticket.ledger)

    async def knock(self, ask: Callable[[bytes], Awaitable[bytes]]) -> str:
        """Join with the ticket; the entry."""
        ticket, invite = self.ticket, SecretKey.from_seed(self.ticket.secret)
        answer = await ask(knock.ask_charter(invite, ticket.ledger, ticket.invite, self.node.public))
        entry = self.apply(knock.read_charter_untrusted(answer))
        knock.read_joined_untrusted(await ask(knock.ask_join(entry)))
        return entry.id.hex()

    def apply(self, charter: Charter) -> Entry:
        """The join that its ticket allows."""
        ticket, invite = self.ticket, SecretKey.from_seed(self.ticket.secret)
        self.charter = charter
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
        self.join = self.head = self.entry(Join.KIND, body.to_map(), 0, None, (ticket.invite,), annex)
        return self.join

    def entry(
        self,
        kind: str,
        body: Any,
        seq: int,
        prev: bytes | None,
        links: tuple[bytes, ...] = (),
        annex: bytes | None = None,
        at: int = 0,
    ) -> Entry:
        """Anything, well signed."""
        return make_entry(
            self.device,
            ledger=self.ticket.ledger,
            seq=seq,
            prev=prev,
            links=links,
            seal=None,
            time=time.time_ns() // 1_000_000 + at,
            kind=kind,
            body=body,
            annex=annex,
        )

    def forged(self, kind: str, body: Any, links: int = 0, annex: bytes | None = None) -> Wire:
        """An entry that this program would not make, well signed: only its size and shape are wrong."""
        fields = [VERSION, self.ticket.ledger, self.device.public, 7, secrets.token_bytes(32)]
        fields.append(sorted(secrets.token_bytes(32) for _ in range(links)))
        fields += [None, time.time_ns() // 1_000_000, kind, body, None if annex is None else annex_hash(annex)]
        header = raw(fields)
        entry_id = tagged_hash("entry", header)
        return header, self.device.sign(signed_message(entry_id, self.ticket.ledger)), annex

    def orphan(self, annex: bytes | None = None) -> Entry:
        """An entry whose parents nobody has."""
        body = Withdraw(offer=secrets.token_bytes(32)).to_map()
        seq = 500 + secrets.randbelow(10**6)
        return self.entry("withdraw", body, seq, secrets.token_bytes(32), annex=annex)

    def chain(self, count: int, annex: bytes | None = None) -> Iterator[Entry]:
        """Offers without end, each good in itself."""
        prev = self._join()
        for seq in range(1, count + 1):
            entry = self.entry("offer", self._offer(), seq, prev.id, annex=annex)
            prev = entry
            yield entry

    def branches(self, count: int) -> Iterator[Entry]:
        """Offers with one number, each good in itself."""
        for number in range(count):
            yield self.entry("offer", self._offer(), 1, self._join().id, at=number)

    def follow(self, body: SealerOn | DeviceAdd | Invite | Admit, *after: bytes) -> Entry:
        """The next entry of a chain that is to stay, in the order behind these."""
        assert self.head is not None
        links = tuple(sorted({*body.refs(), *after}))
        self.head = self.entry(body.KIND, body.to_map(), self.head.seq + 1, self.head.id, links)
        return self.head

    def add_device(self, *after: bytes) -> Entry:
        """Introduce another device, in the order behind these entries."""
        device, node = new_key(), new_key()
        self.others.append(node)
        payload = possession_payload(device.public, node.public, self.device.public)
        message = signed_bytes(SignType.POSSESSION, self.ticket.ledger, payload)
        return self.follow(
            DeviceAdd(
                device=device.public,
                node_key=node.public,
                scope="all",
                possession=device.sign(message),
                possession_node=node.sign(message),
            ),
            *after,
        )

    def _join(self) -> Entry:
        assert self.join is not None
        return self.join

    def _offer(self) -> dict[str, Any]:
        assert self.charter is not None
        step = self.charter.steps["roast"]
        return Offer(side="sell", step="roast", units=1, terms=terms_of(step)).to_map()


def raw(value: Any) -> bytes:
    """Canonical bytes of whatever it is, however deep and large; keys of maps are ascending already."""
    import msgspec

    return msgspec.msgpack.encode(value)


class Line:
    """A sync stream on which anything can be written. It keeps count of what the other side says."""

    def __init__(self, host: BasicHost, stream: Any, link: Link) -> None:
        self.host, self.stream, self.link = host, stream, link
        self.sent = self.heard = self.credit = 0
        self.credit_most = 0
        """The most that could be sent at any time."""
        self.asked = 0
        """How many entries the other side has asked for."""
        self.answers = 0
        """How many requests for blocks it has answered."""
        self.heads = 0
        """How often it has told its heads."""
        self.hello: m.Hello | None = None
        """The newest."""
        self.sealing: list[bytes] = []
        """Sealing messages, since somebody looked."""
        self.over = trio.Event()
        self._news = trio.Event()
        self._reader = FrameReader()

    async def listen(self) -> None:
        """Read to the end."""
        try:
            while data := await self.stream.read(65536):
                self.heard += len(data)
                for item in self._reader.feed(data):
                    if isinstance(item, Credit):
                        self.credit += item.units
                        self.credit_most = max(self.credit_most, self.credit)
                    else:
                        self._hear(item)
                self._news.set()
                self._news = trio.Event()
        except LINES:
            self.link.drop("it ended")
        self.over.set()
        self._news.set()

    def _hear(self, frame: bytes) -> None:
        # An array, and its name: what is of no interest is not decoded.
        name = frame[2 : 2 + (frame[1] & 0x1F)]
        if name not in (b"hello", b"want", b"sealing", b"blocks_end", b"heads"):
            return
        match m.Reader().read(frame):
            case m.Hello() as hello:
                self.hello = hello
            case m.Want(chains):
                self.asked += len(chains)
            case m.Sealing(messages):
                self.sealing += messages
            case m.BlocksEnd():
                self.answers += 1
            case m.Heads():
                self.heads += 1

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

    async def greet(self, **changes: Any) -> m.Hello:
        """Say hello as the other side has, but for some fields; what it has said."""
        await self.until(lambda: self.hello is not None)
        assert self.hello is not None
        fields = {name: getattr(self.hello, name) for name in self.hello.__struct_fields__}
        await self.say(m.Hello(**{**fields, "addresses": [], **changes}))
        return self.hello
