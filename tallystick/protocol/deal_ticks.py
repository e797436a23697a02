"""Ticks of deals: what falls due by itself when somebody is silent. A tick never raises.

Source: docs/spec/charter.md#time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tallystick.protocol import deal_rules, disputes

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule
    from tallystick.protocol.records_deal import Deal


def _due_deal(act: Act, deal_id: bytes) -> Deal:
    """The deal whose tick has just run. Whoever changes the status cancels the tick, so the row is there."""
    return deal_rules.changed(act.state.deals[deal_id], due=None)


def undelivered(act: Act, deal_id: bytes) -> None:
    """The seller was silent: nothing was delivered in time."""
    deal_rules.end(act, deal_id, _due_deal(act, deal_id), "cancelled", "returned: never delivered")


def unreviewed(act: Act, deal_id: bytes) -> None:
    """The buyer was silent: the terms say whether that approves what was delivered, or rejects it."""
    deal = _due_deal(act, deal_id)
    if deal.terms.on_silence == "approve":
        deal_rules.approve(act, deal_id, deal, deal.delivered, 100)
    else:
        deal_rules.reject(act, deal_id, deal)


def uncosigned(act: Act, deal_id: bytes) -> None:
    """Nobody cosigned the approval."""
    deal_rules.reject(act, deal_id, _due_deal(act, deal_id))


def undisputed_rejection(act: Act, deal_id: bytes) -> None:
    """The seller did not dispute the rejection: it is final."""
    deal_rules.end(act, deal_id, _due_deal(act, deal_id), "returned", "returned: rejected")


def undisputed_reduction(act: Act, deal_id: bytes) -> None:
    """The seller did not dispute the reduced approval: what was held returns."""
    deal_rules.end(act, deal_id, _due_deal(act, deal_id), "approved", "returned: not disputed")


TICKS: Final[Mapping[str, TickRule]] = {
    "deal.undelivered": undelivered,
    "deal.unreviewed": unreviewed,
    "deal.uncosigned": uncosigned,
    "deal.rejected": undisputed_rejection,
    "deal.held": undisputed_reduction,
    "deal.disputed": disputes.run_out,
}
