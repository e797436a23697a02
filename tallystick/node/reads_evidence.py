"""The evidence of a deal: files that its deliveries name, and which of them are here.

Source: docs/spec/cli.md#evidence
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallystick.node.blobs import FILE_BYTES_MAX
from tallystick.node.evidence_rights import NamedFile, files_of, may_see
from tallystick.node.names import shown
from tallystick.node.resolve import resolve_deal
from tallystick.node.view import View
from tallystick.node.writes_base import ArgumentError

if TYPE_CHECKING:
    from tallystick.node.read_args import EvidenceArgs
    from tallystick.protocol.records_deal import Deal


def evidence(view: View, args: EvidenceArgs) -> dict[str, Any]:
    """`evidence{deal}`: every file that was delivered in a deal."""
    return evidence_of(view, *find_deal(view, args.deal))


def find_deal(view: View, text: str) -> tuple[bytes, Deal]:
    """The deal that is meant. Raises UnresolvedError, ArgumentError for one that was void."""
    deal_id = resolve_deal(view, text)
    deal = view.deal(deal_id)
    if deal is None:
        raise ArgumentError("there is no such deal: its acceptance was void")
    return deal_id, deal


def named_files(view: View, deal: str) -> tuple[bytes, Deal, list[NamedFile]]:
    """A deal and every file that was delivered in it. Raises NodeError."""
    deal_id, row = find_deal(view, deal)
    return deal_id, row, files_of(view, deal_id, row)


def keep_file(view: View, digest: bytes, deal_id: bytes, named: Sequence[NamedFile]) -> None:
    """A file is here now: others may ask for it, by the deliveries that name it."""
    for each in named:
        if each.digest == digest:
            view.archive.keep_evidence(digest, each.delivery, deal_id)


def evidence_of(view: View, deal_id: bytes, deal: Deal) -> dict[str, Any]:
    """The answer of `evidence`, and of what fetches it."""
    is_one = view.me is not None and may_see(view.preview, deal_id, deal, view.me, view.moment)
    rows = [_row(view, each, may_ask=is_one or each.public) for each in files_of(view, deal_id, deal)]
    return {
        "deal": deal_id.hex(),
        "seller": deal.seller.hex(),
        "seller_name": view.name(deal.seller),
        "files": rows,
    }


def is_here(view: View, each: NamedFile) -> bool:
    """Whether a file lies here, and is what the delivery says."""
    blobs = view.archive.blobs
    if blobs.size(each.digest) != each.size:
        return False
    return not each.size or bool(blobs.read(each.digest, 0, 1))


def _row(view: View, each: NamedFile, *, may_ask: bool) -> dict[str, Any]:
    here = is_here(view, each)
    where = view.archive.blobs.where(each.digest) if here else None
    return {
        "delivery": each.delivery.hex(),
        "at": each.at,
        "sha256": each.digest.hex(),
        "size": each.size,
        "name": None if each.name is None else shown(each.name),
        "public": each.public,
        "may_ask": may_ask,
        "here": here,
        "by_hand": each.size > FILE_BYTES_MAX,
        "bytes": each.size if here else view.archive.blobs.begun(each.digest),
        "path": None if where is None else str(where),
    }
