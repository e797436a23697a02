"""A signing command from end to end: the operation, the key if it is needed, and what came of it in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallystick.cli import keys, output
from tallystick.cli.client import Client
from tallystick.cli.errors import warn
from tallystick.cli.reads import open_home
from tallystick.node.clock import now_ms
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def perform(op: str, args: Mapping[str, Any], options: Options) -> int:
    """Do it and say so; returns the exit code. A dry run that ends as void is refused too, once it is shown."""
    home = open_home(options)
    client = Client(home, options)
    if options.dry_run:
        outcome = client.write(op, {**args, "dry_run": True}, lambda: keys.signing_key(home, options))
        _show_trial(op, outcome, options)
        if outcome.get("reason") == "malformed":
            return int(ExitCode.USAGE)
        return int(ExitCode.DONE if outcome.get("status") != "void" else ExitCode.REFUSED)
    outcome = client.write(op, args, lambda: keys.signing_key(home, options), keys.held_key(home))
    show_outcome(outcome, options)
    return int(ExitCode.REFUSED if outcome.get("status") == "void" else ExitCode.DONE)


def show_outcome(outcome: Mapping[str, Any], options: Options) -> None:
    """What was written, and what it is now."""
    for each in outcome.get("warnings") or ():
        warn(options, str(each))
    if options.json:
        output.result_json(outcome)
        return
    from tallystick.cli.render_write import outcome_text

    output.result(outcome_text(outcome))
    if ticket := outcome.get("ticket"):
        _show_ticket(str(ticket), options)


def _show_trial(op: str, outcome: Mapping[str, Any], options: Options) -> None:
    for each in outcome.get("warnings") or ():
        warn(options, str(each))
    if options.json:
        output.result_json(outcome)
        return
    from tallystick.cli.render_write import trial_text

    output.result(trial_text(op, outcome, now_ms()))


def _show_ticket(ticket: str, options: Options) -> None:
    """The ticket by itself on its line, and for a person with a telephone as a picture."""
    import sys

    output.result(f"\n{ticket}")
    if sys.stdout is not None and sys.stdout.isatty() and not options.quiet:
        import segno

        # In capital letters the picture is a third smaller, and the ticket is the same.
        segno.make(ticket.upper(), error="l").terminal(compact=True)
    from tallystick.node.ticket import read_ticket_untrusted

    if not read_ticket_untrusted(ticket).addresses:
        warn(options, "it names no address, since no node has run here yet: start `tally node` and invite again")
    output.note(options, "give it to that person alone; your node must run when it is used: `tally node`")
