"""The evidence of a deal: which deliveries name which files, and who may ask for their bytes.

The two sides may, whoever may cosign while a third partner is asked for, and the panel of a dispute; others when the
seller said so. What is erased nobody may have.

Source: docs/spec/sync.md#evidence
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallystick.protocol import corrections
from tallystick.protocol.membership import is_full_partner

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """One file that a delivery names."""

    delivery: bytes
    digest: bytes
    size: int
    name: str | None
    """As the seller typed it: never a path."""
    at: int
    """When the delivery says that it was made."""
    public: bool
    """The seller said that every member may have it."""


def may_see(state: State, deal_id: bytes, deal: Deal, member: bytes, now: int) -> bool:
    """Whether a member may have what was delivered in a deal, though the seller did not say that all may."""
    if member in (deal.seller, deal.buyer) or member in deal.panel:
        return True
    row = state.members.get(member)
    return row is not None and is_full_partner(row, now) and _asks_a_third(state, deal_id, deal)


def _asks_a_third(state: State, deal_id: bytes, deal: Deal) -> bool:
    """Whether some partner is asked to cosign: the approval, or a correction that pays more."""
    if deal.status == "waiting":
        return True
    correction_id = state.corrections.of(deal_id)
    if correction_id is None:
        return False
    row = state.corrections[correction_id]
    return corrections.is_of_deal(row) and not row.cosigned and corrections.may_need_cosign(deal, row)


def is_public(view: View, entry_id: bytes) -> bool:
    """Whether the seller said with a delivery that every member may have its files."""
    words = view.words(entry_id)
    return words is not None and words.get("public") is True


def files_of(view: View, deal_id: bytes, deal: Deal) -> list[NamedFile]:
    """Every file that a delivery of a deal names, in the order of the deliveries; without those that are erased."""
    found = []
    for entry in _deliveries(view, deal_id, deal):
        words = view.words(entry.id)
        if entry.id in view.preview.erased:
            continue
        names = (words or {}).get("files")
        for number, (digest, size) in enumerate(entry.body.get("evidence") or ()):
            name = names[number] if isinstance(names, list) and number < len(names) else None
            found.append(
                NamedFile(
                    delivery=entry.id,
                    digest=digest,
                    size=size,
                    name=name if isinstance(name, str) and name else None,
                    at=entry.time,
                    public=words is not None and words.get("public") is True,
                )
            )
    return found


def _deliveries(view: View, deal_id: bytes, deal: Deal) -> Iterator[Entry]:
    """Deliveries of a deal by its seller that are not void, the sealed ones first."""
    archive = view.archive
    accepted = archive.sealed_row(deal_id)
    if accepted is not None:
        # Between the acceptance and the decision: nothing is delivered before or after.
        for height in range(accepted.height, view.ledger.head.height + 1):
            block = archive.block(height)
            ids = () if block is None else block.entry_ids
            for entry_id, wire in zip(ids, archive.wires_of(height, ids), strict=True):
                if deal_id not in wire[0]:
                    continue
                row = archive.sealed_row(entry_id)
                if row is not None and not row.reason and (entry := _delivery(view, entry_id, deal_id, deal)):
                    yield entry
            time = archive.block_time(height)
            if deal.decided and time is not None and time > deal.decided:
                break
    for pending in sorted(view.ledger.pool.entries.values(), key=lambda row: (row.level, row.entry.id)):
        if pending.entry.kind == "deliver" and (entry := _delivery(view, pending.entry.id, deal_id, deal)):
            yield entry


def _delivery(view: View, entry_id: bytes, deal_id: bytes, deal: Deal) -> Entry | None:
    entry = view.entry(entry_id)
    if entry is None or entry.kind != "deliver" or entry.body["deal"] != deal_id:
        return None
    device = view.preview.devices.get(entry.device)
    return entry if device is not None and device.member == deal.seller else None
