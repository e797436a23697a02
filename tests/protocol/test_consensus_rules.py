"""The rules R1 to R5 of one height, each by itself.

Height 12 with four sealers: round r is proposed by sealer r mod 4; a quorum are three, and two block.
"""

import pytest

from tallystick.protocol.ballot import STEP_PRECOMMIT, STEP_PREVOTE, STEP_PROPOSE, Precommit, Prevote
from tallystick.protocol.block import Certificate
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.sealing_effects import (
    Decide,
    Disagree,
    Forked,
    Judge,
    NeedBody,
    NeedPol,
    Persist,
    Verdict,
)
from tests.support.sealing import (
    HEIGHT,
    INVALID_ROOT,
    START_MS,
    Bench,
    frontier,
    give,
    of_type,
    only,
    opened,
    round_of,
    sent,
    settle,
)

HOUR = 3_600_000


class TestR1:
    """Decide."""

    def test_quorum_of_precommits_decides(self) -> None:
        """In any step; the certificate holds them in order."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body))
        effects = give(machine, *(bench.precommit(number, 0, body.block_id()) for number in (3, 0, 2)))
        (decision,) = of_type(effects, Decide)
        assert isinstance(decision, Decide)
        assert (decision.block_id, decision.body) == (body.block_id(), body)
        assert [index for index, _ in decision.certificate.votes] == [0, 2, 3]
        assert machine.decided == body.block_id()

    def test_two_of_four_do_not_decide(self) -> None:
        """Nor do precommits of different rounds, or for different blocks."""
        bench, machine = opened(None)
        body = bench.body(0)
        give(machine, bench.proposal(0, body))
        votes = [bench.precommit(0, 0, body.block_id()), bench.precommit(1, 0, body.block_id())]
        votes += [bench.precommit(2, 1, body.block_id()), bench.precommit(3, 0, bytes(32))]
        assert of_type(give(machine, *votes), Decide) == []

    def test_round_of_the_past_decides_too(self) -> None:
        """Votes may have been under way for long."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body))
        round_of(bench, machine, 5)
        effects = give(machine, *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        assert len(of_type(effects, Decide)) == 1

    def test_unknown_block_is_asked_for_and_decided_when_it_was_judged(self) -> None:
        """Votes alone are not enough: the block must be here and valid."""
        bench, machine = opened(1)
        body = bench.body(0)
        effects = give(machine, *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        assert of_type(effects, NeedBody) == [NeedBody(body.block_id())]
        (judge,) = machine.supply(body, START_MS)
        assert judge == Judge(body.block_id(), body)
        assert len(of_type(machine.judged(body.block_id(), Verdict.VALID, START_MS), Decide)) == 1

    def test_certificate_decides_in_any_state(self) -> None:
        """A CERT is always accepted, even before round 0."""
        bench = Bench(4)
        machine = bench.machine(1)
        body = bench.body(7)
        certificate = self.certificate(bench, body.block_id(), 9)
        assert machine.certificate(certificate, START_MS) == [NeedBody(body.block_id())]
        (decision,) = of_type(settle(machine, machine.supply(body, START_MS)), Decide)
        assert isinstance(decision, Decide)
        assert decision.certificate == certificate

    def test_certificate_of_another_height_or_of_too_few_is_refused(self) -> None:
        """And nothing is changed."""
        bench, machine = opened(1)
        good = self.certificate(bench, bytes(32), 0)
        few = Certificate(height=HEIGHT, round=0, block_id=bytes(32), votes=good.votes[:2])
        other = Certificate(height=HEIGHT + 1, round=0, block_id=bytes(32), votes=good.votes)
        for certificate, reason in ((few, BlockReason.TOO_FEW), (other, BlockReason.OTHER_HEIGHT)):
            with pytest.raises(BlockError) as error:
                machine.certificate(certificate, START_MS)
            assert error.value.reason == reason

    def test_nothing_is_signed_after_the_decision(self) -> None:
        """The height is over."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        assert machine.decided is not None
        late = give(machine, bench.prevote(3, 0, body.block_id()), *(bench.precommit(n, 4, None) for n in (2, 3)))
        assert late + machine.tick(START_MS + HOUR) + machine.wish(frontier((1, 9)), 9, START_MS) == []

    def test_second_certificate_for_another_block_is_the_fork_alarm(self) -> None:
        """Once; the same block again is none."""
        bench, machine = opened(None)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        assert machine.certificate(self.certificate(bench, body.block_id(), 0), START_MS) == []
        other = self.certificate(bench, bytes(32), 3)
        assert machine.certificate(other, START_MS) == [Forked(other)]
        assert machine.certificate(other, START_MS) == []

    def test_second_quorum_of_votes_is_the_fork_alarm(self) -> None:
        """Also where the certificate is put together here."""
        bench, machine = opened(None)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        effects = give(machine, *(bench.precommit(number, 3, bytes(32)) for number in (0, 2, 3)))
        (alarm,) = of_type(effects, Forked)
        assert isinstance(alarm, Forked)
        assert alarm.certificate.block_id == bytes(32)

    def test_sealed_block_that_is_invalid_here_stops_the_node(self) -> None:
        """A quorum computed something else: stop voting and say so, once."""
        bench, machine = opened(1)
        body = bench.body(0, root=INVALID_ROOT)
        effects = give(machine, bench.proposal(0, body))
        assert isinstance(only(effects), Prevote)
        effects = give(machine, *(bench.precommit(number, 0, body.block_id()) for number in (0, 2, 3)))
        (alarm,) = of_type(effects, Disagree)
        assert isinstance(alarm, Disagree)
        assert alarm.block_id == body.block_id()
        assert machine.muted
        assert sent(give(machine, *(bench.precommit(number, 5, None) for number in (0, 2)))) == []

    @staticmethod
    def certificate(bench: Bench, block_id: bytes, round_: int) -> Certificate:
        votes = tuple((number, bench.precommit(number, round_, block_id).signature) for number in (0, 2, 3))
        return Certificate(height=HEIGHT, round=round_, block_id=block_id, votes=votes)


class TestR2:
    """Skip."""

    def test_messages_of_two_sealers_take_along(self) -> None:
        """W of four are two: one of them is honest and really is there."""
        bench, machine = opened(1)
        give(machine, bench.prevote(0, 6, None))
        assert machine.round == 0
        give(machine, bench.precommit(0, 6, None), bench.prevote(0, 6, bytes(32)))
        assert machine.round == 0, "one sealer, whatever it sends"
        give(machine, bench.precommit(3, 6, None))
        assert (machine.round, machine.step) == (6, STEP_PROPOSE)

    def test_highest_round_is_taken(self) -> None:
        """All at once, without stopping in between."""
        bench, machine = opened(1)
        give(machine, bench.prevote(0, 3, None), bench.prevote(2, 7, None), bench.prevote(0, 7, None))
        assert machine.round == 7

    def test_proposal_counts_as_a_message(self) -> None:
        """Of its proposer."""
        bench, machine = opened(1)
        give(machine, bench.proposal(6, bench.body(6)), bench.prevote(3, 6, None))
        assert machine.round == 6

    def test_nobody_goes_back(self) -> None:
        """Messages of earlier rounds change the round never."""
        bench, machine = opened(1)
        round_of(bench, machine, 6)
        give(machine, *(bench.prevote(number, 3, None) for number in (0, 2, 3)))
        assert machine.round == 6

    def test_new_round_is_durable(self) -> None:
        """Before anything is signed in it."""
        bench, machine = opened(1)
        effects = give(machine, *(bench.precommit(number, 5, None) for number in (0, 2)))
        first = of_type(effects, Persist)[0]
        assert isinstance(first, Persist)
        assert first.message is None
        assert bench.machine(1, record=first.record).round == 5


class TestR3:
    """Vote on a new block."""

    def test_valid_block_is_voted_for(self) -> None:
        """As soon as it was judged, and for no reason but itself."""
        bench, machine = opened(1)
        body = bench.body(0)
        effects = machine.receive(bench.proposal(0, body), START_MS)
        assert of_type(effects, Judge) == [Judge(body.block_id(), body)]
        assert sent(effects) == []
        vote = only(machine.judged(body.block_id(), Verdict.VALID, START_MS))
        assert isinstance(vote, Prevote)
        assert (vote.round, vote.block_id, vote.jr) == (0, body.block_id(), -1)
        assert machine.step == STEP_PREVOTE

    def test_invalid_block_is_voted_against(self) -> None:
        """At once."""
        bench, machine = opened(1)
        vote = only(give(machine, bench.proposal(0, bench.body(0, root=INVALID_ROOT))))
        assert isinstance(vote, Prevote)
        assert vote.block_id is None

    @pytest.mark.parametrize(("ahead_ms", "is_timely"), [(600_000, True), (600_001, False)])
    def test_block_of_the_future_is_voted_against(self, ahead_ms: int, is_timely: bool) -> None:
        """More than ten minutes ahead of our clock."""
        bench, machine = opened(1)
        body = bench.body(0, readys=bench.readys(time=START_MS + ahead_ms))
        vote = only(give(machine, bench.proposal(0, body)))
        assert isinstance(vote, Prevote)
        assert vote.block_id == (body.block_id() if is_timely else None)

    def test_locked_sealer_votes_against_another_block(self) -> None:
        """It precommitted: only a newer quorum frees it."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.prevote(number, 0, body.block_id()) for number in (0, 2)))
        assert machine.step == STEP_PRECOMMIT
        round_of(bench, machine, 6)
        vote = only(give(machine, bench.proposal(6, bench.body(6))))
        assert isinstance(vote, Prevote)
        assert (vote.round, vote.block_id) == (6, None)

    def test_one_vote_in_a_round(self) -> None:
        """Two proposals of a cheating proposer get one vote; the first that can be judged."""
        bench, machine = opened(1)
        first, second = bench.body(0), bench.body(0, label=1)
        machine.receive(bench.proposal(0, first), START_MS)
        machine.receive(bench.proposal(0, second), START_MS)
        vote = only(machine.judged(second.block_id(), Verdict.VALID, START_MS))
        assert isinstance(vote, Prevote)
        assert vote.block_id == second.block_id()
        assert sent(machine.judged(first.block_id(), Verdict.VALID, START_MS)) == []


class TestR4:
    """Vote on a block that is proposed again."""

    def setup_method(self) -> None:
        self.bench, self.machine = opened(1)
        self.body = self.bench.body(0)
        self.block_id = self.body.block_id()
        self.reasons = [self.bench.prevote(number, 0, self.block_id) for number in (0, 2, 3)]

    def test_it_is_voted_for_with_its_reasons(self) -> None:
        """jr is the round of the reasons."""
        round_of(self.bench, self.machine, 2)
        proposal = self.bench.proposal(2, self.body, vr=0, prevotes=self.reasons)
        vote = only(give(self.machine, proposal))
        assert isinstance(vote, Prevote)
        assert (vote.round, vote.block_id, vote.jr) == (2, self.block_id, 0)

    def test_it_waits_for_its_reasons(self) -> None:
        """A quorum that nobody shows is none; it is asked for, and asked for again."""
        round_of(self.bench, self.machine, 2)
        effects = give(self.machine, self.bench.proposal(2, self.body, vr=0, prevotes=self.reasons[:2]))
        assert sent(effects) == []
        assert of_type(effects, NeedPol) == [NeedPol(0, self.block_id)]
        assert of_type(self.machine.tick(START_MS + 1), NeedPol) == [NeedPol(0, self.block_id)]
        assert of_type(self.machine.tick(START_MS + 2), NeedPol) == []
        assert of_type(self.machine.tick(START_MS + 10_001), NeedPol) == [NeedPol(0, self.block_id)]
        vote = only(give(self.machine, self.reasons[2]))
        assert isinstance(vote, Prevote)
        assert vote.block_id == self.block_id

    def test_newer_reason_frees_from_a_lock(self) -> None:
        """locked in 0 on another block; a quorum of round 2 for this one."""
        other = self.bench.body(0, label=1)
        give(self.machine, self.bench.proposal(0, other))
        give(self.machine, *(self.bench.prevote(number, 0, other.block_id()) for number in (0, 2)))
        assert self.machine.facts().locked == other.block_id()
        round_of(self.bench, self.machine, 3)
        fresh = self.bench.body(2)
        reasons = [self.bench.prevote(number, 2, fresh.block_id()) for number in (0, 2, 3)]
        vote = only(give(self.machine, self.bench.proposal(3, fresh, vr=2, prevotes=reasons)))
        assert isinstance(vote, Prevote)
        assert (vote.block_id, vote.jr) == (fresh.block_id(), 2)

    def test_older_reason_does_not(self) -> None:
        """A quorum from before the lock says nothing against it."""
        give(self.machine, self.bench.proposal(0, self.body))
        round_of(self.bench, self.machine, 2)
        locked = self.bench.body(2)
        give(self.machine, self.bench.proposal(2, locked))
        give(self.machine, *(self.bench.prevote(number, 2, locked.block_id()) for number in (0, 2)))
        assert self.machine.facts().locked == locked.block_id()
        round_of(self.bench, self.machine, 3)
        vote = only(give(self.machine, self.bench.proposal(3, self.body, vr=0, prevotes=self.reasons)))
        assert isinstance(vote, Prevote)
        assert vote.block_id is None

    def test_invalid_block_stays_invalid(self) -> None:
        """Whatever the quorum said."""
        body = self.bench.body(0, root=INVALID_ROOT)
        reasons = [self.bench.prevote(number, 0, body.block_id()) for number in (0, 2, 3)]
        round_of(self.bench, self.machine, 2)
        vote = only(give(self.machine, self.bench.proposal(2, body, vr=0, prevotes=reasons)))
        assert isinstance(vote, Prevote)
        assert vote.block_id is None


class TestR5:
    """A quorum of prevotes for a block."""

    def test_it_locks_and_precommits(self) -> None:
        """In one batch: the record that goes with the vote holds the lock, its prevotes and the block."""
        bench, machine = opened(1)
        body = bench.body(0)
        block_id = body.block_id()
        effects = give(machine, bench.proposal(0, body), *(bench.prevote(number, 0, block_id) for number in (0, 2)))
        vote = sent(effects)[-1]
        assert isinstance(vote, Precommit)
        assert (vote.round, vote.block_id) == (0, block_id)
        persist = of_type(effects, Persist)[-1]
        assert isinstance(persist, Persist)
        assert (persist.message, persist.guard) == (vote.wire(), (HEIGHT, 0, STEP_PRECOMMIT))
        again = bench.machine(1, record=persist.record, guard=persist.guard)
        assert again.facts().locked == block_id
        assert again.body(block_id) == body
        assert len(again.pol(0, block_id)) == 3

    def test_it_waits_for_the_block(self) -> None:
        """Nobody precommits what was not judged."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, *(bench.status(number) for number in (0, 2, 3)))
        machine.tick(START_MS + 10_000)
        effects = give(machine, *(bench.prevote(number, 0, body.block_id()) for number in (0, 2, 3)))
        assert of_type(effects, NeedBody) == [NeedBody(body.block_id())]
        assert sent(effects) == []
        vote = only(give(machine, bench.proposal(0, body)))
        assert isinstance(vote, Precommit)
        assert vote.block_id == body.block_id()

    def test_before_the_own_prevote_it_waits(self) -> None:
        """In step PROPOSE the round's prevotes change nothing yet."""
        bench, machine = opened(1)
        body = bench.body(0)
        assert sent(give(machine, *(bench.prevote(number, 0, body.block_id()) for number in (0, 2, 3)))) == []
        assert machine.step == STEP_PROPOSE

    def test_after_the_own_precommit_it_is_remembered_only(self) -> None:
        """valid, not locked: it is what we propose, and no vote binds us to it."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.prevote(number, 0, None) for number in (0, 2, 3)))
        assert machine.step == STEP_PRECOMMIT
        effects = give(machine, *(bench.prevote(number, 0, body.block_id()) for number in (0, 2)))
        assert sent(effects) == []
        (persist,) = of_type(effects, Persist)
        assert isinstance(persist, Persist) and persist.message is None
        assert machine.facts().locked is None
        give(machine, *(bench.precommit(number, 4, None) for number in (0, 2)))
        assert machine.round == 4
        effects = give(machine, *(bench.precommit(number, 5, None) for number in (0, 2)))
        proposal = sent(effects)[0]
        assert isinstance(proposal, Proposal)
        assert (proposal.block_id, proposal.vr) == (body.block_id(), 0)

    def test_unjustified_votes_make_no_quorum(self) -> None:
        """They count as heard, not as votes for the block; their reason is asked for."""
        bench, machine = opened(1)
        round_of(bench, machine, 2)
        body = bench.body(2)
        give(machine, bench.proposal(2, body))
        assert machine.step == STEP_PREVOTE
        effects = give(machine, *(bench.prevote(number, 2, body.block_id(), 1) for number in (0, 2, 3)))
        assert sent(effects) == []
        assert of_type(effects, NeedPol) == [NeedPol(1, body.block_id())]
        assert machine.facts().locked is None
