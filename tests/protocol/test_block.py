"""Blocks: headers and their ids, READYs of a block, certificates."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tallystick.crypto.signatures import is_valid
from tallystick.protocol import codec
from tallystick.protocol.block import (
    Block,
    Certificate,
    block_id,
    check_readys,
    read_block_untrusted,
    read_certificate_untrusted,
    read_header_untrusted,
    read_readys_untrusted,
    readys_hash,
    sealers_hash,
)
from tallystick.protocol.errors import BlockError, BlockReason, DecodeError
from tests.support.sealing import HEIGHT, LEDGER, PREV_ID, PREV_TIME, START_MS, Bench, is_signed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "sealing" / "blocks.json").read_text(encoding="utf-8"))
SEALERS = [bytes.fromhex(key) for key in VECTORS["sealers"]]
VECTOR_LEDGER = bytes.fromhex(VECTORS["ledger"])
HEADERS, CERTIFICATES = VECTORS["headers"], VECTORS["certificates"]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


def test_vectors_are_there() -> None:
    """Both outcomes occur in every list."""
    assert HEADERS["accepted"] and HEADERS["refused"] and CERTIFICATES["accepted"] and CERTIFICATES["refused"]


@pytest.mark.parametrize("case", HEADERS["accepted"], ids=by_name)
def test_header_has_its_bytes_and_its_id(case: dict[str, Any]) -> None:
    """Golden: bytes, id, time, and the hash of its READYs, computed here by hand."""
    data = bytes.fromhex(case["header"])
    header = read_header_untrusted(data)
    assert header.encode() == data
    assert header.time == case["time"]
    assert header.id().hex() == block_id(data).hex() == case["id"]
    assert hashlib.sha256(b"tallystick/1/block\0" + data).hexdigest() == case["id"]
    if case["readys"] is not None:
        readys = read_readys_untrusted([bytes.fromhex(wire) for wire in case["readys"]])
        assert readys_hash(readys, SEALERS) == header.readys_hash
        rows = codec.encode([[number, ready.payload] for number, ready in enumerate(readys)])
        assert hashlib.sha256(b"tallystick/1/readys\0" + rows).hexdigest() == case["readys_hash"]


@pytest.mark.parametrize("case", HEADERS["refused"], ids=by_name)
def test_header_is_refused(case: dict[str, Any]) -> None:
    """Golden: each with its reason."""
    with pytest.raises((DecodeError, BlockError)) as error:
        read_header_untrusted(bytes.fromhex(case["header"]))
    assert error.value.reason == case["expect"]


@pytest.mark.parametrize("case", CERTIFICATES["accepted"], ids=by_name)
def test_certificate_names_the_signatures_that_must_hold(case: dict[str, Any]) -> None:
    """Golden: real signatures, judged by the strict rule."""
    data = bytes.fromhex(case["certificate"])
    certificate = read_certificate_untrusted(data)
    assert certificate.encode() == data
    checks = certificate.checks(VECTOR_LEDGER, SEALERS)
    assert [check.key for check in checks] == [SEALERS[index] for index in case["signers"]]
    assert all(is_valid(*check) for check in checks)


@pytest.mark.parametrize("case", CERTIFICATES["refused"], ids=by_name)
def test_certificate_is_refused(case: dict[str, Any]) -> None:
    """Golden: for its form, for too few votes, or because a vote does not hold."""
    try:
        certificate = read_certificate_untrusted(bytes.fromhex(case["certificate"]))
        checks = certificate.checks(VECTOR_LEDGER, SEALERS)
    except (DecodeError, BlockError) as error:
        assert error.reason == case["expect"]
    else:
        assert case["expect"] == "signature"
        assert not any(is_valid(*check) for check in checks)


def test_sealers_hash_is_golden() -> None:
    """In order of enrolment, partner and node key."""
    case = VECTORS["sealers_hash"]
    rows = [(bytes.fromhex(partner), key) for partner, key in zip(case["partners"], SEALERS, strict=True)]
    assert sealers_hash(rows).hex() == case["hash"]
    assert sealers_hash(rows[::-1]) != sealers_hash(rows)


@pytest.mark.parametrize(("count", "enough"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 5), (7, 5), (31, 21)])
def test_certificate_needs_a_quorum(count: int, enough: int) -> None:
    """One vote less than a quorum is too few, whatever the number of sealers."""
    bench = Bench(count)
    votes = tuple((number, bench.precommit(number, 0, bytes(32)).signature) for number in range(count))
    good = Certificate(height=HEIGHT, round=0, block_id=bytes(32), votes=votes[:enough])
    assert is_signed(good.checks(LEDGER, bench.keys))
    few = replace(good, votes=votes[: enough - 1])
    with pytest.raises(BlockError) as error:
        few.checks(LEDGER, bench.keys)
    assert error.value.reason == BlockReason.TOO_FEW


class TestReadys:
    """What a header says of its READYs."""

    bench = Bench(4)

    def reason(self, *, numbers: tuple[int, ...] = (0, 1, 2, 3), **changes: Any) -> str | None:
        readys = self.bench.readys(numbers)
        body = self.bench.body(0, readys=readys)
        try:
            check_readys(replace(body.header, **changes), readys, self.bench.keys, PREV_TIME)
        except BlockError as error:
            return str(error.reason)
        return None

    def test_a_quorum_is_enough(self) -> None:
        """Three of four, whichever they are."""
        assert self.reason() is None
        assert self.reason(numbers=(0, 2, 3)) is None

    def test_two_of_four_are_too_few(self) -> None:
        """What is left out by choice must stay small."""
        assert self.reason(numbers=(0, 1)) == BlockReason.TOO_FEW

    def test_one_for_each_sealer_in_order(self) -> None:
        """Neither twice nor in another order: one block has one form."""
        assert self.reason(numbers=(0, 1, 1, 2)) == BlockReason.NOT_ASCENDING
        assert self.reason(numbers=(0, 2, 1, 3)) == BlockReason.NOT_ASCENDING

    def test_other_readys_are_refused(self) -> None:
        """The header names the READYs by their hash."""
        assert self.reason(readys_hash=bytes(32)) == BlockReason.BAD_READYS

    def test_another_time_is_refused(self) -> None:
        """The proposer does not choose the time."""
        assert self.reason(time=START_MS + 1) == BlockReason.BAD_TIME

    def test_readys_for_another_block_are_refused(self) -> None:
        """Height and block before must be those of the header."""
        assert self.reason(height=HEIGHT + 1) == BlockReason.OTHER_BRANCH
        assert self.reason(prev_id=bytes(32)) == BlockReason.OTHER_BRANCH

    def test_a_stranger_is_refused(self) -> None:
        """Only sealers report."""
        body = self.bench.body(0)
        with pytest.raises(BlockError) as error:
            check_readys(body.header, body.readys, self.bench.keys[:3], PREV_TIME)
        assert error.value.reason == BlockReason.NOT_A_SEALER


def sealed_block(bench: Bench, count: int = 2) -> Block:
    body = bench.body(0, label=count)
    votes = tuple((number, bench.precommit(number, 0, body.block_id()).signature) for number in range(3))
    certificate = Certificate(height=HEIGHT, round=0, block_id=body.block_id(), votes=votes)
    entry_ids = tuple(bytes([number + 1]) * 32 for number in range(count))
    return Block(header=body.header, certificate=certificate, readys=body.readys, entry_ids=entry_ids)


def test_block_round_trips() -> None:
    """Stored and read back it is the same, and offers every signature: three votes and four READYs."""
    bench = Bench(4)
    block = sealed_block(bench)
    assert read_block_untrusted(*block.wire()) == block
    assert block.header.prev_id == PREV_ID
    checks = block.checks(bench.keys, PREV_TIME)
    assert len(checks) == 7
    assert is_signed(checks)


def test_block_of_unlike_parts_is_refused() -> None:
    """A certificate for another block or height, and another number of entries."""
    bench = Bench(4)
    block = sealed_block(bench)
    header, certificate, readys, ids = block.wire()
    other = replace(block.certificate, block_id=bytes(32)).encode()
    higher = replace(block.certificate, height=HEIGHT + 1).encode()
    for parts, reason in (
        ((header, other, readys, ids), BlockReason.OTHER_BRANCH),
        ((header, higher, readys, ids), BlockReason.OTHER_HEIGHT),
        ((header, certificate, readys, ids[:1]), BlockReason.BAD_BODY),
        ((header, certificate, readys, [ids[0], ids[0]]), BlockReason.BAD_BODY),
        ((header, certificate, [*readys, certificate], ids), BlockReason.MALFORMED),
        ((header, certificate, [bench.status(0).wire()], ids), BlockReason.UNKNOWN_TYPE),
        ((header, certificate, readys * 9, ids), BlockReason.MALFORMED),
    ):
        with pytest.raises(BlockError) as error:
            read_block_untrusted(*parts)
        assert error.value.reason == reason
