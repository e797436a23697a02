"""The proposals of one height, the bodies of the proposed blocks, and the verdicts on them.

A body belongs to a block and not to a proposal: a block that is proposed again is the same one. Bodies may be large, so
only those are kept that a rule may still ask for.

Source: docs/spec/finality.md#proposal
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tallystick.protocol.proposal import Proposal, ProposalBody
from tallystick.protocol.sealing_effects import Verdict

PROPOSALS_MAX: Final = 4
"""Different proposals in one round. An honest proposer makes one."""


class Proposals:
    """Proposals by round, in the order in which they came; bodies and verdicts by block id."""

    def __init__(self) -> None:
        self.by_round: dict[int, list[Proposal]] = {}
        """Without their bodies."""
        self.bodies: dict[bytes, ProposalBody] = {}
        """Without prevotes: those are among the votes."""
        self.verdicts: dict[bytes, Verdict] = {}

    def of(self, round_: int) -> list[Proposal]:
        """The proposals of a round."""
        return self.by_round.get(round_, [])

    def has(self, proposal: Proposal) -> bool:
        """Whether this proposal is here, with or without its body."""
        return any(other.payload == proposal.payload for other in self.of(proposal.round))

    def has_room(self, proposal: Proposal) -> bool:
        """Whether another proposal of this round may be kept."""
        return len(self.of(proposal.round)) < PROPOSALS_MAX

    def add(self, proposal: Proposal) -> bool:
        """Keep a proposal, without its body; False where it is here already."""
        if self.has(proposal):
            return False
        self.by_round.setdefault(proposal.round, []).append(proposal.without_body())
        return True

    def add_body(self, block_id: bytes, body: ProposalBody) -> bool:
        """Keep the body of a block; False where it is here already."""
        if block_id in self.bodies:
            return False
        self.bodies[block_id] = body.bare()
        return True

    def is_valid(self, block_id: bytes) -> bool:
        """Whether a block is known and was judged valid."""
        return self.verdicts.get(block_id) is Verdict.VALID

    def ids(self, rounds: Iterable[int]) -> set[bytes]:
        """The blocks proposed in these rounds."""
        return {proposal.block_id for round_ in rounds for proposal in self.of(round_)}

    def prune(self, is_wanted: Callable[[int], bool], ids: set[bytes]) -> None:
        """Drop the rounds that nobody needs any more, and all bodies but these."""
        for round_ in [each for each in self.by_round if not is_wanted(each)]:
            del self.by_round[round_]
        self.drop_bodies(ids)

    def drop_bodies(self, ids: set[bytes]) -> None:
        """Drop all bodies but these, and their verdicts."""
        for block_id in [each for each in self.bodies if each not in ids]:
            del self.bodies[block_id]
            self.verdicts.pop(block_id, None)
