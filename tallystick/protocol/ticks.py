"""Everything that can fall due by itself, in one table. A tick never raises.

Source: docs/spec/charter.md#time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tallystick.protocol import claims, corrections, deal_ticks, devices, duty, governance_ticks, money_rules

if TYPE_CHECKING:
    from tallystick.protocol.act import TickRule

TICKS: Final[Mapping[str, TickRule]] = {
    **deal_ticks.TICKS,
    **claims.TICKS,
    **governance_ticks.TICKS,
    **devices.TICKS,
    **money_rules.TICKS,
    **corrections.TICKS,
    **duty.TICKS,
}
