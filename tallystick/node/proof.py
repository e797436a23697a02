"""A proof for outsiders: "this partner had so many points at block H", checked offline and without this program.

The file is JSON with bytes as hexadecimal digits:

    v            1
    ledger       id of the ledger, which is the hash of the founding header
    founding     header bytes of the founding entry: it names the first sealer
    headers      header bytes of all blocks from 1 to H: each names the one before
    sealers      [[height, [[partner, node key], ...]], ...]: who seals from that block on, wherever that changed
    certificates [[height, certificate], ...]: of the blocks that changed who seals, and of block H
    key          path of the row in the state: acct/POINT/partner/<id>
    value        its canonical bytes; absent where the row does not exist, which means 0
    inclusion    [position, size, [hash, ...]] of the row in the state of block H
    absence      the rows on both sides instead: [[key, value, position, size, [hash, ...]] or null, ...]

Source: docs/spec/proofs.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.resolve import resolve_member
from tallystick.protocol.block import read_header_untrusted
from tallystick.protocol.merkle import Absence, Inclusion

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.state import State

VERSION: Final = 1


class ProofError(NodeError):
    """Nothing can be proved here."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="no-proof", exit_code=ExitCode.NOT_FOUND)


def prove_points(view: View, partner: str) -> dict[str, Any]:
    """The proof of a partner's points in the newest block. Raises UnresolvedError, ProofError, StoreError."""
    ledger, archive = view.ledger, view.archive
    height = ledger.head.height
    founding = archive.entry(ledger.id_at(1))
    if not height or founding is None:
        raise ProofError("nothing is sealed yet")
    member = resolve_member(view, partner)
    key = f"acct/POINT/partner/{member.hex()}"
    headers, sealers, certificates = _chain(view)
    proof: dict[str, Any] = {
        "v": VERSION,
        "ledger": ledger.id.hex(),
        "founding": founding.header.hex(),
        "headers": [header.hex() for header in headers],
        "sealers": sealers,
        "certificates": certificates,
        "key": key,
    }
    state = ledger.state
    if ledger.line:
        row = ledger.prove("refounded")
        assert isinstance(row, Inclusion), "a ledger that was founded anew says so"
        foundings = _foundings(view)
        proof |= {
            "foundings": [entry.header.hex() for entry in foundings],
            "founders": [_introduction(view, entry) for entry in foundings],
            "refounded": [_value(state, "refounded"), *_inclusion(row)],
        }
    shown = ledger.prove(key)
    if isinstance(shown, Inclusion):
        proof |= {"value": _value(state, key), "inclusion": _inclusion(shown)}
    else:
        proof["absence"] = _absence(state, shown)
    return proof


def _foundings(view: View) -> list[Entry]:
    """The entries with which the ledger was founded anew, oldest first."""
    ids = [*(before.ledger for before in view.ledger.line[1:]), view.ledger.id]
    entries = [view.archive.entry(each) for each in ids]
    return [entry for entry in entries if entry is not None]


def _introduction(view: View, founding: Entry) -> list[str]:
    """The entry that tells which node key a founding device has, and its signature: its first, or its `device.add`."""
    entry: Entry | None = founding
    while entry is not None and entry.prev is not None:
        entry = view.archive.entry(entry.prev)
    links = () if entry is None else entry.links
    for each in (entry, *(view.archive.entry(link) for link in links)):
        if each is None or "node_key" not in each.body:
            continue
        if (each.device if each is entry else each.body.get("device")) == founding.device:
            return [each.header.hex(), each.signature.hex()]
    raise ProofError("the entry that brought in the founding device is not here")


def _chain(view: View) -> tuple[list[bytes], list[Any], list[Any]]:
    """All headers; who seals wherever that changed; certificates of those blocks and of the last one."""
    archive = view.archive
    headers: list[bytes] = []
    sealers: list[Any] = []
    certificates: list[Any] = []
    last = view.ledger.head.height
    begins = {before.height + 1 for before in view.ledger.line}
    for height in range(1, last + 1):
        row = archive.block(height)
        if row is None:
            raise ProofError(f"block {height} is not here")
        header = read_header_untrusted(row.header)
        headers.append(row.header)
        if height in begins:
            sealers.append([height, [[who.hex(), key.hex()] for who, key in archive.seats(height)]])
        changes = header.sealers_next_hash != header.sealers_hash
        if changes or height == last or height in begins or height + 1 in begins:
            certificates.append([height, row.certificate.hex()])
        if changes and height < last and height + 1 not in begins:
            sealers.append([height + 1, [[who.hex(), key.hex()] for who, key in archive.seats(height + 1)]])
    return headers, sealers, certificates


def _value(state: State, key: str) -> str:
    value = state.rows_at([key])[key]
    return "" if value is None else value.hex()


def _inclusion(proof: Inclusion) -> list[Any]:
    return [proof.position, proof.size, [digest.hex() for digest in proof.path]]


def _absence(state: State, proof: Absence) -> list[Any]:
    rows: list[Any] = []
    for neighbour in proof:
        if neighbour is None:
            rows.append(None)
        else:
            rows.append([neighbour.key, _value(state, neighbour.key), *_inclusion(neighbour.proof)])
    return rows
