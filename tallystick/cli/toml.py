"""A charter document written as TOML: the one shape that charters have, and no more of the format than that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

#: The order in which a charter is read, and what stands first in each of its tables. The ledger keeps keys sorted.
_ORDER = (
    "charter trial id name title purpose points objective membership referral leaver vesting role step contribution "
    "open round donation duty dispute governance finality sale"
).split()


def to_toml(document: Mapping[str, Any]) -> str:
    """Settings before tables, in the order of a charter; what it does not know keeps its place after them."""
    return "\n".join(_table(document, "")).strip("\n") + "\n"


def _place(item: tuple[str, Any]) -> int:
    return _ORDER.index(item[0]) if item[0] in _ORDER else len(_ORDER)


def _table(table: Mapping[str, Any], path: str) -> Iterator[str]:
    table = dict(sorted(table.items(), key=_place))
    plain = {key: value for key, value in table.items() if not _is_table(value) and not _is_tables(value)}
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        name = f"{path}{_key(key)}"
        if _is_table(value):
            yield from ("", f"[{name}]", *_table(value, f"{name}."))
        elif _is_tables(value):
            for each in value:
                yield from ("", f"[[{name}]]", *_table(each, f"{name}."))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _key(key: str) -> str:
    is_bare = bool(key) and all(each.isascii() and (each.isalnum() or each in "-_") for each in key)
    return key if is_bare else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """A basic string. The escapes of JSON are among those of TOML; what is not printable is escaped besides."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
