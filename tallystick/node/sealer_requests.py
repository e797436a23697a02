"""Who asks to seal, and who has to agree still.

Source: docs/spec/finality.md#sealers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tallystick.node import status_words
from tallystick.protocol.membership import is_away, is_full_partner
from tallystick.protocol.sealers import active_sealers

if TYPE_CHECKING:
    from tallystick.node.view import View


class Request(NamedTuple):
    """Somebody's wish to seal."""

    member: bytes
    role: str
    """The role that the charter asks for; empty where those who seal decide."""
    agreed: tuple[bytes, ...]
    """Those who seal and have agreed, in the order of the sealers."""
    missing: tuple[bytes, ...]
    """Those who seal and have not."""
    needed: int
    """So many of them have to agree still."""
    waits: bool
    """Nobody's word helps now: it is on probation or away, or lacks the role."""


def sealer_requests(view: View) -> list[Request]:
    """Oldest first, as everything pending leaves them."""
    state = view.preview
    rule = view.ledger.charter.finality.sealers
    role = "" if rule == "all" else rule.removeprefix("role:")
    sealing = [row.member for row in active_sealers(state)]
    found = []
    for _, row in sorted(state.sealers.items()):
        member = state.members.get(row.member)
        if row.status != "requested" or member is None:
            continue
        agreed = tuple(each for each in sealing if each in member.agreed)
        missing = tuple(each for each in sealing if each not in member.agreed)
        is_there = is_full_partner(member, view.moment) and not is_away(member, view.moment)
        needed = 0 if role else max(0, len(sealing) // 2 + 1 - len(agreed))
        lacks = bool(role) and role not in member.roles
        found.append(Request(row.member, role, agreed, missing, needed, not is_there or lacks))
    return found


def request_words(view: View, each: Request) -> str:
    """The same in a sentence, as the one who asks, or another, is told."""
    return status_words.sealer_words(
        view.called(each.member),
        is_me=each.member == view.me,
        role=each.role,
        lacks_role=bool(each.role) and each.role not in view.preview.members[each.member].roles,
        waits=each.waits,
        agreed=[view.called(other) for other in each.agreed],
        missing=[view.called(other) for other in each.missing],
        needed=each.needed,
    )
