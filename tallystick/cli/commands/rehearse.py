"""Rehearse: play a made-up history under a charter, before anybody signs it. No home and no ledger are needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.command import LOOKS, argument, command
from tallystick.cli.errors import UsageError
from tallystick.cli.files import read_text

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.protocol.rehearsal import Rehearsal
    from tallystick.protocol.scenario import Mistake, Scenario

_SCENARIO_BYTES_MAX: Final = 32 * 1024 * 1024
_CHARTER_BYTES_MAX: Final = 1024 * 1024


class ScenarioInvalidError(UsageError):
    """A file is no scenario; `problems` are all the reasons."""

    def __init__(self, file: str, problems: tuple[Mistake, ...]) -> None:
        lines = "\n".join(map(str, problems))
        super().__init__(f"{file} cannot be rehearsed:\n{lines}", reason="scenario-invalid")
        self.problems = problems


def read_scenario_file(path: Path) -> Scenario:
    """The scenario in a file, its charters looked up beside it. Raises CommandError, ScenarioInvalidError."""
    from tallystick.protocol.charter import read_toml
    from tallystick.protocol.scenario import ScenarioError, read_scenario
    from tallystick.protocol.scenario import read_text as parse

    def load(name: str) -> dict[str, Any]:
        file = path.parent / name
        if file.stat().st_size > _CHARTER_BYTES_MAX:
            raise OSError(None, "it is too large for a charter")
        try:
            return read_toml(file.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            raise OSError(None, "it is not UTF-8") from None

    try:
        document = parse(read_text(path, bytes_max=_SCENARIO_BYTES_MAX))
        if isinstance(document.get("charter"), int):
            # The version with which every charter begins; a history has the name of a file there, or a table.
            raise UsageError(
                f"{path} is a charter, not a history",
                reason="scenario-invalid",
                hint=f"`tally charter check {path}` reads it; a history names it, as in the guide: try-a-charter",
            )
        return read_scenario(document, load)
    except ScenarioError as error:
        raise ScenarioInvalidError(str(path), error.problems) from error


def play_file(path: Path) -> Rehearsal:
    """The rehearsal of the scenario in a file, at its end. Raises CommandError, ScenarioInvalidError."""
    from tallystick.protocol.rehearsal import Rehearsal

    return Rehearsal(read_scenario_file(path)).play()


def _rehearse(options: Options, file: str) -> int:
    played = play_file(Path(file))
    if options.json:
        output.result_json(played.to_json())
        return 0
    from tallystick.cli.render_rehearsal import rehearsal

    output.result(rehearsal(played, everything=options.verbose))
    return 0


rehearse: Final = command(
    "rehearse",
    "Play a made-up history under a charter. SCENARIO is a TOML file: a charter, partners and what each does when.",
    argument("SCENARIO", name="file"),
    dry=LOOKS,
)(_rehearse)
