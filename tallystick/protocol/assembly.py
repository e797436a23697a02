"""A block as a function of its READYs: how one is made, and how a received one is judged.

The proposer chooses which READYs, and nothing else: entries, order, time and roots follow from them, so a proposal is
judged by making it again. A sealed block is judged by its certificate, by its order and by what its entries do; the
rule by which its entries were chosen needs what was pending then, and is the business of those who voted.

Source: docs/spec/blocks.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallystick.crypto.signatures import is_valid
from tallystick.protocol.block import Block, Header, check_readys, readys_hash, sealers_hash
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import ProposalBody
from tallystick.protocol.ready import Ready, block_time
from tallystick.protocol.signed import Check

if TYPE_CHECKING:
    from tallystick.protocol.ledger import Executed, Ledger
    from tallystick.protocol.pool import Pending
    from tallystick.protocol.records import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What has to be here before a block can be made or judged."""

    entry_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """A block that was made here, or made again: what it holds and what it does."""

    header: Header
    block_id: bytes
    taken: tuple[Pending, ...]
    executed: Executed

    @property
    def entry_ids(self) -> tuple[bytes, ...]:
        return tuple(pending.entry.id for pending in self.taken)


class EmptyBlockError(BlockError):
    """There is nothing to seal: no entry, and no tick is due."""

    def __init__(self) -> None:
        super().__init__(BlockReason.BAD_BODY, "nothing to seal")


class OtherResultError(BlockError):
    """The entries of a block are here, and do something else than its header says."""

    def __init__(self, made: Assembled, header: Header) -> None:
        super().__init__(BlockReason.BAD_BODY, f"it should be {_difference(made.header, header)}")
        self.made = made
        self.header = header


def node_keys(sealers: Sequence[Sealer]) -> tuple[bytes, ...]:
    """Node keys of sealers, in their order: what votes are counted by."""
    return tuple(row.node_key for row in sealers)


def assemble(ledger: Ledger, readys: Sequence[Ready], *, proposer: int, round_created: int) -> Assembled | Missing:
    """Make the next block from READYs, which are in the order of the sealers.

    Raises EmptyBlockError; BlockError where a READY's frontier cannot be read.
    """
    heads = [head for ready in readys for head in ready.heads()]
    time = block_time(ledger.head.time, readys)
    taken, unknown = ledger.select(heads, time)
    if unknown:
        return Missing(entry_ids=tuple(unknown))
    if not taken and not ledger.due_by(time):
        raise EmptyBlockError
    return _execute(ledger, taken, time, readys, proposer, round_created)


def judge(ledger: Ledger, body: ProposalBody) -> Assembled | Missing:
    """Make a proposed block again, and see whether it is the same.

    Raises BlockError: what `check_readys` raises; OtherResultError where another block comes of it.
    """
    header = body.header
    sealers = node_keys(ledger.sealers())
    _check_place(ledger, header)
    check_readys(header, body.readys, sealers, ledger.head.time)
    if header.proposer >= len(sealers) or header.proposer != (header.height + header.round_created) % len(sealers):
        raise BlockError(BlockReason.NOT_PROPOSER)
    made = assemble(ledger, body.readys, proposer=header.proposer, round_created=header.round_created)
    if isinstance(made, Assembled) and made.header != header:
        raise OtherResultError(made, header)
    return made


def block_checks(ledger: Ledger, block: Block) -> list[Check]:
    """The signatures of a sealed block that comes next. Raises BlockError: what `Block.checks` raises."""
    _check_place(ledger, block.header)
    return block.checks(node_keys(ledger.sealers()), ledger.head.time)


def check_signed(ledger: Ledger, block: Block) -> None:
    """Judge a sealed block that comes next by its votes and READYs alone, before anything else is looked at.

    Raises BlockError: what `block_checks` raises, BAD_SIGNATURE.
    """
    for check in block_checks(ledger, block):
        if not is_valid(check.key, check.message, check.signature):
            raise BlockError(BlockReason.BAD_SIGNATURE, "a vote or a READY in it does not hold")


def check_sealed(ledger: Ledger, block: Block, *, verified: bool = False) -> Assembled | Missing:
    """Judge a sealed block that comes next, by its votes and by what it does. `verified`: its signatures are known.

    Raises BlockError: what `block_checks` raises, BAD_SIGNATURE, not-in-order, BAD_BODY; OtherResultError where a
    quorum has sealed another result of these very entries.
    """
    # The entries come first: who seals block 1 is known from the founding entry alone.
    missing = tuple(entry_id for entry_id in block.entry_ids if entry_id not in ledger.pool.entries)
    if missing:
        return Missing(entry_ids=missing)
    if verified:
        block_checks(ledger, block)
    else:
        check_signed(ledger, block)
    header = block.header
    taken = ledger.in_order(block.entry_ids, header.time)
    if not taken and not ledger.due_by(header.time):
        raise EmptyBlockError
    made = _execute(ledger, taken, header.time, block.readys, header.proposer, header.round_created)
    if made.header != header:
        error = OtherResultError(made, header)
        # The ids of its entries are not signed: with others anything comes of it, and whoever sent them is to blame.
        raise error if _are_its_entries(ledger, block, made) else BlockError(error.reason, error.detail)
    return made


def _are_its_entries(ledger: Ledger, block: Block, made: Assembled) -> bool:
    """Whether these are surely the entries of a sealed block: its log says so, or the rule by which they are chosen."""
    if made.header.log_root == block.header.log_root:
        return True
    ledger.discard()
    chosen, unknown = ledger.select([head for ready in block.readys for head in ready.heads()], block.header.time)
    return not unknown and {row.entry.id for row in chosen} == set(block.entry_ids)


def _check_place(ledger: Ledger, header: Header) -> None:
    if header.ledger != ledger.id_at(header.height) or header.height != ledger.head.height + 1:
        raise BlockError(BlockReason.OTHER_HEIGHT, f"{header.height} after {ledger.head.height}")
    if header.prev_id != ledger.head.block_id:
        raise BlockError(BlockReason.OTHER_BRANCH, "it builds on another block")


def _execute(
    ledger: Ledger, taken: Sequence[Pending], time: int, readys: Sequence[Ready], proposer: int, round_created: int
) -> Assembled:
    sealers = node_keys(ledger.sealers())
    executed = ledger.execute(taken, time, tuple(ready.signer for ready in readys))
    header = Header(
        ledger=ledger.id_at(executed.height),
        height=executed.height,
        prev_id=ledger.head.block_id,
        time=time,
        proposer=proposer,
        round_created=round_created,
        readys_hash=readys_hash(readys, sealers),
        entry_count=len(taken),
        log_size=executed.log.size,
        log_root=executed.log_root,
        state_root=executed.state_root,
        sealers_hash=sealers_hash((row.member, row.node_key) for row in executed.sealers),
        sealers_next_hash=sealers_hash((row.member, row.node_key) for row in executed.sealers_next),
        charter_hash=executed.charter_digest,
        rules_version=executed.rules_version,
    )
    return Assembled(header=header, block_id=header.id(), taken=tuple(taken), executed=executed)


def _difference(made: Header, header: Header) -> str:
    """The first field in which two headers differ, in words."""
    for name in Header.__slots__:
        ours, theirs = getattr(made, name), getattr(header, name)
        if ours != theirs:
            shown = [value.hex()[:8] if isinstance(value, bytes) else str(value) for value in (ours, theirs)]
            return f"{name} {shown[0]}, and not {shown[1]}"
    return "the same"
