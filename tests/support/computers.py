"""Second computers of people: made, added by the first, and with a first entry of their own."""

from __future__ import annotations

from typing import Any

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol.devices import possession_payload
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.device import DeviceAdd
from tallystick.protocol.kinds.recover import RecoverRequest
from tests.support.builders import Person, World, key


def newcomer(world: World, name: str, of: str) -> Person:
    """A machine with keys of its own, whose person is one that the ledger knows."""
    owner = world.people[of]
    person = Person(name, key(name), key(name, "node"), owner.recovery, owner.member)
    world.people[name] = person
    return person


def add_body(world: World, new: Person, by: str, *, scope: Any = "all") -> DeviceAdd:
    payload = possession_payload(new.secret.public, new.node.public, world.people[by].secret.public)
    message = signed_bytes(SignType.POSSESSION, world.ledger.id, payload)
    return DeviceAdd(
        device=new.secret.public,
        node_key=new.node.public,
        scope=scope,
        possession=new.secret.sign(message),
        possession_node=new.node.sign(message),
    )


def request_body(world: World, new: Person, recovery: SecretKey) -> RecoverRequest:
    """What a machine asks that is to be the only one of its member."""
    possession = possession_payload(new.secret.public, new.node.public, recovery.public)
    return RecoverRequest(
        member=new.member,
        node_key=new.node.public,
        recovery=recovery.public,
        possession=new.node.sign(signed_bytes(SignType.POSSESSION, world.ledger.id, possession)),
    )


def added(world: World, name: str, of: str, *, scope: Any = "all") -> bytes:
    """A second device of somebody, added by the first."""
    return world.do(of, add_body(world, newcomer(world, name, of), of, scope=scope))


def first(world: World, name: str, content: Body, link: bytes) -> bytes:
    """The first entry of a device, which links what introduced it."""
    entry = world.sign(name, content, links=(link,))
    world.feed(entry)
    return entry.id
