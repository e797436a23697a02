"""Questions about a charter that is not in force: what it says differently, and what it would have come to.

Source: docs/spec/cli.md#charter
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tallystick.node.errors import HomeReason, StoreError
from tallystick.node.founding import CharterInvalidError
from tallystick.node.proposal_words import resolve_charter
from tallystick.node.read_args import ReadArgumentError
from tallystick.node.resolve import UnresolvedError
from tallystick.protocol.act import POINT
from tallystick.protocol.charter import Charter, CharterError, read_charter, read_toml
from tallystick.protocol.charter_diff import differences
from tallystick.protocol.charter_lint import check_partners, lint
from tallystick.protocol.lots import vested_of
from tallystick.protocol.pay import account_of
from tallystick.protocol.simulation import PastBlock, Simulation

if TYPE_CHECKING:
    from tallystick.node.read_args import CharterCheckArgs, CharterTextArgs
    from tallystick.node.view import View
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State


def charter_check(view: View, args: CharterCheckArgs) -> dict[str, Any]:
    """`charter_check{charter, partners?}`: whether it is a charter, and what may hurt; it needs no ledger."""
    try:
        charter = read_charter(read_toml(args.charter))
    except CharterError as error:
        raise CharterInvalidError("the charter", error) from error
    return checked(charter, args.partners)


def checked(charter: Charter, partners: int | None) -> dict[str, Any]:
    """What is to be said of a charter: warnings, and with `partners` the rules that so many can never meet."""
    answer = {
        "ok": True,
        "name": charter.name,
        "hash": charter.hash.hex(),
        "bytes": len(charter.bytes),
        "lint": [each._asdict() for each in lint(charter)],
    }
    if partners is not None:
        answer |= {"partners": partners, "never": [each._asdict() for each in check_partners(charter, partners)]}
    return answer


def charter_diff(view: View, args: CharterTextArgs) -> dict[str, Any]:
    """`charter_diff{charter | proposal}`: every setting that would change, defaults filled in."""
    charter = _read(view, args)
    now = view.ledger.charter
    return {
        "in_force": now.hash.hex(),
        "proposed": charter.hash.hex(),
        "same": now == charter,
        "differences": [each._asdict() for each in differences(now, charter)],
    }


def charter_simulate(view: View, args: CharterTextArgs) -> dict[str, Any]:
    """`charter_simulate{charter | proposal}`: all that is sealed, as if this charter had always been in force.

    What is pending is left out. An offer is taken with the terms of the proposed charter.
    """
    charter = _read(view, args)
    ledger = view.ledger
    head = ledger.head
    played = Simulation(charter, ledger.id, view.archive).play(_blocks(view))
    real, made = view.sealed, played.state
    return {
        "ledger": ledger.id.hex(),
        "height": head.height,
        "time": head.time,
        "in_force": ledger.charter.hash.hex(),
        "proposed": charter.hash.hex(),
        "pool": real.balance(POINT, "pool"),
        "pool_simulated": made.balance(POINT, "pool") if made.charters else 0,
        "rows": list(_rows(view, real, made, head.time)),
        "deals": list(_deals(view, real, played)),
        **_entries(view, played),
        "left_out": [entry_id.hex() for entry_id in played.left_out],
    }


def _read(view: View, args: CharterTextArgs) -> Charter:
    if view.is_empty:
        raise UnresolvedError("the ledger is not here yet", reason=HomeReason.NOT_FOUND)
    if (args.charter is None) is (args.proposal is None):
        raise ReadArgumentError("a charter, or a proposal that is about one")
    if args.proposal is not None:
        return resolve_charter(view, args.proposal)
    text = args.charter or ""
    try:
        return read_charter(read_toml(text))
    except CharterError as error:
        raise CharterInvalidError("the charter", error) from error


def _blocks(view: View) -> Iterator[PastBlock]:
    archive = view.archive
    for height in range(1, view.ledger.head.height + 1):
        block, time = archive.block(height), archive.block_time(height)
        if block is None or time is None:
            raise StoreError(f"block {height} is missing")
        entries = [(_entry(view, entry_id), entry_id) for entry_id in block.entry_ids]
        yield PastBlock(height, time, [(entry, _moment(view, entry_id)) for entry, entry_id in entries])


def _entry(view: View, entry_id: bytes) -> Entry:
    entry = view.archive.entry(entry_id)
    if entry is None:
        raise StoreError(f"entry {entry_id.hex()[:8]} is missing")
    return entry


def _moment(view: View, entry_id: bytes) -> int:
    row = view.archive.sealed_row(entry_id)
    if row is None:
        raise StoreError(f"where entry {entry_id.hex()[:8]} is sealed is not written down")
    return row.at


def _rows(view: View, real: State, made: State, time: int) -> Iterator[dict[str, Any]]:
    """Everybody, and what the difference would be."""
    members = sorted(real.members.items(), key=lambda item: (item[1].since, item[0]))
    for member, _ in members:
        points = real.balance(POINT, account_of(member))
        simulated = made.balance(POINT, account_of(member))
        yield {
            "partner": member.hex(),
            "name": view.name(member),
            "points": points,
            "simulated": simulated,
            "difference": simulated - points,
            "vested": vested_of(real, member, time),
            "vested_simulated": vested_of(made, member, time) if member in made.members else 0,
        }


def _deals(view: View, real: State, played: Simulation) -> Iterator[dict[str, Any]]:
    """Deals that would stand or have ended otherwise."""
    deals: dict[bytes, Deal] = dict(view.archive.closed_deals())
    deals |= dict(real.deals.items())
    for deal_id, deal in sorted(deals.items(), key=lambda item: (item[1].accepted, item[0])):
        other = played.deal(deal_id)
        status, paid = (None, 0) if other is None else (other.status, other.paid)
        if (status, paid) != (deal.status, deal.paid):
            yield {
                "deal": deal_id.hex(),
                "step": deal.step or None,
                "status": deal.status,
                "status_simulated": status,
                "award": deal.paid,
                "award_simulated": paid,
            }


def _entries(view: View, played: Simulation) -> dict[str, list[dict[str, Any]]]:
    """Entries that would be void, and those that were and would not be."""
    out: dict[str, list[dict[str, Any]]] = {"void": [], "no_longer_void": []}
    for entry_id, judged in played.results.items():
        row = view.archive.sealed_row(entry_id)
        if row is None or bool(row.reason) is (judged.reason is not None):
            continue
        entry = _entry(view, entry_id)
        device = view.sealed.devices.get(row.device)
        out["void" if judged.reason is not None else "no_longer_void"].append(
            {
                "entry": entry_id.hex(),
                "kind": entry.kind,
                "member": None if device is None else device.member.hex(),
                "name": None if device is None else view.name(device.member),
                "height": row.height,
                "reason": row.reason if judged.reason is None else str(judged.reason),
                "detail": row.detail if judged.reason is None else judged.detail,
            }
        )
    return out
