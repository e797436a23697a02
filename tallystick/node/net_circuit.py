"""Circuits: two partners behind routers reach each other through the node of a third whom both are connected to.

    HOP    dialler -> node between    CONNECT {target}    -> STATUS, then the bytes of the circuit
    STOP   node between -> target     CONNECT {dialler}   -> STATUS, then the bytes of the circuit

These are the streams and messages of circuit relay v2, each behind an unsigned varint with its length. What runs
inside a circuit is a connection like any other: Noise proves the far end, the gate judges it, the node between sees
neither keys nor entries. Whoever is connected as a member can be reached; a reservation would say the same once more.

The library's own relay is not used. It keeps one slot for each *peer*, so that the end of one circuit closes all others
of that peer; and whatever is cancelled on a circuit while its line is blocked ends the line, with everybody on it. Here
a circuit is two tasks that know no other circuit, and a write on a line that others use too is never cancelled.

Source: docs/spec/sync.md#reaching, https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import trio
from google.protobuf.message import DecodeError, Message
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, PeerId, Status, StopMessage

from tallystick.node.net_address import peer_id
from tallystick.node.net_framing import encode_uvarint
from tallystick.node.net_line import Line
from tallystick.node.net_links import Link, key_of
from tallystick.node.net_streams import StreamRefusedError, link_of, open_stream, reset
from tallystick.node.transport import DialError, DialReason, PeerKey

if TYPE_CHECKING:
    from tallystick.node.net_peers import Net, Peers

log = logging.getLogger("tallystick.net")

HOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/hop")
STOP: Final = TProtocol("/libp2p/circuit/relay/0.2.0/stop")
MESSAGE_BYTES_MAX: Final = 1024
"""Of a HOP or STOP message: a peer's id and a few numbers."""
CIRCUITS_EACH_MAX: Final = 8
"""Circuits of one peer through one node. Each may have a mebibyte under way, and a line buffers eight of them."""
CIRCUITS_MAX: Final = 128
"""Circuits of all peers through one node."""
PAIR_MAX: Final = 4
"""Circuits to one peer that the devices of one owner may have: half of those that it may have, so others reach it."""
OWNER_MAX: Final = 32
"""Circuits that all devices of one have asked for."""
IDLE_S: Final = 60.0
"""A circuit on which nothing was said for so long is dead: both ends ping more often than that."""
READ_BYTES: Final = 64 * 1024
UNPROVEN_BYTES_MAX: Final = 64 * 1024
"""What may arrive on a connection before a key is proved."""

M = TypeVar("M", bound=Message)

BROKEN: Final = (BaseLibp2pError, OSError)
"""What reading and writing a stream raises when it is over."""
_GRACE_S: Final = 1.0


class CircuitError(BaseLibp2pError):
    """The other side of a HOP or STOP stream did not keep to the protocol."""


class CircuitLine(Line):
    """One end of a circuit. `run` carries what is written to the stream; it has to be running for writes to end."""

    is_relayed = True

    def __init__(self, stream: INetStream, *, where: str, allowance: int) -> None:
        super().__init__(allowance=allowance)
        self._stream = stream
        self._where = where
        self._ended = False
        self._read_lock = trio.Lock()
        self._reading = trio.CancelScope()
        self._write_lock = trio.Lock()
        self._data = b""
        self._work = trio.Event()
        """There is something to be written, or the line has ended."""
        self._written = trio.Event()
        """It was written, or the line has ended."""

    @property
    def where(self) -> str:
        return self._where

    async def run(self) -> None:
        """Write to the stream until the line ends, then end the stream. Never raises but trio.Cancelled.

        A write is waited for here and not where it is asked for. There it may be cancelled, which in the middle of a
        message would ruin the connection that the stream belongs to, and with it all that others do on that.
        """
        try:
            while True:
                await self._work.wait()
                if self._ended:
                    return
                self._work = trio.Event()
                await self._stream.write(self._data)
                self._written.set()
        except BROKEN as error:
            log.debug("a circuit by %s: %r", self._where, error)
        finally:
            self.abort()
            await reset(self._stream)

    async def read(self, n: int | None = None) -> bytes:
        async with self._read_lock:
            if n == 0 or self._ended:
                return b""
            data = b""
            with trio.CancelScope() as self._reading:
                try:
                    data = bytes(await self._stream.read(READ_BYTES if n is None else n))
                except BROKEN as error:
                    self.abort()
                    raise ConnectionClosedError("the circuit is gone", transport="circuit") from error
        return self.heard(data) if data else b""

    async def write(self, data: bytes) -> None:
        async with self._write_lock:
            if not self._ended:
                self._data = data
                self._written = trio.Event()
                self._work.set()
                await self._written.wait()
            if self._ended:
                raise ConnectionClosedError("the circuit is gone", transport="circuit")

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._ended = True
        self._reading.cancel()
        self._work.set()
        self._written.set()

    def get_remote_address(self) -> tuple[str, int] | None:
        return None


class Circuits:
    """The circuits of one node: those it is an end of, and those it carries for others."""

    def __init__(self, peers: Peers, *, carries: bool) -> None:
        self._peers = peers
        self._session_s = peers.limits.session_s
        self._carries = carries
        self.carried = 0
        """Circuits that go through this node now."""
        self._asked: Counter[tuple[bytes, PeerKey]] = Counter()
        """(who answers for the dialler, target) -> circuits that are carried, or asked for."""

    # -- ends ----------------------------------------------------------------------------------------------------------

    async def dial(self, between: PeerKey, target: PeerKey, net: Net) -> CircuitLine:
        """Ask a connected peer for a circuit to another; the caller sets the deadline. Raises DialError."""
        link = self._peers.links.get(between)
        if link is None or not link.up or link.line.is_relayed:
            raise DialError(DialReason.NO_RELAY, "no direct connection to the node between")
        try:
            stream = await open_stream(net.host, link, HOP, self._session_s)
        except StreamRefusedError as error:
            raise DialError(DialReason.NO_RELAY, f"{link.name} passes nothing on") from error
        try:
            await _write(stream, HopMessage(type=HopMessage.CONNECT, peer=PeerId(id=_id(target).to_bytes())))
            answer = await _read(stream, HopMessage)
        except BROKEN as error:
            await reset(stream)
            raise DialError(DialReason.NO_RELAY, f"{link.name}: {error!r}") from error
        except BaseException:
            await reset(stream)
            raise
        if answer.type != HopMessage.STATUS or answer.status != Status.OK:
            await reset(stream)
            raise DialError(DialReason.NO_RELAY, f"{link.name} does not reach it ({_word(answer.status)})")
        line = CircuitLine(stream, where=_where(link), allowance=UNPROVEN_BYTES_MAX)
        net.nursery.start_soon(line.run)
        return line

    async def on_stop(self, stream: INetStream) -> None:
        """Be the far end of a circuit that a member's node offers."""
        link = link_of(stream)
        if not self._may_ask(link) or link.circuits >= CIRCUITS_EACH_MAX or self._peers.net is None:
            return
        with trio.fail_after(self._session_s):
            if (await _read(stream, StopMessage)).type != StopMessage.CONNECT:
                return
            await _write(stream, StopMessage(type=StopMessage.STATUS, status=Status.OK))
        # Who it is from is proved inside the circuit, whatever the node between says.
        line = CircuitLine(stream, where=_where(link), allowance=UNPROVEN_BYTES_MAX)
        with _counted(link), _apart(link):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run)
                await self._peers.take(line)

    # -- the node between ----------------------------------------------------------------------------------------------

    async def on_hop(self, stream: INetStream) -> None:
        """Carry a circuit between two members, to its end."""
        link = link_of(stream)
        if not self._may_ask(link):
            return
        with trio.fail_after(self._session_s):
            asked = await _read(stream, HopMessage)
        pair = self._peers.owner_of(link.peer), _target(asked)
        self._asked[pair] += 1
        try:
            await self._serve(link, stream, asked, pair)
        finally:
            self._asked[pair] -= 1
            if not self._asked[pair]:
                del self._asked[pair]

    async def _serve(self, link: Link, stream: INetStream, asked: HopMessage, pair: tuple[bytes, PeerKey]) -> None:
        with trio.fail_after(self._session_s):
            status, there = await self._connect(link, asked, pair)
            await _write(stream, HopMessage(type=HopMessage.STATUS, status=status))
        if there is None:
            # A reset at once would take the answer with it.
            await stream.close()
            with trio.move_on_after(_GRACE_S):
                await stream.read(1)
            return
        far = link_of(there)
        log.debug("carrying a circuit from %s to %s", link.name, far.name)
        self.carried += 1
        try:
            with _counted(link), _counted(far), _apart(link):
                await _carry(stream, there)
        finally:
            self.carried -= 1

    def _may_ask(self, link: Link) -> bool:
        return link.up and link.admitted and not link.dropped and not link.line.is_relayed

    async def _connect(
        self, link: Link, asked: HopMessage, pair: tuple[bytes, PeerKey]
    ) -> tuple[Status.ValueType, INetStream | None]:
        """The answer to a HOP message, and with OK the stream to the target."""
        if asked.type == HopMessage.RESERVE:
            return Status.RESERVATION_REFUSED, None
        if asked.type != HopMessage.CONNECT:
            return Status.UNEXPECTED_MESSAGE, None
        owner, target = pair
        if not target:
            return Status.MALFORMED_MESSAGE, None
        far, net = self._peers.links.get(target), self._peers.net
        if not self._carries or far is None or net is None or not self._may_ask(far) or far is link:
            return Status.NO_RESERVATION, None
        if self.carried >= CIRCUITS_MAX or max(link.circuits, far.circuits) >= CIRCUITS_EACH_MAX:
            return Status.RESOURCE_LIMIT_EXCEEDED, None
        # With this one. Nobody's devices take all that others can be reached by.
        of_owner = sum(count for (other, _), count in self._asked.items() if other == owner)
        if self._asked[pair] > PAIR_MAX or of_owner > OWNER_MAX:
            return Status.RESOURCE_LIMIT_EXCEEDED, None
        try:
            stream = await open_stream(net.host, far, STOP, self._session_s)
        except StreamRefusedError:
            return Status.CONNECTION_FAILED, None
        try:
            await _write(stream, StopMessage(type=StopMessage.CONNECT, peer=PeerId(id=link.peer_id.to_bytes())))
            answer = await _read(stream, StopMessage)
        except BROKEN:
            answer = StopMessage(type=StopMessage.STATUS, status=Status.CONNECTION_FAILED)
        except BaseException:
            await reset(stream)
            raise
        if answer.type != StopMessage.STATUS or answer.status != Status.OK:
            await reset(stream)
            return Status.CONNECTION_FAILED, None
        return Status.OK, stream


async def _carry(one: INetStream, other: INetStream) -> None:
    """Pass bytes both ways until one side ends. Never raises but trio.Cancelled."""
    # Only reading is cancelled: see `CircuitLine.run`.
    reading = trio.CancelScope(), trio.CancelScope()

    async def pass_on(source: INetStream, target: INetStream, scope: trio.CancelScope) -> None:
        try:
            with scope:
                while True:
                    data = b""
                    with trio.move_on_after(IDLE_S):
                        data = bytes(await source.read(READ_BYTES))
                    if not data:
                        return
                    with trio.CancelScope(shield=True):
                        await target.write(data)
        except BROKEN as error:
            log.debug("a circuit ended: %r", error)
        finally:
            for each in reading:
                each.cancel()
            await reset(source)
            await reset(target)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_on, one, other, reading[0])
        nursery.start_soon(pass_on, other, one, reading[1])


@contextmanager
def _counted(link: Link) -> Iterator[None]:
    link.circuits += 1
    try:
        yield
    finally:
        link.circuits -= 1


@contextmanager
def _apart(link: Link) -> Iterator[None]:
    """A circuit has a bound of its own, and is none of the few short streams that a peer may have open."""
    link.streams -= 1
    try:
        yield
    finally:
        link.streams += 1


def _target(asked: HopMessage) -> PeerKey:
    """To whom a circuit is asked for; nothing where that is nobody."""
    try:
        return key_of(ID(asked.peer.id))
    except ValueError:
        return b""


def _id(peer: PeerKey) -> ID:
    return ID.from_base58(peer_id(peer))


def _where(link: Link) -> str:
    return f"{link.line.where}/p2p/{link.peer_id}/p2p-circuit"


def _word(status: Status.ValueType) -> str:
    return Status.Name(status).lower().replace("_", "-") if status in Status.values() else str(status)


async def _write(stream: INetStream, message: Message) -> None:
    data = message.SerializeToString()
    await stream.write(encode_uvarint(len(data)) + data)


async def _read(stream: INetStream, kind: type[M]) -> M:
    """Read one message and not a byte more. Raises CircuitError, and what the stream raises."""
    size = shift = 0
    while True:
        byte = (await _read_exactly(stream, 1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
        if shift > 14:
            raise CircuitError("the length of a message is too long")
    if size > MESSAGE_BYTES_MAX:
        raise CircuitError(f"a message of {size} bytes")
    message = kind()
    try:
        message.ParseFromString(await _read_exactly(stream, size))
    except DecodeError as error:
        raise CircuitError("not a message of circuit relay") from error
    return message


async def _read_exactly(stream: INetStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = bytes(await stream.read(size - len(data)))
        if not more:
            raise CircuitError("the stream ended within a message")
        data += more
    return data
