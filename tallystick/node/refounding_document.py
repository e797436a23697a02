"""The document that partners pass around to found a ledger anew: what for, who has signed, and in the end the founding.

    {"tallystick": "founding anew", "v": 1, "name": text, "line": [[ledger, height], ...], "block", "state_root",
     "founder", "signatures": [[device, signature], ...], "founding": null | [header, signature], "addresses": [...]}

Keys, ids and bytes are hex. It holds nothing secret, and whoever changes it makes it worth nothing.

Source: docs/spec/finality.md#the-document
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.signatures import is_valid
from tallystick.node.errors import ExitCode, NodeError
from tallystick.protocol.entry import Entry, read_entry_untrusted, signed_message
from tallystick.protocol.kinds.refound import LINE_MAX, SIGNATURES_MAX, Before, Refound, Signed, refound_message
from tallystick.protocol.kinds.table import body_of

TITLE: Final = "founding anew"
DOCUMENT_BYTES_MAX: Final = 512 * 1024
_ADDRESSES_MAX: Final = 16


class RefoundingError(NodeError):
    """What cannot be done about founding anew, in words."""

    def __init__(self, reason: str, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message, reason=reason, hint=hint, exit_code=exit_code)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is in it, its signatures checked."""

    name: str
    line: tuple[Before, ...]
    block: bytes
    state_root: bytes
    founder: bytes
    """Signing key of the device that founds it."""
    signatures: tuple[Signed, ...] = ()
    founding: Entry | None = None
    addresses: tuple[str, ...] = ()
    """Where the founder's node can be reached."""

    @property
    def before(self) -> Before:
        return self.line[-1]

    @property
    def message(self) -> bytes:
        """What each partner signs."""
        return refound_message(self.before.ledger, self.before.height, self.block, self.state_root, self.founder)

    def with_signature(self, signed: Signed) -> Document:
        rows = {each.device: each for each in (*self.signatures, signed)}
        return msgspec.structs.replace(self, signatures=tuple(rows[device] for device in sorted(rows)))

    def body(self) -> Refound:
        return Refound(line=self.line, block=self.block, state_root=self.state_root, signatures=self.signatures)

    def to_text(self) -> str:
        founding = self.founding
        return (
            json.dumps(
                {
                    "tallystick": TITLE,
                    "v": 1,
                    "name": self.name,
                    "line": [[each.ledger.hex(), each.height] for each in self.line],
                    "block": self.block.hex(),
                    "state_root": self.state_root.hex(),
                    "founder": self.founder.hex(),
                    "signatures": [[each.device.hex(), each.signature.hex()] for each in self.signatures],
                    "founding": None if founding is None else [founding.header.hex(), founding.signature.hex()],
                    "addresses": list(self.addresses),
                },
                ensure_ascii=False,
                indent=1,
            )
            + "\n"
        )


def read_document_untrusted(text: str) -> Document:
    """Read a document and check all its signatures. Raises RefoundingError: bad-document."""
    try:
        document = _read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, TallystickError) as error:
        raise RefoundingError(
            "bad-document",
            f"this is no document for founding anew, or somebody has changed it: {error}",
            exit_code=ExitCode.UNTRUSTED,
        ) from error
    return document


def _read(row: dict[str, Any]) -> Document:
    if row["tallystick"] != TITLE or row["v"] != 1:
        raise ValueError("another kind of file")
    if len(row["line"]) > LINE_MAX or len(row["signatures"]) > SIGNATURES_MAX or len(row["addresses"]) > _ADDRESSES_MAX:
        raise ValueError("too much of something")
    founding = None
    if row["founding"] is not None:
        header, signature = (bytes.fromhex(each) for each in row["founding"])
        founding = read_entry_untrusted(header, signature, None)
    document = Document(
        name=str(row["name"])[:200],
        line=tuple(Before(_id(ledger), _height(height)) for ledger, height in row["line"]),
        block=_id(row["block"]),
        state_root=_id(row["state_root"]),
        founder=_id(row["founder"]),
        signatures=tuple(Signed(_id(device), bytes.fromhex(signature)) for device, signature in row["signatures"]),
        founding=founding,
        addresses=tuple(str(each) for each in row["addresses"] if len(str(each)) <= 512),
    )
    document.body().check()
    if not document.line or any(
        not is_valid(each.device, document.message, each.signature) for each in document.signatures
    ):
        raise ValueError("a signature does not hold")
    if founding is not None:
        _check_founding(document, founding)
    return document


def _check_founding(document: Document, founding: Entry) -> None:
    body = body_of(founding)
    if body != document.body() or founding.device != document.founder:
        raise ValueError("its founding says something else")
    if not is_valid(founding.device, signed_message(founding.id, founding.ledger), founding.signature):
        raise ValueError("the founder's signature does not hold")
    for proof in body.proofs(founding, lambda _: None):
        if not is_valid(proof.key, proof.message, proof.signature):
            raise ValueError("a signature does not hold")


def _id(text: str) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != 32:
        raise ValueError("an id has 64 digits")
    return data


def _height(number: object) -> int:
    if type(number) is not int or not 0 < number < 2**53:
        raise ValueError("a height is a number from 1")
    return number
