"""The one hash of Tallystick: SHA-256 with a domain tag.

The tag keeps hashes of different things apart: no entry can have the id of an annex, whatever its bytes.

Source: docs/spec/encoding.md.
"""

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

HASH_SIZE_BYTES = 32


@lru_cache(maxsize=64)
def _prefix(tag: str) -> "_Hash":
    # A copy of this half-fed hash costs less than hashing the tag again.
    if not tag or not tag.isascii() or "\0" in tag:
        raise ValueError(f"a hash tag is non-empty ASCII without NUL, not {tag!r}")
    return sha256(b"tallystick/1/" + tag.encode("ascii") + b"\0")


def tagged_hash(tag: str, data: bytes) -> bytes:
    """Return SHA-256("tallystick/1/" + tag + NUL + data), 32 bytes.

    Tags are ASCII words of the program, never input. They end in NUL, so none is a prefix of another.
    """
    state = _prefix(tag).copy()
    state.update(data)
    return state.digest()
