"""A rehearsal as a person reads it: what became of each event, then who has what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli.errors import explain
from tallystick.cli.text import clean, plural, table
from tallystick.node.currency import amount_text

if TYPE_CHECKING:
    from tallystick.protocol.rehearsal import Rehearsal

_OF_PEOPLE: Final = ("partner/", "capital/", "donation/", "payable/", "paid/", "escrow/")
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


#: With more deals or accounts than this, a person is told what they come to; `-v` has them all.
ROWS_MAX: Final = 30
#: So many accounts are shown then, the largest.
ROWS_SHOWN: Final = 12


def rehearsal(played: Rehearsal, *, everything: bool = False) -> str:
    """What was void and why, deals, votes, and the accounts at the end."""
    answer = played.to_json()
    counts = (("event", len(answer["entries"])), ("block", answer["height"]), ("posting", answer["postings"]))
    parts = [
        f"{clean(played.scenario.charter.name)}, after {moment(answer['time'])}: "
        + ", ".join(plural(count, word) for word, count in counts),
        *_void(played),
        _deals(answer, everything=everything),
        _proposals(answer),
        _points(answer, everything=everything),
        *_money(answer, everything=everything),
    ]
    return "\n\n".join(filter(None, parts))


def moment(time: int) -> str:
    """A time since the founding: `12d`, `12d 6h`."""
    days, rest = divmod(time, _DAY_MS)
    hours, rest = divmod(rest, _HOUR_MS)
    words = [f"{days}d" if days or not hours else "", f"{hours}h" if hours else ""]
    return " ".join(filter(None, words)) + ("+" if rest else "")


def _void(played: Rehearsal) -> Iterator[str]:
    rows = [
        (
            outcome.event.key,
            moment(outcome.event.at),
            outcome.event.by,
            outcome.event.do,
            f"{outcome.reason}: {explain(outcome.reason, outcome.detail)}",
        )
        for outcome in played.outcomes
        if outcome.reason is not None
    ]
    if rows:
        yield table(("void", "at", "by", "what", "why"), rows)


def _deals(answer: Mapping[str, Any], *, everything: bool) -> str:
    deals = answer["deals"]
    if not deals:
        return ""
    if len(deals) <= ROWS_MAX or everything:
        rows = ((name, deal["status"], deal["gross"], deal["award"]) for name, deal in deals.items())
        return table(("deal", "status", "gross", "award"), rows, right="gross award")
    sums: dict[str, list[int]] = {}
    for deal in deals.values():
        row = sums.setdefault(deal["status"], [0, 0, 0])
        for at, number in enumerate((1, deal["gross"], deal["award"] or 0)):
            row[at] += number
    return table(
        ("deals", "number", "gross", "award"),
        ((status, *row) for status, row in sorted(sums.items())),
        right="number gross award",
    )


def _proposals(answer: Mapping[str, Any]) -> str:
    return table(("proposal", "outcome"), answer["proposals"].items()) if answer["proposals"] else ""


def _points(answer: Mapping[str, Any], *, everything: bool) -> str:
    accounts = answer["accounts"]["POINT"]
    vested = {f"partner/{name}": points for name, points in answer["vested"].items()}
    rows = [(name, accounts[name], vested.get(name)) for name in _shown(accounts, everything=everything)]
    return table(("points", "amount", "vested"), rows, right="amount vested") + _rest(accounts, len(rows))


def _money(answer: Mapping[str, Any], *, everything: bool) -> Iterator[str]:
    for commodity, accounts in answer["accounts"].items():
        if commodity != "POINT" and accounts:
            shown = _shown(accounts, everything=everything)
            rows = [(name, amount_text(accounts[name], commodity)) for name in shown]
            yield table((commodity, "amount"), rows, right="amount") + _rest(accounts, len(rows))


def _shown(accounts: Mapping[str, int], *, everything: bool) -> list[str]:
    """Names of all accounts, or of the venture's own and the largest others."""
    if len(accounts) <= ROWS_MAX or everything:
        return list(accounts)
    own = [name for name in accounts if not name.startswith(_OF_PEOPLE)]
    others = [name for name in accounts if name.startswith(_OF_PEOPLE)]
    return [*own, *sorted(others, key=lambda name: (-abs(accounts[name]), name))[:ROWS_SHOWN]]


def _rest(accounts: Mapping[str, int], shown: int) -> str:
    return f"\nand {plural(len(accounts) - shown, 'smaller account')}" if shown < len(accounts) else ""
