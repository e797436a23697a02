"""Care: is everything as it should be, what is wrong, and a show of it all."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.client import Client, choose_ledger
from tallystick.cli.command import command, option
from tallystick.cli.errors import CommandError
from tallystick.cli.reads import open_home
from tallystick.cli.text import clean, plural, short
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home


def _verify(options: Options, full: bool) -> int:
    home = open_home(options)
    ledger = choose_ledger(home, options)
    if Client(home, options).has_node():
        # It has the store to itself, and may be busy: what is checked must not change under the check.
        raise CommandError(
            "node-running",
            "a node is running on this home, and has the ledger to itself",
            hint="stop it for a moment, then verify",
            exit_code=ExitCode.DAMAGED,
        )
    report = _verified(home, ledger, options)
    if options.json:
        output.result_json(report)
    else:
        output.result(_report_text(report))
    return int(ExitCode.DONE if report["ok"] else ExitCode.DAMAGED)


def _verified(home: Home, ledger: bytes, options: Options) -> dict[str, Any]:
    from tallystick.node.archive import Archive
    from tallystick.node.verify import verify

    store = home.open_store(ledger)
    try:
        return verify(Archive(store), progress=_Progress(options))
    finally:
        store.close()


class _Progress:
    """A line that counts blocks, for a person who waits."""

    def __init__(self, options: Options) -> None:
        self._shown = not options.quiet and not options.json and sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if self._shown and (done == total or not done % 50):
            output.always_part(f"\rblock {done} of {total}" + ("\n" if done == total else ""))


def _report_text(report: dict[str, Any]) -> str:
    counts = (
        f"{plural(report['entries'], 'entry', 'entries')}, {plural(report['blocks'], 'block')}, "
        f"{plural(report['signatures_checked'], 'signature')} checked"
    )
    if report["ok"]:
        root = report["state_root"]
        return f"everything is as it should be: {counts}\nstate root {short(root) if root else 'none yet'}"
    lines = [f"NOT as it should be: {counts}, {plural(len(report['problems']), 'problem')}"]
    lines += [f"  {clean(row['where'])}: {clean(row['problem'])}" for row in report["problems"]]
    return "\n".join((*lines, "keep a copy of the home, then fetch the ledger again from a partner or a bundle"))


verify: Final = command(
    "verify",
    "Recompute the whole ledger from its founding entry, and compare: every signature, block, root and row.",
    option("--full", is_flag=True, about="Nothing is left out in any case; programs may say so."),
)(_verify)


def _demo(options: Options) -> int:
    return int(import_module("tallystick.cli.demo").run_demo(options) or 0)


demo: Final = command("demo", "See it work: several nodes on this machine, a few minutes of a venture's life.")(_demo)
