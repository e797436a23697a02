"""Small deeds: claim one, attest somebody else's."""

from __future__ import annotations

from typing import Final

from tallystick.cli.command import argument, number, words, write

claim: Final = write(
    "claim",
    "Claim a small deed that the charter pays for. KIND is the name of the contribution.",
    argument("KIND"),
    number("COUNT", needed=False),
    words(),
)

attest: Final = write("attest", "Attest that somebody has done what was claimed.", argument("CLAIM"))
