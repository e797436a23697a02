"""Who may come in, of those whom the ledger does not know: whoever a ticket named, for as long as that is needed."""

from __future__ import annotations

from tallystick.node.core import NodeCore
from tests.support.builders import key
from tests.support.kept import Kept
from tests.support.market import MARKET

INVITER = key("inviter", "node").public


def gate(kept: Kept, anchor: int) -> NodeCore:
    """A newcomer's node that has fetched the ledger as far as it is here."""
    return NodeCore(
        archive=kept.archive,
        ledger=kept.ledger,
        node_key=key("newcomer", "node"),
        device=key("newcomer").public,
        now=kept.now,
        trusted=(INVITER,),
        anchor=anchor,
    )


def test_whoever_a_ticket_names_gives_the_ledger_up_to_the_block_it_names() -> None:
    """Its author may have become a member in a block that is still on its way: else it would be hung up on halfway."""
    kept = Kept.start(MARKET, "bo")
    height = kept.ledger.head.height
    assert gate(kept, height + 1).is_member(INVITER)
    assert not gate(kept, height).is_member(INVITER)
    assert not gate(kept, 0).is_member(INVITER)
    assert gate(kept, 0).is_member(kept.people["bo"].node.public)
    assert not gate(kept, height + 1).is_member(key("stranger", "node").public)
