"""Departure: what becomes of the offers, deals, claims and points of somebody who leaves or is expelled.

It happens at the end of a block, so that work in the same block has one outcome everywhere.

Source: docs/spec/charter.md#leaving
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import msgspec

from tallystick.protocol import claims, deal_rules, lots
from tallystick.protocol.act import POINT
from tallystick.protocol.deal_sweep import cancel_undelivered
from tallystick.protocol.membership import is_active
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.state import State


def is_last(state: State, member_id: bytes, at: int, *, gone: AbstractSet[bytes] = frozenset()) -> bool:
    """Whether this is a partner without whom no active partner would remain; `gone` are about to go as well."""
    return state.members[member_id].standing == "partner" and not any(
        other.standing == "partner" and is_active(other, at)
        for other_id, other in state.members.items()
        if other_id != member_id and other_id not in gone
    )


def depart(act: Act, member_id: bytes, *, good: bool) -> None:
    """A member leaves (`good`) or is expelled. It keeps what its lots say, and no role."""
    state = act.state
    leaver = act.charter.leaver
    for offer_id in sorted(offer_id for offer_id, offer in state.offers.items() if offer.author == member_id):
        offer = state.offers[offer_id]
        if offer.copies and not offer.withdrawn:
            deal_rules.put_offer(act, offer_id, msgspec.structs.replace(offer, withdrawn=True))
    # First the deals: what returns to the member is judged with everything else that it holds.
    cancel_undelivered(act, member_id)
    claims.lapse_all(act, member_id)
    path = "leaver.good" if good else "leaver.bad"
    lost = lots.depart(act, member_id, good=good)
    act.post(POINT, account_of(member_id), "pool", lost, path, f"{lost} not kept")
    state.members.set(
        member_id,
        msgspec.structs.replace(
            state.members[member_id],
            status="departed",
            departed=act.at,
            leaver=leaver.good if good else leaver.bad,
            roles=(),
            agreed=(),
            vouches=(),
            away_until=0,
        ),
    )
