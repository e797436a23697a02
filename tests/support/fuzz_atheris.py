"""The transition under a fuzzer that looks for new paths: `python -m tests.support.fuzz_atheris -max_total_time=600`.

Needs `pip install atheris`, which is no dependency of this project: the tests do without. What it runs is a history of
`fuzz.Fuzz` whose luck is read from the fuzzer's bytes. A crash file it writes is such a history.
"""

from __future__ import annotations

import random
import sys
from importlib import import_module
from typing import Self


class BytesLuck(random.Random):
    """Luck that is read from bytes, and is zero when they end."""

    def __new__(cls, data: bytes) -> Self:
        return super().__new__(cls)

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self._data = data
        self._at = 0

    def getrandbits(self, k: int, /) -> int:
        """The next so many bits, whole bytes at a time."""
        size = (k + 7) // 8
        part = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(part.ljust(size, b"\0"), "big") >> (size * 8 - k)

    def random(self) -> float:
        return self.getrandbits(16) / 65536


def one_history(data: bytes) -> None:
    """Play what the bytes say; anything raised is a fault."""
    from tests.support.builders import check_books
    from tests.support.fuzz import DAY_MS, Fuzz

    fuzz = Fuzz(BytesLuck(data))
    fuzz.run(min(80, 2 + len(data) // 8))
    check_books(fuzz.state)
    fuzz.finish(120 * DAY_MS)
    check_books(fuzz.state)


def main() -> None:
    """Hand over to the fuzzer."""
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["tallystick"]):
        import_module("tests.support.fuzz")
    atheris.Setup(sys.argv, one_history)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
