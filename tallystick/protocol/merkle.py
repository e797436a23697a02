"""Merkle trees in the shape of RFC 6962: the growing log, the sorted state, and proofs about both.

`CompactRange` is all that appending needs: one hash for each bit of the size. `StateTree` is the tree over the sorted
rows of the state. Proofs are checked without either.

    leaf hash  = SHA-256(0x00 + leaf bytes)        node hash  = SHA-256(0x01 + left + right)
    state leaf = encode([key, value])              state root = H("state", encode([leaf count, Merkle root]))

Source: docs/spec/blocks.md; RFC 6962, section 2.1; RFC 9162, section 2.1.3 and 2.1.4 (checking).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self

import msgspec

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError, Reason

HASH_SIZE_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
#: Half-fed: a copy costs less than a new one.
_LEAF: Final = sha256(b"\x00")
_NODE: Final = sha256(b"\x01")
#: Levels of a tree with 2^63 leaves; a longer path proves nothing.
PATH_LENGTH_MAX: Final = 63
#: So many rows that come and go at once are merged by sorting; one by one they would be moved too often.
BULK_ROWS_MIN: Final = 64

_pack: Final = msgspec.msgpack.Encoder().encode


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    hasher = _LEAF.copy()
    hasher.update(leaf)
    return hasher.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over two others."""
    hasher = _NODE.copy()
    hasher.update(left + right)
    return hasher.digest()


class Inclusion(NamedTuple):
    """That a leaf has so many others before it in a tree of `size` leaves; `path` are the siblings, going up."""

    position: int
    size: int
    path: tuple[bytes, ...]


class CompactRange:
    """A tree one can only append to: its size, and the roots of its full subtrees from the largest to the smallest."""

    __slots__ = ("_peaks", "size")

    size: int
    """Number of leaves."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def __len__(self) -> int:
        return self.size

    def append(self, leaf: bytes) -> None:
        """Add a leaf, given as its bytes."""
        self.append_hash(leaf_hash(leaf))

    def append_hash(self, digest: bytes) -> None:
        """Add a leaf, given as its leaf hash."""
        size, peaks = self.size, self._peaks
        # Every trailing 1 of the size is a full subtree as large as the one that has just come to be.
        while size & 1:
            digest = node_hash(peaks.pop(), digest)
            size >>= 1
        peaks.append(digest)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves, each given as its bytes."""
        size, peaks = self.size, self._peaks
        begin_leaf, begin_node = _LEAF.copy, _NODE.copy
        for leaf in leaves:
            hasher = begin_leaf()
            hasher.update(leaf)
            digest = hasher.digest()
            left = size
            while left & 1:
                hasher = begin_node()
                hasher.update(peaks.pop() + digest)
                digest = hasher.digest()
                left >>= 1
            peaks.append(digest)
            size += 1
        self.size = size

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in self._peaks[-2::-1]:
            root = node_hash(peak, root)
        return root

    def to_value(self) -> list[Any]:
        """Return [size, [hash, ...]], which can be encoded."""
        return [self.size, list(self._peaks)]

    @classmethod
    def from_value(cls, value: object) -> Self:
        """Read what `to_value` gave.

        Raises DecodeError: MALFORMED.
        """
        if not isinstance(value, list) or len(value) != 2:
            raise DecodeError(Reason.MALFORMED)
        size, peaks = value
        if type(size) is not int or size < 0 or type(peaks) is not list:
            raise DecodeError(Reason.MALFORMED)
        if len(peaks) != size.bit_count() or not all(map(_is_hash, peaks)):
            raise DecodeError(Reason.MALFORMED)
        new = cls()
        new.size = size
        new._peaks = list(peaks)
        return new


# -- proofs ------------------------------------------------------------------------------------------------------------


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaf hashes."""
    if not hashes:
        return EMPTY_ROOT
    level: list[bytes] = list(hashes)
    while len(level) > 1:
        level = level_above(level)
    return level[0]


def inclusion_proof(hashes: Sequence[bytes], position: int) -> Inclusion:
    """Return the proof that the leaf at `position` is in the tree over these leaf hashes. Costs a hash for each."""
    if not 0 <= position < len(hashes):
        raise IndexError("no such leaf")
    level: list[bytes] = list(hashes)
    path = []
    at = position
    while len(level) > 1:
        if at ^ 1 < len(level):
            path.append(level[at ^ 1])
        level = level_above(level)
        at >>= 1
    return Inclusion(position, len(hashes), tuple(path))


def root_from_inclusion(leaf: bytes, proof: Inclusion) -> bytes | None:
    """Return the root that a proof leads to from the bytes of a leaf; None if the proof cannot be one."""
    position, size, path = proof
    if not 0 <= position < size or len(path) > PATH_LENGTH_MAX or not all(map(_is_hash, path)):
        return None
    at, last = position, size - 1
    digest = leaf_hash(leaf)
    for sibling in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            digest = node_hash(sibling, digest)
            # A node without a sibling stands for itself on the level above.
            while not at & 1:
                at >>= 1
                last >>= 1
        else:
            digest = node_hash(digest, sibling)
        at >>= 1
        last >>= 1
    return digest if last == 0 else None


def is_included(root: bytes, leaf: bytes, proof: Inclusion) -> bool:
    """Whether a proof shows that these bytes are a leaf of the tree with this root."""
    return root_from_inclusion(leaf, proof) == root


def consistency_proof(hashes: Sequence[bytes], size_old: int) -> tuple[bytes, ...]:
    """Return the proof that the tree over the first `size_old` leaf hashes became the tree over all of them.

    Nothing is needed, and the proof is empty, where one of them is empty or they are the same.
    """
    if not 0 <= size_old <= len(hashes):
        raise IndexError("the old tree is not larger than the new one")
    if size_old in (0, len(hashes)):
        return ()
    path: list[bytes] = []
    part = hashes
    size = size_old
    # RFC 6962, SUBPROOF: the old root itself is left out as long as only left halves were taken.
    is_whole = True
    while size != len(part):
        half = 1 << ((len(part) - 1).bit_length() - 1)
        if size <= half:
            path.append(root_of(part[half:]))
            part = part[:half]
        else:
            path.append(root_of(part[:half]))
            part = part[half:]
            size -= half
            is_whole = False
    if not is_whole:
        path.append(root_of(part))
    return tuple(reversed(path))


def is_consistent(size_old: int, root_old: bytes, size_new: int, root_new: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that the new tree begins with all leaves of the old one."""
    if not 0 <= size_old <= size_new or len(path) > PATH_LENGTH_MAX + 1 or not all(map(_is_hash, path)):
        return False
    if size_old == size_new:
        return not path and root_old == root_new
    if size_old == 0:
        return not path and root_old == EMPTY_ROOT
    steps = list(path)
    if size_old & (size_old - 1) == 0:
        # A full tree is a node of the new one; its root is known and not repeated.
        steps.insert(0, root_old)
    if not steps:
        return False
    at, last = size_old - 1, size_new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    old = new = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and old == root_old and new == root_new


def _is_hash(value: object) -> bool:
    return type(value) is bytes and len(value) == HASH_SIZE_BYTES


def level_above(level: Sequence[bytes]) -> list[bytes]:
    """Hash nodes two by two; an odd one at the end stands for itself."""
    # An iterator with itself gives pairs, and leaves out the odd one.
    each = iter(level)
    above = [sha256(b"\x01" + left + right).digest() for left, right in zip(each, each, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


# -- the state ---------------------------------------------------------------------------------------------------------


class Neighbour(NamedTuple):
    """A row next to where another one is missing."""

    key: str
    proof: Inclusion


class Absence(NamedTuple):
    """The rows on both sides of a missing one; None beyond an end, both None in an empty state."""

    left: Neighbour | None
    right: Neighbour | None


def state_leaf(key: str, value: bytes) -> bytes:
    """Return encode([key, value]) for a value that is canonical bytes already."""
    return b"\x92" + _pack(key) + value


def state_root(size: int, merkle_root: bytes) -> bytes:
    """Return the state root of a tree with so many rows."""
    return tagged_hash("state", codec.encode([size, merkle_root]))


class StateTree:
    """The tree over the rows of a state, all its nodes kept.

    A row that changes costs one hash for each level. A row that comes or goes moves all rows to the right of it, and
    then they pair differently: they are hashed anew, but for where the moves cancel out, and for the levels on which
    they moved by an even number. Leaf hashes are never made again.
    """

    __slots__ = ("_keys", "_levels", "_prefix", "_size_hashed", "_suffix", "_touched")

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._levels: list[list[bytes]] = [[]]
        """From the leaves up. The leaves are always right; the rest is as it was when they were last hashed."""
        self._size_hashed = 0
        """How many leaves there were then."""
        self._prefix = 0
        """How many leaves at the start are where they were then."""
        self._suffix = 0
        """How many leaves are where they were then, counted from the end."""
        self._touched: set[str] = set()
        """Rows that got another value since."""

    def __len__(self) -> int:
        return len(self._keys)

    def update(self, changes: Mapping[str, bytes | None]) -> None:
        """Set rows to canonical bytes, or remove them (None); a row that is not there may be removed."""
        keys, leaves = self._keys, self._levels[0]
        coming: list[tuple[str, bytes]] = []
        going: list[str] = []
        for key, value in changes.items():
            at = bisect_left(keys, key)
            is_there = at < len(keys) and keys[at] == key
            if value is None:
                if is_there:
                    going.append(key)
                continue
            digest = leaf_hash(state_leaf(key, value))
            if not is_there:
                coming.append((key, digest))
            elif leaves[at] != digest:
                leaves[at] = digest
                self._touched.add(key)
        if len(coming) + len(going) >= BULK_ROWS_MIN:
            self._merge(coming, going)
            return
        for key in going:
            at = bisect_left(keys, key)
            del keys[at], leaves[at]
            self._moved(at, at)
        for key, digest in coming:
            at = bisect_left(keys, key)
            keys.insert(at, key)
            leaves.insert(at, digest)
            self._moved(at, at + 1)

    def root(self) -> bytes:
        """Return the state root."""
        return state_root(len(self._keys), self.merkle_root())

    def merkle_root(self) -> bytes:
        """Return the RFC 6962 root of the rows."""
        if not self._keys:
            return EMPTY_ROOT
        self._hash()
        return self._levels[-1][0]

    def prove(self, key: str) -> Inclusion | Absence:
        """Return the proof that a row is there, or that none is. The value itself is not kept here."""
        at = bisect_left(self._keys, key)
        if at < len(self._keys) and self._keys[at] == key:
            return self._inclusion(at)
        left = Neighbour(self._keys[at - 1], self._inclusion(at - 1)) if at else None
        right = Neighbour(self._keys[at], self._inclusion(at)) if at < len(self._keys) else None
        return Absence(left, right)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _inclusion(self, position: int) -> Inclusion:
        self._hash()
        path = []
        at = position
        for level in self._levels[:-1]:
            if at ^ 1 < len(level):
                path.append(level[at ^ 1])
            at >>= 1
        return Inclusion(position, len(self._keys), tuple(path))

    def _moved(self, first: int, end: int) -> None:
        """Rows from `first` to before `end` are others now, and those after it may have another index."""
        self._prefix = min(self._prefix, first)
        self._suffix = min(self._suffix, len(self._keys) - end)

    def _merge(self, coming: list[tuple[str, bytes]], going: list[str]) -> None:
        keys, leaves = self._keys, self._levels[0]
        rows = dict(zip(keys, leaves, strict=True))
        for key in going:
            del rows[key]
        rows.update(coming)
        moved = [*going, *(key for key, _ in coming)]
        keys[:] = sorted(rows)
        leaves[:] = [rows[key] for key in keys]
        self._moved(bisect_left(keys, min(moved)), bisect_right(keys, max(moved)))

    def _hash(self) -> None:
        """Make all levels right."""
        size = len(self._keys)
        if self._prefix < size or self._suffix < size:
            self._hash_moved()
        if self._touched:
            self._hash_touched()
        self._prefix = self._suffix = self._size_hashed = size

    def _hash_moved(self) -> None:
        """Hash what stands between the rows that are where they were, level by level.

        On every level the first `prefix` nodes and the last `suffix` nodes are those of before. Where the latter moved
        by an even number they pair as before, so the level above has half as many that can stay.
        """
        below, size_below_old = self._levels[0], self._size_hashed
        prefix, suffix = self._prefix, self._suffix
        depth = 1
        while (size_below := len(below)) > 1:
            if depth == len(self._levels):
                self._levels.append([])
            level = self._levels[depth]
            size, size_old = (size_below + 1) // 2, len(level)
            prefix //= 2
            moved_evenly = size_old and (size_below - size_below_old) % 2 == 0
            suffix = size - (size_below - suffix + 1) // 2 if moved_evenly else 0
            level[prefix : size_old - suffix] = level_above(below[2 * prefix : 2 * (size - suffix)])
            below, size_below_old = level, size_old
            depth += 1
        del self._levels[depth:]

    def _hash_touched(self) -> None:
        """Hash the way up from every row that has another value; some may have gone since."""
        keys = self._keys
        at = {bisect_left(keys, key) for key in self._touched}
        at.discard(len(keys))
        self._touched.clear()
        for below, level in pairwise(self._levels):
            at = {index >> 1 for index in at}
            for index in at:
                left = 2 * index
                level[index] = node_hash(below[left], below[left + 1]) if left + 1 < len(below) else below[left]


def is_row(root: bytes, key: str, value: bytes, proof: Inclusion) -> bool:
    """Whether a proof shows that the state with this root has a row with this key and these canonical bytes."""
    merkle_root = root_from_inclusion(state_leaf(key, value), proof)
    return merkle_root is not None and state_root(proof.size, merkle_root) == root


def is_absent(root: bytes, key: str, proof: Absence, values: tuple[bytes | None, bytes | None]) -> bool:
    """Whether a proof shows that the state with this root has no such row; `values` are those of the neighbours."""
    left, right = proof
    if left is None and right is None:
        return root == state_root(0, EMPTY_ROOT)
    for neighbour, value in zip(proof, values, strict=True):
        if neighbour is not None and (value is None or not is_row(root, neighbour.key, value, neighbour.proof)):
            return False
    # Both sizes are in the root, so two neighbours cannot be of different trees.
    if left is None:
        return right is not None and right.proof.position == 0 and key < right.key
    if right is None:
        return left.proof.position == left.proof.size - 1 and left.key < key
    return left.proof.position + 1 == right.proof.position and left.key < key < right.key
