"""Governance: propose, and vote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from tallystick.cli.command import Group, Values, argument, money, number, option, words, write

propose: Final = Group(
    "propose",
    help="Propose something to be voted on. --text says why.",
    short_help="Propose something to be voted on",
)


def _of_type(kind: str) -> Callable[[Values], dict[str, Any]]:
    return lambda values: {"type": kind, **values}


def _amend(values: Values) -> dict[str, Any]:
    from tallystick.cli.files import read_text

    return {**values, "type": "amend", "charter": read_text(Path(values["charter"]))}


def _propose(
    kind: str, summary: str, *params: click.Parameter, args: Callable[[Values], dict[str, Any]] | None = None
) -> None:
    reason = () if kind == "text" else (words("--text", about="Why."),)
    propose.add_command(write(kind, summary, *params, *reason, op="propose", args=args or _of_type(kind)))


_propose("amend", "Replace the charter by this one.", argument("CHARTER.toml", name="charter"), args=_amend)
_propose("ratify", "End the trial: the charter becomes binding.")
_propose("expel", "Expel a partner.", argument("PARTNER"))
_propose("suspend", "Suspend a partner for a while.", argument("PARTNER"))
_propose("reinstate", "End a suspension.", argument("PARTNER"))
_propose(
    "role",
    "Give somebody a role, or take it.",
    argument("PARTNER"),
    argument("ROLE"),
    option("--take", is_flag=True, default=None, about="Take it instead of giving it."),
)
_propose(
    "sale",
    "Sell the venture, or a part of it: points are redeemed.",
    number("PROCEEDS"),
    money("--costs", about="What the sale costs."),
    option("--percent", type=click.IntRange(min=1, max=100), metavar="N", about="How much of it; 100 by default."),
)
_propose("dividend", "Pay something out; no points are redeemed.", number("AMOUNT"))
_propose("release", "Cancel a deal that is not decided.", argument("DEAL"))
_propose(
    "revoke",
    "Revoke a device of somebody: what it writes from now on is void.",
    argument("DEVICE"),
    option("--entry", metavar="ENTRY", about="Its last good entry; the newest sealed one by default."),
)
_propose(
    "recover",
    "Let a recovery go on that somebody has vetoed. ENTRY is the request.",
    argument("ENTRY"),
)
_propose("erase", "Delete the words of somebody's entry.", argument("ENTRY"))
_propose("rules", "Go over to another version of the rules.", number("VERSION"))
_propose("text", "Anything else, in words.", argument("TEXT"))

vote: Final = write(
    "vote",
    "Vote on a proposal; you may change your vote until it is decided.",
    argument("PROPOSAL"),
    argument("yes|no|abstain", name="choice", type=click.Choice(["yes", "no", "abstain"])),
)
