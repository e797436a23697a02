"""Commands that only look: what is asked of the ledger and shown. Their plain forms never come here: see `argv`."""

from __future__ import annotations

from typing import Final

from tallystick.cli.command import argument, option, read

status: Final = read(
    "status", "Where things stand: what is sealed, what waits and for whom, and what this computer does."
)
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
)
deals: Final = read("deals", "Every deal, open and closed.")
offers: Final = read("offers", "Every offer, and how many of it are left.")
partners: Final = read("partners", "Everybody, with standing and role; applicants too.")
log: Final = read(
    "log",
    "Every entry, in order.",
    option("--limit", type=int, metavar="N", about="Only the last N."),
)
show: Final = read("show", "One entry: what it says, and what became of it.", argument("ID"))
blocks: Final = read("blocks", "The sealed blocks.", option("--limit", type=int, metavar="N", about="Only the last N."))
peers: Final = read("peers", "Other nodes: who is connected, and where they were last.")
