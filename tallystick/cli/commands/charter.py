"""The rules: charters to start from, what is wrong with one, and the one in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tallystick.cli import output
from tallystick.cli.command import LOOKS, Group, argument, command, option, read
from tallystick.cli.files import read_text

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.protocol.charter import Charter

charter: Final = Group("charter", help="The rules of a ledger.", short_help="The rules of a ledger")


def read_charter_file(path: Path) -> Charter:
    """The charter in a file. Raises CommandError, CharterError with everything that is wrong."""
    from tallystick.protocol.charter import read_charter, read_toml

    return read_charter(read_toml(read_text(path)))


def _template(options: Options, name: str | None) -> int:
    from tallystick.protocol.charter_templates import PACKAGE, TEMPLATES

    if name is None:
        if options.json:
            output.result_json([{"name": each, "purpose": purpose} for each, purpose in TEMPLATES.items()])
        else:
            from tallystick.cli.text import table

            output.result(table(("name", "for"), TEMPLATES.items()))
            output.note(options, "`tally charter template NAME > charter.toml` writes one to a file")
        return 0
    from importlib.resources import files

    text = files(PACKAGE).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    if options.json:
        output.result_json({"name": name, "text": text})
    else:
        output.result(text)
    return 0


def _check(options: Options, file: str, partners: int | None) -> int:
    from tallystick.node.reads_charter import checked

    answer = checked(read_charter_file(Path(file)), partners)
    if options.json:
        output.result_json(answer)
        return 0
    from tallystick.cli.render_charter import charter_check

    output.result(charter_check(answer, file))
    return 0


def _ask_about(op: str) -> Callable[[Options, str], int]:
    """A question about a charter in a file, put to the ledger that is here."""

    def ask(options: Options, file: str) -> int:
        from tallystick.cli.client import Client
        from tallystick.cli.reads import open_home
        from tallystick.node.clock import now_ms

        text = read_text(Path(file))
        answer = Client(open_home(options), options).unsigned(op, {"charter": text})
        if options.json:
            output.result_json(answer)
        else:
            from tallystick.cli.render import RENDER

            output.result(RENDER[op](answer, now_ms()))
        return 0

    return ask


_names: Final = ["cafe", "studio", "community", "relief"]

charter.add_command(
    command(
        "template",
        "Print a charter to start from. Without a name, list them.",
        argument("NAME", needed=False, type=click.Choice(_names)),
        dry=LOOKS,
    )(_template)
)
charter.add_command(
    command(
        "check",
        "Say everything that is wrong with a charter, and warn of rules that may hurt.",
        argument("FILE"),
        option(
            "--partners",
            type=click.IntRange(min=1, max=10**6),
            metavar="N",
            about="Also list rules that N partners can never meet.",
        ),
        dry=LOOKS,
    )(_check)
)
charter.add_command(
    read(
        "show",
        "The charter in force, or an earlier version.",
        option("--version", type=click.IntRange(min=1), metavar="N", about="This version."),
        op="charter_show",
    )
)
charter.add_command(
    command(
        "diff",
        "Every setting in which a charter differs from the one in force, defaults filled in.",
        argument("FILE"),
        dry=LOOKS,
    )(_ask_about("charter_diff"))
)
charter.add_command(
    command(
        "simulate",
        "Play the whole ledger again, as if this charter had been in force from the beginning.",
        argument("FILE"),
        dry=LOOKS,
    )(_ask_about("charter_simulate"))
)
