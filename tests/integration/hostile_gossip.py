"""What a hostile member does on its gossip stream, by name."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils import encode_varint_prefixed

from tallystick.crypto.hashing import tagged_hash
from tallystick.node import messages as m
from tallystick.node.net_framing import encode_uvarint
from tallystick.node.net_gossip import MESH
from tallystick.node.net_streams import open_stream
from tallystick.node.transport import GOSSIP_BYTES_MAX
from tests.integration.hostile_member import Line, Member

OPEN_S: Final = 5.0
STAY_S: Final = 1.0
#: As many names as one gossip can hold.
NAMES: Final = 850


class Air:
    """The gossip stream of one member, and what it signs for it."""

    def __init__(self, stream: Any, member: Member) -> None:
        self._stream = stream
        self._keys = create_new_key_pair(member.node.seed)
        self._id = ID.from_pubkey(self._keys.public_key).to_bytes()
        self._number = secrets.randbelow(2**60)
        self.topic = tagged_hash("gossip", member.ticket.ledger).hex()[:32]

    @classmethod
    async def of(cls, line: Line, member: Member) -> Air:
        """Come in as a member does, and open a gossip stream."""
        await line.greet()
        return cls(await open_stream(line.host, line.link, MESH, OPEN_S), member)

    def message(self, data: bytes, topic: str | None = None, author: bytes | None = None) -> rpc_pb2.Message:
        """One message, well signed, unless it is in the name of somebody else."""
        self._number += 1
        message = rpc_pb2.Message(
            from_id=author or self._id,
            seqno=self._number.to_bytes(8, "big"),
            data=data,
            topicIDs=[topic or self.topic],
        )
        signed = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        message.signature = self._keys.private_key.sign(signed)
        return message

    async def publish(self, *messages: rpc_pb2.Message) -> None:
        await self.write(rpc_pb2.RPC(publish=messages))

    async def write(self, rpc: rpc_pb2.RPC) -> None:
        await self._stream.write(encode_varint_prefixed(rpc.SerializeToString()))

    async def write_raw(self, data: bytes) -> None:
        await self._stream.write(data)


def names(count: int) -> bytes:
    """Entries that nobody has."""
    return m.encode_message(m.New([(secrets.token_bytes(32), 7, secrets.token_bytes(32)) for _ in range(count)]))


async def gossip_names(line: Line, member: Member) -> dict[str, int]:
    """Names a hundred thousand entries that do not exist: whoever believes it has others hang up on its neighbours."""
    air = await Air.of(line, member)
    for _ in range(100):
        await air.publish(air.message(names(NAMES)))
    for _ in range(300):
        await air.publish(air.message(names(64)))
    await trio.sleep(1)
    return {"asked": line.asked}


async def gossip_flood(line: Line, member: Member) -> None:
    """As much as the line takes: messages as long as may be that say nothing, each well signed."""
    air = await Air.of(line, member)
    end = trio.current_time() + STAY_S
    while trio.current_time() < end and not line.over.is_set():
        await air.publish(air.message(secrets.token_bytes(GOSSIP_BYTES_MAX)))


async def gossip_of_others(line: Line, member: Member) -> dict[str, int]:
    """In the name of strangers, of the one that is attacked, of nobody; unsigned; too long; of another ledger."""
    air = await Air.of(line, member)
    stranger = create_new_key_pair(secrets.token_bytes(32)).public_key
    for number in range(400):
        data, topic = names(1), secrets.token_hex(16)
        unsigned = air.message(data)
        unsigned.signature = b""
        await air.publish(
            air.message(data, author=ID.from_pubkey(stranger).to_bytes()),
            air.message(data, author=line.link.peer_id.to_bytes()),
            air.message(data, author=secrets.token_bytes(number % 40)),
            unsigned,
            air.message(names(NAMES)[:-1]),
            air.message(bytes(GOSSIP_BYTES_MAX + 1) if number % 20 == 0 else b""),
            air.message(data, topic=topic),
        )
        await air.write(
            rpc_pb2.RPC(
                subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic)] * 100,
                control=rpc_pb2.ControlMessage(
                    graft=[rpc_pb2.ControlGraft(topicID=topic)] * 100,
                    prune=[rpc_pb2.ControlPrune(topicID=air.topic, backoff=2**60)],
                    ihave=[rpc_pb2.ControlIHave(topicID=air.topic, messageIDs=[secrets.token_bytes(40)] * 50)],
                    iwant=[rpc_pb2.ControlIWant(messageIDs=[secrets.token_bytes(40) for _ in range(50)])],
                ),
            )
        )
    await trio.sleep(0.5)
    return {"asked": line.asked}


async def gossip_too_long(line: Line, member: Member) -> None:
    """Many messages in one piece, longer than anybody packs it."""
    air = await Air.of(line, member)
    await air.write_raw(encode_uvarint(1024 * 1024 + 1) + bytes(100_000))


async def gossip_broken(line: Line, member: Member) -> None:
    """What is no message at all."""
    air = await Air.of(line, member)
    await air.write_raw(encode_uvarint(300) + b"\xff" * 300)


GOSSIP: Final[tuple[Callable[[Line, Member], Awaitable[dict[str, int] | None]], ...]] = (
    gossip_names,
    gossip_flood,
    gossip_of_others,
    gossip_too_long,
    gossip_broken,
)
