"""Golden rehearsals: what every rule of the charter comes to, worked out by hand from its words.

`tests/vectors/rehearsals/<name>.toml` is the scenario, `<name>.json` what must come of it, in the shape of
`tally rehearse --json`. There, `void` stands for `entries`: reasons by name or `#k`; every other entry works. Accounts
that are not named are empty. State roots are in `roots.json`.
"""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.protocol.rehearsal import Rehearsal
from tallystick.protocol.scenario import read_scenario

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
