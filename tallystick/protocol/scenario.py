"""A made-up history as people write it: a charter, partners, and what each of them does when.

`read_scenario` checks the whole document and reports every mistake at once. What an event *asks* for may be nonsense:
what the command line would refuse is shown as void (`Event.refused`). What it *says* must be readable. Nothing here
reads a file: `load` brings the charters named by path.

Source: docs/spec/rehearsal.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from tallystick.crypto.errors import TallystickError
from tallystick.protocol.charter import Charter, CharterError, Problem, parse_toml, read_charter
from tallystick.protocol.charter_fields import Duration, Refused

T = TypeVar("T")

Load = Callable[[str], dict[str, Any]]
"""Reads the TOML of a path beside the scenario; raises OSError or CharterError."""

#: Most characters of a scenario.
TEXT_LENGTH_MAX: Final = 32 * 1024 * 1024
EVENTS_MAX: Final = 100_000
PARTNERS_MAX: Final = 10_000

#: What each command takes: partner names, names of earlier events, times, and plain values.
_PEOPLE: Final = frozenset(("to", "partner"))
_NAMES: Final = frozenset(("offer", "deal", "claim", "entry", "proposal", "from"))
_TIMES: Final = frozenset(("deadline", "expires", "until"))
#: Words to the others, which no rule reads.
_WORDS: Final = frozenset(("note", "reason", "purpose", "text"))
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


class Mistake(NamedTuple):
    """One thing that is wrong with a scenario."""

    path: str
    """Such as `event[3].by`; events are numbered from 1."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ScenarioError(TallystickError):
    """A document is no scenario; `problems` are all the reasons, in the order of the document."""

    def __init__(self, problems: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
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
    refused: str = ""
    """Why no command line would sign this; empty where it might."""

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


def read_text(text: str) -> dict[str, Any]:
    """Parse a scenario written as TOML. Raises ScenarioError."""
    try:
        return parse_toml(text, TEXT_LENGTH_MAX)
    except CharterError as error:
        raise ScenarioError(tuple(Mistake(each.path, _without_path(each)) for each in error.problems)) from None


def read_scenario(document: Mapping[str, Any], load: Load) -> Scenario:
    """Check a scenario. Raises ScenarioError with everything that is wrong with it, in the order of the document."""
    return _Reader(document, load).read()


class _Reader:
    def __init__(self, document: Mapping[str, Any], load: Load) -> None:
        self._document = document
        self._load = load
        self._mistakes: list[Mistake] = []
        self._founder: str | None = None

    def read(self) -> Scenario:
        document = self._document
        for key in document:
            if key not in _TOP:
                self._note(key, f"unknown; known are {', '.join(sorted(_TOP))}")
        charter = self._charter("charter", document.get("charter"))
        partners = self._partners(document.get("partners"))
        self._founder, others = (partners[0] if partners else None), partners[1:]
        roles = self._table("roles", partners, _list_of_texts, "a list of roles")
        inviter = self._table("inviter", others, _one_of(partners), "one of the partners")
        standing = self._table("standing", others, _one_of(_STANDINGS), " or ".join(_STANDINGS))
        joined = self._table("joined", others, _duration, _A_DURATION)
        if charter is not None:
            for name, held in roles.items():
                for role in held:
                    if role not in charter.roles:
                        self._note(f"roles.{name}", f"the charter has no role {role!r}")
        events = self._events(document.get("event", []), partners)
        until = self._until(document.get("until"), events)
        if self._mistakes or charter is None:
            raise ScenarioError(tuple(self._mistakes))
        return Scenario(
            charter=charter,
            partners=partners,
            roles=roles,
            inviter=inviter,
            standing=standing,
            joined=joined,
            until=until,
            events=tuple(events),
        )

    def _note(self, path: str, message: str) -> None:
        self._mistakes.append(Mistake(path, message))

    # -- the top -------------------------------------------------------------------------------------------------------

    def _charter(self, path: str, value: object) -> Charter | None:
        """The charter of the rehearsal; None, and what is wrong noted, where it is none."""
        document = self._loaded(path, value)
        if document is None:
            return None
        try:
            return read_charter(document)
        except CharterError as error:
            self._note_charter(path, error)
            return None

    def _loaded(self, path: str, value: object) -> object:
        """A charter as a document: the table, or what the file of this name has. None where there is none."""
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            self._note(path, "the path of a charter, or a table with one, is due")
            return None
        try:
            return self._load(value)
        except CharterError as error:
            self._note_charter(path, error)
        except OSError as error:
            self._note(path, f"{value!r} cannot be read: {error.strerror or error}")
        return None

    def _note_charter(self, path: str, error: CharterError) -> None:
        for each in error.problems:
            self._note(".".join(filter(None, (path, each.path))), _without_path(each))

    def _partners(self, value: object) -> tuple[str, ...]:
        names = _list_of_texts(value)
        if not names or len(names) > PARTNERS_MAX:
            self._note("partners", f"a list of 1 to {PARTNERS_MAX} names is due, the founder first")
            return ()
        for name in sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else ():
            self._note("partners", f"{name!r} stands twice")
        return names

    def _table(
        self, name: str, partners: tuple[str, ...], read: Callable[[object], T | None], due: str
    ) -> dict[str, T]:
        """A table by partner; `due` says what its values may be."""
        table = self._document.get(name, {})
        if not isinstance(table, dict):
            self._note(name, "a table by partner is due")
            return {}
        out: dict[str, T] = {}
        for partner, value in table.items():
            found = read(value)
            if partner not in partners:
                is_founder = partner == self._founder
                self._note(f"{name}.{partner}", "not for the founder" if is_founder else "not one of the partners")
            elif found is None:
                self._note(f"{name}.{partner}", f"{value!r} is not possible; {due} is due")
            else:
                out[partner] = found
        return out

    def _until(self, value: object, events: list[Event]) -> int | None:
        if value is None:
            return None
        until = _duration(value)
        if until is None:
            self._note("until", f"{value!r} is not possible; {_A_DURATION} is due")
        elif events and until < events[-1].at:
            self._note("until", "before the last event")
        return until

    # -- events --------------------------------------------------------------------------------------------------------

    def _events(self, rows: object, partners: tuple[str, ...]) -> list[Event]:
        if not isinstance(rows, list) or len(rows) > EVENTS_MAX:
            self._note("event", f"an array of at most {EVENTS_MAX} tables is due: [[event]]")
            return []
        events: list[Event] = []
        names: set[str] = set()
        at_last = 0
        for number, row in enumerate(rows, start=1):
            event = self._event(number, row, frozenset(partners), names, at_last)
            if event is not None:
                events.append(event)
                at_last = event.at
        return events

    def _event(self, number: int, row: object, partners: frozenset[str], names: set[str], at_last: int) -> Event | None:
        """One event, its name added to `names`; None, and what is wrong noted, where it cannot be read."""
        path = f"event[{number}]"
        if not isinstance(row, dict):
            self._note(path, "a table is due")
            return None
        before = len(self._mistakes)
        at, by, do, name = _duration(row.get("at")), row.get("by"), row.get("do"), row.get("as")
        if at is None:
            self._note(f"{path}.at", f"{_quoted(row, 'at')} is no duration since the founding")
        elif at < at_last:
            self._note(f"{path}.at", f"{row['at']} is before the event above it")
        if not isinstance(by, str) or by not in partners:
            self._note(f"{path}.by", f"{_quoted(row, 'by')} is not one of the partners")
        fields = _COMMANDS.get(do) if isinstance(do, str) else None
        if fields is None:
            self._note(f"{path}.do", f"{_quoted(row, 'do')} has no place in a rehearsal")
        args, refused = self._args(path, row, fields, partners, names)
        if name is not None:
            self._name(path, name, names)
        if len(self._mistakes) > before or at is None:
            return None
        return Event(number=number, at=at, by=str(by), do=str(do), name=name, args=args, refused=refused)

    def _name(self, path: str, name: object, names: set[str]) -> None:
        if not isinstance(name, str) or not name or name.startswith("#"):
            self._note(f"{path}.as", f"{name!r} is no name")
        elif name in names:
            self._note(f"{path}.as", f"{name!r} was used before")
        else:
            names.add(name)

    def _args(
        self,
        path: str,
        row: Mapping[str, Any],
        fields: frozenset[str] | None,
        partners: frozenset[str],
        names: set[str],
    ) -> tuple[dict[str, Any], str]:
        """What the command is given, and why it would refuse that."""
        args: dict[str, Any] = {}
        refused = ""
        for key, value in row.items():
            if key in _EVENT or fields is None:
                continue
            if key not in fields and key not in _WORDS:
                self._note(f"{path}.{key}", f"unknown here; known are {', '.join(sorted(fields)) or 'none'}")
            elif key in _PEOPLE and (not isinstance(value, str) or value not in partners):
                self._note(f"{path}.{key}", f"{value!r} is not one of the partners")
            elif key in _NAMES and (not isinstance(value, str) or value not in names):
                self._note(f"{path}.{key}", f"nothing above is called {value!r}")
            elif key in _TIMES:
                args[key] = _duration(value)
                if args[key] is None:
                    refused = refused or f"{key} is no duration since the founding"
            elif key == "charter":
                args[key], words = self._amendment(f"{path}.charter", value)
                refused = refused or words
            elif key in _WORDS:
                if not isinstance(value, str):
                    refused = refused or f"{key} is no text"
            else:
                args[key] = value
        return args, refused

    def _amendment(self, path: str, value: object) -> tuple[Charter | None, str]:
        """A charter that is proposed, and why nobody could propose it. A file that is missing is a mistake."""
        if isinstance(value, str):
            try:
                value = self._load(value)
            except CharterError as error:
                return None, f"charter: {error.problems[0]}"
            except OSError as error:
                self._note(path, f"{value!r} cannot be read: {error.strerror or error}")
                return None, ""
        try:
            return read_charter(value), ""
        except CharterError as error:
            return None, f"charter: {error.problems[0]}"


_A_DURATION: Final = 'a duration such as "30d"'


def _duration(value: object) -> int | None:
    try:
        return Duration(zero=True).read(value)
    except Refused:
        return None


def _list_of_texts(value: object) -> tuple[str, ...] | None:
    if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    return None


def _one_of(words: tuple[str, ...]) -> Callable[[object], str | None]:
    return lambda value: value if isinstance(value, str) and value in words else None


def _quoted(row: Mapping[str, Any], key: str) -> str:
    return repr(row[key])[:80] if key in row else "what is missing"


def _without_path(problem: Problem) -> str:
    return str(problem).removeprefix(problem.path).removeprefix(": ")
