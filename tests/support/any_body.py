"""Any body of any kind, from its schema alone: values that might mean something, and the ends of what is allowed."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tallystick.protocol.errors import EntryError
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.table import read_body

WORDS: Final = (
    "roast", "bake", "carve", "open", "share", "film", "seed", "sales", "rent", "books", "EUR", "USD", "treasurer",
    "roaster", "taster", "a", "offer", "x-1",
)  # fmt: skip
_NUMBERS: Final = (0, 1, 2, 3, 7, 50, 100, 101, 1000, 86_400_000, 2**31, 2**53 - 1, 2**62, 2**63 - 1)


class Maker:
    """Makes bodies from `ids` (entries, members, keys) and moments around `now`."""

    def __init__(self, chance: random.Random, ids: Sequence[bytes], now: int, charter: bytes) -> None:
        self._chance = chance
        self._ids = ids
        self._now = now
        self._charter = charter

    def body(self, cls: type[Body]) -> Body | None:
        """A body that its own reader accepts; None when luck did not find one."""
        for _ in range(60):
            fields = self._struct(msgspec.inspect.type_info(cls))
            try:
                return read_body(cls.KIND, fields)
            except EntryError:
                continue
        return None

    def _struct(self, info: Any) -> dict[str, Any]:
        return {
            field.encode_name: self._value(field.type)
            for field in info.fields
            if field.required or self._chance.random() < 0.5
        }

    def _value(self, info: Any) -> Any:
        chance, inspect = self._chance, msgspec.inspect
        match info:
            case inspect.NoneType():
                return None
            case inspect.BoolType():
                return chance.random() < 0.5
            case inspect.IntType():
                low = info.ge if info.ge is not None else -(2**63)
                high = info.le if info.le is not None else 2**63 - 1 if info.lt is None else info.lt - 1
                around = self._now + chance.choice([-1, 0, 1, 60_000, 86_400_000, 40 * 86_400_000])
                return min(max(chance.choice([*_NUMBERS, around, around, low, high]), low), high)
            case inspect.StrType():
                fits = [word for word in WORDS if info.pattern is None or re.search(info.pattern, word)]
                return chance.choice(fits or [""])
            case inspect.BytesType():
                if info.min_length == info.max_length == 32:
                    return chance.choice(self._ids)
                if info.min_length is not None and info.min_length == info.max_length:
                    return bytes(info.min_length)
                return chance.choice([self._charter, self._charter, b"", b"\x80", chance.choice(self._ids)])
            case inspect.LiteralType():
                return chance.choice(info.values)
            case inspect.EnumType():
                return chance.choice(list(info.cls)).value
            case inspect.UnionType():
                return self._value(chance.choice([each for each in info.types if chance.random() < 0.8] or info.types))
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType():
                least = info.min_length or 0
                count = chance.randint(least, min(info.max_length or 3, least + 3))
                return [self._value(info.item_type) for _ in range(count)]
            case inspect.TupleType():
                return [self._value(each) for each in info.item_types]
            case inspect.DictType():
                return {self._value(info.key_type): self._value(info.value_type) for _ in range(chance.randint(0, 2))}
            case inspect.StructType(array_like=True):
                return [self._value(field.type) for field in info.fields]
            case inspect.StructType():
                return self._struct(info)
            case _:
                return chance.choice([None, 0, "x", b"x", [], {}])
