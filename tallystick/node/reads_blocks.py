"""The chain of blocks, as far as a person or a program wants to know it.

Source: docs/spec/cli.md#blocks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallystick.node.errors import StoreError
from tallystick.protocol.block import read_certificate_untrusted, read_header_untrusted

if TYPE_CHECKING:
    from tallystick.node.read_args import LogArgs
    from tallystick.node.view import View


def blocks(view: View, args: LogArgs) -> list[dict[str, Any]]:
    """`blocks{limit?}`: all blocks, or the newest ones, newest last."""
    head = view.ledger.head.height
    first = 1 if args.limit is None else max(1, head - args.limit + 1)
    return [_block_row(view, height) for height in range(first, head + 1)]


def _block_row(view: View, height: int) -> dict[str, Any]:
    row, block = view.archive.height_row(height), view.archive.block(height)
    if row is None or block is None:
        raise StoreError(f"block {height} is missing")
    header = read_header_untrusted(block.header)
    votes = read_certificate_untrusted(block.certificate)
    return {
        "height": height,
        "block": row.block_id.hex(),
        "prev": header.prev_id.hex(),
        "time": row.time,
        "entries": len(block.entry_ids),
        "state_root": row.state_root.hex(),
        "log_root": header.log_root.hex(),
        "log_size": header.log_size,
        "charter_hash": row.charter_digest.hex(),
        "charter_version": row.charter_version,
        "rules_version": header.rules_version,
        "proposer": header.proposer,
        "round": votes.round,
        "votes": len(votes.votes),
        "readys": len(block.readys),
    }
