"""`tally verify` on a ledger somebody has tampered with, and on a disk that forgets: what is wrong is named, exit 6."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tallystick.node import layout
from tests.integration.computers import Computer, computers, gather, seal
from tests.support.faults import flip_bit, offsets
from tests.support.texts import put_text, text_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    """Ana's computer after an evening with Bo: some blocks with both votes, one pending entry; her node is stopped."""
    with computers(tmp_path_factory.mktemp("evening"), "Ana", "Bo") as (ana, bo):
        gather([ana, bo])
        for units in range(1, 4):
            ana.write("offer", step="roast", units=units)
            bo.write("offer", step="roast", units=units, note="of the good beans")
            seal([ana, bo])
        bo.end()
        ana.write("offer", step="roast", units=9)
        ana.end()
        yield ana


@pytest.fixture
def ana(sealed: Computer, tmp_path: Path) -> Computer:
    """A copy of that computer."""
    copy = Computer(tmp_path, "Ana")
    shutil.copytree(sealed.path, copy.path, ignore=shutil.ignore_patterns("run"))
    (copy.path / "run").mkdir(mode=0o700)
    return copy


def tamper(computer: Computer, key: bytes, change: Callable[[bytes], bytes | None]) -> None:
    """Write another value, as somebody would who knows the database: its own checksums are right."""
    with computer.archive() as archive:
        old = archive.store.get(key)
        assert old is not None
        new = change(old)
        if new is None:
            archive.store.write([], [key], sync=True)
        else:
            archive.store.write([(key, new)], sync=True)


def flipped(value: bytes) -> bytes:
    """The value with one bit changed in its middle."""
    middle = len(value) // 2
    return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]


def newest_entry(computer: Computer) -> str:
    entry: str = next(row["entry"] for row in reversed(computer.read("log")) if row["status"] == "sealed")
    return entry


def found_by_verify(computer: Computer) -> str:
    """What `tally verify` says of a ledger that is not as it should be, in one text."""
    said = computer.tally("verify", "--full")
    assert said.code == 6, said
    assert "Traceback" not in said.err
    if not said.out:
        return said.err
    assert said.value["ok"] is False
    return "\n".join(f"{row['where']}: {row['problem']}" for row in said.value["problems"])


def test_whole_ledger_verifies(ana: Computer) -> None:
    """Before anything is touched all is well, and everything was counted."""
    report = ana.done("verify", "--full")
    assert report["ok"] is True
    assert report["entries"] == len(ana.read("log"))
    assert report["blocks"] == ana.status()["height"]
    assert report["state_root"] == ana.status()["state_root"]
    assert report["signatures_checked"] > report["entries"]


@pytest.mark.parametrize(
    "change", [flipped, lambda value: None, lambda value: value[:-1]], ids=["bit", "gone", "short"]
)
def test_changed_entry_is_named(ana: Computer, change: Callable[[bytes], bytes | None]) -> None:
    """A bit, the whole, or the end of a sealed entry."""
    entry = newest_entry(ana)
    entry_id = bytes.fromhex(entry)
    with ana.archive() as archive:
        row = archive.sealed_row(entry_id)
        assert row is not None
        put_text(archive.store, entry_id, change(text_of(archive.store, entry_id)), sync=True)
    found = found_by_verify(ana)
    assert entry in found or f"entries of block {row.height}, from place" in found


def test_changed_words_are_named(ana: Computer) -> None:
    """The words of an entry are bound by their hash."""
    entry = newest_entry(ana)
    tamper(ana, layout.ANNEX + bytes.fromhex(entry), flipped)
    assert entry in found_by_verify(ana)


@pytest.mark.parametrize("change", [flipped, lambda value: None], ids=["bit", "gone"])
def test_changed_block_is_named(ana: Computer, change: Callable[[bytes], bytes | None]) -> None:
    """A block in the middle of the chain."""
    height = ana.status()["height"] - 1
    tamper(ana, layout.height_key(layout.BLOCK, height), change)
    assert f"block {height}" in found_by_verify(ana)


def test_changed_balance_is_found(ana: Computer) -> None:
    """Points that nobody has earned: the state is recomputed, so that whoever edits a row is found out."""
    with ana.archive() as archive:
        key = next(key for key, _ in archive.store.iterate(prefix=layout.STATE + b"acct/POINT/partner/"))
    tamper(ana, key, lambda value: value[:-1] + bytes([value[-1] ^ 1]))
    assert "acct/POINT/partner/" in found_by_verify(ana)


def test_flipped_bits_in_the_files_are_never_overlooked(ana: Computer, tmp_path: Path) -> None:
    """Wherever a bit of the database flips, the ledger is refused, or found wrong, or the bit meant nothing.

    Never is another state root taken for the right one.
    """
    root = ana.status()["state_root"]
    (ledger,) = ana.home.ledgers()
    database = ana.home.ledger_path(ledger) / "db"
    files = sorted(
        path for path in database.iterdir() if path.suffix in (".log", ".ldb", ".sst") and path.stat().st_size
    )
    assert files
    verdicts = []
    for file in files:
        for offset in offsets(file.stat().st_size, 4):
            whole = file.read_bytes()
            kept = {path.name: path.read_bytes() for path in database.iterdir() if path.is_file()}
            flip_bit(file, offset, offset % 8)
            said = ana.tally("verify")
            verdicts.append(said.code)
            assert said.code in (0, 6), said
            assert said.code == 6 or said.value["state_root"] == root
            assert "Traceback" not in said.err
            # Opening may have moved things: put everything back.
            shutil.rmtree(database)
            database.mkdir(mode=0o700)
            for name, data in kept.items():
                (database / name).write_bytes(data)
            file.write_bytes(whole)
    assert 6 in verdicts
    assert ana.done("verify")["ok"] is True
