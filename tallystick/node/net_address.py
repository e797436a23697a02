"""Peer ids and multiaddrs as text: reading and writing the few forms that this project uses.

A peer id is the base58 text of an identity multihash of the protobuf of an Ed25519 key, so it and the 32-byte node
key are one and the same thing in two spellings. Light on purpose: tickets and the command line need it, libp2p not.

Source: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md and https://multiformats.io/multiaddr/.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from tallystick.node.transport import DialError, DialReason, PeerKey

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_PREFIX: Final = bytes.fromhex("002408011220")
"""Identity multihash of 36 bytes; protobuf: key type Ed25519, 32 bytes of key."""
_ADDRESS_LENGTH_MAX: Final = 512
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?")


def peer_id(peer: PeerKey) -> str:
    """Return the peer id, `12D3Koo…`, of a 32-byte node key."""
    if len(peer) != 32:
        raise ValueError(f"a node key has 32 bytes, not {len(peer)}")
    data = _PREFIX + peer
    number = int.from_bytes(data, "big")
    letters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    # Each leading zero byte is written as one leading "1"; the prefix has exactly one.
    letters.append(_ALPHABET[0])
    return "".join(reversed(letters))


def peer_key(text: str) -> PeerKey:
    """Return the node key of a peer id, or raise ValueError."""
    if not 40 <= len(text) <= 60 or text[0] != _ALPHABET[0]:
        raise ValueError("not a peer id of an Ed25519 key")
    number = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError(f"{letter!r} does not occur in a peer id")
        number = number * 58 + _VALUES[letter]
    size = len(_PREFIX) + 32
    if number.bit_length() > size * 8:
        raise ValueError("not a peer id of an Ed25519 key")
    data = number.to_bytes(size, "big")
    if not data.startswith(_PREFIX) or peer_id(data[len(_PREFIX) :]) != text:
        raise ValueError("not a peer id of an Ed25519 key")
    return data[len(_PREFIX) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A place to dial, and who is expected there."""

    host: str
    """An IP address or a host name."""
    port: int
    peer: PeerKey
    where: str
    """The multiaddr without `/p2p/…`."""

    def __str__(self) -> str:
        return f"{self.where}/p2p/{peer_id(self.peer)}"


def read_address_untrusted(text: str) -> Address:
    """Read `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>/p2p/<peer id>`, or raise DialError(BAD_ADDRESS)."""
    try:
        return _read_address(text)
    except ValueError as error:
        raise DialError(DialReason.BAD_ADDRESS, f"{text[:200]!r}: {error}") from None


def _read_address(text: str) -> Address:
    if len(text) > _ADDRESS_LENGTH_MAX:
        raise ValueError("longer than any address")
    parts = text.split("/")
    if len(parts) != 7 or parts[0] or parts[3] != "tcp" or parts[5] not in ("p2p", "ipfs"):
        raise ValueError("expected /ip4/…/tcp/…/p2p/…")
    _, family, host, _, port_text, _, peer_text = parts
    match family:
        case "ip4":
            host = str(ipaddress.IPv4Address(host))
        case "ip6":
            host = str(ipaddress.IPv6Address(host))
        case "dns" | "dns4" | "dns6":
            if len(host) > 253 or not _HOST_NAME.fullmatch(host):
                raise ValueError("not a host name")
        case _:
            raise ValueError(f"cannot dial /{family}")
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= 65535 and len(port_text) <= 5):
        raise ValueError("the port is a number from 1 to 65535")
    port = int(port_text)
    return Address(host=host, port=port, peer=peer_key(peer_text), where=f"/{family}/{host}/tcp/{port}")


def socket_where(sockname: tuple[str | int, ...] | None) -> str:
    """Turn what `getpeername()` or `getsockname()` gave into `/ip4/…/tcp/…`; empty when it is none of IP."""
    if not sockname or len(sockname) < 2:
        return ""
    try:
        ip = ipaddress.ip_address(str(sockname[0]).split("%")[0])
    except ValueError:
        return ""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    if mapped is not None:
        ip = mapped
    return f"/ip{ip.version}/{ip}/tcp/{sockname[1]}"
