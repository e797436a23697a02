"""A crowd that begins messages and never ends them: of whoever answers for most, one after the other has to go."""

from __future__ import annotations

from random import Random

from tallystick.node import messages as m
from tallystick.node.core import NodeCore
from tallystick.node.crowding import WAITING_ALL_MAX
from tallystick.node.effects import HangUp
from tallystick.node.transport import FRAME_BYTES_MAX, Frame, PeerUp
from tallystick.protocol import codec
from tests.support.builders import key
from tests.support.kept import Kept
from tests.support.market import MARKET

PART = FRAME_BYTES_MAX - 300
#: As a block begins: nothing but blocks and votes may be so long.
BEGUN = b"\x95\xa5block".ljust(PART, b"\0")
CROWD = 24


def begun(core: NodeCore, peer: bytes, parts: int, random: Random) -> list[HangUp]:
    """A peer sends so many parts of a message that has more; whom the node hangs up on meanwhile."""
    digest = random.randbytes(32)
    effects = [
        effect
        for number in range(parts)
        for effect in core.handle(
            Frame(peer=peer, data=codec.encode(["part", digest, number, parts + 1, BEGUN])), core.now
        )
    ]
    return [effect for effect in effects if isinstance(effect, HangUp)]


def test_a_crowd_does_not_fill_the_memory_and_takes_no_room_of_others() -> None:
    """Who has most alone stays, where a crowd has more together; nobody is blamed, for nothing of it is forbidden."""
    kept = Kept.start(MARKET, "bo")
    names = [f"p{number}" for number in range(CROWD)]
    for name in names:
        kept.applied(name, inviter="bo")
    core = NodeCore(
        archive=kept.archive, ledger=kept.ledger, node_key=key("di", "node"), device=key("di").public, now=kept.now
    )
    nodes = {name: person.node.public for name, person in kept.people.items()}
    for peer in nodes.values():
        core.handle(PeerUp(peer=peer, outbound=False, relayed=False, address=""), core.now)
    random = Random(3)
    honest = m.MESSAGE_BYTES_MAX // PART - 1
    assert begun(core, nodes["ana"], honest, random) == []
    gone: list[HangUp] = []
    for name in names:
        gone += begun(core, nodes[name], honest - 8, random)
        waiting = sum(session.growing + session.waiting for session in core.sync.sessions.values())
        assert waiting <= WAITING_ALL_MAX
    assert len(gone) > CROWD // 2
    assert {each.peer for each in gone} <= {nodes[name] for name in names}
    assert not any(each.blame for each in gone)
    assert core.sync.sessions.keys() == set(nodes.values()) - {each.peer for each in gone}
