"""What the node core wants done: the only way in which it touches the world besides its store.

Source: ARCHITECTURE.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tallystick.node.transport import PeerKey


class Check(NamedTuple):
    """One signature to be judged by the strict rule."""

    key: bytes
    message: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Queue these frames for a peer, in order."""

    peer: PeerKey
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskRoom:
    """More is to be sent to this peer: a `Writable` is to come as soon as its queue is half empty."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip this to everybody."""

    data: bytes


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the connection. `blame`: it broke the protocol, so it waits long before it is let in again.

    `rest`: it has enough neighbours, and is not asked again for a while.
    """

    peer: PeerKey
    why: str
    blame: bool
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Verify:
    """Judge these signatures off the loop; a `Verified` with the same job number is the answer."""

    job: int
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class Pause:
    """Read nothing more from this peer."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class Resume:
    """Read again."""

    peer: PeerKey


@dataclass(frozen=True, slots=True)
class Recheck:
    """Members have changed: ask the gate again for every connection."""


@dataclass(frozen=True, slots=True)
class Learn:
    """A member can be dialled there. `hearsay`: somebody else says so."""

    addresses: tuple[str, ...]
    hearsay: bool


Effect = Send | AskRoom | Publish | HangUp | Verify | Pause | Resume | Recheck | Learn


@dataclass(frozen=True, slots=True)
class Verified:
    """Event: the verdicts on a `Verify`, in its order."""

    job: int
    verdicts: list[bool]


@dataclass(frozen=True, slots=True)
class Wake:
    """Event: time has passed."""
