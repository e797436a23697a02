"""The messages of the sync protocol: canonical arrays, one frame each, that begin with their name.

A block, or sealing messages, that do not fit one frame go in parts `["part", hash, i, n, bytes]`. Reading is strict:
what is not exactly one of these forms raises `MessageError`, and the peer who sent it is to blame.

Source: docs/spec/sync.md#messages
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.hashing import tagged_hash
from tallystick.node.transport import FRAME_BYTES_MAX
from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError
from tallystick.protocol.kinds.base import Bytes32, Bytes64

SYNC_VERSION: Final = 1
#: Entries in one frame.
ENTRIES_MAX: Final = 64
#: Blocks asked for at a time.
BLOCKS_MAX: Final = 64
#: Largest message in parts.
MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
#: Bytes of an evidence file in one answer; only the last one has fewer.
CHUNK_BYTES: Final = 192 * 1024
#: How a BYE says that there are neighbours enough.
ENOUGH: Final = frozenset(("enough", "full"))
#: Room for the framing of one part.
_PART_BYTES: Final = FRAME_BYTES_MAX - 256
_DEVICES_MAX: Final = 4096
#: Members of whom one message says where they are, and addresses of each.
PEERS_MAX: Final = 64
ADDRESSES_MAX: Final = 8

Height = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Seq = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Address = Annotated[str, msgspec.Meta(max_length=256)]


class MessageError(TallystickError):
    """A frame that is no message of this protocol."""


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of all messages: an array after its name."""

    NAME: ClassVar[str] = ""


class Hello(Message, frozen=True):
    """Where I stand. Sent first, after every block, and from time to time: it repairs whatever was lost."""

    NAME: ClassVar[str] = "hello"
    version: int
    ledger: Bytes32
    height: Height
    block_id: Bytes32
    digest: Bytes32
    """Of all pending entries."""
    now: int
    """My clock in ms."""
    addresses: Annotated[list[Address], msgspec.Meta(max_length=16)]


class Heads(Message, frozen=True):
    """Ends of all pending branches. `reply` asks for the other side's."""

    NAME: ClassVar[str] = "heads"
    part: int
    parts: int
    reply: bool
    devices: Annotated[
        list[tuple[Bytes32, Annotated[list[tuple[Seq, Bytes32]], msgspec.Meta(max_length=64)]]],
        msgspec.Meta(max_length=_DEVICES_MAX),
    ]


class Want(Message, frozen=True):
    """Send me these entries and what is pending below them, not below the sequence number of each device."""

    NAME: ClassVar[str] = "want"
    chains: Annotated[list[tuple[Bytes32, Seq, Bytes32]], msgspec.Meta(max_length=_DEVICES_MAX)]


class Entries(Message, frozen=True):
    """Entries, parents first, as [header, signature, annex or nil]."""

    NAME: ClassVar[str] = "entries"
    entries: Annotated[list[tuple[bytes, Bytes64, bytes | None]], msgspec.Meta(max_length=ENTRIES_MAX)]


class New(Message, frozen=True):
    """There are these new entries."""

    NAME: ClassVar[str] = "new"
    heads: Annotated[list[tuple[Bytes32, Seq, Bytes32]], msgspec.Meta(max_length=1024)]


class GetBlocks(Message, frozen=True):
    """Send me blocks from this height on. With their entries, where I do not have them."""

    NAME: ClassVar[str] = "get_blocks"
    first: Height
    count: Annotated[int, msgspec.Meta(ge=1, le=BLOCKS_MAX)]
    with_entries: bool


class Block(Message, frozen=True):
    """One sealed block. Its entries, if asked for, went before it."""

    NAME: ClassVar[str] = "block"
    header: bytes
    certificate: bytes
    readys: Annotated[list[bytes], msgspec.Meta(max_length=31)]
    entry_ids: Annotated[list[Bytes32], msgspec.Meta(max_length=1024)]


class BlocksEnd(Message, frozen=True):
    """The answer to GET_BLOCKS ends before this height."""

    NAME: ClassVar[str] = "blocks_end"
    height: Height


class Sealing(Message, frozen=True):
    """Signed sealing messages, as the protocol encodes them."""

    NAME: ClassVar[str] = "sealing"
    messages: Annotated[list[bytes], msgspec.Meta(max_length=256)]


class GetSealing(Message, frozen=True):
    """Send me everything of the height that is being sealed."""

    NAME: ClassVar[str] = "get_sealing"
    height: Height


class Peers(Message, frozen=True):
    """Where other members were reached last."""

    NAME: ClassVar[str] = "peers"
    peers: Annotated[
        list[tuple[Bytes32, Annotated[list[Address], msgspec.Meta(max_length=ADDRESSES_MAX)]]],
        msgspec.Meta(max_length=PEERS_MAX),
    ]


class GetBlob(Message, frozen=True):
    """Send me bytes of an evidence file from this offset on. One such question at a time is open of each file."""

    NAME: ClassVar[str] = "get_blob"
    sha256: Bytes32
    offset: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Chunk(Message, frozen=True):
    """The answer: as many bytes as fit, or as there are. None: you cannot have it of me, whyever."""

    NAME: ClassVar[str] = "chunk"
    sha256: Bytes32
    offset: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    data: Annotated[bytes, msgspec.Meta(max_length=CHUNK_BYTES)]


class Bye(Message, frozen=True):
    """I hang up, and why."""

    NAME: ClassVar[str] = "bye"
    code: Annotated[str, msgspec.Meta(max_length=64)]


_KINDS: Final[dict[str, type[Message]]] = {
    cls.NAME: cls
    for cls in (
        Hello,
        Heads,
        Want,
        Entries,
        New,
        GetBlocks,
        Block,
        BlocksEnd,
        Sealing,
        GetSealing,
        Peers,
        GetBlob,
        Chunk,
        Bye,
    )
}


#: How the messages begin that may be longer than a frame: one that holds blocks or votes. All others would only be long
#: to keep a reader busy.
_LONG_HEADS: Final = tuple(
    codec.encode([cls.NAME, *(0 for _ in cls.__struct_fields__)])[: len(cls.NAME) + 2] for cls in (Block, Sealing)
)


def encode_message(message: Message) -> bytes:
    """The whole message as one canonical array."""
    if type(message) is Entries:
        return codec.encode_bytes([message.NAME, message.entries])
    return codec.encode([message.NAME, *(getattr(message, name) for name in message.__struct_fields__)])


#: How every ENTRIES begins, and how it is read and written where nothing in it is out of the ordinary: there are very
#: many.
_ENTRIES_HEAD: Final = codec.encode([Entries.NAME, []])[:-1]
_read_entries: Final = codec.reader(
    tuple[
        Literal["entries"], Annotated[list[tuple[bytes, Bytes64, bytes | None]], msgspec.Meta(max_length=ENTRIES_MAX)]
    ]
)


def frames_of(message: Message) -> Iterator[bytes]:
    """The message as frames: one, or as many parts as it takes."""
    data = encode_message(message)
    if len(data) <= FRAME_BYTES_MAX:
        yield data
        return
    digest = tagged_hash("part", data)
    count = -(-len(data) // _PART_BYTES)
    for number in range(count):
        part = data[number * _PART_BYTES : (number + 1) * _PART_BYTES]
        yield codec.encode(["part", digest, number, count, part])


@dataclass(slots=True)
class Reader:
    """Turns the frames of one peer into messages; keeps the parts of at most one message that is not whole yet."""

    _digest: bytes = b""
    _count: int = 0
    _parts: list[bytes] = field(default_factory=list)

    def read(self, frame: bytes) -> Message | None:
        """The message that this frame is, or completes. Raises MessageError."""
        if (
            frame.startswith(_ENTRIES_HEAD)
            and len(frame) <= FRAME_BYTES_MAX
            and (plain := _read_entries(frame)) is not None
        ):
            return Entries(plain[1])
        value = _decode(frame, FRAME_BYTES_MAX)
        if value[0] == "part":
            whole = self._add_part(value)
            if whole is None:
                return None
            value = _decode(whole, MESSAGE_BYTES_MAX)
        name = value[0]
        cls = _KINDS.get(name) if isinstance(name, str) else None
        if cls is None:
            raise MessageError(f"unknown message {str(name)[:32]!r}")
        try:
            return msgspec.convert(value[1:], cls, strict=True, builtin_types=(bytes,))
        except msgspec.ValidationError as error:
            raise MessageError(f"{name}: {error}") from None

    def _add_part(self, value: list[Any]) -> bytes | None:
        match value:
            case ["part", bytes(digest), int(number), int(count), bytes(data)]:
                if number == 0:
                    self._digest, self._count, self._parts = digest, count, []
                if not 0 < count <= MESSAGE_BYTES_MAX // _PART_BYTES + 1:
                    raise MessageError("part: too many parts")
                if number == 0 and not data.startswith(_LONG_HEADS):
                    raise MessageError("part: of a message that is never so long")
                if digest != self._digest or count != self._count or number != len(self._parts):
                    raise MessageError("part: out of order")
                self._parts.append(data)
                if len(self._parts) < count:
                    return None
                whole = b"".join(self._parts)
                self._digest, self._count, self._parts = b"", 0, []
                if tagged_hash("part", whole) != digest:
                    raise MessageError("part: the whole has another hash")
                return whole
        raise MessageError("part: malformed")


def _decode(data: bytes, size_max: int) -> list[Any]:
    try:
        value = codec.decode(data, size_max=size_max)
    except DecodeError as error:
        raise MessageError(f"not canonical: {error}") from None
    if not isinstance(value, list) or not value:
        raise MessageError("not an array")
    return value
