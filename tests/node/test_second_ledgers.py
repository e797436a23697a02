"""Whole ledgers that a second program wrote from the specification: its entries, roots, blocks and votes are ours.

`tests/vectors/ledgers/*.tally` are full bundles. Their entries are made up at random, honest and not: back-dated,
forked, by revoked devices, out of turn; with ticks that fall due, sealers who come, go and are absent, rounds above 0,
a recovery, and one ledger that was founded anew. The two programs share no line. On 700 more such ledgers, and on
150 000 blocks of rehearsals, they agreed as well, once what they had disagreed in was mended here or written down.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow
from tallystick.node.intake import check_proofs
from tallystick.node.store_memory import MemoryStore
from tallystick.node.verify import verify
from tallystick.protocol.assembly import Assembled, check_sealed
from tallystick.protocol.block import read_block_untrusted
from tallystick.protocol.entry import Entry, read_entry_untrusted
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.refound import Refound
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.transition import Result

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "ledgers"
NAMES: Final = ("founded-anew", "many-kinds", "out-of-turn", "recovered", "work")


def frames(data: bytes) -> Iterator[list[Any]]:
    """What stands in a bundle, one value after the other."""
    at = len(b"TALLYB1\n")
    while at < len(data):
        size = shift = 0
        while True:
            byte = data[at]
            at, size, shift = at + 1, size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        yield msgspec.msgpack.decode(data[at : at + size])
        at += size


class Replayed:
    """A bundle that is judged block by block, as by a node that was not there for the votes."""

    def __init__(self, name: str) -> None:
        (_, ledger, *_), *rest = list(frames((FOLDER / f"{name}.tally").read_bytes()))
        self.entries: dict[bytes, Entry] = {}
        self.results: list[tuple[str, Result]] = []
        self.paths: set[str] = set()
        self.archive = Archive(MemoryStore())
        for frame in rest:
            if frame[0] == "entries":
                for wire in frame[1]:
                    entry = read_entry_untrusted(*wire)
                    self.entries[entry.id] = entry
        founding = self.entries[ledger]
        body = read_body(founding.kind, founding.body)
        line = body.line if isinstance(body, Refound) else ()
        self.archive.begin(ledger)
        if line:
            self.archive.keep_line(line)
        self.ledger = Ledger(ledger, self.archive, line=line)
        for frame in rest:
            if frame[0] == "block":
                self._seal(*frame[1:])

    def _seal(self, header: bytes, certificate: bytes, readys: list[bytes], ids: list[bytes]) -> None:
        block = read_block_untrusted(header, certificate, readys, ids)
        for entry_id in ids:
            entry = self.entries[entry_id]
            body = self.ledger.check(entry)
            assert isinstance(body, Body)
            check_proofs(entry, body, self.entries.get)
            self.ledger.add(entry, body)
        made = check_sealed(self.ledger, block)
        assert isinstance(made, Assembled)
        executed = made.executed
        self.results += [(self.entries[result.entry_id].kind, result) for result in executed.results]
        self.paths |= {path for path, row in executed.rows.items() if row is not None}
        row = BlockRow(header, certificate, tuple(readys), tuple(ids))
        self.archive.keep_block(executed, row, made.block_id, [self.entries[each] for each in ids], frozenset(ids))
        self.ledger.commit(executed, made.block_id)


@pytest.fixture(scope="module")
def replayed() -> dict[str, Replayed]:
    return {name: Replayed(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_the_other_program_is_what_this_one_makes(name: str, replayed: dict[str, Replayed]) -> None:
    """Each is judged by its header, which commits to all that it does; then what was kept of it is verified."""
    ledger = replayed[name].ledger
    report = verify(replayed[name].archive)
    assert (report["problems"], report["blocks"]) == ([], ledger.head.height)
    assert report["state_root"] == ledger.head.state_root.hex()


def test_together_they_hold_what_a_rehearsal_cannot(replayed: dict[str, Replayed]) -> None:
    """Nothing of it was lost from the files."""
    applied = Counter(kind for one in replayed.values() for kind, result in one.results if result.reason is None)
    assert len(applied) >= 41
    assert applied.keys() >= {"device.claim", "device.revoke", "recover.approve", "evidence", "sealer.on", "rejoin"}
    reasons = {str(result.reason) for one in replayed.values() for _, result in one.results}
    assert len(reasons) >= 32
    assert reasons >= {"fork", "device-frozen", "revoked", "not-joined", "too-few-joined", "scope"}
    tables = {path.split("/")[0] for one in replayed.values() for path in one.paths}
    assert tables >= {"fork", "held", "awaited", "recovery", "refounded", "erased", "draw", "corrected"}
    recovered = replayed["recovered"].ledger.state.members.values()
    assert any(member.recovered for member in recovered)
