"""The shelf: entries of sealed blocks wait there for their block, in order and bounded."""

from __future__ import annotations

from tallystick.crypto.keys import SecretKey
from tallystick.node.shelf import SHELVED_BYTES_MAX, SHELVED_MAX, Shelf
from tallystick.protocol.entry import Entry, encode_annex, make_entry

PEER, OTHER = b"p" * 32, b"o" * 32


def entry(number: int, words: str | None = None) -> Entry:
    return make_entry(
        SecretKey.from_seed(bytes(32)),
        ledger=b"l" * 32,
        seq=number + 1,
        prev=b"v" * 32,
        links=(),
        seal=None,
        time=number,
        kind="some",
        body={},
        annex=None if words is None else encode_annex(bytes(16), {"note": words}),
    )


def test_a_block_takes_its_own_and_leaves_the_rest() -> None:
    """In the order of the block; what is not here is not given, and what was given is here no more."""
    rows = [entry(number) for number in range(4)]
    shelf = Shelf()
    shelf.put(PEER, 0, rows[:3])
    assert shelf.has(PEER, rows[0].id) and not shelf.has(OTHER, rows[0].id) and not shelf.has(PEER, rows[3].id)
    assert shelf.take(PEER, [rows[2].id, rows[3].id, rows[0].id]) == [rows[2], rows[0]]
    assert shelf.take(OTHER, [rows[1].id]) == []
    assert shelf.clear(PEER) == [rows[1]]
    assert shelf.clear(PEER) == []


def test_what_came_before_a_block_and_is_not_of_it_is_told_from_what_comes_later() -> None:
    """By the number of the block that each came before."""
    rows = [entry(number) for number in range(4)]
    shelf = Shelf()
    shelf.put(PEER, 0, rows[:2])
    shelf.put(PEER, 1, rows[2:])
    assert shelf.take(PEER, [rows[0].id]) == [rows[0]]
    assert shelf.take_until(PEER, 0) == [rows[1]]
    assert shelf.take_until(PEER, 0) == shelf.take_until(OTHER, 5) == []
    assert shelf.take_until(PEER, 1) == rows[2:]


def test_it_is_full_by_number_and_by_size() -> None:
    """What is taken makes room again."""
    rows = [entry(number) for number in range(SHELVED_MAX + 1)]
    shelf = Shelf()
    shelf.put(PEER, 0, rows)
    assert shelf.is_full(PEER) and not shelf.is_full(OTHER)
    shelf.take(PEER, [rows[5].id])
    assert not shelf.is_full(PEER)
    large = [entry(number, "w" * 60_000) for number in range(SHELVED_BYTES_MAX // 60_000 + 1)]
    shelf.put(OTHER, 0, large)
    assert shelf.is_full(OTHER)
    shelf.take(OTHER, [row.id for row in large[:2]])
    assert not shelf.is_full(OTHER)
    shelf.take_until(OTHER, 0)
    assert shelf.clear(OTHER) == []
