"""R6 to R8, T1 to T3, what time means, and STATUS.

Height 12 with four sealers: round r is proposed by sealer r mod 4; a quorum are three, and two block.
"""

import pytest

from tallystick.protocol.ballot import STEP_PREVOTE, STEP_PROPOSE, Precommit, Prevote
from tallystick.protocol.sealing import Status, read_sealing_untrusted
from tallystick.protocol.sealing_effects import (
    Decide,
    Send,
    Times,
)
from tests.support.sealing import (
    INVALID_ROOT,
    START_MS,
    Bench,
    give,
    of_type,
    only,
    opened,
    round_of,
    sent,
)

HOUR = 3_600_000


class TestR6AndTimers:
    """Votes for no block, and what time does."""

    def setup_method(self) -> None:
        self.bench, self.machine = opened(1)
        give(self.machine, *(self.bench.status(number) for number in (0, 2, 3)))

    def test_quorum_for_no_block_precommits_none(self) -> None:
        """R6: at once."""
        vote = only(give(self.machine, self.bench.proposal(0, self.bench.body(0, root=INVALID_ROOT))))
        assert isinstance(vote, Prevote)
        vote = only(give(self.machine, *(self.bench.prevote(number, 0, None) for number in (0, 2))))
        assert isinstance(vote, Precommit)
        assert vote.block_id is None
        assert self.machine.facts().locked is None

    def test_t1_no_proposal(self) -> None:
        """Ten seconds in round 0: a vote for no block."""
        assert self.machine.wake is not None
        assert sent(self.machine.tick(START_MS + 9_999)) == []
        vote = only(self.machine.tick(START_MS + 10_000))
        assert isinstance(vote, Prevote)
        assert (vote.block_id, vote.jr) == (None, -1)

    def test_r7_and_t2_votes_that_do_not_agree(self) -> None:
        """A quorum has voted: the others have five seconds more."""
        give(self.machine, self.bench.proposal(0, self.bench.body(0)))
        give(self.machine, self.bench.prevote(0, 0, None))
        assert sent(self.machine.tick(START_MS + 8_000)) == [], "two are no quorum"
        give(self.machine, self.bench.prevote(2, 0, bytes(32)), now=START_MS + 8_000)
        assert sent(self.machine.tick(START_MS + 12_999)) == []
        vote = only(self.machine.tick(START_MS + 13_000))
        assert isinstance(vote, Precommit)
        assert vote.block_id is None

    def test_r8_and_t3_precommits_that_do_not_agree(self) -> None:
        """From any step: five seconds after a quorum has precommitted the next round begins."""
        give(self.machine, *(self.bench.precommit(number, 0, None) for number in (0, 2, 3)))
        assert self.machine.step == STEP_PROPOSE
        self.machine.tick(START_MS + 4_999)
        assert self.machine.round == 0
        self.machine.tick(START_MS + 5_000)
        assert (self.machine.round, self.machine.step) == (1, STEP_PROPOSE)

    @pytest.mark.parametrize(("round_", "wait_ms"), [(2, 20_000), (10, 60_000), (30, 120_000)])
    def test_later_rounds_wait_longer(self, round_: int, wait_ms: int) -> None:
        """Ten seconds and five for each round, at most two minutes."""
        round_of(self.bench, self.machine, round_)
        for step in range(0, wait_ms, 10_000):
            give(self.machine, *(self.bench.status(n, now=START_MS + step + 1) for n in (0, 2, 3)), now=START_MS + step)
            assert sent(self.machine.tick(START_MS + step)) == []
        assert sent(self.machine.tick(START_MS + wait_ms - 1)) == []
        assert isinstance(only(self.machine.tick(START_MS + wait_ms)), Prevote)

    def test_alone_only_patience_counts(self) -> None:
        """Rule 4: nobody there, so the round waits for twelve hours."""
        bench = Bench(4)
        machine = bench.machine(1)
        give(machine, *bench.readys((0, 2, 3)), fresh=False)
        assert sent(machine.tick(START_MS + 12 * HOUR - 1)) == []
        assert isinstance(only(machine.tick(START_MS + 12 * HOUR)), Prevote)

    @pytest.mark.parametrize(("round_", "hours"), [(0, 12), (1, 24), (5, 72), (9, 72)])
    def test_patience_grows_to_three_days(self, round_: int, hours: int) -> None:
        """12 h x (round + 1), at most 72 h."""
        assert Times().patience(round_) == hours * HOUR

    def test_messages_from_a_stick_do_not_start_timers(self) -> None:
        """They prove nobody's presence: whoever carried them may be alone."""
        bench = Bench(4)
        machine = bench.machine(1)
        give(machine, *bench.readys((0, 2, 3)), fresh=False)
        assert machine.round == 0
        machine.tick(START_MS + 60_000)
        assert machine.step == STEP_PROPOSE
        assert not any(fact.present for fact in machine.facts().sealers if fact.key != bench.keys[1])

    def test_repeated_messages_prove_no_presence(self) -> None:
        """Neither a STATUS of before nor a vote that is known: anybody can send them again."""
        bench = Bench(4)
        machine = bench.machine(1)
        give(machine, *bench.readys((0, 2, 3), time=START_MS - 1), fresh=False)
        statuses = [bench.status(number) for number in (0, 2, 3)]
        give(machine, *statuses, *bench.readys((0, 2, 3)), now=START_MS + 60_000)
        before = machine._presence.live
        give(machine, *statuses, *bench.readys((0, 2, 3)), now=START_MS + 95_000)
        machine.tick(START_MS + 120_000)
        assert machine._presence.live - before == 30_000

    def test_own_words_from_elsewhere_are_no_second_presence(self) -> None:
        """What comes back from others is not somebody else."""
        bench = Bench(4)
        machine = bench.machine(1)
        give(machine, *bench.readys((0, 2, 3)), fresh=False)
        give(machine, *(bench.status(number, now=START_MS + 1) for number in (1, 2)), now=START_MS + 60_000)
        machine.tick(START_MS + 80_000)
        assert machine.step == STEP_PROPOSE


class TestStatus:
    """STATUS, and what it is answered with."""

    def test_every_ten_seconds_while_something_is_under_way(self) -> None:
        """With round, step and who has voted."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), bench.prevote(3, 0, None), bench.precommit(2, 0, None))
        statuses = []
        now = START_MS
        for _ in range(4):
            assert machine.wake is not None
            now = machine.wake
            statuses += [read_sealing_untrusted(e.message) for e in machine.tick(now) if isinstance(e, Send)]
        assert all(isinstance(status, Status) for status in statuses)
        assert [status.now - START_MS for status in statuses if isinstance(status, Status)] == [
            0,
            10_000,
            20_000,
            30_000,
        ]
        first = statuses[0]
        assert isinstance(first, Status)
        assert (first.round, first.step, first.prevotes, first.precommits) == (0, STEP_PREVOTE, 0b1010, 0b0100)

    def test_before_round_0_it_says_whose_readys_are_here(self) -> None:
        """So that nobody is sent them again and again while a quorum is waited for, which may take days."""
        bench = Bench(4)
        machine = bench.machine(1)
        give(machine, bench.ready(3))
        (effect,) = machine.tick(START_MS)
        assert isinstance(effect, Send)
        status = read_sealing_untrusted(effect.message)
        assert isinstance(status, Status)
        assert (status.round, status.prevotes, status.precommits) == (-1, 0b1000, 0)
        assert machine.answer(bench.status(0)) == [bench.ready(3).wire()]
        assert machine.answer(bench.status(0, prevotes=0b1000)) == []

    def test_who_lacks_something_gets_it(self) -> None:
        """READYs before round 0, the proposal in step PROPOSE, the votes whose bits are missing."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), bench.prevote(3, 0, None), bench.precommit(2, 0, None))

        def answer(**fields: int) -> list[str]:
            status = bench.status(0, **fields)
            return [read_sealing_untrusted(wire).TYPE.value for wire in machine.answer(status)]

        assert answer() == ["ready"] * 3 + ["proposal"] + ["prevote"] * 2 + ["precommit"]
        assert answer(prevotes=0b0110) == ["ready"] + ["proposal"] + ["prevote"] * 2 + ["precommit"]
        assert answer(round_=0) == ["proposal", "prevote", "prevote", "precommit"]
        assert answer(round_=0, step=1, prevotes=0b1000) == ["prevote", "precommit"]
        assert answer(round_=0, step=1, prevotes=0b1010, precommits=0b0100) == []
        assert answer(round_=3) == []

    def test_who_stands_still_gets_everything_ever_more_rarely(self) -> None:
        """What is missing may not show: a second vote of one sealer has the same bit."""
        bench, machine = opened(1)
        give(machine, bench.proposal(0, bench.body(0)))
        everything = machine.messages()
        times = []
        for number in range(1, 40):
            status = bench.status(0, round_=4, now=START_MS + number)
            give(machine, status)
            if machine.answer(status) == everything:
                times.append(number)
        assert times == [2, 3, 5, 9, 17, 33]

    def test_messages_carry_a_height_on(self) -> None:
        """Somebody who has nothing gets everything from them: block, votes, the reasons for them, no STATUS."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 3)))
        give(machine, bench.status(0))
        other = bench.machine(2)
        messages = [read_sealing_untrusted(wire) for wire in machine.messages()]
        assert not any(isinstance(message, Status) for message in messages)
        effects = give(other, *messages, fresh=False)
        assert [type(message) for message in sent(effects)] == [Prevote, Precommit]
        assert not any(fact.present for fact in other.facts().sealers if fact.key != bench.keys[2])
        give(machine, *sent(effects))
        assert machine.decided is None
        assert len(of_type(give(machine, bench.precommit(0, 0, body.block_id())), Decide)) == 1
