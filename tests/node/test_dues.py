"""What costs a peer few bytes to ask and this node many to answer: all of it comes, and not as often as it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from tallystick.node import messages as m
from tallystick.node.dues import REST_MS_MAX, WANTED_BYTES_PER_MS
from tallystick.node.effects import HangUp, Send, Wake
from tallystick.node.session import Session
from tallystick.node.sync import ANSWER_MS, HEADS_MS, WANTED_MAX, Sync
from tallystick.node.transport import Frame, PeerDown, PeerUp
from tallystick.protocol.entry import encode_annex
from tallystick.protocol.pool import Pending, Pool
from tallystick.protocol.sealing import Status, read_sealing_untrusted
from tests.sim.cluster import Cluster
from tests.sim.people import chain_of, hand, offer, partners

TIMES = 200


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Ana and Bo seal, and cannot reach each other: what Ana begins stays open. Cy, who seals nothing, is with her."""
    with Cluster(25) as cluster:
        partners(cluster, "ana", "bo")
        cluster.join("cy", "ana")
        cluster.connect_all()
        cluster.run_until(cluster.is_settled, 60_000, "joined")
        cluster.disconnect_all()
        cluster.connect("ana", "cy")
        cluster.run(5_000)
        offer(cluster, "ana")
        cluster.run_until(lambda: bool(cluster.machines["ana"].live.sealer.messages()), 60_000, "a block begins")
        # Whatever is owed by now is paid.
        cluster.run(1_000)
        yield cluster


def said(cluster: Cluster, message: m.Message | None, now: int, times: int = 1) -> list[m.Message]:
    """What Ana's node says to Cy's, who says this so often, or nothing, at a moment."""
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    event = Wake() if message is None else Frame(peer=cy.key, data=m.encode_message(message))
    reader = m.Reader()
    out = []
    for _ in range(times):
        for effect in ana.live.handle(event, now):
            if isinstance(effect, Send) and effect.peer == cy.key:
                out += [reader.read(frame) for frame in effect.frames]
    return [each for each in out if each is not None]


def of(kind: type[m.Message], messages: Sequence[m.Message]) -> int:
    """How many of a kind; but for a STATUS, which comes of itself."""
    rows = [each for each in messages if isinstance(each, kind)]
    return sum(not isinstance(each, m.Sealing) or not _is_status(each) for each in rows)


def _is_status(message: m.Sealing) -> bool:
    return all(isinstance(read_sealing_untrusted(data), Status) for data in message.messages)


def hello_of(cluster: Cluster, digest: bytes = bytes(32)) -> m.Hello:
    head = cluster.machines["ana"].live.ledger.head
    return m.Hello(m.SYNC_VERSION, cluster.ledger_id, head.height, head.block_id, digest, cluster.now, [])


def get_sealing(cluster: Cluster) -> m.GetSealing:
    return m.GetSealing(cluster.machines["ana"].live.ledger.head.height + 1)


def test_sealing_messages_are_sent_once_however_often_they_are_asked_for(cluster: Cluster) -> None:
    """They may be megabytes, and a hello, or a question for them, has a hundred bytes. What is owed comes later."""
    now = cluster.now
    assert of(m.Sealing, said(cluster, hello_of(cluster), now, TIMES)) == 1
    assert of(m.Sealing, said(cluster, get_sealing(cluster), now + 1, TIMES)) == 0
    assert of(m.Sealing, said(cluster, None, now + HEADS_MS - 1)) == 0
    assert cluster.machines["ana"].live.wake <= now + HEADS_MS
    assert of(m.Sealing, said(cluster, None, now + HEADS_MS, TIMES)) == 1
    # Nothing is owed, so nothing more comes.
    assert of(m.Sealing, said(cluster, None, now + 3 * HEADS_MS, TIMES)) == 0


def test_who_comes_back_has_its_rest_all_the_same(cluster: Cluster) -> None:
    """A new connection is no way round, and yet everything comes in the end."""
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    now = cluster.now
    told = 0
    for _ in range(TIMES):
        told += of(m.Sealing, said(cluster, hello_of(cluster), now))
        ana.live.handle(PeerDown(peer=cy.key, reason="gone"), now)
        ana.live.handle(PeerUp(peer=cy.key, outbound=False, relayed=False, address=""), now)
    assert told == 1
    assert of(m.Sealing, said(cluster, hello_of(cluster), now)) == 0
    assert of(m.Sealing, said(cluster, None, now + HEADS_MS)) == 1


def test_what_is_owed_to_who_is_gone_keeps_nobody_awake(cluster: Cluster) -> None:
    """It may be asked for again when it comes back."""
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    said(cluster, hello_of(cluster), cluster.now, 2)
    assert ana.live.dues.wake is not None
    ana.live.sync.close(cy.key)
    ana.live.handle(Wake(), cluster.now + HEADS_MS)
    assert ana.live.dues.wake is None
    ana.live.handle(PeerDown(peer=cy.key, reason="gone"), cluster.now + HEADS_MS)
    ana.live.dues.forget(cluster.now + REST_MS_MAX)
    assert ana.live.dues._rows == {}


def test_a_clock_that_is_set_back_silences_nobody(cluster: Cluster) -> None:
    """A rest that would last for a day is over."""
    assert of(m.Sealing, said(cluster, hello_of(cluster), cluster.now)) == 1
    assert of(m.Sealing, said(cluster, hello_of(cluster), cluster.now - 86_400_000)) == 1


def test_heads_are_sent_once_however_often_they_are_asked_for(cluster: Cluster) -> None:
    """A few bytes ask for the ends of all branches, which may be hundreds of kilobytes."""
    now = cluster.now
    ask = m.Heads(0, 1, True, [])
    assert of(m.Heads, said(cluster, ask, now, TIMES)) == 1
    assert of(m.Heads, said(cluster, None, now + HEADS_MS)) == 1
    assert of(m.Heads, said(cluster, None, now + 2 * HEADS_MS)) == 0


def test_hello_and_a_question_for_heads_are_answered_with_one(cluster: Cluster) -> None:
    """With the one that asks for the other side's, too."""
    now = cluster.now
    said(cluster, m.Heads(0, 1, True, []), now)
    assert of(m.Heads, said(cluster, hello_of(cluster), now + 1)) == 0
    assert of(m.Heads, said(cluster, m.Heads(0, 1, True, []), now + 2)) == 0
    (heads,) = (each for each in said(cluster, None, now + HEADS_MS) if isinstance(each, m.Heads))
    assert heads.reply


@pytest.mark.parametrize("floor", [0, 2**40])
def test_what_is_looked_through_for_wanted_entries_is_bounded(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, floor: int
) -> None:
    """Eighty bytes name the last of a thousand entries, again and again; whether any of them is sent or not."""
    chain = chain_of(cluster, "bo", 1000)
    hand(cluster, "ana", *chain)
    visited = 0
    closure = Pool.closure

    def count(self: Pool, heads: Sequence[bytes]) -> tuple[dict[bytes, Pending], list[bytes]]:
        nonlocal visited
        found = closure(self, heads)
        visited += len(found[0])
        return found

    monkeypatch.setattr(Pool, "closure", count)
    want = m.Want([(chain[0].device, floor, chain[-1].id)])
    for after in range(100):
        said(cluster, want, cluster.now + after, 10)
    assert 1000 < visited < 1000 * 15
    # The last one was not for nothing.
    before = visited
    said(cluster, want, cluster.now + 200, 2)
    assert visited == before + len(chain)
    said(cluster, None, cluster.now + 300)
    assert visited == before + 2 * len(chain)


def test_wanted_entries_with_long_words_are_sent_at_a_bounded_rate(cluster: Cluster) -> None:
    """Few entries, and much to send."""
    chain = chain_of(cluster, "bo", 17, encode_annex(bytes(16), {"note": "x" * 60_000}))
    hand(cluster, "ana", *chain)
    want = m.Want([(chain[0].device, 0, chain[-1].id)])
    size = sum(
        sum(len(header) + len(annex or b"") for header, _, annex in each.entries)
        for after in range(100)
        for each in said(cluster, want, cluster.now + after, 10)
        if isinstance(each, m.Entries)
    )
    assert 17 * 60_000 < size < 110 * WANTED_BYTES_PER_MS


def test_wants_that_come_meanwhile_are_answered_together(cluster: Cluster) -> None:
    """Nothing that somebody wants is forgotten over what others of it are still answered."""
    chain = chain_of(cluster, "bo", 400)
    hand(cluster, "ana", *chain)
    device = chain[0].device
    said(cluster, m.Want([(device, 2**40, chain[-1].id)]), cluster.now)
    for entry in chain[:100]:
        assert of(m.Entries, said(cluster, m.Want([(device, entry.seq, entry.id)]), cluster.now)) == 0
    come = [each for each in said(cluster, None, cluster.now + 100) if isinstance(each, m.Entries)]
    assert sum(len(each.entries) for each in come) == 100


def test_whoever_names_a_few_at_a_time_does_not_have_all_looked_through_each_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As fast as what it has named before is given up: it is hung up on, as who names as many at once."""
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    random = Random(7)
    looked = 0
    has_room = Sync._has_room

    def count(self: Sync, session: Session, now: int) -> bool:
        nonlocal looked
        looked += 1
        return has_room(self, session, now)

    def name(count: int, now: int) -> bool:
        rows = [(random.randbytes(32), 7, random.randbytes(32)) for _ in range(count)]
        effects = ana.live.handle(Frame(peer=cy.key, data=m.encode_message(m.New(rows))), now)
        return any(isinstance(effect, HangUp) for effect in effects)

    monkeypatch.setattr(Sync, "_has_room", count)
    session = ana.live.sync.sessions[cy.key]
    for after in range(100):
        assert not name(1, cluster.now + after)
    while len(session.wanted) < WANTED_MAX:
        assert not name(min(1024, WANTED_MAX - len(session.wanted)), cluster.now + ANSWER_MS - 1)
    assert looked == 0
    # From here on one is given up each millisecond.
    assert any(name(1, cluster.now + ANSWER_MS + after) for after in range(100))
    assert looked == 1
