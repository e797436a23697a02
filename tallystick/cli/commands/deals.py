"""Deals: deliver, have it reworked, approve or reject, cancel, cosign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tallystick.cli.command import TRIES, argument, command, money, number, option, words, write
from tallystick.cli.errors import warn
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.file_errors import unreadable

if TYPE_CHECKING:
    from tallystick.cli.options import Options

_CHUNK_BYTES = 1024 * 1024


def _deliver(options: Options, deal: str, units: int, evidence: tuple[str, ...], public: bool, note: str | None) -> int:
    """Evidence is named by its content; a copy of it is kept, so that others can ask for it."""
    from tallystick.cli.writes import perform

    files = [Path(each).expanduser().absolute() for each in evidence]
    args: dict[str, Any] = {"deal": deal, "units": units}
    args |= {"evidence": [_evidence(each) for each in files]} if files else {}
    args |= {"public": True} if public else {}
    code = perform("deliver", args if note is None else {**args, "note": note}, options)
    if code == ExitCode.DONE and not options.dry_run:
        for each in files:
            _keep(options, deal, each)
    return code


def _keep(options: Options, deal: str, path: Path) -> None:
    """The delivery stands whether or not its files can be kept here."""
    from tallystick.cli.client import Client
    from tallystick.cli.reads import open_home

    try:
        Client(open_home(options), options).with_key("evidence_add", {"deal": deal, "path": str(path)}, None)
    except NodeError as error:
        warn(options, f"nobody can fetch {path.name} from here: {error.message}")


def _evidence(path: Path) -> dict[str, Any]:
    from hashlib import sha256

    digest, size = sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise unreadable(path, error) from error
    return {"sha256": digest.hexdigest(), "size": size, "name": path.name}


deliver: Final = command(
    "deliver",
    "Say that work is done: how many units of a deal of yours.",
    argument("DEAL"),
    number("UNITS"),
    option(
        "--evidence",
        multiple=True,
        metavar="FILE",
        about="A file that shows it: its hash is written, a copy kept for who has to judge. May be repeated.",
    ),
    option("--public", is_flag=True, about="Every member may have these files."),
    words(),
    dry=TRIES,
)(_deliver)

return_: Final = write(
    "return",
    "Ask for rework of a delivery, and say what is wrong with it.",
    argument("DEAL"),
    words(needed=True, about="What is wrong with it."),
)

approve: Final = write(
    "approve",
    "Approve a delivery: the points move. Without UNITS, all that was delivered.",
    argument("DEAL"),
    number("UNITS", needed=False),
    option("--grade", type=click.IntRange(min=1, max=200), metavar="PERCENT", about="How good it is; 100 by default."),
    words(),
)

reject: Final = write(
    "reject",
    "Reject a delivery, and say why.",
    argument("DEAL"),
    words("--reason", needed=True, about="Why."),
)

cancel: Final = write("cancel", "Cancel a deal, or agree that it is cancelled.", argument("DEAL"), words())

cosign: Final = write("cosign", "Confirm, as a third partner, an approval that needs it.", argument("DEAL"), words())

dispute: Final = write(
    "dispute",
    "Dispute a rejection, or a reduced approval: a panel judges.",
    argument("DEAL"),
    words("--note", about="What speaks for you."),
)

verdict: Final = write(
    "verdict",
    "Judge, as one of the panel, how good a disputed delivery is.",
    argument("DEAL"),
    option("--grade", type=click.IntRange(min=0, max=200), metavar="PERCENT", required=True, about="0 is a rejection."),
    words(),
)

correct: Final = write(
    "correct",
    "Propose a correction: of an approval (units, grade), or of a booked amount. The other side must confirm it.",
    argument("ENTRY"),
    option("--units", type=click.IntRange(min=1, max=10**9), metavar="N", about="What should have been approved."),
    option("--grade", type=click.IntRange(min=1, max=200), metavar="PERCENT", about="How good it should have been."),
    money("--amount", about="What it should have been."),
    words(),
)

confirm: Final = write("confirm", "Confirm a correction that somebody proposed.", argument("ENTRY"))
