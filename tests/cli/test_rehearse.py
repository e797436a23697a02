"""`tally rehearse`: no home, no ledger; the result in words and for programs; mistakes all at once."""

from pathlib import Path

import pytest

from tests.cli.called import Caller

CHARTER = """
charter = 1
name = "Cafe"
points = { pool = 988_036 }
step = [{ id = "roast", price = 12, budget = 50_000 }]
sale = { currency = "CNY" }
"""
SCENARIO = """
charter  = "rules/cafe.toml"
partners = ["ana", "bo", "cy"]
until    = "400d"
event = [
    { at = "3d", by = "bo", do = "offer", as = "o1", step = "roast", units = 3, deadline = "10d" },
    { at = "4d", by = "ana", do = "accept", offer = "o1" },
    { at = "5d", by = "bo", do = "offer", step = "roast", units = 0 },
]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario and its charter in files."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "cafe.toml").write_text(CHARTER, encoding="utf-8")
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO, encoding="utf-8")
    return file


def test_result_for_programs(tally: Caller, scenario: Path) -> None:
    """Every field that was promised: names instead of ids, `#k` for a deal without a name, null where nothing is."""
    called = tally("rehearse", scenario, "--json")
    assert called.code == 0
    value = called.value
    root = value.pop("state_root")
    assert len(root) == 64
    assert value == {
        "time": 400 * 86_400_000,
        "height": 5,
        "accounts": {"POINT": {"issued": -988_036, "pool": 988_036}, "CNY": {}, "VOUCHER-CNY": {}},
        "vested": {"ana": 0, "bo": 0, "cy": 0},
        "entries": [
            {"as": "o1", "do": "offer", "by": "bo", "status": "sealed", "reason": None},
            {"as": None, "do": "accept", "by": "ana", "status": "sealed", "reason": None},
            {"as": None, "do": "offer", "by": "bo", "status": "void", "reason": "malformed"},
        ],
        "deals": {"#2": {"status": "cancelled", "gross": 36, "award": None}},
        "proposals": {},
        "payable": {"CNY": {"ana": 0, "bo": 0, "cy": 0}},
        "postings": 3,
    }


def test_result_in_words(tally: Caller, scenario: Path) -> None:
    """What was void and why, the deals, and who has what."""
    called = tally("rehearse", scenario)
    assert called.code == 0
    assert "Cafe, after 400d: 3 events, 5 blocks, 3 postings" in called.out
    assert "malformed" in called.out
    assert "cancelled" in called.out


def test_open_deal_stands_in_escrow_under_its_name(tally: Caller, scenario: Path) -> None:
    """Before the end, the price lies in the escrow of the deal."""
    scenario.write_text(SCENARIO.replace('until    = "400d"', ""), encoding="utf-8")
    value = tally("rehearse", scenario, "--json").value
    assert value["accounts"]["POINT"] == {"issued": -988_036, "pool": 988_000, "escrow/#2": 36}
    assert value["deals"] == {"#2": {"status": "accepted", "gross": 36, "award": None}}
    assert value["time"] == 5 * 86_400_000


def test_everything_wrong_is_said_at_once(tally: Caller, scenario: Path) -> None:
    """Exit code 2, one problem a line, and each with its path for programs."""
    scenario.write_text(SCENARIO.replace('"bo", "cy"]', '"bo"]\nuntill = "3d"').replace('"o1" }', '"o2" }'))
    called = tally("rehearse", scenario, "--json")
    assert called.code == 2
    assert called.out == ""
    assert called.error["code"] == "scenario-invalid"
    assert [each["path"] for each in called.error["problems"]] == ["untill", "event[2].offer"]
    assert "event[2].offer: nothing above is called 'o2'" in tally("rehearse", scenario).err


@pytest.mark.parametrize(
    ("text", "code"),
    [("partners = [", 2), ("\xff", 2), ("", 2), (None, 3)],
    ids=["syntax", "bytes", "empty", "missing"],
)
def test_unreadable_file_is_refused(tally: Caller, scenario: Path, text: str | None, code: int) -> None:
    """A file that is no TOML, or none at all."""
    if text is None:
        scenario.unlink()
    else:
        scenario.write_text(text, encoding="latin-1")
    assert tally("rehearse", scenario).code == code


def test_charter_with_errors_is_refused_with_their_paths(tally: Caller, scenario: Path) -> None:
    """What is wrong in the charter is reported with what is wrong in the scenario."""
    file = scenario.parent / "rules" / "cafe.toml"
    file.write_text(CHARTER.replace("price = 12", "price = 12.5"), encoding="utf-8")
    called = tally("rehearse", scenario, "--json")
    assert called.code == 2
    assert "charter.step.roast.price" in [each["path"] for each in called.error["problems"]]
    file.unlink()
    assert "rules/cafe.toml" in tally("rehearse", scenario).err


def test_charter_is_no_history(tally: Caller, tmp_path: Path) -> None:
    """One sentence, and not a list of everything that a history does not have."""
    file = tmp_path / "cafe.toml"
    file.write_text(tally("charter", "template", "cafe").out, encoding="utf-8")
    called = tally("rehearse", file, "--json")
    assert (called.code, called.error["code"]) == (2, "scenario-invalid")
    assert called.error["message"] == f"{file} is a charter, not a history"
    assert "`tally charter check" in called.error["hint"]
