"""Simulated hours for real processes: `tally` as it is, started with another clock on the wall.

    python -m tests.integration.hours FILE ...        is `tally ...`, at the hour that FILE says

Every process that is given one file has one time. It runs so many times faster than the machine's, and whoever made
the file may set it forward, or let it run at another pace. The product is not told: what it reads in `node/clock` is
replaced before it begins. The network stays as it is, so that seen from the ledger it is so many times slower, and
every command takes minutes.
"""

from __future__ import annotations

import mmap
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: How often the clock may be set.
_SETTINGS_MAX = 16
_SIZE = 8 * (1 + 3 * _SETTINGS_MAX)
_NS = 1_000_000_000


class Hours:
    """The time in a file: the number of the setting that holds, then all settings there were.

    A setting is what the machine's clock said then, how late it was, and how much faster time went from then on: three
    words, written before their number is. So nobody ever reads half of one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("q")

    @classmethod
    def begin(cls, path: Path, at: datetime, factor: int) -> Hours:
        """Make the file: from now on it is so late."""
        path.write_bytes(bytes(_SIZE))
        hours = cls(path)
        hours._set(round(at.timestamp()) * _NS, factor)
        return hours

    def _set(self, wall_ns: int, factor: int) -> None:
        number = self._words[0] + 1
        # The clock of the machine that nobody sets, and that all its processes have in common.
        for place, word in enumerate((time.monotonic_ns(), wall_ns, factor), 3 * number - 2):
            self._words[place] = word
        self._words[0] = number

    def _holds(self) -> tuple[int, int, int]:
        first = 3 * self._words[0] - 2
        return self._words[first], self._words[first + 1], self._words[first + 2]

    @property
    def factor(self) -> int:
        """How many times faster than the machine's clock."""
        return self._holds()[2]

    def now_ms(self) -> int:
        """The time, in ms of UTC."""
        machine_ns, wall_ns, factor = self._holds()
        return (wall_ns + (time.monotonic_ns() - machine_ns) * factor) // 1_000_000

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
        """Now it is so late, for everybody at once."""
        self._set(self.moment(clock) * 1_000_000, self.factor)

    def go_forward(self, seconds: int) -> None:
        """So much time is over, for everybody at once."""
        self._set((self.now_ms() + seconds * 1000) * 1_000_000, self.factor)

    def go_on(self, factor: int) -> None:
        """Time goes on from now at another pace."""
        self._set(self.now_ms() * 1_000_000, factor)

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
