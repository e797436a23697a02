"""What the demo is played on: the people, what is shown of them, and waiting that has an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tallystick.cli import output
from tallystick.cli.demo_partner import Partner
from tallystick.cli.errors import CommandError

WAIT_S: Final = 40.0
_STEP_S: Final = 0.05
#: Where the sentence begins that says what came of a command.
_COMMAND_WIDTH: Final = 44
_PROMPT_WIDTH: Final = 13
_LINE_WIDTH: Final = 100


class DemoError(Exception):
    """Something is not as the demo says it is."""


class Stage:
    """Where it happens: a folder, the people, and what is shown."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        self.folder = folder
        self._quiet = quiet
        self._partners: list[Partner] = []
        self._began = time.monotonic()

    def people(self, *names: str) -> tuple[Partner, ...]:
        """Partners with keys of their own."""
        self.title("Four partners, each with a computer of their own: keys, database, node.")
        self._partners = [Partner(self, name) for name in names]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Partner.init, self._partners))
        for partner in self._partners:
            partner.line(f"tally init --name {partner.name}", "makes keys, sealed by a passphrase")
        return tuple(self._partners)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        if not self._quiet:
            output.result(f"\n{text}")

    def say(self, text: str) -> None:
        if not self._quiet:
            output.result(f"{'':{_PROMPT_WIDTH}}{text}".rstrip())

    def line(self, who: str, command: str, says: str) -> None:
        """What somebody typed, and what came of it."""
        if self._quiet:
            return
        prompt = f"{time.monotonic() - self._began:5.1f}s {who.lower():>4}{'$' if command else ':'} "
        line = f"{prompt}{command:{_COMMAND_WIDTH if command else 0}} {says}".rstrip()
        if len(command) > _COMMAND_WIDTH or len(line) > _LINE_WIDTH:
            output.result(f"{prompt}{command}")
            self.say(says)
        else:
            output.result(line)

    # -- what must be so -----------------------------------------------------------------------------------------------

    def expect(self, holds: bool, good: str, bad: str) -> None:
        """Raises DemoError unless it holds."""
        if not holds:
            raise DemoError(bad)
        if good:
            self.say(good)

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so. Raises DemoError if it is not in time, CommandError if a node has gone."""
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not within {WAIT_S:.0f} s")
            gone = [partner.name for partner in self._partners if partner.has_died()]
            if gone:
                raise CommandError("node-gone", f"the node of {gone[0]} has ended by itself")
            time.sleep(_STEP_S)

    def all_know(self, entry: str, kind: str, partners: Sequence[Partner]) -> None:
        """Wait until an entry has reached these partners."""
        for partner in partners:
            self.until(lambda partner=partner: partner.has(entry), f"the {kind} reaches {partner.name}")  # type: ignore[misc]

    def all_have(self, height: int, partners: Sequence[Partner]) -> None:
        """Wait until these partners have so many blocks."""
        self.until(
            lambda: all(partner.status()["height"] >= height for partner in partners), f"block {height} is everywhere"
        )

    def seal(self, partner: Partner, everybody: Sequence[Partner], says: str) -> None:
        """Somebody asks for a block; wait until all have it, and nothing is left over."""
        # A block is a function of what its sealers have: let them have everything first.
        self.until(lambda: len({each.status()["pending"] for each in everybody}) == 1, "everybody has everything")
        partner.tally("seal", quiet=True)
        self.agree(everybody)
        row = partner.read("blocks", {"limit": 1})[-1]
        votes = "1 vote" if row["votes"] == 1 else f"{row['votes']} votes"
        partner.line("tally seal", f"#{row['height']}, {row['entries']} entries, {votes}: {says}")

    def agree(self, everybody: Sequence[Partner]) -> None:
        """Wait until nothing is pending and all are at one height."""

        def is_so() -> bool:
            rows = [each.status() for each in everybody]
            return len({row["height"] for row in rows}) == 1 and not any(row["pending"] for row in rows)

        self.until(is_so, "all nodes are at one height with nothing pending")

    # -- the end -------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Stop every node that still runs; no key is left behind."""
        for partner in self._partners:
            partner.ask_to_stop()
        for partner in self._partners:
            partner.make_sure()
            partner.lock()

    def last_words(self) -> dict[str, str]:
        """The end of each node's log."""
        return {partner.name: partner.log_tail() for partner in self._partners}
