"""The shelf: entries of sealed blocks wait there for their block, in order and bounded."""

from __future__ import annotations

from tallystick.crypto.keys import SecretKey
from tallystick.node import layout
from tallystick.node import messages as m
from tallystick.node.shelf import SHELVED_BYTES_MAX, SHELVED_MAX, Shelf
from tallystick.node.sync import entry_wire
from tallystick.node.transport import Frame, PeerUp
from tallystick.node.verify import verify
from tallystick.protocol.entry import Entry, encode_annex, make_entry
from tallystick.protocol.kinds.withdraw import Withdraw
from tests.sim.cluster import Cluster, Machine
from tests.sim.scenario import set_up

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
    assert shelf.until(PEER, 0) == [rows[1]]
    assert shelf.until(OTHER, 5) == []
    assert shelf.until(PEER, 1) == shelf.all_of(PEER) == rows[1:]


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
    assert shelf.clear(OTHER) == large[2:] and not shelf.all_of(OTHER)


def test_what_comes_twice_is_here_once() -> None:
    """Before the block that it came before first, and its bytes count once."""
    rows = [entry(number, "w" * 60_000) for number in range(SHELVED_BYTES_MAX // 60_000 - 1)]
    shelf = Shelf()
    for number in range(3):
        shelf.put(PEER, number, rows)
    assert not shelf.is_full(PEER)
    assert shelf.until(PEER, 0) == rows


def test_what_is_here_without_its_words_stays() -> None:
    """Only a block can take it, and what follows it."""
    whole, bare = entry(0, "words"), entry(1, "erased")
    bare.annex = None
    child = make_entry(
        SecretKey.from_seed(bytes(32)),
        ledger=b"l" * 32,
        seq=3,
        prev=bare.id,
        links=(),
        seal=None,
        time=0,
        kind="some",
        body={},
    )
    shelf = Shelf()
    shelf.put(PEER, 0, [bare, whole, child, entry(2)])
    assert shelf.take_whole(PEER) == [whole, entry(2)]
    assert shelf.take_whole(PEER) == shelf.take_whole(OTHER) == []
    assert shelf.take(PEER, [bare.id, child.id]) == [bare, child]


def test_a_block_that_is_decided_while_it_comes_is_stored_with_its_entries() -> None:
    """Its votes are here, its entries come with the block, and news before it have the vote looked at again.

    Then it is sealed by its votes, in the middle of being taken in.
    """
    frames: list[bytes] = []
    with Cluster(23) as cluster:
        send = cluster._send

        def record(machine: Machine, other: Machine, frame: bytes) -> None:
            frames.append(frame)
            send(machine, other, frame)

        cluster._send = record  # type: ignore[method-assign]
        set_up(cluster, 3, 2)
        ana, bo, cy = (cluster.machines[name] for name in ("ana", "bo", "cy"))
        cluster.disconnect("ana", "cy")
        cluster.disconnect("bo", "cy")
        base = ana.live.ledger.head.height
        seq, prev = ana.live.ledger.head_of(bo.secret.public)
        news = make_entry(
            bo.secret,
            ledger=cluster.ledger_id,
            seq=seq + 1,
            prev=prev,
            links=(cluster.ledger_id,),
            seal=(base, ana.live.ledger.head.block_id),
            time=cluster.now,
            kind="withdraw",
            body=Withdraw(offer=cluster.ledger_id).to_map(),
        )
        frames.clear()
        for height in (base + 1, base + 2):
            cluster.do("ana", "offer", {"step": "bake", "units": 1})
            cluster.run_until(
                lambda height=height: {ana.live.ledger.head.height, bo.live.ledger.head.height} == {height},
                60_000,
                "two of them have sealed it",
            )
        votes = [frame for frame in frames if isinstance(m.Reader().read(frame), m.Sealing)]
        archive, core = ana.live.archive, cy.live
        (first, second) = (archive.block(base + number) for number in (1, 2))
        assert first is not None and second is not None
        hello = m.Hello(1, cluster.ledger_id, base + 2, bytes(32), bytes(32), cluster.now, [])

        def hear(*said: m.Message | bytes) -> None:
            for each in said:
                data = each if isinstance(each, bytes) else m.encode_message(each)
                cluster.feed(cy, Frame(peer=ana.key, data=data))

        cluster.feed(cy, PeerUp(peer=ana.key, outbound=False, relayed=False, address=""))
        hear(hello, *votes)
        assert core.ledger.head.height == base
        wires = [wire for entry_id in first.entry_ids if (wire := archive.wire(entry_id)) is not None]
        hear(m.Entries(wires), m.Entries([entry_wire(news)]))
        hear(m.Block(first.header, first.certificate, first.readys, first.entry_ids))
        assert core.ledger.head.height == base + 1
        assert [key[1:] for key, _ in cy.store.iterate(prefix=layout.ENTRY) if core.archive.sealed(key[1:])] == []
        report = verify(core.archive)
        assert report["problems"] == []
