"""The libp2p host, hardened: every class here closes a measured defect of py-libp2p 0.8.1.

`new_host()` of the library must not be used: it also offers the `/plaintext/2.0.0` handshake, in which everybody can
claim any key. Here only Noise, Yamux and TCP exist, identify and ping are not served, no address is ever dialled
that we did not name, and connections are judged as soon as the peer's key is proved.

The tests in `tests/node/test_libp2p_defects.py` show each defect on the library as it comes, and its absence here.
Private names are patched, so the one version is checked by `check_version`.
"""

import logging
import struct
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import trio
from libp2p.abc import IMuxedConn, INetConn, INetStream, IRawConnection, ISecureConn
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from tallystick.node.net_line import Line
from tallystick.node.net_links import Link, LinkRefusedError, key_of
from tallystick.node.net_tasks import CalmService
from tallystick.node.transport import PeerKey, TransportLimits, UnsupportedLibraryError

log = logging.getLogger("tallystick.net")

LIBRARY_VERSION: Final = "0.8.1"
_PING_HEADER: Final = struct.Struct("!BBHII")
_TYPE_PING: Final = 2
_FLAG_SYN: Final = 1
_SLOTS_MORE: Final = 128
_BUFFERED_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes that one connection may hold for streams that nobody has read yet."""


def check_version() -> None:
    """Raise UnsupportedLibraryError unless libp2p is the very version that is repaired here."""
    try:
        found = version("libp2p")
    except PackageNotFoundError:
        found = "none"
    if found != LIBRARY_VERSION:
        raise UnsupportedLibraryError(f"libp2p {LIBRARY_VERSION} is needed, {found} is installed")


def quiet_library() -> None:
    """Let libp2p log nothing below CRITICAL: one dead address is a dozen of its error lines; we log our own."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("libp2p."):
            logging.getLogger(name).setLevel(logging.CRITICAL)


class GuardedYamux(Yamux):
    """Yamux that pings on its own time, never writes half a frame, and bounds what it buffers."""

    ping_every_s: float = 10.0

    link: Link

    def __init__(self, secured_conn: ISecureConn, peer_id: ID, *args: Any, **kwargs: Any) -> None:
        super().__init__(secured_conn, peer_id, *args, **kwargs)
        self.link = secured_conn.tallystick_link  # type: ignore[attr-defined]

    async def start(self) -> None:
        # An exception here would end the whole swarm: its task manager knows no other way.
        try:
            await super().start()
        except Exception as error:
            log.debug("muxer of %s ended: %r", self.link.name, error)
            # `add_conn` waits for this event without a deadline.
            self.event_started.set()
        finally:
            self.link.drop("the connection ended")

    async def _write_frame(self, data: bytes) -> None:
        async with self._write_lock:
            try:
                await self.secured_conn.write(data)
            except trio.Cancelled:
                # Half a Noise message may be on the wire; nothing that follows could be read.
                self.link.drop("a write was cancelled")
                raise
        await trio.lowlevel.checkpoint()

    async def _read_data_body(self, length: int) -> bytes:
        held = sum(len(buffer) for buffer in self.stream_buffers.values())
        if held + length > _BUFFERED_BYTES_MAX:
            self.link.drop("it sends more than it was given room for")
        return await super()._read_data_body(length)

    async def _measure_rtt_loop(self) -> None:
        # Only to make an idle peer say something: `net_watch` looks at the time of the last byte. The library's
        # own loop waits for answers, and would never ping again behind one that does not come.
        while not self.event_shutting_down.is_set():
            self._ping_id = (self._ping_id + 1) & 0xFFFFFFFF
            self._ping_sent_time = trio.current_time()
            try:
                await self._write_frame(_PING_HEADER.pack(0, _TYPE_PING, _FLAG_SYN, 0, self._ping_id))
            except Exception as error:
                log.debug("ping to %s: %r", self.link.name, error)
                return
            with trio.move_on_after(self.ping_every_s):
                await self.event_shutting_down.wait()


class _OurMuxer(MuxerMultistream):
    """Makes the muxer that was registered: the library makes its own Yamux, whatever stands in the table."""

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, muxer = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        return self._annotate_connection(muxer(conn, peer_id), conn, protocol)


class GatedNoise(NoiseTransport):
    """Noise that shows each proven peer to us before anything else runs on the connection."""

    def __init__(self, seed: bytes, proven: Callable[[PeerKey, Line, bool], Link]) -> None:
        super().__init__(create_new_key_pair(seed), noise_privkey=create_new_noise_key_pair().private_key)
        self._proven = proven

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        return await self._judge(conn, await super().secure_inbound(conn), outbound=False)

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        return await self._judge(conn, await super().secure_outbound(conn, peer_id), outbound=True)

    async def _judge(self, conn: IRawConnection, secure: ISecureConn, *, outbound: bool) -> ISecureConn:
        line = conn.stream  # type: ignore[attr-defined]
        try:
            secure.tallystick_link = self._proven(  # type: ignore[attr-defined]
                key_of(secure.get_remote_peer()), line, outbound
            )
        except (LinkRefusedError, ValueError) as error:
            await secure.close()
            raise HandshakeFailure(str(error)) from error
        return secure


class _NoAutoConnector:
    """Stands where the library has a task that dials every address it ever heard of."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def run_background_task(self, nursery: trio.Nursery) -> None: ...

    def record_disconnect(self, peer_id: ID) -> None: ...


class GuardedSwarm(CalmService, Swarm):
    """A swarm that frees its slots, tells only us about connections, and never acts by itself."""

    connected: Callable[[Link, Any], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_connector = _NoAutoConnector()  # type: ignore[assignment]
        self._ended = trio.Event()

    async def accept(self, line: Line) -> None:
        """Serve one inbound connection to its end. Never raises."""
        try:
            await self._handle_inbound_connection(line, Multiaddr(line.where or "/ip4/0.0.0.0/tcp/1"))
        except Exception as error:
            log.debug("inbound connection from %s: %r", line.where, error)
        finally:
            line.abort()
            if line.link is not None:
                line.link.drop("the connection ended")

    async def _do_handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr, failure_event: Any
    ) -> None:
        # The library waits here for the end of the *swarm*, and so gives no slot back before.
        raw = RawConnection(read_write_closer, False)
        try:
            muxed = await self.upgrade_inbound_raw_conn(raw, maddr)
            await muxed.event_closed.wait()  # type: ignore[attr-defined]
        except Exception as error:
            log.debug("inbound from %s not accepted: %r", maddr, error)

    async def _notify(self, method: str, *args: Any) -> None:
        # Identify, gossip and the tag store would hear of strangers here, and act on it. Only we do.
        if method == "connected":
            conn = args[0]
            self.connected(conn.muxed_conn.link, conn)
        elif method == "disconnected":
            self._ended.set()
            self._ended = trio.Event()

    async def wait_empty(self) -> None:
        """Wait until the last connection is tidied up."""
        while self.get_total_connections():
            await self._ended.wait()

    def _schedule_auto_connect(self) -> None: ...

    def _schedule_prune(self) -> None: ...


class GuardedHost(BasicHost):
    """A host that advertises nothing: our addresses are spread among members by sync, not by libp2p."""

    def get_addrs(self) -> list[Multiaddr]:
        return []

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None: ...


def build_host(
    seed: bytes,
    limits: TransportLimits,
    *,
    proven: Callable[[PeerKey, Line, bool], Link],
    connected: Callable[[Link, INetConn], None],
    on_stream: Callable[[INetStream], Awaitable[None]],
    handlers: "OrderedDict[TProtocol, Callable[[INetStream], Awaitable[None]]]",
) -> tuple[GuardedHost, GuardedSwarm]:
    """Make host and swarm for a 32-byte node key seed. `on_stream` gets each inbound stream and must not raise."""
    keys = create_new_key_pair(seed)
    peerstore = PeerStore()
    own = ID.from_pubkey(keys.public_key)
    peerstore.add_key_pair(own, keys)
    muxer = type("TimedYamux", (GuardedYamux,), {"ping_every_s": limits.ping_every_s})
    timeout_s = max(1, int(limits.session_s))
    slots = 2 * limits.connections_max + _SLOTS_MORE
    upgrader = TransportUpgrader(
        secure_transports_by_protocol={NOISE: GatedNoise(seed, proven)},
        muxer_transports_by_protocol={TProtocol(YAMUX): muxer},
        negotiate_timeout=timeout_s,
    )
    upgrader.muxer_multistream = _OurMuxer({TProtocol(YAMUX): muxer}, timeout_s)
    swarm = GuardedSwarm(
        own,
        peerstore,
        upgrader,
        transports=[],
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            # `Links` counts what is alive, and keeps it at one each peer. The library counts dead ones too until they
            # are tidied up, and those that have not said who they are.
            max_connections=slots,
            min_connections=0,
            low_watermark=0,
            high_watermark=slots,
            max_connections_per_peer=slots,
            inbound_upgrade_timeout=limits.session_s,
            outbound_upgrade_timeout=limits.session_s,
        ),
    )
    swarm.connected = connected
    host = GuardedHost(swarm, default_protocols=handlers)
    swarm.set_stream_handler(on_stream)
    return host, swarm
