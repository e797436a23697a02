"""Entry kind `propose`: a partner puts something to the vote.

Who decides it, by which fraction and until when, is fixed at the end of the block that seals it.

Source: docs/spec/charter.md#propose
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.amendments import moves_currency
from tallystick.protocol.charter import SIZE_BYTES_MAX, CharterError, from_bytes
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Amount, Body, Bytes32, Code, Positive
from tallystick.protocol.membership import is_suspended, other_member
from tallystick.protocol.outcomes import SUSPENDED_AGAIN_MS
from tallystick.protocol.records_governance import Proposal, ProposalType
from tallystick.protocol.words import check_erasable

#: Fields that a type has, and those that it may have.
FIELDS: Final[Mapping[ProposalType, tuple[frozenset[str], frozenset[str]]]] = {
    "amend": (frozenset(("charter", "replaces")), frozenset()),
    "ratify": (frozenset(), frozenset()),
    "expel": (frozenset(("member",)), frozenset()),
    "suspend": (frozenset(("member",)), frozenset()),
    "reinstate": (frozenset(("member",)), frozenset()),
    "role": (frozenset(("member", "role")), frozenset(("take",))),
    "sale": (frozenset(("proceeds",)), frozenset(("costs", "percent"))),
    "dividend": (frozenset(("amount",)), frozenset()),
    "release": (frozenset(("deal",)), frozenset()),
    "revoke": (frozenset(("device", "entry", "seq")), frozenset()),
    "recover": (frozenset(("entry",)), frozenset()),
    "erase": (frozenset(("entry",)), frozenset()),
    "rules": (frozenset(("version",)), frozenset()),
    "text": (frozenset(), frozenset()),
}
#: Types that wait until a trial is over.
NOT_IN_TRIAL: Final = frozenset(("sale", "dividend", "expel"))


class Propose(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "propose"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    AFTER_SALE: ClassVar[bool] = True

    type: ProposalType
    charter: Annotated[bytes, msgspec.Meta(max_length=SIZE_BYTES_MAX)] | None = None
    """Canonical bytes of the whole new charter."""
    replaces: Bytes32 | None = None
    """Hash of the charter that it replaces."""
    member: Bytes32 | None = None
    role: Code | None = None
    take: bool | None = None
    """True takes the role; absent gives it."""
    proceeds: Positive | None = None
    costs: Amount | None = None
    """Absent: none."""
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """Absent: all of it."""
    amount: Positive | None = None
    deal: Bytes32 | None = None
    device: Bytes32 | None = None
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    """Number of the last good entry of the device; `entry` is its id."""
    entry: Bytes32 | None = None
    version: Positive | None = None

    def refs(self) -> tuple[bytes, ...]:
        return tuple(ref for ref in (self.member, self.deal, self.entry) if ref is not None)

    def check(self) -> None:
        needed, possible = FIELDS[self.type]
        given = {name for name in self.__struct_fields__ if name != "type" and getattr(self, name) is not None}
        if not needed <= given <= needed | possible:
            raise EntryError(Reason.MALFORMED, f"fields of {self.type}: {', '.join(sorted(needed | possible))}")
        if self.take is False:
            raise EntryError(Reason.MALFORMED, "a role that is not taken is given")
        if self.proceeds is not None and (self.costs or 0) > self.proceeds:
            raise EntryError(Reason.MALFORMED, "costs above the proceeds")
        if self.charter is not None:
            try:
                from_bytes(self.charter)
            except CharterError as error:
                raise EntryError(Reason.MALFORMED, f"charter: {error}") from None

    def apply(self, act: Act) -> None:
        """The rule.

        Raises EntryError: SOLD, TRIAL, TERMS_CHANGED, ALREADY_DONE, NOT_ALLOWED, STATE, NOT_A_MEMBER,
        NOT_ACTIVE, TOO_EARLY, ROLE, MALFORMED, DEAL_CLOSED, NOT_FOUND, STILL_NEEDED, tried in that order.
        """
        course = act.state.course
        if course.sold and self.type != "text":
            raise EntryError(Reason.SOLD)
        if course.trial and self.type in NOT_IN_TRIAL:
            raise EntryError(Reason.TRIAL)
        if self.member is not None:
            self._check_member(act, self.member)
        elif self.deal is not None:
            deal_rules.check_status(deal_rules.read_deal(act, self.deal), *deal_rules.UNDECIDED)
        else:
            self._check_rest(act)
        act.state.courses.set("", msgspec.structs.replace(course, proposal_next=course.proposal_next + 1))
        act.state.proposals.set(act.cause, self._row(act, course.proposal_next))
        act.at_boundary("propose", act.cause)

    def _check_member(self, act: Act, member_id: bytes) -> None:
        """Raises EntryError: NOT_A_MEMBER, NOT_ACTIVE, TOO_EARLY, STATE, ROLE."""
        member = other_member(act.state, member_id)
        if member.status == "departed":
            raise EntryError(Reason.NOT_ACTIVE, "it has departed")
        if self.type == "suspend" and member.suspended_from and act.at < member.suspended_from + SUSPENDED_AGAIN_MS:
            raise EntryError(Reason.TOO_EARLY, "90 days after the beginning of a suspension")
        if self.type == "reinstate" and not is_suspended(member, act.at):
            raise EntryError(Reason.STATE, "not suspended")
        if self.role is not None and self.role not in act.charter.roles and not self.take:
            raise EntryError(Reason.ROLE, f"the charter has no role {self.role}")

    def _check_rest(self, act: Act) -> None:
        """Raises EntryError: TERMS_CHANGED, ALREADY_DONE, NOT_ALLOWED, STATE, MALFORMED, NOT_FOUND, STILL_NEEDED."""
        state = act.state
        match self.type:
            case "amend":
                self._check_amendment(act)
            case "ratify" if not state.course.trial:
                raise EntryError(Reason.STATE, "not a trial")
            case "sale" | "dividend" if act.charter.sale.currency is None:
                raise EntryError(Reason.MALFORMED, "the charter has no sale.currency")
            case "revoke":
                device = state.devices.get(self.device or b"")
                if device is None:
                    raise EntryError(Reason.NOT_FOUND, "no such device")
                if device.status not in ("active", "frozen"):
                    raise EntryError(Reason.ALREADY_DONE, device.status)
            case "recover":
                if (self.entry or b"") not in state.recoveries:
                    raise EntryError(Reason.NOT_FOUND, "no request that waits")
            case "erase":
                check_erasable(act, self.entry or b"")
            case "rules" if (self.version or 0) <= state.rules[""].version:
                raise EntryError(Reason.ALREADY_DONE, f"version {state.rules[''].version} is in force")

    def _check_amendment(self, act: Act) -> None:
        charter = from_bytes(self.charter or b"")
        in_force = act.state.charter_row.digest
        if self.replaces != in_force:
            raise EntryError(Reason.TERMS_CHANGED, "another charter is in force")
        if charter.hash == in_force:
            raise EntryError(Reason.ALREADY_DONE, "this charter is in force")
        if moves_currency(act.state, act.charter, charter):
            raise EntryError(Reason.NOT_ALLOWED, "sale.currency cannot change once the book holds money")

    def _row(self, act: Act, number: int) -> Proposal:
        sums: dict[str, Any] = {
            "sale": self.proceeds,
            "dividend": self.amount,
            "rules": self.version,
            "revoke": self.seq,
        }
        subject = self.member or self.deal or self.device or self.replaces
        return Proposal(
            number=number,
            author=act.author_id,
            what=self.type,
            at=act.at,
            subject=subject or (self.entry if self.type in ("erase", "recover") else None) or b"",
            charter=self.charter or b"",
            role=self.role or "",
            take=bool(self.take),
            amount=sums.get(self.type) or 0,
            costs=self.costs or 0,
            percent=100 if self.percent is None else self.percent,
            last=self.entry or b"",
        )
