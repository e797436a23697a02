"""The plain forms of reading commands, read without click; everything else is left to it."""

from __future__ import annotations

import pytest

from tallystick.cli.app import MODULES, find_command
from tallystick.cli.argv import FORMS, read_plain


@pytest.mark.parametrize(
    "line",
    [
        "points --json --home x",
        "--json points --home x",
        "--home x --json points",
        "--home=x points --json",
        "--json --home x points",
    ],
)
def test_options_stand_before_and_after(line: str) -> None:
    """All these mean the same."""
    plain = read_plain(line.split())
    assert plain is not None
    assert (plain.name, plain.args) == ("points", {})
    assert plain.options.json
    assert plain.options.home == "x"


def test_argument_is_passed_on() -> None:
    """A name or an id, as it was typed."""
    plain = read_plain(["-q", "show", "7f3a21"])
    assert plain is not None
    assert plain.args == {"id": "7f3a21"}
    assert plain.options.quiet


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "points --help",
        "points --frobnicate",
        "points a b",
        "status now",
        "show",
        "offer roast 3",
        "points --home",
        "points --home --json",
        "log --limit 3",
        "pionts",
        "-- points",
    ],
)
def test_everything_else_is_for_click(line: str) -> None:
    """Help, errors and options of single commands need words that only click has."""
    assert read_plain(line.split()) is None


def test_every_plain_form_is_a_command_of_the_table() -> None:
    """The short way leads nowhere that the long one does not."""
    for name, (argument, needed) in FORMS.items():
        command = find_command(name)
        assert command is not None
        assert name in MODULES
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        assert [(each.name, each.required) for each in arguments] == ([(argument, needed)] if argument else [])
