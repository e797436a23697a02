"""Why a node stops sealing because of what was sealed: rules that it does not know, a block with another result.

A fork is found elsewhere: see `forking`. Each of these is told to the person, and no peer is blamed for it.

Source: docs/spec/finality.md#another-result, docs/spec/finality.md#rules-version
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tallystick.node.status_words import update_words
from tallystick.protocol.assembly import OtherResultError

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.protocol.errors import BlockError

log = logging.getLogger("tallystick.node")


def raise_alarm(core: NodeCore, why: str) -> None:
    """Trust the ledger no more: seal nothing, fetch no more blocks, and say so."""
    log.critical("%s", why)
    core.alarm = why
    core.sync.is_stopped = True
    core.sealer.begin(core.now)
    if core.on_alarm is not None:
        core.on_alarm()


def look_at_rules(core: NodeCore) -> None:
    """Partners may have voted for rules that came after this program: it does not guess them."""
    rules = core.ledger.state.rules.get("")
    words = None if rules is None else update_words(rules.version)
    if words is not None and not core.alarm:
        log.critical("%s", words)
        core.alarm = words
        core.sync.is_stopped = True


def disagree(core: NodeCore, height: int, error: BlockError | None) -> None:
    """A quorum has sealed what does something else here: it or this program is wrong."""
    if not core.alarm:
        core.disagreement = error if isinstance(error, OtherResultError) else None
        raise_alarm(
            core,
            f"the others sealed block {height} with another result than this program computes: update it; the file "
            "`disagreement-...json` in this home is for whoever looks after the program",
        )
