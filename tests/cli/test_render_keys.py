"""Devices, requests for new keys and forks, as a person reads them."""

from __future__ import annotations

from typing import Any

from tallystick.cli.render_keys import devices, fork, recoveries
from tallystick.cli.render_status import status

NOW = 1_790_000_000_000
ANA, BO = "aa" * 32, "bb" * 32


def device(**more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "device": "cc" * 32,
        "label": None,
        "scope": "all",
        "status": "active",
        "entries": 3,
        "since": NOW,
        "node_key": "dd" * 32,
        "convicted": False,
        "sealing": None,
        "fingerprint": "six words",
        "this": False,
        "pending": False,
    }
    return row | more


def test_devices() -> None:
    """What each may sign and what is wrong with it; labels are others' words."""
    text = devices(
        [
            device(this=True, sealing="active"),
            device(label="pho\u202ene", scope="work", status="frozen"),
            device(convicted=True, sealing="benched", pending=True),
            device(sealing="requested"),
        ],
        NOW,
    )
    assert "this one; seals" in text
    assert "signed two entries with one number" in text
    assert "on the bench; its node key never seals again; not sealed yet" in text
    assert "asks to seal" in text
    assert "\u202e" not in text
    assert devices([], NOW) == "no computer is known here"


def recovery(**more: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "request": "ee" * 32,
        "partner": ANA,
        "name": "Ana",
        "fingerprint": "one two three four five six",
        "at": NOW,
        "approved": [],
        "approved_names": [],
        "needed": 2,
        "ready": None,
        "vetoed": False,
        "overruled": False,
        "lapses": NOW + 90 * 86_400_000,
        "mine": False,
    }
    return row | more


def test_recoveries() -> None:
    """Who has approved, by when it works, and what has stopped it."""
    assert recoveries([], NOW) == "nobody asks for new keys"
    text = recoveries([recovery(mine=True)], NOW)
    assert "Ana (aaaaaaaa) asks for new keys (in your name)" in text
    assert "one two three four five six" in text
    assert "0 of 2 partners approve" in text
    ready = {"approved": [BO], "approved_names": ["Bo"], "ready": NOW + 30 * 86_400_000}
    text = recoveries([recovery(**ready)], NOW)
    assert "1 of 2 partners approve: Bo" in text
    assert "works by" in text
    text = recoveries([recovery(**ready, vetoed=True)], NOW)
    assert "stopped" in text
    assert "works by" not in text
    text = recoveries([recovery(**ready, vetoed=True, overruled=True)], NOW)
    assert "overruled" in text
    assert "works by" in text


def branch(block: str) -> dict[str, Any]:
    return {
        "block": block * 32,
        "time": NOW,
        "state_root": "00" * 32,
        "round": 0,
        "entries": 1,
        "sealed_by": [{"partner": ANA, "name": "Ana", "node_key": "dd" * 32}],
    }


def test_fork() -> None:
    """Both branches, what only one has, who signed both, and that nothing resolves it."""
    assert "has not forked" in fork({"forked": False}, NOW)
    answer = {
        "forked": True,
        "height": 7,
        "ours": branch("11"),
        "theirs": branch("22"),
        "only_ours": [{"entry": "33" * 32, "kind": "offer", "partner": BO, "name": "Bo"}],
        "only_theirs": [{"entry": "44" * 32, "kind": None, "partner": None, "name": None}],
        "culprits": [
            {"partner": ANA, "name": "Ana", "node_key": "dd" * 32, "proof": "e1"},
            {"partner": BO, "name": None, "node_key": "ee" * 32, "proof": None},
        ],
        "since": 2,
    }
    text = fork(answer, NOW)
    for line in (
        "forked at #7",
        "here: block 11111111",
        "there: block 22222222",
        "only here: 33333333 offer by Bo (bbbbbbbb)",
        "only there: 44444444 unknown",
        "2 blocks follow",
        "signed both: Ana (aaaaaaaa), node key dddddddd, proven (e1)",
        "signed both: bbbbbbbb, node key eeeeeeee, in different rounds",
        "choose a branch together",
    ):
        assert line in text


def test_status_tells_of_a_fork() -> None:
    """It is the first thing to know, whatever else is said."""
    answer = {"ledger": "99" * 32, "name": "Cafe", "height": 9, "block": "11" * 32, "fork": 7}
    assert "FORKED at #7" in status(answer, NOW)
    assert "FORKED" not in status({**answer, "fork": None}, NOW)
