"""How often Python looks for circles of garbage in a process that holds a ledger.

Entries, rows and nodes of trees live long and make no circles, but every few hundred new ones the collector would walk
over the youngest of them, and now and then over all: a tenth of the time, for nothing.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: New objects before the collector looks at the young ones; rounds of that before it looks further.
_THRESHOLDS: Final = (50_000, 20, 50)


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Let the collector come rarely for the time of this block, and never look at what is there already."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
