"""Rehearsals whose results a second program computed, written anew from the words of the
charter's rules, by somebody who had read the code before: what both misread goes unseen.

`tests/vectors/second-reading.json` has forty made-up histories under forty made-up charters, chosen so that together
they hold most of what can happen: 2 500 entries of every command, most reasons to be void, deals in every status,
proposals of every type that pass and fail, sales, departures, duty, vesting and referrals. The two programs share no
line; on 1 266 more such histories they agreed as well.
"""

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.protocol.rehearsal import Rehearsal
from tallystick.protocol.scenario import read_scenario

PATH: Final = Path(__file__).resolve().parent.parent / "vectors" / "second-reading.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text(encoding="utf-8"))


def no_file(path: str) -> dict[str, Any]:
    raise FileNotFoundError(path)


def played(scenario: dict[str, Any]) -> dict[str, Any]:
    """What comes of it, in the shape of the file: no empty account, and the numbers of void entries."""
    answer = Rehearsal(read_scenario(copy.deepcopy(scenario), no_file)).play().to_json()
    accounts = {
        commodity: {name: amount for name, amount in rows.items() if amount}
        for commodity, rows in answer["accounts"].items()
    }
    return answer | {
        "accounts": {commodity: rows for commodity, rows in accounts.items() if rows},
        "void": [number for number, row in enumerate(answer["entries"], start=1) if row["status"] == "void"],
    }


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_both_readings_come_to_the_same(number: int) -> None:
    """Time, height, every account, what is vested, deals, proposals, how many postings, and what is void."""
    row = ROWS[number]
    found = played(row["scenario"])
    assert {key: found[key] for key in row["expect"]} == row["expect"]


def test_together_they_hold_what_can_happen() -> None:
    """The file was not emptied: every command, every lasting status, many reasons."""
    answers = [played(row["scenario"]) for row in ROWS]
    entries = [entry for answer in answers for entry in answer["entries"]]
    assert len({entry["do"] for entry in entries}) == 29
    assert len({entry["reason"] for entry in entries}) > 30
    statuses = {deal["status"] for answer in answers for deal in answer["deals"].values()}
    assert statuses >= {"accepted", "approved", "rejected", "disputed", "returned", "cancelled", "waiting"}
    assert {status for answer in answers for status in answer["proposals"].values()} == {"open", "passed", "failed"}
