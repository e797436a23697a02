"""Ticks of proposals and amendments: moments at which the end of the block has something to decide.

Source: docs/spec/charter.md#governance
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tallystick.protocol.act import Act, TickRule


def judge(act: Act, proposal_id: bytes) -> None:
    """The votes are counted at the end of this block."""
    act.at_boundary("judge", proposal_id)


def amend(act: Act, proposal_id: bytes) -> None:
    """The grace is over: the new charter is in force after this block."""
    act.at_boundary("amend", proposal_id)


TICKS: Final[Mapping[str, TickRule]] = {
    "proposal.voted": judge,
    "proposal.notice": judge,
    "proposal.end": judge,
    "amendment.due": amend,
}
