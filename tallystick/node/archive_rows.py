"""The rows of an archive that are not bytes of others as they are: what each says, in MessagePack arrays.

Source: docs/spec/storage.md#layout
"""

from __future__ import annotations

from typing import Final

import msgspec

from tallystick.protocol.act import Posting, Sealed
from tallystick.protocol.kinds.refound import Before
from tallystick.protocol.records_deal import Deal

encode: Final = msgspec.msgpack.Encoder().encode


class SealedRow(Sealed, frozen=True, array_like=True, gc=False):
    """Where an entry is sealed and what became of it. `reason` is empty where it was applied."""

    place: int
    reason: str
    detail: str


class HeightRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is asked of a block most often."""

    block_id: bytes
    time: int
    state_root: bytes
    charter_digest: bytes
    charter_version: int


class BlockRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A block as it travels: header bytes, certificate, READYs with their signatures and frontiers, entry ids."""

    header: bytes
    certificate: bytes
    readys: list[bytes]
    """Signed READY messages as they came."""
    entry_ids: list[bytes]


class OutcomeRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Postings of one entry or tick."""

    place: int
    """Of an entry in its block; ticks are counted on behind the last entry."""
    at: int
    cause: bytes
    what: str
    """Kind of the entry, or the name of the tick."""
    charter_version: int
    postings: tuple[Posting, ...]


class HeadRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    height: int
    block_id: bytes
    time: int
    state_root: bytes
    log: bytes


class JoinRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a ticket said, for the time until the ledger is here."""

    charter: bytes
    """Hash of the founding charter."""
    anchor: tuple[int, bytes]
    """A block that the ledger must have."""
    addresses: list[str]


class ContactRow(msgspec.Struct, frozen=True, array_like=True):
    """When we and a peer were connected last."""

    address: str
    """The address that we have dialled with success last; empty where it always came to us."""
    at: int
    """When it came or went, in ms."""
    height: int
    """The newest block it spoke of; -1 for none."""


read_sealed: Final = msgspec.msgpack.Decoder(SealedRow).decode
read_height: Final = msgspec.msgpack.Decoder(HeightRow).decode
read_block: Final = msgspec.msgpack.Decoder(BlockRow).decode
read_page: Final = msgspec.msgpack.Decoder(list[bytes]).decode
read_outcomes: Final = msgspec.msgpack.Decoder(list[OutcomeRow]).decode
read_places: Final = msgspec.msgpack.Decoder(list[int]).decode
read_head: Final = msgspec.msgpack.Decoder(HeadRow).decode
read_deal: Final = msgspec.msgpack.Decoder(Deal).decode
read_seats: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
read_addresses: Final = msgspec.msgpack.Decoder(list[str]).decode
read_line: Final = msgspec.msgpack.Decoder(tuple[Before, ...]).decode
read_join: Final = msgspec.msgpack.Decoder(JoinRow).decode
read_contact: Final = msgspec.msgpack.Decoder(ContactRow).decode
