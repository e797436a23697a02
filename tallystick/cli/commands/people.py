"""People: invite, admit, refuse; who seals."""

from __future__ import annotations

from typing import Any, Final

import click

from tallystick.cli.command import Values, argument, option, when, write

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

admit: Final = write(
    "admit",
    "Vouch for an applicant. Compare the six words with those the newcomer sees first, by voice.",
    argument("PARTNER"),
    option("--sealer", is_flag=True, about="Also agree that its computer seals."),
)

refuse: Final = write("refuse", "Refuse an applicant.", argument("PARTNER"))


def _sealer_args(values: Values) -> dict[str, Any]:
    return {"on": values["state"] == "on"}


sealer: Final = write(
    "sealer",
    "Ask that this computer seals, or stop it: on, if the computer is on most days.",
    argument("on|off", name="state", type=click.Choice(["on", "off"])),
    args=_sealer_args,
)
