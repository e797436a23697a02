"""A small ledger founded anew: the same people and history, on the state of the newest block."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.crypto.keys import SecretKey
from tallystick.protocol.entry import Entry, make_entry
from tallystick.protocol.kinds.refound import Before, Refound, Rejoin, Signed, refound_message
from tallystick.protocol.ledger import Ledger
from tallystick.protocol.merkle import CompactRange
from tallystick.protocol.state import State
from tests.support.builders import DAY_MS, World


def founding_anew(world: World, founder: str, keys: Sequence[SecretKey], *, later: int = 7 * DAY_MS) -> Entry:
    """The founding entry on the newest block of a world, `later` than that, signed with these keys."""
    head, person = world.ledger.head, world.people[founder]
    message = refound_message(world.ledger.id, head.height, head.block_id, head.state_root, person.secret.public)
    body = Refound(
        line=(*world.ledger.line, Before(world.ledger.id, head.height)),
        block=head.block_id,
        state_root=head.state_root,
        signatures=tuple(Signed(key.public, key.sign(message)) for key in sorted(keys, key=lambda each: each.public)),
    )
    row = world.ledger.state.devices[person.secret.public]
    return make_entry(
        person.secret,
        ledger=bytes(32),
        seq=row.head_seq + 1,
        prev=row.head,
        links=(),
        seal=(head.height, head.block_id),
        time=head.time + later,
        kind=Refound.KIND,
        body=body.to_map(),
    )


def follow(world: World, founding: Entry) -> World:
    """The world in which a founding anew is pending. What was pending in the old one is not there."""
    old = world.ledger
    state = State()
    state.load(old.state.rows().items())
    before = [Before(row[0], row[1]) for row in founding.body["line"]]
    ledger = Ledger(
        founding.id,
        world.history,
        head=old.head,
        state=state,
        log=CompactRange.from_value(old.log.to_value()),
        line=tuple(before),
    )
    for person in world.people.values():
        row = state.devices.get(person.secret.public)
        if row is not None:
            person.seq, person.prev = row.head_seq, row.head or None
    anew = World(ledger, world.history, world.people, max(world.now, founding.time))
    anew.feed(founding)
    for person in anew.people.values():
        if person.secret.public == founding.device:
            person.seq, person.prev = founding.seq, founding.id
    return anew


def refound(world: World, founder: str, *signers: str, later: int = 7 * DAY_MS) -> World:
    """Seal what is pending, then found it anew with the signatures of these people; the founding is sealed."""
    world.seal()
    keys = [world.people[name].secret for name in (founder, *signers)]
    anew = follow(world, founding_anew(world, founder, keys, later=later))
    anew.seal()
    return anew


def rejoin(world: World, *names: str) -> None:
    """These people join, each with a block."""
    for name in names:
        world.do(name, Rejoin(founding=world.ledger.id))
        world.seal()
