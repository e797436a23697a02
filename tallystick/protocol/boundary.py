"""The end of a block: removals, outcomes and changes of who seals, in one fixed order.

(1) device freezes and revocations, (5) sealer changes, then rows that have faded. Steps (2) to (4) and (6) of the
design (leaves, proposals, electorates, a new charter) have their places between, and come with their kinds.

Source: docs/spec/charter.md#boundary
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import msgspec

from tallystick.protocol.sealers import change_sealers

if TYPE_CHECKING:
    from tallystick.protocol.act import Act


def run_boundary(act: Act, authors: AbstractSet[bytes], stale_ms: int) -> None:
    """Close the block. `authors` are the members with an entry in it, void or not."""
    state = act.state
    asked = [state.boundary[number] for number in range(len(state.boundary))]
    for number in range(len(asked)):
        state.boundary.delete(number)
    for what, ref in asked:
        if what == "freeze":
            device = state.devices.get(ref)
            if device is not None and device.status == "active":
                state.devices.set(ref, msgspec.structs.replace(device, status="frozen"))
    change_sealers(act, authors)
    fade(act, stale_ms)


def fade(act: Act, stale_ms: int) -> None:
    """Drop rows that no entry can be dated back into any more."""
    state = act.state
    for table in (state.offers, state.counts):
        while table.order and table.order[0][0] + stale_ms < act.context.time:
            table.delete(table.order[0][2])  # type: ignore[arg-type]
