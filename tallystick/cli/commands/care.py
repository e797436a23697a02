"""Care: is everything as it should be, what is wrong, and a show of it all."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.client import Client, choose_ledger
from tallystick.cli.command import LOOKS, argument, command, option, write
from tallystick.cli.errors import CommandError
from tallystick.cli.reads import home_path, open_home
from tallystick.cli.text import clean, plural, short
from tallystick.node.clock import now_ms
from tallystick.node.errors import ANEW, ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home


#: However large the ledger is.
_VERIFY_S: Final = 86_400.0


def _verify(options: Options, full: bool) -> int:
    home = open_home(options)
    ledger = choose_ledger(home, options)
    client = Client(home, options)
    if client.has_node() and _status_of_node(home, options, ledger) is not None:
        # It has the store to itself, and goes on meanwhile.
        report = client.ask_node("verify", {"full": full}, wait_s=_VERIFY_S)
    else:
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
    return "\n".join((*lines, f"keep a copy of the home, and {ANEW}"))


verify: Final = command(
    "verify",
    "Recompute the whole ledger from its founding entry. Every signature, block, root and row is compared.",
    option("--full", is_flag=True, about="Nothing is left out in any case; programs may say so."),
    dry=LOOKS,
)(_verify)


#: Not imported by name: an installation may leave it out.
_DEMO: Final = "tallystick.cli.demo"
#: Checks whose finding is advice: nothing is broken, so a script goes on.
_ADVICE: Final = frozenset({"words"})


def _doctor(options: Options) -> int:
    from tallystick.node.doctor import doctor as examine
    from tallystick.node.home import Home

    # Not opened: what keeps a home from being opened is what this command is for.
    home = Home(home_path(options).expanduser().absolute())
    rows = examine(home, now=now_ms(), status=_status_of_node(home, options))
    if options.json:
        output.result_json(rows)
    else:
        output.result("\n".join(line for row in rows for line in _finding(row)))
    is_well = all(row["ok"] or row["name"] in _ADVICE for row in rows)
    return int(ExitCode.DONE if is_well else ExitCode.DAMAGED)


def _status_of_node(home: Home, options: Options, ledger: bytes | None = None) -> dict[str, Any] | None:
    """What the running node says; None without one, or where it has another ledger than this."""
    try:
        status = Client(home, options).ask_node("status", {}, method="GET", any_ledger=True)
    except NodeError:
        return None
    is_meant = isinstance(status, dict) and (ledger is None or status.get("ledger") == ledger.hex())
    return status if is_meant else None


def _finding(row: dict[str, Any]) -> list[str]:
    first = f"{'ok' if row['ok'] else 'NO':4}{row['name']}: {clean(row['what'])}"
    return [first, f"      {clean(row['fix'])}"] if row["fix"] else [first]


doctor: Final = command("doctor", "What is wrong with this computer's part, and what mends it.", dry=LOOKS)(_doctor)


def _demo(options: Options, keep: bool) -> int:
    if find_spec(_DEMO) is None:
        raise CommandError("no-demo", exit_code=ExitCode.NOT_FOUND)
    return int(import_module(_DEMO).run_demo(options, keep=keep) or 0)


demo: Final = command(
    "demo",
    "See it work: four partners with a node each on this machine, one evening of a venture.",
    option("--keep", is_flag=True, about="Leave the homes and logs there, to look into."),
    dry="the demo plays in homes of its own, and touches nothing else",
)(_demo)

erase: Final = write(
    "erase",
    "Have the words of an entry of yours deleted everywhere. Its numbers stay, and so does every hash.",
    argument("ENTRY"),
    question="Delete these words everywhere? Nothing brings them back.",
)
