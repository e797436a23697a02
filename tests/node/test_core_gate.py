"""Who may come in, of those whom the ledger does not know: whoever a ticket named, for as long as that is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tallystick.node.core import NodeCore
from tallystick.node.neighbours import owner_of
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.state import Table
from tallystick.protocol.transition import Fold
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


def test_whoever_invites_answers_for_those_who_wait_to_be_let_in() -> None:
    """Anybody can make applicants without end of an invitation; a partner answers for all of its own devices."""
    kept = Kept.start(MARKET, "bo")
    for name in ("cy", "di"):
        kept.applied(name, inviter="bo")
    core = gate(kept, 0)
    nodes = {name: person.node.public for name, person in kept.people.items()}
    bo = kept.people["bo"].member
    assert core.is_member(nodes["cy"])
    assert [owner_of(core, nodes[name]) for name in ("bo", "cy", "di")] == [bo, bo, bo]
    assert owner_of(core, nodes["ana"]) == kept.people["ana"].member
    assert owner_of(core, INVITER) == INVITER


def test_whoever_was_found_is_not_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds are asked about whenever somebody comes in, among the devices of all who ever were here."""
    kept = Kept.start(MARKET, "bo")
    core, bo = gate(kept, 0), kept.people["bo"].node.public
    searched = 0

    def counted(read: Callable[[Table[Any, Any]], Iterable[Any]]) -> Callable[[Table[Any, Any]], Iterable[Any]]:
        def count(table: Table[Any, Any]) -> Iterable[Any]:
            nonlocal searched
            searched += table.name == "device"
            return read(table)

        return count

    monkeypatch.setattr(Table, "items", counted(Table.items))
    monkeypatch.setattr(Table, "values", counted(Table.values))
    for _ in range(100):
        assert core.is_member(bo)
        assert not core.is_member(key("stranger", "node").public)
    assert searched == 1


def test_what_is_dated_ahead_is_not_folded_anew_for_each_who_knocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves with the time. A member may have thousands of it pending, and anybody may connect again and again."""
    kept = Kept.start(MARKET, "bo")
    core = gate(kept, 0)
    # Something that may change who is there, so that what is sealed does not tell.
    kept.applied("cy", inviter="bo")
    ahead, now = 50, kept.now
    for _ in range(ahead):
        kept.send("bo", Withdraw(offer=kept.ledger.id), time=now + 3_600_000)
    folded = 0
    apply = Fold.apply

    def count(self: Fold, *args: Any) -> Any:
        nonlocal folded
        folded += 1
        return apply(self, *args)

    monkeypatch.setattr(Fold, "apply", count)
    for after in range(100):
        core.now = now + 20 * after
        assert core.is_member(kept.people["cy"].node.public)
        assert not core.is_member(key("stranger", "node").public)
    assert ahead <= folded <= 3 * ahead
