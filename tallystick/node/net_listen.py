"""Listening sockets, and the addresses under which they can be reached.

The sockets are ours and not libp2p's, which shares a port between two nodes without a word, does not report an
address that it cannot bind, and tells others to dial `0.0.0.0`.
"""

import errno
import ipaddress
import logging
import os
import socket
from dataclasses import dataclass
from typing import Final

import ifaddr
import trio

from tallystick.node.net_address import socket_where
from tallystick.node.transport import ListenError

log = logging.getLogger("tallystick.net")

_BACKLOG: Final = 128
_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen: an IP address of this machine, or all of them, and a port, or any."""

    ip: IpAddress
    port: int

    def __str__(self) -> str:
        return f"/ip{self.ip.version}/{self.ip}/tcp/{self.port}"


def read_place(text: str) -> Place:
    """Read `/ip4|ip6/<address>/tcp/<port>`, or raise ListenError."""
    parts = text.split("/")
    try:
        if len(parts) != 5 or parts[0] or parts[1] not in ("ip4", "ip6") or parts[3] != "tcp":
            raise ValueError("expected /ip4/…/tcp/… or /ip6/…/tcp/…")
        ip = ipaddress.IPv4Address(parts[2]) if parts[1] == "ip4" else ipaddress.IPv6Address(parts[2])
        if not (parts[4].isascii() and parts[4].isdigit() and len(parts[4]) <= 5 and int(parts[4]) <= 65535):
            raise ValueError("the port is a number from 0 to 65535")
    except ValueError as error:
        raise ListenError(f"cannot listen on {text[:200]!r}: {error}") from None
    return Place(ip, int(parts[4]))


def open_listeners(places: list[Place]) -> list[trio.SocketListener]:
    """Listen on all of these, or raise ListenError and listen on none.

    Only `::` may be missing, on a machine without IPv6, where something else is listened on.
    """
    listeners: list[trio.SocketListener] = []
    skipped: list[str] = []
    try:
        for place in places:
            try:
                listeners.append(trio.SocketListener(_bind(place)))
            except OSError as error:
                words = f"cannot listen on {place}: {error.strerror or error}"
                if error.errno in _NO_SUCH_FAMILY and place.ip.version == 6 and place.ip.is_unspecified:
                    log.info("%s", words)
                    skipped.append(words)
                    continue
                raise ListenError(words) from error
        if skipped and not listeners:
            raise ListenError("; ".join(skipped))
    except ListenError:
        close_listeners(listeners)
        raise
    return listeners


def _bind(place: Place) -> trio.socket.SocketType:
    raw = socket.socket(socket.AF_INET if place.ip.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # A port can be used again at once after a stop. It cannot be shared for all that: SO_REUSEPORT would do it.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined,unused-ignore]
        if place.ip.version == 6:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        raw.bind((str(place.ip), place.port))
        raw.listen(_BACKLOG)
        raw.setblocking(False)
        return trio.socket.from_stdlib_socket(raw)
    except BaseException:
        raw.close()
        raise


def close_listeners(listeners: list[trio.SocketListener]) -> None:
    """Stop listening, now."""
    for listener in listeners:
        listener.socket.close()


def bound_places(listeners: list[trio.SocketListener]) -> list[Place]:
    """Return where these listen, with the ports that the system chose."""
    places = []
    for listener in listeners:
        host, port = listener.socket.getsockname()[:2]
        places.append(Place(ipaddress.ip_address(host), port))
    return places


def machine_addresses() -> list[IpAddress]:
    """Return the addresses of this machine that others may be able to dial; loopback when there are no others."""
    found: set[IpAddress] = set()
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            found.add(ipaddress.ip_address(each.ip if isinstance(each.ip, str) else each.ip[0]))
    outward = {ip for ip in found if not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)}
    return sorted(outward or {ip for ip in found if ip.is_loopback}, key=lambda ip: (ip.version, int(ip)))


def concrete(places: list[Place], machine: list[IpAddress]) -> list[str]:
    """Return `/ip4/…/tcp/…` for each address that can be dialled; `0.0.0.0` and `::` become what the machine has."""
    found = []
    for place in places:
        ips = [ip for ip in machine if ip.version == place.ip.version] if place.ip.is_unspecified else [place.ip]
        found += [socket_where((str(ip), place.port)) for ip in ips]
    return list(dict.fromkeys(found))
