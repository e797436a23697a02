"""Votes in one line: propose and seal, let people vote and seal, and look at what came of it."""

from __future__ import annotations

from typing import Any

from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.ledger import Executed
from tallystick.protocol.records import Member
from tallystick.protocol.records_governance import Proposal
from tests.support.builders import World


def proposal(world: World, proposal_id: bytes) -> Proposal:
    return world.view().proposals[proposal_id]


def member(world: World, name: str) -> Member:
    return world.view().members[world.people[name].member]


def body(world: World, what: Any, **fields: Any) -> Propose:
    """The body of a proposal; members by name, and the charter in force is what an amendment replaces."""
    if "member" in fields:
        fields["member"] = world.people[fields["member"]].member
    if what == "amend":
        fields.setdefault("replaces", world.view().charter_row.digest)
    return Propose(type=what, **fields)


def proposed(world: World, by: str, what: Any, **fields: Any) -> bytes:
    """Propose something and seal it, so that its electors are fixed."""
    entry_id = world.do(by, body(world, what, **fields))
    world.seal()
    return entry_id


def vote(world: World, proposal_id: bytes, **choices: Any) -> Executed:
    """Each says its word; then a block."""
    for name, choice in choices.items():
        world.do(name, Vote(proposal=proposal_id, choice=choice))
    return world.seal()


def passed(world: World, by: str, what: Any, *voters: str, **fields: Any) -> bytes:
    """Propose something that all of these want, and wait until it has passed."""
    proposal_id = proposed(world, by, what, **fields)
    vote(world, proposal_id, **dict.fromkeys(voters, "yes"))
    if proposal(world, proposal_id).status == "open":
        ballot = proposal(world, proposal_id).ballot
        assert ballot is not None
        world.seal(ballot.end)
    row = proposal(world, proposal_id)
    assert row.status == "passed", row
    return proposal_id
