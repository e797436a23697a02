"""Entry kind `admit`: a partner vouches for an applicant, or agrees that a partner seals.

The vouch that completes the number makes the applicant a member at its place in the order, so that what people sign
at one table on one evening all counts.

Source: docs/spec/membership.md#admit
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.kinds.found import grant_start
from tallystick.protocol.membership import PROBATION_FREE_MS, sponsors_needed
from tallystick.protocol.records import Member


class Admit(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "admit"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False

    member: Bytes32
    sealer: bool
    """Also agree that it seals, now or when it asks to."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.member,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, LEDGER_FULL, ALREADY_DONE, tried in that order."""
        member = act.state.members.get(self.member)
        if member is None or member.status == "refused" or (member.status == "departed" and not member.again):
            raise EntryError(Reason.NOT_FOUND, "nobody has applied with this id")
        did = False
        if self._can_be_vouched_for(member) and act.author_id not in member.vouches:
            member = self._vouch(act, member)
            did = True
        if self.sealer and act.author_id not in member.agreed:
            member = msgspec.structs.replace(member, agreed=(*member.agreed, act.author_id))
            did = True
        if not did:
            raise EntryError(Reason.ALREADY_DONE)
        act.state.members.set(self.member, member)

    def _can_be_vouched_for(self, member: Member) -> bool:
        if member.status == "active":
            return member.standing == "contributor"
        return True

    def _vouch(self, act: Act, member: Member) -> Member:
        state = act.state
        vouches = (*member.vouches, act.author_id)
        if len(vouches) < sponsors_needed(act.charter, state, act.at):
            return msgspec.structs.replace(member, vouches=vouches)
        standing = "partner" if member.status == "active" else member.again or member.standing
        if standing == "partner":
            most = act.charter.membership.max_partners
            if most and partner_count(act) >= most:
                raise EntryError(Reason.LEDGER_FULL, f"at most {most} partners")
            self._meet(act)
        if member.status == "active":
            return msgspec.structs.replace(member, standing="partner", vouches=())
        # Nobody is let in off probation by a vouch that is dated back (see `waits`).
        start = max(act.at, act.context.time_prev)
        new_ledger = start < state.founding.time + PROBATION_FREE_MS
        probation = 0 if new_ledger else act.charter.membership.probation
        if probation:
            act.at_boundary("admit", self.member)
        # Who comes back joined long ago: the lots that it kept go on counting from that day.
        since = member.since if member.again else act.at
        member = msgspec.structs.replace(
            member,
            standing=standing,
            status="active",
            since=since,
            probation_until=start + probation,
            departed=0,
            leaver="",
            again="",
            vouches=(),
        )
        state.members.set(self.member, member)
        if standing != "observer":
            grant_start(act, self.member)
        return state.members[self.member]

    def _meet(self, act: Act) -> None:
        """A second partner has joined, once and for all (charter, meaning 3)."""
        course = act.state.course
        if not course.met:
            act.state.courses.set("", msgspec.structs.replace(course, met=True))


def partner_count(act: Act) -> int:
    """Partners that have not departed."""
    return sum(1 for member in act.state.members.values() if member.status == "active" and member.standing == "partner")
