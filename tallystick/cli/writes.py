"""A signing command from end to end: the operation, the key if it is needed, and what came of it in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallystick.cli import ask, keys, output
from tallystick.cli.client import Client
from tallystick.cli.errors import warn
from tallystick.cli.reads import open_home
from tallystick.node.clock import now_ms
from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home


def perform(op: str, args: Mapping[str, Any], options: Options, *, question: str = "", said: str = "") -> int:
    """Do it and say so; returns the exit code. A dry run that ends as void is refused too, once it is shown.

    With a `question` the person is asked before it is signed, and told what it costs. `said` is what has been done,
    where the kind of the entry does not tell.
    """
    home = open_home(options)
    client = Client(home, options)
    if options.dry_run:
        outcome = client.write(op, {**args, "dry_run": True}, lambda: keys.signing_key(home, options))
        outcome["remarks"] = [*(outcome.get("remarks") or ()), *_of_words(op, home)]
        _show_trial(op, outcome, options)
        if outcome.get("reason") == "malformed":
            return int(ExitCode.USAGE)
        return int(ExitCode.DONE if outcome.get("status") != "void" else ExitCode.REFUSED)
    if question and not options.yes:
        _ask_first(op, args, question, client)
    try:
        outcome = client.write(op, args, lambda: keys.signing_key(home, options), keys.held_key(home))
    except NodeError as error:
        error.op = op
        raise
    show_outcome(outcome, options, uses=int(args.get("uses") or 1), said=said)
    return int(ExitCode.REFUSED if outcome.get("status") == "void" else ExitCode.DONE)


def _ask_first(op: str, args: Mapping[str, Any], question: str, client: Client) -> None:
    """Nothing takes it back, so the person hears what it costs. What a rule refuses anyway is not asked about."""
    trial = client.write(op, {**args, "dry_run": True}, lambda: keys.signing_key(client.home, client.options))
    if trial.get("status") == "void":
        return
    if ask.can_ask():
        from tallystick.cli.text import clean

        for each in (*(trial.get("remarks") or ()), *_of_words(op, client.home)):
            output.always(f"  {clean(each)}")
    ask.confirm(client.options, question)


def _of_words(op: str, home: Home) -> list[str]:
    """Whoever gives up a computer may need the recovery words; whether they are written down only this home knows."""
    from tallystick.node.identity import read_identity

    identity = read_identity(home)
    if op != "device_retire" or identity.words_confirmed or identity.words_elsewhere:
        return []
    return ["you have not shown yet that your recovery words are written down: `tally init --confirm-words`"]


def show_outcome(outcome: Mapping[str, Any], options: Options, *, uses: int = 1, said: str = "") -> None:
    """What was written, and what it is now; `uses` is how many a ticket is for, `said` as in `perform`."""
    for each in outcome.get("warnings") or ():
        warn(options, str(each))
    if options.json:
        output.result_json(outcome)
        return
    from tallystick.cli.render_write import outcome_text

    ticket = outcome.get("ticket")
    # With -q a script wants the ticket, and nothing but the ticket.
    if not (ticket and options.quiet):
        output.result(outcome_text(outcome, said))
    if ticket:
        _show_ticket(str(ticket), options, uses)


def _show_trial(op: str, outcome: Mapping[str, Any], options: Options) -> None:
    for each in outcome.get("warnings") or ():
        warn(options, str(each))
    if options.json:
        output.result_json(outcome)
        return
    from tallystick.cli.render_write import trial_text

    output.result(trial_text(op, outcome, now_ms()))


def _show_ticket(ticket: str, options: Options, uses: int) -> None:
    """The ticket by itself on its line, and for a person with a telephone as a picture."""
    import sys

    output.result(ticket if options.quiet else f"\n{ticket}")
    if sys.stdout is not None and sys.stdout.isatty() and not options.quiet:
        import segno

        # In capital letters the picture is a third smaller, and the ticket is the same.
        segno.make(ticket.upper(), error="l").terminal(compact=True)
    from tallystick.node.ticket import read_ticket_untrusted

    if not read_ticket_untrusted(ticket).addresses:
        warn(options, "it names no address, since no node has run here yet: start `tally node` and invite again")
        how = "without a network it goes with the ledger in a file: `tally bundle out FILE --full`"
    else:
        how = "your node must run when it is used: `tally node`"
    whom = "that person alone" if uses == 1 else f"these {uses} persons alone"
    output.note(options, f"give it to {whom}; {how}")
