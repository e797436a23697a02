"""What a running node does with evidence files when a person asks: it keeps them for others, and fetches theirs.

Source: docs/spec/api.md, docs/spec/sync.md#evidence
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from tallystick.node.blobs import FILE_BYTES_MAX
from tallystick.node.clock import now_ms
from tallystick.node.desk import Desk
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.reads_evidence import evidence_of, is_here, keep_file, named_files

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.evidence_rights import NamedFile
    from tallystick.node.service import Node
    from tallystick.node.service_args import EvidenceAddArgs, EvidenceGetArgs
    from tallystick.node.view import View

#: So long a partner who is not connected is waited for before the others are asked.
MEET_S: Final = 5.0


async def add(node: Node, args: EvidenceAddArgs, key: SecretKey | None) -> Any:
    """`evidence_add`: keep a copy of a file that a delivery names, so that others can have it."""
    if node.read_only is not None:
        raise node.read_only
    view = _view(node)
    deal_id, deal, named = named_files(view, args.deal)
    digests = {each.digest for each in named}
    digest = await trio.to_thread.run_sync(node.archive.blobs.take, Path(args.path), digests)
    keep_file(view, digest, deal_id, named)
    return evidence_of(_view(node), deal_id, deal)


async def get(node: Node, args: EvidenceGetArgs, key: SecretKey | None) -> Any:
    """`evidence_get`: fetch what is missing here from whoever has it, as long as something comes.

    What could not be had says why, as `error` of its file. Raises NodeError where nobody may give it to this member.
    """
    view = _view(node)
    deal_id, deal, named = named_files(view, args.deal)
    missing = [each for each in named if each.size <= FILE_BYTES_MAX and not is_here(view, each)]
    answer = evidence_of(view, deal_id, deal)
    may = {row["sha256"] for row in answer["files"] if row["may_ask"]}
    asked = [each for each in missing if each.digest.hex() in may]
    if missing and not asked:
        raise NodeError(
            "only the two sides, whoever may cosign and the panel of a dispute are given these files",
            reason="not-allowed",
            exit_code=ExitCode.REFUSED,
        )
    members = (deal.seller, deal.buyer, *deal.panel)
    if asked:
        await _meet(node, deal.seller)
        await _fetch(node, asked, deal_id, members, args.wait_s)
    view = _view(node)
    answer = evidence_of(view, deal_id, deal)
    failures = {digest.hex(): fetch.failure for digest, fetch in node.core.blobs.fetches.items() if fetch.failure}
    for row in answer["files"]:
        wanted = not row["here"] and row["may_ask"] and not row["by_hand"]
        row["error"] = failures.get(row["sha256"], "it has not come yet") if wanted else None
    return answer


async def _meet(node: Node, member: bytes) -> None:
    """Give the computers of whoever has the files most likely a moment to be there."""
    devices = _view(node).preview.devices.values()
    peers = [row.node_key for row in devices if row.member == member and row.node_key != node.node_key.public]
    node.reach.call(peers)
    sessions = node.core.sync.sessions

    def is_over() -> bool:
        is_there = any(peer in sessions and sessions[peer].greeted for peer in peers)
        return is_there or not node.dialer.is_trying(now_ms(), peers)

    with trio.move_on_after(MEET_S):
        await node.until(is_over)


async def _fetch(node: Node, asked: list[NamedFile], deal_id: bytes, members: tuple[bytes, ...], wait_s: float) -> None:
    fetches = [node.core.blobs.fetch(each, deal_id, members, now_ms()) for each in asked]
    node.perform(node.core.effects())
    left = [fetch for fetch in fetches if fetch is not None]
    blobs = node.archive.blobs

    def is_over() -> bool:
        return all(fetch.failure or fetch.wanted.digest not in node.core.blobs.fetches for fetch in left)

    def come() -> int:
        return sum(blobs.begun(fetch.wanted.digest) for fetch in left)

    last = -1
    while not is_over() and last != (last := come()):
        with trio.move_on_after(wait_s):
            await node.until(is_over)


def _view(node: Node) -> View:
    return Desk(node.core).view(now_ms())
