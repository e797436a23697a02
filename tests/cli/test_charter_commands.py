"""Charters without a ledger: templates to start from, and everything that is wrong with one at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.cli.commands import charter
from tallystick.cli.toml import to_toml
from tallystick.protocol.charter import read_charter, read_toml
from tallystick.protocol.charter_templates import TEMPLATES
from tests.cli.called import Caller

FIVE_ERRORS = """
charter = 1
nmae = "Cafe"

[points]
pool = -1

[[step]]
id = "Roast"
price = 12
budget = 5
review = "7 days"
"""


def test_templates_are_those_of_the_rules(tally: Caller) -> None:
    """The list on the line and the list of the files is one."""
    assert list(TEMPLATES) == charter._names
    assert {row["name"] for row in tally("charter", "template", "--json").value} == set(TEMPLATES)


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_template_is_a_charter(tally: Caller, name: str, tmp_path: Path) -> None:
    """What `template` prints, `check` accepts."""
    file = tmp_path / "charter.toml"
    file.write_text(tally("charter", "template", name).out, encoding="utf-8")
    checked = tally("charter", "check", file, "--partners", "3")
    assert checked.code == 0
    assert "is a charter" in checked.out
    value = tally("charter", "check", file, "--json").value
    assert value["ok"] is True
    assert value["hash"] == read_charter(read_toml(file.read_text(encoding="utf-8"))).hash.hex()


def test_all_errors_are_reported_at_once(tally: Caller, tmp_path: Path) -> None:
    """Five different mistakes give five problems, each with its path; exit 2, as programs and as people see it."""
    file = tmp_path / "bad.toml"
    file.write_text(FIVE_ERRORS, encoding="utf-8")
    called = tally("charter", "check", file)
    assert (called.code, called.out) == (2, "")
    machine = tally("--json", "charter", "check", file)
    assert machine.code == 2
    assert machine.error["code"] == "charter-invalid"
    paths = [row["path"] for row in machine.error["problems"]]
    assert {"nmae", "name", "points.pool"} < set(paths)
    assert len(paths) >= 5
    assert all(path in called.err for path in paths)


@pytest.mark.parametrize(
    ("text", "said"),
    [("charter = = 1", "line 1"), ("", "missing"), ("x = 1.5", "1.5"), ("name = '\x1b[31m'", "line 1")],
)
def test_text_that_is_no_charter(tally: Caller, tmp_path: Path, text: str, said: str) -> None:
    """Whatever the file holds, there is a sentence and no control character."""
    file = tmp_path / "bad.toml"
    file.write_text(text, encoding="utf-8")
    called = tally("charter", "check", file)
    assert called.code == 2
    assert said in called.err
    assert "\x1b" not in called.err


def test_files_that_cannot_be_read(tally: Caller, tmp_path: Path) -> None:
    """Not there: 3. Not text: 2. A folder: 2."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"name = 'caf\xe9'")
    assert tally("charter", "check", tmp_path / "none.toml", "--json").error["code"] == "file-not-found"
    assert [tally("charter", "check", path).code for path in (tmp_path / "none.toml", latin, tmp_path)] == [3, 2, 2]


def test_warnings_stop_nothing(tally: Caller, tmp_path: Path) -> None:
    """Rules in which self-dealing pays are warned about; the charter is one all the same."""
    file = tmp_path / "loose.toml"
    file.write_text(
        'charter = 1\nname = "Loose"\n[points]\npool = 10\n[membership]\nsponsors = 1\n'
        '[[step]]\nid = "roast"\nprice = 1\nbudget = 5\n',
        encoding="utf-8",
    )
    called = tally("charter", "check", file, "--partners", "1", "--json")
    assert called.code == 0
    assert {"membership.sponsors", "step.roast.pair-cap"} <= {row["path"] for row in called.value["lint"]}
    assert called.value["never"]
    assert "warnings, which stop nothing:" in tally("charter", "check", file).out


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_charter_survives_being_shown(name: str) -> None:
    """What `charter show` prints is the same charter, and could be proposed again."""
    from importlib.resources import files

    document = read_toml(files("tallystick.protocol.templates").joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    assert read_toml(to_toml(document)) == document


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200)
def test_any_text_is_a_toml_string(text: str) -> None:
    """Names come from people; what is printed reads back, and has nothing in it that a terminal obeys."""
    shown = to_toml({"name": text})
    assert tomllib.loads(shown) == {"name": text}
    assert shown[:-1].isprintable()
