"""What is refused, what is told of cheats, and how much is kept.

Height 12 with four sealers: round r is proposed by sealer r mod 4; a quorum are three, and two block.
"""

import pytest

from tallystick.protocol.ballot import STEP_PREVOTE, Prevote
from tallystick.protocol.consensus import Height
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.sealing import Sealing, read_sealing_untrusted
from tallystick.protocol.sealing_effects import (
    Accuse,
)
from tests.support.sealing import (
    HEIGHT,
    START_MS,
    Bench,
    give,
    of_type,
    only,
    opened,
    round_of,
)


def refusal(machine: Height, message: Sealing) -> str:
    with pytest.raises(BlockError) as error:
        machine.receive(message, START_MS)
    assert not machine.wants(message)
    return str(error.value.reason)


class TestRefusals:
    """What does not belong here."""

    def test_messages_of_others_are_refused(self) -> None:
        """Another ledger, height, signer, block before, or proposer; nothing is changed."""
        bench, machine = opened(1)
        higher = Bench(4, height=HEIGHT + 1)
        stranger = Bench(5)
        before = machine.messages()
        assert refusal(machine, higher.prevote(0, 0, None)) == BlockReason.OTHER_HEIGHT
        assert refusal(machine, stranger.prevote(4, 0, None)) == BlockReason.NOT_A_SEALER
        assert refusal(machine, bench.ready(0, prev_id=bytes(32))) == BlockReason.OTHER_BRANCH
        body = bench.body(0)
        foreign = bench.body(0, ledger=bytes(32))
        assert foreign.block_id() != body.block_id()
        wrong = make_wrong_proposal(bench, 2, 0)
        assert refusal(machine, wrong) == BlockReason.NOT_PROPOSER
        assert machine.messages() == before

    def test_blocks_that_cannot_be_are_refused_before_they_are_executed(self) -> None:
        """Time, READYs, round, proposer and block before are checked against what everybody knows."""
        bench, machine = opened(1)
        for changes, reason in (
            ({"time": START_MS + 1}, BlockReason.BAD_TIME),
            ({"readys_hash": bytes(32)}, BlockReason.BAD_READYS),
            ({"proposer": 3}, BlockReason.NOT_PROPOSER),
            ({"prev_id": bytes(32)}, BlockReason.OTHER_BRANCH),
        ):
            assert refusal(machine, bench.proposal(0, bench.body(0, **changes))) == reason
        few = bench.body(0, readys=bench.readys((0, 1)))
        assert refusal(machine, bench.proposal(0, few)) == BlockReason.TOO_FEW
        old = bench.body(0)
        assert refusal(machine, bench.proposal(2, old)) == BlockReason.BAD_BODY, "a new block is made in its round"
        assert refusal(machine, bench.proposal(4, bench.body(3), vr=1)) == BlockReason.BAD_BODY

    def test_body_that_was_not_asked_for_is_not_kept(self) -> None:
        """Memory is for what a rule may ask for."""
        bench, machine = opened(1)
        body = bench.body(3)
        assert machine.supply(body, START_MS) == []
        assert machine.body(body.block_id()) is None

    def test_known_messages_do_nothing(self) -> None:
        """However often they come."""
        bench, machine = opened(1)
        messages: list[Sealing] = [bench.proposal(0, bench.body(0)), bench.prevote(3, 0, None), bench.ready(2)]
        give(machine, *messages)
        for message in messages:
            assert not machine.wants(message)
            assert give(machine, message) == []


def make_wrong_proposal(bench: Bench, number: int, round_: int) -> Proposal:
    """A proposal of a sealer whose turn it is not."""
    proposer = bench.proposer(round_)
    bench.signers[proposer], bench.signers[number] = bench.signers[number], bench.signers[proposer]
    try:
        return bench.proposal(round_, bench.body(round_))
    finally:
        bench.signers[proposer], bench.signers[number] = bench.signers[number], bench.signers[proposer]


class TestEvidence:
    """Contradictions are told the moment they are seen."""

    def test_each_kind_is_told_once(self) -> None:
        """E1, E2 and E3, each with two signatures that hold."""
        for code, votes in (
            (
                "e1",
                lambda bench: (
                    bench.prevote(0, 0, None),
                    bench.prevote(0, 0, bytes(32)),
                    bench.prevote(0, 0, b"x" * 32),
                ),
            ),
            ("e1", lambda bench: (bench.precommit(0, 0, None), bench.precommit(0, 0, bytes(32)))),
            ("e2", lambda bench: [bench.proposal(0, bench.body(0, label=label)) for label in range(3)]),
            ("e3", lambda bench: (bench.precommit(0, 0, bytes(32)), bench.prevote(0, 1, b"x" * 32))),
            ("e3", lambda bench: (bench.prevote(0, 3, b"x" * 32, 0), bench.precommit(0, 1, bytes(32)))),
        ):
            bench, machine = opened(1)
            (accusation,) = of_type(give(machine, *votes(bench)), Accuse)
            assert isinstance(accusation, Accuse)
            assert (accusation.evidence.code, accusation.evidence.accused) == (code, bench.keys[0])
            assert [fact.accused for fact in machine.facts().sealers] == [True, False, False, False]

    def test_honest_votes_of_many_rounds_accuse_nobody(self) -> None:
        """Votes for nothing, for a block, and for another one with a newer reason."""
        bench, machine = opened(1)
        a, b = b"a" * 32, b"b" * 32
        votes: list[Sealing] = [bench.prevote(0, 0, a), bench.precommit(0, 0, a), bench.prevote(0, 1, None)]
        votes += [bench.precommit(0, 1, None), bench.prevote(0, 2, a, 0), bench.precommit(0, 2, None)]
        votes += [bench.prevote(0, 4, b, 3), bench.precommit(0, 4, b), bench.prevote(0, 5, b, 4)]
        for order in (votes, votes[::-1]):
            machine = bench.machine(1)
            assert of_type(give(machine, *order), Accuse) == []


class TestLimits:
    """A sealer that floods displaces only what it sent itself."""

    def test_four_votes_of_a_sealer_in_a_round(self) -> None:
        """The fifth is not wanted, nor kept."""
        bench, machine = opened(1)
        votes = [bench.prevote(0, 0, bytes([label]) * 32) for label in range(6)]
        assert [machine.wants(vote) and bool(give(machine, vote)) for vote in votes] == [True] * 4 + [False] * 2

    def test_rounds_far_ahead_push_out_only_their_own(self) -> None:
        """Of each sealer the eight highest rounds beyond the next are kept, so two honest ones still take along."""
        bench, machine = opened(1)
        for round_ in range(2, 400):
            give(machine, bench.precommit(0, round_, None), bench.prevote(0, 10**6 + round_, None))
        assert len(machine._docket.votes.rounds()) <= 8
        assert machine.round == 0
        give(machine, bench.prevote(2, 77, None), bench.prevote(3, 77, None))
        assert machine.round == 77

    def test_memory_stays_bounded_under_a_flood_of_proposals(self) -> None:
        """From far ahead one body of each proposer stays, the newest."""
        bench, machine = opened(1)
        for turn in range(2, 60):
            give(machine, bench.proposal(4 * turn, bench.body(4 * turn)))
        docket = machine._docket
        assert len(docket.proposals.by_round) <= 8
        assert len(docket.proposals.bodies) <= 2
        give(machine, bench.prevote(3, 4 * 59, None))
        assert machine.round == 4 * 59
        assert machine.step == STEP_PREVOTE, "its body was here at once"

    def test_four_proposals_in_a_round(self) -> None:
        """More of a cheating proposer are not kept."""
        bench, machine = opened(1)
        give(machine, *(bench.proposal(0, bench.body(0, label=label)) for label in range(9)))
        assert len(machine._docket.proposals.of(0)) == 4
        assert len(machine._docket.proposals.bodies) == 4

    def test_rounds_long_past_are_dropped_but_not_their_quorums(self) -> None:
        """After hundreds of rounds the messages are as many as after sixty; the lock and its reasons stay."""
        bench, machine = opened(1)
        body = bench.body(0)
        give(machine, bench.proposal(0, body), *(bench.prevote(n, 0, body.block_id()) for n in (0, 2)))
        sizes = []
        for round_ in range(1, 300):
            give(machine, *(vote(n, round_, None) for n in (0, 2, 3) for vote in (bench.prevote, bench.precommit)))
            sizes.append(len(machine.messages()))
        assert max(sizes[100:]) <= max(sizes[:100]) + 16
        assert machine.pol(0, body.block_id())
        assert machine.body(body.block_id()) is not None
        proposal = next(m for m in map(read_sealing_untrusted, machine.messages()) if isinstance(m, Proposal))
        assert proposal.block_id == body.block_id()

    def test_reason_finds_room_where_a_liar_filled_it(self) -> None:
        """Four other votes of the liar came first; the quorum that rests on its fifth can be shown all the same."""
        bench, machine = opened(1)
        body = bench.body(0)
        block_id = body.block_id()
        give(machine, *(bench.prevote(3, 0, bytes([label]) * 32) for label in range(4)))
        reasons = [bench.prevote(number, 0, block_id) for number in (0, 2, 3)]
        assert not machine.wants(reasons[2])
        round_of(bench, machine, 2)
        vote = only(give(machine, bench.proposal(2, body, vr=0, prevotes=reasons)))
        assert isinstance(vote, Prevote)
        assert (vote.block_id, vote.jr) == (block_id, 0)

    def test_reason_that_was_asked_for_finds_room_too(self) -> None:
        """Also where the proposal came without it."""
        bench, machine = opened(1)
        body = bench.body(0)
        block_id = body.block_id()
        give(machine, *(bench.prevote(3, 0, bytes([label]) * 32) for label in range(4)))
        round_of(bench, machine, 2)
        give(machine, bench.proposal(2, body, vr=0))
        vote = only(give(machine, *(bench.prevote(number, 0, block_id) for number in (0, 2, 3))))
        assert isinstance(vote, Prevote)
        assert vote.block_id == block_id

    def test_nobody_fills_the_memory_with_false_reasons(self) -> None:
        """What does not count is no reason, however many proposals carry it."""
        bench, machine = opened(1)
        round_of(bench, machine, 30)
        body = bench.body(0)
        junk = [bench.prevote(3, round_, body.block_id(), jr) for round_ in range(29) for jr in range(round_)]
        for start in range(0, len(junk), 400):
            give(machine, bench.proposal(30, body, vr=29, prevotes=junk[start : start + 400]))
        assert len(list(machine._docket.votes.of(3))) <= 4 * 30
