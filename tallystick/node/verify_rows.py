"""Rows of the store against rows as they should be, and the names by which a person knows them.

Source: docs/spec/storage.md#verify
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final

from tallystick.node import layout
from tallystick.node.errors import StoreError
from tallystick.node.store import name_of

if TYPE_CHECKING:
    from tallystick.node.store import Store

#: What follows from each block by itself, and what is a sum over all of them.
_PER_BLOCK: Final = (layout.HEIGHT, layout.SEALED, layout.OUTCOME, layout.MEMBER_OUTCOME, layout.SEATS)
_OVERALL: Final = (layout.STATE, layout.CLOSED, layout.HEAD_KEY)
_DERIVED: Final = frozenset((*_PER_BLOCK, layout.STATE, layout.CLOSED))


class Problems:
    """What is wrong, each thing once, in the order in which it was found."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._seen: set[tuple[str, str]] = set()

    def add(self, where: str, problem: str, height: int | None = None) -> None:
        if (where, problem) not in self._seen:
            self._seen.add((where, problem))
            self.rows.append({"where": where, "problem": problem, "height": height})


def name_of_entry(entry_id: bytes) -> str:
    return f"entry {entry_id.hex()}"


def name_of_block(height: int) -> str:
    return f"block {height}"


def name_of_row(key: bytes) -> str:
    """What a stored row is, in words."""
    prefix, rest = key[:1], key[1:]
    if prefix == layout.STATE:
        return f"state row {rest.decode('utf-8', 'backslashreplace')}"
    if prefix == layout.SEATS and len(rest) == 8:
        return f"list of sealers of block {int.from_bytes(rest, 'big')}"
    if prefix in (layout.BLOCK, layout.HEIGHT) and len(rest) == 8:
        name = name_of_block(int.from_bytes(rest, "big"))
        return name if prefix == layout.BLOCK else f"summary of {name}"
    if prefix in _PAGES and len(rest) == 12:
        what, size = _PAGES[prefix]
        first = int.from_bytes(rest[8:], "big") * size
        return f"{what} of block {int.from_bytes(rest[:8], 'big')}, from place {first} to {first + size - 1}"
    if prefix == layout.MEMBER_OUTCOME and len(rest) == 40:
        return f"index of postings of {rest[:32].hex()} in block {int.from_bytes(rest[32:], 'big')}"
    if len(rest) == 32 and prefix in _BY_ID:
        return _BY_ID[prefix].format(rest.hex())
    return _META.get(key) or f"row {name_of(key)}"


_PAGES: Final = {
    layout.CONTENTS: ("entries", layout.PAGE_ENTRIES),
    layout.OUTCOME: ("postings", layout.PAGE_PLACES),
}
_BY_ID: Final = {
    layout.ENTRY: "entry {}",
    layout.ANNEX: "words of entry {}",
    layout.SEALED: "place of entry {}",
    layout.CLOSED: "closed deal {}",
}
_META: Final = {
    layout.HEAD_KEY: "the head of the ledger",
    layout.LEDGER_KEY: "the ledger's id",
    layout.FORMAT_KEY: "the format of the store",
    layout.JOIN_KEY: "the ticket of this ledger",
    layout.LINE_KEY: "the ledgers before this one",
}


def compare(stored: Store, made: Store, problems: Problems, *, with_state: bool) -> None:
    """Whether everything that should be there is, byte by byte. Without the state where not all could be recomputed."""
    for prefix in (*_PER_BLOCK, *(_OVERALL if with_state else ())):
        for key, value in made.iterate(prefix=prefix):
            try:
                found = stored.get(key)
            except StoreError as error:
                problems.add(name_of_row(key), error.message)
                continue
            if found is None:
                problems.add(name_of_row(key), "it is missing")
            elif found != value:
                problems.add(name_of_row(key), _difference(found, value))


def scan(
    stored: Store, made: Store, problems: Problems, known: AbstractSet[bytes] | None, pages: AbstractSet[bytes]
) -> None:
    """Read every row there is: whether it can be read, and whether there is a reason for it.

    `known` are all entries that have a place here, `pages` the keys under which sealed ones lie; without `known` no
    reasons are asked for.
    """
    start: bytes | None = None
    while True:
        last = start
        try:
            for key, _ in stored.iterate(start=start):
                last = key
                if known is not None and (fault := _fault(made, key, known, pages)):
                    problems.add(name_of_row(key), fault)
            return
        except StoreError as error:
            key = error.key or b""
            # A value that fails is named by its key; where a whole stretch of the disk fails, what came before is.
            is_next = bool(key) and (last is None or key > last)
            problems.add(name_of_row(key) if is_next else f"what follows {name_of(last or b'?')}", error.message)
            if not is_next:
                return
            start = key + b"\0"


def _fault(made: Store, key: bytes, known: AbstractSet[bytes], pages: AbstractSet[bytes]) -> str | None:
    """Why this row should not be there; None where it should."""
    prefix, rest = key[:1], key[1:]
    if prefix == layout.ANNEX and made.get(layout.STATE + f"erased/{rest.hex()}".encode()) is not None:
        return "these words were erased"
    if prefix in (layout.ENTRY, layout.ANNEX):
        return None if rest in known else "nothing refers to it"
    if prefix == layout.CONTENTS:
        return None if key in pages else "it follows from no block"
    if prefix in _DERIVED:
        return "it follows from no block" if made.get(key) is None else None
    if prefix == layout.BLOCK:
        return "it follows from no block" if made.get(layout.HEIGHT + rest) is None else None
    if key == layout.HEAD_KEY:
        return "nothing is sealed" if made.get(key) is None else None
    return None


def _difference(found: bytes, value: bytes) -> str:
    at = next((at for at, (a, b) in enumerate(zip(found, value, strict=False)) if a != b), min(len(found), len(value)))
    length = f", and has {len(found)} bytes for {len(value)}" if len(found) != len(value) else ""
    return f"from byte {at} on it is not what follows from the blocks{length}"
