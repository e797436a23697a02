"""The example years: they can be played, quickly, and nothing in them is void but what is meant to be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.cli.commands.rehearse import play_file
from tallystick.protocol.charter_templates import TEMPLATES

FOLDER: Final = Path(__file__).resolve().parent.parent / "examples"
GUIDE: Final = FOLDER.parent / "docs" / "guide" / "examples.md"

#: What fails in each year, as its text says.
MEANT: Final[dict[str, dict[str, str]]] = {
    "cafe": {"#201": "cap", "#745": "not-endorsed"},
    "studio": {},
    "community": {},
    "relief": {"too-much": "balance", "#344": "not-endorsed"},
}


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    """The result of every year, and how long it took."""
    found: dict[str, Any] = {}
    for name in MEANT:
        begin = time.process_time()
        rehearsal = play_file(FOLDER / f"{name}.toml")
        found[name] = (rehearsal, rehearsal.to_json(), time.process_time() - begin)
    return found


def test_every_template_has_a_year_and_the_guide_shows_it() -> None:
    """One for each, in the list of the folder and with its result in the guide."""
    assert set(MEANT) == set(TEMPLATES)
    readme, guide = ((path).read_text(encoding="utf-8") for path in (FOLDER / "README.md", GUIDE))
    for name in MEANT:
        assert f"`{name}.toml`" in readme
        assert f"$ tally rehearse examples/{name}.toml\n" in guide


@pytest.mark.parametrize("name", list(MEANT))
def test_a_year_is_void_only_where_it_is_meant(played: dict[str, Any], name: str) -> None:
    """Every other entry works, and the books of every commodity add up to nothing."""
    rehearsal, answer, _ = played[name]
    assert {each.event.key: each.reason for each in rehearsal.outcomes if each.reason} == MEANT[name]
    assert len(rehearsal.outcomes) > 500
    for commodity, accounts in answer["accounts"].items():
        assert sum(accounts.values()) == 0, commodity


@pytest.mark.parametrize("name", list(MEANT))
def test_a_year_is_played_in_a_moment(played: dict[str, Any], name: str) -> None:
    """Less than two seconds for a thousand events."""
    rehearsal, _, spent_s = played[name]
    assert spent_s < 2 * max(1, len(rehearsal.outcomes) / 1_000)


def test_the_cafe_sells_two_hundred_shares_for_equal_points(played: dict[str, Any]) -> None:
    """A hundred at 30 000 yuan, a hundred at 45 000, each with a thousand beans; gifts are traced."""
    _, answer, _ = played["cafe"]
    capital = [-amount for name, amount in answer["accounts"]["CNY"].items() if name.startswith("capital/")]
    assert sorted(capital) == [3_000_000] * 100 + [4_500_000] * 100
    silent = {amount for name, amount in answer["accounts"]["POINT"].items() if name.startswith("partner/owner-")}
    assert {1_020} <= silent
    assert answer["accounts"]["CNY"]["expense/piano"] == 1_320_000


def test_the_studio_is_sold_for_what_it_brings(played: dict[str, Any]) -> None:
    """Capital first, then by points, to the last cent."""
    _, answer, _ = played["studio"]
    money = answer["accounts"]["EUR"]
    out = sum(amount for name, amount in money.items() if name.startswith(("payable/", "paid/")))
    assert out == 48_000_000 - 1_200_000 + 500_000
    assert money.get("cash", 0) == 0
    assert (answer["proposals"]["early"], answer["proposals"]["sold"]) == ("failed", "passed")


def test_the_community_has_grown_to_two_hundred_and_shared_out(played: dict[str, Any]) -> None:
    """Everybody is there, inviters have earned, and the whole income is owed to those with points."""
    rehearsal, answer, _ = played["community"]
    assert len(rehearsal.state.members) == 200
    assert sum(member.referred for member in rehearsal.state.members.values()) > 500
    assert sum(answer["payable"]["EUR"].values()) == 2_400_000


def test_every_gift_of_the_relief_group_is_traced(played: dict[str, Any]) -> None:
    """What is in the till is what is left of gifts, and every purchase names one."""
    rehearsal, answer, _ = played["relief"]
    rows = list(rehearsal.state.money.values())
    gifts = [row for row in rows if row.kind == "donate"]
    assert sum(row.amount - row.spent for row in gifts) == answer["accounts"]["EUR"]["cash"] == 300_000
    assert all(row.source for row in rows if row.kind == "expense")
