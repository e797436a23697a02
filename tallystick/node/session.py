"""What the node remembers of one connected peer."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tallystick.node.messages import Block, BlocksEnd, Entries, Message, Reader
from tallystick.node.transport import PeerKey

#: Messages of one peer that may wait before it is not read any more, and their bytes.
INBOX_MAX: Final = 256
INBOX_BYTES_MAX: Final = 4 * 1024 * 1024
#: Batches of one peer whose signatures are judged at the same time; behind them its messages wait.
BATCHES_MAX: Final = 4
#: The same for entries of sealed blocks: as many as four blocks have, so that no helper runs out of work while the loop
#: works one through.
BATCHES_AHEAD_MAX: Final = 64


@dataclass(slots=True)
class Session:
    """One open sync stream."""

    peer: PeerKey
    address: str
    outbound: bool
    relayed: bool
    since: int
    reader: Reader = field(default_factory=Reader)
    inbox: deque[Message] = field(default_factory=deque)
    """Messages that wait until the entries before them are verified."""
    sizes: deque[int] = field(default_factory=deque)
    """Bytes of each."""
    waiting: int = 0
    """Bytes of all of them."""
    growing: int = 0
    """Bytes of a message that is not whole yet."""
    batches: int = 0
    """Batches of its entries whose signatures are being judged."""
    ahead: deque[int] = field(default_factory=deque)
    """Those of them that are for sealed blocks: the number of the block that each came before."""
    blocks_read: int = 0
    """Blocks of it that were worked through: the number of the next one."""
    height_then: int = -1
    """Our own height when the last answer with blocks was worked through."""
    is_barren: bool = False
    """Such an answer has not brought us on."""
    paused: bool = False
    height: int = -1
    """Its newest block; -1 before its HELLO."""
    block_id: bytes = b""
    digest: bytes = b""
    """Of its pending entries, when it said hello last."""
    was_apart: bool = False
    """Its first HELLO told of another block, or of other pending entries, than we had."""
    clock: int = 0
    """Its clock less ours, in ms."""
    heard: int = 0
    """When its last message came, in ms of our clock."""
    known: set[bytes] = field(default_factory=set)
    """Pending entries it has, as far as we know."""
    wanted: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Heads asked for -> when, and how many entries it had brought by then."""
    brought: int = 0
    """New entries that have come of it."""
    cuts: dict[bytes, tuple[int, tuple[int, bytes]]] = field(default_factory=dict)
    """Heads that it has asked for and not got yet -> from which number on, and where our answer ended."""
    hinted: dict[bytes, int] = field(default_factory=dict)
    """Heads asked for because of gossip that it handed on -> when; the oldest first."""
    needed: dict[bytes, int] = field(default_factory=dict)
    """What a block that is being sealed, or its own entries, need of it -> when it was asked for that."""
    hello_sent: int = -(2**62)
    """When our HELLO was last sent to it."""
    blocks_asked: int = 0
    """When blocks were last asked for; 0: none are on their way."""
    asked_at: int = 0
    """Our own height when blocks were last asked for."""
    in_vain: int = 0
    """How often in a row it was asked for the next block, which it says it has, and no block came."""
    rests_until: int = 0
    """Until when it is not asked for blocks again, after that."""
    answers: deque[Iterator[Message]] = field(default_factory=deque)
    """Its requests for blocks that are being answered: what is still to be sent."""
    asks: deque[bool] = field(default_factory=deque)
    """Requests for blocks that are not answered yet, oldest first: whether each asked for entries too."""
    needs_entries: bool = False
    """A block came whose entries are not here: the next request asks for them."""
    parted: int = 2**62
    """The lowest block of it that was asked for to see where its branch parts from ours."""
    sealing_asked: int = -(2**62)
    """When the messages of the height being sealed were last asked for."""

    @property
    def is_fetching(self) -> bool:
        """Whether the answer that comes next, however late, has sealed blocks with their entries."""
        return bool(self.asks and self.asks[0])

    @property
    def is_late(self) -> bool:
        """Whether somebody else is asked for blocks meanwhile."""
        return bool(self.asks) and not self.blocks_asked

    def ended(self, height: int) -> None:
        """An answer is worked through, and this is our height now."""
        if self.asks and self.asks.popleft():
            self.is_barren = height <= self.height_then
            self.height_then = height

    @property
    def greeted(self) -> bool:
        return self.height >= 0

    def put(self, message: Message) -> None:
        """Let a message wait that has come whole."""
        self.inbox.append(message)
        self.sizes.append(self.growing)
        self.waiting += self.growing
        self.growing = 0

    def drop(self, place: int) -> None:
        """A message waits no longer."""
        del self.inbox[place]
        self.waiting -= self.sizes[place]
        del self.sizes[place]

    @property
    def is_full(self) -> bool:
        """Whether so much waits that this peer is not read."""
        return len(self.inbox) > INBOX_MAX or self.waiting > INBOX_BYTES_MAX

    @property
    def has_room(self) -> bool:
        """Whether it can be read again."""
        return len(self.inbox) <= INBOX_MAX // 2 and self.waiting <= INBOX_BYTES_MAX // 2

    def may_go(self, message: Message) -> bool:
        """Whether the next message need not wait for the signatures that are being judged."""
        match message:
            case Entries():
                return self.batches < BATCHES_MAX and not self.is_fetching
            case Block():
                return self.batches == len(self.ahead) and self.ahead[0] > self.blocks_read
            case BlocksEnd():
                # What is being judged may be of the answer after this one.
                return len(self.asks) > 1 and self.asks[1]
        return False

    def take_ahead(self) -> tuple[Entries, int] | None:
        """Take the next entries for sealed blocks out of the inbox, and the number of the block that they are before.

        None where there are none, or enough are being judged.
        """
        if not self.is_fetching or self.batches >= BATCHES_AHEAD_MAX:
            return None
        before, answer = self.blocks_read, 0
        for place, message in enumerate(self.inbox):
            match message:
                case Entries():
                    self.drop(place)
                    return message, before
                case Block():
                    before += 1
                case BlocksEnd():
                    answer += 1
                    if answer >= len(self.asks) or not self.asks[answer]:
                        return None
                case _:
                    return None
        return None
