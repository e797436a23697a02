"""The envelope of everything that people sign: who, after what, when, which kind, and the body.

An entry is [header bytes, signature, annex bytes or nil]. The header is a canonical array of eleven fields; the id is a
hash of the header alone. Here an entry is made and read. What is asked of its causal past is in `structure`, what its
body may say in `kinds`, and the signature is checked where entries come in, in batches.

Source: docs/spec/entries.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

import msgspec

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SIGNATURE_SIZE_BYTES, SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError, EntryError, Reason
from tallystick.protocol.limits import (
    ANNEX_SIZE_BYTES_MAX,
    DEPTH_MAX,
    HEADER_LARGE_SIZE_BYTES_MAX,
    HEADER_SIZE_BYTES_MAX,
    INT_MAX,
    LINKS_MAX,
    SALT_SIZE_BYTES,
    TIME_MS_MAX,
)

VERSION: Final = 1
FIELD_COUNT: Final = 11
#: The ledger that a founding entry names; its own id is the ledger id.
NO_LEDGER: Final = bytes(32)
#: Kinds that carry a charter.
KINDS_LARGE: Final = frozenset(("found", "propose", "refound"))
FOUNDING_KIND: Final = "found"
#: A founding that goes on with the state of another ledger, and with the chain of its device.
REFOUNDING_KIND: Final = "refound"

_is_kind: Final = re.compile(r"[a-z0-9.]{1,32}").fullmatch

_Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_read_fields: Final = codec.reader(
    tuple[
        Literal[1],
        _Id,
        _Id,
        Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)],
        _Id | None,
        Annotated[tuple[_Id, ...], msgspec.Meta(max_length=LINKS_MAX)],
        tuple[Annotated[int, msgspec.Meta(ge=1, le=INT_MAX)], _Id] | None,
        Annotated[int, msgspec.Meta(ge=0, le=TIME_MS_MAX)],
        str,
        dict[str, Any],
        _Id | None,
    ]
)
"""The fields in their order, as `_check_fields` judges them one by one."""
_decode_known: Final = msgspec.msgpack.Decoder(
    tuple[
        int,
        bytes,
        bytes,
        int,
        bytes | None,
        tuple[bytes, ...],
        tuple[int, bytes] | None,
        int,
        str,
        msgspec.Raw,
        bytes | None,
    ]
).decode
_decode_body: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode


class Entry:
    """A well-formed entry; made by `read_entry_untrusted` and `make_entry` only, and never changed afterwards.

    A plain class with slots: there are very many, and the parents are asked for again and again.
    """

    __slots__ = (
        "_body",
        "annex",
        "annex_hash",
        "device",
        "header",
        "id",
        "kind",
        "ledger",
        "links",
        "parents",
        "prev",
        "raw_body",
        "seal",
        "seq",
        "signature",
        "time",
    )

    header: bytes
    """As received; the id is a hash of these."""
    signature: bytes
    annex: bytes | None
    """None if there is none, and also if there is one that is not here."""
    id: bytes
    ledger: bytes
    """As in the header: 32 zero bytes in a founding entry."""
    device: bytes
    """Public key of the device that signs."""
    seq: int
    prev: bytes | None
    links: tuple[bytes, ...]
    seal: tuple[int, bytes] | None
    """Height and id of the newest block that the author had."""
    time: int
    """Claimed UTC milliseconds."""
    kind: str
    raw_body: msgspec.Raw | None
    """The bytes of the body, where it was read as bytes: see `kinds.table.body_of`."""
    annex_hash: bytes | None
    parents: tuple[bytes, ...]
    """`prev`, if there is one, then `links`."""

    def __init__(
        self, entry_id: bytes, header: bytes, signature: bytes, annex: bytes | None, fields: Sequence[Any]
    ) -> None:
        """`fields` is the decoded header, already checked; its body may have stayed bytes."""
        self.header = header
        self.signature = signature
        self.annex = annex
        self.id = entry_id
        _, self.ledger, self.device, self.seq, prev, links, seal, self.time, self.kind, body, self.annex_hash = fields
        self._body: dict[str, Any] | None
        if type(body) is msgspec.Raw:
            self._body, self.raw_body = None, body
        else:
            self._body, self.raw_body = body, None
        self.prev = prev
        self.links = links = tuple(links)
        self.parents = links if prev is None else (prev, *links)
        self.seal = None if seal is None else (seal[0], seal[1])

    @property
    def body(self) -> dict[str, Any]:
        body = self._body
        if body is None:
            assert self.raw_body is not None
            body = self._body = _decode_body(self.raw_body)
        return body

    def __eq__(self, other: object) -> bool:
        """The same header. The signature is left out: one message has many valid ones."""
        return isinstance(other, Entry) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Entry {self.id.hex()[:8]} {self.kind} seq {self.seq} of {self.device.hex()[:8]}>"


def encode_header(
    *,
    ledger: bytes,
    device: bytes,
    seq: int,
    prev: bytes | None,
    links: Iterable[bytes],
    seal: tuple[int, bytes] | None,
    time: int,
    kind: str,
    body: Mapping[str, Any],
    annex_hash: bytes | None,
) -> bytes:
    """Return the canonical header. Links are put in their order; typed values in the body become plain ones."""
    plain = msgspec.to_builtins(body, builtin_types=(bytes,))
    return codec.encode(
        (VERSION, ledger, device, seq, prev, sorted(links), seal, time, kind, plain, annex_hash),
    )


def read_entry_untrusted(header: bytes, signature: bytes, annex: bytes | None) -> Entry:
    """Read an entry as it was sent or stored. Its signature and its body's schema are not checked here.

    Raises DecodeError for a header or an annex that is too large or not canonical; EntryError: MALFORMED,
    WRONG_LEDGER (zero exactly in a founding entry), BAD_SEQ, BAD_LINKS, BAD_SEAL, BAD_SIGNATURE (its size),
    BAD_ANNEX. The header is judged first, the annex last.
    """
    fields: Any = _read_plain(header)
    if fields is None:
        fields = codec.decode(header, size_max=HEADER_LARGE_SIZE_BYTES_MAX)
        if type(fields) is not list or len(fields) != FIELD_COUNT:
            raise EntryError(Reason.MALFORMED, f"a header has {FIELD_COUNT} fields")
        _check_fields(fields, len(header))
    if type(signature) is not bytes or len(signature) != SIGNATURE_SIZE_BYTES:
        raise EntryError(Reason.BAD_SIGNATURE, f"a signature has {SIGNATURE_SIZE_BYTES} bytes")
    if annex is not None:
        _check_annex(annex, fields[10])
    return Entry(tagged_hash("entry", header), header, signature, annex, fields)


def read_entry_known(entry_id: bytes, header: bytes, signature: bytes) -> Entry | None:
    """Read an entry again that was judged when it came, without its annex; None where the bytes are not the same.

    Its id is a hash of the header, so whatever has this id has been through `read_entry_untrusted`.
    """
    if tagged_hash("entry", header) != entry_id:
        return None
    return Entry(entry_id, header, signature, None, _decode_known(header))


def add_annex_untrusted(entry: Entry, annex: bytes) -> None:
    """Give an entry that was just read without its annex the annex that its header names.

    Raises DecodeError; EntryError: BAD_ANNEX.
    """
    _check_annex(annex, entry.annex_hash)
    entry.annex = annex


def make_entry(
    secret: SecretKey,
    *,
    ledger: bytes,
    seq: int,
    prev: bytes | None,
    links: Iterable[bytes],
    seal: tuple[int, bytes] | None,
    time: int,
    kind: str,
    body: Mapping[str, Any],
    annex: bytes | None = None,
) -> Entry:
    """Sign an entry. What is made is read back, so nothing leaves here that another node would refuse.

    Raises what `read_entry_untrusted` raises.
    """
    header = encode_header(
        ledger=ledger,
        device=secret.public,
        seq=seq,
        prev=prev,
        links=links,
        seal=seal,
        time=time,
        kind=kind,
        body=body,
        annex_hash=None if annex is None else annex_hash(annex),
    )
    signature = secret.sign(signed_message(tagged_hash("entry", header), ledger))
    return read_entry_untrusted(header, signature, annex)


def wire(entry: Entry) -> tuple[bytes, bytes, bytes | None]:
    """Return an entry as it is stored and sent: header, signature, annex."""
    return entry.header, entry.signature, entry.annex


def signed_message(entry_id: bytes, ledger: bytes) -> bytes:
    """Return the bytes that the device signs; `ledger` as in the header."""
    return signed_bytes(SignType.ENTRY, ledger, entry_id)


def annex_hash(annex: bytes) -> bytes:
    """Return the hash by which a header names its annex."""
    return tagged_hash("annex", annex)


def encode_annex(salt: bytes, words: Mapping[str, codec.Encodable]) -> bytes:
    """Return the canonical annex: the words, and 16 bytes of luck so that nobody finds erased words by guessing.

    ValueError for a salt of another size, for words under the name `salt`, and for an annex that is too large.
    """
    if len(salt) != SALT_SIZE_BYTES or "salt" in words:
        raise ValueError(f"an annex has one salt, of {SALT_SIZE_BYTES} bytes")
    annex = codec.encode({**words, "salt": salt})
    if len(annex) > ANNEX_SIZE_BYTES_MAX:
        raise ValueError(f"an annex has at most {ANNEX_SIZE_BYTES_MAX} bytes, not {len(annex)}")
    return annex


def read_annex_untrusted(annex: bytes) -> dict[str, codec.Value]:
    """Return the words of an annex, the salt among them.

    Raises DecodeError; EntryError: BAD_ANNEX.
    """
    words = codec.decode(annex, size_max=ANNEX_SIZE_BYTES_MAX)
    if type(words) is not dict or not _is_bytes(words.get("salt"), SALT_SIZE_BYTES):
        raise EntryError(Reason.BAD_ANNEX, f"an annex is a map with a salt of {SALT_SIZE_BYTES} bytes")
    return words


def _read_plain(header: bytes) -> Any:
    """The fields of a header in which nothing is out of the ordinary: the shortest way to nearly every verdict.

    None says nothing: the long way has the verdict then. It takes no header that the long way refuses.
    """
    if len(header) > HEADER_SIZE_BYTES_MAX:
        return None
    fields = _read_fields(header)
    if fields is None:
        return None
    _, ledger, _, seq, prev, links, _, _, kind, body, _ = fields
    if (
        kind in (FOUNDING_KIND, REFOUNDING_KIND)
        or ledger == NO_LEDGER
        or (prev is None) is not (seq == 0)
        or _is_kind(kind) is None
        or not codec.is_ours(body, DEPTH_MAX - 1)
        or (links and (prev in links or (len(links) > 1 and any(a >= b for a, b in pairwise(links)))))
    ):
        return None
    return fields


def _is_bytes(value: object, size: int) -> bool:
    return type(value) is bytes and len(value) == size


def _check_fields(fields: list[Any], size: int) -> None:
    version, ledger, device, seq, prev, links, seal, time, kind, body, digest = fields
    if type(version) is not int or version != VERSION:
        raise EntryError(Reason.MALFORMED, "version")
    if not _is_bytes(ledger, 32):
        raise EntryError(Reason.MALFORMED, "ledger")
    if not _is_bytes(device, 32):
        raise EntryError(Reason.MALFORMED, "device")
    if type(seq) is not int or seq < 0:
        raise EntryError(Reason.MALFORMED, "seq")
    if prev is not None and not _is_bytes(prev, 32):
        raise EntryError(Reason.MALFORMED, "prev")
    if type(time) is not int or not 0 <= time <= TIME_MS_MAX:
        raise EntryError(Reason.MALFORMED, "time")
    if type(kind) is not str or _is_kind(kind) is None:
        raise EntryError(Reason.MALFORMED, "kind")
    if type(body) is not dict:
        raise EntryError(Reason.MALFORMED, "body")
    if digest is not None and not _is_bytes(digest, 32):
        raise EntryError(Reason.MALFORMED, "annex")
    if size > HEADER_SIZE_BYTES_MAX and kind not in KINDS_LARGE:
        raise DecodeError(Reason.TOO_LARGE, HEADER_SIZE_BYTES_MAX)
    if (ledger == NO_LEDGER) is not (kind in (FOUNDING_KIND, REFOUNDING_KIND)):
        raise EntryError(Reason.WRONG_LEDGER, "zero bytes stand in a founding entry and nowhere else")
    if (prev is None) is not (seq == 0):
        raise EntryError(Reason.BAD_SEQ, "the first entry of a device has no prev, every other has one")
    _check_links(links, prev)
    if seal is not None and not (
        type(seal) is list and len(seal) == 2 and type(seal[0]) is int and seal[0] > 0 and _is_bytes(seal[1], 32)
    ):
        raise EntryError(Reason.BAD_SEAL, "a height from 1 and the id of its block")
    if kind == FOUNDING_KIND and (seq or links or seal is not None):
        raise EntryError(Reason.MALFORMED, "nothing comes before a founding entry")
    if kind == REFOUNDING_KIND and (not seq or links or seal is None):
        raise EntryError(Reason.MALFORMED, "founding anew goes on with a chain and cites a block")


def _check_links(links: Any, prev: bytes | None) -> None:
    if type(links) is not list:
        raise EntryError(Reason.MALFORMED, "links")
    if len(links) > LINKS_MAX:
        raise EntryError(Reason.BAD_LINKS, f"more than {LINKS_MAX}")
    last = b""
    for link in links:
        if not _is_bytes(link, 32):
            raise EntryError(Reason.MALFORMED, "links")
        if link <= last:
            raise EntryError(Reason.BAD_LINKS, "not ascending")
        if link == prev:
            raise EntryError(Reason.BAD_LINKS, "prev is among them")
        last = link


def _check_annex(annex: bytes, digest: object) -> None:
    if digest is None:
        raise EntryError(Reason.BAD_ANNEX, "the header names none")
    if len(annex) > ANNEX_SIZE_BYTES_MAX:
        # Before it is hashed: what is too large costs nothing.
        raise DecodeError(Reason.TOO_LARGE, ANNEX_SIZE_BYTES_MAX)
    if annex_hash(annex) != digest:
        raise EntryError(Reason.BAD_ANNEX, "the header names another")
    read_annex_untrusted(annex)
