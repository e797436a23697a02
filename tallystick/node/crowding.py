"""What all peers together have waiting here: pieces of messages, and messages behind entries that are being judged.

Each peer is bounded by itself (`session`), which is no bound for a crowd. Where it is too much, whoever answers for the
most of it loses a connection: a member for its devices, a partner for the applicants that it has invited.

Source: docs/spec/sync.md#limits
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.node.neighbours import owner_of
from tallystick.node.transport import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.session import Session

#: Of all peers together.
WAITING_ALL_MAX: Final = 64 * 1024 * 1024


def has_room(core: NodeCore, session: Session) -> bool:
    """Whether a peer may go on after what has just come of it. Hangs up on as many as it takes, which may be this one.

    Nobody is looked at for less than one frame, so that whoever sends little costs little.
    """
    sessions = core.sync.sessions
    if _weight(session) > FRAME_BYTES_MAX:
        while sum(map(_weight, sessions.values())) > WAITING_ALL_MAX:
            shares: dict[bytes, list[Session]] = {}
            for other in sessions.values():
                shares.setdefault(owner_of(core, other.peer), []).append(other)
            most = max(shares.values(), key=lambda share: sum(map(_weight, share)))
            heaviest = max(most, key=_weight)
            core.sync.hang_up(heaviest.peer, "others need the room", blame=False)
            core.sync.close(heaviest.peer)
    return sessions.get(session.peer) is session


def _weight(session: Session) -> int:
    return session.growing + session.waiting
