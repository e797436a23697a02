"""What one value of a charter may be: readers that check a value as written and turn it into what the rules use.

A reader never stops at the first mistake: it notes what is wrong in `Findings` and goes on, so that the author of a
charter sees everything at once. Text forms: durations `"90s" "15m" "12h" "7d" "4w" "6mo" "4y"` become milliseconds
(a month has 30 days, a year 365), fractions `"2/3"` become (numerator, denominator), ids stay text.

Source: docs/spec/charter.md#document
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, dataclass_transform

POOL_MAX: Final = 10**15
"""Most points that can ever exist, and so the most that any total of points can be."""
AMOUNT_MAX: Final = 10**12
"""Highest price, and most points or minor units that one thing can bring."""
COUNT_MAX: Final = 10**9
"""Most units, shares, partners, deeds."""
ROWS_MAX: Final = 256
"""Most tables in one array, and most ids in one list."""
DURATION_MS_MAX: Final = 100 * 365 * 86_400_000
#: A hostile document can hold thousands of unknown keys, and each suggestion costs a comparison with all known ones.
SUGGESTIONS_MAX: Final = 32
KEY_LENGTH_MAX: Final = 64

_UNIT_MS: Final = {
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "mo": 30 * 86_400_000,
    "y": 365 * 86_400_000,
}
# ASCII classes are written out: `\d` would take digits of other scripts, and which ones depends on the Python.
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,11})(s|m|h|d|w|mo|y)")
_FRACTION: Final = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})")
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_ID_WORDS: Final = "an id: a-z first, then a-z, 0-9 and -, at most 32 characters"

T = TypeVar("T")


class Refused(Exception):
    """A value is not allowed here; the text says what is."""


class _Required:
    """Stands where a setting has no default."""


REQUIRED: Final = _Required()


@dataclass(slots=True)
class Findings:
    """What is wrong so far: (path, value found or None, what is allowed)."""

    rows: list[tuple[str, object, str]] = field(default_factory=list)
    suggested: int = 0

    def add(self, path: str, value: object, allowed: str) -> None:
        self.rows.append((path, value, allowed))

    def has(self, path: str) -> bool:
        """Whether exactly this path is wrong already."""
        return any(row[0] == path for row in self.rows)

    def touches(self, *paths: str) -> bool:
        """Whether something at or below one of these paths is wrong already."""
        return any(row[0] == path or row[0].startswith((path + ".", path + "[")) for row in self.rows for path in paths)


class Reader(Protocol):
    """Reads one value as the document writes it."""

    def read(self, value: object) -> Any:
        """Return what the rules use. Raises Refused."""


class BlockReader(Protocol):
    """Reads a table, or an array of them, noting what is wrong in it."""

    def read_block(self, value: object, path: str, findings: Findings) -> Any:
        """Return what could be read."""


def setting(reader: Reader | BlockReader, *, default: Any = REQUIRED, key: str = "") -> Any:
    """A field of a table; `default` as the document would write it. The key is the name, with - for _."""
    metadata = {"reader": reader, "key": key}
    if default is REQUIRED:
        return field(metadata=metadata)
    if isinstance(reader, Tables):
        return field(default_factory=dict, metadata=metadata)
    if default is not None and not hasattr(reader, "read_block"):
        default = reader.read(default)
    return field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
def table(cls: type[T]) -> type[T]:
    """Make an immutable value of a class whose fields are settings."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


def document_key(name: str, key: str) -> str:
    """The key by which the document writes a field."""
    return key or name.rstrip("_").replace("_", "-")


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both included. True and false are no numbers."""

    low: int
    high: int

    def read(self, value: object) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            one = self.low == self.high
            raise Refused(str(self.low) if one else f"a whole number from {self.low} to {self.high}")
        return value


@dataclass(frozen=True)
class Flag:
    """true or false."""

    def read(self, value: object) -> bool:
        if type(value) is not bool:
            raise Refused("true or false")
        return value


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, value: object) -> str:
        if type(value) is not str or value not in self.words:
            raise Refused("one of " + ", ".join(f'"{word}"' for word in self.words))
        return value


@dataclass(frozen=True)
class Duration:
    """A length of time, in milliseconds: 1 s to 100 y, and 0 where `zero` says so."""

    zero: bool = False

    def read(self, value: object) -> int:
        match = _DURATION.fullmatch(value) if type(value) is str else None
        if match is not None:
            length = int(match[1]) * _UNIT_MS[match[2]]
            if length <= DURATION_MS_MAX and (length or self.zero):
                return length
        least = "0s, or 1s" if self.zero else "1s"
        raise Refused(f'a duration from {least} to 100y, such as "90s" "15m" "12h" "7d" "4w" "6mo" "4y"')


@dataclass(frozen=True)
class Fraction:
    """A part of a whole, above 0 and at most 1, as (numerator, denominator)."""

    def read(self, value: object) -> tuple[int, int]:
        match = _FRACTION.fullmatch(value) if type(value) is str else None
        if match is not None and int(match[1]) <= int(match[2]):
            return int(match[1]), int(match[2])
        raise Refused('a fraction above 0 and at most 1, such as "2/3"')


@dataclass(frozen=True)
class Id:
    """A name that rules and commands use."""

    def read(self, value: object) -> str:
        if type(value) is not str or _ID.fullmatch(value) is None:
            raise Refused(_ID_WORDS)
        return value


@dataclass(frozen=True)
class Ids:
    """A list of ids, none of them twice."""

    def read(self, value: object) -> tuple[str, ...]:
        if type(value) is not list or len(value) > ROWS_MAX:
            raise Refused(f"a list of at most {ROWS_MAX} ids")
        if any(type(each) is not str or _ID.fullmatch(each) is None for each in value):
            raise Refused(f"a list of ids, each {_ID_WORDS}")
        if len(set(value)) != len(value):
            raise Refused("a list of ids, none of them twice")
        return tuple(value)


@dataclass(frozen=True)
class Currency:
    """An ISO 4217 code. Only its shape is checked: the list of codes changes with the years, the rules must not."""

    def read(self, value: object) -> str:
        if type(value) is not str or _CURRENCY.fullmatch(value) is None:
            raise Refused('a currency code of three capital letters, such as "EUR"')
        return value


@dataclass(frozen=True)
class Text:
    """Words for people, `low` to `high` characters. Control characters are refused, but for line ends and tabs
    where `lines` allows more than one line."""

    low: int
    high: int
    lines: bool = False

    def read(self, value: object) -> str:
        if type(value) is str and self.low <= len(value) <= self.high and not any(map(self._is_bad, value)):
            return value
        where = "lines of text" if self.lines else "one line of text"
        raise Refused(f"{where}, {self.low} to {self.high} characters, without control characters")

    def _is_bad(self, character: str) -> bool:
        # Fixed ranges and not a Unicode category: those change between versions of Python.
        code = ord(character)
        if self.lines and character in "\n\t":
            return False
        return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


@dataclass(frozen=True)
class Prefixed:
    """One of some words, or `prefix` with an id behind it. What the id names is checked later."""

    words: tuple[str, ...]
    prefix: str

    def read(self, value: object) -> str:
        if type(value) is str and (
            value in self.words
            or (value.startswith(self.prefix) and _ID.fullmatch(value.removeprefix(self.prefix)) is not None)
        ):
            return value
        raise Refused("one of " + ", ".join(f'"{word}"' for word in (*self.words, self.prefix + "<id>")))


@dataclass(frozen=True)
class Table:
    """A table of its own, such as `[points]`."""

    cls: type[Any]

    def read_block(self, value: object, path: str, findings: Findings) -> Any:
        return read_table(self.cls, value, path, findings)


@dataclass(frozen=True)
class Tables:
    """An array of tables, such as `[[step]]`, as a dict by id in the order written."""

    cls: type[Any]

    def read_block(self, value: object, path: str, findings: Findings) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        if type(value) is not list or len(value) > ROWS_MAX:
            findings.add(path, value, f"an array of at most {ROWS_MAX} tables: [[{path}]]")
            return rows
        for number, each in enumerate(value, 1):
            row_id = each.get("id") if isinstance(each, dict) else None
            if type(row_id) is not str or _ID.fullmatch(row_id) is None:
                read_table(self.cls, each, f"{path}[{number}]", findings)
            elif row_id in rows:
                findings.add(f"{path}[{number}].id", row_id, f"an id that no other {path} has")
                read_table(self.cls, each, f"{path}[{number}]", findings)
            else:
                rows[row_id] = read_table(self.cls, each, f"{path}.{row_id}", findings)
        return rows


def read_table(cls: type[T], value: object, path: str, findings: Findings, **more: object) -> T:
    """Read a table into `cls`. What cannot be read is noted and stands at its default, or at a harmless value.

    `more` are fields that are no settings.
    """
    before = f"{path}." if path else ""
    fields = [each for each in dataclasses.fields(cls) if each.metadata]  # type: ignore[arg-type]
    keys = {document_key(each.name, each.metadata["key"]): each for each in fields}
    values: dict[str, object] = dict(more)
    if not isinstance(value, dict):
        findings.add(path, value, "a table")
        return cls(**values | {each.name: _fallback(each) for each in fields})
    for key in value:
        if key not in keys:
            findings.add(f"{before}{_shown(key)}", value[key], _unknown_key(key, list(keys), findings))
    for key, each in keys.items():
        reader = each.metadata["reader"]
        where = f"{before}{key}"
        values[each.name] = _fallback(each)
        if key not in value:
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                findings.add(where, None, _allowed(reader, key))
        elif hasattr(reader, "read_block"):
            values[each.name] = reader.read_block(value[key], where, findings)
        else:
            try:
                values[each.name] = reader.read(value[key])
            except Refused as refused:
                findings.add(where, value[key], str(refused))
    return cls(**values)


def _fallback(each: dataclasses.Field[Any]) -> object:
    """The default of a field, or None where it has none."""
    if each.default_factory is not dataclasses.MISSING:
        return each.default_factory()
    return None if each.default is dataclasses.MISSING else each.default


def _allowed(reader: Any, key: str) -> str:
    """What a setting may be, in words."""
    if isinstance(reader, Table):
        return f"a table: [{key}]"
    try:
        reader.read(None)
    except Refused as refused:
        return str(refused)
    return "anything"


def _unknown_key(key: object, known: list[str], findings: Findings) -> str:
    findings.suggested += 1
    if isinstance(key, str) and len(key) <= KEY_LENGTH_MAX and findings.suggested <= SUGGESTIONS_MAX:
        near = difflib.get_close_matches(key.lower().replace("_", "-"), known, n=1)
        if near:
            return f'no such key; did you mean "{near[0]}"?'
        return "no such key; known are " + ", ".join(known)
    return "no such key"


def _shown(key: object) -> str:
    text = key if isinstance(key, str) else repr(key)
    return text if len(text) <= KEY_LENGTH_MAX else text[:KEY_LENGTH_MAX] + "..."
