"""Evidence: what convicts a node key, what does not, and the entry that says so."""

import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tallystick.crypto.signatures import is_valid
from tallystick.protocol.ballot import make_precommit, make_prevote
from tallystick.protocol.block import Certificate
from tallystick.protocol.errors import BlockError, DecodeError, EntryError, Reason
from tallystick.protocol.evidence import (
    check_evidence,
    contradiction,
    find_evidence,
    precommits_of,
    read_evidence_untrusted,
)
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.evidence import Convict
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.quorum import quorum
from tallystick.protocol.sealers import active_sealers
from tallystick.protocol.signed import KeySigner
from tests.support.builders import World, key
from tests.support.market import MARKET
from tests.support.refounding import refound, rejoin
from tests.support.sealing import HEIGHT, LEDGER, Bench, is_signed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sealing" / "evidence.json").read_text(encoding="utf-8"))
VECTOR_LEDGER = bytes.fromhex(VECTORS["ledger"])
A, B = b"a" * 32, b"b" * 32


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_vectors_are_there() -> None:
    """Every code convicts at least once, and much more proves nothing."""
    assert {case["code"] for case in VECTORS["accepted"]} == {"e1", "e2", "e3"}
    assert len(VECTORS["refused"]) > len(VECTORS["accepted"])


@pytest.mark.parametrize("case", VECTORS["accepted"], ids=by_name)
def test_evidence_convicts(case: dict[str, Any]) -> None:
    """Golden: bytes, code, accused key, and signatures by the strict rule."""
    data = bytes.fromhex(case["evidence"])
    evidence = read_evidence_untrusted(data)
    assert evidence.encode() == data
    assert evidence.code == case["code"]
    assert check_evidence(evidence, VECTOR_LEDGER).hex() == case["accused"]
    assert all(is_valid(*check) for check in evidence.checks())
    with pytest.raises(BlockError) as error:
        check_evidence(evidence, bytes(32))
    assert error.value.reason == "wrong-ledger"


@pytest.mark.parametrize("case", VECTORS["refused"], ids=by_name)
def test_evidence_is_refused(case: dict[str, Any]) -> None:
    """Golden: each with its reason."""
    with pytest.raises((DecodeError, BlockError)) as error:
        read_evidence_untrusted(bytes.fromhex(case["evidence"]))
    assert error.value.reason == case["expect"]


def test_order_of_the_messages_does_not_matter() -> None:
    """Whoever finds a contradiction writes the same bytes."""
    bench = Bench(4)
    votes = [bench.prevote(0, 1, A), bench.prevote(0, 1, B), bench.precommit(0, 0, A), bench.precommit(0, 0, B)]
    for one, other in itertools.permutations(votes, 2):
        first, second = contradiction(one, other), contradiction(other, one)
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert first.encode() == second.encode()
    assert len({tuple(proof.encode() for proof in find_evidence(row)) for row in itertools.permutations(votes)}) == 1


def test_another_signature_of_the_same_vote_is_no_second_vote() -> None:
    """One message has many valid Ed25519 signatures; nobody is convicted by them."""
    vote = Bench(4).precommit(0, 0, A)
    other = type(vote)(
        ledger=vote.ledger,
        height=vote.height,
        signer=vote.signer,
        signature=bytes(64),
        payload=vote.payload,
        round=vote.round,
        block_id=vote.block_id,
    )
    assert contradiction(vote, other) is None


def test_votes_of_two_signers_do_not_contradict() -> None:
    """Disagreement is no fault."""
    bench = Bench(4)
    assert contradiction(bench.prevote(0, 0, A), bench.prevote(1, 0, B)) is None


def test_body_of_a_proposal_is_no_part_of_the_evidence() -> None:
    """Two proposals make a small piece of evidence, whatever is attached to them."""
    bench = Bench(4)
    proposals = [bench.proposal(0, bench.body(0, label=label)) for label in (1, 2)]
    evidence = contradiction(*proposals)
    assert evidence is not None
    assert evidence.code == "e2"
    assert len(evidence.encode()) < 500
    assert read_evidence_untrusted(evidence.encode()) == evidence
    assert is_signed(evidence.checks())


def test_votes_in_a_certificate_are_messages_like_others() -> None:
    """Two certificates of one round convict everybody who is in both."""
    bench = Bench(4)
    certificates = [
        Certificate(
            height=HEIGHT,
            round=0,
            block_id=block,
            votes=tuple((number, bench.precommit(number, 0, block).signature) for number in numbers),
        )
        for block, numbers in ((A, (0, 1, 2)), (B, (1, 2, 3)))
    ]
    votes = [vote for each in certificates for vote in precommits_of(each, LEDGER, bench.keys)]
    assert is_signed(check for vote in votes for check in vote.checks())
    assert {bench.keys.index(proof.accused) for proof in find_evidence(votes)} == {1, 2}


# -- the entry ---------------------------------------------------------------------------------------------------------


def world_with_two_sealers() -> World:
    world = World.found(MARKET, "bo", "cy")
    world.do("bo", SealerOn(device=world.people["bo"].secret.public))
    world.do("ana", Admit(member=world.people["bo"].member, sealer=True))
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 2
    return world


def double_vote(world: World, name: str, ledger: bytes | None = None) -> Convict:
    signer = KeySigner(world.people[name].node, ledger or world.ledger.id)
    votes = [
        make_precommit(signer, ledger=ledger or world.ledger.id, height=9, round_=0, block_id=block) for block in (A, B)
    ]
    evidence = contradiction(*votes)
    assert evidence is not None
    return Convict(evidence=evidence.encode())


def test_convicted_key_never_seals_again() -> None:
    """At the boundary it goes, and it cannot ask anew; its partner keeps all else."""
    world = world_with_two_sealers()
    bo = world.people["bo"]
    world.do("cy", double_vote(world, "bo"))
    world.seal()
    state = world.ledger.state
    assert state.keys[bo.node.public].use == "convicted"
    assert [row.member for row in active_sealers(state)] == [world.people["ana"].member]
    assert state.members[bo.member].status == "active"
    assert world.refused("bo", SealerOn(device=bo.secret.public)) is Reason.NOT_ALLOWED


def test_second_evidence_is_already_done() -> None:
    """A key is convicted once, of whatever."""
    world = world_with_two_sealers()
    world.do("cy", double_vote(world, "bo"))
    assert world.refused("ana", double_vote(world, "bo")) is Reason.ALREADY_DONE


def test_key_of_nobody_is_not_found() -> None:
    """Evidence against a key that is no node key here changes nothing."""
    world = world_with_two_sealers()
    stranger = World.found(MARKET, "zoe")
    stranger.people["ana"].node = stranger.people["zoe"].node
    world.people["zoe"] = stranger.people["zoe"]
    assert world.refused("cy", double_vote(world, "zoe")) is Reason.NOT_FOUND


def test_observer_may_say_so_too() -> None:
    """What is proven is proven by whoever shows it."""
    world = world_with_two_sealers()
    world.join("ed", standing="observer")
    world.do("ed", double_vote(world, "bo"))


@pytest.mark.parametrize("damage", [b"", b"\x90", b"\xff"])
def test_malformed_evidence_is_malformed(damage: bytes) -> None:
    """It is judged by its form on receipt: such an entry never enters a ledger."""
    with pytest.raises(EntryError) as error:
        read_body("evidence", {"evidence": damage})
    assert error.value.reason is Reason.MALFORMED


def test_two_honest_votes_are_malformed_evidence() -> None:
    """What proves nothing is no evidence, by its form alone."""
    world = world_with_two_sealers()
    data = bytearray(double_vote(world, "bo").evidence)
    evidence = read_evidence_untrusted(bytes(data))
    twice = type(evidence)(code="e1", first=evidence.first, second=evidence.first)
    with pytest.raises(EntryError) as error:
        read_body("evidence", {"evidence": twice.encode()})
    assert error.value.reason is Reason.MALFORMED


def test_evidence_of_another_ledger_convicts_nobody() -> None:
    """A node key that somebody uses in two ledgers has done nothing wrong here."""
    world = world_with_two_sealers()
    assert world.refused("cy", double_vote(world, "bo", ledger=B)) is Reason.NOT_FOUND


def test_evidence_of_the_ledger_before_convicts() -> None:
    """Whoever signed both branches of a fork does not seal in the ledger that is founded anew on one of them."""
    world = world_with_two_sealers()
    body = double_vote(world, "bo", ledger=world.ledger.id)
    new = refound(world, "ana", "cy")
    new.do("ana", body)
    new.seal()
    assert new.ledger.state.keys[new.people["bo"].node.public].use == "convicted"
    rejoin(new, "bo")
    assert new.people["bo"].member not in {row.member for row in new.ledger.state.sealers.values()}


def test_forged_evidence_does_not_hold() -> None:
    """Its signatures are among the proofs that are checked on receipt; here one is of another key."""
    world = world_with_two_sealers()
    signer, forger = (KeySigner(world.people[name].node, world.ledger.id) for name in ("bo", "cy"))
    good = make_prevote(signer, ledger=world.ledger.id, height=9, round_=0, block_id=A, jr=-1)
    other = make_prevote(forger, ledger=world.ledger.id, height=9, round_=0, block_id=B, jr=-1)
    forged = type(other)(
        ledger=other.ledger,
        height=other.height,
        signer=good.signer,
        signature=other.signature,
        payload=other.payload,
        round=0,
        block_id=B,
        jr=-1,
    )
    evidence = contradiction(good, forged)
    assert evidence is not None
    body = Convict(evidence=evidence.encode())
    proofs = body.proofs(world.unsent("cy", body, world.now + 1), lambda _: None)
    assert sorted(is_valid(*proof) for proof in proofs) == [False, True]


def test_every_fork_names_as_many_as_it_takes() -> None:
    """Random quorums for two blocks of one height, in one round or in several: at least 2Q - n are named, none falsely.

    The other block may be carried through more rounds: whoever votes for it with a later reason has forgotten nothing.
    """
    chance = random.Random(20)
    keys = [KeySigner(key(f"sealer-{number}", "node"), B) for number in range(10)]
    for _ in range(150):
        count = chance.randint(4, 10)
        need = quorum(count)
        sealers = keys[:count]
        base, more = chance.randint(0, 2), chance.randint(0, 3)
        first = chance.sample(sealers, need)
        votes: list[Any] = [make_precommit(each, ledger=B, height=9, round_=base, block_id=A) for each in first]
        reason, turned = -1, []
        for round_ in range(base + 1, base + 1 + more):
            voters = chance.sample(sealers, need)
            turned = turned or voters
            votes += [make_prevote(each, ledger=B, height=9, round_=round_, block_id=B, jr=reason) for each in voters]
            reason = round_
        last = chance.sample(sealers, need)
        votes += [make_precommit(each, ledger=B, height=9, round_=base + more, block_id=B) for each in last]
        chance.shuffle(votes)
        named = {proof.accused for proof in find_evidence(votes)}
        guilty = {each.public for each in first} & {each.public for each in (turned or last)}
        assert named == guilty
        assert len(named) >= 2 * need - count
