"""The signing key in a running node: held while it is used, let go of in time, and what lies in tickets with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node import service_keys
from tallystick.node.enrolment import OpenTicket
from tallystick.node.identity import KeyLockedError
from tallystick.node.read_args import ReadArgs
from tallystick.node.service import Node
from tallystick.node.service_args import DeviceTicketArgs, UnlockArgs

KEY = SecretKey.from_seed(bytes(32))
NOW = 1_790_000_000_000


def node(**fields: Any) -> Node:
    """As much of a node as its key needs."""
    core = SimpleNamespace(tickets={}, has_evidence=False)
    made = {
        "core": core,
        "held": None,
        "held_until": 0,
        "held_idle_ms": 0,
        "read_only": None,
        "device": KEY.public,
        "config": SimpleNamespace(unlock_ms=900_000),
        "feed": lambda event: None,
    }
    return cast(Node, SimpleNamespace(**(made | fields)))


def test_a_key_that_nobody_uses_is_let_go() -> None:
    """At the first look after its time, whether or not anybody asks for it."""
    one = node(held=KEY, held_until=NOW)
    service_keys.drop_idle(one, NOW)
    assert one.held is KEY
    service_keys.drop_idle(one, NOW + 1)
    assert one.held is None


def test_asking_for_the_key_prolongs_its_time() -> None:
    """It is the time without use that counts."""
    one = node(held=KEY, held_until=NOW, held_idle_ms=1000)
    assert Node.key_at_hand(one, NOW) is KEY
    assert one.held_until == NOW + 1000
    assert Node.key_at_hand(one, NOW + 1000) is KEY
    assert Node.key_at_hand(one, NOW + 2001) is None


def test_unlock_takes_the_key_of_this_device_only() -> None:
    """With the time that was asked for, else that of the settings."""
    one = node()
    answer = trio.run(service_keys.unlock, one, UnlockArgs(idle_ms=5000), KEY)
    assert one.held is KEY
    assert answer["until"] == one.held_until
    trio.run(service_keys.unlock, one, UnlockArgs(), KEY)
    assert one.held_idle_ms == 900_000
    for wrong in (None, SecretKey.from_seed(bytes([1]) * 32)):
        with pytest.raises(KeyLockedError) as caught:
            trio.run(service_keys.unlock, one, UnlockArgs(), wrong)
        assert caught.value.reason == "wrong-key"


def test_lock_lets_go_of_everything() -> None:
    """Tickets for new machines hold the key as well."""
    one = node(held=KEY, held_until=NOW + 1000)
    one.core.tickets[b"x"] = OpenTicket(KEY, "all", None, NOW + 1000)
    trio.run(service_keys.lock, one, ReadArgs(), None)
    assert one.held is None
    assert one.core.tickets == {}


def test_a_ticket_is_dropped_with_its_key_when_its_time_is_over() -> None:
    """Ten minutes are enough to type a text."""
    one = node()
    one.core.tickets[b"x"] = OpenTicket(KEY, "all", None, NOW)
    service_keys.drop_idle(one, NOW)
    assert len(one.core.tickets) == 1
    service_keys.drop_idle(one, NOW + 1)
    assert one.core.tickets == {}


def test_a_ticket_needs_the_key() -> None:
    """Nobody makes one on a computer that was left unattended."""
    one = node(key_at_hand=lambda now: None)
    with pytest.raises(KeyLockedError) as caught:
        trio.run(service_keys.device_ticket, one, DeviceTicketArgs(), None)
    assert caught.value.reason == "key-locked"
    with pytest.raises(KeyLockedError) as caught:
        trio.run(service_keys.device_ticket, one, DeviceTicketArgs(), SecretKey.from_seed(bytes([1]) * 32))
    assert caught.value.reason == "wrong-key"


def test_evidence_waits_for_the_key() -> None:
    """Without it nothing is signed, and looking for evidence is no use that prolongs its time."""
    one = node(core=SimpleNamespace(tickets={}, has_evidence=True))
    service_keys.convict(one, NOW)
    assert one.held is None
    idle = node(held=KEY, held_until=NOW)
    service_keys.convict(idle, NOW)
    assert idle.held_until == NOW


def test_nothing_here_touches_a_disk(tmp_path: Path) -> None:
    """The key is kept in memory alone."""
    before = list(tmp_path.iterdir())
    one = node(home=tmp_path)
    trio.run(service_keys.unlock, one, UnlockArgs(idle_ms=5000), KEY)
    assert list(tmp_path.iterdir()) == before
