"""What is fixed about a height before its first message: the ledger, the block before, who seals and in which order.

A message is checked against it before it is used. What fails here is for something else, or was put together by
somebody who does not keep the rules.

Source: docs/spec/finality.md#messages
"""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.protocol.block import check_readys
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal, ProposalBody
from tallystick.protocol.quorum import blocking, quorum
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Sealing


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One height of one ledger."""

    ledger: bytes
    height: int
    prev_id: bytes
    prev_time: int
    sealers: tuple[bytes, ...]
    """Node keys, in the order of enrolment."""

    @property
    def quorum(self) -> int:
        """Q: so many decide."""
        return quorum(len(self.sealers))

    @property
    def blocking(self) -> int:
        """W: any so many meet every quorum."""
        return blocking(len(self.sealers))

    def proposer(self, round_: int) -> int:
        """Index of the sealer who proposes in a round."""
        return (self.height + round_) % len(self.sealers)

    def check(self, message: Sealing) -> int:
        """Return the index of the sealer who sent a message. Signatures are not checked.

        Raises BlockError: WRONG_LEDGER, OTHER_HEIGHT, NOT_A_SEALER, OTHER_BRANCH, NOT_PROPOSER, then what
        `check_body` raises.
        """
        if message.ledger != self.ledger:
            raise BlockError(BlockReason.WRONG_LEDGER)
        if message.height != self.height:
            raise BlockError(BlockReason.OTHER_HEIGHT, str(message.height))
        if message.signer not in self.sealers:
            raise BlockError(BlockReason.NOT_A_SEALER, message.signer.hex()[:8])
        index = self.sealers.index(message.signer)
        if isinstance(message, Ready) and message.prev_id != self.prev_id:
            raise BlockError(BlockReason.OTHER_BRANCH, "a READY on another block")
        if isinstance(message, Proposal):
            if index != self.proposer(message.round):
                raise BlockError(BlockReason.NOT_PROPOSER, f"of round {message.round}")
            if message.body is not None:
                self._check_proposed(message, message.body)
        return index

    def _check_proposed(self, proposal: Proposal, body: ProposalBody) -> None:
        made = body.header.round_created
        # A new block is made in its round. One that is proposed again is older than the votes it got.
        if made != proposal.round if proposal.vr < 0 else made > proposal.vr:
            raise BlockError(BlockReason.BAD_BODY, f"made in round {made}")
        for vote in body.prevotes:
            if vote.signer not in self.sealers:
                raise BlockError(BlockReason.NOT_A_SEALER, vote.signer.hex()[:8])
        self.check_body(body)

    def check_body(self, body: ProposalBody) -> None:
        """Whether a block belongs here, as far as can be told without executing it.

        Raises BlockError: WRONG_LEDGER, OTHER_HEIGHT, OTHER_BRANCH, NOT_PROPOSER, then what `check_readys` raises.
        """
        header = body.header
        if header.ledger != self.ledger:
            raise BlockError(BlockReason.WRONG_LEDGER)
        if header.height != self.height:
            raise BlockError(BlockReason.OTHER_HEIGHT, str(header.height))
        if header.prev_id != self.prev_id:
            raise BlockError(BlockReason.OTHER_BRANCH, "a block on another block")
        if header.proposer != self.proposer(header.round_created):
            raise BlockError(BlockReason.NOT_PROPOSER, f"of round {header.round_created}")
        check_readys(header, body.readys, self.sealers, self.prev_time)
