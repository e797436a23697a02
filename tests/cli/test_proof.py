"""Proofs for outsiders: what is shown is so, and nothing that was changed is believed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli import proof_check
from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node.reads import READS
from tallystick.protocol import codec
from tallystick.protocol.ballot import precommit_payload
from tallystick.protocol.block import read_header_untrusted, sealers_hash
from tests.sim.cluster import Cluster
from tests.sim.scenario import CHARTER


@pytest.fixture(scope="module")
def ledger() -> dict[str, Any]:
    """Proofs of a ledger with three sealers, who came one after the other."""
    with Cluster(11) as cluster:
        cluster.found(CHARTER, "ana")
        for name in ("bo", "cy"):
            cluster.join(name, "ana")
            cluster.connect_all()
            cluster.run_until(cluster.is_settled, 60_000, "the join is everywhere")
            member = cluster.machines[name].acknowledged[0].hex()
            cluster.do("ana", "admit", {"partner": member, "sealer": True})
            cluster.run_until(cluster.is_settled, 60_000, "the admission is everywhere")
            if name == "cy":
                cluster.do("bo", "admit", {"partner": member, "sealer": True})
            cluster.do(name, "sealer", {"on": True})
            cluster.run_until(cluster.is_settled, 60_000, "it seals")
        cluster.do("bo", "offer", {"step": "bake", "units": 3})
        cluster.run_until(cluster.is_settled, 60_000, "the offer is sealed")
        from tallystick.node.desk import Desk

        view = Desk(cluster.machines["ana"].live).view(cluster.now)
        bo = cluster.machines["bo"].acknowledged[0].hex()
        return {"bo": READS["prove_points"](view, {"partner": bo}), "member": bo, "ledger": view.ledger}


def test_a_proof_shows_the_points(ledger: dict[str, Any]) -> None:
    """The stand-alone program finds what the ledger says, and how many sealed it."""
    shown = proof_check.check(ledger["bo"])
    assert shown["partner"] == ledger["member"]
    assert shown["points"] == 500
    assert shown["height"] == ledger["ledger"].head.height
    assert (shown["votes"] >= 2, shown["sealers"]) == (True, 3)


def test_the_program_stands_alone(ledger: dict[str, Any], tmp_path: Path) -> None:
    """It runs from another folder as one file, and imports nothing of Tallystick."""
    program = tmp_path / "proof_check.py"
    program.write_bytes(Path(proof_check.__file__).read_bytes())
    (tmp_path / "proof.json").write_text(json.dumps(ledger["bo"]))
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(tmp_path / "proof.json")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "has 500 points" in done.stdout
    when = datetime.fromtimestamp(ledger["ledger"].head.time / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    assert f"of {when}" in done.stdout
    assert "does not show" in done.stdout
    assert "tallystick" not in [
        line.split()[1] for line in program.read_text().splitlines() if line.startswith("import")
    ]


def test_a_missing_row_is_shown_as_zero(ledger: dict[str, Any]) -> None:
    """Who has no account has 0 points, and that can be proved, too."""
    proof = copy.deepcopy(ledger["bo"])
    shown = ledger["ledger"].prove("acct/POINT/partner/" + "0" * 64)
    from tallystick.node.proof import _absence

    proof["key"] = "acct/POINT/partner/" + "0" * 64
    del proof["value"], proof["inclusion"]
    proof["absence"] = _absence(ledger["ledger"].state, shown)
    assert proof_check.check(proof)["points"] == 0


def _digits(text: str) -> str:
    middle = len(text) // 2
    return text[:middle] + ("0" if text[middle] != "0" else "1") + text[middle + 1 :]


@pytest.mark.parametrize("part", ["ledger", "founding", "key", "value"])
def test_a_changed_part_is_refused(ledger: dict[str, Any], part: str) -> None:
    """One digit of any part is enough."""
    proof = copy.deepcopy(ledger["bo"])
    proof[part] = _digits(proof[part])
    with pytest.raises((proof_check.BadProof, ValueError, KeyError, IndexError)):
        proof_check.check(proof)


def test_nobody_seals_who_was_not_named_before(ledger: dict[str, Any]) -> None:
    """A block after the last one, in which a stranger names itself the only sealer and votes for it: not believed."""
    proof = copy.deepcopy(ledger["bo"])
    height = len(proof["headers"])
    stranger = SecretKey.from_seed(b"s" * 32)
    ledger_id = bytes.fromhex(proof["ledger"])
    last = read_header_untrusted(bytes.fromhex(proof["headers"][-1]))
    seat = (b"m" * 32, stranger.public)
    named = sealers_hash([seat])
    header = replace(
        last, height=height + 1, prev_id=last.id(), time=last.time + 1, sealers_hash=named, sealers_next_hash=named
    )
    payload = precommit_payload(ledger_id, height + 1, 0, header.id())
    vote = stranger.sign(signed_bytes(SignType.PRECOMMIT, ledger_id, payload))
    proof["headers"].append(header.encode().hex())
    proof["sealers"].append([height + 1, [[seat[0].hex(), seat[1].hex()]]])
    proof["certificates"].append([height + 1, codec.encode([height + 1, 0, header.id(), [[0, vote]]]).hex()])
    with pytest.raises(proof_check.BadProof, match="not theirs to seal"):
        proof_check.check(proof)


@pytest.mark.parametrize(("name", "place"), [("ana", 0), ("bo", 1), ("cy", 2)])
def test_no_sealer_is_counted_twice(ledger: dict[str, Any], name: str, place: int) -> None:
    """Places are counted from the front alone: -1 is no second place of the last one, who could forge a quorum so."""
    proof = copy.deepcopy(ledger["bo"])
    height = len(proof["headers"])
    last = read_header_untrusted(bytes.fromhex(proof["headers"][-1]))
    value = codec.encode([1_000_000])
    leaf = codec.encode([proof["key"], [1_000_000]])
    root = tagged_hash("state", codec.encode([1, sha256(b"\0" + leaf).digest()]))
    header = replace(last, height=height + 1, prev_id=last.id(), time=last.time + 1, state_root=root)
    payload = precommit_payload(bytes.fromhex(proof["ledger"]), height + 1, 0, header.id())
    message = signed_bytes(SignType.PRECOMMIT, bytes.fromhex(proof["ledger"]), payload)
    cheat = SecretKey.from_seed(sha256(f"sim/node/{name}".encode()).digest())
    votes = [[place - 3, cheat.sign(message)], [place, cheat.sign(message)]]
    proof["headers"].append(header.encode().hex())
    proof["certificates"].append([height + 1, codec.encode([height + 1, 0, header.id(), votes]).hex()])
    proof |= {"value": value.hex(), "inclusion": [0, 1, []]}
    with pytest.raises(proof_check.BadProof, match="votes that are not ascending"):
        proof_check.check(proof)


@pytest.mark.parametrize("wrong", ["", "node", "device", "possession", "kind"])
def test_a_founder_that_was_added_by_another_device_has_agreed(wrong: str) -> None:
    """Its own signature over both keys is in the `device.add`; what only the other one says is not enough."""
    ledger, other = b"l" * 32, SecretKey.from_seed(b"o" * 32)
    founder, node = SecretKey.from_seed(b"f" * 32), SecretKey.from_seed(b"n" * 32)
    message = signed_bytes(SignType.POSSESSION, ledger, codec.encode([founder.public, node.public, other.public]))
    body = {
        "device": (other if wrong == "device" else founder).public,
        "node_key": node.public,
        "scope": "all",
        "possession": (other if wrong == "possession" else founder).sign(message),
        "possession_node": node.sign(message),
    }
    kind = "device.claim" if wrong == "kind" else "device.add"
    said = codec.encode([1, ledger, other.public, 3, bytes(32), [], None, 0, kind, body, None])
    founding = codec.encode([1, bytes(32), founder.public])
    first = other.public if wrong == "node" else node.public
    if wrong:
        with pytest.raises(proof_check.BadProof):
            proof_check.check_founder(founding, first, said, bytes(64))
    else:
        proof_check.check_founder(founding, first, said, bytes(64))


def test_every_header_certificate_and_sealer_counts(ledger: dict[str, Any]) -> None:
    """A change in any header, certificate, seat or sibling is found; so is one that is left out."""
    proof = ledger["bo"]
    changed: list[dict[str, Any]] = []
    for part in ("headers", "certificates", "sealers"):
        for index in range(len(proof[part])):
            one = copy.deepcopy(proof)
            if part == "headers":
                one[part][index] = _digits(one[part][index])
            elif part == "certificates":
                one[part][index][1] = _digits(one[part][index][1])
            else:
                one[part][index][1][-1][1] = _digits(one[part][index][1][-1][1])
            changed.append(one)
            without = copy.deepcopy(proof)
            del without[part][index]
            changed.append(without)
    for index in range(len(proof["inclusion"][2])):
        one = copy.deepcopy(proof)
        one["inclusion"][2][index] = _digits(one["inclusion"][2][index])
        changed.append(one)
    assert len(changed) > 20
    believed = 0
    for one in changed:
        try:
            shown = proof_check.check(one)
        except (proof_check.BadProof, ValueError, KeyError, IndexError, TypeError):
            continue
        # Without its last header a proof would be one of an earlier block: its row is not in that state.
        believed += shown["height"] == len(proof["headers"])
    assert believed == 0
