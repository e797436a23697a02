"""The body of a stored entry is read from its bytes, that of a new one from a map: the verdict is the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tallystick.protocol import codec
from tallystick.protocol.entry import FOUNDING_KIND, REFOUNDING_KIND, read_entry_known, read_entry_untrusted
from tallystick.protocol.errors import EntryError
from tallystick.protocol.kinds.table import KINDS, body_of
from tests.support.any_body import Maker
from tests.support.builders import key

IDS = [bytes([number]) * 32 for number in range(1, 6)]
STRANGE: tuple[Any, ...] = (
    None, 0, -1, 2**63 - 1, True, "", "x", b"", bytes(32), b"\xc0" * 32, [], [None], {}, {"a": None},
)  # fmt: skip
#: Their bodies hold whole documents, which luck does not make.
DOCUMENTS = {"found", "refound", "propose", "evidence"}


def header_of(kind: str, body: dict[str, Any]) -> bytes:
    founding = kind in (FOUNDING_KIND, REFOUNDING_KIND)
    seq, prev = (0, None) if kind != REFOUNDING_KIND else (1, IDS[0])
    seal = [7, IDS[1]] if kind == REFOUNDING_KIND else None
    ledger = bytes(32) if founding else IDS[2]
    return codec.encode([1, ledger, key("ana").public, seq, prev, [], seal, 1_772_323_200_000, kind, body, None])


def verdict(header: bytes, *, stored: bool) -> Any:
    entry = read_entry_untrusted(header, bytes(64), None)
    if stored:
        again = read_entry_known(entry.id, header, bytes(64))
        assert again is not None and again.raw_body is not None
        entry = again
    try:
        return body_of(entry)
    except EntryError as error:
        return error.reason, error.detail


def bodies(kind: str, chance: random.Random) -> list[dict[str, Any]]:
    """Bodies as the schema says, and what is near them."""
    maker = Maker(chance, IDS, 1_772_323_200_000, codec.encode({"charter": 1}))
    out: list[dict[str, Any]] = [{}]
    for _ in range(25):
        made = maker.body(KINDS[kind])
        if made is None:
            continue
        good = made.to_map()
        out.append(good)
        for name in [*KINDS[kind].__struct_fields__, "unknown"]:
            out.append(good | {name: chance.choice(STRANGE)})
            out.append({field: value for field, value in good.items() if field != name})
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_agree(kind: str) -> None:
    """Nodes that read an entry from their disk must not judge it otherwise than those it has just come to."""
    sound = 0
    for body in bodies(kind, random.Random(kind)):
        header = header_of(kind, body)
        fresh, stored = verdict(header, stored=False), verdict(header, stored=True)
        assert fresh == stored, body
        sound += not isinstance(fresh, tuple)
    assert sound or kind in DOCUMENTS


def test_a_stored_body_can_be_looked_at_as_a_map() -> None:
    """What commands show is what was signed."""
    body = {"side": "sell", "units": 3}
    header = header_of("offer", body)
    entry = read_entry_untrusted(header, bytes(64), None)
    again = read_entry_known(entry.id, header, bytes(64))
    assert again is not None
    assert again.body == entry.body == body
    assert again.body is again.body
