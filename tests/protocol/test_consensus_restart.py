"""Crashes, restarts, restored backups, copies: a key never signs two things in one slot, and no lock is lost."""

import pytest

from tallystick.protocol.ballot import STEP_PRECOMMIT, STEP_PREVOTE, STEP_PROPOSE, Precommit, Prevote
from tallystick.protocol.block import Certificate
from tallystick.protocol.consensus import Height
from tallystick.protocol.errors import BlockError, BlockReason, DecodeError
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Sealing, read_sealing_untrusted
from tallystick.protocol.sealing_effects import Build, Decide, Effect, Mute, Persist, Send
from tallystick.protocol.sealing_record import read_record
from tests.support.sealing import (
    HEIGHT,
    START_MS,
    Bench,
    frontier,
    give,
    of_type,
    only,
    opened,
    sent,
    settle,
)


def last_record(effects: list[Effect]) -> Persist:
    persist = of_type(effects, Persist)[-1]
    assert isinstance(persist, Persist)
    return persist


def story(bench: Bench) -> list[Sealing]:
    """What sealer 1 hears in two rounds: a lock in round 0, a round without a decision, and the block again."""
    body = bench.body(0)
    block_id = body.block_id()
    reasons = [bench.prevote(number, 0, block_id) for number in (0, 2)]
    messages: list[Sealing] = [bench.ready(0), bench.ready(2), bench.ready(3), bench.proposal(0, body), *reasons]
    messages += [bench.precommit(number, 2, None) for number in (0, 3)]
    messages += [bench.proposal(2, body, vr=0, prevotes=[*reasons, bench.prevote(1, 0, block_id)])]
    messages += [bench.prevote(number, 2, block_id, 0) for number in (0, 2)]
    return [*messages, *(bench.precommit(number, 2, block_id) for number in (0, 2))]


def play(machine: Height, messages: list[Sealing]) -> list[Effect]:
    effects = settle(machine, machine.start(START_MS))
    return effects + give(machine, *messages)


def test_whole_story_decides() -> None:
    """The story of the tests below, without a crash."""
    bench = Bench(4)
    effects = play(bench.machine(1), story(bench))
    kinds = [(type(message), message.round) for message in sent(effects) if isinstance(message, Prevote | Precommit)]
    assert kinds == [(Prevote, 0), (Precommit, 0), (Prevote, 2), (Precommit, 2)]
    assert len(of_type(effects, Decide)) == 1


def test_crash_at_every_effect_signs_nothing_twice_and_still_decides() -> None:
    """Dead before any effect, back with what was durable; everything is heard again, and the same is said again.

    The signer refuses a second thing in a slot; that what was lost had not been sent is the order of the effects.
    """
    whole = play(Bench(4).machine(1), story(Bench(4)))
    assert len(whole) > 20
    for count in range(len(whole) + 1):
        bench = Bench(4)
        done = whole[:count]
        said = sent(done)
        record, guard = None, (0, 0, 0)
        if of_type(done, Persist):
            record, guard = last_record(done).record, last_record(done).guard
        machine = bench.machine(1, record=record, guard=guard)
        for message in said:
            # Whatever has left must be known: the very bytes are what the signer would sign again.
            if isinstance(message, Prevote | Precommit):
                assert machine.guard >= (HEIGHT, message.round, 1 if isinstance(message, Prevote) else 2)
                bench.own[1].sign(message.TYPE, message.payload)
        again = play(machine, story(bench))
        assert machine.decided is not None, f"stuck after a crash before effect {count}"
        assert not machine.muted
        assert of_type(again, Mute) == []


def test_restart_says_again_what_was_signed_last() -> None:
    """The same bytes: others may not have heard them."""
    bench, machine = opened(1)
    body = bench.body(0)
    effects = machine.wish(frontier((1, 3)), 4, START_MS + 20_000)
    effects += give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2)))
    persist = last_record(effects)
    again = bench.machine(1, record=persist.record, guard=persist.guard)
    messages = sent(again.start(START_MS + 30_000))
    assert [type(message) for message in messages] == [Ready, Prevote, Precommit]
    assert {message.wire() for message in messages} <= {
        effect.message for effect in effects if isinstance(effect, Send)
    }
    assert (again.round, again.step) == (0, STEP_PRECOMMIT)


def test_clock_of_readys_grows_across_a_restart() -> None:
    """The last READY is in the record."""
    bench = Bench(4)
    machine = bench.machine(1)
    persist = last_record(machine.wish(frontier((1, 1)), 2, START_MS))
    again = bench.machine(1, record=persist.record, guard=persist.guard, now=START_MS - 500)
    ready = only(again.wish(frontier((1, 2)), 3, START_MS - 500))
    assert isinstance(ready, Ready)
    assert ready.time == START_MS + 1


def test_proposer_builds_again_if_nothing_was_signed() -> None:
    """The round was durable, the proposal not."""
    bench = Bench(4)
    machine = bench.machine(0)
    machine.wish(frontier((0, 0)), 1, START_MS)
    persist = last_record(give(machine, bench.ready(1), bench.ready(2)))
    again = bench.machine(0, record=persist.record, guard=persist.guard)
    effects = again.start(START_MS) + give(again, bench.ready(1), bench.ready(2), fresh=False)
    assert len(of_type(effects, Build)) == 1


def test_proposer_proposes_the_same_block_if_it_was_signed() -> None:
    """With its body, though that was not signed; no second block is built."""
    bench, machine = opened(0)
    body = bench.body(0)
    effects = machine.built(0, body, START_MS)
    persist = of_type(effects, Persist)[0]
    assert isinstance(persist, Persist)
    again = bench.machine(0, record=persist.record, guard=persist.guard)
    effects = again.start(START_MS)
    proposals = [message for message in sent(effects) if isinstance(message, Proposal)]
    assert [proposal.body for proposal in proposals] == [body]
    assert of_type(effects, Build) == []
    assert [type(message) for message in sent(effects)] == [Ready, Proposal, Prevote]


def test_lock_survives_with_its_reasons() -> None:
    """After the restart it votes for nothing else, and can show why when it proposes again."""
    bench, machine = opened(1)
    body = bench.body(0)
    effects = give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2)))
    persist = last_record(effects)
    again = bench.machine(1, record=persist.record, guard=persist.guard)
    again.start(START_MS)
    effects = give(again, *(bench.precommit(number, 5, None) for number in (0, 2)))
    proposal = sent(effects)[0]
    assert isinstance(proposal, Proposal) and proposal.body is not None
    assert (proposal.round, proposal.vr, proposal.block_id) == (5, 0, body.block_id())
    assert len(proposal.body.prevotes) == 3
    effects = give(again, *(bench.precommit(number, 6, None) for number in (0, 2)), bench.proposal(6, bench.body(6)))
    vote = sent(effects)[-1]
    assert isinstance(vote, Prevote)
    assert (vote.round, vote.block_id) == (6, None)


def test_record_of_another_height_is_left_aside() -> None:
    """The height it was about is over."""
    bench, machine = opened(1)
    persist = last_record(give(machine, bench.proposal(0, bench.body(0))))
    higher = Bench(4, height=HEIGHT + 1)
    machine = higher.machine(1, record=persist.record, guard=persist.guard)
    assert (machine.round, machine.muted, machine.guard) == (-1, False, persist.guard)


def test_record_of_another_branch_is_refused() -> None:
    """Its votes were about another block before."""
    bench = Bench(4)
    persist = last_record(bench.machine(1).wish(frontier((1, 1)), 2, START_MS))
    data = read_record(persist.record)
    other = type(data)(**{name: getattr(data, name) for name in data.__slots__} | {"prev_id": bytes(32)})
    with pytest.raises(BlockError) as error:
        bench.machine(1, record=other.encode())
    assert error.value.reason == BlockReason.OTHER_BRANCH


def test_damaged_record_is_refused() -> None:
    """Every cut, and every kind of rubbish: a node does not go on from what it cannot read."""
    bench, machine = opened(1)
    record = last_record(give(machine, bench.proposal(0, bench.body(0)))).record
    for damaged in [record[:at] for at in range(0, len(record), 97)] + [b"\x90", b"\xc0", record + b"\x00"]:
        with pytest.raises((DecodeError, BlockError)):
            bench.machine(1, record=damaged)


def test_records_round_trip() -> None:
    """What is written is what is read."""
    bench, machine = opened(1)
    body = bench.body(0)
    effects = give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2)))
    for persist in of_type(effects, Persist):
        assert isinstance(persist, Persist)
        assert read_record(persist.record).encode() == persist.record


class TestMute:
    """Who may have signed more than it knows signs nothing."""

    @pytest.mark.parametrize("guard", [(HEIGHT, 0, STEP_PROPOSE), (HEIGHT, 4, STEP_PREVOTE), (HEIGHT + 3, 0, 1)])
    def test_guard_that_knows_more_than_the_record(self, guard: tuple[int, int, int]) -> None:
        """A database that was put back: mute, but it follows and decides."""
        bench = Bench(4)
        machine = bench.machine(1, guard=guard)
        assert machine.muted
        assert sent(machine.wish(frontier((1, 1)), 2, START_MS)) == []
        body = bench.body(0)
        effects = give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2, 3)))
        effects += machine.tick(START_MS + 100_000)
        assert sent(effects) == []
        assert machine.wake is not None and machine.wake > START_MS + 100_000
        effects = give(machine, *(bench.precommit(n, 0, body.block_id()) for n in (0, 2, 3)))
        assert len(of_type(effects, Decide)) == 1

    def test_guard_of_an_earlier_height_is_in_order(self) -> None:
        """The usual case."""
        assert not Bench(4).machine(1, guard=(HEIGHT - 1, 7, STEP_PRECOMMIT)).muted

    def test_unmute_goes_above_everything_signed(self) -> None:
        """A round higher than the guard's."""
        bench = Bench(4)
        machine = bench.machine(1, guard=(HEIGHT, 4, STEP_PREVOTE))
        give(machine, *bench.readys((0, 2, 3)))
        machine.unmute(START_MS)
        assert (machine.round, machine.muted) == (5, False)
        give(machine, *(bench.precommit(number, 6, None) for number in (0, 2)))
        vote = only(give(machine, bench.proposal(6, bench.body(6))))
        assert isinstance(vote, Prevote)
        assert vote.round == 6

    def test_vote_that_we_do_not_know_makes_mute(self) -> None:
        """Another copy of the node runs, or the record is old. It is said once, and survives a restart."""
        bench, machine = opened(1)
        stranger = bench.prevote(1, 0, bytes(32))
        effects = give(machine, stranger)
        assert of_type(effects, Mute) == [Mute(stranger.wire())]
        assert machine.muted and machine.facts().muted
        assert sent(give(machine, bench.proposal(0, bench.body(0)))) == []
        assert of_type(give(machine, bench.precommit(1, 0, None)), Mute) == [Mute(bench.precommit(1, 0, None).wire())]
        persist = last_record(effects)
        again = bench.machine(1, record=persist.record, guard=persist.guard)
        assert again.muted

    def test_own_votes_that_come_back_are_known(self) -> None:
        """Others pass on what they heard from us."""
        bench, machine = opened(1)
        body = bench.body(0)
        effects = give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2)))
        assert give(machine, *sent(effects)) == []
        assert not machine.muted

    def test_unmute_learns_the_lock_from_its_own_precommits(self) -> None:
        """What this key precommitted elsewhere binds it: another block is voted against, and nobody can convict it."""
        bench, machine = opened(1)
        locked = bench.body(0)
        give(machine, bench.precommit(1, 3, locked.block_id()))
        assert machine.muted
        machine.unmute(START_MS)
        assert machine.round == 4
        assert machine.facts().locked == locked.block_id()
        give(machine, *(bench.precommit(number, 6, None) for number in (0, 2)))
        vote = only(give(machine, bench.proposal(6, bench.body(6))))
        assert isinstance(vote, Prevote)
        assert vote.block_id is None

    def test_sole_sealer_that_accepts_the_loss_goes_on(self) -> None:
        """Alone it decides at once in the round above."""
        bench = Bench(1)
        machine = bench.machine(0, guard=(HEIGHT, 0, STEP_PRECOMMIT))
        assert machine.wish(frontier((0, 0)), 1, START_MS) == []
        effects = machine.unmute(START_MS) + machine.tick(START_MS)
        (build,) = of_type(effects, Build)
        assert isinstance(build, Build) and build.round == 1
        effects = machine.built(1, bench.body(1, readys=build.readys), START_MS)
        assert len(of_type(effects, Decide)) == 1

    def test_node_without_a_key_follows(self) -> None:
        """It signs and persists nothing, keeps and hands on everything, and sees the decision."""
        bench = Bench(4)
        machine = bench.machine(None)
        effects = play(machine, story(bench))
        effects += give(machine, bench.prevote(3, 2, bench.body(0).block_id(), 0), bench.prevote(1, 0, None))
        assert not of_type(effects, Persist)
        assert not sent(effects)
        effects += give(machine, bench.precommit(3, 2, bench.body(0).block_id()))
        assert len(of_type(effects, Decide)) == 1


def test_restarted_node_takes_the_certificate() -> None:
    """What was decided while it was away is accepted in whatever state it comes back."""
    bench, machine = opened(1)
    body = bench.body(0)
    persist = last_record(give(machine, bench.proposal(0, body)))
    again = bench.machine(1, record=persist.record, guard=persist.guard)
    votes = tuple((n, bench.precommit(n, 0, body.block_id()).signature) for n in (0, 2, 3))
    certificate = Certificate(height=HEIGHT, round=0, block_id=body.block_id(), votes=votes)
    (decision,) = of_type(again.certificate(certificate, START_MS), Decide)
    assert isinstance(decision, Decide)
    assert decision.body == body


def test_messages_in_a_record_are_ours_alone() -> None:
    """Others' votes are kept apart; only the reasons of a lock are in it."""
    bench, machine = opened(1)
    effects = give(machine, bench.proposal(0, bench.body(0)), bench.prevote(3, 0, None), bench.precommit(2, 0, None))
    record = read_record(last_record(effects).record)
    assert {message.signer for message in record.messages} == {bench.keys[1]}
    assert record.prevotes == ()
    assert all(read_sealing_untrusted(message.wire()) == message for message in record.messages)
