"""Commands that only look: what is asked of the ledger and shown. Their plain forms never come here: see `argv`."""

from __future__ import annotations

from typing import Final

import click

from tallystick.cli.command import argument, money, option, read

_LIMIT: Final = click.IntRange(min=1, max=10**9)

status: Final = read("status", "Where things stand: what is sealed, what waits and for whom.")
inbox: Final = read("inbox", "What waits for you, by deadline.")
points: Final = read(
    "points",
    "Who has how many points. PARTNER is a name, or the first digits of an id.",
    argument("PARTNER", needed=False),
)
explain: Final = read(
    "explain",
    "Why these points: every movement with its rule and its arithmetic. ID is a partner, a deal or an entry.",
    argument("ID"),
    option("--commodity", metavar="NAME", about="Money or vouchers instead of points, such as CNY."),
)
deals: Final = read(
    "deals",
    "Every deal, closed ones too.",
    option("--partner", metavar="PARTNER", about="Only those with this partner."),
    option("--open", is_flag=True, default=None, about="Only those that are not closed."),
)
offers: Final = read(
    "offers",
    "What can be accepted.",
    option("--partner", metavar="PARTNER", about="Only those by or for this partner."),
    option("--all", is_flag=True, default=None, about="Also those that can no longer be accepted."),
)
partners: Final = read("partners", "Everybody, with standing and roles; applicants too.")
log: Final = read(
    "log", "Every entry, in order.", option("--limit", type=_LIMIT, metavar="N", about="Only the last N.")
)
show: Final = read("show", "One entry: what it says, and what became of it.", argument("ID"))
blocks: Final = read(
    "blocks", "The sealed blocks.", option("--limit", type=_LIMIT, metavar="N", about="Only the last N.")
)
proposals: Final = read("proposals", "What is proposed, and how the votes stand.")
fork: Final = read("fork", "Whether the ledger has forked: both branches, what differs, and who signed both.")
peers: Final = read("peers", "Other nodes: who is connected, and where they were last.")
market: Final = read(
    "market",
    "What is offered and what is needed, step by step, with the history of whoever asks.",
    argument("STEP", needed=False),
)
audit: Final = read(
    "audit",
    "What is worth a second look. Who deals with whom, budgets, devices, what is late, weak rules, the till.",
)
statement: Final = read(
    "statement",
    "Everything that moved on a partner's accounts, with what there was before and after.",
    argument("PARTNER"),
    option("--year", type=click.IntRange(1970, 9998), metavar="Y", about="Only this year (of UTC)."),
)
settlement: Final = read(
    "settlement",
    "Who is owed what and has been paid. With --at, what a sale at that price would pay.",
    money("--at", low=1, about="The price, in minor units such as cents."),
    money("--costs", about="What the sale costs."),
    option("--percent", type=click.IntRange(1, 100), metavar="N", about="How much of it is sold; 100 by default."),
)
