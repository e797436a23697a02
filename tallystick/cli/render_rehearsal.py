"""A rehearsal as a person reads it: what became of each event, then who has what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tallystick.cli.errors import explain
from tallystick.cli.text import clean, plural, table

if TYPE_CHECKING:
    from tallystick.protocol.rehearsal import Rehearsal

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


def rehearsal(played: Rehearsal) -> str:
    """What was void and why, deals, votes, and the accounts at the end."""
    answer = played.to_json()
    counts = (("event", len(answer["entries"])), ("block", answer["height"]), ("posting", answer["postings"]))
    parts = [
        f"{clean(played.scenario.charter.name)}, after {moment(answer['time'])}: "
        + ", ".join(plural(count, word) for word, count in counts),
        *_void(played),
        _deals(answer),
        _proposals(answer),
        _points(answer),
        *_money(answer),
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


def _deals(answer: Mapping[str, Any]) -> str:
    if not answer["deals"]:
        return ""
    rows = ((name, deal["status"], deal["gross"], deal["award"]) for name, deal in answer["deals"].items())
    return table(("deal", "status", "gross", "award"), rows, right="gross award")


def _proposals(answer: Mapping[str, Any]) -> str:
    return table(("proposal", "outcome"), answer["proposals"].items()) if answer["proposals"] else ""


def _points(answer: Mapping[str, Any]) -> str:
    accounts = answer["accounts"]["POINT"]
    vested = {f"partner/{name}": points for name, points in answer["vested"].items()}
    rows = [(name, amount, vested.get(name)) for name, amount in accounts.items()]
    return table(("points", "amount", "vested"), rows, right="amount vested")


def _money(answer: Mapping[str, Any]) -> Iterator[str]:
    for commodity, accounts in answer["accounts"].items():
        if commodity != "POINT" and accounts:
            yield table((commodity, "amount"), accounts.items(), right="amount")
