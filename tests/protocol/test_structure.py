"""Whether an entry is well made: each refusal, in its order, and what has merely not come yet."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.structure import Waiting
from tests.support.builders import World, key
from tests.support.market import market


@pytest.fixture
def world() -> World:
    """Three blocks are sealed; bo has an offer in the last, and writes two more that are not."""
    world = market()
    world.offered("bo", "roast")
    world.seal()
    return world


def made(world: World, name: str = "bo", **changes: Any) -> Entry:
    """The next entry of somebody with some of its fields replaced; by itself it withdraws bo's offer."""
    person, head = world.people[name], world.ledger.head
    offer = world.people["bo"].prev
    assert offer is not None
    fields: dict[str, Any] = {
        "ledger": world.ledger.id,
        "seq": person.seq + 1,
        "prev": person.prev,
        "links": () if person.prev == offer else (offer,),
        "seal": (head.height, head.block_id),
        "time": world.now,
        "kind": "withdraw",
        "body": {"offer": offer},
    }
    return make_entry(changes.pop("secret", person.secret), **fields | changes)


def verdict(world: World, entry: Entry) -> str | Waiting:
    """The reason of a refusal, `well made`, or what is missing."""
    try:
        body = world.ledger.check(entry)
    except EntryError as error:
        return str(error.reason)
    if isinstance(body, Waiting):
        return body
    assert isinstance(body, Withdraw)
    return "well made"


def test_a_good_entry_is_well_made(world: World) -> None:
    """After a sealed one, after a pending one, and by somebody else who links what is meant."""
    assert verdict(world, made(world)) == "well made"
    assert verdict(world, made(world, "cy")) == "well made"
    offer = world.people["bo"].prev
    world.send("bo", world.offer("bake"))
    entry = made(world, body={"offer": offer}, links=(offer,))
    assert verdict(world, entry) == "well made"
    stranger = made(world, "cy", seal=None, seq=0, prev=None, secret=key("nobody"))
    assert verdict(world, stranger) == "unknown-device", "the same, but signed by nobody's device"


def test_each_refusal_has_its_reason(world: World) -> None:
    """One fault each."""
    bo, cy, head = world.people["bo"], world.people["cy"], world.ledger.head
    block = world.ledger.history.block_id
    changes: list[tuple[dict[str, Any], str]] = [
        ({"ledger": b"\1" * 32}, "wrong-ledger"),
        ({"kind": "nonsense"}, "unknown-kind"),
        ({"kind": "sealer"}, "unknown-kind"),
        ({"body": {}}, "malformed"),
        ({"body": {"offer": bytes(31)}}, "malformed"),
        ({"body": {"offer": "x" * 32}}, "malformed"),
        ({"body": {"offer": None}}, "malformed"),
        ({"body": {"offer": bo.prev, "more": 1}}, "malformed"),
        ({"body": {"offer": world.ledger.id}}, "not-linked"),
        ({"kind": "join", "body": _join_body(), "links": (b"\2" * 32,)}, "unknown-device"),
        ({"prev": cy.prev}, "not-linked"),
        ({"prev": cy.prev, "links": (bo.prev,)}, "bad-seq"),
        ({"seq": bo.seq + 2}, "bad-seq"),
        ({"seq": bo.seq}, "bad-seq"),
        ({"seq": bo.seq + 2**40}, "bad-seq"),
        ({"seal": None}, "bad-seal"),
        ({"seal": (1, block(1))}, "bad-seal"),
        ({"seal": (head.height, b"\1" * 32)}, "other-branch"),
        ({"seal": (1, b"\1" * 32)}, "other-branch"),
        ({"seal": (head.height, block(1))}, "other-branch"),
    ]
    for change, reason in changes:
        assert verdict(world, made(world, **change)) == reason, change


def _join_body() -> dict[str, Any]:
    return {
        "invite": b"\2" * 32,
        "node_key": b"\3" * 32,
        "recovery": b"\4" * 32,
        "charter": b"\5" * 32,
        "grant": bytes(64),
        "possession": bytes(64),
    }


def test_of_two_faults_the_first_is_said(world: World) -> None:
    """In the order that is written down; so all nodes say the same."""
    changes: list[tuple[dict[str, Any], str]] = [
        ({"ledger": b"\1" * 32, "kind": "nonsense"}, "wrong-ledger"),
        ({"kind": "nonsense", "seq": 99}, "unknown-kind"),
        ({"body": {}, "seal": None}, "malformed"),
        ({"body": {"offer": world.ledger.id}, "seq": 99}, "not-linked"),
        ({"seq": 99, "seal": (1, b"\1" * 32)}, "bad-seq"),
        ({"seal": (1, b"\1" * 32)}, "other-branch"),
    ]
    for change, reason in changes:
        assert verdict(world, made(world, **change)) == reason, change


def test_what_has_not_come_yet_is_no_refusal(world: World) -> None:
    """Parents, and the block that it cites; it is asked for, and then the answer may be another."""
    head = world.ledger.head
    missing = b"\1" * 32, b"\2" * 32
    bo = world.people["bo"]
    assert verdict(world, made(world, links=missing)) == Waiting(missing, 0)
    assert verdict(world, made(world, prev=missing[0], links=(bo.prev,))) == Waiting((missing[0],), 0)
    ahead = made(world, seal=(head.height + 1, b"\3" * 32))
    assert verdict(world, ahead) == Waiting((), head.height + 1)
    world.offered("cy", "roast")
    world.seal()
    assert verdict(world, ahead) == "other-branch"


def test_a_seal_never_goes_back_on_one_chain(world: World) -> None:
    """Whether the entry before is pending or sealed; staying at the same block is fine."""
    head, block = world.ledger.head, world.ledger.history.block_id
    world.send("bo", world.offer("bake"))
    world.now += 1
    assert verdict(world, made(world)) == "well made"
    assert verdict(world, made(world, seal=(head.height - 1, block(head.height - 1)))) == "bad-seal"
    assert verdict(world, made(world, seal=None)) == "bad-seal"
    world.seal()
    now, old = world.ledger.head, head
    assert verdict(world, made(world, seal=(now.height, now.block_id))) == "well made"
    assert verdict(world, made(world, seal=(old.height, old.block_id))) == "well made"
    assert verdict(world, made(world, seal=(old.height - 1, block(old.height - 1)))) == "bad-seal"


def test_a_second_branch_is_well_made(world: World) -> None:
    """Two entries with one number are both legal data: somebody may already have linked one."""
    bo = world.people["bo"]
    seq, prev = bo.seq, bo.prev
    world.send("bo", world.offer("bake"))
    bo.seq, bo.prev = seq, prev
    other = made(world)
    assert verdict(world, other) == "well made"
    world.feed(other)
    bo.seq, bo.prev = other.seq, other.id
    assert verdict(world, made(world, links=(prev,), body={"offer": prev})) == "well made"


def test_a_void_entry_is_well_made_too(world: World) -> None:
    """What a rule says of it is another question: the same answer here, for ever."""
    offer = made(world, "cy")
    world.feed(offer)
    assert world.outcome(offer.id).reason is Reason.NOT_ALLOWED
    world.seal()
    assert world.ledger.history.sealed(offer.id) is not None
