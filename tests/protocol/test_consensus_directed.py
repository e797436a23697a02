"""Schedules that luck does not find: what makes evidence just, and what makes it complete.

Each shows the machine right, and that a machine with one rule left out goes wrong: else it would show nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tallystick.protocol.ballot import Precommit, Prevote
from tallystick.protocol.block import Certificate
from tallystick.protocol.consensus import Height
from tallystick.protocol.evidence import Vote, find_evidence, precommits_of
from tallystick.protocol.proposal import Proposal, ProposalBody
from tallystick.protocol.quorum import culprits_least, quorum
from tallystick.protocol.sealing import Sealing, read_sealing_untrusted
from tallystick.protocol.sealing_effects import Build, Decide, Effect, Judge, Send
from tallystick.protocol.votes import Votes
from tests.support.sealing import LEDGER, START_MS, Bench, frontier, give, opened, sent, verdict_on


def votes_in(messages: Iterable[Sealing]) -> list[Vote]:
    return [message for message in messages if isinstance(message, Proposal | Prevote | Precommit)]


def culprits(bench: Bench, votes: Iterable[Vote]) -> set[int]:
    return {bench.keys.index(evidence.accused) for evidence in find_evidence(votes)}


# -- jr ----------------------------------------------------------------------------------------------------------------


class OnlyTheProposalsRound(Height):
    """The rule that frames: the reason of a vote is the round that the proposal names, and nothing else."""

    def _justification(self, block_id: bytes, vr: int) -> int:
        return vr


def relocked(cls: type[Height]) -> tuple[Bench, list[Sealing]]:
    """What sealer 3 says that keeps every rule: it locks on A in round 1 and on B in round 6, then B comes again.

    The proposer of round 8 has seen the quorum for B of round 0 only. That is no fault.
    """
    bench = Bench(4)
    machine = bench.machine(3, cls=cls)
    a, b = bench.body(1), bench.body(0)
    a_id, b_id = a.block_id(), b.block_id()
    old = [bench.prevote(number, 0, b_id) for number in (0, 2, 3)]
    new = [bench.prevote(number, 5, b_id, 0) for number in (0, 1, 2)]
    said: list[Sealing] = []

    def hear(round_: int, *messages: Sealing) -> None:
        if round_ > machine.round:
            said.extend(sent(give(machine, *(bench.precommit(number, round_, None) for number in (0, 1)))))
        said.extend(sent(give(machine, *messages)))

    hear(0, bench.proposal(0, b))
    hear(1, bench.proposal(1, a), *(bench.prevote(number, 1, a_id) for number in (0, 1)))
    assert machine.facts().locked == a_id
    # A quorum for B of round 5, which it had no part in, frees it.
    hear(6, bench.proposal(6, b, vr=5, prevotes=[*old, *new]), *(bench.prevote(n, 6, b_id, 5) for n in (0, 2)))
    assert machine.facts().locked == b_id
    hear(8, bench.proposal(8, b, vr=0, prevotes=old))
    vote = [vote for vote in said if isinstance(vote, Prevote)][-1]
    assert (vote.round, vote.block_id) == (8, b_id)
    return bench, said


def test_lock_gives_the_reason_when_the_proposal_has_an_older_one() -> None:
    """jr is the newer of both rounds, so nobody can say that the lock on A was forgotten."""
    bench, said = relocked(Height)
    prevotes = [vote for vote in said if isinstance(vote, Prevote)]
    assert prevotes[-1].jr == 6
    assert culprits(bench, votes_in(said)) == set()


def test_taking_jr_as_vr_alone_would_frame_an_honest_node() -> None:
    """The same schedule, the other rule: an honest sealer is convicted by E3."""
    bench, said = relocked(OnlyTheProposalsRound)
    prevotes = [vote for vote in said if isinstance(vote, Prevote)]
    assert prevotes[-1].jr == 0
    (evidence,) = find_evidence(votes_in(said))
    assert (evidence.code, bench.keys.index(evidence.accused)) == ("e3", 3)


# -- justification -----------------------------------------------------------------------------------------------------


class Credulous(Votes):
    """Counts every prevote, whatever reason it names and whether that is here or not."""

    def is_justified(self, vote: Prevote) -> bool:
        return True


def two_liars_of_four(votes: type[Votes], jr: int) -> tuple[Bench, set[bytes | None], list[Vote]]:
    """Sealers 2 and 3 help 0 to decide X in round 0, then 1 to decide Y in round 1, which has heard nothing of X.

    They name `jr` as the reason for their votes in round 1. Returns what was decided, and all votes.
    """
    bench = Bench(4)
    said: list[Vote] = []

    def lie(*votes: Vote) -> list[Vote]:
        said.extend(votes)
        return list(votes)

    one, other = bench.machine(0), bench.machine(1)
    for machine in (one, other):
        machine._docket.votes = votes(3)
    one.wish(frontier((0, 0)), 1, START_MS)
    give(one, *bench.readys((1, 2, 3)))
    x = bench.body(0)
    said += votes_in(sent(one.built(0, x, START_MS)))
    x_id = x.block_id()
    lies = [vote(number, 0, x_id) for vote in (bench.prevote, bench.precommit) for number in (2, 3)]
    said += votes_in(sent(give(one, *lie(*lies))))
    assert one.decided == x_id

    give(other, *bench.readys((0, 2, 3)))
    other.wish(frontier((1, 0)), 1, START_MS)
    y = bench.body(1)
    y_id = y.block_id()
    give(other, *lie(*(bench.prevote(number, 1, y_id, jr) for number in (2, 3))))
    assert other.round == 1
    said += votes_in(sent(other.built(1, y, START_MS)))
    said += votes_in(sent(give(other, *lie(*(bench.precommit(number, 1, y_id) for number in (2, 3))))))
    return bench, {one.decided, other.decided} - {None}, said


def test_lie_about_the_reason_does_not_count() -> None:
    """Their votes name a quorum that there never was: no fork, and nobody to convict."""
    bench, decided, votes = two_liars_of_four(Votes, jr=0)
    assert len(decided) == 1
    assert culprits(bench, votes) == set()


def test_honest_about_the_reason_they_are_caught() -> None:
    """Without a reason their votes count, and convict them both: the fork is seen."""
    bench, decided, votes = two_liars_of_four(Votes, jr=-1)
    assert len(decided) == 2
    assert culprits(bench, votes) == {2, 3}
    assert {evidence.code for evidence in find_evidence(votes)} == {"e3"}


def test_counting_unjustified_votes_would_let_liars_fork_unseen() -> None:
    """The same lie, believed: two blocks are decided, and not one contradiction can be shown."""
    bench, decided, votes = two_liars_of_four(Credulous, jr=0)
    assert len(decided) == 2
    assert culprits(bench, votes) == set()


# -- conflicting votes -------------------------------------------------------------------------------------------------


class FirstVoteOnly(Votes):
    """Keeps one vote of a sealer in a round: the second one is a lie anyway."""

    def has_room(self, index: int, vote: Prevote | Precommit) -> bool:
        return not self._of(index, vote)

    def is_counted(self, index: int, round_: int, block_id: bytes | None) -> bool:
        first = self.prevotes.get(round_, {}).get(index, [])[:1]
        return any(vote.block_id == block_id and self.is_justified(vote) for vote in first)


@pytest.mark.parametrize(("votes", "goes_on"), [(Votes, True), (FirstVoteOnly, False)])
def test_quorum_on_the_other_vote_of_a_liar_can_be_shown(votes: type[Votes], goes_on: bool) -> None:
    """The liar told us one thing and another node, which is locked for it, the other: we must believe both.

    With the first vote only the height would stand still for ever: the locked node votes for nothing else, and its
    reason is nothing to us.
    """
    bench, machine = opened(1)
    machine._docket.votes = votes(3)
    body = bench.body(0)
    block_id = body.block_id()
    give(machine, bench.prevote(3, 0, None))
    give(machine, *(bench.precommit(number, 2, None) for number in (0, 3)))
    reasons = [bench.prevote(number, 0, block_id) for number in (0, 2, 3)]
    effects = give(machine, bench.proposal(2, body, vr=0, prevotes=reasons), *reasons)
    voted = [vote.block_id for vote in sent(effects) if isinstance(vote, Prevote)]
    assert voted == ([block_id] if goes_on else [])


# -- more faults than allowed ------------------------------------------------------------------------------------------


class Group:
    """Honest sealers who hear each other and what liars tell them, and nobody else."""

    def __init__(self, bench: Bench, numbers: Iterable[int]) -> None:
        self.bench = bench
        self.machines = {number: bench.machine(number) for number in numbers}
        self.said: list[Vote] = []
        self.decisions: list[Decide] = []
        for number, machine in self.machines.items():
            self.carry_out(number, machine.wish(frontier((number, 0)), 1, START_MS))

    def carry_out(self, number: int, effects: list[Effect]) -> None:
        machine = self.machines[number]
        for effect in effects:
            match effect:
                case Send():
                    message = read_sealing_untrusted(effect.message)
                    self.said += votes_in([message])
                    self.hear(message, but=number)
                case Judge():
                    self.carry_out(number, machine.judged(effect.block_id, verdict_on(effect.body), START_MS))
                case Build():
                    body = self.bench.body(effect.round, readys=effect.readys)
                    self.carry_out(number, machine.built(effect.round, body, START_MS))
                case Decide():
                    self.decisions.append(effect)
                case _:
                    continue

    def hear(self, *messages: Sealing, but: int | None = None) -> None:
        for message in messages:
            for number, machine in self.machines.items():
                if number != but:
                    self.carry_out(number, machine.receive(message, START_MS))

    def proposed(self, round_: int) -> ProposalBody | None:
        """A block that one of them has proposed in this round."""
        bodies = [vote.body for vote in self.said if isinstance(vote, Proposal) and vote.round == round_]
        return bodies[0] if bodies else None

    def decided(self) -> bytes:
        (block_id,) = {decision.block_id for decision in self.decisions}
        return block_id


def votes_for(bench: Bench, round_: int, body: ProposalBody, numbers: Iterable[int]) -> list[Vote]:
    """Both votes of these sealers for a block, without a reason."""
    block_id = body.block_id()
    prevotes = [bench.prevote(number, round_, block_id) for number in sorted(numbers)]
    return [*prevotes, *(bench.precommit(number, round_, block_id) for number in sorted(numbers))]


def forked(count: int, rounds: tuple[int, int]) -> tuple[Bench, set[int], list[Vote]]:
    """As many liars as a fork needs, between two groups of honest sealers; one decides in each of these rounds.

    In the same round the proposer is a liar; in two rounds each has its honest proposer. Returns the liars, and every
    vote that was cast, those in the certificates too.
    """
    bench = Bench(count)
    proposers = [bench.proposer(round_) for round_ in rounds]
    rest = [number for number in range(count) if number not in proposers]
    half = count - quorum(count)
    if rounds[0] == rounds[1]:
        parts = [rest[:half], rest[half : 2 * half]]
    else:
        parts = [[proposers[0], *rest[: half - 1]], [proposers[1], *rest[half - 1 : 2 * half - 2]]]
    liars = set(range(count)) - set(parts[0]) - set(parts[1])
    told: list[Vote] = []
    groups = []
    for label, (numbers, round_) in enumerate(zip(parts, rounds, strict=True)):
        group = Group(bench, numbers)
        groups.append(group)
        group.hear(*bench.readys(sorted(set(range(count)) - set(numbers))))
        same = rounds[0] == rounds[1]
        # In round 0 the proposer did not wait for all READYs; in a later one it has them.
        body = group.proposed(round_) or bench.body(round_, label=label if same else 0)
        lies: list[Vote] = [bench.proposal(round_, body)] if same else []
        # Their prevotes also take the group along into this round.
        lies += [
            vote(number, round_, body.block_id())
            for vote in (bench.prevote, bench.precommit)
            for number in sorted(liars)
        ]
        told += lies
        group.hear(*lies)
        assert group.decided() == body.block_id()
        assert len(group.decisions) == len(numbers)
    votes: list[Vote] = [*told, *(vote for group in groups for vote in group.said)]
    for group in groups:
        for decision in group.decisions:
            votes += precommits_of(decision.certificate, LEDGER, bench.keys)
    assert groups[0].decided() != groups[1].decided()
    return bench, liars, votes


@pytest.mark.parametrize(
    ("count", "rounds", "codes"),
    [(3, (0, 0), {"e1", "e2"})]
    + [(count, (0, 0), {"e1", "e2"}) for count in (4, 5, 6, 7, 10)]
    + [(count, rounds, {"e3"}) for count in (4, 5, 6, 7, 10) for rounds in ((0, 1), (1, 3))],
)
def test_fork_names_at_least_2q_minus_n_culprits(count: int, rounds: tuple[int, int], codes: set[str]) -> None:
    """More faults than allowed may fork a ledger; then all that took part stand convicted, and nobody else."""
    bench, liars, votes = forked(count, rounds)
    assert len(liars) == culprits_least(count) == 2 * quorum(count) - count
    assert culprits(bench, votes) == liars
    assert {evidence.code for evidence in find_evidence(votes)} <= codes


def test_two_certificates_of_one_round_are_enough_to_name_them() -> None:
    """Nothing else need be left: whoever is in both has signed both."""
    bench, liars, votes = forked(4, (0, 0))
    precommits = [vote for vote in votes if isinstance(vote, Precommit)]
    assert culprits(bench, precommits) == liars


@pytest.mark.parametrize("count", [4, 5, 6, 7, 10])
def test_one_liar_less_cannot_fork(count: int) -> None:
    """The same attack with one liar less: at most one group decides, however the honest ones are divided."""
    proposer = Bench(count).proposer(0)
    rest = [number for number in range(count) if number != proposer]
    few = culprits_least(count) - 1
    liars = {proposer, *rest[: few - 1]}
    honest = rest[few - 1 :]
    for half in range(1, len(honest)):
        bench, decided = Bench(count), set()
        for label, numbers in enumerate((honest[:half], honest[half:])):
            group = Group(bench, numbers)
            group.hear(*bench.readys(sorted(set(range(count)) - set(numbers))))
            body = bench.body(0, label=label)
            group.hear(bench.proposal(0, body))
            group.hear(
                *(
                    vote(number, 0, body.block_id())
                    for vote in (bench.prevote, bench.precommit)
                    for number in sorted(liars)
                )
            )
            decided |= {machine.decided for machine in group.machines.values()}
        assert len(decided - {None}) <= 1


def test_certificates_of_a_group_hold() -> None:
    """What the groups decide would convince anybody: a fork is no error of the tests."""
    bench, _, votes = forked(4, (0, 1))
    by_block: dict[tuple[int, bytes], dict[int, bytes]] = {}
    for vote in votes:
        if isinstance(vote, Precommit) and vote.block_id is not None:
            rows = by_block.setdefault((vote.round, vote.block_id), {})
            rows[bench.keys.index(vote.signer)] = vote.signature
    certificates = [
        Certificate(height=bench.height, round=round_, block_id=block_id, votes=tuple(sorted(rows.items())))
        for (round_, block_id), rows in by_block.items()
    ]
    assert len(certificates) == 2
    assert all(len(certificate.checks(LEDGER, bench.keys)) >= 3 for certificate in certificates)
