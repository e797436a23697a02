"""Money and points: what comes in, what goes out, and who confirms it. Amounts are in minor units, such as cents."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from tallystick.cli.command import Values, argument, number, option, words, write
from tallystick.cli.errors import UsageError


def _currency() -> click.Option:
    return option("--currency", metavar="CODE", about="The charter's own by default.")


subscribe: Final = write(
    "subscribe",
    "Subscribe shares of a round. They count when somebody on duty has confirmed the money.",
    argument("ROUND"),
    number("SHARES", needed=False),
)

donate: Final = write(
    "donate",
    "Donate money. It counts when somebody on duty has confirmed it.",
    number("AMOUNT"),
    words("--purpose", about="What it is for."),
)

receipt: Final = write("receipt", "Confirm that the money of an entry is there.", argument("ENTRY"))

cash: Final = write(
    "cash",
    "Book money that came in or went out.",
    argument("income|expense", name="type", type=click.Choice(["income", "expense"])),
    number("AMOUNT"),
    argument("CATEGORY"),
    _currency(),
    option("--from", metavar="DONATION", about="The donation that an expense is paid from."),
    words(),
)


def _report_args(values: Values) -> dict[str, Any]:
    """`--counted CNY=12300`, as often as there are currencies. Raises UsageError."""
    counted: dict[str, int] = {}
    for each in values["counted"]:
        match = re.fullmatch(r"([A-Z]{3})=([0-9]{1,18})", each)
        if match is None or match[1] in counted:
            raise UsageError(f"--counted {each!r} is not possible", hint="write each currency once, such as CNY=12300")
        counted[match[1]] = int(match[2])
    return {**values, "counted": counted or None}


report: Final = write(
    "report",
    "Account for the money of your term on duty.",
    option("--counted", multiple=True, metavar="CODE=AMOUNT", about="What is in the till; once for each currency."),
    option("--before", is_flag=True, default=None, about="For the term before this one."),
    words(),
    args=_report_args,
)

use_voucher: Final = write(
    "use-voucher",
    "Use a voucher for goods. It counts when somebody on duty has confirmed it.",
    number("AMOUNT"),
    _currency(),
    words(),
)

transfer: Final = write(
    "transfer",
    "Give vested points to somebody.",
    argument("PARTNER", name="to"),
    number("POINTS"),
    words(),
)

paid: Final = write(
    "paid",
    "Say that a partner was paid its share.",
    argument("PARTNER"),
    number("AMOUNT"),
    _currency(),
)

received: Final = write("received", "Confirm that you were paid.", number("AMOUNT"), _currency())
