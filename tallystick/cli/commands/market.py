"""The market: offer work, take an offer back, accept one."""

from __future__ import annotations

from typing import Any, Final

import click

from tallystick.cli.command import Values, Whole, argument, number, option, when, words, write
from tallystick.cli.errors import UsageError


def _offer_args(values: Values) -> dict[str, Any]:
    """`offer STEP UNITS`, or `offer --open TITLE POINTS`: one or the other. Raises UsageError."""
    chosen = dict(values)
    title = chosen.pop("open")
    if title is None:
        for name, metavar in (("step", "STEP"), ("units", "UNITS")):
            if chosen[name] is None:
                raise UsageError(
                    f"{metavar} is missing",
                    reason="missing",
                    hint="`tally offer STEP UNITS`, or `tally offer --open TITLE POINTS` for other work",
                )
        if chosen["payer"] is not None:
            raise UsageError("--payer goes with --open only: the charter says who pays for a step")
        return chosen
    if chosen["step"] is not None:
        raise UsageError("an open offer has no STEP: `tally offer --open TITLE POINTS`")
    words_given, points = title
    if not words_given.strip():
        raise UsageError("the TITLE of an open offer is empty: it says what the work is")
    return {**chosen, "open": words_given, "points": points}


class _TitleAndPoints(click.Tuple):
    """The two words after --open."""

    def __init__(self) -> None:
        super().__init__([click.STRING, Whole(0, 10**12, "points are whole")])


offer: Final = write(
    "offer",
    "Offer work of a step, or with --buy ask for it. With --open, work that no step of the charter describes.",
    argument("STEP", needed=False),
    number("UNITS", needed=False),
    option("--open", type=_TitleAndPoints(), metavar="TITLE POINTS", about="Work with a title and a price of its own."),
    option("--payer", type=click.Choice(["pool", "buyer"]), about="Who pays for an open offer; the pool by default."),
    option("--buy", is_flag=True, about="You want it done, and approve it."),
    option("--to", metavar="PARTNER", about="Only this partner may accept."),
    when("--deadline", about="When it must be delivered:"),
    option("--copies", type=click.IntRange(min=1, max=10**9), metavar="N", about="How many may accept; 1 by default."),
    when("--expires", about="Until when it can be accepted:"),
    words(),
    args=_offer_args,
)

withdraw: Final = write("withdraw", "Take your own offer back, while it has copies left.", argument("OFFER"), words())

accept: Final = write("accept", "Accept an offer: with it the deal begins.", argument("OFFER"), words())

endorse: Final = write(
    "endorse", "Endorse an offer of somebody else, as good for the venture.", argument("OFFER"), words()
)
