"""One line on stderr that says how far something is, drawn over and over on a terminal, now and then elsewhere.

[########------------]  40 %  #120 of #300, about 970 entries to go, 800 a second, 2 s left
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from tallystick.cli import output
from tallystick.cli.render_status import progress

if TYPE_CHECKING:
    from tallystick.cli.options import Options

_DRAW_S: Final = 0.2
_LINE_S: Final = 5.0
_BAR: Final = 20
_SLOW_S: Final = 1.0
_ERASE: Final = "\r\x1b[2K"


class ProgressLine:
    """Draws it. Leaving the block wipes the line, so that what follows stands alone."""

    def __init__(self, options: Options) -> None:
        self._silent = options.quiet
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._next = 0.0
        self._first: int | None = None
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn and self._terminal:
            output.always_part(_ERASE)

    def show(self, row: Mapping[str, Any] | None) -> None:
        """Draw what `status` says under `catching_up`; nothing where there is nothing to be caught up."""
        now = time.monotonic()
        if row is None or self._silent or now < self._next:
            return
        self._next = now + (_DRAW_S if self._terminal else _LINE_S)
        if self._first is None:
            self._first = row["height"]
        text = f"catching up: {progress(row)}"
        if self._terminal:
            output.always_part(f"{_ERASE}{bar(row['height'] - self._first, row['target'] - self._first)}  {text}")
        else:
            output.always(text)
        self._drawn = True


@contextmanager
def slowly(options: Options, text: str) -> Iterator[None]:
    """Say on a terminal what is waited for, once it has taken a second; the line is gone when it is over."""
    is_shown = sys.stderr is not None and sys.stderr.isatty() and not (options.quiet or options.json)
    waiting = threading.Timer(_SLOW_S, output.always_part, (f"{text} ...",))
    waiting.daemon = True
    if is_shown:
        waiting.start()
    try:
        yield
    finally:
        waiting.cancel()
        if is_shown:
            waiting.join()
            output.always_part(_ERASE)


def bar(done: int, whole: int) -> str:
    """`[#####-----]  50 %`."""
    share = 1.0 if whole <= 0 else min(1.0, max(0, done) / whole)
    full = int(share * _BAR)
    return f"[{'#' * full}{'-' * (_BAR - full)}] {int(share * 100):3d} %"
