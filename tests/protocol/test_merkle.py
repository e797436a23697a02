"""Merkle trees: the vectors of RFC 6962, its recursive definition, proofs and what they do not prove, a naive state."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tallystick.protocol import codec
from tallystick.protocol.errors import DecodeError, Reason
from tallystick.protocol.merkle import (
    BULK_ROWS_MIN,
    EMPTY_ROOT,
    PATH_LENGTH_MAX,
    Absence,
    CompactRange,
    Inclusion,
    StateTree,
    consistency_proof,
    inclusion_proof,
    is_absent,
    is_consistent,
    is_included,
    is_row,
    leaf_hash,
    root_from_inclusion,
    root_of,
    state_leaf,
    state_root,
)

#: The leaves of the reference implementation of RFC 6962, and the roots of its first one, two, ... eight.
LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243")]
LEAVES += [bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return sha256(b"\1" + tree_hash(leaves[:half]) + tree_hash(leaves[half:])).digest()


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(3) for number in range(count)]


def hashes(leaves: list[bytes]) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in leaves]


# -- roots -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_reference(size: int) -> None:
    """All three ways to a root."""
    leaves, root = LEAVES[:size], bytes.fromhex(ROOTS[size - 1])
    log = CompactRange()
    for leaf in leaves:
        log.append(leaf)
    assert tree_hash(leaves) == root_of(hashes(leaves)) == log.root() == root


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    """As the RFC says."""
    assert CompactRange().root() == root_of([]) == EMPTY_ROOT == sha256(b"").digest()


def test_a_log_grows_as_the_definition_says() -> None:
    """At every size up to a few hundred, also when it is taken up again from what was stored."""
    leaves, log = numbered(200), CompactRange()
    for size, leaf in enumerate(leaves, start=1):
        log.append(leaf)
        assert log.root() == root_of(hashes(leaves[:size]))
        if size < 70 or size % 31 == 0:
            assert log.root() == tree_hash(leaves[:size])
        assert len(log) == size and len(log.to_value()[1]) == size.bit_count()
        log = CompactRange.from_value(codec.decode(codec.encode(log.to_value())))


def test_many_leaves_at_once_are_the_same_as_one_after_the_other() -> None:
    """Whatever the size before, and none at all."""
    leaves = numbered(70)
    for before in range(len(leaves)):
        for size in (0, 1, 2, len(leaves) - before):
            log = CompactRange()
            log.extend(leaves[:before])
            log.extend(leaves[before : before + size])
            assert log.size == min(before + size, len(leaves))
            assert log.root() == root_of(hashes(leaves[: before + size]))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        [0],
        [0, [], 0],
        [0, None],
        [0, [bytes(32)]],
        [1, []],
        [3, [bytes(32)]],
        [-1, [bytes(32)]],
        [True, [bytes(32)]],
        ["1", [bytes(32)]],
        [1, [bytes(31)]],
        [1, ["0" * 32]],
        [1, (bytes(32),)],
    ],
)
def test_a_stored_log_that_cannot_be_one_is_refused(value: Any) -> None:
    """Its number of hashes follows from its size."""
    with pytest.raises(DecodeError) as caught:
        CompactRange.from_value(value)
    assert caught.value.reason is Reason.MALFORMED


# -- inclusion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65])
def test_every_leaf_is_proved_and_nothing_else(size: int) -> None:
    """In its place in its tree with its bytes, and under no other root."""
    leaves = numbered(size)
    digests, root = hashes(leaves), tree_hash(leaves)
    for position, leaf in enumerate(leaves):
        proof = inclusion_proof(digests, position)
        assert (proof.position, proof.size) == (position, size)
        assert is_included(root, leaf, proof)
        assert not is_included(root, leaf + b"\0", proof)
        assert not is_included(tree_hash(leaves[:-1]), leaf, proof)
        for place in range(len(proof.path)):
            damaged = (*proof.path[:place], bytes(32), *proof.path[place + 1 :])
            assert not is_included(root, leaf, proof._replace(path=damaged))
        if size > 1:
            assert not is_included(root, leaf, proof._replace(path=proof.path[:-1]))
            assert not is_included(root, leaf, proof._replace(position=position ^ 1))
        assert not is_included(root, leaf, proof._replace(path=(*proof.path, bytes(32))))


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    """Two hashes side by side are hashed with another first byte than a leaf of those 64 bytes."""
    leaves = numbered(4)
    digests, root = hashes(leaves), tree_hash(leaves)
    inner = digests[0] + digests[1]
    right = inclusion_proof(digests, 0).path[1:]
    assert not is_included(root, inner, Inclusion(0, 2, right))
    assert not is_included(root, inner, Inclusion(0, 4, right))


@pytest.mark.parametrize(
    "proof",
    [
        Inclusion(-1, 4, (bytes(32),) * 2),
        Inclusion(4, 4, (bytes(32),) * 2),
        Inclusion(0, 0, ()),
        Inclusion(0, -1, ()),
        Inclusion(0, 4, ()),
        Inclusion(0, 1, (bytes(32),)),
        Inclusion(0, 4, (bytes(31), bytes(32))),
        Inclusion(0, 4, (bytes(32), "0" * 32)),  # type: ignore[arg-type]
        Inclusion(0, 2**70, (bytes(32),) * (PATH_LENGTH_MAX + 1)),
    ],
)
def test_what_cannot_be_a_proof_leads_nowhere(proof: Inclusion) -> None:
    """Without an error: it comes from a file that somebody sent."""
    assert root_from_inclusion(b"leaf", proof) is None
    assert not is_included(bytes(32), b"leaf", proof)


def test_no_proof_of_a_leaf_that_is_not_there() -> None:
    """Asking for it is a bug of ours."""
    for position in (-1, 3):
        with pytest.raises(IndexError):
            inclusion_proof(hashes(numbered(3)), position)


# -- consistency -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [*range(1, 20), 31, 32, 33])
def test_every_earlier_tree_is_the_beginning(size: int) -> None:
    """And a tree with one other leaf anywhere in it is not."""
    leaves = numbered(size)
    digests, root = hashes(leaves), tree_hash(leaves)
    for size_old in range(size + 1):
        old = tree_hash(leaves[:size_old])
        path = consistency_proof(digests, size_old)
        assert is_consistent(size_old, old, size, root, path)
        assert not is_consistent(size_old, bytes(32), size, root, path)
        if size_old < size:
            assert not is_consistent(size_old, old, size, bytes(32), path) or size_old == 0
            assert not is_consistent(size_old, old, size, root, (*path, bytes(32)))
        if 0 < size_old < size:
            other = tree_hash([*leaves[: size_old - 1], b"other"])
            assert not is_consistent(size_old, other, size, root, path)
            assert not is_consistent(size_old, old, size, root, path[:-1])
            assert not is_consistent(size_old, old, size, tree_hash([*leaves[:-1], b"other"]), path)


def test_known_consistency_proof() -> None:
    """From 6 to 8 leaves, written out by hand: the pair of the old end, its neighbour, and the first four."""
    digests = hashes(LEAVES)
    expected = (root_of(digests[4:6]), root_of(digests[6:8]), root_of(digests[:4]))
    assert consistency_proof(digests, 6) == expected
    assert is_consistent(6, bytes.fromhex(ROOTS[5]), 8, bytes.fromhex(ROOTS[7]), expected)


def test_what_cannot_be_a_consistency_proof_is_none() -> None:
    """Sizes that shrink, hashes of a wrong size, paths without end."""
    root = bytes.fromhex(ROOTS[7])
    assert not is_consistent(8, root, 7, root, ())
    assert not is_consistent(-1, root, 8, root, ())
    assert not is_consistent(8, root, 8, root, (bytes(32),))
    assert not is_consistent(0, EMPTY_ROOT, 8, root, (bytes(32),))
    assert not is_consistent(6, root, 8, root, ())
    assert not is_consistent(6, root, 8, root, (b"short",) * 3)
    assert not is_consistent(6, root, 8, root, (bytes(32),) * 100)
    with pytest.raises(IndexError):
        consistency_proof(hashes(LEAVES), 9)


# -- the state ---------------------------------------------------------------------------------------------------------


def naive_root(rows: dict[str, bytes]) -> bytes:
    """The state root from its definition."""
    leaves = [codec.encode([key, codec.decode(value)]) for key, value in sorted(rows.items())]
    commitment = codec.encode([len(leaves), tree_hash(leaves)])
    return sha256(b"tallystick/1/state\0" + commitment).digest()


_KEYS = [f"{name}/{number:02}" for name in ("acct", "deal", "member") for number in range(40)] + [
    "charter",
    "rules",
    "\u00e4",
]
_values = st.integers(-5, 300).map(codec.encode)


class Trees(RuleBasedStateMachine):
    """A tree that is changed, with a plain dict beside it."""

    @initialize(rows=st.dictionaries(st.sampled_from(_KEYS), _values))
    def start(self, rows: dict[str, bytes]) -> None:
        self.tree = StateTree()
        self.rows: dict[str, bytes] = {}
        self.change(rows)

    @rule(rows=st.dictionaries(st.sampled_from(_KEYS), st.none() | _values, max_size=4))
    def change(self, rows: dict[str, bytes | None]) -> None:
        self.tree.update(rows)
        for key, value in rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value

    @rule(rows=st.dictionaries(st.sampled_from(_KEYS), _values, min_size=BULK_ROWS_MIN))
    def change_many(self, rows: dict[str, bytes]) -> None:
        self.change(dict(rows))

    @rule(keys=st.sets(st.sampled_from(_KEYS), min_size=BULK_ROWS_MIN))
    def remove_many(self, keys: set[str]) -> None:
        self.change(dict.fromkeys(keys))

    @precondition(lambda self: self.rows)
    @rule(at=st.integers(0, 1000), value=_values)
    def change_one_that_is_there(self, at: int, value: bytes) -> None:
        self.change({sorted(self.rows)[at % len(self.rows)]: value})

    @rule(key=st.sampled_from(_KEYS))
    def prove(self, key: str) -> None:
        check_proof(self.tree, self.rows, key)

    @rule()
    def check_root(self) -> None:
        # Not after every step: what is hashed together then is what a block changes.
        assert self.tree.root() == naive_root(self.rows)

    @invariant()
    def has_as_many_rows(self) -> None:
        assert len(self.tree) == len(self.rows)


Trees.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestTrees = Trees.TestCase


def check_proof(tree: StateTree, rows: dict[str, bytes], key: str) -> None:
    """The proof of one key, present or absent, and that it proves neither another value nor another state."""
    root, proof = tree.root(), tree.prove(key)
    assert root == naive_root(rows)
    if isinstance(proof, Inclusion):
        assert is_row(root, key, rows[key], proof)
        assert not is_row(root, key, codec.encode("other"), proof)
        assert not is_row(root, key + "x", rows[key], proof)
        assert not is_row(bytes(32), key, rows[key], proof)
        return
    assert key not in rows
    values = tuple(None if each is None else rows[each.key] for each in proof)
    assert len(values) == 2
    assert is_absent(root, key, proof, values)
    assert not is_absent(bytes(32), key, proof, values)
    for each in proof:
        if each is not None:
            assert not is_absent(root, each.key, proof, values), "a row that is there is not absent"


def test_equal_rows_have_one_root_whatever_happened_before() -> None:
    """Also through many at once, and back to nothing."""
    rows: dict[str, bytes | None] = {key: codec.encode(number) for number, key in enumerate(_KEYS)}
    one, other = StateTree(), StateTree()
    one.update(rows)
    for key in reversed(_KEYS):
        other.update({key: b"\x00"})
        other.root()
        other.update({key: rows[key]})
    assert one.root() == other.root()
    one.update(dict.fromkeys(_KEYS))
    assert one.root() == StateTree().root() == state_root(0, EMPTY_ROOT)
    one.update({"never there": None})
    assert len(one) == 0


def test_absence_is_not_proved_by_gaps() -> None:
    """Neighbours must be next to one another and on both sides of the key, and the ends must be the ends."""
    rows = {key: codec.encode(key) for key in ("b", "d", "f", "h")}
    tree = StateTree()
    tree.update(dict(rows))
    root = tree.root()

    def side(key: str) -> Any:
        proof = tree.prove(key + "0")
        assert isinstance(proof, Absence)
        return proof.left

    b, d, f, h = (side(key) for key in "bdfh")
    good = [("a", None, b), ("c", b, d), ("e", d, f), ("i", h, None)]
    for key, left, right in good:
        values = tuple(None if each is None else rows[each.key] for each in (left, right))
        assert len(values) == 2
        assert is_absent(root, key, Absence(left, right), values)
    bad = [
        ("e", b, h),
        ("d", b, f),
        ("c", d, f),
        ("g", d, f),
        ("a", None, d),
        ("i", f, None),
        ("c", None, d),
        ("a", None, None),
    ]
    for key, left, right in bad:
        values = tuple(None if each is None else rows[each.key] for each in (left, right))
        assert len(values) == 2
        assert not is_absent(root, key, Absence(left, right), values), key
    assert not is_absent(root, "c", Absence(b, d), (rows["b"], None)), "a neighbour without its value"
    assert is_absent(StateTree().root(), "x", Absence(None, None), (None, None))


def test_a_leaf_is_the_canonical_pair() -> None:
    """Made without decoding the value again."""
    assert state_leaf("acct/POINT", codec.encode([7])) == codec.encode(["acct/POINT", [7]])


@given(st.integers(1, 2**40), st.integers(0, 2**40), st.lists(st.binary(min_size=32, max_size=32), max_size=45))
def test_no_proof_makes_an_error(size: int, position: int, path: list[bytes]) -> None:
    """Whatever somebody sends."""
    root_from_inclusion(b"leaf", Inclusion(position, size, tuple(path)))
    is_consistent(position, bytes(32), size, bytes(32), path)
    is_row(bytes(32), "key", b"\xc0", Inclusion(position, size, tuple(path)))
