"""Bundles: complete, repeatable, tolerant of damage, deaf to hostility; and a block that is sealed by a stick alone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tallystick.crypto.signatures import is_valid
from tallystick.node import bundle
from tallystick.node import messages as m
from tallystick.node.bundle import MAGIC, BundleError, contents_of, ledger_of, read_bundle, write_bundle
from tallystick.node.bundle_file import CHUNK_BYTES, open_bundle, write_bundle_file
from tallystick.node.effects import Check, Wake
from tallystick.node.file_errors import FileError
from tallystick.node.intake import Wire
from tallystick.node.net_framing import FrameReader, encode_frame
from tallystick.protocol.entry import encode_annex
from tests.sim.cluster import Cluster
from tests.sim.people import chain_of
from tests.sim.scenario import CHARTER


def _judge(checks: list[Check]) -> list[bool]:
    return [is_valid(*check) for check in checks]


@pytest.fixture
def trio() -> Iterator[Cluster]:
    """Three sealers who have met once and are apart now."""
    with Cluster(5) as cluster:
        cluster.found(CHARTER, "ana")
        for name in ("bo", "cy"):
            cluster.join(name, "ana")
            cluster.connect_all()
            cluster.run_until(cluster.is_settled, 60_000, "joined")
            member = cluster.machines[name].acknowledged[0].hex()
            cluster.do("ana", "admit", {"partner": member, "sealer": True})
            cluster.run_until(cluster.is_settled, 60_000, "admitted")
            if name == "cy":
                cluster.do("bo", "admit", {"partner": member, "sealer": True})
            cluster.do(name, "sealer", {"on": True})
            cluster.run_until(cluster.is_settled, 60_000, "seals")
        assert len(cluster.machines["ana"].live.ledger.sealers()) == 3
        for pair in list(cluster.links):
            cluster.disconnect(*pair)
        yield cluster


def _written(cluster: Cluster, name: str, base: int = 0, *, signed: bool = True) -> bytes:
    machine = cluster.machines[name]
    file = io.BytesIO()
    key = machine.secret if signed else None
    write_bundle(contents_of(machine.live), file, base=base, now=cluster.clock(machine), key=key)
    return file.getvalue()


def _read(cluster: Cluster, name: str, data: bytes) -> dict[str, object]:
    machine = cluster.machines[name]
    taken = read_bundle(machine.live, io.BytesIO(data), now=cluster.clock(machine), judge=_judge)
    cluster.feed(machine, Wake())
    return taken.to_json()


def test_three_who_meet_through_a_stick_only_seal_a_block(trio: Cluster) -> None:
    """Nobody is ever online with anybody: READYs, proposal and votes travel in the file, and a block comes of it."""
    height = trio.height()
    trio.do("ana", "offer", {"step": "bake", "units": 3})
    trio.run(3000)
    way = ["ana", "bo", "cy"] * 6
    for giver, taker in pairwise(way):
        data = _written(trio, giver, max(0, trio.machines[giver].live.ledger.head.height - 2))
        assert _read(trio, taker, data)["damage"] is None
        trio.run(2000)
        if trio.height() > height:
            break
    assert trio.height() == height + 1
    assert len({trio.machines[name].live.ledger.head for name in ("ana", "bo", "cy")}) == 1


def test_a_newcomer_gets_the_whole_ledger_and_again_nothing_new(trio: Cluster) -> None:
    """A full bundle is the ledger; reading it twice changes nothing."""
    trio.do("bo", "offer", {"step": "bake", "units": 1})
    data = _written(trio, "bo")
    dora = trio.machine("dora")
    from tallystick.node.archive import Archive

    Archive(dora.store).begin(trio.ledger_id)
    trio.boot(dora)
    first = _read(trio, "dora", data)
    assert first["damage"] is None
    assert dora.live.ledger.head == trio.machines["bo"].live.ledger.head
    assert len(dora.live.ledger.pool) == 1
    again = _read(trio, "dora", data)
    assert (again["blocks"], again["entries"], again["damage"]) == (0, 0, None)
    assert ledger_of(io.BytesIO(data)) == trio.ledger_id


def test_a_cut_bundle_gives_what_comes_before_the_cut_and_goes_on_later(trio: Cluster) -> None:
    """Whole frames before the damage count; the whole file brings the rest."""
    data = _written(trio, "ana")
    dora = trio.machine("dora")
    from tallystick.node.archive import Archive

    Archive(dora.store).begin(trio.ledger_id)
    trio.boot(dora)
    heights = []
    for part in (len(data) // 3, 2 * len(data) // 3, len(data) - 1):
        assert _read(trio, "dora", data[:part])["damage"]
        heights.append(dora.live.ledger.head.height)
    assert heights == sorted(heights)
    assert 0 < heights[0] < heights[1]
    assert _read(trio, "dora", data)["damage"] is None
    assert dora.live.ledger.head == trio.machines["ana"].live.ledger.head


def test_every_flipped_byte_is_noticed(trio: Cluster) -> None:
    """No flipped byte is believed: the reading ends with damage, or is refused, and the state stays the right one."""
    trio.do("ana", "offer", {"step": "bake", "units": 2})
    data = _written(trio, "ana", trio.height() - 1)
    head = trio.machines["bo"].live.ledger.head
    for place in range(len(MAGIC), len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x40
        try:
            taken = _read(trio, "bo", bytes(broken))
        except BundleError:
            continue
        assert taken["damage"], place
    assert trio.machines["bo"].live.ledger.head == head


def test_what_is_no_bundle_or_a_foreign_one_changes_nothing(trio: Cluster) -> None:
    """Another file, another ledger, a newer format: each refused with its own word."""
    with pytest.raises(BundleError) as refused:
        _read(trio, "bo", b"PK\x03\x04 a zip file")
    assert (refused.value.reason, refused.value.exit_code) == ("not-a-bundle", 7)
    with Cluster(6) as other:
        other.found(CHARTER, "eva")
        foreign = _written(other, "eva")
    with pytest.raises(BundleError) as refused:
        _read(trio, "bo", foreign)
    assert (refused.value.reason, refused.value.exit_code) == ("bundle-foreign", 7)
    assert not len(trio.machines["bo"].live.ledger.pool)


def test_hostile_frames_end_the_reading(trio: Cluster) -> None:
    """A frame that is no message, one that has no place in a bundle, one that is too long, and bytes behind the end."""
    data = _written(trio, "ana", trio.height() - 1)
    hello = m.encode_message(m.Bye("x"))
    body = data[: len(data) - 140]
    for tail in (encode_frame(b"\xc1"), encode_frame(hello), b"\xff\xff\xff\xff\x0f", encode_frame(b"\x90")):
        assert _read(trio, "bo", body[: _end_of_header(data)] + tail)["damage"]
    assert _read(trio, "bo", data + encode_frame(hello))["damage"]


def test_whoever_carries_the_stick_cannot_strip_words(trio: Cluster) -> None:
    """Of a pending entry without its words nothing is taken in, also not before a block that does not seal it."""
    ana, bo = trio.machines["ana"].live, trio.machines["bo"].live
    answer = trio.do("ana", "offer", {"step": "bake", "units": 2, "note": "the very words"})
    entry = ana.intake.find(bytes.fromhex(answer["entry"]))
    assert entry is not None
    data = _written(trio, "ana", trio.height() - 1, signed=False)
    wire = (entry.header, entry.signature, None)
    row = ana.archive.block(trio.height())
    assert row is not None
    entries = encode_frame(m.encode_message(m.Entries([wire])))
    last = encode_frame(m.encode_message(m.Block(row.header, row.certificate, row.readys, row.entry_ids)))
    # A block before this ledger's end proves nothing about the entry, and one that is broken does not either.
    broken = encode_frame(m.encode_message(m.Block(row.header, row.certificate, row.readys, [entry.id])))
    for frames in (entries, entries + last, entries + broken):
        _read(trio, "bo", data[: _end_of_header(data)] + frames)
        assert entry.id not in bo.ledger.pool.entries
        assert bo.archive.entry(entry.id) is None
    assert _read(trio, "bo", data)["damage"] is None
    assert bo.ledger.pool.entries[entry.id].entry.annex == entry.annex


def test_blocks_whose_words_were_erased_are_taken_from_a_bundle(trio: Cluster) -> None:
    """Their entries come without words, before the block that seals them; what is built on them comes too."""
    trio.connect_all()
    said = trio.do("ana", "offer", {"step": "bake", "units": 2, "note": "too much said"})["entry"]
    trio.run_until(trio.is_settled, 60_000, "offered")
    trio.do("bo", "accept", {"offer": said})
    trio.run_until(trio.is_settled, 60_000, "sealed")
    trio.do("ana", "cancel", {"deal": trio.machines["bo"].acknowledged[-1].hex()})
    trio.run_until(trio.is_settled, 60_000, "cancelled")
    trio.do("ana", "erase", {"entry": said})
    trio.run_until(trio.is_settled, 60_000, "erased")
    data = _written(trio, "cy")
    dora = trio.machine("dora")
    from tallystick.node.archive import Archive

    Archive(dora.store).begin(trio.ledger_id)
    trio.boot(dora)
    taken = _read(trio, "dora", data)
    assert taken["damage"] is None
    assert dora.live.ledger.head == trio.machines["cy"].live.ledger.head
    entry = dora.live.archive.entry(bytes.fromhex(said))
    assert entry is not None
    assert (entry.annex, entry.annex_hash is None) == (None, False)
    assert not len(dora.live.ledger.pool)


def _end_of_header(data: bytes) -> int:
    size, shift, at = 0, 0, len(MAGIC)
    while True:
        byte = data[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return at + size


def test_a_gap_is_told(trio: Cluster) -> None:
    """A bundle that begins after one's newest block says so, and what it has is not lost."""
    data = _written(trio, "ana", trio.height() - 1)
    dora = trio.machine("dora")
    from tallystick.node.archive import Archive

    Archive(dora.store).begin(trio.ledger_id)
    trio.boot(dora)
    taken = _read(trio, "dora", data)
    assert "ends at 0" in str(taken["gap"])
    assert dora.live.ledger.head.height == 0


def test_a_sealed_bundle_opens_with_its_passphrase_only(trio: Cluster, tmp_path: Path) -> None:
    """The passphrase opens it, another one does not, a cut or changed file neither, and no path is followed."""
    core = trio.machines["ana"].live
    path = tmp_path / "a.tally"
    args = {"path": str(path), "full": True, "passphrase": "correct horse"}
    written = write_bundle_file(contents_of(core), args, trio.now, None)
    assert written["blocks"] == trio.height()
    assert path.stat().st_mode & 0o077 == 0
    with open_bundle(args) as file:
        assert ledger_of(file) == trio.ledger_id
    with pytest.raises(BundleError) as refused, open_bundle({**args, "passphrase": "wrong"}) as file:
        ledger_of(file)
    assert (refused.value.reason, refused.value.exit_code) == ("wrong-passphrase", 4)
    with pytest.raises(BundleError) as refused, open_bundle({"path": str(path)}):
        pass
    assert refused.value.reason == "passphrase-needed"
    data = path.read_bytes()
    assert trio.ledger_id not in data
    assert len(data) < CHUNK_BYTES
    path.write_bytes(data[:-1])
    with pytest.raises(BundleError), open_bundle(args) as file:
        ledger_of(file)
    with pytest.raises(FileError) as missing, open_bundle({"path": str(tmp_path / "none")}):
        pass
    assert (missing.value.reason, missing.value.exit_code) == ("file-not-found", 3)


def test_only_a_bundle_is_written_over(trio: Cluster, tmp_path: Path) -> None:
    """The stick of yesterday, open or sealed; a charter or a key of that name stays as it was."""
    contents = contents_of(trio.machines["ana"].live)
    path = tmp_path / "stick.tally"
    for more in ({}, {"passphrase": "abc"}, {}):
        write_bundle_file(contents, {"path": str(path), **more}, trio.now, None)
    for cut in (b"", MAGIC[:3]):
        path.write_bytes(cut)
        write_bundle_file(contents, {"path": str(path)}, trio.now, None)
        assert path.stat().st_size > len(MAGIC)
    for name in ("cafe.toml", "other.tally.new"):
        mine = tmp_path / name
        mine.write_text("charter = 1\n")
        with pytest.raises(FileError) as refused:
            write_bundle_file(contents, {"path": str(mine).removesuffix(".new")}, trio.now, None)
        assert (refused.value.reason, refused.value.exit_code) == ("file-exists", 2)
        assert mine.read_text() == "charter = 1\n"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError):
        write_bundle_file(contents, {"path": str(tmp_path / "pipe")}, trio.now, None)


def test_entries_without_words_are_not_read_again_for_each_block(
    trio: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who makes a bundle may put thousands of them before thousands of blocks that are known."""
    ana = trio.machines["ana"]
    entries = chain_of(trio, "bo", 200, encode_annex(bytes(16), {"note": "gone"}))
    row = ana.live.archive.block(ana.live.ledger.head.height)
    assert row is not None
    block = m.Block(row.header, row.certificate, list(row.readys), list(row.entry_ids))
    said = [m.Entries([(entry.header, entry.signature, None)]) for entry in entries] + [block] * 100
    data = _written(trio, "ana")
    frames = list(FrameReader().feed(data[len(MAGIC) :]))
    assert isinstance(frames[0], bytes)
    made = MAGIC + encode_frame(frames[0]) + b"".join(encode_frame(m.encode_message(each)) for each in said)
    looked = 0
    lacks = bundle._lacks_words

    def count(wire: Wire) -> bool:
        nonlocal looked
        looked += 1
        return lacks(wire)

    monkeypatch.setattr(bundle, "_lacks_words", count)
    before = ana.live.ledger.head
    answer = _read(trio, "ana", made)
    assert (answer["damage"], answer["blocks"], answer["entries"]) == ("it ends too early", 0, 0)
    assert ana.live.ledger.head is before
    assert looked == len(entries)
