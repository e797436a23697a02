"""A TCP connection to one address, and the word for why there is none."""

import socket

import trio

from tallystick.node.net_address import Address
from tallystick.node.transport import DialError, DialReason

_FAMILIES = {"ip4": socket.AF_INET, "ip6": socket.AF_INET6, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}
_NAMES_TRIED_MAX = 4


async def connect_tcp(address: Address) -> trio.SocketStream:
    """Connect; the caller sets the deadline. Raises DialError: REFUSED, UNREACHABLE, TIMEOUT."""
    last = DialError(DialReason.UNREACHABLE, f"{address.host} has no address")
    for family, sockaddr in await _look_up(address):
        raw = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await raw.connect(sockaddr)
            return trio.SocketStream(raw)
        except OSError as error:
            raw.close()
            last = _dial_error(address, error)
        except BaseException:
            raw.close()
            raise
    raise last


async def _look_up(address: Address) -> list[tuple[int, tuple[str, int]]]:
    kind = address.where.split("/")[1]
    family = _FAMILIES.get(kind, socket.AF_UNSPEC)
    if kind in ("ip4", "ip6"):
        return [(family, (address.host, address.port))]
    try:
        rows = await trio.socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DialError(DialReason.UNREACHABLE, f"{address.host}: {error}") from error
    return [(int(row[0]), (str(row[4][0]), int(row[4][1]))) for row in rows[:_NAMES_TRIED_MAX]]


def _dial_error(address: Address, error: OSError) -> DialError:
    if isinstance(error, ConnectionRefusedError):
        return DialError(DialReason.REFUSED, f"nobody listens on {address.where}")
    if isinstance(error, TimeoutError):
        return DialError(DialReason.TIMEOUT, f"{address.where} does not answer")
    return DialError(DialReason.UNREACHABLE, f"{address.where}: {error.strerror or error}")
