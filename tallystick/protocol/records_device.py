"""What the state keeps of members who have lost all their keys: one immutable record a row."""

from tallystick.protocol.records import Record


class Recovery(Record, frozen=True):
    """Somebody asks for new keys to an old id. Its id is the id of the `recover.request`."""

    member: bytes
    device: bytes
    node_key: bytes
    recovery: bytes
    """The new recovery key."""
    at: int
    lapse: tuple[int, int]
    """The tick at which it is forgotten."""
    approved: tuple[bytes, ...] = ()
    """Partners who know that it is the same person, in order."""
    ready: int = 0
    """From this time (ms) on it can work; 0 while too few have approved."""
    vetoed: bool = False
    """An old device of the member has been at work since."""
    overruled: bool = False
    """A vote has found that the veto was not the member's."""
