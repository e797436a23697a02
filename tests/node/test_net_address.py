"""Peer ids and multiaddrs: the spelling of libp2p without libp2p, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.node.net_address import peer_id, peer_key, read_address_untrusted, socket_where
from tallystick.node.transport import DialError, DialReason

KEY = bytes(range(32))
ID = peer_id(KEY)


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_is_that_of_the_library(key: bytes) -> None:
    """Our spelling is the library's, and leads back to the key."""
    from libp2p.crypto.ed25519 import Ed25519PublicKey
    from libp2p.peer import id as library

    text = peer_id(key)
    assert text == library.ID.from_pubkey(Ed25519PublicKey.from_bytes(key)).to_base58()
    assert peer_key(text) == key


def test_key_of_another_size_is_our_own_bug() -> None:
    """Only 32 bytes are a node key."""
    for size in (0, 31, 33):
        with pytest.raises(ValueError, match="32"):
            peer_id(bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1" * 52,
        ID[:-1],
        ID + "1",
        "1" + ID,
        ID[1:],
        ID.replace("K", "0", 1),
        "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "z" * 52,
        "12D3KooW" + "z" * 44,
        "1" + "z" * 59,
    ],
)
def test_what_is_no_peer_id_is_refused(text: str) -> None:
    """Another kind of key, a letter too many, a letter that does not exist: each is a ValueError."""
    with pytest.raises(ValueError, match="peer id"):
        peer_key(text)


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [
        ("/ip4/192.0.2.1/tcp/4001", "192.0.2.1", 4001),
        ("/ip6/2001:db8::1/tcp/1", "2001:db8::1", 1),
        ("/dns/ana.example/tcp/65535", "ana.example", 65535),
        ("/dns4/a/tcp/80", "a", 80),
        ("/dns6/xn--bcher-kva.example./tcp/80", "xn--bcher-kva.example.", 80),
    ],
)
def test_address_is_read(where: str, host: str, port: int) -> None:
    """Each form that can be dialled, and back to its text."""
    address = read_address_untrusted(f"{where}/p2p/{ID}")
    assert (address.host, address.port, address.peer, address.where) == (host, port, KEY, where)
    assert str(address) == f"{where}/p2p/{ID}"
    assert read_address_untrusted(f"{where}/ipfs/{ID}") == address


def test_address_has_one_spelling() -> None:
    """The same place in another spelling is the same address."""
    assert read_address_untrusted(f"/ip6/2001:DB8:0::1/tcp/0080/p2p/{ID}").where == "/ip6/2001:db8::1/tcp/80"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/ip4/192.0.2.1/tcp/4001",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{ID[:-1]}",
        f"ip4/192.0.2.1/tcp/4001/p2p/{ID}",
        f"/ip4/192.0.2.256/tcp/4001/p2p/{ID}",
        f"/ip4/192.0.2.01/tcp/4001/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/0/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/65536/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/٤٠/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/-1/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/000001/p2p/{ID}",
        f"/ip4/192.0.2.1/udp/4001/p2p/{ID}",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{ID}/p2p-circuit",
        f"/ip6/192.0.2.1/tcp/4001/p2p/{ID}",
        f"/ip6/fe80::1%eth0/tcp/4001/p2p/{ID}/x",
        f"/dns/-a.example/tcp/4001/p2p/{ID}",
        f"/dns/a b/tcp/4001/p2p/{ID}",
        f"/dns/{'a' * 64}/tcp/4001/p2p/{ID}",
        f"/dns//tcp/4001/p2p/{ID}",
        f"/dns/bücher.example/tcp/4001/p2p/{ID}",
        f"/onion3/abc/tcp/4001/p2p/{ID}",
        f"/dns/{'a.' * 300}/tcp/4001/p2p/{ID}",
    ],
)
def test_what_cannot_be_dialled_is_refused(text: str) -> None:
    """Whatever is not one of these forms has one word for it, and is quoted."""
    with pytest.raises(DialError) as caught:
        read_address_untrusted(text)
    assert caught.value.reason == DialReason.BAD_ADDRESS
    assert len(str(caught.value)) < 400


@given(st.text(max_size=80))
def test_no_text_is_a_surprise(text: str) -> None:
    """Any text at all is an address or refused."""
    try:
        read_address_untrusted(text)
    except DialError as error:
        assert error.reason == DialReason.BAD_ADDRESS


@pytest.mark.parametrize(
    ("sockname", "where"),
    [
        (("192.0.2.1", 4001), "/ip4/192.0.2.1/tcp/4001"),
        (("2001:db8::1", 4001, 0, 0), "/ip6/2001:db8::1/tcp/4001"),
        (("fe80::1%eth0", 4001, 0, 2), "/ip6/fe80::1/tcp/4001"),
        (("::ffff:192.0.2.1", 4001, 0, 0), "/ip4/192.0.2.1/tcp/4001"),
        (("/run/socket",), ""),
        ((), ""),
        (None, ""),
        (("nonsense", 1), ""),
    ],
)
def test_socket_name_becomes_a_multiaddr(sockname: tuple[str | int, ...] | None, where: str) -> None:
    """IPv4, IPv6, and IPv4 in the clothes of IPv6; what is no internet address gives nothing."""
    assert socket_where(sockname) == where
