"""How the command line is called: the tree of commands, options anywhere, and what is said of mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from tallystick import __version__
from tallystick.cli import app, command
from tallystick.cli.app import MODULES, SECTIONS, find_command
from tallystick.node.reads import READS
from tallystick.node.writes import WRITES
from tallystick.node.writes_base import read_args
from tallystick.protocol.kinds.propose import FIELDS
from tests.cli.called import Caller


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What the commands would have done: (operation, arguments, options that are set)."""
    done: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def note(op: str, args: Mapping[str, Any], options: Any, *, question: str = "", said: str = "") -> int:
        given = {name: getattr(options, name) for name in type(options).__slots__ if getattr(options, name)}
        done.append((op, dict(args), given))
        return 0

    monkeypatch.setattr("tallystick.cli.writes.perform", note)
    monkeypatch.setattr("tallystick.cli.reads.run", note)
    monkeypatch.setattr("tallystick.cli.commands.people._compare_words", lambda options, partner: "")
    return done


@pytest.mark.parametrize("name", list(MODULES))
def test_every_command_is_where_the_table_says(name: str) -> None:
    """Each has a summary for the list, which fits on its line."""
    found = find_command(name)
    assert found is not None
    assert found.help
    assert 0 < len(found.get_short_help_str(100)) <= 90


def test_no_command_is_defined_and_forgotten() -> None:
    """A command that stands in a module but not in the table could not be called."""
    for module in set(MODULES.values()):
        defined = vars(__import__(f"tallystick.cli.commands.{module}", fromlist=["x"])).values()
        names = {each.name for each in defined if isinstance(each, click.Command)}
        assert names == {name for name, where in MODULES.items() if where == module}, module


def test_help_lists_every_command(tally: Caller) -> None:
    """`tally` alone and `tally --help` say what there is, in sections."""
    alone, helped = tally(), tally("--help")
    assert alone.code == helped.code == 0
    assert alone.out == helped.out
    assert all(f"\n  {name} " in helped.out for name in MODULES)
    assert all(f"\n{title}:\n" in helped.out for title in SECTIONS)


@pytest.mark.parametrize("name", list(MODULES))
def test_every_command_has_help(tally: Caller, name: str) -> None:
    """Help needs no home, and goes to stdout."""
    called = tally(name, "--help")
    assert (called.code, called.err) == (0, "")
    assert called.out.startswith(f"Usage: tally {name}")


@pytest.mark.parametrize(
    ("line", "same"), [("help", "--help"), ("help vote", "vote --help"), ("help propose role", "propose role --help")]
)
def test_help_is_also_a_word(tally: Caller, line: str, same: str) -> None:
    """What people type first."""
    called = tally(*line.split())
    assert called == tally(*same.split())
    assert called.out.startswith("Usage: tally")


def test_version(tally: Caller) -> None:
    """One line."""
    assert tally("--version").out == f"tally {__version__}\n"


@pytest.mark.parametrize(
    "line",
    [
        "--json --dry-run --home h accept abcdef",
        "accept --json --dry-run --home h abcdef",
        "accept abcdef --json --dry-run --home h",
        "--home h accept -n abcdef --json",
        "--home=h --json accept abcdef -n",
    ],
)
def test_options_stand_before_and_after(tally: Caller, asked: list[Any], line: str) -> None:
    """All these mean the same."""
    assert tally(*line.split()).code == 0
    assert asked == [("accept", {"offer": "abcdef"}, {"json": True, "dry_run": True, "home": "h"})]


def test_option_after_the_command_wins(tally: Caller, asked: list[Any]) -> None:
    """Who says it twice means the second."""
    tally("--home", "first", "accept", "--home", "second", "abcdef")
    assert asked[0][2] == {"home": "second"}


def test_words_may_look_like_options(tally: Caller, asked: list[Any]) -> None:
    """The value of an option is its value, whatever it looks like."""
    tally("reject", "abcdef", "--reason", "--json")
    assert asked == [("reject", {"deal": "abcdef", "reason": "--json"}, {})]


@pytest.mark.parametrize(
    ("line", "op", "args"),
    [
        (["offer", "roast", "3"], "offer", {"step": "roast", "units": 3, "buy": False}),
        (
            ["offer", "roast", "3", "--buy", "--to", "Bo", "--deadline", "3d", "--copies", "2", "--expires", "1w"],
            "offer",
            {"step": "roast", "units": 3, "buy": True, "to": "Bo", "deadline": "3d", "copies": 2, "expires": "1w"},
        ),
        (
            ["offer", "--open", "A sign", "40", "--payer", "buyer"],
            "offer",
            {"open": "A sign", "points": 40, "payer": "buyer", "buy": False},
        ),
        (["withdraw", "abcdef"], "withdraw", {"offer": "abcdef"}),
        (["accept", "abcdef", "--note", "ja"], "accept", {"offer": "abcdef", "note": "ja"}),
        (["deliver", "abcdef", "2"], "deliver", {"deal": "abcdef", "units": 2}),
        (["return", "abcdef", "--note", "cold"], "return", {"deal": "abcdef", "note": "cold"}),
        (["approve", "abcdef"], "approve", {"deal": "abcdef"}),
        (["approve", "abcdef", "2", "--grade", "90"], "approve", {"deal": "abcdef", "units": 2, "grade": 90}),
        (["reject", "abcdef", "--reason", "burnt"], "reject", {"deal": "abcdef", "reason": "burnt"}),
        (["cancel", "abcdef"], "cancel", {"deal": "abcdef"}),
        (["cosign", "abcdef"], "cosign", {"deal": "abcdef"}),
        (["invite"], "invite", {}),
        (
            ["invite", "--as", "observer", "--uses", "3", "--expires", "2d"],
            "invite",
            {"as": "observer", "uses": 3, "expires": "2d"},
        ),
        (["uninvite", "abcdef"], "uninvite", {"invite": "abcdef"}),
        (["admit", "Bo", "--sealer"], "admit", {"partner": "Bo", "sealer": True}),
        (["refuse", "Bo"], "refuse", {"partner": "Bo"}),
        (["sealer", "on"], "sealer", {"on": True}),
        (["sealer", "off"], "sealer", {"on": False}),
        (["refuse", "Bo", "--note", "no"], "refuse", {"partner": "Bo", "note": "no"}),
        (["endorse", "abcdef"], "endorse", {"offer": "abcdef"}),
        (["dispute", "abcdef", "--note", "it was hot"], "dispute", {"deal": "abcdef", "note": "it was hot"}),
        (["verdict", "abcdef", "--grade", "0"], "verdict", {"deal": "abcdef", "grade": 0}),
        (["correct", "abcdef", "--units", "2"], "correct", {"entry": "abcdef", "units": 2}),
        (["correct", "abcdef", "--amount", "0"], "correct", {"entry": "abcdef", "amount": 0}),
        (["confirm", "abcdef"], "confirm", {"entry": "abcdef"}),
        (["claim", "share-post"], "claim", {"kind": "share-post"}),
        (["claim", "share-post", "3"], "claim", {"kind": "share-post", "count": 3}),
        (["attest", "abcdef"], "attest", {"claim": "abcdef"}),
        (["subscribe", "founders", "2"], "subscribe", {"round": "founders", "shares": 2}),
        (["donate", "500", "--purpose", "a door"], "donate", {"amount": 500, "purpose": "a door"}),
        (["receipt", "abcdef"], "receipt", {"entry": "abcdef"}),
        (["cash", "income", "5", "sales"], "cash", {"type": "income", "amount": 5, "category": "sales"}),
        (
            ["cash", "expense", "5", "wood", "--from", "abcdef", "--currency", "CNY"],
            "cash",
            {"type": "expense", "amount": 5, "category": "wood", "from": "abcdef", "currency": "CNY"},
        ),
        (["report"], "report", {}),
        (
            ["report", "--counted", "CNY=0", "--counted", "EUR=7", "--before"],
            "report",
            {"counted": {"CNY": 0, "EUR": 7}, "before": True},
        ),
        (["use-voucher", "5"], "use-voucher", {"amount": 5}),
        (["transfer", "Bo", "5"], "transfer", {"to": "Bo", "points": 5}),
        (["paid", "Bo", "5"], "paid", {"partner": "Bo", "amount": 5}),
        (["received", "5", "--currency", "CNY"], "received", {"amount": 5, "currency": "CNY"}),
        (["away", "--until", "2w"], "away", {"until": "2w"}),
        (["back"], "back", {}),
        (["leave", "--note", "bye"], "leave", {"note": "bye"}),
        (["erase", "abcdef"], "erase", {"entry": "abcdef"}),
        (["vote", "abcdef", "abstain"], "vote", {"proposal": "abcdef", "choice": "abstain"}),
        (["propose", "ratify"], "propose", {"type": "ratify"}),
        (["propose", "expel", "Bo", "--text", "why"], "propose", {"type": "expel", "partner": "Bo", "text": "why"}),
        (["propose", "suspend", "Bo"], "propose", {"type": "suspend", "partner": "Bo"}),
        (["propose", "reinstate", "Bo"], "propose", {"type": "reinstate", "partner": "Bo"}),
        (
            ["propose", "role", "Bo", "roaster", "--take"],
            "propose",
            {"type": "role", "partner": "Bo", "role": "roaster", "take": True},
        ),
        (
            ["propose", "sale", "500", "--costs", "3", "--percent", "20"],
            "propose",
            {"type": "sale", "proceeds": 500, "costs": 3, "percent": 20},
        ),
        (["propose", "dividend", "5"], "propose", {"type": "dividend", "amount": 5}),
        (["propose", "release", "abcdef"], "propose", {"type": "release", "deal": "abcdef"}),
        (["propose", "revoke", "abcdef"], "propose", {"type": "revoke", "device": "abcdef"}),
        (["propose", "recover", "abcdef"], "propose", {"type": "recover", "entry": "abcdef"}),
        (["propose", "erase", "abcdef"], "propose", {"type": "erase", "entry": "abcdef"}),
        (["propose", "rules", "2"], "propose", {"type": "rules", "version": 2}),
        (["propose", "text", "let us"], "propose", {"type": "text", "text": "let us"}),
        (["log", "--limit", "3"], "log", {"limit": 3}),
        (["deals", "--open"], "deals", {"open": True}),
        (["explain", "Bo", "--commodity", "CNY"], "explain", {"id": "Bo", "commodity": "CNY"}),
        (["charter", "show", "--version", "1"], "charter_show", {"version": 1}),
    ],
)
def test_commands_become_operations(
    tally: Caller, asked: list[Any], line: list[str], op: str, args: dict[str, Any]
) -> None:
    """What is typed arrives at the node by the names that the node knows."""
    called = tally(*line)
    assert (called.code, called.err) == (0, "")
    assert asked == [(op, args, {})]
    if op in WRITES:
        # And the node takes them.
        read_args(WRITES[op][0], args)


#: Operations that a command of a group asks for.
IN_GROUPS = {
    "device_add": ("device", "add"),
    "device_retire": ("device", "retire"),
    "device_revoke": ("device", "revoke"),
    "devices": ("device", "list"),
    "recovery_change": ("recover", "change"),
    "recover_approve": ("recover", "approve"),
    "recoveries": ("recover", "status"),
    "prove_points": ("prove", "points"),
    "charter_show": ("charter", "show"),
    "charter_check": ("charter", "check"),
    "charter_diff": ("charter", "diff"),
    "charter_simulate": ("charter", "simulate"),
}


@pytest.mark.parametrize(
    ("line", "op", "args"),
    [
        (["device", "retire"], "device_retire", {}),
        (["device", "revoke", "abc"], "device_revoke", {"device": "abc"}),
        (["device", "revoke", "abc", "--since", "def"], "device_revoke", {"device": "abc", "since": "def"}),
        (["recover", "approve", "Bo"], "recover_approve", {"request": "Bo"}),
        (["sealer", "on", "--device", "abc"], "sealer", {"on": True, "device": "abc"}),
    ],
)
def test_commands_about_keys_ask_for_their_operations(
    tally: Caller, asked: list[Any], line: list[str], op: str, args: dict[str, Any]
) -> None:
    """What is typed is what the node is asked, and the node takes it."""
    assert tally(*line).code == 0
    assert asked == [(op, args, {})]
    read_args(WRITES[op][0], args)


def test_every_operation_has_a_command() -> None:
    """What a program can ask of the node, a person can ask too."""
    assert set(WRITES) - set(MODULES) - IN_GROUPS.keys() == {"rejoin"}, "that is `tally re-found` without a file"
    assert set(READS) - set(MODULES) - IN_GROUPS.keys() == {"journal"}, "only exports need it"
    for group, name in IN_GROUPS.values():
        found = find_command(group)
        assert isinstance(found, click.Group)
        assert name in found.commands


def test_every_type_of_proposal_has_a_command() -> None:
    """The list of the rules and that of the command line is one."""
    propose = find_command("propose")
    assert isinstance(propose, click.Group)
    assert set(propose.commands) == set(FIELDS)


def test_amendment_brings_the_text_of_the_charter(tally: Caller, asked: list[Any], tmp_path: Path) -> None:
    """The file is read here: the node may not see it."""
    file = tmp_path / "new.toml"
    file.write_text("charter = 1\n", encoding="utf-8")
    tally("propose", "amend", file)
    assert asked == [("propose", {"type": "amend", "charter": "charter = 1\n"}, {})]
    assert tally("propose", "amend", tmp_path / "none").code == 3


def test_notes_are_composed(tally: Caller, asked: list[Any]) -> None:
    """The ledger keeps bytes, so an accent is written in one way only."""
    tally("accept", "abcdef", "--note", "Cafe\u0301")
    assert asked[0][1]["note"] == "Caf\u00e9"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["accept"], "missing", "OFFER"),
        (["reject", "abcdef"], "missing", "--reason"),
        (["return", "abcdef"], "missing", "--note"),
        (["offer"], "missing", "STEP"),
        (["offer", "roast"], "missing", "UNITS"),
        (["offer", "roast", "--open", "x", "3"], "usage", "--open"),
        (["offer", "roast", "3", "--payer", "pool"], "usage", "--payer"),
        (["offer", "--open", "x"], "usage", "--open"),
        (["offer", "--open", "x", "many"], "usage", "many"),
        (["offer", "roast", "0"], "usage", "0"),
        (["offer", "roast", "three"], "usage", "three"),
        (["approve", "abcdef", "--grade", "0"], "usage", "--grade"),
        (["sealer", "maybe"], "usage", "maybe"),
        (["sealer"], "missing", "on|off"),
        (["charter"], "missing", "command"),
        (["propose"], "missing", "command"),
        (["vote", "abcdef", "perhaps"], "usage", "perhaps"),
        (["away"], "missing", "--until"),
        (["report", "--counted", "12"], "usage", "--counted"),
        (["report", "--counted", "CNY=1", "--counted", "CNY=2"], "usage", "--counted"),
        (["cash", "theft", "5", "x"], "usage", "theft"),
        (["points", "--frobnicate"], "usage", "--frobnicate"),
        (["points", "a", "b"], "usage", "b"),
        (["--home"], "usage", "--home"),
        (["log", "--limit", "0"], "usage", "--limit"),
        (["init"], "not-a-terminal", "--name"),
        (["init", "--name", "Ana"], "not-a-terminal", "--passphrase-file"),
    ],
)
def test_mistake_in_the_call_names_what_is_wrong(tally: Caller, line: list[str], code: str, said: str) -> None:
    """Exit 2, the option or argument by name, and where help is; nothing on stdout; nobody is asked."""
    plain, machine = tally(*line), tally(*line, "--json") if line != ["--home"] else tally("--json", *line)
    assert (plain.code, plain.out) == (2, "")
    assert said in plain.err
    assert "hint: " in plain.err
    assert "\n" not in machine.error["message"]
    assert (machine.code, machine.out) == (2, "")
    assert machine.error["code"] == code
    assert set(machine.error) == {"code", "message", "hint"}


def test_a_mistake_leads_to_the_help_of_its_command(tally: Caller) -> None:
    """Also where click has forgotten which one it was."""
    assert "hint: `tally offer --help` shows how" in tally("offer", "--open", "T").err
    assert tally("sealer", "--json").error["message"] == "missing argument 'on|off'"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["pionts"], "points"),
        (["ofer", "roast", "3"], "offer"),
        (["aprove"], "approve"),
        (["charter", "chek"], "charter check"),
        (["delliver"], "deliver"),
    ],
)
def test_misspelt_command_is_guessed(tally: Caller, line: list[str], meant: str) -> None:
    """Not done, but named."""
    called = tally(*line, "--json")
    assert called.code == 2
    assert called.error["code"] == "unknown-command"
    assert f"`tally {meant}`" in called.error["hint"]


def test_command_like_no_other_is_not_guessed(tally: Caller) -> None:
    """Then the list helps more."""
    called = tally("zzzzzz")
    assert called.code == 2
    assert called.err == "tally: there is no command 'zzzzzz'\nhint: `tally --help` lists the commands\n"


def test_mistakes_before_the_command_are_json_too(tally: Caller) -> None:
    """`--json` counts wherever it stands, also when nothing else could be read."""
    assert json.loads(tally("--json", "nonsense").err)["error"]["code"] == "unknown-command"


def test_write_takes_a_few_lines(tally: Caller, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A new kind of entry needs its name, its words and its arguments; all else comes with it."""
    claim = command.write(
        "claim", "Claim a small deed.", command.argument("KIND"), command.number("COUNT", needed=False)
    )
    monkeypatch.setattr(app, "find_command", lambda name: claim if name == "claim" else None)
    assert tally("claim", "share-post", "2", "--dry-run").code == 0
    assert asked == [("claim", {"kind": "share-post", "count": 2}, {"dry_run": True})]
