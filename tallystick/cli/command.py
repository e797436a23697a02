"""What the definition of a command is made of: the options that all have, and the shape of a command that signs.

    accept = write("accept", "Accept an offer: the deal begins.", argument("OFFER"), words("--note"))

The parsed values go, by their names, into the operation of the same name; `args` may turn them into something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from tallystick.cli.options import Options

OPTIONS_NOTE: Final = (
    "Every command takes --home DIR, --ledger PREFIX, --json, --yes, --dry-run, -q and -v, before or after its name."
)
_ABOUT: Final = {
    "home": "The folder with keys and ledgers (TALLY_HOME).",
    "ledger": "The ledger, by the first digits of its id (TALLY_LEDGER).",
    "json": "Print one JSON value, for programs.",
    "yes": "Answer every question with yes.",
    "dry_run": "Say what would happen; sign nothing.",
    "quiet": "Print results only.",
    "verbose": "Print more about what is done.",
}
_FLAGS: Final = {
    "json": ("--json",),
    "yes": ("-y", "--yes"),
    "dry_run": ("-n", "--dry-run"),
    "quiet": ("-q", "--quiet"),
    "verbose": ("-v", "--verbose"),
}

Values = dict[str, Any]


def options_of(ctx: click.Context) -> Options:
    """The global options, wherever on the line they stood."""
    return ctx.ensure_object(Options)


def _take(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value and param.name is not None:
        setattr(options_of(ctx), param.name.removeprefix("global_"), value)


def global_options(*, hidden: bool = True) -> list[click.Parameter]:
    """The options of every command. Hidden in its help: the main help explains them once."""
    common: Values = {"expose_value": False, "callback": _take, "hidden": hidden, "is_eager": True}
    valued = [
        click.Option([f"--{name}", f"global_{name}"], metavar=metavar, help=_ABOUT[name], **common)
        for name, metavar in (("home", "DIR"), ("ledger", "PREFIX"))
    ]
    flags = [
        click.Option([*spellings, f"global_{name}"], is_flag=True, help=_ABOUT[name], **common)
        for name, spellings in _FLAGS.items()
    ]
    return [*valued, *flags]


class Command(click.Command):
    """A command that also takes the global options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]
        self.epilog = self.epilog or OPTIONS_NOTE


class Group(click.Group):
    """A command with commands of its own, such as `tally charter`."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *global_options()]
        self.epilog = self.epilog or OPTIONS_NOTE

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            from tallystick.cli.app import unknown_command

            raise unknown_command(args[0], self.commands, ctx.command_path)
        return super().resolve_command(ctx, args)


# -- parameters ----------------------------------------------------------------------------------------------------


def argument(metavar: str, *, name: str | None = None, needed: bool = True, **more: Any) -> click.Argument:
    """A word on the line. It is called `offer` in the operation where the help says OFFER."""
    return click.Argument([name or metavar.lower()], metavar=metavar, required=needed, **more)


def number(metavar: str, *, name: str | None = None, needed: bool = True, low: int = 1) -> click.Argument:
    """A whole number on the line."""
    kind = click.IntRange(min=low, max=10**15)
    return click.Argument([name or metavar.lower()], metavar=metavar, required=needed, type=kind)


def option(*spellings: str, about: str, **more: Any) -> click.Option:
    return click.Option(spellings, help=about, **more)


def words(spelling: str = "--note", *, about: str = "A word to the others.", needed: bool = False) -> click.Option:
    """Free text, which goes into the erasable part of the entry."""
    return click.Option([spelling], metavar="TEXT", required=needed, help=about, callback=_normal)


def when(spelling: str, *, about: str, needed: bool = False) -> click.Option:
    """A duration such as 3d, or a date."""
    return click.Option([spelling], metavar="TIME", required=needed, help=f"{about} 3d, 2026-12-24, 2026-12-24T18:00.")


def _normal(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Words in the composed form: the ledger keeps bytes, and two spellings of é would be two words."""
    if value is None or value.isascii():
        return value
    from unicodedata import normalize

    return normalize("NFC", value)


# -- commands ------------------------------------------------------------------------------------------------------


def read(name: str, summary: str, *params: click.Parameter, op: str | None = None) -> Command:
    """A command that asks and shows."""

    def callback(**values: Any) -> int:
        from tallystick.cli import reads

        options = options_of(click.get_current_context())
        return reads.run(op or name, {key: value for key, value in values.items() if value is not None}, options)

    return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary))


def write(
    name: str,
    summary: str,
    *params: click.Parameter,
    op: str | None = None,
    args: Callable[[Values], Mapping[str, Any]] | None = None,
) -> Command:
    """A command that signs an entry, or with --dry-run says what it would do."""

    def callback(**values: Any) -> int:
        from tallystick.cli.writes import perform

        chosen = values if args is None else args(values)
        given = {key: value for key, value in chosen.items() if value not in (None, (), [])}
        return perform(op or name, given, options_of(click.get_current_context()))

    return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary))


def command(name: str, summary: str, *params: click.Parameter) -> Callable[[Callable[..., int]], Command]:
    """A command with a way of its own: the function gets the global options first, then its values by name."""

    def make(function: Callable[..., int]) -> Command:
        def callback(**values: Any) -> int:
            return function(options_of(click.get_current_context()), **values)

        return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary))

    return make


def _first(summary: str) -> str:
    """The first sentence, for the list of commands."""
    return summary.split("\n", 1)[0].split(". ", 1)[0].removesuffix(".")
