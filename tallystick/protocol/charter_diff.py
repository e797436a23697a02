"""What two charters say differently: setting by setting, defaults filled in, so that only what matters shows.

Source: docs/spec/charter.md#document
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallystick.protocol.charter_fields import Duration, Fraction, Ids, Table, Tables, document_key

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter

Value = str | int | bool | list[str] | None

_UNITS_MS: Final = (
    ("y", 365 * 86_400_000),
    ("mo", 30 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
)


class Difference(NamedTuple):
    """One setting; None stands for a table that one of the two does not have."""

    path: str
    """Such as `step.roast.price`."""
    before: Value
    after: Value


def differences(before: Charter, after: Charter) -> list[Difference]:
    """Every setting in which two charters differ, in the order of a charter."""
    old, new = values(before), values(after)
    paths = dict.fromkeys([*old, *new])
    return [Difference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)]


def change_text(change: Difference) -> str:
    """`referral.percent: 5 -> 50`."""
    before, after = ("(none)" if value is None else value_text(value) for value in (change.before, change.after))
    return f"{change.path}: {before} -> {after}"


def value_text(value: Value) -> str:
    """A setting as a charter has it; a dash for a table that is not there."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def values(charter: Charter) -> dict[str, Value]:
    """Every setting as the document would write it, by its path."""
    return dict(_table(charter, ""))


def _table(table: Any, before: str) -> Iterator[tuple[str, Value]]:
    for each in dataclasses.fields(table):
        if not each.metadata:
            continue
        reader, value = each.metadata["reader"], getattr(table, each.name)
        path = before + document_key(each.name, each.metadata["key"])
        if isinstance(reader, Tables):
            for row_id, row in value.items():
                yield from _table(row, f"{path}.{row_id}.")
        elif isinstance(reader, Table):
            if value is not None:
                yield from _table(value, f"{path}.")
        else:
            yield path, _written(reader, value)


def _written(reader: Any, value: Any) -> Value:
    if isinstance(reader, Duration):
        return duration(value)
    if isinstance(reader, Fraction):
        return f"{value[0]}/{value[1]}"
    if isinstance(reader, Ids):
        return list(value)
    return value  # type: ignore[no-any-return]


def duration(length: int) -> str:
    """A length in ms in the largest unit that it is a whole number of."""
    for unit, unit_ms in _UNITS_MS:
        if length and length % unit_ms == 0:
            return f"{length // unit_ms}{unit}"
    return "0s"
