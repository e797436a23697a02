"""The commands by name, and click around them.

A command's module is imported when the command is asked for. Adding one: its name in `SECTIONS`, and its definition in
that module (`write` makes most of them in a few lines).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import click

from tallystick import __version__
from tallystick.cli.command import OPTIONS_NOTE, global_options
from tallystick.cli.errors import UsageError

#: Title -> command -> the module that defines it, in the order of the help.
SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Start": {
        "init": "start",
        "found": "start",
        "re-found": "refound",
        "join": "join",
        "charter": "charter",
        "rehearse": "rehearse",
        "demo": "care",
    },
    "Market": {
        "market": "read",
        "offers": "read",
        "offer": "market",
        "withdraw": "market",
        "endorse": "market",
        "accept": "market",
    },
    "Deals": {
        "deals": "read",
        "deliver": "deals",
        "evidence": "evidence",
        "return": "deals",
        "approve": "deals",
        "reject": "deals",
        "cancel": "deals",
        "cosign": "deals",
        "dispute": "deals",
        "verdict": "deals",
        "correct": "deals",
        "confirm": "deals",
    },
    "Deeds": {"claim": "deeds", "attest": "deeds"},
    "Money": {
        "subscribe": "money",
        "donate": "money",
        "receipt": "money",
        "cash": "money",
        "report": "money",
        "use-voucher": "money",
        "paid": "money",
        "received": "money",
        "settlement": "read",
    },
    "Points": {"points": "read", "explain": "read", "statement": "read", "transfer": "money"},
    "Votes": {"proposals": "read", "propose": "votes", "vote": "votes"},
    "People": {
        "partners": "read",
        "invite": "people",
        "uninvite": "people",
        "admit": "people",
        "refuse": "people",
        "away": "people",
        "back": "people",
        "leave": "people",
        "sealer": "people",
    },
    "Ledger": {
        "status": "read",
        "inbox": "read",
        "log": "read",
        "show": "read",
        "blocks": "read",
        "audit": "read",
        "seal": "network",
        "fork": "read",
        "export": "export",
        "erase": "care",
    },
    "Network": {"node": "network", "peers": "read", "sync": "network", "bundle": "bundle"},
    "Keys": {"device": "devices", "recover": "recover", "unlock": "start", "lock": "start"},
    "Care": {
        "verify": "care",
        "prove": "proof",
        "proof": "proof",
        "doctor": "care",
    },
}

MODULES: Final[Mapping[str, str]] = {name: module for section in SECTIONS.values() for name, module in section.items()}


_is_outside: Final = re.compile(r"is not in the range (\d+)<=x<=(\d+)")
_is_negative: Final = re.compile(r"-\d.*").fullmatch


class Tally(click.Group):
    """The top of the tree: finds commands in their modules, and guesses what a misspelt one meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return find_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and find_command(args[0]) is None:
            raise unknown_command(args[0], MODULES)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            rows = [(name, command.get_short_help_str(70)) for name in section if (command := find_command(name))]
            with formatter.section(title):
                formatter.write_dl(rows)


def find_command(name: str) -> click.Command | None:
    """The command of this name, its module imported."""
    module = MODULES.get(name)
    if module is None:
        return None
    found = vars(import_module(f"tallystick.cli.commands.{module}")).values()
    return next((each for each in found if isinstance(each, click.Command) and each.name == name), None)


def unknown_command(name: str, known: Sequence[str] | Mapping[str, Any], group: str = "tally") -> UsageError:
    """What to say of a command that is none."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=3, cutoff=0.6)
    hint = "did you mean " + " or ".join(f"`{group} {each}`" for each in close) + "?" if close else ""
    return UsageError(
        f"there is no command {name!r}",
        reason="unknown-command",
        hint=hint or f"`{group} --help` lists the commands",
    )


@click.group(
    cls=Tally,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=OPTIONS_NOTE,
)
@click.version_option(__version__, "-V", "--version", message="tally %(version)s")
@click.pass_context
def tally(ctx: click.Context) -> None:
    """A ledger for a venture without a boss or a server: who did what, who agreed, what it is worth.

    \b
    tally init --name Ana         make the keys of this device
    tally found charter.toml      start a ledger, or
    tally join TICKET             join one
    tally status                  where things stand
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


tally.params[:0] = global_options(hidden=False)


def command_of(args: Sequence[str]) -> str:
    """The command that these words call, as it is written: `tally propose role`."""
    words = [each for each in args if not each.startswith("-")]
    for at, word in enumerate(words):
        found = find_command(word)
        if isinstance(found, click.Group):
            inner = words[at + 1] if len(words) > at + 1 else ""
            return f"tally {word} {inner}" if inner in found.commands else f"tally {word}"
        if found is not None:
            return f"tally {word}"
    return "tally"


def run(args: Sequence[str]) -> int:
    """Read the arguments with click and do what they say. `help COMMAND` is `COMMAND --help`."""
    words = [*args[1:], "--help"] if args and args[0] == "help" else list(args)
    try:
        code = tally.main(args=words, prog_name="tally", standalone_mode=False)
    except click.exceptions.Exit as stopped:
        return stopped.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except SystemExit as ended:
        # Click ends so by itself when a shell asks for completions, and when a reader has gone: that is no error.
        # Whoever ends a command with another code, as the demo on SIGTERM, means that code.
        if "_TALLY_COMPLETE" in os.environ or ended.code != 1:
            raise
        raise BrokenPipeError from ended
    except click.exceptions.NoArgsIsHelpError as error:
        hint = f"`{error.ctx.command_path} --help` lists them"
        raise UsageError("a command is missing", reason="missing", hint=hint) from error
    except click.ClickException as error:
        raise _usage(error, words) from error
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, words: Sequence[str]) -> UsageError:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else command_of(words)
    # The choices are the name of the argument, too.
    message = error.format_message().partition(" Choose from:")[0].rstrip(".")
    message = _is_outside.sub(r"is not between \1 and \2", message.replace("'[", "'").replace("]'", "'"))
    message = message.replace("is not a valid integer range", "is no whole number")
    if isinstance(error, click.NoSuchOption) and _is_negative(error.option_name):
        message = f"{error.option_name} is below zero: no number here is"
    # A group whose command is missing raises no error of its own.
    missing = isinstance(error, click.MissingParameter) or message == "Missing command"
    reason = "missing" if missing else "usage"
    return UsageError(message[:1].lower() + message[1:], reason=reason, hint=f"`{path} --help` shows how")
