"""Entry kind `offer`: somebody offers to sell to, or to buy from, another member.

What is offered is so many units of a step of the charter, or, without a step, what the title in the annex says: one
unit, for as many points as the offerer finds right. The terms are those of the charter, signed here and again by
whoever accepts: if they are no longer in force when the offer or the acceptance is sealed, it is void.

Source: docs/spec/charter.md#offer
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.charter import Open, Step
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Code, Moment, Units
from tallystick.protocol.membership import DAY_MS, has_role, other_member
from tallystick.protocol.records import Member
from tallystick.protocol.records_deal import Offer as OfferRow
from tallystick.protocol.records_deal import Terms

#: How long an offer stands that does not say.
EXPIRES_MS: Final = 30 * DAY_MS


class Offer(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "offer"
    SUSPENDED_MAY: ClassVar[bool] = False
    WORK_SCOPE: ClassVar[bool] = True

    side: Literal["sell", "buy"]
    """What the author does."""
    step: Code | None = None
    """Absent in an offer that no step describes."""
    units: Units
    """One without a step."""
    terms: Terms
    """As an array, in the order of the record."""
    to: Bytes32 | None = None
    deadline: Moment | None = None
    expires: Moment | None = None
    """Absent: 30 days after the offer."""
    copies: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    """How many may accept it. Absent: one."""

    def refs(self) -> tuple[bytes, ...]:
        return () if self.to is None else (self.to,)

    def to_map(self) -> dict[str, Any]:
        return super().to_map() | {"terms": list(msgspec.structs.astuple(self.terms))}

    def check(self) -> None:
        if self.step is None and self.units != 1:
            raise EntryError(Reason.MALFORMED, "an offer without a step has one unit")

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_ALLOWED, TERMS_CHANGED, ROLE, TOO_LATE, DEADLINE, OWN_OFFER, NOT_A_MEMBER,
        NOT_ACTIVE, LIMIT, CAP, MAX_OPEN, tried in that order.
        """
        if act.author is None or (self.step is None and act.charter.open is None):
            raise EntryError(Reason.NOT_ALLOWED, "the charter has no [open]: every offer names a step")
        rules = deal_rules.rules_in_force(act.charter, self.step or "", self.terms)
        if isinstance(rules, Step):
            check_role(act, rules, self.side, act.author)
        expires = act.at + EXPIRES_MS if self.expires is None else self.expires
        deadline = self.deadline or 0
        if expires < act.at:
            raise EntryError(Reason.TOO_LATE, "it expired before it was signed")
        if self.deadline is not None and deadline < act.at:
            raise EntryError(Reason.DEADLINE, "it is over before the offer was signed")
        if self.to is not None:
            check_receiver(act, self.to)
        deal_rules.gross_of(self.units, self.terms.price)
        if isinstance(rules, Step):
            check_open(act, rules, act.author_id)
        elif self.terms.payer == "pool":
            check_max(rules, self.terms.price)
        act.state.offers.set(
            act.cause,
            OfferRow(
                author=act.author_id,
                side=self.side,
                step=self.step or "",
                units=self.units,
                terms=self.terms,
                to=self.to,
                deadline=deadline,
                expires=expires,
                copies=1 if self.copies is None else self.copies,
                endorsed=(),
                withdrawn=False,
                deals=0,
            ),
        )


def check_role(act: Act, step: Step, side: str, member: Member) -> None:
    """Whether a member may be this side of a deal.

    Raises EntryError: ROLE.
    """
    roles = step.sellers if side == "sell" else step.buyers
    if roles and not has_role(act.charter, member, roles):
        raise EntryError(Reason.ROLE, f"step.{step.id}.{'sellers' if side == 'sell' else 'buyers'}")


def check_open(act: Act, step: Step, member_id: bytes, *, without: bytes = b"") -> None:
    """Whether a member has room for one more.

    Raises EntryError: MAX_OPEN.
    """
    most = step.max_open
    if most and deal_rules.open_count(act.state, member_id, step.id, act.at, without=without) >= most:
        raise EntryError(Reason.MAX_OPEN, f"step.{step.id}.max-open")


def check_max(rules: Open, points: int) -> None:
    """Whether the pool may pay so much for something that no step describes.

    Raises EntryError: CAP.
    """
    if rules.max and points > rules.max:
        raise EntryError(Reason.CAP, f"open.max: {rules.max}")


def check_receiver(act: Act, member_id: bytes) -> None:
    """Raises EntryError: OWN_OFFER, NOT_A_MEMBER, NOT_ACTIVE."""
    if member_id == act.author_id:
        raise EntryError(Reason.OWN_OFFER, "an offer to oneself")
    if other_member(act.state, member_id).status == "departed":
        raise EntryError(Reason.NOT_ACTIVE, "it has departed")
