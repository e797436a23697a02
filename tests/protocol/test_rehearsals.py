"""Golden rehearsals: what every rule of the charter comes to, worked out by hand from its words.

`tests/vectors/rehearsals/<name>.toml` is the scenario, `<name>.json` what must come of it, in the shape of
`tally rehearse --json`. There, `void` stands for `entries`: reasons by name or `#k`; every other entry works. Accounts
that are not named are empty. State roots are in `roots.json`.
"""

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.protocol.rehearsal import Rehearsal
from tallystick.protocol.scenario import read_scenario
from tests.support import roots

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "rehearsals"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.toml"))


def rehearsed(name: str) -> dict[str, Any]:
    """What comes of a scenario of the folder."""

    def load(path: str) -> dict[str, Any]:
        return tomllib.loads((FOLDER / path).read_text(encoding="utf-8"))

    return Rehearsal(read_scenario(load(f"{name}.toml"), load)).play().to_json()


def without_zeros(accounts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        commodity: {name: amount for name, amount in rows.items() if amount} for commodity, rows in accounts.items()
    }


def reasons(answer: dict[str, Any]) -> dict[str, str]:
    """Why entries are void, by name or number."""
    rows = enumerate(answer["entries"], start=1)
    assert all((row["status"] == "void") is (row["reason"] is not None) for row in answer["entries"])
    return {row["as"] or f"#{number}": row["reason"] for number, row in rows if row["reason"] is not None}


@pytest.mark.parametrize("name", NAMES)
def test_rehearsal(name: str) -> None:
    """A scenario comes to what was worked out by hand."""
    wanted = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    answer = rehearsed(name)
    for commodity, rows in answer["accounts"].items():
        assert sum(rows.values()) == 0, commodity
    found = answer | {"void": reasons(answer), "accounts": without_zeros(answer["accounts"])}
    assert {key: found[key] for key in wanted} == wanted
    assert {"accounts", "void", "postings"} <= wanted.keys()


@pytest.mark.parametrize("seed", ["0", "1", "4294967295"])
def test_roots_are_the_same_whatever_the_hash_seed(seed: str) -> None:
    """Nothing depends on the order of a set, in any process; the golden roots are those of every Python, too."""
    wanted = (FOLDER / "roots.json").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(Path(roots.__file__))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert done.stdout == wanted


def test_every_scenario_says_what_comes_of_it() -> None:
    """A scenario without a result would show nothing."""
    assert NAMES
    assert {path.stem for path in FOLDER.glob("*.json")} == {*NAMES, "roots"}


def thousand_events() -> dict[str, Any]:
    """A year of twenty partners, 1 000 events."""
    partners = [f"p{number}" for number in range(20)]
    events: list[dict[str, Any]] = []
    for number in range(250):
        seller, buyer = partners[number % 20], partners[(number * 7 + 1) % 20]
        if seller == buyer:
            buyer = partners[(number + 1) % 20]
        at = f"{number * 30}h"
        events += [
            {"at": at, "by": seller, "do": "offer", "step": "roast", "units": 1 + number % 9, "as": f"o{number}"},
            {"at": at, "by": buyer, "do": "accept", "offer": f"o{number}", "as": f"d{number}"},
            {"at": at, "by": seller, "do": "deliver", "deal": f"d{number}", "units": 1},
            {"at": at, "by": buyer, "do": "approve", "deal": f"d{number}"},
        ]
    charter = {
        "charter": 1,
        "name": "Year",
        "points": {"pool": 1_000_000},
        "vesting": {"cliff": "1mo", "duration": "1y"},
        "step": [{"id": "roast", "price": 12, "budget": 100_000, "max-open": 0}],
    }
    return {"charter": charter, "partners": partners, "event": events, "until": "400d"}


def test_a_thousand_events_take_less_than_two_seconds() -> None:
    """People try a charter again and again; nobody waits for that."""
    document = thousand_events()
    begin = time.process_time()
    answer = Rehearsal(read_scenario(document, dict)).play().to_json()
    spent_s = time.process_time() - begin
    assert len(answer["entries"]) == 1_000
    assert not reasons(answer)
    assert spent_s < 2, f"{spent_s:.2f} s"
