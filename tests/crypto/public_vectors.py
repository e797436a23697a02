"""Public collections of Ed25519 signatures, with our own list of verdicts beside them.

`tests/vectors/signatures/README.md` says where each comes from and what its columns are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "signatures"
COLLECTIONS: Final = ("cctv", "speccheck", "wycheproof", "sign_input")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One signature of a collection, and what has to come out here."""

    name: str
    number: int
    public: bytes
    message: bytes
    signature: bytes
    note: str
    """The last column: what the collection itself says of the case."""
    expect: str
    """`valid`, or the reason of our refusal."""


@cache
def vectors(collection: str) -> tuple[Vector, ...]:
    """All cases of one collection."""
    document = json.loads((FOLDER / f"{collection}.json").read_text(encoding="utf-8"))
    listed = json.loads((FOLDER / "verdicts.json").read_text(encoding="utf-8"))[collection]
    verdicts = {
        number: reason for reason, spans in listed.items() for low, high in spans for number in range(low, high)
    }
    return tuple(
        Vector(
            name=f"{collection} {number}",
            number=number,
            public=bytes.fromhex(document["keys"][key]),
            message=bytes.fromhex(message),
            signature=bytes.fromhex(signature),
            note=note,
            expect=verdicts[number],
        )
        for number, key, message, signature, note in document["cases"]
    )


@cache
def every_vector() -> tuple[Vector, ...]:
    """The cases of all collections."""
    return tuple(vector for collection in COLLECTIONS for vector in vectors(collection))
