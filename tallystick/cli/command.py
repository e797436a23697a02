"""What the definition of a command is made of: the options that all have, and the shape of a command that signs.

    accept = write("accept", "Accept an offer: the deal begins.", argument("OFFER"), words("--note"))

The parsed values go, by their names, into the operation of the same name; `args` may turn them into something else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from tallystick.cli.errors import CommandError, UsageError
from tallystick.cli.options import Options
from tallystick.node.errors import ExitCode

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

#: What `--dry-run` means to a command: it only looks, so that it does the same; or it says what it would do. A command
#: that can neither has a sentence here that says why, and refuses the option before it does anything.
LOOKS: Final = "looks"
TRIES: Final = "tries"


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

    def __init__(self, *args: Any, dry: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dry = dry
        """`LOOKS`, `TRIES`, or why it takes no `--dry-run`."""
        self.params = [*self.params, *global_options()]
        self.epilog = self.epilog or OPTIONS_NOTE

    def invoke(self, ctx: click.Context) -> Any:
        if options_of(ctx).dry_run and self.dry not in (LOOKS, TRIES):
            raise no_dry_run(self.dry)
        return super().invoke(ctx)


def no_dry_run(why: str) -> CommandError:
    """What a command says that cannot be tried out."""
    return CommandError("no-dry-run", f"no --dry-run here: {why}", exit_code=ExitCode.USAGE)


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


class Argument(click.Argument):
    """A word on the line, in brackets in the help if it may be left away."""

    def make_metavar(self, *args: Any, **kwargs: Any) -> str:
        shown = super().make_metavar(*args, **kwargs)
        return shown if self.required or shown.startswith("[") else f"[{shown}]"


def argument(metavar: str, *, name: str | None = None, needed: bool = True, **more: Any) -> click.Argument:
    """A word on the line. It is called `offer` in the operation where the help says OFFER."""
    return Argument([name or metavar.lower()], metavar=metavar, required=needed, **more)


class Whole(click.IntRange):
    """A whole number between two bounds; of a fraction it says what is counted."""

    def __init__(self, low: int, high: int, counted: str) -> None:
        super().__init__(min=low, max=high)
        self._counted = counted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if _is_fraction(str(value)):
                self.fail(f"{value!r} is no whole number: {self._counted}", param, ctx)
            raise


_is_fraction: Final = re.compile(r"-?\d*[.,]\d+").fullmatch
_MONEY: Final = "amounts are counted in minor units such as cents, so 12.50 is 1250"
#: As the node takes them.
_HIGHEST: Final = {"UNITS": 10**9, "AMOUNT": 2**63 - 1, "PROCEEDS": 2**63 - 1}
_COUNTED: Final = {
    "AMOUNT": _MONEY,
    "PROCEEDS": _MONEY,
    "POINTS": "points are whole",
    "SHARES": "shares are whole",
    "UNITS": "units are whole; what is half done is a part of the grade, or of another deal",
}


def number(metavar: str, *, name: str | None = None, needed: bool = True, low: int = 1) -> click.Argument:
    """A whole number on the line."""
    kind = Whole(low, _HIGHEST.get(metavar, 10**15), _COUNTED.get(metavar, "write it without a fraction"))
    return Argument([name or metavar.lower()], metavar=metavar, required=needed, type=kind)


def money(spelling: str, *, about: str, low: int = 0) -> click.Option:
    """An amount of money, in minor units."""
    return click.Option([spelling], metavar="AMOUNT", help=about, type=Whole(low, 2**63 - 1, _MONEY))


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

    return normalize("NFC", typed(value))


def typed(text: str) -> str:
    """What somebody typed, also where the system's language hides from Python that it is UTF-8. Raises UsageError."""
    try:
        return os.fsencode(text).decode("utf-8")
    except UnicodeEncodeError:
        # It can be written in UTF-8 and not in the system's own code: then it was read rightly.
        return text
    except UnicodeDecodeError:
        raise UsageError("what was typed is not UTF-8", hint="set LANG or LC_ALL to a language with UTF-8") from None


# -- commands ------------------------------------------------------------------------------------------------------


def read(name: str, summary: str, *params: click.Parameter, op: str | None = None) -> Command:
    """A command that asks and shows."""

    def callback(**values: Any) -> int:
        from tallystick.cli import reads

        options = options_of(click.get_current_context())
        return reads.run(op or name, {key: value for key, value in values.items() if value is not None}, options)

    return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary), dry=LOOKS)


def write(
    name: str,
    summary: str,
    *params: click.Parameter,
    op: str | None = None,
    args: Callable[[Values], Mapping[str, Any]] | None = None,
    question: str = "",
) -> Command:
    """A command that signs an entry, or with --dry-run says what it would do.

    With a `question` the person is asked first, since nothing takes it back; what is lost stands before it.
    """

    def callback(**values: Any) -> int:
        from tallystick.cli.writes import perform

        chosen = values if args is None else args(values)
        given = {key: value for key, value in chosen.items() if value not in (None, (), [])}
        options = options_of(click.get_current_context())
        return perform(op or name, given, options, question=question)

    return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary), dry=TRIES)


def command(name: str, summary: str, *params: click.Parameter, dry: str) -> Callable[[Callable[..., int]], Command]:
    """A command with a way of its own: the function gets the global options first, then its values by name.

    `dry` says what it does with `--dry-run`: `LOOKS`, `TRIES`, or a sentence why it takes none.
    """

    def make(function: Callable[..., int]) -> Command:
        def callback(**values: Any) -> int:
            return function(options_of(click.get_current_context()), **values)

        return Command(name, params=list(params), callback=callback, help=summary, short_help=_first(summary), dry=dry)

    return make


def _first(summary: str) -> str:
    """The first sentence, for the list of commands."""
    return summary.split("\n", 1)[0].split(". ", 1)[0].removesuffix(".")
