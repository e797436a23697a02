"""The transport over libp2p: the contract, on loopback."""

from __future__ import annotations

import pytest

from tallystick.node.transport import Transport, TransportLimits
from tallystick.node.transport_libp2p import Libp2pTransport
from tests.node.relay_contract import RelayContract
from tests.node.transport_contract import TransportContract


class LoopbackNetwork:
    """Transports that listen on 127.0.0.1."""

    def transport(
        self,
        seed: bytes,
        *,
        listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",),
        announce: tuple[str, ...] = (),
        limits: TransportLimits | None = None,
        topic: str | None = None,
        relays: bool = True,
    ) -> Transport:
        return Libp2pTransport(seed, listen=listen, announce=announce, limits=limits, topic=topic, relays=relays)


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


class TestContract(TransportContract):
    """A transport over libp2p is a transport."""


class TestRelayContract(RelayContract):
    """Two transports over libp2p reach each other through a third."""
