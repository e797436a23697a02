"""What stands against something that somebody could be asked to do: the rules themselves, asked without signing.

Nobody is asked for what no rule would let them do, and whoever looks at the market sees why an offer is there in vain.

Source: docs/spec/cli.md#inbox, docs/spec/cli.md#market
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.protocol.act import Act
from tallystick.protocol.deal_rules import rules_in_force
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.membership import is_active
from tallystick.protocol.transition import check_author

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tallystick.node.view import View
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.records_deal import Offer
    from tallystick.protocol.state import State

#: Reasons that time, other deals or other people take away again: who is asked is asked all the same, and told.
PASSING: Final = frozenset(
    (
        Reason.DEADLINE,
        Reason.MAX_OPEN,
        Reason.CAP,
        Reason.NOT_ENDORSED,
        Reason.POOL_EMPTY,
        Reason.BUDGET_EXHAUSTED,
        Reason.PAIR_CAP,
        Reason.BALANCE,
        Reason.ALONE,
    )
)


def may_sign(view: View, member_id: bytes, kind: type[Body]) -> bool:
    """Whether a member has a device that may sign entries of this kind, and the rules still let them in at all."""
    return bool(signers(view.preview, [member_id], kind, view.moment))


def signers(state: State, members: Iterable[bytes], kind: type[Body], at: int) -> list[bytes]:
    """Those of some members who may sign entries of this kind, by id: by a device of theirs, and by the rules."""
    if state.course.sold and not kind.AFTER_SALE:
        return []
    able = {
        row.member
        for row in state.devices.values()
        if row.status == "active" and (row.scope != "work" or kind.WORK_SCOPE)
    }
    return sorted(each for each in members if each in able and _is_let_in(state, each, kind, at))


def _is_let_in(state: State, member_id: bytes, kind: type[Body], at: int) -> bool:
    try:
        # Only what its class says is read: a body of this kind is not at hand yet.
        check_author(state.members[member_id], kind, at)
    except EntryError:
        return False
    return True


def offer_refusal(view: View, offer_id: bytes, offer: Offer) -> EntryError | None:
    """Why an offer cannot be accepted now: by whoever asks if it may be theirs, else by anybody at all."""
    me = view.me
    state = view.preview
    if state.course.sold:
        return EntryError(Reason.SOLD)
    if me is None or me == offer.author or offer.to not in (None, me):
        return _general(view, offer)
    return acceptance(view, me, offer_id)


def acceptance(view: View, member_id: bytes, offer_id: bytes) -> EntryError | None:
    """Why a member's acceptance would be void now. It is played and taken back: leaves no trace."""
    state = view.preview
    member = state.members.get(member_id)
    mark = state.mark()
    context = view.ledger.context(view.now)
    try:
        if member is not None:
            check_author(member, Accept, context.time)
        if state.course.sold:
            raise EntryError(Reason.SOLD)
        Accept(offer=offer_id).apply(Act(state, context, context.time, view.ledger.id, member_id, member))
    except EntryError as error:
        return error
    finally:
        state.rollback(mark)
    return None


def _general(view: View, offer: Offer) -> EntryError | None:
    try:
        rules_in_force(view.ledger.charter, offer.step, offer.terms)
    except EntryError as error:
        return error
    author = view.preview.members.get(offer.author)
    if author is not None and not is_active(author, view.moment):
        return EntryError(Reason.NOT_ACTIVE, "whoever offers")
    return None
