"""The fork alarm: a second block, sealed by a valid certificate, at a height that is sealed here.

Both blocks are kept and shown to everybody; nothing more is sealed, and entries may still be written. Which branch is
the ledger is for partners to decide, by founding anew on one of them. What the two certificates prove against the
sealers that signed both is evidence, and goes on the ledger as an entry.

Source: docs/spec/finality.md#fork
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.crypto.signatures import is_valid
from tallystick.node import messages as m
from tallystick.node.alarms import raise_alarm
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import BlockRow
from tallystick.node.intake import BlameError
from tallystick.protocol.ballot import Prevote
from tallystick.protocol.block import Block, Header, block_id, read_block_untrusted, read_certificate_untrusted
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.evidence import Evidence, Vote, find_evidence, precommits_of, read_evidence_untrusted
from tallystick.protocol.ready import check_frontiers
from tallystick.protocol.sealing import Sealing, read_sealing_untrusted

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.session import Session

log = logging.getLogger("tallystick.node")

_KEY: Final = b"fork"
PARTED_NOWHERE: Final = 2**62
"""The height at which a peer's branch is looked at, where there is no reason to look."""


class Fork(msgspec.Struct, frozen=True, array_like=True):
    """Two sealed blocks of one height; ours lies where all blocks do."""

    height: int
    block_id: bytes
    """Of the other one."""
    block: BlockRow
    evidence: list[bytes]
    """What the certificates prove, encoded."""
    signed_both: list[bytes]
    """Node keys that stand in both certificates."""

    @property
    def words(self) -> str:
        """The alarm in a sentence."""
        return f"the ledger has forked: there are two sealed blocks {self.height}; `tally fork` shows both"


def read_fork(archive: Archive) -> Fork | None:
    """The fork that was found here, if one was."""
    data = archive.sealing(_KEY)
    return None if data is None else msgspec.msgpack.decode(data, type=Fork)


def keep_fork(archive: Archive, fork: Fork) -> None:
    """Write it down, durable on return."""
    archive.keep_sealing([(_KEY, msgspec.msgpack.encode(fork))])


def prove(archive: Archive, ledger: bytes, block: Block, row: BlockRow) -> tuple[Fork, list[Evidence]] | None:
    """The fork that a block proves, which stands at a height that is sealed here, after the same block as ours.

    None where it cannot be judged, since nobody wrote down who sealed that height. Raises BlockError where its
    certificate or a READY in it does not hold.
    """
    height = block.header.height
    seats = archive.seats(height)
    ours = archive.block(height)
    if not seats or ours is None:
        return None
    keys = tuple(node_key for _, node_key in seats)
    time_prev = archive.block_time(height - 1) or 0
    for check in block.checks(keys, time_prev):
        if not is_valid(check.key, check.message, check.signature):
            raise BlockError(BlockReason.BAD_SIGNATURE, "a vote or a READY in it does not hold")
    check_frontiers(block.readys)
    certificates = (read_certificate_untrusted(ours.certificate), block.certificate)
    votes: list[Vote] = [vote for each in certificates for vote in precommits_of(each, ledger, keys)]
    # Where the two were decided in different rounds, only the prevotes of the later one contradict anything.
    evidence = find_evidence([*votes, *kept_prevotes(archive, height)])
    both = set.intersection(*({keys[index] for index, _ in each.votes} for each in certificates))
    fork = Fork(height, block.id(), row, [each.encode() for each in evidence], sorted(both))
    return fork, evidence


def kept_prevotes(archive: Archive, height: int) -> list[Prevote]:
    """The prevotes of a sealed height that are still here; their signatures held when they came."""
    messages = map(read_sealing_untrusted, archive.kept_messages(height))
    return [message for message in messages if isinstance(message, Prevote)]


class ForkWatch:
    """Compares blocks of others with those that are sealed here, and finds where two branches part."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self.fork = read_fork(core.archive)

    def ask(self, session: Session, height: int) -> None:
        """A peer seems to have another block of this height, or above it: have it shown.

        Each question is lower than the one before, so that nobody leads us round.
        """
        if self.fork is None and 0 < height < session.parted:
            session.parted = height
            self._core.sync.ask_block(session, height, self._core.now)

    def compare(self, message: m.Block, header: Header, session: Session | None) -> None:
        """Look at a block that does not come next here, and has this header; the rest is read where it is another one.

        Raises BlockError, DecodeError where it proves nothing.
        """
        core = self._core
        height, head = header.height, core.ledger.head
        if self.fork is not None or not 0 < height <= head.height + 1:
            return
        if header.prev_id != (core.archive.block_id(height - 1) or bytes(32)):
            if session is not None:
                self.ask(session, height - 1)
            return
        if height > head.height:
            return
        if block_id(message.header) == core.archive.block_id(height):
            if session is not None:
                session.parted = PARTED_NOWHERE
            return
        row = BlockRow(message.header, message.certificate, list(message.readys), list(message.entry_ids))
        block = read_block_untrusted(row.header, row.certificate, row.readys, row.entry_ids, deep=False)
        proven = prove(core.archive, core.ledger.id, block, row)
        if proven is None:
            if session is not None:
                core.sync.hang_up(session.peer, "another branch", blame=False)
            return
        self.fork, evidence = proven
        keep_fork(core.archive, self.fork)
        for each in evidence:
            core.accused(each)
        raise_alarm(core, self.fork.words)
        for other in core.sync.sessions.values():
            self.show(other)

    def show(self, session: Session) -> None:
        """Show a peer both blocks: whoever has one of them finds the fork too."""
        if self.fork is None:
            return
        ours = self._core.archive.block(self.fork.height)
        for row in (ours, self.fork.block):
            if row is not None:
                self._core.sync.send(session.peer, m.Block(row.header, row.certificate, row.readys, row.entry_ids))
        self._core.sync.send_sealing(
            session.peer, [vote.wire() for vote in kept_prevotes(self._core.archive, self.fork.height)]
        )

    def heard(self, message: Sealing) -> None:
        """A vote of a height that is sealed: where it has forked, it may prove what the certificates do not.

        Raises BlameError where its signature does not hold.
        """
        fork, core = self.fork, self._core
        if fork is None or message.height != fork.height or not isinstance(message, Prevote):
            return
        known = {read_evidence_untrusted(data).accused for data in fork.evidence}
        if message.signer not in set(fork.signed_both) - known:
            return
        if not is_valid(*message.check()):
            raise BlameError("a sealing message's signature does not hold")
        keys = tuple(node_key for _, node_key in core.archive.seats(fork.height))
        ours = core.archive.block(fork.height)
        rows = [fork.block] if ours is None else [ours, fork.block]
        votes: list[Vote] = [message]
        for row in rows:
            votes += precommits_of(read_certificate_untrusted(row.certificate), message.ledger, keys)
        found = [each for each in find_evidence(votes) if each.accused == message.signer]
        for each in found:
            self.fork = msgspec.structs.replace(fork, evidence=[*fork.evidence, each.encode()])
            keep_fork(core.archive, self.fork)
            core.accused(each)
