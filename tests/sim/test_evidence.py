"""Evidence files between whole cores: who is given them, who is cut off, and what is left when words are erased."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tallystick.node import messages as m
from tallystick.node.blob_exchange import PART_MS, Fetch
from tallystick.node.blobs import BlobError, MemoryBlobs
from tallystick.node.desk import Desk
from tallystick.node.evidence_rights import NamedFile, files_of
from tallystick.node.reads_evidence import keep_file
from tallystick.node.transport import Frame
from tests.sim.cluster import Cluster, Machine
from tests.sim.people import settle
from tests.sim.scenario import CHARTER

RULES: dict[str, Any] = CHARTER | {
    "membership": {"sponsors": 1, "probation": "0s"},
    "step": [*CHARTER["step"], {"id": "carve", "price": 10, "budget": 5000, "cosign-above": 50, "review": "1h"}],
}
DATA = bytes(range(256)) * 2500
DIGEST = sha256(DATA).digest()
PARTS = -(-len(DATA) // m.CHUNK_BYTES)
NAMES = ("ana", "bo", "cy", "di")


class Lying(MemoryBlobs):
    """Gives other bytes than it has."""

    def read(self, digest: bytes, offset: int, count: int) -> bytes:
        return super().read(digest, offset, count)[::-1]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Four partners, all connected."""
    with Cluster(1) as made:
        made.found(RULES, "ana")
        for name in NAMES[1:]:
            made.join(name, "ana")
            made.connect_all()
            made.run(1000)
            made.do("ana", "admit", {"partner": made.machines[name].acknowledged[0].hex()})
            settle(made)
        yield made


def delivered(cluster: Cluster, tmp_path: Path, *, step: str = "bake", **more: Any) -> bytes:
    """Ana delivers to Bo, with a file that her node keeps; the deal."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(DATA)
    offer = cluster.do("ana", "offer", {"step": step, "units": 10})["entry"]
    settle(cluster)
    deal = cluster.do("bo", "accept", {"offer": offer})["deal"]
    settle(cluster)
    named = [{"sha256": DIGEST.hex(), "size": len(DATA), "name": path.name}]
    cluster.do("ana", "deliver", {"deal": deal, "units": 10, "evidence": named, **more})
    keep(cluster, "ana", bytes.fromhex(deal), path)
    settle(cluster)
    return bytes.fromhex(deal)


def keep(cluster: Cluster, name: str, deal: bytes, path: Path) -> None:
    machine = cluster.machines[name]
    view = Desk(machine.live).view(cluster.clock(machine))
    machine.live.archive.blobs.take(path, {DIGEST})
    keep_file(view, DIGEST, deal, named(cluster, machine, deal))


def named(cluster: Cluster, machine: Machine, deal: bytes) -> list[NamedFile]:
    view = Desk(machine.live).view(cluster.clock(machine))
    row = view.deal(deal)
    assert row is not None
    return files_of(view, deal, row)


def begin(cluster: Cluster, name: str, deal: bytes, *first: str) -> Fetch:
    """Somebody asks for the one file of a deal, of some machines first."""
    machine = cluster.machines[name]
    (wanted,) = named(cluster, machine, deal)
    order = tuple(cluster.machines[each].live.member_of(cluster.machines[each].key) or b"" for each in first)
    fetch = machine.live.blobs.fetch(wanted, deal, order, cluster.clock(machine))
    assert fetch is not None
    cluster.perform(machine, machine.live.effects())
    return fetch


def has(cluster: Cluster, name: str) -> bool:
    blobs = cluster.machines[name].live.archive.blobs
    return blobs.read(DIGEST, 0, len(DATA)) == DATA


def asked_of(cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(offset, bytes given) of each question that a machine answers from now on."""
    machine = cluster.machines[name]
    answered: list[tuple[int, int]] = []
    send = machine.live.sync.send

    def watched(peer: bytes, message: m.Message) -> None:
        if isinstance(message, m.Chunk):
            answered.append((message.offset, len(message.data)))
        send(peer, message)

    monkeypatch.setattr(machine.live.sync, "send", watched)
    return answered


# -- who is given it ---------------------------------------------------------------------------------------------------


def test_the_other_side_is_given_it_in_parts(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part is asked for once, in order, of whoever is likely to have it."""
    deal = delivered(cluster, tmp_path)
    answered = asked_of(cluster, "ana", monkeypatch)
    begin(cluster, "bo", deal, "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    assert [offset for offset, _ in answered] == [number * m.CHUNK_BYTES for number in range(PARTS)]
    assert not cluster.machines["bo"].live.blobs.fetches
    assert not cluster.hang_ups


def test_a_third_partner_learns_nothing(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the same for a file that is here and for one that nobody has."""
    deal = delivered(cluster, tmp_path)
    answered = asked_of(cluster, "ana", monkeypatch)
    fetch = begin(cluster, "cy", deal, "ana")
    cluster.run_until(lambda: bool(fetch.failure), 10_000, "nobody gives it")
    ana, cy = cluster.machines["ana"], cluster.machines["cy"]
    frame = b"".join(m.frames_of(m.GetBlob(bytes(32), 0)))
    cluster.feed(ana, Frame(peer=cy.key, data=frame))
    assert answered == [(0, 0), (0, 0)]
    assert not has(cluster, "cy") and cy.live.archive.blobs.begun(DIGEST) == 0


def test_whoever_may_cosign_is_given_it_while_that_is_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    """Not before the buyer has approved a large deal, and not after a third partner has cosigned it."""
    deal = delivered(cluster, tmp_path, step="carve")
    fetch = begin(cluster, "cy", deal, "ana")
    cluster.run_until(lambda: bool(fetch.failure), 10_000, "nobody gives it")
    cluster.do("bo", "approve", {"deal": deal.hex()})
    cluster.run(1000)
    begin(cluster, "cy", deal, "ana")
    cluster.run_until(lambda: has(cluster, "cy"), 10_000, "the file is there")
    cluster.do("cy", "cosign", {"deal": deal.hex()})
    settle(cluster)
    fetch = begin(cluster, "di", deal, "ana")
    cluster.run_until(lambda: bool(fetch.failure), 10_000, "nobody gives it")


def test_the_panel_is_given_it(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever was drawn to judge, and nobody else."""
    deal = delivered(cluster, tmp_path)
    cluster.do("bo", "reject", {"deal": deal.hex(), "reason": "cold"})
    settle(cluster)
    cluster.do("ana", "dispute", {"deal": deal.hex()})
    settle(cluster)
    offer = cluster.do("di", "offer", {"step": "bake", "units": 1})
    settle(cluster)
    row = next(each for each in cluster.do("ana", "deals") if each["deal"] == deal.hex())
    judges = [name for name in ("cy", "di") if cluster.machines[name].acknowledged[0].hex() in row["panel"]]
    assert judges and offer["entry"]
    for name in judges:
        begin(cluster, name, deal, "ana")
        cluster.run_until(lambda name=name: has(cluster, name), 10_000, "the judge has it")


def test_what_is_public_is_given_to_every_member(cluster: Cluster, tmp_path: Path) -> None:
    """By whoever has it: the seller's words say so to all."""
    deal = delivered(cluster, tmp_path, public=True)
    begin(cluster, "bo", deal, "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    cluster.switch_off(cluster.machines["ana"])
    begin(cluster, "cy", deal, "bo")
    cluster.run_until(lambda: has(cluster, "cy"), 10_000, "the file is there")


def test_erased_words_take_the_file_with_them(cluster: Cluster, tmp_path: Path) -> None:
    """At both sides, as soon as the erasure is sealed, unless another delivery names the file, too."""
    deal = delivered(cluster, tmp_path)
    begin(cluster, "bo", deal, "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    cluster.do("bo", "approve", {"deal": deal.hex()})
    settle(cluster)
    (first,) = named(cluster, cluster.machines["ana"], deal)
    again = delivered(cluster, tmp_path)
    cluster.do("ana", "erase", {"entry": first.delivery.hex()})
    settle(cluster)
    assert has(cluster, "ana") and not has(cluster, "bo")
    assert named(cluster, cluster.machines["bo"], deal) == []
    cluster.do("bo", "approve", {"deal": again.hex()})
    settle(cluster)
    (second,) = named(cluster, cluster.machines["ana"], again)
    cluster.do("ana", "erase", {"entry": second.delivery.hex()})
    settle(cluster)
    assert not has(cluster, "ana")


def test_a_disk_that_keeps_an_erased_file_stops_no_block(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is given to nobody any more, and the ledger goes on."""
    deal = delivered(cluster, tmp_path)
    cluster.do("bo", "approve", {"deal": deal.hex()})
    settle(cluster)
    ana = cluster.machines["ana"].live
    (file,) = named(cluster, cluster.machines["ana"], deal)

    def fails(digest: bytes) -> None:
        raise BlobError("it cannot be removed", reason="disk-error")

    monkeypatch.setattr(ana.archive.blobs, "drop", fails)
    cluster.do("ana", "erase", {"entry": file.delivery.hex()})
    settle(cluster)
    assert has(cluster, "ana") and ana.archive.evidence_of(DIGEST) == []


# -- who is cut off ----------------------------------------------------------------------------------------------------


def test_a_cut_in_the_middle_is_gone_on_from(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come is not asked for again, after a new connection and after a new start."""
    deal = delivered(cluster, tmp_path)
    answered = asked_of(cluster, "ana", monkeypatch)
    fetch = begin(cluster, "bo", deal, "ana")
    bo = cluster.machines["bo"]
    blobs = bo.live.archive.blobs
    cluster.run_until(lambda: blobs.begun(DIGEST) >= 2 * m.CHUNK_BYTES, 10_000, "some of it is there")
    cluster.disconnect("ana", "bo")
    cluster.run_until(lambda: bool(fetch.failure), 60_000, "nobody else has it")
    cluster.switch_off(bo)
    cluster.boot(bo)
    bo.live.archive.blobs = blobs
    cluster.connect_all()
    cluster.run(1000)
    first = len(answered)
    begin(cluster, "bo", deal, "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    assert answered[first][0] == 2 * m.CHUNK_BYTES


def test_a_liar_is_left_alone_and_another_is_asked(cluster: Cluster, tmp_path: Path) -> None:
    """The hash says so, when all is there; the honest one gives it then."""
    deal = delivered(cluster, tmp_path)
    bo, ana = cluster.machines["bo"], cluster.machines["ana"]
    lies = Lying()
    lies.take(tmp_path / "photo.jpg", {DIGEST})
    cy = cluster.machines["cy"]
    keep(cluster, "cy", deal, tmp_path / "photo.jpg")
    cy.live.archive.blobs = lies
    begin(cluster, "bo", deal, "cy", "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    assert ("bo", "a file with another hash than was asked for") in cluster.hang_ups
    assert cy.key not in bo.live.sync.sessions and ana.key in bo.live.sync.sessions


def test_of_two_who_sent_parts_each_is_tried_alone(cluster: Cluster, tmp_path: Path) -> None:
    """Nobody is blamed for what another one may have sent before."""
    deal = delivered(cluster, tmp_path)
    bo = cluster.machines["bo"]
    bo.live.archive.blobs.add(DIGEST, bytes(m.CHUNK_BYTES))
    begin(cluster, "bo", deal, "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "the file is there")
    assert not cluster.hang_ups


@pytest.mark.parametrize(
    ("size", "offset", "why"),
    [
        (1, 0, "not as many bytes of a file as were asked for"),
        (m.CHUNK_BYTES - 1, 0, "not as many bytes of a file as were asked for"),
        (m.CHUNK_BYTES, m.CHUNK_BYTES, "bytes of a file that nobody asked for"),
    ],
)
def test_who_drips_or_floods_is_cut_off(cluster: Cluster, tmp_path: Path, size: int, offset: int, why: str) -> None:
    """Every answer has exactly the bytes that were asked for, once; then somebody else is asked."""
    deal = delivered(cluster, tmp_path)
    bo, cy = cluster.machines["bo"], cluster.machines["cy"]
    begin(cluster, "bo", deal, "cy", "ana")
    chunk = m.Chunk(DIGEST, offset, bytes(size))
    for frame in m.frames_of(chunk):
        cluster.feed(bo, Frame(peer=cy.key, data=frame))
    assert cluster.hang_ups == [("bo", why)]
    cluster.run_until(lambda: has(cluster, "bo"), 10_000, "Ana gives it")


def test_nobody_is_waited_for_without_end(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not answer is passed over; an answer that comes too late is no offence, and changes nothing."""
    deal = delivered(cluster, tmp_path)
    bo, cy = cluster.machines["bo"], cluster.machines["cy"]
    monkeypatch.setattr(cy.live.blobs, "on_get", lambda session, ask, now: None)
    begin(cluster, "bo", deal, "cy", "ana")
    cluster.run_until(lambda: has(cluster, "bo"), 3 * PART_MS, "the file is there")
    for frame in m.frames_of(m.Chunk(DIGEST, 0, bytes(m.CHUNK_BYTES))):
        cluster.feed(bo, Frame(peer=cy.key, data=frame))
    assert not cluster.hang_ups and has(cluster, "bo")
