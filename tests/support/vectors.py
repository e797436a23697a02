"""Golden cases of entry kinds: a little history, then one entry, and what becomes of it.

A case of `tests/vectors/kinds/<kind>.json`:

    {"name": ..., "given": [event, ...], "when": event, "expect": null or a reason, "postings": [[...], ...]}

`when` is an entry of the kind that the file is named after; `expect` says why it is void, null that it is not, and
`postings` (commodity, from, to, amount) are what it then moves. Events of `given`, which must all work, are

    {"by": "bo", "do": KIND, "as": NAME, "at": "3d", field: value, ...}   an entry, with a name; `at` since the founding
    {"wait": "3d"}, {"seal": true}, {"join": "ed", "standing": "contributor"},
    {"refound": "ana", "signed": ["bo"]}   founded anew a week later, signed by these too; `@ledger` is its id
    {"amend": {table: ...}}   a charter with these tables, put in force by hand
    {"set": "bo", field: value, ...}   fields of a member's row, changed by hand: what other kinds would have done
    {"book": [commodity, from, to, amount]}   a posting by hand

A text `@name` stands for the id of an entry or member, `key:name` for the key of somebody's device, `charter:` for
the hash of the charter in force, `+3d` for a moment from now on, `{"charter": {table: ...}}` for the bytes of a
charter with these tables. An offer needs no terms: they are those of the charter; instead of a step it may have
`open`, its points, and `payer`. The charter is that of `tests/support/market.py` with the tables of the file's
`charter`; the partners are `ana`, who founds, and `partners`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

from tallystick.protocol.charter import canonical
from tallystick.protocol.charter_fields import Duration
from tallystick.protocol.kinds.table import read_body
from tests.support.builders import START_MS, World, key
from tests.support.market import MARKET
from tests.support.refounding import refound

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "kinds"

Case = dict[str, Any]
Event = dict[str, Any]


def read_cases(kind: str) -> list[Case]:
    """The cases of one kind, each with the charter and the partners of the file, and its number."""
    document = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    shared = {key: document[key] for key in ("charter", "partners") if key in document}
    assert document["about"]
    return [shared | case | {"kind": kind} for case in document["cases"]]


class Stage:
    """A world in which names stand for ids."""

    def __init__(self, case: Case) -> None:
        tables = case.get("charter", {})
        self.document = copy.deepcopy(MARKET) | tables
        self.world = World.found(self.document, *case.get("partners", ("bo", "cy", "di")))
        self.ids: dict[str, bytes] = {}

    def play(self, event: Event) -> None:
        """One event before the one that matters."""
        world = self.world
        event = dict(event)
        if "wait" in event:
            if len(world.ledger.pool):
                # Nobody's silence means anything before it is sealed what there is to answer.
                world.seal()
            world.wait(_ms(event["wait"]))
        elif "seal" in event:
            world.seal()
        elif "join" in event:
            world.join(event["join"], standing=event["standing"])
        elif "refound" in event:
            self.world = refound(world, event["refound"], *event["signed"])
            self.ids["ledger"] = self.world.ledger.id
        elif "amend" in event:
            world.amend(self.document | event["amend"])
        elif "book" in event:
            commodity, source, target, amount = event["book"]
            world.book(commodity, self.path(source), self.path(target), amount)
        elif "set" in event:
            world.alter(event.pop("set"), **{key: self.value(value) for key, value in event.items()})
        else:
            entry_id = self.send(event)
            result = world.outcome(entry_id)
            assert result.reason is None, f"{event}: {result.reason} {result.detail}"

    def send(self, event: Event) -> bytes:
        """Write the entry of an event; return its id."""
        fields = dict(event)
        name, kind, label, at = (fields.pop(each, None) for each in ("by", "do", "as", "at"))
        body = {key: self.value(value) for key, value in fields.items()}
        if kind == "offer":
            body = self.offer(body)
        time = None if at is None else START_MS + _ms(at)
        entry_id = self.world.send(name, read_body(kind, body), time=time)
        if label is not None:
            self.ids[label] = entry_id
        return entry_id

    def offer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The map of an offer, with its terms filled in unless the event has them."""
        side = body.pop("side", "sell")
        if "terms" in body:
            return body | {"side": side, "units": body.get("units", 1)}
        if "open" in body:
            return self.world.open_offer(body.pop("open"), side, **body).to_map()
        body.setdefault("units", 1)
        more = {key: body.pop(key) for key in list(body) if key not in ("step", "units")}
        return self.world.offer(body["step"], body["units"], side).to_map() | more

    def value(self, value: Any) -> Any:
        """A value of a field, names and moments resolved."""
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict) and value.keys() == {"charter"}:
            return canonical(self.document | value["charter"])
        if value == "charter:":
            return self.world.view().charter_row.digest
        if isinstance(value, str) and value.startswith("key:"):
            return key(value.removeprefix("key:")).public
        if isinstance(value, str) and value.startswith("@"):
            name = value[1:]
            return self.ids[name] if name in self.ids else self.world.people[name].member
        if isinstance(value, str) and value.startswith(("+", "-")):
            return self.world.now + (-1 if value[0] == "-" else 1) * _ms(value[1:])
        return value

    def path(self, account: str) -> str:
        """An account whose name after the `/` may be that of a person or entry."""
        kind, _, who = account.partition("/")
        return f"{kind}/{self.value(who).hex()}" if who.startswith("@") else account

    def account(self, text: str) -> str:
        """An account with names instead of ids."""
        kind, _, who = text.partition("/")
        for name, entry_id in [*self.ids.items(), *((n, p.member) for n, p in self.world.people.items())]:
            if who == entry_id.hex():
                return f"{kind}/{name}"
        return text


def play(case: Case) -> tuple[str | None, list[list[Any]]]:
    """Run a case; return the reason for which its entry is void, and what it moved."""
    stage = Stage(case)
    for event in case.get("given", ()):
        stage.play(event)
    event = case["when"]
    assert event.get("do", case["kind"]) == case["kind"]
    entry_id = stage.send({"as": "it", **event, "do": case["kind"]})
    result = stage.world.outcome(entry_id)
    moved = [
        [row.commodity, stage.account(row.source), stage.account(row.target), row.amount] for row in result.postings
    ]
    # Sealed, it is what the preview said, and the books balance.
    stage.world.seal()
    assert stage.world.outcome(entry_id).reason == result.reason
    return (None if result.reason is None else result.reason.value), moved


def _ms(duration: str) -> int:
    return Duration(zero=True).read(duration)
