"""All messages of one height that a node keeps, and how many: READYs, proposals with their bodies, votes, STATUS.

Whatever arrives is bounded by who sent it: a sealer that floods displaces only what it sent itself. Here nothing is
decided; the rules are in `rounds`.

Source: docs/spec/finality.md#limits
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from tallystick.protocol.ballot import STEP_PROPOSE, Precommit, Prevote
from tallystick.protocol.errors import BlockError
from tallystick.protocol.evidence import Vote, contradiction
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.proposals import Proposals
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Sealing, Status
from tallystick.protocol.sealing_effects import Accuse, Effect, Mute, NeedBody, NeedPol
from tallystick.protocol.setting import Setting
from tallystick.protocol.votes import ROUNDS_AHEAD_MAX, ROUNDS_BEHIND_MAX, Votes

BODIES_BEHIND: Final = 8
"""Rounds behind whose valid blocks are kept: votes that decide one of them may still be on their way."""
POLKAS_MAX: Final = 16
"""Rounds far behind in which a quorum formed that are kept, the newest."""


class Docket:
    """The messages of one height, as far as they are kept. `Rounds` sets `round`, `locked`, `valid` and `asked`."""

    def __init__(self, setting: Setting, me: int | None) -> None:
        self.setting = setting
        self.me = me
        self.readys: dict[int, Ready] = {}
        """The newest READY of each sealer, by index."""
        self.votes = Votes(setting.quorum)
        self.proposals = Proposals()
        self.statuses: dict[int, Status] = {}
        """The newest STATUS of each sealer."""
        self.accused: set[int] = set()

        self.round = -1
        self.locked: tuple[int, bytes | None] = (-1, None)
        """(round, block) that our precommit binds us to."""
        self.valid: tuple[int, bytes | None] = (-1, None)
        """(round, block) of the newest quorum of prevotes for a valid block."""
        self.asked: set[NeedBody | NeedPol] = set()
        """What others were asked for."""
        self.certified: bytes | None = None
        """A block that a certificate names."""
        self._ahead: dict[int, set[int]] = {}
        """Rounds beyond the next one that are kept of each sealer."""
        self._still: dict[int, int] = {}
        """How often in a row the STATUS of a sealer was the same."""

    # -- taking --------------------------------------------------------------------------------------------------------

    def wants(self, message: Sealing) -> bool:
        """Whether a message would be kept."""
        try:
            index = self.setting.check(message)
        except BlockError:
            return False
        match message:
            case Ready():
                return self._is_newer(index, message)
            case Status():
                return self._is_later(index, message)
            case Proposal():
                if self.proposals.has(message):
                    return self._completes(message)
                return self.proposals.has_room(message) and self._is_within(index, message.round)
            case Prevote() | Precommit():
                return not self.votes.has(index, message) and self._may_add(index, message)

    def _completes(self, proposal: Proposal) -> bool:
        """Whether a proposal that is known brings the body or the reasons that it came without."""
        return proposal.body is not None and (
            proposal.block_id not in self.proposals.bodies
            or (proposal.vr >= 0 and not self.votes.has_polka(proposal.vr, proposal.block_id))
        )

    def take(self, index: int, message: Sealing, out: list[Effect]) -> bool:
        """Keep a message of a sealer; False where it is known or there is no room. Accusations go to `out`."""
        match message:
            case Ready():
                added = self._take_ready(index, message)
            case Proposal():
                added = self._take_proposal(index, message, out)
            case Prevote() | Precommit():
                added = self._take_vote(index, message, self._may_add(index, message), out)
            case Status():
                return self._take_status(index, message)
        if added and not isinstance(message, Ready):
            # What is new here may be what those lack that stand still. Of READYs a STATUS says who lacks which.
            self._still.clear()
        return added

    def _take_ready(self, index: int, ready: Ready) -> bool:
        if not self._is_newer(index, ready):
            return False
        self.readys[index] = ready
        return True

    def _is_newer(self, index: int, ready: Ready) -> bool:
        known = self.readys.get(index)
        return known is None or ready.time > known.time

    def _is_later(self, index: int, status: Status) -> bool:
        known = self.statuses.get(index)
        return known is None or status.now > known.now

    def _take_status(self, index: int, status: Status) -> bool:
        if not self._is_later(index, status):
            return False
        known = self.statuses.get(index)
        stands = known is not None and _place_of(known) == _place_of(status)
        self._still[index] = self._still.get(index, 0) + 1 if stands else 0
        self.statuses[index] = status
        return True

    def _take_proposal(self, index: int, proposal: Proposal, out: list[Effect]) -> bool:
        added = False
        if self.proposals.has(proposal):
            if not self._completes(proposal):
                return False
        else:
            if not self.proposals.has_room(proposal) or not self._is_within(index, proposal.round):
                return False
            self._admit(index, proposal.round)
            self._examine(index, proposal, self.proposals.of(proposal.round), out)
            added = self.proposals.add(proposal)
        body = proposal.body
        if body is None:
            return added
        for ready in body.readys:
            added |= self._take_ready(self.setting.sealers.index(ready.signer), ready)
        for vote in sorted(body.prevotes, key=lambda vote: vote.round):
            other = self.setting.sealers.index(vote.signer)
            added |= self._take_vote(other, vote, self._is_reason(other, vote) or self._may_add(other, vote), out)
        if proposal.block_id in self.wanted_ids():
            added |= self.proposals.add_body(proposal.block_id, body)
            # From far ahead only the newest of each sealer stays.
            self.proposals.drop_bodies(self.wanted_ids())
        return added

    def _may_add(self, index: int, vote: Prevote | Precommit) -> bool:
        if self.votes.has_room(index, vote) and self._is_within(index, vote.round):
            return True
        return (
            isinstance(vote, Prevote)
            and any(need.block_id == vote.block_id and need.round >= vote.round for need in self.asked_reasons())
            and self._is_reason(index, vote)
        )

    def _is_reason(self, index: int, vote: Prevote) -> bool:
        """Whether a prevote for which there is no room completes a quorum all the same.

        Its sealer may have sent us four others first. One that counts is enough, and what does not count is none, so
        nobody can fill the memory this way.
        """
        return (
            vote.round <= self.round + 1
            and self.votes.is_justified(vote)
            and not self.votes.is_counted(index, vote.round, vote.block_id)
        )

    def asked_reasons(self) -> list[NeedPol]:
        """The quorums that others were asked for."""
        return [need for need in self.asked if isinstance(need, NeedPol)]

    def _take_vote(self, index: int, vote: Prevote | Precommit, allowed: bool, out: list[Effect]) -> bool:
        if not allowed or self.votes.has(index, vote):
            return False
        self._admit(index, vote.round)
        self._examine(index, vote, self.votes.of(index), out)
        return self.votes.add(index, vote)

    def _examine(self, index: int, vote: Vote, others: Iterable[Vote], out: list[Effect]) -> None:
        """Look whether a new vote contradicts the others of its sealer, and whether it is ours without our knowing."""
        if index == self.me:
            # What is long past may have been forgotten here.
            if vote.round >= self.round - ROUNDS_BEHIND_MAX:
                out.append(Mute(vote.wire()))
        elif index not in self.accused:
            evidence = next((proof for other in others if (proof := contradiction(other, vote))), None)
            if evidence is not None:
                self.accused.add(index)
                out.append(Accuse(evidence))

    # -- bounds --------------------------------------------------------------------------------------------------------

    def _is_within(self, index: int, round_: int) -> bool:
        """Whether a message of this round is kept. A sealer that sends from far ahead displaces only its own."""
        if round_ <= self.round + 1:
            return round_ >= self.round - ROUNDS_BEHIND_MAX or round_ in self.votes.rounds()
        ahead = self._ahead.get(index, set())
        return round_ in ahead or len(ahead) < ROUNDS_AHEAD_MAX or round_ > min(ahead)

    def _admit(self, index: int, round_: int) -> None:
        if round_ <= self.round + 1:
            return
        ahead = self._ahead.setdefault(index, set())
        ahead.add(round_)
        if len(ahead) > ROUNDS_AHEAD_MAX:
            lowest = min(ahead)
            ahead.remove(lowest)
            self.votes.forget(index, lowest)
            if self.setting.proposer(lowest) == index:
                self.proposals.by_round.pop(lowest, None)

    def wanted_ids(self) -> set[bytes]:
        """Blocks whose bodies are kept: what a rule may ask for now or in the next round."""
        ids = self.proposals.ids((self.round, self.round + 1))
        behind = self.proposals.ids(range(self.round - BODIES_BEHIND, self.round))
        ids |= {each for each in behind if self.proposals.is_valid(each)}
        ids |= {each for each in (self.locked[1], self.valid[1], self.certified) if each is not None}
        ids |= self.votes.committed.keys() | set(self.votes.polkas(self.round))
        ids |= {need.block_id for need in self.asked}
        for index, ahead in self._ahead.items():
            # Of each sealer's proposals from further ahead the newest: who jumps there has its body at once.
            own = [each for each in ahead if self.setting.proposer(each) == index and self.proposals.of(each)]
            if own:
                ids.add(self.proposals.of(max(own))[0].block_id)
        return ids

    def prune(self) -> None:
        """Drop what no rule will ask for, at the start of a round."""
        floor = self.round - ROUNDS_BEHIND_MAX
        pinned = set(self.votes.committed.values()) | {vote.round for vote in self.reasons()}
        pinned |= {round_ for round_, block_id in (self.locked, self.valid) if block_id is not None}
        behind = sorted(each for each in self.votes.prevotes if each < floor and self.votes.polkas(each))
        pinned.update(behind[-POLKAS_MAX:])
        for ahead in self._ahead.values():
            ahead.difference_update([each for each in ahead if each <= self.round + 1])
        self.votes.prune(lambda each: each >= floor or each in pinned)
        self.proposals.prune(lambda each: each >= floor or each in pinned, self.wanted_ids())

    # -- handing out ---------------------------------------------------------------------------------------------------

    def reasons(self) -> list[Prevote]:
        """The prevotes that justify the lock and the valid block."""
        votes = {
            (vote.signer, vote.payload): vote
            for round_, block_id in {self.locked, self.valid}
            if block_id is not None
            for vote in self.votes.proof(round_, block_id)
        }
        return [votes[key] for key in sorted(votes)]

    def own_votes(self) -> list[Vote]:
        """All that our key has signed in slots, as far as it is kept."""
        if self.me is None:
            return []
        rounds = [each for each in sorted(self.proposals.by_round) if self.setting.proposer(each) == self.me]
        return [*(proposal for each in rounds for proposal in self.proposals.of(each)), *self.votes.of(self.me)]

    def full(self, vote: Vote) -> Vote:
        """A proposal with its body and the reasons for it, as its proposer sent it; anything else as it is."""
        if not isinstance(vote, Proposal) or vote.block_id not in self.proposals.bodies:
            return vote
        prevotes = tuple(self.votes.proof(vote.vr, vote.block_id)) if vote.vr >= 0 else ()
        return replace(vote, body=replace(self.proposals.bodies[vote.block_id], prevotes=prevotes))

    def messages(self) -> list[bytes]:
        """Everything that a partner may lack: READYs, proposals whose bodies are here, then votes by round."""
        out = [self.readys[index].wire() for index in sorted(self.readys)]
        for round_ in sorted(self.proposals.by_round):
            rows = [each for each in self.proposals.of(round_) if each.block_id in self.proposals.bodies]
            out += [self.full(proposal).wire() for proposal in rows]
        for round_ in sorted(self.votes.rounds()):
            out += self._votes_of(round_, 0, 0)
        return out

    def answer(self, status: Status) -> list[bytes]:
        """What the sender of a STATUS seems to lack.

        A sealer that stands still gets everything, but ever more rarely: what it lacks may not show in its STATUS.
        """
        index = self.setting.check(status)
        still = self._still.get(index, 0)
        if index == self.me:
            return []
        if still and still & (still - 1) == 0:
            return self.messages()
        if status.round > self.round:
            return []
        out: list[bytes] = []
        if status.round < 0:
            missing = [other for other in sorted(self.readys) if other != index and not status.prevotes >> other & 1]
            out += [self.readys[other].wire() for other in missing]
        if self.round < 0:
            return out
        if status.round < self.round or status.step == STEP_PROPOSE:
            out += [self.full(proposal).wire() for proposal in self.proposals.of(self.round)]
        if status.round < self.round:
            return out + self._votes_of(self.round, 0, 0)
        return out + self._votes_of(self.round, status.prevotes, status.precommits)

    def _votes_of(self, round_: int, prevotes: int, precommits: int) -> list[bytes]:
        """The votes of a round but for those of sealers whose bits are set."""
        out = []
        for index, row in sorted(self.votes.prevotes.get(round_, {}).items()):
            if not prevotes >> index & 1:
                out += [vote.wire() for vote in row]
        for index, votes in sorted(self.votes.precommits.get(round_, {}).items()):
            if not precommits >> index & 1:
                out += [vote.wire() for vote in votes]
        return out


def _place_of(status: Status) -> tuple[int, int, int, int]:
    return status.round, status.step, status.prevotes, status.precommits
