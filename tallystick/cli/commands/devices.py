"""The machines of one person: add another, see them, give one up, cut off one that was lost or stolen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tallystick.cli import keys, output
from tallystick.cli.client import Client, choose_ledger, wanted_ledger
from tallystick.cli.command import TRIES, Group, argument, command, no_dry_run, option, read, write
from tallystick.cli.errors import CommandError, UsageError
from tallystick.cli.reads import open_home
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home

device: Final = Group("device", help="The computers that write in your name.", short_help="Your computers")


def _add(options: Options, scope: str, label: str | None, offline: bool, reply: str | None) -> int:
    home = open_home(options)
    if options.dry_run and reply is None:
        raise no_dry_run("a ticket signs nothing yet; just make it")
    if reply is not None:
        return _add_by_reply(home, options, reply, scope, label)
    client = Client(home, options)
    key = keys.signing_key(home, options)
    if offline:
        answer = client.with_key("device_ticket", {}, key)
        _show_ticket(answer, options, waits=False)
        output.note(
            options, "there: `tally join --device TICKET --offline` gives a reply; here: `tally device add --reply`"
        )
        return 0
    if client.has_node():
        answer = client.ask_node("device_ticket", {"scope": scope, **({"label": label} if label else {})}, key)
        _show_ticket(answer, options, waits=False)
        output.note(
            options, "within ten minutes, there: `tally join --device TICKET`; the node here must go on running"
        )
        return 0
    return _wait(home, options, key, scope, label)


def _wait(home: Home, options: Options, key: Any, scope: str, label: str | None) -> int:
    """No node runs, so this command is one until the new machine has come."""
    from tallystick.cli.run_node import wait_for_device

    prefix = wanted_ledger(home, options)
    choose_ledger(home, options)

    def ready(answer: dict[str, Any]) -> None:
        # With --json the result is one value, at the end; a program needs the ticket before.
        output.always(answer["ticket"]) if options.json else _show_ticket(answer, options, waits=True)

    outcome = wait_for_device(home, prefix, options, key, scope=scope, label=label, ready=ready)
    from tallystick.cli.writes import show_outcome

    show_outcome(outcome, options)
    return 0


def _add_by_reply(home: Home, options: Options, text: str, scope: str, label: str | None) -> int:
    from tallystick.cli import ask
    from tallystick.cli.writes import perform
    from tallystick.crypto.words import fingerprint
    from tallystick.node.device_ticket import read_device_reply_untrusted
    from tallystick.node.enrolment import args_of_reply
    from tallystick.node.identity import read_identity

    reply = read_device_reply_untrusted(text)
    if reply.ledger != choose_ledger(home, options) or reply.adder != read_identity(home).device:
        raise CommandError(
            "ticket-foreign",
            "this reply is for another ledger or another computer",
            hint="it must be added where its ticket was made; with several ledgers, name one with --ledger",
            exit_code=ExitCode.UNTRUSTED,
        )
    output.note(options, f"the new computer shows these six words: {fingerprint(reply.device)}")
    if not options.dry_run:
        ask.confirm(options, "Does it?")
    args = {name: value for name, value in args_of_reply(reply, scope=scope, label=label).items() if value is not None}
    code = perform("device_add", args, options)
    if not options.dry_run:
        output.note(options, "next: `tally bundle out FILE --full`, there `tally join --device TICKET --bundle FILE`")
    return code


def _show_ticket(answer: dict[str, Any], options: Options, *, waits: bool) -> None:
    if options.json:
        output.result_json(answer)
        return
    import sys

    output.result(answer["ticket"])
    if sys.stdout is not None and sys.stdout.isatty() and not options.quiet:
        import segno

        segno.make(answer["ticket"].upper(), error="l").terminal(compact=True)
    sys.stdout.flush()
    if waits:
        output.note(
            options, "on the new computer: `tally init`, then `tally join --device TICKET`; waiting ten minutes"
        )
    output.note(options, "whoever has this text can become a computer of yours: show it to nobody else")


_SCOPE: Final = option(
    "--scope",
    type=click.Choice(["all", "work"]),
    default="all",
    show_default=True,
    about="What it may sign: everything, or only offers, deals and claims.",
)
_LABEL: Final = option("--label", metavar="TEXT", about="What you call it.")

device.add_command(
    command(
        "add",
        "Add another computer of yours: prints a ticket for it, good once and for ten minutes.",
        _SCOPE,
        _LABEL,
        option("--offline", is_flag=True, about="Only print the ticket: the reply is carried back by hand."),
        option("--reply", metavar="REPLY", about="Add the computer that gave this reply."),
        dry=TRIES,
    )(_add)
)
device.add_command(
    read(
        "list",
        "Your computers, or those of another member.",
        option("--partner", metavar="PARTNER", about="Those of this member."),
        op="devices",
    )
)
device.add_command(
    write(
        "retire",
        "Give up this computer: it writes nothing more in your name.",
        op="device_retire",
        question="Give up this computer? It never signs for you again.",
    )
)
device.add_command(
    write(
        "revoke",
        "Cut off a computer of yours that was lost or stolen. Run it on another one.",
        argument("DEVICE"),
        option(
            "--since", metavar="ENTRY", about="Its last good entry: what it wrote after it, and is not sealed, is void."
        ),
        op="device_revoke",
    )
)


def join_as_device(
    options: Options, ticket: str, *, offline: bool, bundle: str | None, passphrase_file: str | None
) -> int:
    """`tally join --device`: this computer becomes one of somebody who is a member."""
    from tallystick.node.arriving import check_is_new
    from tallystick.node.device_ticket import device_reply_text, read_device_ticket_untrusted
    from tallystick.node.enrolment import reply_to
    from tallystick.node.identity import follow_words, read_node_secret

    read_ticket = read_device_ticket_untrusted(ticket)
    home = open_home(options)
    check_is_new(home, read_ticket.place.ledger)
    if options.dry_run:
        raise no_dry_run("joining as a device signs nothing here")
    if offline and bundle is not None:
        raise UsageError("--offline gives the reply, --bundle takes the ledger in: one after the other")
    if bundle is not None:
        return _join_from_bundle(home, options, read_ticket, bundle, passphrase_file)
    key = keys.signing_key(home, options)
    if offline:
        text = device_reply_text(reply_to(read_ticket, key, read_node_secret(home)))
        if options.json:
            output.result_json({"reply": text, "fingerprint": _words(key.public)})
        else:
            output.result(f"{text}\nthe six words of this computer: {_words(key.public)}")
            output.note(options, "on the other computer: `tally device add --reply REPLY`")
        return 0
    from tallystick.node.clock import now_ms

    if read_ticket.expires < now_ms():
        raise CommandError("ticket-expired", "this ticket has expired", exit_code=ExitCode.UNTRUSTED)
    from tallystick.cli.progress_line import slowly

    with slowly(options, "your other computer is asked, and the ledger fetched"):
        from tallystick.cli.run_node import enrol

        entry, is_here = enrol(home, read_ticket, key)
    follow_words(home)
    _show_joined(options, entry.id.hex(), read_ticket.place.ledger, key.public, is_here=is_here)
    return 0


def _join_from_bundle(home: Home, options: Options, ticket: Any, bundle: str, passphrase_file: str | None) -> int:
    from tallystick.cli.commands.bundle import bundle_args
    from tallystick.node.arriving import check_is_added, unpacked
    from tallystick.node.clock import now_ms
    from tallystick.node.identity import follow_words, read_identity

    device_key = read_identity(home).device
    now = now_ms()
    with unpacked(home, ticket.place, bundle_args(options, bundle, passphrase_file), now) as core:
        check_is_added(core, device_key, now)
    follow_words(home)
    _show_joined(options, None, ticket.place.ledger, device_key, is_here=True)
    return 0


def _show_joined(options: Options, entry: str | None, ledger: bytes, device_key: bytes, *, is_here: bool) -> None:
    if options.json:
        row = {"entry": entry, "kind": "device.add", "status": "pending", "reason": None, "deal": None, "height": None}
        more: dict[str, Any] = {"waits_for": [], "waits_for_least": 0, "warnings": []}
        output.result_json({**row, **more, "ledger": ledger.hex(), "device": device_key.hex(), "ledger_here": is_here})
        return
    output.result(f"this computer is one of yours now, in ledger {ledger.hex()[:8]}")
    if not is_here:
        output.note(options, "the ledger has not come yet: `tally node` fetches it")
    output.note(options, "your recovery words are those that you had before: the ones of this home do nothing here")


def _words(key: bytes) -> str:
    from tallystick.crypto.words import fingerprint

    return fingerprint(key)
