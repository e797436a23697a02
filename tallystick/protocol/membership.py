"""Who may do what: standings, probation, roles. Read-only questions that many rules ask.

Source: docs/spec/charter.md#standing
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tallystick.protocol.errors import EntryError, Reason

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.records import Member
    from tallystick.protocol.state import State

DAY_MS = 86_400_000
#: In the first days of a ledger everybody is new, so nobody waits.
PROBATION_FREE_MS = 30 * DAY_MS


def is_suspended(member: Member, at: int) -> bool:
    """Whether a suspension that a block before this one has begun lasts at `at`.

    When it began is not asked: whoever is suspended would date back to before that what it may not do any more.
    """
    return at < member.suspended_until


def is_active(member: Member, at: int) -> bool:
    """A member that has neither departed nor is suspended."""
    return member.status == "active" and not is_suspended(member, at)


def is_away(member: Member, at: int) -> bool:
    return at < member.away_until


def is_full_partner(member: Member, at: int) -> bool:
    """An active partner off probation: may vote, vouch, cosign, sit on panels."""
    return member.standing == "partner" and member.probation_until <= at and is_active(member, at)


def full_partners(state: State, at: int, *, without: tuple[bytes, ...] = ()) -> Iterator[bytes]:
    """Ids of active partners off probation, but for some, in no particular order."""
    for member_id, member in state.members.items():
        if member_id not in without and is_full_partner(member, at):
            yield member_id


def full_partner_count(state: State, at: int, *, without: tuple[bytes, ...] = ()) -> int:
    return sum(1 for _ in full_partners(state, at, without=without))


def asked(number: int, state: State, at: int, *, without: tuple[bytes, ...]) -> int:
    """A number of other partners that a rule asks for: never more than there are (charter, meaning 2)."""
    return min(number, full_partner_count(state, at, without=without)) if number else 0


def sponsors_needed(charter: Charter, state: State, at: int) -> int:
    """How many must vouch for a newcomer: never more than half of the partners plus one."""
    return min(charter.membership.sponsors, full_partner_count(state, at) // 2 + 1)


def has_role(charter: Charter, member: Member, roles: tuple[str, ...]) -> bool:
    """Whether the member holds one of the roles a step asks for; no roles asked means everybody."""
    return not roles or any(role in member.roles for role in roles)


def other_member(state: State, member_id: bytes) -> Member:
    """A member named in a body.

    Raises EntryError: NOT_A_MEMBER for an id that is none, or that has only applied.
    """
    member = state.members.get(member_id)
    if member is None or member.status in ("applicant", "refused"):
        raise EntryError(Reason.NOT_A_MEMBER, member_id.hex()[:8])
    return member
