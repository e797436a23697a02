"""The stick: write whatever this computer has into a file, and take in what a file has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tallystick.cli import keys, output
from tallystick.cli.client import Client
from tallystick.cli.command import Group, argument, command, option
from tallystick.cli.errors import CommandError
from tallystick.cli.reads import open_home
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options

bundle: Final = Group("bundle", help="Carry the ledger in a file.", short_help="Carry the ledger in a file")


def bundle_args(options: Options, file: str, passphrase_file: str | None) -> dict[str, Any]:
    """What the operations on bundles take. Raises CommandError."""
    args: dict[str, Any] = {"path": str(Path(file).expanduser().absolute())}
    if passphrase_file is not None:
        args["passphrase"] = keys.read_passphrase_file(Path(passphrase_file).expanduser(), options)
    return args


def _out(options: Options, file: str, full: bool, since: int | None, passphrase_file: str | None) -> int:
    home = open_home(options)
    args = bundle_args(options, file, passphrase_file) | {"full": full, "since": since}
    # A bundle is signed where the key is at hand; unsigned ones are as good, since every entry is signed itself.
    answer = Client(home, options).with_key("bundle_out", args, keys.held_key(home))
    if options.json:
        output.result_json(answer)
        return 0
    from tallystick.cli.text import plural

    since_text = "everything" if not answer["base"] else f"all since block {answer['base']}"
    output.result(
        f"{file}: {since_text}, {plural(answer['blocks'], 'block')}, {plural(answer['entries'], 'entry', 'entries')}, "
        f"{plural(answer['messages'], 'sealing message')}, {answer['bytes']} bytes"
    )
    return 0


def _in(options: Options, file: str, passphrase_file: str | None) -> int:
    home = open_home(options)
    args = bundle_args(options, file, passphrase_file)
    answer = Client(home, options).with_key("bundle_in", args, None)
    damage = answer["damage"]
    if options.json:
        output.result_json(answer)
    else:
        from tallystick.cli.text import clean, plural

        entries = plural(answer["entries"], "new entry", "new entries")
        news = f"{plural(answer['blocks'], 'new block')}, {entries}, {plural(answer['messages'], 'sealing message')}"
        lines = [f"taken from {file}: {news}; {answer['known']} known already", f"height {answer['height']}"]
        lines += [clean(answer[key]) for key in ("gap", "next") if answer[key]]
        output.result("\n".join(lines))
    if damage:
        raise CommandError(
            "bundle-damaged",
            f"the bundle is damaged: {damage}",
            hint="what was sound before the damage has been taken; copy the file again for the rest",
            exit_code=ExitCode.DAMAGED,
        )
    return 0


bundle.add_command(
    command(
        "out",
        "Write a bundle: blocks, entries that wait, and what sealers have said.",
        argument("FILE"),
        option(
            "--full",
            is_flag=True,
            about="The whole ledger, for a newcomer; without it the newest 256 blocks.",
        ),
        option("--since", type=click.IntRange(min=0), metavar="HEIGHT", about="Only blocks after this one."),
        option("--passphrase-file", metavar="FILE", about="Seal the bundle by the passphrase in its first line."),
        dry="a bundle signs nothing; just write it",
    )(_out)
)
bundle.add_command(
    command(
        "in",
        "Take in what a bundle has. It may be done again: what is known already is passed over.",
        argument("FILE"),
        option("--passphrase-file", metavar="FILE", about="The bundle's passphrase is its first line."),
        dry="what a bundle holds is known only when it has been taken in; it takes nothing away",
    )(_in)
)
