"""The audit: what somebody who does not trust anybody would look at first.

Nothing here is an accusation, and no rule reads it. Two who buy only from one another may be the only two bakers.

Source: docs/spec/cli.md#audit
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.node.errors import StoreError
from tallystick.node.reads_market import all_deals, histories
from tallystick.node.reads_money import donations
from tallystick.protocol.act import POINT
from tallystick.protocol.budget import rule_of
from tallystick.protocol.charter_lint import lint
from tallystick.protocol.duty import term_at
from tallystick.protocol.membership import DAY_MS
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.view import View
    from tallystick.protocol.records_deal import Deal
    from tallystick.protocol.state import State

#: What waits longer than this for somebody's word is overdue, where the rules set no date.
WAITING_MS_MAX: Final = 7 * DAY_MS
#: An entry that claims a time so long before its block, or so long after it, is listed.
GAP_BEFORE_MS: Final = 7 * DAY_MS
GAP_AFTER_MS: Final = 600_000
#: Most rows of one kind.
ROWS_MAX: Final = 1_000

Row = dict[str, Any]


def audit(view: View, args: ReadArgs) -> Row:
    """`audit{}`: one list for each thing that is worth a look; empty lists are good news."""
    answer: Row = {"ledger": view.ledger.id.hex(), "height": view.ledger.head.height, "time": view.moment}
    deals = {} if view.is_empty else all_deals(view)
    for name, part in PARTS.items():
        answer[name] = [] if view.is_empty else list(part(view, deals))[:ROWS_MAX]
    return answer


# -- who deals with whom -----------------------------------------------------------------------------------------------


def _reciprocity(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Pairs who sell to one another, by what both have got from it."""
    sold: dict[tuple[bytes, bytes], list[int]] = {}
    for deal in deals.values():
        row = sold.setdefault((deal.seller, deal.buyer), [0, 0])
        row[0] += 1
        row[1] += deal.paid
    pairs = sorted({(min(pair), max(pair)) for pair in sold})
    rows: list[Row] = [
        {
            "partners": [one.hex(), other.hex()],
            "names": [view.name(one), view.name(other)],
            "deals": [there[0], back[0]],
            "points": [there[1], back[1]],
        }
        for one, other in pairs
        if (there := sold.get((one, other))) is not None and (back := sold.get((other, one))) is not None
    ]
    yield from sorted(rows, key=lambda row: (-min(row["points"]), -sum(row["points"]), row["partners"]))


def _concentration(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """How much of everything that was paid for deals each seller has got, and how much of it from one buyer."""
    got: dict[bytes, dict[bytes, int]] = {}
    for deal in deals.values():
        if deal.paid:
            by_buyer = got.setdefault(deal.seller, {})
            by_buyer[deal.buyer] = by_buyer.get(deal.buyer, 0) + deal.paid
    whole = sum(sum(by_buyer.values()) for by_buyer in got.values())
    rows: list[Row] = []
    for seller, by_buyer in got.items():
        points = sum(by_buyer.values())
        largest = min(by_buyer, key=lambda buyer: (-by_buyer[buyer], buyer))
        rows.append(
            {
                "partner": seller.hex(),
                "name": view.name(seller),
                "points": points,
                "percent": points * 100 // whole,
                "buyers": len(by_buyer),
                "largest_buyer": largest.hex(),
                "largest_buyer_name": view.name(largest),
                "largest_buyer_percent": by_buyer[largest] * 100 // points,
            }
        )
    yield from sorted(rows, key=lambda row: (-row["points"], row["partner"]))


def _silence(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Buyers for whom silence has decided."""
    for (member, side), past in sorted(histories(deals.items()).items()):
        if side == "buy" and past.silent:
            yield {
                "partner": member.hex(),
                "name": view.name(member),
                "silent": past.silent,
                "approved": past.approved,
            }


# -- budgets -----------------------------------------------------------------------------------------------------------


def _budgets(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """What every budget has left in the present period."""
    charter, state = view.ledger.charter, view.preview
    rules = [(rule_of(step.id), step.period, step.budget) for step in charter.steps.values() if step.payer == "pool"]
    if charter.open is not None:
        rules.append((rule_of(""), charter.open.period, charter.open.budget))
    rules += [
        (f"contribution.{deed.id}", deed.period, deed.budget) for deed in charter.contributions.values() if deed.budget
    ]
    for rule, period, budget in rules:
        index = (view.moment - state.founding.time) // period
        row = state.counts.get((f"{rule}.{period}", index, ""))
        yield {
            "rule": f"{rule}.budget",
            "budget": budget,
            "used": 0 if row is None else row.value,
            "from": state.founding.time + index * period,
            "until": state.founding.time + (index + 1) * period,
        }


# -- devices -----------------------------------------------------------------------------------------------------------


def _devices(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Devices that have signed two entries with one number, and those that were taken back."""
    state = view.preview
    for key, device in sorted(state.devices.items(), key=lambda item: (item[1].since, item[0])):
        fork = state.forks.get(key)
        if fork is None and device.status not in ("frozen", "revoked"):
            continue
        yield {
            "device": key.hex(),
            "partner": device.member.hex(),
            "name": view.name(device.member),
            "status": device.status,
            "entries": [] if fork is None else [fork.first.hex(), fork.second.hex()],
            "cut": None if device.cut is None else device.cut[0],
        }


# -- what is late ------------------------------------------------------------------------------------------------------


def _overdue(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """What somebody should have done by now, the longest overdue first."""
    yield from sorted(_late(view), key=lambda row: (row["since"], row["id"]))


def _late(view: View) -> Iterator[Row]:
    state, now = view.preview, view.moment
    for deal_id, deal in state.deals.items():
        since = deal.deadline if deal.status == "accepted" and deal.deadline else 0
        if 0 < since < now:
            yield _late_row(view, "deliver", deal_id, deal.seller, since)
        elif deal.status == "delivered" and deal.delivered_at + WAITING_MS_MAX < now:
            yield _late_row(view, "approve", deal_id, deal.buyer, deal.delivered_at + WAITING_MS_MAX)
    for claim_id, claim in state.claims.items():
        yield from _waiting(view, state, "attest", claim_id, claim.author, claim.due)
    for entry_id, row in state.money.items():
        yield from _waiting(view, state, "receipt", entry_id, row.author, row.due)
    for entry_id, correction in state.corrections.items():
        yield from _waiting(view, state, "confirm", entry_id, correction.author, correction.due)


def _waiting(
    view: View, state: State, what: str, entry_id: bytes, member: bytes, due: tuple[int, int] | None
) -> Iterator[Row]:
    """Something that nobody has confirmed for a week; it lapses after thirty days."""
    since = 0 if due is None else due[0] - 30 * DAY_MS + WAITING_MS_MAX
    if due is not None and since < view.moment:
        yield _late_row(view, what, entry_id, member, since)


def _late_row(view: View, what: str, entry_id: bytes, member: bytes, since: int) -> Row:
    return {
        "what": what,
        "id": entry_id.hex(),
        "partner": member.hex(),
        "name": view.name(member),
        "since": since,
        "days": (view.moment - since) // DAY_MS,
    }


# -- rules and times ---------------------------------------------------------------------------------------------------


def _lint(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """What a reader of the charter would be warned of."""
    state = view.sealed
    holdings = [state.balance(POINT, account_of(member)) for member in state.members]
    yield from (each._asdict() for each in lint(view.ledger.charter, [each for each in holdings if each]))


def _gaps(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Entries that claim a time far from that of their block, newest first."""
    archive = view.archive
    for height in range(view.ledger.head.height, 0, -1):
        block, time = archive.block(height), archive.block_time(height)
        if block is None or time is None:
            raise StoreError(f"block {height} is missing")
        for entry_id in reversed(block.entry_ids):
            entry = archive.entry(entry_id)
            if entry is None or -GAP_AFTER_MS <= time - entry.time <= GAP_BEFORE_MS:
                continue
            device = view.sealed.devices.get(entry.device)
            yield {
                "entry": entry_id.hex(),
                "kind": entry.kind,
                "partner": None if device is None else device.member.hex(),
                "name": None if device is None else view.name(device.member),
                "claimed": entry.time,
                "sealed": time,
                "height": height,
                "days": (time - entry.time) // DAY_MS,
            }


# -- the till ----------------------------------------------------------------------------------------------------------


def _reports_missing(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Terms of duty that are over and for which nobody has accounted, in a ledger that has money."""
    state = view.preview
    if not any(path.endswith("/cash") for path in state.accounts):
        return
    for start, end, team in _terms(view, state):
        reported = {who for period, who in state.reports if period == start}
        if not reported & team:
            yield {
                "from": start,
                "until": end,
                "partners": sorted(member.hex() for member in team),
                "names": [view.name(member) for member in sorted(team)],
            }


def _terms(view: View, state: State) -> Iterator[tuple[int, int, frozenset[bytes]]]:
    """Past terms of which it is known who served: the last one of the cycle before, and those of this cycle."""
    row = state.duties.get("")
    now = term_at(state, view.moment)
    if row is None:
        if now.start > state.founding.time:
            before = term_at(state, now.start - 1)
            yield before.start, before.end, before.team
        return
    if row.before_start:
        yield row.before_start, row.start, frozenset(row.before)
    for index, team in enumerate(row.teams):
        start = row.start + index * row.term
        if start < now.start:
            yield start, start + row.term, frozenset(team)


def _reports_different(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """Reports in which somebody counted something else than the book said at that moment."""
    for (period, member), report in sorted(view.preview.reports.items()):
        for currency, counted, booked in report.counted:
            if counted != booked:
                yield {
                    "from": period,
                    "when": report.at,
                    "partner": member.hex(),
                    "name": view.name(member),
                    "currency": currency,
                    "counted": counted,
                    "book": booked,
                    "difference": counted - booked,
                }


def _donations(view: View, deals: Mapping[bytes, Deal]) -> Iterator[Row]:
    """What everybody has given, and what it has bought."""
    return donations(view)


PARTS: Final[Mapping[str, Callable[[View, Mapping[bytes, Deal]], Iterator[Row]]]] = {
    "reciprocity": _reciprocity,
    "concentration": _concentration,
    "silence": _silence,
    "budgets": _budgets,
    "devices": _devices,
    "overdue": _overdue,
    "lint": _lint,
    "gaps": _gaps,
    "reports_missing": _reports_missing,
    "reports_different": _reports_different,
    "donations": _donations,
}
