"""Where the ledger stands, and what waits for whom.

Source: docs/spec/cli.md#status, docs/spec/finality.md#words
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from tallystick.node import layout, status_words
from tallystick.node.forking import read_fork
from tallystick.node.lineage import left_for
from tallystick.node.names import shown
from tallystick.node.sealer_requests import Request, request_words, sealer_requests
from tallystick.node.status_words import Missing
from tallystick.protocol.kinds.recover import RecoverRequest
from tallystick.protocol.quorum import quorum
from tallystick.protocol.refounding import is_waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View
    from tallystick.protocol.records import Sealer


#: Sentences about those who ask to seal.
_ASKING_MAX: Final = 5


def status(view: View, args: ReadArgs) -> dict[str, Any]:
    """`status{}`: the newest block, who seals, what is pending and for whom it waits; `waits` says it in sentences."""
    ledger, node = view.ledger, view.node
    head = ledger.head
    refusal = view.archive.store.refusal
    read_only = (None if node is None else node.read_only) or (None if refusal is None else refusal.message)
    mute = None if node is None else node.mute
    if mute is None and view.archive.store.is_restored:
        mute = view.archive.mute_reason() or status_words.MUTE
    forked = read_fork(view.archive)
    pending = len(ledger.pool)
    sealers = () if view.is_empty else ledger.sealers()
    is_due = bool(head.height) and ledger.due_by(view.now)
    missing, need = missing_sealers(view, sealers)
    waits = waits_of(view, sealers, pending, is_due, need, missing)
    warning = status_words.update_words(view.sealed.rules[""].version) if head.height else None
    if warning is None and node is not None and forked is None:
        warning = node.warning
    if warning is not None:
        waits.insert(0, f"this computer seals nothing: {warning}")
    return {
        "ledger": ledger.id.hex(),
        "name": None if view.is_empty else shown(ledger.charter.name),
        "height": head.height,
        "block": head.block_id.hex() if head.height else None,
        "state_root": head.state_root.hex() if head.height else None,
        "pending": pending,
        "orphans": _loose_count(view) if node is None else node.orphans,
        "sealers": [sealer_row(row, view.name(row.member)) for row in sealers],
        "quorum": quorum(len(sealers)) if sealers else 0,
        "waiting_for": [waiting_row(each, view.name(each.partner)) for each in missing] if pending or is_due else [],
        "peers": 0 if node is None else sum(1 for peer in node.peers if peer.connected),
        "node_running": node is not None,
        "read_only": read_only is not None,
        "mute": mute is not None,
        # Beyond what programs were promised.
        "read_only_reason": read_only,
        "mute_reason": mute,
        "fork": None if forked is None else forked.height,
        "left": left_for(view.archive),
        "refounded": None if view.is_empty else _refounded_row(view),
        "time": head.time if head.height else None,
        "charter_version": view.sealed.charter_row.version if head.height else None,
        "due": is_due,
        "me": None if view.me is None else view.me.hex(),
        "my_name": None if view.me is None else view.name(view.me),
        "my_status": _my_status(view),
        "sealing": None if node is None else _sealing_row(view),
        "addresses": [] if node is None else list(node.addresses),
        "waits": waits,
        "sold": False if view.is_empty else view.preview.course.sold,
        "asking": [] if view.is_empty else [_asking_row(view, each) for each in sealer_requests(view)],
        "amendment": _amendment_row(view),
        "catching_up": None if node is None or node.catching_up is None else asdict(node.catching_up),
    }


def _refounded_row(view: View) -> dict[str, Any] | None:
    """From where the ledger goes on, and who is not back; None where it was not founded anew."""
    state = view.preview
    row = state.refounded.get("")
    if row is None:
        return None
    awaited = sorted(state.awaited)
    return {
        "ledger": row.ledger.hex(),
        "height": row.height,
        "signed": len(row.signed),
        "partners": row.partners,
        "joined": row.joined,
        "is_open": not is_waiting(state),
        "awaited": [{"partner": member.hex(), "name": view.name(member)} for member in awaited],
    }


def sealer_row(row: Sealer, name: str | None) -> dict[str, Any]:
    """One of those who seal the next block."""
    return {
        "partner": row.member.hex(),
        "name": name,
        "device": row.device.hex(),
        "node_key": row.node_key.hex(),
        "status": row.status,
        "seen": row.seen,
    }


def _asking_row(view: View, each: Request) -> dict[str, Any]:
    """Somebody who asks to seal, and who has to agree still."""
    return {
        "partner": each.member.hex(),
        "name": view.name(each.member),
        "role": each.role or None,
        "agreed": [other.hex() for other in each.agreed],
        "missing": [other.hex() for other in each.missing],
        "needed": each.needed,
    }


def waiting_row(each: Missing, name: str | None) -> dict[str, Any]:
    """Somebody whose computer is waited for."""
    return {"partner": each.partner.hex(), "name": name, "away_ms": each.away_ms}


def missing_sealers(view: View, sealers: Sequence[Sealer]) -> tuple[list[Missing], int]:
    """The sealers that are not there, longest away first, and how many of them a block needs.

    There is who has handed in a READY or is connected to this node, and this device itself.
    """
    node = view.node
    there: set[bytes] = set()
    last: dict[bytes, int] = {}
    if node is not None:
        there = {peer.key for peer in node.peers if peer.connected}
        last = {peer.key: peer.seen for peer in node.peers}
        if node.sealing is not None and node.sealing.height == view.ledger.head.height + 1:
            there.update(node.sealing.ready)
    absent = [row for row in sealers if row.node_key not in there and row.device != view.device]
    missing = [
        Missing(row.member, view.called(row.member), max(0, view.now - max(row.seen, last.get(row.node_key, 0))))
        for row in absent
    ]
    missing.sort(key=lambda each: (-each.away_ms, each.partner))
    need = quorum(len(sealers)) - (len(sealers) - len(absent)) if sealers else 0
    return ([], 0) if need <= 0 else (missing, need)


def waits_of(
    view: View, sealers: Sequence[Sealer], pending: int, is_due: bool, need: int, missing: Sequence[Missing]
) -> list[str]:
    """What holds for this ledger, in sentences."""
    if view.is_empty:
        return [status_words.EMPTY_ASKING if _asks_for_keys(view) else status_words.EMPTY]
    count = len(sealers)
    said = [
        status_words.finality_words(pending, is_due, need, missing),
        _mine(view, missing),
        status_words.away_words(count),
        status_words.fork_words(count),
        _standing_words(view),
        *(request_words(view, each) for each in sealer_requests(view)[:_ASKING_MAX]),
        status_words.SOLD if view.preview.course.sold else None,
    ]
    return [each for each in said if each is not None]


def _asks_for_keys(view: View) -> bool:
    """Whether this home has asked partners for new keys, and may not have the ledger before."""
    _, loose = view.archive.load(view.ledger.id)
    return any(entry.kind == RecoverRequest.KIND for entry in loose)


def _mine(view: View, missing: Sequence[Missing]) -> str | None:
    """Deals of mine that pending entries change."""
    me, pool = view.me, view.ledger.pool.entries
    if me is None or not pool:
        return None
    touched = {ref for pending in pool.values() for ref in (pending.entry.id, *pending.body.refs())}
    state = view.preview
    deals = points = 0
    for deal_id in touched:
        deal = state.deals.get(deal_id) or state.closed.get(deal_id)
        if deal is not None and me in (deal.seller, deal.buyer):
            deals += 1
            points += deal.gross
    return status_words.mine_words(deals, points, missing)


def _my_status(view: View) -> str | None:
    member = None if view.me is None else view.preview.members.get(view.me)
    if member is None:
        return None
    return member.status if member.status != "active" else member.standing


def _standing_words(view: View) -> str | None:
    return status_words.standing_words(_my_status(view)) or _device_words(view)


def _device_words(view: View) -> str | None:
    """What becomes of a computer that signs nothing more; None of one that does."""
    state, device = view.preview, view.device
    row = state.devices.get(device)
    if row is None:
        return None
    asked = set(state.boundary.values())
    status = "retired" if row.status == "active" and ("retire", device) in asked else row.status
    if status == "active":
        return status_words.BENCHED if _is_benched(view) else None
    others = sum(
        1
        for key, other in state.devices.items()
        if other.member == row.member and key != device and other.status == "active" and ("retire", key) not in asked
    )
    return status_words.device_words(status, others)


def _is_benched(view: View) -> bool:
    """Whether this computer sealed, and rests; where a ledger was founded anew that is said otherwise."""
    rows = (row for _, row in view.preview.sealers.items() if row.device == view.device)
    return any(row.status == "benched" and row.member not in view.preview.awaited for row in rows)


def _amendment_row(view: View) -> dict[str, Any] | None:
    """A charter that has been adopted and waits out its grace."""
    row = None if view.is_empty else view.preview.amendments.get("")
    return None if row is None else {"proposal": row.proposal.hex(), "due": row.due}


def _sealing_row(view: View) -> dict[str, Any] | None:
    fact = None if view.node is None else view.node.sealing
    if fact is None:
        return None
    return {
        "height": fact.height,
        "round": fact.round,
        "step": fact.step,
        "ready": [key.hex() for key in fact.ready],
        "voted": [key.hex() for key in fact.voted],
    }


def _loose_count(view: View) -> int:
    """Entries in the store that do not connect, such as a join whose ledger is not here yet."""
    stored = sum(1 for _ in view.archive.store.iterate(prefix=layout.ENTRY))
    return max(0, stored - len(view.ledger.pool))
