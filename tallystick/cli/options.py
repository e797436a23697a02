"""The options that every command has, wherever on the line they stand."""

from __future__ import annotations


class Options:
    """What holds for one call of `tally`.

    No dataclass: importing that module costs more than reading a ledger's points.
    """

    __slots__ = ("dry_run", "home", "json", "ledger", "quiet", "verbose", "yes")

    def __init__(self) -> None:
        self.home: str | None = None
        """The home's folder; None for `TALLY_HOME` or the system's place."""
        self.ledger: str | None = None
        """Prefix of the ledger's id; None for `TALLY_LEDGER`, the settings, or the only one."""
        self.json = False
        self.yes = False
        """Every question is answered with yes."""
        self.dry_run = False
        """Say what would happen, sign nothing."""
        self.quiet = False
        self.verbose = False


#: The switches by their spellings; and the options that take a value.
SWITCHES = {
    "--json": "json",
    "--yes": "yes",
    "-y": "yes",
    "--dry-run": "dry_run",
    "-n": "dry_run",
    "--quiet": "quiet",
    "-q": "quiet",
    "--verbose": "verbose",
    "-v": "verbose",
}
VALUES = {"--home": "home", "--ledger": "ledger"}
