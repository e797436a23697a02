"""Partners in the same network find each other by multicast DNS (DNS-SD), without anybody's address.

A node announces a service whose type is made from a hash of the ledger's id, so that members look only for their own
and nobody else learns which ledger it is; the instance tells the node key and where it listens. That is a hint and no
proof: what is found is dialled only if the gate knows the key, and the handshake proves it.

zeroconf runs in a thread of its own and calls back from there; starting and stopping it blocks, so both happen off the
loop. What libp2p brings along for this announces `0.0.0.0`, stops the loop for seconds and never sees a new network.

Source: docs/spec/sync.md#reaching
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, Zeroconf

from tallystick.crypto.hashing import tagged_hash
from tallystick.node.net_address import Address, peer_id, read_address_untrusted
from tallystick.node.transport import DialError, PeerKey

log = logging.getLogger("tallystick.net")

RESOLVE_MS: Final = 3000
AGAIN_S: Final = 10.0
"""How long until another try where multicast is not possible: the network may come."""
STOP_S: Final = 3.0
ADDRESSES_MAX: Final = 16
"""Addresses of one instance that are believed."""

Found = Callable[[list[str]], None]
"""Called in the loop with the addresses of one node, each with `/p2p/ID`."""


def service_type(ledger: bytes) -> str:
    """The DNS-SD service type of a ledger. A service's name has 15 characters at most (RFC 6335)."""
    return f"_tally-{tagged_hash('mdns', ledger).hex()[:8]}._tcp.local."


@dataclass(frozen=True, slots=True)
class _Port:
    """What one instance of the service announces: DNS-SD knows one port each."""

    port: int
    ips: tuple[str, ...]


def ports_of(addresses: Sequence[str]) -> list[_Port]:
    """What to announce for addresses under which we listen. Names and unreadable ones are left out."""
    ips: dict[int, list[str]] = {}
    for text in addresses:
        try:
            address = read_address_untrusted(text)
        except DialError:
            continue
        if address.where.startswith(("/ip4/", "/ip6/")):
            ips.setdefault(address.port, []).append(address.host)
    return [_Port(port, tuple(rows)) for port, rows in ips.items()]


def read_service_untrusted(properties: dict[bytes, bytes | None], ips: Sequence[str], port: int | None) -> list[str]:
    """The addresses that an announcement stands for; none where it is not one of ours."""
    name = (properties.get(b"id") or b"").decode("ascii", "replace")
    found = []
    for ip in ips[:ADDRESSES_MAX]:
        # A link-local address means nothing without the name of an interface.
        family = "ip6" if ":" in ip else "ip4"
        try:
            address: Address = read_address_untrusted(f"/{family}/{ip.partition('%')[0]}/tcp/{port}/p2p/{name}")
        except DialError:
            continue
        if not ip.lower().startswith("fe80"):
            found.append(str(address))
    return found


class Lan:
    """Announces this node and finds others, while `run` runs."""

    def __init__(self, ledger: bytes, own: PeerKey, found: Found) -> None:
        self._type = service_type(ledger)
        self._own = own
        self._found = found
        self._addresses: tuple[str, ...] = ()
        self._changed = trio.Event()

    def announce(self, addresses: Sequence[str]) -> None:
        """We listen on these addresses from now on."""
        if tuple(addresses) != self._addresses:
            self._addresses = tuple(addresses)
            self._changed.set()

    async def run(self) -> None:
        """Announce and find until cancelled; begin anew whenever the addresses change. Never raises."""
        token = trio.lowlevel.current_trio_token()
        while True:
            self._changed = trio.Event()
            ports = ports_of(self._addresses)
            running: Zeroconf | None = None
            try:
                try:
                    running = await trio.to_thread.run_sync(self._start, ports, token)
                except Exception as error:
                    # No multicast, no network, a full table of sockets: all may be otherwise later.
                    log.info("no search in the local network: %r", error)
                with trio.move_on_after(AGAIN_S if running is None else math.inf):
                    await self._changed.wait()
            finally:
                if running is not None:
                    with trio.move_on_after(STOP_S) as scope:
                        scope.shield = True
                        # Whoever has a hold on the loop is not kept by a socket that does not close.
                        await trio.to_thread.run_sync(_stop, running, abandon_on_cancel=True)  # type: ignore[call-arg]

    def _start(self, ports: list[_Port], token: trio.lowlevel.TrioToken) -> Zeroconf:
        """In a thread: begin to announce and to look."""
        running = Zeroconf(ip_version=IPVersion.V4Only)
        try:
            name = tagged_hash("mdns-name", self._own).hex()[:16]
            for number, row in enumerate(ports):
                info = ServiceInfo(
                    self._type,
                    f"{name}-{number}.{self._type}",
                    port=row.port,
                    properties={"id": peer_id(self._own)},
                    addresses=[_packed(ip) for ip in row.ips],
                    server=f"{name}.local.",
                )
                running.register_service(info, allow_name_change=True)
            ServiceBrowser(running, self._type, listener=_Listener(self._hear, token))  # type: ignore[arg-type]
        except BaseException:
            running.close()
            raise
        return running

    def _hear(self, addresses: list[str]) -> None:
        others = [text for text in addresses if read_address_untrusted(text).peer != self._own]
        if others:
            self._found(others)


class _Listener:
    """What zeroconf calls, in a thread of its own."""

    def __init__(self, hear: Found, token: trio.lowlevel.TrioToken) -> None:
        self._hear = hear
        self._token = token

    def add_service(self, running: Zeroconf, kind: str, name: str) -> None:
        try:
            info = running.get_service_info(kind, name, RESOLVE_MS)
            if info is None:
                return
            found = read_service_untrusted(info.properties, info.parsed_addresses(), info.port)
        except Exception as error:
            log.debug("an announcement in the local network: %r", error)
            return
        if found:
            try:
                self._token.run_sync_soon(self._hear, found)
            except trio.RunFinishedError:
                log.debug("an announcement came after the end")

    update_service = add_service

    def remove_service(self, running: Zeroconf, kind: str, name: str) -> None:
        log.debug("%s left the local network", name)


def _stop(running: Zeroconf) -> None:
    try:
        running.close()
    except Exception as error:
        log.debug("ending the search in the local network: %r", error)


def _packed(ip: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)
