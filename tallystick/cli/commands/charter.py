"""The rules: charters to start from, what is wrong with one, and the one in force."""

from __future__ import annotations

import re
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


def _meant(text: str) -> dict[str, str]:
    """A charter in a file, or else that of a proposal. Raises CommandError."""
    path = Path(text)
    # A file comes first, whatever it is called; what cannot be the beginning of an id can only be a file.
    if path.exists() or _is_id(text.strip().lower()) is None:
        return {"charter": read_text(path)}
    return {"proposal": text}


def _ask_about(op: str) -> Callable[[Options, str], int]:
    """A question about a charter in a file or a proposal, put to the ledger that is here."""

    def ask(options: Options, charter: str) -> int:
        from tallystick.cli.client import Client
        from tallystick.cli.reads import open_home
        from tallystick.node.clock import now_ms

        answer = Client(open_home(options), options).unsigned(op, _meant(charter))
        if options.json:
            output.result_json(answer)
        else:
            from tallystick.cli.render import RENDER

            output.result(RENDER[op](answer, now_ms()))
        return 0

    return ask


_is_id: Final = re.compile(r"[0-9a-f]{1,64}").fullmatch
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
        "The charter in force, an earlier version, or one that is voted on.",
        option("--version", type=click.IntRange(min=1), metavar="N", about="This version."),
        option("--proposal", metavar="PROPOSAL", about="The one that this proposal would bring."),
        op="charter_show",
    )
)
charter.add_command(
    command(
        "diff",
        "Every setting in which a charter, or a proposed one, differs from the one in force, defaults filled in.",
        argument("FILE|PROPOSAL", name="charter"),
        dry=LOOKS,
    )(_ask_about("charter_diff"))
)
charter.add_command(
    command(
        "simulate",
        "Play the whole ledger again, as if this charter, or a proposed one, had been in force from the beginning.",
        argument("FILE|PROPOSAL", name="charter"),
        dry=LOOKS,
    )(_ask_about("charter_simulate"))
)
