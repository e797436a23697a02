"""Sealing messages: golden vectors, one form for one message, limits."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.signatures import SignType, is_valid
from tallystick.protocol import codec
from tallystick.protocol.ballot import Prevote, make_precommit, make_prevote
from tallystick.protocol.errors import BlockError, BlockReason, DecodeError, Reason
from tallystick.protocol.proposal import Proposal
from tallystick.protocol.ready import (
    FRONTIER_SIZE_BYTES_MAX,
    block_time,
    frontier_hash,
    heads_of,
    make_ready,
    read_frontier_untrusted,
)
from tallystick.protocol.sealing import MESSAGE_SIZE_BYTES_MAX, make_status, read_sealing_untrusted
from tests.support.sealing import HEIGHT, LEDGER, PREV_ID, START_MS, Bench, QuickSigner, frontier, is_signed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sealing" / "messages.json").read_text(encoding="utf-8"))
VECTOR_LEDGER = bytes.fromhex(VECTORS["ledger"])


def reason_of(wire: bytes) -> str | None:
    """Why a message is refused; None if it is not."""
    try:
        read_sealing_untrusted(wire)
    except (DecodeError, BlockError) as error:
        return str(error.reason)
    return None


def test_vectors_are_there() -> None:
    """An empty file of vectors would pass every test below."""
    assert {case["type"] for case in VECTORS["accepted"]} == {"ready", "proposal", "prevote", "precommit", "status"}
    assert len(VECTORS["refused"]) > 50


@pytest.mark.parametrize("case", VECTORS["accepted"], ids=lambda case: case["name"])
def test_message_is_read_and_written_alike(case: dict[str, Any]) -> None:
    """Golden: the bytes on the wire, the signed payload, and every signature with the strict rule."""
    wire = bytes.fromhex(case["wire"])
    message = read_sealing_untrusted(wire)
    assert message.wire() == wire
    assert message.payload.hex() == case["payload"]
    assert case["type"] == message.TYPE
    assert message.ledger == VECTOR_LEDGER
    assert len(message.checks()) == case["checks"]
    assert all(is_valid(*check) for check in message.checks())
    for name in case.keys() - {"name", "type", "wire", "payload", "checks"}:
        assert getattr(message, name) == case[name]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_message_is_refused(case: dict[str, Any]) -> None:
    """Golden: every refusal has its reason."""
    assert reason_of(bytes.fromhex(case["wire"])) == case["expect"]


def test_signed_bytes_are_those_of_the_specification() -> None:
    """Type, ledger and payload are signed; computed here by hand."""
    bench = Bench(4)
    for message in (bench.ready(0), bench.prevote(0, 0, None), bench.precommit(0, 0, None), bench.status(0)):
        (check,) = message.checks()
        prefix = b"tallystick/1/sign/" + message.TYPE.value.encode() + b"\0"
        assert check.message == prefix + LEDGER + message.payload
        assert check.key == bench.keys[0]


def test_frontier_hash_is_that_of_the_specification() -> None:
    """The tag is `frontier`."""
    assert frontier_hash(b"\x90") == hashlib.sha256(b"tallystick/1/frontier\0\x90").digest()


def test_payloads_are_those_of_the_specification() -> None:
    """Order and number of the fields, as arrays."""
    bench = Bench(4)
    body = bench.body(2)
    ready = bench.ready(1)
    assert codec.decode(ready.payload) == [1, LEDGER, HEIGHT, PREV_ID, START_MS, frontier_hash(ready.frontier), 1]
    assert codec.decode(bench.prevote(0, 3, body.block_id(), 1).payload) == [
        1,
        LEDGER,
        1,
        HEIGHT,
        3,
        body.block_id(),
        2,
    ]
    assert codec.decode(bench.prevote(0, 3, None).payload) == [1, LEDGER, 1, HEIGHT, 3, None, 0]
    assert codec.decode(bench.precommit(0, 3, None).payload) == [1, LEDGER, 2, HEIGHT, 3, None]
    assert codec.decode(bench.proposal(2, body).payload) == [1, LEDGER, HEIGHT, 2, body.block_id(), 0]
    status = bench.status(0, round_=1, step=2, prevotes=5, precommits=1)
    assert codec.decode(status.payload) == [1, LEDGER, HEIGHT, 1, 2, 5, 1, START_MS]


def test_precommits_of_all_sealers_are_the_same_bytes() -> None:
    """So a certificate needs one message and many signatures."""
    bench = Bench(4)
    assert len({bench.precommit(number, 2, bytes(32)).payload for number in range(4)}) == 1


def test_nested_signatures_are_offered_too() -> None:
    """A proposal is used only when the READYs and prevotes in it hold as well; a forged one inside shows."""
    bench = Bench(4)
    body = bench.body(0)
    votes = [bench.prevote(number, 0, body.block_id()) for number in range(3)]
    proposal = bench.proposal(1, body, vr=0, prevotes=votes)
    assert len(proposal.checks()) == 1 + 4 + 3
    assert is_signed(proposal.checks())
    forged = Prevote(
        ledger=votes[0].ledger,
        height=votes[0].height,
        signer=votes[0].signer,
        signature=bytes(64),
        payload=votes[0].payload,
        round=0,
        block_id=body.block_id(),
        jr=-1,
    )
    assert not is_signed(bench.proposal(1, body, vr=0, prevotes=[forged]).checks())


def test_proposal_without_its_body_is_the_same_proposal() -> None:
    """The body is not signed, so it may travel apart."""
    bench = Bench(4)
    proposal = bench.proposal(0, bench.body(0))
    bare = read_sealing_untrusted(proposal.without_body().wire())
    assert isinstance(bare, Proposal)
    assert bare.body is None
    assert bare.payload == proposal.payload
    assert bare.checks() == proposal.checks()[:1]


def test_largest_frontier_is_read() -> None:
    """1024 devices with 4 branches each fit; one device or one branch more does not."""
    rows = [
        [number.to_bytes(32, "big"), [[2**52 + seq, bytes([seq + 1]) * 32] for seq in range(4)]]
        for number in range(1, 1025)
    ]
    data = codec.encode(rows)
    assert len(data) < FRONTIER_SIZE_BYTES_MAX
    frontier_read = read_frontier_untrusted(data)
    assert len(heads_of(frontier_read)) == 4096
    ready = make_ready(
        QuickSigner(0), ledger=LEDGER, height=1, prev_id=PREV_ID, time=START_MS, frontier=data, count=4096
    )
    assert read_sealing_untrusted(ready.wire()) == ready
    with pytest.raises(BlockError) as error:
        read_frontier_untrusted(codec.encode([*rows, [b"\xff" * 32, [[0, bytes(32)]]]]))
    assert error.value.reason == BlockReason.MALFORMED


def test_largest_proposal_is_read() -> None:
    """31 sealers, each with the largest frontier: it still fits one message."""
    bench = Bench(31)
    branches = [[2**52 + seq, bytes([seq + 1]) * 32] for seq in range(4)]
    rows = [[number.to_bytes(32, "big"), branches] for number in range(1024)]
    data = codec.encode(rows)
    readys = tuple(
        make_ready(signer, ledger=LEDGER, height=HEIGHT, prev_id=PREV_ID, time=START_MS, frontier=data, count=4096)
        for signer in bench.signers
    )
    body = bench.body(0, readys=readys)
    votes = [bench.prevote(number, 0, body.block_id()) for number in range(31)]
    wire = bench.proposal(1, body, vr=0, prevotes=votes).wire()
    assert 6_000_000 < len(wire) < MESSAGE_SIZE_BYTES_MAX
    assert read_sealing_untrusted(wire).wire() == wire


def test_message_that_is_too_large_costs_nothing() -> None:
    """Its size is looked at first."""
    assert reason_of(bytes(MESSAGE_SIZE_BYTES_MAX + 1)) == Reason.TOO_LARGE


def test_frontier_of_nothing_is_read() -> None:
    """A due tick alone is reason enough for a block."""
    assert read_frontier_untrusted(b"\x90") == ()


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [([5_000], 5_000), ([5_000, 9_000], 5_000), ([9_000, 5_000, 7_000], 7_000), ([1, 2, 8_000, 9_000], 1_001)],
)
def test_block_time_is_the_lower_median_after_the_block_before(clocks: list[int], expected: int) -> None:
    """No clock alone decides, and time never goes back."""
    bench = Bench(4)
    readys = [bench.ready(number, time=clock) for number, clock in enumerate(clocks)]
    assert block_time(1_000, readys) == expected


@given(
    st.integers(0, 2**31 - 1),
    st.one_of(st.none(), st.binary(min_size=32, max_size=32)),
    st.integers(-1, 2**31),
)
def test_prevote_round_trips_or_is_refused(round_: int, block_id: bytes | None, jr: int) -> None:
    """What can be made can be read, and nothing else can be made."""
    may_be = -1 <= jr < round_ if block_id is not None else jr == -1
    may_be = may_be or (jr == -1 and block_id is not None)
    try:
        vote = make_prevote(
            QuickSigner(0, honest=False), ledger=LEDGER, height=1, round_=round_, block_id=block_id, jr=jr
        )
    except BlockError as error:
        assert error.reason == BlockReason.MALFORMED
        assert not may_be
    else:
        assert may_be
        assert read_sealing_untrusted(vote.wire()) == vote


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_our_errors_only(data: bytes) -> None:
    """A reader of what a peer sent raises DecodeError and BlockError and nothing else."""
    assert reason_of(data) is not None


@given(st.data())
def test_damaged_messages_are_refused_or_are_other_messages(data: st.DataObject) -> None:
    """One changed byte never goes unnoticed: it is refused, or it is another message, or its signature fails."""
    bench = Bench(4)
    body = bench.body(0)
    message = data.draw(
        st.sampled_from(
            [bench.ready(0), bench.prevote(0, 0, body.block_id()), bench.status(0), bench.proposal(0, body)]
        )
    )
    wire = bytearray(message.wire())
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    if reason_of(bytes(wire)) is None:
        assert not is_signed(read_sealing_untrusted(bytes(wire)).checks())


def test_types_do_not_serve_for_one_another() -> None:
    """A vote's signature is none of another type's, even over the same payload."""
    signer = QuickSigner(0, honest=False)
    vote = make_precommit(signer, ledger=LEDGER, height=1, round_=0, block_id=None)
    assert signer.sign(SignType.PREVOTE, vote.payload) != vote.signature
    status = make_status(signer, ledger=LEDGER, height=1, round_=-1, step=0, prevotes=0, precommits=0, now=START_MS)
    assert status.attachment() is None


def test_frontiers_of_tests_are_canonical() -> None:
    """The builder of the other tests makes what the reader takes."""
    assert [branches[0][0] for _, branches in read_frontier_untrusted(frontier((1, 5), (2, 5)))] == [5, 5]
