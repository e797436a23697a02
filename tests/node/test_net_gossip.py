"""What a neighbour can have done by gossip: few bytes ask for many, and long messages count as several."""

from __future__ import annotations

from libp2p.pubsub.pb import rpc_pb2

from tallystick.node import net_gossip
from tallystick.node.transport import GOSSIP_BYTES_MAX
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.support.transports import ANA, BO, all_running, connect, eventually, in_trio


def node(seed: bytes) -> Libp2pTransport:
    return Libp2pTransport(seed, listen=("/ip4/127.0.0.1/tcp/0",), topic="tea")


@in_trio
async def test_what_one_question_is_answered_with_is_bounded() -> None:
    """Forty bytes name sixty kilobytes, and a question names a thousand: as many as one answer may hold."""
    ana, bo = node(ANA), node(BO)
    async with all_running(ana, bo):
        await connect(bo, ana)
        assert ana._peers.net is not None and ana._peers.net.gossip is not None
        pubsub = ana._peers.net.gossip._pubsub
        for _ in range(20):
            ana.publish(bytes(GOSSIP_BYTES_MAX - 100))
        await eventually(lambda: len(pubsub.router_.mcache.msgs) == 20)
        ids = [key.hex().encode() for key in pubsub.router_.mcache.msgs]

        def answered(asked: list[bytes]) -> list[bytes]:
            control = rpc_pb2.ControlMessage(iwant=[rpc_pb2.ControlIWant(messageIDs=asked)])
            return list(pubsub._ours(control).iwant[0].messageIDs)

        assert answered(ids) == ids[: net_gossip._IWANT_BYTES_MAX // (GOSSIP_BYTES_MAX - 100)]
        assert answered([ids[7], *ids[7:9], b"\xff" * 46, b"zz"]) == ids[7:9]


@in_trio
async def test_a_long_message_counts_as_several() -> None:
    """So a neighbour has as many bytes passed on as honest messages have, however long it makes them."""
    short, long_ = net_gossip._Rate(), net_gossip._Rate()
    taken = sum(GOSSIP_BYTES_MAX for _ in range(3000) if long_.take(GOSSIP_BYTES_MAX))
    assert 0 < taken <= net_gossip._BURST * net_gossip._UNIT_BYTES
    assert sum(short.take(net_gossip._UNIT_BYTES - 1) for _ in range(2000)) == 2000
