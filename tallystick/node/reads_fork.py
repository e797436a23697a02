"""A fork, as a person can judge it: both blocks, what only one of them has, and who signed both.

Source: docs/spec/finality.md#fork
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.node.forking import Fork, read_fork
from tallystick.protocol.block import Certificate, read_block_untrusted
from tallystick.protocol.evidence import read_evidence_untrusted

if TYPE_CHECKING:
    from tallystick.node.archive_rows import BlockRow
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View


def fork(view: View, args: ReadArgs) -> dict[str, Any]:
    """`fork{}`: both branches where they part, what only one has, who signed both; `forked` is false without one."""
    found = read_fork(view.archive)
    ours = None if found is None else view.archive.block(found.height)
    if found is None or ours is None:
        nothing: dict[str, Any] = {"ledger": view.ledger.id.hex(), "forked": False, "height": None}
        nothing |= {"ours": None, "theirs": None}
        return nothing | {"only_ours": [], "only_theirs": [], "culprits": [], "since": 0}
    seats = view.archive.seats(found.height)
    return {
        "ledger": view.ledger.id.hex(),
        "forked": True,
        "height": found.height,
        "ours": _branch(view, ours, seats),
        "theirs": _branch(view, found.block, seats),
        "only_ours": [_entry(view, each) for each in ours.entry_ids if each not in found.block.entry_ids],
        "only_theirs": [_entry(view, each) for each in found.block.entry_ids if each not in ours.entry_ids],
        "culprits": _culprits(view, found, seats),
        # Beyond the height at which they part, only our own branch is followed.
        "since": view.ledger.head.height - found.height,
    }


def _branch(view: View, row: BlockRow, seats: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    block = read_block_untrusted(row.header, row.certificate, row.readys, row.entry_ids)
    return {
        "block": block.id().hex(),
        "time": block.header.time,
        "state_root": block.header.state_root.hex(),
        "round": block.certificate.round,
        "entries": len(row.entry_ids),
        "sealed_by": [_seat(view, seats, index) for index in _signers(block.certificate)],
    }


def _signers(certificate: Certificate) -> list[int]:
    return [index for index, _ in certificate.votes]


def _seat(view: View, seats: list[tuple[bytes, bytes]], index: int) -> dict[str, Any]:
    member, node_key = seats[index]
    return {"partner": member.hex(), "name": view.name(member), "node_key": node_key.hex()}


def _entry(view: View, entry_id: bytes) -> dict[str, Any]:
    entry = view.entry(entry_id)
    row = None if entry is None else view.preview.devices.get(entry.device)
    return {
        "entry": entry_id.hex(),
        "kind": None if entry is None else entry.kind,
        "partner": None if row is None else row.member.hex(),
        "name": None if row is None else view.name(row.member),
    }


def _culprits(view: View, fork: Fork, seats: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """Whoever signed both blocks: proven by a contradiction, or only named, where they voted in different rounds."""
    proofs = {proof.accused: proof.code for proof in map(read_evidence_untrusted, fork.evidence)}
    places = {node_key: index for index, (_, node_key) in enumerate(seats)}
    return [
        {**_seat(view, seats, places[key]), "proof": proofs.get(key)}
        for key in fork.signed_both or sorted(proofs)
        if key in places
    ]
