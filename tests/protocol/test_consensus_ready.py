"""READYs on demand, and who proposes which block.

Height 12 with four sealers: round r is proposed by sealer r mod 4; a quorum are three, and two block.
"""

import pytest

from tallystick.protocol.ballot import STEP_PREVOTE, Prevote
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing_effects import (
    Build,
    Decide,
    Keep,
    Persist,
    Send,
)
from tests.support.sealing import (
    HEIGHT,
    LEDGER,
    PREV_ID,
    START_MS,
    Bench,
    frontier,
    give,
    of_type,
    only,
    opened,
    sent,
)

HOUR = 3_600_000


class TestReady:
    """Rule 1: on demand."""

    def test_nothing_happens_by_itself(self) -> None:
        """A height sleeps until somebody wants it."""
        machine = Bench(4).machine(0)
        assert machine.start(START_MS) == []
        assert machine.wake is None
        assert machine.tick(START_MS + 10 * HOUR) == []

    def test_wish_signs_what_is_here(self) -> None:
        """Height, block before, own clock, frontier and count; it is durable before it is sent."""
        machine = Bench(4).machine(0)
        effects = machine.wish(frontier((0, 4), (1, 2)), 7, START_MS + 5)
        ready = only(effects)
        assert isinstance(ready, Ready)
        assert (ready.height, ready.prev_id, ready.time, ready.count) == (HEIGHT, PREV_ID, START_MS + 5, 7)
        assert ready.frontier == frontier((0, 4), (1, 2))
        assert [type(effect) for effect in effects] == [Persist, Send]
        assert machine.readys == {0: ready}

    def test_same_frontier_is_not_signed_again(self) -> None:
        """Whatever the time: it would say nothing new."""
        machine = Bench(4).machine(0)
        machine.wish(frontier((0, 1)), 1, START_MS)
        assert machine.wish(frontier((0, 1)), 1, START_MS + HOUR) == []

    def test_grown_frontier_is_signed_ten_seconds_later(self) -> None:
        """Not sooner, by itself, and with a larger clock."""
        machine = Bench(4).machine(0)
        machine.wish(frontier((0, 1)), 1, START_MS)
        assert sent(machine.wish(frontier((0, 2)), 2, START_MS + 4_000)) == []
        assert sent(machine.tick(START_MS + 9_999)) == []
        assert machine.wake == START_MS + 10_000
        ready = only(machine.tick(START_MS + 10_000))
        assert isinstance(ready, Ready)
        assert (ready.time, ready.count) == (START_MS + 10_000, 2)

    def test_clock_of_readys_grows_even_if_the_clock_does_not(self) -> None:
        """Set back by an hour, a node goes on from its last READY."""
        machine = Bench(4).machine(0)
        machine.wish(frontier((0, 1)), 1, START_MS)
        ready = only(machine.wish(frontier((0, 2)), 2, START_MS - HOUR))
        assert isinstance(ready, Ready)
        assert ready.time == START_MS + 1

    def test_only_the_newest_ready_is_kept(self) -> None:
        """Strictly larger clock; an older or equal one is not even stored."""
        bench = Bench(4)
        machine = bench.machine(0)
        new = bench.ready(1, time=START_MS + 20_000, seq=2)
        assert of_type(give(machine, new), Keep) == [Keep(new.wire())]
        for old in (bench.ready(1), bench.ready(1, time=START_MS + 20_000, seq=3)):
            assert not machine.wants(old)
            assert give(machine, old) == []
        assert machine.readys[1] == new

    def test_somebody_elses_ready_asks_for_ours(self) -> None:
        """Whoever sees READY(h) reports too."""
        bench = Bench(4)
        machine = bench.machine(0)
        wanted = [machine.wants_ready]
        give(machine, bench.ready(2))
        wanted.append(machine.wants_ready)
        machine.wish(frontier((0, 0)), 1, START_MS)
        wanted.append(machine.wants_ready)
        assert wanted == [False, True, False]

    def test_clock_that_is_far_off_signs_no_ready(self) -> None:
        """More than ten minutes from the middle of the others; it is shown, and made good when the clock is."""
        bench = Bench(4)
        machine = bench.machine(0)
        give(machine, *(bench.status(number, now=START_MS + 600_001) for number in (1, 2, 3)))
        assert sent(machine.wish(frontier((0, 1)), 1, START_MS)) == []
        assert machine.facts().skew_ms == 600_001
        assert machine.readys == {}
        give(machine, *(bench.status(number, now=START_MS + 600_002) for number in (1, 2, 3)), now=START_MS + 500_000)
        assert isinstance(only(machine.tick(START_MS + 500_000)), Ready)

    def test_one_wrong_clock_of_others_does_not_matter(self) -> None:
        """The middle counts; and what was stored says nothing about a clock."""
        bench = Bench(4)
        machine = bench.machine(0)
        give(machine, bench.status(1, now=START_MS + HOUR), bench.status(2), bench.status(3))
        give(machine, *(bench.status(number, now=START_MS + HOUR) for number in (2, 3)), fresh=False)
        assert isinstance(only(machine.wish(frontier((0, 1)), 1, START_MS)), Ready)

    @pytest.mark.parametrize(("count", "enough"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (7, 5)])
    def test_round_0_begins_with_readys_of_a_quorum(self, count: int, enough: int) -> None:
        """Not with one less."""
        bench = Bench(count)
        machine = bench.machine(None)
        for number in range(enough):
            assert machine.round == -1
            give(machine, bench.ready(number))
        assert machine.round == 0

    def test_round_0_begins_with_a_proposal(self) -> None:
        """It carries the READYs that it is made of."""
        bench = Bench(4)
        machine = bench.machine(1)
        effects = give(machine, bench.proposal(0, bench.body(0)))
        assert machine.round == 0
        assert len(machine.readys) == 4
        assert isinstance(only(effects), Prevote)


class TestProposing:
    """Whose turn it is, and with what."""

    def test_proposer_builds_from_every_ready_it_holds(self) -> None:
        """When round 0 begins, and again when another READY comes before it has proposed."""
        bench = Bench(4)
        machine = bench.machine(0)
        machine.wish(frontier((0, 0)), 1, START_MS)
        effects = give(machine, bench.ready(1), bench.ready(2))
        (build,) = of_type(effects, Build)
        assert isinstance(build, Build)
        assert (build.round, [ready.signer for ready in build.readys]) == (0, list(bench.keys[:3]))
        (again,) = of_type(give(machine, bench.ready(3)), Build)
        assert isinstance(again, Build)
        assert len(again.readys) == 4

    def test_others_do_not_build(self) -> None:
        """There is one proposer."""
        bench = Bench(4)
        machine = bench.machine(2)
        assert of_type(give(machine, *bench.readys((0, 1, 3))), Build) == []

    def test_built_block_is_proposed_and_voted_for(self) -> None:
        """Proposal and prevote, each durable before it leaves, in that order."""
        bench, machine = opened(0)
        effects = machine.built(0, bench.body(0), START_MS)
        proposal, prevote = sent(effects)
        assert isinstance(proposal, Proposal) and proposal.vr == -1 and proposal.body is not None
        assert isinstance(prevote, Prevote) and prevote.block_id == proposal.block_id
        assert [type(effect) for effect in effects] == [Persist, Send, Persist, Send]
        assert machine.guard == (HEIGHT, 0, STEP_PREVOTE)

    def test_block_may_come_later_or_never(self) -> None:
        """Entries may be missing. What comes after the time is up is not proposed any more."""
        bench, machine = opened(0)
        assert machine.built(0, None, START_MS) == []
        give(machine, *(bench.status(number) for number in (1, 2, 3)))
        assert isinstance(only(machine.tick(START_MS + 10_000)), Prevote)
        assert machine.built(0, bench.body(0), START_MS + 10_001) == []

    def test_second_block_of_a_round_is_not_proposed(self) -> None:
        """One proposal in a round: two would be evidence."""
        bench, machine = opened(0)
        machine.built(0, bench.body(0), START_MS)
        assert machine.built(0, bench.body(0, label=1), START_MS) == []

    def test_block_for_another_round_is_not_proposed(self) -> None:
        """It was built too late, or by somebody who is confused."""
        bench, machine = opened(0)
        assert machine.built(4, bench.body(4), START_MS) == []
        with pytest.raises(BlockError) as error:
            machine.built(0, bench.body(4), START_MS)
        assert error.value.reason == BlockReason.BAD_BODY

    def test_valid_block_is_proposed_again(self) -> None:
        """With its round, and with the prevotes that are the reason."""
        bench, machine = opened(1)
        body = bench.body(0)
        block_id = body.block_id()
        give(machine, bench.proposal(0, body), *(bench.prevote(number, 0, block_id) for number in (0, 2)))
        assert machine.facts().locked == block_id
        give(machine, *(bench.precommit(number, 0, None) for number in (0, 2)))
        give(machine, *(bench.status(number) for number in (0, 2, 3)))
        effects = machine.tick(START_MS + 5_000)
        assert machine.round == 1
        proposal, prevote = sent(effects)
        assert isinstance(proposal, Proposal) and (proposal.round, proposal.vr) == (1, 0)
        assert proposal.block_id == block_id and proposal.body is not None
        assert {vote.signer for vote in proposal.body.prevotes} == {bench.keys[number] for number in (0, 1, 2)}
        assert isinstance(prevote, Prevote) and (prevote.block_id, prevote.jr) == (block_id, 0)
        assert of_type(effects, Build) == []

    def test_sole_sealer_decides_at_once(self) -> None:
        """No timer, no other: wish, build, decided."""
        bench = Bench(1)
        machine = bench.machine(0)
        effects = machine.start(START_MS) + machine.wish(frontier((0, 0)), 1, START_MS)
        (build,) = of_type(effects, Build)
        assert isinstance(build, Build)
        body = bench.body(0, readys=build.readys)
        effects = machine.built(0, body, START_MS)
        (decision,) = of_type(effects, Decide)
        assert isinstance(decision, Decide)
        assert decision.block_id == body.block_id() == machine.decided
        assert len(decision.certificate.checks(LEDGER, bench.keys)) == 1
        assert machine.wake is None

    @pytest.mark.parametrize("count", [2, 3, 4, 7])
    def test_proposer_turns_with_height_and_round(self, count: int) -> None:
        """V[(h + r) mod n]."""
        bench = Bench(count, height=9)
        machine = bench.machine(None)
        assert [machine.setting.proposer(round_) for round_ in range(8)] == [(9 + each) % count for each in range(8)]
