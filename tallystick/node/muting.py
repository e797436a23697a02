"""Being mute: what shows that this device speaks twice, and the way out that a person decides on.

Source: docs/spec/finality.md#guard
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.protocol.pool import Pending


def check_own(core: NodeCore, added: Sequence[Pending]) -> None:
    """Entries came from others: those of our own device, which it does not know, make the node mute.

    For a copy of the device runs then, unless a backup was put back: then what the guard remembers is only coming back.
    Our join is known, though it has no place here yet.
    """
    device, store = core.device, core.archive.store
    # What it wrote in a ledger before this one is fetched like that of everybody.
    mine = (row.entry for row in added if row.entry.device == device and row.entry.ledger == core.ledger.id)
    own = [entry for entry in mine if entry.id not in core.handed_in]
    if not own or (
        store.is_restored
        and all(entry.seq <= store.guard.state.seq for entry in own)
        and len(core.ledger.pool.branches.get(device, ())) <= 1
    ):
        return
    core.sealer.mute("entries of this device came from elsewhere: a copy of it runs, or its data are an old backup")


def check_can_unmute(core: NodeCore) -> None:
    """Raises NodeError not-mute."""
    if not core.sealer.muted:
        raise NodeError("this node is not mute", reason="not-mute", exit_code=ExitCode.REFUSED)


def check_is_whole(core: NodeCore, *, accept_loss: bool) -> None:
    """Others were met: whether they have brought back what this node has sealed alone.

    A block is given up only while nobody knows of it. Where its vote has reached others the height is decided: another
    block would be a fork, and theirs would wait for the first one for ever.

    Raises NodeError: sealed-elsewhere, lost-blocks.
    """
    if len(core.ledger.sealers()) > 1:
        return
    # Whatever the guard remembers: blocks may have been given up before this vote came back.
    if core.sealer.waits_for_content:
        raise NodeError(
            f"others know that this computer has sealed block {core.ledger.head.height + 1}, but nobody who was met"
            " has what it holds",
            reason="sealed-elsewhere",
            exit_code=ExitCode.REFUSED,
            hint="meet whoever may have it; if nobody has, found the ledger anew on the last block: `tally re-found`",
        )
    lost = core.sealer.lost_height
    if not lost or accept_loss:
        return
    raise NodeError(
        f"nobody who was met has block {core.ledger.head.height + 1}, and this computer has sealed up to {lost}",
        reason="lost-blocks",
        exit_code=ExitCode.REFUSED,
        hint="meet whoever may have them; to seal those heights anew, add --accept-loss",
    )


def check_can_lose(core: NodeCore, error: NodeError, *, accept_loss: bool) -> None:
    """Nobody could be met: whether the node may speak all the same. Raises NodeError: `error`, or no-peer.

    What only this device knew is lost then. Where others seal with it, one of them can always be met before a block is
    made, so there is no reason not to wait.
    """
    others = [row for row in core.ledger.sealers() if row.node_key != core.node_key.public]
    seals = len(others) < len(core.ledger.sealers())
    if seals and others:
        raise NodeError(
            f"{error.message}: others seal with this computer, so one of them has to be met first",
            reason=error.reason,
            exit_code=ExitCode.OFFLINE,
            hint="start `tally node` where a partner can be reached, or take their bundle in: `tally bundle in FILE`",
        ) from error
    if not accept_loss:
        raise NodeError(
            f"{error.message}: whatever was signed after the backup was made cannot come back",
            reason=error.reason,
            exit_code=ExitCode.OFFLINE,
            hint="meet a partner first; if there is none, `tally seal --unmute --accept-loss`",
        ) from error
