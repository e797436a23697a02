"""How votes are counted: justified ones only, conflicting ones kept, and how many."""

from hypothesis import given
from hypothesis import strategies as st

from tallystick.protocol.ballot import Prevote
from tallystick.protocol.proposal import PREVOTES_MAX
from tallystick.protocol.votes import VOTES_MAX, Votes
from tests.support.sealing import Bench

A, B = b"a" * 32, b"b" * 32
BENCH = Bench(4)


def votes_of(*rows: tuple[int, int, bytes | None, int], bench: Bench = BENCH, quorum: int = 3) -> Votes:
    """Votes of (sealer, round, block, jr)."""
    votes = Votes(quorum)
    for number, round_, block_id, jr in rows:
        votes.add(number, bench.prevote(number, round_, block_id, jr))
    return votes


def test_votes_without_a_reason_count() -> None:
    """Of each sealer one."""
    votes = votes_of((0, 0, A, -1), (1, 0, A, -1), (2, 0, None, -1))
    assert votes.count(0, A) == 2
    assert votes.count(0, None) == 1
    assert not votes.has_polka(0, A)
    votes.add(3, BENCH.prevote(3, 0, A))
    assert votes.has_polka(0, A)
    assert votes.polkas(0) == [A]


def test_vote_with_a_reason_counts_once_the_reason_is_here() -> None:
    """Whatever comes first."""
    votes = votes_of((0, 2, A, 0), (1, 2, A, 0), (2, 2, A, 0))
    assert votes.count(2, A) == 0
    for number in range(3):
        votes.add(number, BENCH.prevote(number, 0, A))
    assert votes.has_polka(2, A)


def test_reason_for_another_block_is_none() -> None:
    """A quorum for B says nothing for A."""
    votes = votes_of(*((number, 0, B, -1) for number in range(3)), (0, 2, A, 0))
    assert votes.count(2, A) == 0


def test_reasons_are_followed_to_their_end() -> None:
    """A chain of reasons counts only as a whole."""
    chain = [(number, round_, A, round_ - 2) for round_ in (1, 3, 5) for number in range(3)]
    without_root = votes_of(*((n, r, b, jr) for n, r, b, jr in chain if r > 1))
    assert without_root.count(5, A) == 0
    whole = votes_of(*chain)
    assert whole.count(5, A) == 3
    assert [vote.round for vote in whole.proof(5, A)] == [1, 1, 1, 3, 3, 3, 5, 5, 5]


def test_second_vote_of_a_sealer_counts_too() -> None:
    """A quorum that another node saw can be shown here, though we heard the liar say something else first."""
    votes = votes_of((3, 0, B, -1), (0, 0, A, -1), (1, 0, A, -1), (3, 0, A, -1))
    assert votes.has_polka(0, A)
    assert votes.prevoters(0) == {0, 1, 3}


def test_two_votes_of_a_sealer_are_one_sealer() -> None:
    """Reasons differ, the sealer is one."""
    votes = votes_of((0, 2, A, -1), (0, 2, A, 0), (1, 2, A, -1))
    assert votes.count(2, A) == 2


def test_room_for_four_different_votes() -> None:
    """In one round and of one type; the same one again needs none."""
    votes = Votes(3)
    for label in range(VOTES_MAX):
        vote = BENCH.prevote(0, 0, bytes([label]) * 32)
        assert votes.has_room(0, vote)
        assert votes.add(0, vote)
        assert not votes.add(0, vote)
    assert not votes.has_room(0, BENCH.prevote(0, 0, A))
    assert votes.has_room(0, BENCH.precommit(0, 0, A))
    assert votes.has_room(0, BENCH.prevote(0, 1, A))
    assert votes.has_room(1, BENCH.prevote(1, 0, A))


def test_quorum_of_precommits_is_noticed() -> None:
    """Of one block in one round; votes for none commit to nothing."""
    votes = Votes(3)
    for number, block_id, round_ in ((0, A, 1), (1, A, 1), (2, B, 1), (2, A, 2), (3, None, 1)):
        votes.add(number, BENCH.precommit(number, round_, block_id))
    assert votes.committed == {}
    votes.add(3, BENCH.precommit(3, 1, A))
    assert votes.committed == {A: 1}
    assert [index for index, _ in votes.precommits_for(1, A)] == [0, 1, 3]


def test_proof_is_as_small_as_can_be() -> None:
    """A quorum and not more, and votes that need no reason before those that do."""
    votes = votes_of(
        *((number, 0, A, -1) for number in range(4)), (0, 2, A, 0), *((number, 2, A, -1) for number in (1, 2, 3))
    )
    assert [(vote.round, vote.signer) for vote in votes.proof(2, A)] == [
        (2, BENCH.keys[number]) for number in (1, 2, 3)
    ]


def test_proof_has_an_end() -> None:
    """Where the chain of reasons is too long for a message the oldest are left out, and can be asked for."""
    bench = Bench(31)
    rows = [(number, round_, A, round_ - 1) for round_ in range(40) for number in range(21)]
    votes = votes_of(*rows, bench=bench, quorum=21)
    proof = votes.proof(39, A)
    assert 400 < len(proof) <= PREVOTES_MAX
    assert proof[-1].round == 39
    assert votes.count(39, A) == 21


def test_pruned_rounds_are_gone_and_no_longer_counted() -> None:
    """What rested on them counts no more either."""
    votes = votes_of(*((number, 0, A, -1) for number in range(3)), *((number, 2, A, 0) for number in range(3)))
    assert votes.has_polka(2, A)
    votes.prune(lambda round_: round_ > 0)
    assert votes.rounds() == {2}
    assert not votes.has_polka(2, A)
    votes.forget(0, 2)
    assert votes.prevoters(2) == {1, 2}


rows = st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([A, B, None]), st.integers(-1, 3))


@given(st.lists(rows, max_size=40), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(drawn: list[tuple[int, int, bytes | None, int]], luck: object) -> None:
    """Everybody who has the same votes counts the same, and as the specification says."""
    legal = {row for row in drawn if row[3] < row[1] and (row[2] is not None or row[3] == -1)}
    one, other = votes_of(*sorted(legal, key=repr)), votes_of(*sorted(legal, key=repr, reverse=True))

    def count(round_: int, value: bytes | None) -> int:
        return len(
            {
                number
                for number, at, block_id, jr in legal
                if (at, block_id) == (round_, value) and (jr == -1 or count(jr, value) >= 3)
            }
        )

    for round_ in range(5):
        for value in (A, B, None):
            assert one.count(round_, value) == other.count(round_, value) == count(round_, value)


@given(st.lists(rows, max_size=60))
def test_proof_stands_alone(drawn: list[tuple[int, int, bytes | None, int]]) -> None:
    """Whoever has nothing but a proof sees the quorum too, and can count each vote when it comes."""
    legal = sorted({row for row in drawn if row[3] < row[1] and (row[2] is not None or row[3] == -1)}, key=repr)
    votes = votes_of(*legal)
    for round_ in range(5):
        for value in votes.polkas(round_):
            fresh = Votes(3)
            for vote in votes.proof(round_, value):
                assert isinstance(vote, Prevote)
                fresh.add(BENCH.keys.index(vote.signer), vote)
                assert fresh.is_justified(vote)
            assert fresh.has_polka(round_, value)
