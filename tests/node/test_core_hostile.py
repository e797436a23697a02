"""A member's node that goes mad: whatever it sends, the core neither raises, nor grows, nor forgets others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from tallystick.node import messages as m
from tallystick.node.effects import AskRoom, HangUp, Pause, Resume, Send, Verified, Verify, Wake
from tallystick.node.intake import (
    NAMED_TIMES,
    ORPHAN_BYTES_MAX,
    ORPHAN_MS,
    ORPHANS_MAX,
    PENDING_BYTES_MAX,
    PENDING_PER_DEVICE_MAX,
)
from tallystick.node.session import INBOX_BYTES_MAX, INBOX_MAX
from tallystick.node.shelf import SHELVED_MAX
from tallystick.node.sync import (
    ANSWER_BYTES_MAX,
    ANSWER_MS,
    ANSWERS_MAX,
    HEADS_MS,
    HINTED_MAX,
    HINTS_MAX,
    NEEDED_MAX,
    WANTED_MAX,
    entry_wire,
    in_frames,
)
from tallystick.node.transport import FRAME_BYTES_MAX, Frame, Gossip, PeerDown, PeerUp, Writable
from tallystick.protocol import codec
from tallystick.protocol.ballot import make_precommit
from tallystick.protocol.block import ENTRIES_MAX
from tallystick.protocol.entry import Entry, encode_annex, make_entry, read_entry_untrusted
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.limits import LINKS_MAX
from tallystick.protocol.signed import KeySigner
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import chain_of, offer, partners, settle
from tests.sim.scenario import CHARTER

#: What may stand in place of a field.
ODD: list[codec.Encodable] = [
    0, 1, -1, 2**62, None, b"", bytes(32), "", [], [[]], {}, True, [bytes(32), 0, bytes(32)],
]  # fmt: skip


@pytest.fixture
def recorded() -> Iterator[tuple[Cluster, list[bytes]]]:
    """Two partners after a while of work, and every frame that went between them."""
    frames: list[bytes] = []
    with Cluster(21) as cluster:
        send = cluster._send

        def record(machine: Machine, other: Machine, frame: bytes) -> None:
            frames.append(frame)
            send(machine, other, frame)

        cluster._send = record  # type: ignore[method-assign]
        cluster.found(CHARTER, "ana")
        cluster.join("bo", "ana")
        cluster.connect_all()
        cluster.run_until(cluster.is_settled, 60_000, "joined")
        cluster.do("ana", "admit", {"partner": cluster.machines["bo"].acknowledged[0].hex(), "sealer": True})
        cluster.run_until(cluster.is_settled, 60_000, "admitted")
        cluster.do("bo", "sealer", {"on": True})
        cluster.run_until(cluster.is_settled, 60_000, "seals")
        for units in (1, 2, 3):
            cluster.do("ana", "offer", {"step": "bake", "units": units})
            cluster.do("bo", "offer", {"step": "bake", "units": units})
        cluster.run_until(cluster.is_settled, 60_000, "traded")
        yield cluster, frames


def _mutated(random: Random, frames: list[bytes]) -> bytes:
    """A frame that is nearly one: bytes flipped, cut, doubled, or another value in a decoded place."""
    frame = bytearray(random.choice(frames))
    chance = random.random()
    if chance < 0.3:
        for _ in range(random.randint(1, 4)):
            frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)
    elif chance < 0.4:
        del frame[random.randrange(len(frame)) :]
    elif chance < 0.5:
        frame += frame[: random.randrange(len(frame))]
    elif chance < 0.9:
        value = codec.decode(bytes(frame), size_max=FRAME_BYTES_MAX)
        assert isinstance(value, list)
        place = random.randrange(1, len(value))
        value[place] = random.choice(
            [0, 1, -1, 2**62, None, b"", bytes(32), "", [], [[]], {}, True, [bytes(32), 0, bytes(32)]]
        )
        frame = bytearray(codec.encode(value))
    return bytes(frame) or b"\x90"


def test_no_frame_makes_the_core_raise(recorded: tuple[Cluster, list[bytes]]) -> None:
    """20 000 damaged frames: each is taken, or ends the connection; the ledger stays the same."""
    cluster, frames = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(1)
    head = ana.live.ledger.head
    now = cluster.clock(ana)
    ups = hang_ups = 0
    hello = next(frame for frame in frames if isinstance(m.Reader().read(frame), m.Hello))
    for number in range(20_000):
        core = ana.live
        if bo.key not in core.sync.sessions:
            cluster.perform(ana, core.handle(PeerUp(peer=bo.key, outbound=False, relayed=False, address=""), now))
            cluster.perform(ana, core.handle(Frame(peer=bo.key, data=hello), now))
            ups += 1
        effects = core.handle(Frame(peer=bo.key, data=_mutated(random, frames)), now + number)
        hang_ups += any(isinstance(effect, HangUp) for effect in effects)
        if any(isinstance(effect, HangUp) for effect in effects):
            core.handle(PeerDown(peer=bo.key, reason="hung up"), now + number)
            continue
        cluster.perform(ana, effects)
    assert hang_ups > 1000
    assert ups > 1000
    assert ana.live.ledger.head == head
    assert ana.live.intake.orphan_count <= ORPHANS_MAX
    assert all(len(session.inbox) <= INBOX_MAX + 1 for session in ana.live.sync.sessions.values())


@pytest.mark.parametrize("size", [10, FRAME_BYTES_MAX, m.MESSAGE_BYTES_MAX // 2])
def test_what_waits_for_signatures_is_bounded(recorded: tuple[Cluster, list[bytes]], size: int) -> None:
    """Behind entries that are being judged so many messages and bytes wait; then their sender is not read."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    core, session = ana.live, ana.live.sync.sessions[bo.key]
    data = m.encode_message(m.Entries([entry_wire(entry) for entry in chain_of(cluster, "bo", 1)]))
    (job,) = (each for each in core.handle(Frame(peer=bo.key, data=data), cluster.now) if isinstance(each, Verify))
    frames = list(m.frames_of(m.Sealing([bytes(size - 100)] if size > 100 else [])))
    while not any(
        isinstance(each, Pause) for data in frames for each in core.handle(Frame(peer=bo.key, data=data), cluster.now)
    ):
        assert session.waiting == sum(session.sizes) <= INBOX_BYTES_MAX
    assert len(session.inbox) + session.waiting // (INBOX_BYTES_MAX // INBOX_MAX) > INBOX_MAX
    assert session.waiting <= INBOX_BYTES_MAX + m.MESSAGE_BYTES_MAX
    session.inbox.clear()
    session.inbox.extend([m.Sealing([])] * len(session.sizes))
    effects = core.handle(Verified(job.job, [True]), cluster.now)
    assert Resume(bo.key) in effects
    assert (session.waiting, len(session.sizes), session.paused) == (0, 0, False)


def test_gossip_is_only_a_hint(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Garbage in gossip is passed over, whoever signed it."""
    cluster, frames = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(2)
    for _ in range(2_000):
        data = _mutated(random, frames)
        ana.live.handle(Gossip(data=data, peer=bo.key, author=bo.key), cluster.clock(ana))
    assert bo.key in ana.live.sync.sessions


def test_whoever_hands_on_a_flood_of_gossip_is_not_to_blame(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Names without end in somebody's gossip: few are asked for, and the neighbour who has passed them on stays."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(6)
    asked = len(ana.live.sync.sessions[bo.key].hinted)
    for number in range(2 * WANTED_MAX // HINTS_MAX):
        count = HINTS_MAX + number % 2
        rows = [(random.randbytes(32), 7, random.randbytes(32)) for _ in range(count)]
        gossip = Gossip(data=m.encode_message(m.New(rows)), peer=bo.key, author=random.randbytes(32))
        for effect in ana.live.handle(gossip, cluster.now):
            assert not isinstance(effect, HangUp)
            if isinstance(effect, Send) and isinstance(want := m.Reader().read(effect.frames[0]), m.Want):
                asked += len(want.chains)
    assert asked == HINTED_MAX
    # What is true is found all the same, and by gossip again once the others should have come.
    told = chain_of(cluster, "bo", 1)[0]
    gossip = Gossip(data=m.encode_message(m.New([(told.device, told.seq, told.id)])), peer=bo.key, author=bo.key)
    now = cluster.now + ANSWER_MS
    wants = [effect for effect in ana.live.handle(gossip, now) if isinstance(effect, Send)]
    assert m.Want([(told.device, told.seq, told.id)]) in [m.Reader().read(each.frames[0]) for each in wants]


@pytest.mark.parametrize(("words", "most"), [(0, ORPHANS_MAX), (60_000, ORPHAN_BYTES_MAX // 60_000)])
def test_a_flood_of_orphans_is_bounded(recorded: tuple[Cluster, list[bytes]], words: int, most: int) -> None:
    """Entries whose parents never come fill a bounded buffer, which is emptied when their sender goes, or in time."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(3)
    annex = encode_annex(bytes(16), {"note": "x" * words}) if words else None
    loose = [
        make_entry(
            bo.secret,
            ledger=cluster.ledger_id,
            seq=500 + random.randrange(10**6),
            prev=random.randbytes(32),
            links=(),
            seal=None,
            time=cluster.now,
            kind="withdraw",
            body=Withdraw(offer=random.randbytes(32)).to_map(),
            annex=annex,
        )
        for _ in range(2 * most)
    ]
    for is_over in (
        lambda: ana.live.intake.expire(cluster.clock(ana) + ORPHAN_MS + 1),
        lambda: ana.live.handle(PeerDown(peer=bo.key, reason="gone"), cluster.clock(ana)),
    ):
        _hand_over(cluster, loose)
        assert 0.9 * most < ana.live.intake.orphan_count <= most
        is_over()
        assert ana.live.intake.orphan_count == 0


def test_a_pending_entry_is_taken_with_its_words_only(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Whoever withholds the words of an entry does not get it listed; with them it is taken."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    cluster.disconnect("ana", "bo")
    answer = cluster.do("bo", "offer", {"step": "bake", "units": 4, "note": "fresh"})
    entry = bo.live.ledger.pool.entries[bytes.fromhex(answer["entry"])].entry
    cluster.connect("ana", "bo")
    now = cluster.clock(ana)
    for annex, taken in ((None, False), (entry.annex, True)):
        frame = m.encode_message(m.Entries([(entry.header, entry.signature, annex)]))
        cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=frame), now))
        assert (entry.id in ana.live.ledger.pool.entries) is taken


@pytest.mark.parametrize("ahead", [1, 2])
def test_nobody_strips_the_words_of_an_entry_by_saying_that_it_is_sealed(ahead: int) -> None:
    """Words may be missing in a block; what no block has sealed is not taken in so, or its words would never come."""
    with Cluster(8) as cluster:
        partners(cluster, "ana", "bo", "cy", seal=False)
        ana, bo, cy = (cluster.machines[name] for name in ("ana", "bo", "cy"))
        cluster.disconnect_all()
        answer = cluster.do("cy", "offer", {"step": "bake", "units": 4, "note": "the very words"})
        entry = cy.live.intake.find(bytes.fromhex(answer["entry"]))
        assert entry is not None
        offer(cluster, "ana")
        cluster.run(5000)
        head = bo.live.ledger.head
        row = ana.live.archive.block(head.height + 1)
        assert row is not None
        cluster.connect("bo", "cy")
        hello = m.Hello(1, cluster.ledger_id, head.height + ahead, bytes(32), bytes(32), cluster.now, [])
        wordless = m.Entries([(entry.header, entry.signature, None)])
        block = m.Block(row.header, row.certificate, list(row.readys), [entry.id])
        for said in (hello, wordless, block, m.BlocksEnd(head.height + 2)):
            cluster.feed(bo, Frame(peer=cy.key, data=m.encode_message(said)))
            assert entry.id not in bo.live.ledger.pool.entries
        settle(cluster)
        for machine in (ana, bo, cy):
            sealed = machine.live.archive.entry(entry.id)
            assert sealed is not None
            assert sealed.annex == entry.annex


def test_a_forged_message_for_the_next_height_harms_only_its_sender(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Whoever speaks in a sealer's name about a height to come is hung up on at once, and the sealer never is."""
    cluster, _ = recorded
    ana, bo, cy = cluster.machines["ana"], cluster.machines["bo"], cluster.join("cy", "ana")
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, 60_000, "joined")
    height = ana.live.ledger.head.height
    honest = make_precommit(
        KeySigner(bo.node, cluster.ledger_id), ledger=cluster.ledger_id, height=height + 2, round_=0, block_id=bytes(32)
    )
    forged = m.encode_message(m.Sealing([replace(honest, signature=bytes(64)).wire()]))
    effects = ana.live.handle(Frame(peer=cy.key, data=forged), cluster.clock(ana))
    assert [(each.peer, each.blame) for each in effects if isinstance(each, HangUp)] == [(cy.key, True)]
    cluster.perform(ana, effects)
    cluster.do("ana", "offer", {"step": "bake", "units": 9})
    cluster.run_until(lambda: bo.live.ledger.head.height == height + 1, 60_000, "the next block is sealed")
    assert [row for row in cluster.left if row[1] != "cy"] == []


def _hand_over(cluster: Cluster, entries: list[Entry]) -> None:
    """Bo sends entries to Ana, as many in a frame as fit."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    for part in in_frames([entry_wire(entry) for entry in entries]):
        frame = m.encode_message(m.Entries(part))
        cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=frame), cluster.clock(ana)))


def test_announcing_a_flood_does_not_lift_the_limit(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Of one device so many entries are pending, whoever has told of more, and was asked for them."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    device = bo.secret.public
    sealed = ana.live.ledger.state.devices[device].head_seq
    entries = chain_of(cluster, "bo", PENDING_PER_DEVICE_MAX + 300)
    last = entries[-1]
    told = m.encode_message(m.New([(device, last.seq, last.id)]))
    cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=told), cluster.clock(ana)))
    assert last.id in ana.live.sync.sessions[bo.key].wanted
    _hand_over(cluster, entries)
    assert ana.live.ledger.head_of(device)[0] - sealed == PENDING_PER_DEVICE_MAX
    assert ana.live.intake.orphan_count <= ORPHANS_MAX


def test_blocks_that_never_come_lift_the_limit_by_one_block(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Whoever says that it is far ahead is asked for blocks; what it sends instead is as much as one block holds."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    device = bo.secret.public
    sealed = ana.live.ledger.state.devices[device].head_seq
    session = ana.live.sync.sessions[bo.key]
    ahead = m.Hello(1, cluster.ledger_id, 2**50, bytes(32), bytes(32), cluster.now, [])
    cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=m.encode_message(ahead)), cluster.clock(ana)))
    assert session.blocks_asked
    _hand_over(cluster, chain_of(cluster, "bo", PENDING_PER_DEVICE_MAX + ENTRIES_MAX + 300))
    # They are of sealed blocks, for all that anybody knows: none is pending before the answer is over.
    assert ana.live.ledger.head_of(device)[0] == sealed
    end = m.encode_message(m.BlocksEnd(ana.live.ledger.head.height))
    cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=end), cluster.clock(ana)))
    assert ana.live.ledger.head_of(device)[0] - sealed == PENDING_PER_DEVICE_MAX + ENTRIES_MAX


def test_entries_for_blocks_that_never_come_do_not_pile_up(recorded: tuple[Cluster, list[bytes]]) -> None:
    """An answer without an end, of more entries than any has: the limits hold as if they were pending."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    device = bo.secret.public
    sealed = ana.live.ledger.state.devices[device].head_seq
    ahead = m.Hello(1, cluster.ledger_id, 2**50, bytes(32), bytes(32), cluster.now, [])
    cluster.perform(ana, ana.live.handle(Frame(peer=bo.key, data=m.encode_message(ahead)), cluster.clock(ana)))
    _hand_over(cluster, chain_of(cluster, "bo", SHELVED_MAX + 65))
    assert ana.live.ledger.head_of(device)[0] - sealed == PENDING_PER_DEVICE_MAX + ENTRIES_MAX
    assert len(ana.live.intake.shelf.clear(bo.key)) <= 64


def test_what_a_sealer_names_for_a_block_is_taken_however_many(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Bo has written more than the limit while nobody was there: his own READY lets it in, and all of it is sealed."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    cluster.disconnect("ana", "bo")
    entries = chain_of(cluster, "bo", PENDING_PER_DEVICE_MAX + 300)
    for entry in entries:
        bo.live.submit(entry, cluster.clock(bo))
    bo.live.effects()
    cluster.connect("ana", "bo")
    cluster.run_until(
        lambda: ana.live.ledger.state.devices[bo.secret.public].head_seq == entries[-1].seq, 3_600_000, "all is sealed"
    )


def test_entries_of_one_number_are_counted_too(recorded: tuple[Cluster, list[bytes]]) -> None:
    """A device that signs thousands of entries of one number has no more of them pending than any other."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    device = bo.secret.public
    first = chain_of(cluster, "bo", 1)[0]
    _hand_over(cluster, [_with_time(bo, first, cluster.now + number) for number in range(PENDING_PER_DEVICE_MAX + 300)])
    count, _ = ana.live.ledger.pool.weights[device]
    # What was being judged at the same time has come in besides.
    assert PENDING_PER_DEVICE_MAX <= count <= PENDING_PER_DEVICE_MAX + 4 * 64
    assert len(ana.live.ledger.pool.branches[device]) == count


def _with_time(machine: Machine, entry: Entry, time: int) -> Entry:
    """The same entry, signed for another moment."""
    return make_entry(
        machine.secret,
        ledger=entry.ledger,
        seq=entry.seq,
        prev=entry.prev,
        links=entry.links,
        seal=entry.seal,
        time=time,
        kind=entry.kind,
        body=entry.body,
    )


def test_long_words_fill_the_room_of_a_device_sooner(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Of one device so many bytes are pending, however few entries they are."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    device = bo.secret.public
    words = encode_annex(bytes(16), {"note": "x" * 60_000})
    _hand_over(cluster, chain_of(cluster, "bo", 200, words))
    count, size = ana.live.ledger.pool.weights[device]
    assert PENDING_BYTES_MAX <= size <= PENDING_BYTES_MAX + 4 * FRAME_BYTES_MAX
    assert count < 200


def _answers(cluster: Cluster, want: m.Want) -> Iterator[tuple[list[Entry], list[bytes]]]:
    """What Ana gives Bo who asks for the same again and again: entries, and the names of what is left."""
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    while True:
        entries: list[Entry] = []
        left: list[bytes] = []
        effects = ana.live.handle(Frame(peer=bo.key, data=m.encode_message(want)), cluster.now)
        if (rested := ana.live.dues.wake) is not None:
            effects += ana.live.handle(Wake(), rested)
        for effect in effects:
            assert isinstance(effect, Send)
            for frame in effect.frames:
                match m.Reader().read(frame):
                    case m.Entries(wires):
                        entries += [read_entry_untrusted(*wire) for wire in wires]
                    case m.New(heads):
                        left += [entry_id for _, _, entry_id in heads]
        yield entries, left
        if not left:
            return


@pytest.mark.parametrize("branched", [False, True])
def test_a_long_answer_ends_where_it_fits_and_goes_on(recorded: tuple[Cluster, list[bytes]], branched: bool) -> None:
    """What is too much for the queue to a peer comes in pieces, parents first, also where numbers do not tell it."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    chain = chain_of(cluster, "bo", 60, encode_annex(bytes(16), {"note": "x" * 60_000}))
    branch = [_with_time(bo, chain[0], cluster.now + 1)] if branched else []
    _hand_over(cluster, [*branch, *chain])
    ana.live.sync.sessions[bo.key].known.clear()
    come: dict[bytes, None] = {}
    answers = list(_answers(cluster, m.Want([(chain[0].device, 0, chain[-1].id)])))
    assert len(answers) > 3
    for entries, left in answers:
        assert sum(len(entry.header) + len(entry.annex or b"") for entry in entries) <= ANSWER_BYTES_MAX
        assert left in ([chain[-1].id], [])
        for entry in entries:
            assert ana.live.ledger.pool.missing(entry.parents) == []
            assert all(parent in come or parent not in ana.live.ledger.pool for parent in entry.parents)
            come[entry.id] = None
    assert set(come) == {entry.id for entry in chain}


def test_a_long_answer_goes_on_where_one_device_has_branched_and_another_has_not(
    recorded: tuple[Cluster, list[bytes]],
) -> None:
    """Of the one it goes on by places, of the other by numbers: nothing comes a second time."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    words = encode_annex(bytes(16), {"note": "x" * 60_000})
    chains = {name: chain_of(cluster, name, 50, words) for name in ("bo", "ana")}
    branch = _with_time(bo, chains["bo"][0], cluster.now + 1)
    _hand_over(cluster, [branch, *chains["bo"]])
    for entry in chains["ana"]:
        ana.live.submit(entry, cluster.clock(ana))
    ana.live.effects()
    ana.live.sync.sessions[bo.key].known.clear()
    floor = chains["ana"][0].seq
    come: list[bytes] = []
    for _ in range(20):
        rows = [(chain[0].device, floor if name == "ana" else 0, chain[-1].id) for name, chain in chains.items()]
        entries, left = next(_answers(cluster, m.Want(rows)))
        come += [entry.id for entry in entries]
        floor = max([floor, *(entry.seq + 1 for entry in entries if entry.device == ana.secret.public)])
        if not left:
            break
    assert sorted(come) == sorted(entry.id for chain in chains.values() for entry in chain)


def test_the_rest_of_a_long_answer_is_asked_for_at_once(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Five megabytes of one device come to whoever was away as fast as they travel, and are sealed."""
    cluster, _ = recorded
    ana, bo, cy = cluster.machines["ana"], cluster.machines["bo"], cluster.join("cy", "ana")
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, 60_000, "joined")
    cluster.disconnect("ana", "bo")
    cluster.disconnect("cy", "bo")
    chain = chain_of(cluster, "cy", 80, encode_annex(bytes(16), {"note": "x" * 60_000}))
    for part in in_frames([entry_wire(entry) for entry in chain]):
        frame = m.encode_message(m.Entries(part))
        cluster.perform(ana, ana.live.handle(Frame(peer=cy.key, data=frame), cluster.clock(ana)))
    assert chain[-1].id in ana.live.ledger.pool
    cluster.disconnect("ana", "cy")
    cluster.connect("ana", "bo")
    cluster.run_until(
        lambda: bo.live.ledger.head_of(cy.secret.public)[1] == chain[-1].id, ANSWER_MS // 3, "Bo has all of it"
    )
    cluster.run_until(lambda: not len(ana.live.ledger.pool), 60_000, "all of it is sealed")
    # Whoever asks for that block gets no more of it at once than the queue to a peer holds.
    core = ana.live
    effects = core.handle(Frame(peer=bo.key, data=m.encode_message(m.GetBlocks(1, m.BLOCKS_MAX, True))), cluster.now)
    entries: set[bytes] = set()
    pieces = 0
    while AskRoom(bo.key) in effects:
        pieces += 1
        effects = core.handle(Writable(peer=bo.key), cluster.now)
        frames = [frame for each in effects if isinstance(each, Send) for frame in each.frames]
        assert sum(map(len, frames)) <= ANSWER_BYTES_MAX + FRAME_BYTES_MAX
        messages = [m.Reader().read(frame) for frame in frames]
        for message in messages:
            if isinstance(message, m.Entries):
                entries.update(read_entry_untrusted(*wire).id for wire in message.entries)
    assert pieces > 4
    assert {entry.id for entry in chain} <= entries
    assert isinstance(messages[-1], m.BlocksEnd)
    # And whoever asks again and again without reading is answered so often.
    for _ in range(3 * ANSWERS_MAX):
        core.handle(Frame(peer=bo.key, data=m.encode_message(m.GetBlocks(1, 1, True))), cluster.now)
    assert len(core.sync.sessions[bo.key].answers) == ANSWERS_MAX


def test_a_sealer_that_names_more_than_it_has_lifts_the_limit_so_far(recorded: tuple[Cluster, list[bytes]]) -> None:
    """What READYs name is taken beyond the limit, but not without end: whoever seals may cheat too."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    entry = chain_of(cluster, "bo", 1)[0]
    intake, pool = ana.live.intake, ana.live.ledger.pool
    intake.need((), [codec.encode([[entry.device, [[2**50, bytes(32)]]]])])
    for number, (count, size, taken) in enumerate(
        (
            (PENDING_PER_DEVICE_MAX, PENDING_BYTES_MAX, 1),
            (NAMED_TIMES * PENDING_PER_DEVICE_MAX, 0, 0),
            (1, NAMED_TIMES * PENDING_BYTES_MAX, 0),
        )
    ):
        pool.weights[entry.device], pool.size = (count, size), NAMED_TIMES * PENDING_BYTES_MAX
        another = _with_time(bo, entry, cluster.now + number)
        batch, _ = intake.open([entry_wire(another)], bo.key, cluster.now)
        assert len(batch.entries) == taken


def test_names_of_entries_that_never_come_are_bounded(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Whoever names entries without end and hands none over is hung up on."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(4)
    session = ana.live.sync.sessions[bo.key]
    for _ in range(70):
        rows = [(random.randbytes(32), 7, random.randbytes(32)) for _ in range(1000)]
        frame = m.encode_message(m.New(rows))
        effects = ana.live.handle(Frame(peer=bo.key, data=frame), cluster.clock(ana))
        if any(isinstance(effect, HangUp) for effect in effects):
            break
    assert bo.key not in ana.live.sync.sessions
    assert len(session.wanted) == WANTED_MAX


def test_parents_that_never_come_are_asked_for_so_often(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Each of a flood of entries names parents that nobody has; no block comes meanwhile, and no more is remembered."""
    cluster, _ = recorded
    ana, bo = cluster.machines["ana"], cluster.machines["bo"]
    random = Random(6)
    session = ana.live.sync.sessions[bo.key]
    for _ in range(2):
        loose = [
            make_entry(
                bo.secret,
                ledger=cluster.ledger_id,
                seq=500 + random.randrange(10**6),
                prev=random.randbytes(32),
                links=sorted(random.randbytes(32) for _ in range(LINKS_MAX)),
                seal=None,
                time=cluster.now,
                kind="withdraw",
                body=Withdraw(offer=random.randbytes(32)).to_map(),
            )
            for _ in range(ORPHANS_MAX)
        ]
        ana.live.intake.expire(cluster.clock(ana) + ORPHAN_MS + 1)
        _hand_over(cluster, loose)
        ana.live.handle(Wake(), cluster.now + HEADS_MS)
        assert NEEDED_MAX // 2 < len(session.needed) <= NEEDED_MAX
        asked = max(session.needed.values())
    # What came to nothing makes room: whoever has the entries that are needed now is asked for them.
    late, wanted = asked + ANSWER_MS, random.randbytes(32)
    ana.live.sync.want(session, [wanted, *(random.randbytes(32) for _ in range(NEEDED_MAX // 2))], {}, late)
    assert session.needed[wanted] == late


def test_a_flood_that_only_one_sealer_has_is_sealed_all_the_same(recorded: tuple[Cluster, list[bytes]]) -> None:
    """Cy pushes more on Ana than Bo takes of anybody: what Ana's READY names lets it in there, and sealing goes on."""
    cluster, _ = recorded
    ana, bo, cy = cluster.machines["ana"], cluster.machines["bo"], cluster.join("cy", "ana")
    cluster.connect_all()
    cluster.run_until(cluster.is_settled, 60_000, "joined")
    cluster.do("ana", "admit", {"partner": cy.acknowledged[0].hex()})
    cluster.run_until(cluster.is_settled, 60_000, "admitted")
    device = cy.secret.public
    entries = chain_of(cluster, "cy", PENDING_PER_DEVICE_MAX + 300)
    ahead = m.Hello(1, cluster.ledger_id, 2**50, bytes(32), bytes(32), cluster.now, [])
    cluster.perform(ana, ana.live.handle(Frame(peer=cy.key, data=m.encode_message(ahead)), cluster.clock(ana)))
    for start in range(0, len(entries), 64):
        frame = m.encode_message(m.Entries([entry_wire(entry) for entry in entries[start : start + 64]]))
        cluster.perform(ana, ana.live.handle(Frame(peer=cy.key, data=frame), cluster.clock(ana)))
    cluster.disconnect("ana", "cy")
    cluster.disconnect("bo", "cy")
    # Less than the time after which something is asked for again.
    cluster.run_until(
        lambda: bo.live.ledger.state.devices[device].head_seq == entries[-1].seq, ANSWER_MS - 1000, "all is sealed"
    )
