"""What whoever carries a stick has to do next: to whom the block in the making must be brought.

A block of several sealers takes the word of each more than once: first all say what they have, then one makes the
block, then all vote on it twice. Somebody who passes files by hand sees none of that, and is told here.

Source: docs/spec/bundles.md#sealing
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tallystick.node.status_words import named
from tallystick.protocol.ballot import STEP_PRECOMMIT
from tallystick.protocol.quorum import quorum

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.view import View


class _Missing(NamedTuple):
    """Whose word the next block needs."""

    members: list[bytes]
    need: int


def next_words(core: NodeCore, view: View, made: int) -> str | None:
    """What to do after a bundle was read; None where nothing is left to carry.

    `made`: so many blocks became whole here, by votes that the bundle brought.
    """
    head = core.ledger.head
    sealers = core.ledger.sealers()
    seals = any(row.node_key == core.node_key.public for row in sealers)
    if not sealers or (seals and len(sealers) == 1):
        return None
    found = _missing(core)
    if found is not None and found.members and found.need > 0:
        who = named([view.called(member) for member in found.members])
        some = who if found.need >= len(found.members) else f"{found.need} of {who}"
        return f"block {head.height + 1} needs {some}: `tally bundle out FILE`, and carry it there"
    if len(core.ledger.pool) and not seals:
        need, who = quorum(len(sealers)), named([view.called(row.member) for row in sealers])
        some = who if need >= len(sealers) else f"{need} of {who}"
        return f"what waits is sealed by {some}: `tally bundle out FILE`, and carry it there"
    if len(core.ledger.pool):
        return "what waits is not asked to be sealed yet: `tally seal`, then carry a bundle to the others"
    if made > 0:
        return f"block {head.height} is complete here: `tally bundle out FILE` carries it to the others"
    return None


def _missing(core: NodeCore) -> _Missing | None:
    """The sealers that the vote on the next block waits for; None where nobody has asked for one."""
    facts = core.sealer.facts()
    if facts is None or not any(row.ready is not None for row in facts.sealers):
        return None
    least = quorum(len(facts.sealers))
    own = core.node_key.public
    if facts.round < 0:
        said = [row.ready is not None for row in facts.sealers]
    elif facts.proposed is None:
        # Without it nobody can vote, and no timer runs by a stick.
        proposer = (facts.height + facts.round) % len(facts.sealers)
        said = [number != proposer for number in range(len(facts.sealers))]
        least = len(facts.sealers)
    elif facts.step < STEP_PRECOMMIT or sum(row.prevoted for row in facts.sealers) < least:
        said = [row.prevoted for row in facts.sealers]
    else:
        said = [row.precommitted for row in facts.sealers]
    of = {row.node_key: row.member for row in core.ledger.sealers()}
    silent = [row.key for row, has in zip(facts.sealers, said, strict=True) if not has and row.key != own]
    is_own_missing = any(row.key == own and not has for row, has in zip(facts.sealers, said, strict=True))
    need = least - sum(said) - is_own_missing
    return _Missing([of[key] for key in silent if key in of], need)
