"""Words of people that somebody still needs: they are not erased before the deal or proposal is closed.

Source: docs/spec/membership.md#erase
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallystick.protocol.errors import EntryError, Reason

if TYPE_CHECKING:
    from tallystick.protocol.act import Act


def check_erasable(act: Act, entry_id: bytes) -> bytes:
    """Return the device that signed an entry whose words can be erased now.

    Raises EntryError: NOT_FOUND, ALREADY_DONE, STILL_NEEDED, tried in that order.
    """
    sealed = act.context.history.sealed(entry_id)
    if sealed is None:
        raise EntryError(Reason.NOT_FOUND, "words are erased once the entry is sealed, and no earlier block has it")
    state = act.state
    if entry_id in state.erased:
        raise EntryError(Reason.ALREADY_DONE)
    if entry_id in state.offers:
        raise EntryError(Reason.STILL_NEEDED, "an offer, or a deal of it, is open")
    proposal = state.proposals.get(entry_id)
    if proposal is not None and proposal.status == "open":
        raise EntryError(Reason.STILL_NEEDED, "the proposal is open")
    if any(entry_id in deal.said for deal in state.deals.values()):
        raise EntryError(Reason.STILL_NEEDED, "the deal is open")
    return sealed.device
