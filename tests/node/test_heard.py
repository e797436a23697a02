"""What a node reads first of blocks and sealing messages: who signed them. Frontiers, which may be long, come last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tallystick.crypto.signatures import SIGNATURE_SIZE_BYTES
from tallystick.node import messages as m
from tallystick.node.effects import HangUp
from tallystick.node.heard import SEEN_MAX, Seen
from tallystick.node.transport import Frame
from tallystick.protocol import codec
from tallystick.protocol.ballot import precommit_payload
from tallystick.protocol.block import Certificate, Header, block_id, read_header_untrusted, readys_hash
from tallystick.protocol.proposal import BODY_SIZE_BYTES_MAX, ProposalBody
from tallystick.protocol.ready import FRONTIER_SIZE_BYTES_MAX, Ready, frontier_hash
from tallystick.protocol.signed import VERSION, Envelope, KeySigner, SignType
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import offer, partners, settle

#: As long as a frontier may be, and none.
GARBAGE = b"\xc1" * (FRONTIER_SIZE_BYTES_MAX - 300)
FORGED = bytes(SIGNATURE_SIZE_BYTES)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Ana and Bo seal; Cy is a member like any other."""
    with Cluster(24) as cluster:
        partners(cluster, "ana", "bo")
        cluster.join("cy", "ana")
        cluster.connect_all()
        cluster.run_until(cluster.is_settled, 60_000, "joined")
        offer(cluster, "bo")
        settle(cluster)
        yield cluster


def blamed(cluster: Cluster, *said: m.Message) -> list[str]:
    """What Ana's node blames Cy's for, who says all this."""
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    frames = [frame for message in said for frame in m.frames_of(message)]
    effects = [each for frame in frames for each in ana.live.handle(Frame(peer=cy.key, data=frame), cluster.now)]
    return [each.why for each in effects if isinstance(each, HangUp) and each.blame]


def ready_of(cluster: Cluster, signer: Machine, *, is_signed: bool, time: int = 0) -> Ready:
    """A READY for the next block with a frontier that cannot be read."""
    head = cluster.machines["ana"].live.ledger.head
    about = [head.height + 1, head.block_id, time or cluster.now, frontier_hash(GARBAGE), 5]
    payload = codec.encode([VERSION, cluster.ledger_id, *about])
    key = KeySigner(signer.node, cluster.ledger_id)
    return Ready(
        ledger=cluster.ledger_id,
        height=head.height + 1,
        signer=signer.key,
        signature=key.sign(SignType.READY, payload) if is_signed else FORGED,
        payload=payload,
        prev_id=head.block_id,
        time=time or cluster.now,
        frontier_hash=frontier_hash(GARBAGE),
        count=5,
        frontier=GARBAGE,
    )


def header_of(cluster: Cluster, readys: list[Ready]) -> Header:
    """A header for the next block that is about these READYs."""
    ana = cluster.machines["ana"].live
    head, sealers = ana.ledger.head, [row.node_key for row in ana.ledger.sealers()]
    row = ana.archive.block(head.height)
    assert row is not None
    return replace(
        read_header_untrusted(row.header),
        height=head.height + 1,
        prev_id=head.block_id,
        time=readys[0].time,
        proposer=(head.height + 1) % len(sealers),
        round_created=0,
        readys_hash=readys_hash(readys, sealers),
        entry_count=0,
    )


def in_order(cluster: Cluster, *, is_signed: bool) -> list[Ready]:
    machines = {row.key: row for row in cluster.machines.values()}
    sealers = [row.node_key for row in cluster.machines["ana"].live.ledger.sealers()]
    assert len(sealers) == 2
    return [ready_of(cluster, machines[key], is_signed=is_signed) for key in sealers]


def block_of(cluster: Cluster, votes: list[bytes], readys: list[Ready]) -> m.Block:
    header = header_of(cluster, readys)
    data = header.encode()
    certificate = Certificate(
        height=header.height, round=0, block_id=block_id(data), votes=tuple(enumerate(votes))
    ).encode()
    return m.Block(data, certificate, [ready.wire() for ready in readys], [])


def sealed_of(cluster: Cluster, readys: list[Ready]) -> m.Block:
    """The same, with votes that hold."""
    machines = {row.key: row for row in cluster.machines.values()}
    header = header_of(cluster, readys)
    payload = precommit_payload(cluster.ledger_id, header.height, 0, header.id())
    votes = [
        KeySigner(machines[ready.signer].node, cluster.ledger_id).sign(SignType.PRECOMMIT, payload) for ready in readys
    ]
    return block_of(cluster, votes, readys)


@pytest.mark.parametrize(("votes", "why"), [(1, "too-few"), (2, "bad-signature")])
def test_a_block_is_refused_for_its_votes_before_its_frontiers_are_read(cluster: Cluster, votes: int, why: str) -> None:
    """31 of them keep a node busy for half a second: nobody but a quorum can ask for that."""
    block = block_of(cluster, [FORGED] * votes, in_order(cluster, is_signed=True))
    assert [each.split(":")[0] for each in blamed(cluster, block)] == [why]


def test_a_block_is_refused_for_the_signature_of_a_ready_before_its_frontiers_are_read(cluster: Cluster) -> None:
    """Where the votes hold, whoever hands them on may still have put something else in place of the READYs."""
    readys = in_order(cluster, is_signed=False)
    assert [each.split(":")[0] for each in blamed(cluster, sealed_of(cluster, readys))] == ["bad-signature"]


def test_a_block_with_frontiers_that_cannot_be_read_is_refused(cluster: Cluster) -> None:
    """Also where a quorum has signed all of it, which no honest sealer does."""
    readys = in_order(cluster, is_signed=True)
    assert [each.split()[0] for each in blamed(cluster, sealed_of(cluster, readys))] == ["reserved-byte"]


@pytest.mark.parametrize(
    ("is_signed", "why"),
    [(False, "a sealing message's signature does not hold"), (True, "sealing message: reserved-byte")],
)
def test_a_ready_is_refused_for_its_signature_before_its_frontier_is_read(
    cluster: Cluster, is_signed: bool, why: str
) -> None:
    """Anybody can write a sealer's name on one; what a sealer has signed itself is read."""
    ready = ready_of(cluster, cluster.machines["bo"], is_signed=is_signed)
    (said,) = blamed(cluster, m.Sealing([ready.wire()]))
    assert said.startswith(why)


def test_a_proposal_is_refused_for_its_signature_before_its_frontiers_are_read(cluster: Cluster) -> None:
    """It may have eight megabytes of them."""
    readys = in_order(cluster, is_signed=True)
    header = header_of(cluster, readys)
    body = ProposalBody(header=header, readys=tuple(readys)).encode()
    assert len(body) < BODY_SIZE_BYTES_MAX
    payload = codec.encode([VERSION, cluster.ledger_id, header.height, 0, header.id(), 0])
    forged = codec.encode([*Envelope(SignType.PROPOSAL.value, payload, readys[header.proposer].signer, FORGED, body)])
    assert blamed(cluster, m.Sealing([forged])) == ["a sealing message's signature does not hold"]


def test_what_was_seen_is_bounded() -> None:
    """What is known costs nothing when it comes again, and a height that stays open for weeks does not fill memory."""
    seen = Seen()
    for number in range(SEEN_MAX + 1):
        seen.add(number.to_bytes(4, "big"))
        assert len(seen) <= SEEN_MAX
    assert SEEN_MAX.to_bytes(4, "big") in seen
    assert (0).to_bytes(4, "big") not in seen


def test_of_what_is_not_wanted_nothing_long_is_read(cluster: Cluster) -> None:
    """A READY that is older than the newest is nobody's fault, and can be sent without end."""
    offer(cluster, "bo")
    cluster.run_until(lambda: bool(cluster.machines["ana"].live.sealer.messages()), 60_000, "a block begins")
    old = ready_of(cluster, cluster.machines["bo"], is_signed=True, time=1)
    assert blamed(cluster, m.Sealing([old.wire()] * 20)) == []
