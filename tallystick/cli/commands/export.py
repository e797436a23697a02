"""Export: the ledger for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tallystick.cli import output
from tallystick.cli.command import TRIES, argument, command
from tallystick.cli.errors import CommandError
from tallystick.cli.files import write_new
from tallystick.node.errors import ExitCode
from tallystick.node.file_errors import unwritable

if TYPE_CHECKING:
    from tallystick.cli.options import Options

#: As in `tallystick.cli.export`, which is imported when it is needed.
_FORMATS: Final = ["hledger", "beancount", "ocf", "csv", "json"]


def _export(options: Options, form: str, directory: str) -> int:
    from tallystick.cli.client import Client
    from tallystick.cli.export import FORMATS, iter_lines
    from tallystick.cli.reads import open_home

    files = FORMATS[form](Client(open_home(options), options).read("export", {}))
    place = Path(directory)
    for name in files:
        # Before the first one is written: an export is there wholly or not at all.
        if (place / name).exists():
            raise CommandError("file-exists", f"{place / name} exists already", exit_code=ExitCode.USAGE)
    if not options.dry_run:
        _write(place, files)
    if options.json:
        row = {"format": form, "directory": str(place), "files": sorted(files)}
        output.result_json(row | {"dry_run": True} if options.dry_run else row)
        return 0
    lines = [f"nothing was written; these files would be, in {place}"] if options.dry_run else []
    output.result("\n".join((*lines, *iter_lines(files))))
    output.note(options, "these files hold everybody's names and points: they are for their owner alone")
    return 0


def _write(place: Path, files: Mapping[str, str]) -> None:
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from error
    for name, text in files.items():
        write_new(place / name, text)


export: Final = command(
    "export",
    "Write the ledger for other programs into a folder. Nothing that exists is overwritten.",
    argument("hledger|beancount|ocf|csv|json", name="form", type=click.Choice(_FORMATS)),
    argument("DIR", name="directory"),
    dry=TRIES,
)(_export)
