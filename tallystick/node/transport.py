"""What the node asks of a network: one peer-to-peer transport as a `Protocol`, its events, limits and errors.

Nothing here knows libp2p. `transport_libp2p` is the real thing, `transport_memory` the same contract inside one
process; both pass `tests/node/transport_contract.py`. Data goes one way: the transport reports `TransportEvent`s
through `Transport.events`, the node answers with plain calls that never block.

A peer is known by its *node key* alone (32 bytes, Ed25519), which the secure channel has proved before any event
names it. Peers that the gate accepts get one sync stream, one each pair, and gossip. All others may knock: one small
request, one answer.

Source: docs/spec/sync.md; the address syntax is that of https://multiformats.io/multiaddr/.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from tallystick.crypto.errors import TallystickError

PeerKey = bytes
"""The 32-byte Ed25519 node key of a peer."""

FRAME_BYTES_MAX: Final = 256 * 1024
"""Largest frame of the sync stream, without its length prefix."""
GOSSIP_BYTES_MAX: Final = 64 * 1024
"""Largest gossip message."""
KNOCK_REQUEST_BYTES_MAX: Final = 64 * 1024
KNOCK_RESPONSE_BYTES_MAX: Final = 128 * 1024

Gate = Callable[[PeerKey], bool]
"""Whether a proven node key belongs to somebody who may sync with us. Cheap; called often; must not raise."""
Owner = Callable[[PeerKey], bytes]
"""Who answers for a proven node key: connections are counted for them together. Cheap; must not raise."""
KnockHandler = Callable[[PeerKey, bytes], Awaitable[bytes | None]]
"""Answers the request of a stranger; None closes the stream without a word."""


# -- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerUp:
    """The sync stream to an accepted peer is open; frames may follow."""

    peer: PeerKey
    outbound: bool
    """We dialled it."""
    relayed: bool
    """The connection goes through somebody else's node."""
    address: str
    """Where it is, as a multiaddr without the `/p2p/` part; empty when the transport cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDown:
    """The sync stream is gone; always the last event of that connection, after every frame that arrived."""

    peer: PeerKey
    reason: str
    """A few words for logs and for a person; never parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One whole frame of the sync stream, in the order it was sent."""

    peer: PeerKey
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Gossip:
    """A message of the topic. It may come twice, late, in any order or never; its author has signed it."""

    data: bytes
    peer: PeerKey
    """The neighbour who handed it on: whom to ask for more."""
    author: PeerKey
    """Who published it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """`send` to this peer said False earlier and would now say True, or `ask_room` wanted to know that."""

    peer: PeerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """We listen on these addresses from now on (also after the machine's own addresses changed)."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The machine slept for about so long; every connection has been dropped and is to be made again."""

    slept_ms: int


TransportEvent = PeerUp | PeerDown | Frame | Gossip | Writable | Listening | Resumed


# -- errors ------------------------------------------------------------------------------------------------------


class TransportError(TallystickError):
    """The network, or the other side, could not do what was asked."""


class ListenError(TransportError):
    """We cannot listen where we were told to; the text names the address and the reason."""


class UnsupportedLibraryError(TransportError):
    """The installed libp2p is not the one version whose defects this transport knows and repairs."""


class DialReason(StrEnum):
    """Why a dial or a knock failed."""

    BAD_ADDRESS = "bad-address"
    """Not a multiaddr that this transport can dial, or one without the peer's id."""
    SELF = "self"
    """The address is our own."""
    REFUSED = "refused"
    """The machine answers, nobody listens there."""
    UNREACHABLE = "unreachable"
    """No way to that machine."""
    WRONG_PEER = "wrong-peer"
    """Somebody else than expected listens there."""
    NOT_ALLOWED = "not-allowed"
    """Our own gate says no to this peer."""
    NOT_ADMITTED = "not-admitted"
    """The peer does not know us, or hung up."""
    NO_RELAY = "no-relay"
    """The node between does not pass on, or does not reach the other."""
    TIMEOUT = "timeout"
    CLOSED = "closed"
    """This transport is not running."""


class DialError(TransportError):
    """A peer could not be reached; `reason` says why in one word, the text in a sentence."""

    def __init__(self, reason: DialReason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


# -- the contract ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """Sizes and times of a transport. The defaults are for people; tests make the times short."""

    outbox_bytes: int = 4 * 1024 * 1024
    """What may wait to be sent to one peer."""
    outbox_frames: int = 4096
    outboxes_bytes: int = 256 * 1024 * 1024
    """What may wait to be sent to all peers together: sixty-four that read nothing, and hundreds that read little."""
    inbox_bytes: int = 1024 * 1024
    """Unread bytes of one peer, at least two of the largest frames; it also is the credit that the peer is given."""
    gossip_queue: int = 1024
    """Unread gossip messages; the oldest are dropped, since gossip is only a hint."""
    connections_max: int = 512
    strangers_max: int = 16
    """Connections of peers whom the gate does not accept, all together; one each peer."""
    stranger_s: float = 10.0
    """How long such a connection may live."""
    stranger_sure_s: float = 1.0
    """How long nobody else is given its place: a knock takes less."""
    session_s: float = 10.0
    """From a proven key to an open sync stream."""
    watch_every_s: float = 4.0
    """How often connections are looked at."""
    ping_every_s: float = 10.0
    silent_s: float = 12.0
    """An unanswered ping of this age ends the connection."""
    slept_s: float = 30.0
    """A clock that jumps by more than this between two looks means that the machine slept."""


class EventSource(Protocol):
    """The reading end of a transport's events: fair between peers, in order within one peer."""

    async def receive(self) -> TransportEvent:
        """Wait for the next event. Raises trio.EndOfChannel once the transport has stopped and all is read."""
        ...

    def receive_nowait(self) -> TransportEvent:
        """Take the next event, or raise trio.WouldBlock or trio.EndOfChannel."""
        ...

    def __aiter__(self) -> AsyncIterator[TransportEvent]: ...


class Transport(Protocol):
    """One network identity: everything runs in the trio loop that entered `running()`."""

    @property
    def peer_key(self) -> PeerKey:
        """Our own node key."""
        ...

    @property
    def events(self) -> EventSource:
        """What happened. Reading a `Frame` gives its sender credit for as many bytes: not reading is back-pressure."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Listen on entry, stop politely on exit. Raises ListenError, UnsupportedLibraryError. Enter it once."""
        ...

    def addresses(self) -> list[str]:
        """Where we can be dialled, as concrete multiaddrs that end in `/p2p/<our id>`; never `0.0.0.0` or `::`."""
        ...

    def set_gate(self, is_member: Gate) -> None:
        """Say who may sync; asked for each proven node key before anything is served. Without a gate: nobody."""
        ...

    def set_knock_handler(self, handler: KnockHandler) -> None:
        """Say who answers knocks, of strangers and members alike. Without a handler they are closed."""
        ...

    def set_owner(self, owner_of: Owner) -> None:
        """Say who answers for a peer: where all places are taken, who has most gives one to who has fewest.

        Without it everybody answers for itself.
        """
        ...

    def recheck(self) -> None:
        """Ask the gate again for every connection: let new members in, throw former members out."""
        ...

    def peers(self) -> list[PeerKey]:
        """Peers with an open sync stream, ascending."""
        ...

    async def dial(self, address: str, timeout_s: float) -> PeerKey:
        """Make a connection with an open sync stream to the peer named in the address, or find the one we have.

        One through a third node is replaced: its `PeerDown` comes before the new `PeerUp`.
        Raises DialError: BAD_ADDRESS, SELF, CLOSED, NOT_ALLOWED, REFUSED, UNREACHABLE, WRONG_PEER, NOT_ADMITTED,
        TIMEOUT, tried in that order.
        """
        ...

    async def dial_through(self, between: PeerKey, peer: PeerKey, timeout_s: float) -> None:
        """Make a connection with an open sync stream to a peer through the node of another, or find the one we have.

        The node between needs a direct connection to both, and passes bytes on that it cannot read.
        Raises DialError: SELF, CLOSED, NOT_ALLOWED, NO_RELAY, WRONG_PEER, NOT_ADMITTED, TIMEOUT, tried in that order.
        """
        ...

    def send(self, peer: PeerKey, frame: bytes) -> bool:
        """Queue one frame, 1 to FRAME_BYTES_MAX bytes. False: the peer is gone, or its queue is full and a
        `Writable` will follow. Raises ValueError for a size out of range."""
        ...

    def ask_room(self, peer: PeerKey) -> None:
        """Have a `Writable` follow as soon as the queue to this peer is at most half full; none where it is gone."""
        ...

    def queued_bytes(self, peer: PeerKey) -> int:
        """Bytes that wait to be sent to this peer; 0 when it is gone."""
        ...

    def pause(self, peer: PeerKey) -> None:
        """Deliver no more frames of this peer until `resume`; it is stopped when its credit is used up."""
        ...

    def resume(self, peer: PeerKey) -> None:
        """Undo `pause`."""
        ...

    def disconnect(self, peer: PeerKey, polite: bytes | None = None) -> None:
        """Hang up. `polite` is a last frame that is tried for a second at most. `PeerDown` follows."""
        ...

    def publish(self, data: bytes) -> None:
        """Gossip to everybody, 1 to GOSSIP_BYTES_MAX bytes; batching (2 to 5 a second at most) is the caller's.

        Raises ValueError for a size out of range."""
        ...

    async def request(self, to: str | PeerKey, data: bytes, timeout_s: float) -> bytes:
        """Knock: one request of 1 to KNOCK_REQUEST_BYTES_MAX bytes, one answer.

        `to` is an address with the peer's id, or the key of a connected peer (else UNREACHABLE). Raises ValueError for
        a size out of range, else DialError: as `dial`, without NOT_ALLOWED; NOT_ADMITTED when the other side closes
        without a word.
        """
        ...
