"""Simulated hours for real processes: `tally` as it is, started with another clock on the wall.

    python -m tests.integration.hours FILE ...        is `tally ...`, at the hour that FILE says

Every process that is given one file has one time. It runs so many times faster than the machine's, and whoever made
the file may set it forward. The product is not told: what it reads in `node/clock` is replaced before it begins. The
network stays as it is, so that seen from the ledger it is so many times slower, and every command takes minutes.
"""

from __future__ import annotations

import mmap
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: When the file was made by the machine's clock, what time that was in it, how much faster it runs: 8 bytes each.
_MACHINE, _WALL, _FACTOR = range(3)
_SIZE = 24
_NS = 1_000_000_000


class Hours:
    """The time in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")

    @classmethod
    def begin(cls, path: Path, at: datetime, factor: int) -> Hours:
        """Make the file: from now on it is so late."""
        path.write_bytes(bytes(_SIZE))
        hours = cls(path)
        # The clock of the machine that nobody sets, and that all its processes have in common.
        hours._words[_MACHINE] = time.monotonic_ns()
        hours._words[_WALL] = round(at.timestamp()) * _NS
        hours._words[_FACTOR] = factor
        return hours

    @property
    def factor(self) -> int:
        """How many times faster than the machine's clock."""
        return self._words[_FACTOR]

    def now_ms(self) -> int:
        """The time, in ms of UTC."""
        words = self._words
        return (words[_WALL] + (time.monotonic_ns() - words[_MACHINE]) * words[_FACTOR]) // 1_000_000

    def seconds_until(self, moment_ms: int) -> float:
        """How long the machine takes until it is so late; 0 for what is past."""
        return max(0, moment_ms - self.now_ms()) / 1000 / self.factor

    def moment(self, clock: str) -> int:
        """When it is next so late, such as "21:00"; in ms."""
        hour, minute = map(int, clock.split(":"))
        now = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return round((then if then > now else then + timedelta(days=1)).timestamp() * 1000)

    def set_forward(self, clock: str) -> None:
        """Now it is so late, for everybody at once: a single word of memory is written."""
        self._words[_WALL] += (self.moment(clock) - self.now_ms()) * 1_000_000

    def said(self, moment_ms: int | None = None) -> str:
        """A time of day, for people."""
        then = self.now_ms() if moment_ms is None else moment_ms
        return datetime.fromtimestamp(then / 1000, UTC).strftime("%H:%M")


def main(path: str, *args: str) -> int:
    """Run a command at the hour that the file says."""
    from tallystick.node import clock

    hours = Hours(Path(path))
    # Before anything else is imported: others take these two functions by name.
    clock.now_ms, clock.seconds_until = hours.now_ms, hours.seconds_until
    from tallystick.cli.main import main as tally

    return tally(args)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
