"""People: invite, admit, refuse; who seals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tallystick.cli import ask, output
from tallystick.cli.command import TRIES, Values, argument, command, option, when, words, write
from tallystick.cli.text import who

if TYPE_CHECKING:
    from tallystick.cli.options import Options

invite: Final = write(
    "invite",
    "Invite somebody: makes a ticket, to be given to that person alone. It works once, for seven days.",
    option(
        "--as",
        type=click.Choice(["partner", "contributor", "observer"]),
        about="What the newcomer becomes; partner by default.",
    ),
    option("--uses", type=click.IntRange(min=1, max=1000), metavar="N", about="How many may use it; 1 by default."),
    when("--expires", about="Until when it can be used:"),
)

uninvite: Final = write("uninvite", "Take an invitation back.", argument("INVITE"))


def _admit(options: Options, partner: str, sealer: bool) -> int:
    from tallystick.cli.writes import perform

    said = "" if options.dry_run else _compare_words(options, partner)
    return perform("admit", {"partner": partner, "sealer": sealer}, options, said=said)


def _compare_words(options: Options, partner: str) -> str:
    """Show whom this is about and its six words, and have them compared. Raises UsageError: nobody can be asked.

    Returns what will have been done where it is not to let a newcomer in.
    """
    from tallystick.cli.client import Client
    from tallystick.cli.reads import open_home

    rows = Client(open_home(options), options).read("partners", {})
    wanted = partner.strip().casefold()
    # Who is meant is decided by the operation; here only whoever is meant for certain is shown.
    meant = [row for row in rows if row["partner"].startswith(wanted) or (row["name"] or "").casefold() == wanted]
    if len(meant) != 1 or not meant[0]["fingerprint"]:
        return ""
    who_it_is = who(meant[0]["partner"], meant[0]["name"])
    output.note(options, f"{who_it_is} sees these six words: {meant[0]['fingerprint']}")
    ask.confirm(options, "Does it read the same words to you?")
    is_in = (meant[0].get("status"), meant[0].get("standing")) == ("active", "partner")
    return f"you agree that {who_it_is} seals" if is_in else ""


admit: Final = command(
    "admit",
    "Vouch for an applicant. Compare the six words with those that the newcomer sees, by voice.",
    argument("PARTNER"),
    option("--sealer", is_flag=True, about="Also agree that its computer seals."),
    dry=TRIES,
)(_admit)

refuse: Final = write("refuse", "Refuse an applicant.", argument("PARTNER"), words())


def _sealer_args(values: Values) -> dict[str, Any]:
    return {"on": values["state"] == "on", "device": values["device"]}


sealer: Final = write(
    "sealer",
    "Ask that this computer seals, or stop it: on, if the computer is on most days.",
    argument("on|off", name="state", type=click.Choice(["on", "off"])),
    option("--device", metavar="DEVICE", about="Another computer of yours; this one by default."),
    args=_sealer_args,
)

away: Final = write(
    "away",
    "Say that you are away: others do what you would be asked for, and reviews wait for you.",
    when("--until", about="Until when:", needed=True),
    words(),
)

back: Final = write("back", "Say that you are back.", words())

leave: Final = write(
    "leave",
    "Leave the ledger. What is vested stays yours. You are asked first, and told what you would lose.",
    words(),
    question="Leave this ledger? Nothing takes it back.",
)
