"""A made-up history as people write it: a charter, partners, and what each of them does when.

`read_scenario` checks the whole document and reports every mistake at once; what an event *asks* for may be nonsense
(that is shown as void), what it *says* must be readable. Nothing here reads a file: `load` brings the charters named by
path.

Source: docs/spec/rehearsal.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tallystick.crypto.errors import TallystickError
from tallystick.protocol.charter import Charter, CharterError, read_charter
from tallystick.protocol.charter_fields import Duration, Refused

Load = Callable[[str], dict[str, Any]]
"""Reads the TOML of a path beside the scenario; raises OSError or CharterError."""

EVENTS_MAX: Final = 100_000
PARTNERS_MAX: Final = 10_000

#: What each command takes: partner names, names of earlier events, times, and plain values.
_PEOPLE: Final = frozenset(("to", "partner"))
_NAMES: Final = frozenset(("offer", "deal", "claim", "entry", "proposal", "from"))
_TIMES: Final = frozenset(("deadline", "expires", "until"))
_COMMANDS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(fields.split())
    for name, fields in {
        "offer": "step units side to deadline expires copies open points payer",
        "accept": "offer",
        "deliver": "deal units",
        "approve": "deal units grade",
        "reject": "deal",
        "cancel": "deal",
        "cosign": "deal",
        "dispute": "deal",
        "return": "deal",
        "verdict": "deal grade",
        "correct": "entry units grade amount",
        "confirm": "entry",
        "endorse": "offer",
        "withdraw": "offer",
        "claim": "kind count",
        "attest": "claim",
        "subscribe": "round shares",
        "receipt": "entry",
        "donate": "amount",
        "cash": "type amount category currency from",
        "use-voucher": "amount currency",
        "transfer": "to points",
        "propose": "type charter partner role take proceeds costs percent amount deal",
        "vote": "proposal choice",
        "paid": "partner amount currency",
        "received": "amount currency",
        "away": "until",
        "leave": "",
        "back": "",
    }.items()
}
_EVENT: Final = frozenset(("at", "by", "do", "as"))
_STANDINGS: Final = ("observer", "contributor", "partner")
_TOP: Final = frozenset(("charter", "partners", "roles", "inviter", "standing", "joined", "until", "event"))


class ScenarioError(TallystickError):
    """A document is no scenario; `problems` are all the reasons."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that somebody does."""

    number: int
    """From 1."""
    at: int
    """Milliseconds since founding."""
    by: str
    do: str
    name: str | None
    args: Mapping[str, Any]
    """As written, but for times, which are milliseconds since founding, and charters, which are read."""

    @property
    def key(self) -> str:
        """The name by which results call it: its own, or `#` and its number."""
        return self.name or f"#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole rehearsal, readable from end to end."""

    charter: Charter
    partners: tuple[str, ...]
    """The first one founds."""
    roles: Mapping[str, tuple[str, ...]]
    inviter: Mapping[str, str]
    standing: Mapping[str, str]
    joined: Mapping[str, int]
    until: int | None
    events: tuple[Event, ...]


def read_scenario(document: Mapping[str, Any], load: Load) -> Scenario:
    """Check a scenario. Raises ScenarioError with everything that is wrong with it, in the order of the document."""
    return _Reader(document, load).read()


class _Reader:
    def __init__(self, document: Mapping[str, Any], load: Load) -> None:
        self._document = document
        self._load = load
        self._problems: list[str] = []

    def read(self) -> Scenario:
        document = self._document
        for key in document.keys() - _TOP:
            self._problems.append(f"{key}: unknown; known are {', '.join(sorted(_TOP))}")
        charter = self._charter("charter", document.get("charter"))
        partners = self._partners(document.get("partners"))
        scenario_tables = {
            "roles": self._table("roles", partners, _texts),
            "inviter": self._table("inviter", partners, lambda value: value if value in partners else None),
            "standing": self._table(
                "standing",
                partners[1:],
                lambda value: value if value in ("observer", "contributor", "partner") else None,
            ),
            "joined": self._table("joined", partners[1:], self._duration),
        }
        events = self._events(document.get("event", []), partners)
        until = document.get("until")
        end = None
        if until is not None:
            end = self._duration(until)
            if end is None:
                self._problems.append(f'until: {until!r} is no duration such as "30d"')
            elif events and end < events[-1].at:
                self._problems.append("until: before the last event")
        if charter is not None:
            known = charter.roles
            for name, roles in scenario_tables["roles"].items():
                self._problems += [
                    f"roles.{name}: the charter has no role {role!r}" for role in roles if role not in known
                ]
        if self._problems or charter is None:
            raise ScenarioError(tuple(self._problems))
        return Scenario(charter=charter, partners=partners, until=end, events=tuple(events), **scenario_tables)

    def _charter(self, path: str, value: object) -> Charter | None:
        if isinstance(value, str):
            try:
                value = self._load(value)
            except CharterError as error:
                self._problems += [f"{path}: {problem}" for problem in error.problems]
                return None
            except OSError as error:
                self._problems.append(f"{path}: {value!r} cannot be read: {error.strerror or error}")
                return None
        if not isinstance(value, dict):
            self._problems.append(f"{path}: a path beside the scenario, or a table, is due")
            return None
        try:
            return read_charter(value)
        except CharterError as error:
            self._problems += [f"{path}: {problem}" for problem in error.problems]
            return None

    def _partners(self, value: object) -> tuple[str, ...]:
        names = _texts(value)
        if not names or len(names) > PARTNERS_MAX:
            self._problems.append("partners: a list of names is due, the founder first")
            return ()
        if len(set(names)) != len(names):
            self._problems.append("partners: a name stands twice")
        return names

    def _table(self, name: str, partners: tuple[str, ...], read: Callable[[Any], Any]) -> dict[str, Any]:
        table = self._document.get(name, {})
        if not isinstance(table, dict):
            self._problems.append(f"{name}: a table by partner is due")
            return {}
        out = {}
        for partner, value in table.items():
            if partner not in partners:
                self._problems.append(f"{name}.{partner}: not one of the partners here")
            elif (read_value := read(value)) is None:
                self._problems.append(f"{name}.{partner}: {value!r} cannot be used here")
            else:
                out[partner] = read_value
        return out

    @staticmethod
    def _duration(value: object) -> int | None:
        try:
            return Duration(zero=True).read(value)
        except Refused:
            return None

    def _events(self, rows: object, partners: tuple[str, ...]) -> list[Event]:
        if not isinstance(rows, list) or len(rows) > EVENTS_MAX:
            self._problems.append("event: an array of tables is due")
            return []
        events: list[Event] = []
        names: dict[str, str] = {}
        at_last = 0
        for number, row in enumerate(rows, start=1):
            event = self._event(number, row, partners, names, at_last)
            if event is not None:
                events.append(event)
                at_last = event.at
        return events

    def _event(
        self, number: int, row: object, partners: tuple[str, ...], names: dict[str, str], at_last: int
    ) -> Event | None:
        path = f"event[{number}]"
        if not isinstance(row, dict):
            self._problems.append(f"{path}: a table is due")
            return None
        before = len(self._problems)
        at = self._duration(row.get("at"))
        if at is None:
            self._problems.append(f"{path}.at: {row.get('at')!r} is no duration since founding")
        elif at < at_last:
            self._problems.append(f"{path}.at: before the event above it")
        by, do, name = row.get("by"), row.get("do"), row.get("as")
        if by not in partners:
            self._problems.append(f"{path}.by: {by!r} is not one of the partners")
        fields = _COMMANDS.get(do) if isinstance(do, str) else None
        if fields is None:
            self._problems.append(f"{path}.do: {do!r} has no place in a rehearsal")
            return None
        if name is not None and (not isinstance(name, str) or not name or name.startswith("#")):
            self._problems.append(f"{path}.as: {name!r} is no name")
        elif name in names:
            self._problems.append(f"{path}.as: {name!r} was used before")
        args = self._args(
            path, {k: v for k, v in row.items() if k not in ("at", "by", "do", "as")}, fields, partners, names
        )
        if isinstance(name, str):
            names[name] = str(do)
        if len(self._problems) > before or at is None:
            return None
        return Event(number=number, at=at, by=str(by), do=str(do), name=name, args=args)

    def _args(
        self,
        path: str,
        row: Mapping[str, Any],
        fields: frozenset[str],
        partners: tuple[str, ...],
        names: Mapping[str, str],
    ) -> dict[str, Any]:
        args: dict[str, Any] = {}
        for key, value in row.items():
            if key not in fields:
                self._problems.append(f"{path}.{key}: unknown here; known are {', '.join(sorted(fields)) or 'none'}")
            elif key in _PEOPLE and value not in partners:
                self._problems.append(f"{path}.{key}: {value!r} is not one of the partners")
            elif key in _NAMES and value not in names:
                self._problems.append(f"{path}.{key}: nothing above is called {value!r}")
            elif key in _TIMES:
                moment = self._duration(value)
                args[key] = moment
                if moment is None:
                    self._problems.append(f"{path}.{key}: {value!r} is no duration since founding")
            elif key == "charter":
                args[key] = self._charter(f"{path}.charter", value)
            else:
                args[key] = value
        return args


def _texts(value: object) -> tuple[str, ...]:
    """A list of texts, or nothing."""
    if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    return ()
