"""Joining a ledger with a ticket: read the charter, agree, sign, hand it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import ask, keys, output
from tallystick.cli.command import TRIES, argument, command, option
from tallystick.cli.commands.bundle import bundle_args
from tallystick.cli.errors import UsageError
from tallystick.cli.reads import open_home
from tallystick.cli.text import clean, plural
from tallystick.node.clock import now_ms

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home
    from tallystick.node.joining import Joining
    from tallystick.node.ticket import Ticket


def _join(
    options: Options, ticket: str, bundle: str | None, passphrase_file: str | None, device: bool, offline: bool
) -> int:
    if device:
        from tallystick.cli.commands.devices import join_as_device

        return join_as_device(options, ticket, offline=offline, bundle=bundle, passphrase_file=passphrase_file)
    if offline:
        raise UsageError("--offline goes with --device", hint="`--bundle FILE` joins with an invitation and no network")
    from tallystick.node.identity import read_identity
    from tallystick.node.joining import check_can_join
    from tallystick.node.ticket import read_ticket_untrusted

    read = read_ticket_untrusted(ticket)
    home = open_home(options)
    check_can_join(home, read, now_ms())
    if bundle is not None:
        return _join_from_bundle(options, home, read, bundle_args(options, bundle, passphrase_file))
    # From here on others are asked, which needs what is slow to import.
    from tallystick.cli.progress_line import slowly

    output.detail(options, "asking a partner's node for the charter")
    with slowly(options, "a partner's node is asked for the charter"):
        from tallystick.cli.run_node import agree, read_terms

        terms = read_terms(home, read)
    if options.dry_run:
        _show_trial(terms, options)
        return 0
    if not options.json:
        output.note(options, _terms_text(terms))
    charter = terms.charter
    ask.confirm(options, f"Join {clean(charter.name)} as {read.standing} under charter {charter.hash.hex()[:8]}?")
    entry = agree(home, terms, keys.signing_key(home, options), now_ms())
    _show_joined(terms, entry.id.hex(), read_identity(home).device, options)
    if not options.json:
        output.note(options, "next: `tally node` fetches the ledger; `tally status` says when you are in")
    return 0


def _join_from_bundle(options: Options, home: Home, ticket: Ticket, source: dict[str, Any]) -> int:
    """Without a network: the ledger comes in a file, and the join has to go back in one."""
    from tallystick.node.identity import read_identity
    from tallystick.node.joining import unpacking

    with unpacking(home, ticket, source, now_ms()) as unpacked:
        terms = unpacked.joining
        if options.dry_run:
            _show_trial(terms, options)
            return 0
        if not options.json:
            output.note(options, _terms_text(terms))
        charter = terms.charter
        ask.confirm(options, f"Join {clean(charter.name)} as {ticket.standing} under charter {charter.hash.hex()[:8]}?")
        entry = unpacked.agree(keys.signing_key(home, options), now_ms())
    _show_joined(terms, entry.id.hex(), read_identity(home).device, options)
    output.note(options, "next: carry it to a partner: `tally bundle out FILE`, there `tally bundle in FILE`")
    return 0


def _terms_text(terms: Joining) -> str:
    """What somebody should know of a charter before agreeing to it; the whole of it is shown by `charter show`."""
    charter = terms.charter
    lines = [f"{clean(charter.name)}: ledger {terms.ticket.ledger.hex()[:8]}, charter {charter.hash.hex()[:8]}"]
    if charter.purpose:
        lines.append(f"  {clean(charter.purpose)}")
    lines += [
        f"  {charter.points.pool} points at most, called {clean(charter.points.name)}",
        f"  work: {', '.join(map(clean, charter.steps)) or 'no fixed steps'}",
        f"  up to {plural(charter.membership.sponsors, 'partner')} must vouch for a newcomer",
    ]
    return "\n".join(lines)


def _show_trial(terms: Joining, options: Options) -> None:
    if options.json:
        outcome: dict[str, Any] = {"kind": "join", "status": "pending", "reason": None, "detail": "", "postings": []}
        output.result_json(
            outcome
            | {
                "waits_for": [],
                "waits_for_least": 0,
                "deadline": None,
                "silence": None,
                "next": [],
                "remarks": [],
                "warnings": [],
                "ledger": terms.ticket.ledger.hex(),
                "name": terms.charter.name,
                "charter": terms.charter.hash.hex(),
                "standing": terms.ticket.standing,
            }
        )
    else:
        output.result(f"nothing was signed\nyou would join as {terms.ticket.standing}\n{_terms_text(terms)}")


def _show_joined(terms: Joining, entry: str, device: bytes, options: Options) -> None:
    from tallystick.crypto.words import fingerprint
    from tallystick.node.identity import need_words

    need_words(terms.home)
    words = fingerprint(device)
    if options.json:
        output.result_json(
            {"entry": entry, "kind": "join", "status": "pending", "reason": None, "deal": None, "height": None}
            | {"waits_for": [], "waits_for_least": 0, "warnings": []}
            | {"ledger": terms.ticket.ledger.hex(), "name": terms.charter.name, "fingerprint": words}
        )
        return
    output.result(
        f"you ask to join {clean(terms.charter.name)} (entry {entry[:8]})\n"
        f"pending: partners must vouch for you, up to {terms.charter.membership.sponsors} of them\n"
        f"your six words, to be compared by voice: {words}"
    )


join: Final = command(
    "join",
    "Join a ledger with a ticket. Its charter is shown first.",
    argument("TICKET"),
    option("--device", is_flag=True, about="The ticket is from `tally device add`: become a computer of your own."),
    option("--offline", is_flag=True, about="With --device: print a reply that is carried back by hand."),
    option("--bundle", metavar="FILE", about="Read the ledger from this bundle instead of asking a node."),
    option("--passphrase-file", metavar="FILE", about="The bundle's passphrase is its first line."),
    dry=TRIES,
)(_join)
