"""What the command line does, another program can do: each command has its operation, or needs no node at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from tallystick.cli.app import MODULES, find_command
from tallystick.node.openapi import document

ROOT = Path(__file__).resolve().parents[2]
#: Commands whose operations have other names, or are more than one.
OTHERWISE: Final = {
    "bundle in": ("bundle_in",),
    "bundle out": ("bundle_out",),
    "charter check": ("charter_check",),
    "charter diff": ("charter_diff",),
    "charter show": ("charter_show",),
    "charter simulate": ("charter_simulate",),
    "deliver": ("deliver", "evidence_add"),
    "device add": ("device_ticket", "device_add"),
    "device list": ("devices",),
    "device retire": ("device_retire",),
    "device revoke": ("device_revoke",),
    "evidence": ("evidence", "evidence_get", "evidence_add"),
    "prove points": ("prove_points",),
    "re-found": ("refound", "rejoin"),
    "recover approve": ("recover_approve",),
    "recover change": ("recovery_change",),
    "recover status": ("recoveries",),
    "recover ticket": ("member_ticket",),
}
#: Commands that make a home or a ledger, or look at a file: no node is there yet, or none is needed.
WITHOUT: Final = frozenset(
    (
        "charter template",
        "demo",
        "found",
        "init",
        "join",
        "node",
        "proof check",
        "recover request",
        "recover words",
        "rehearse",
    )
)


def names() -> Iterator[str]:
    """Every command that does something, by its whole name. `propose` is one operation for all types."""
    for name in MODULES:
        command = find_command(name)
        if isinstance(command, click.Group) and name != "propose":
            yield from (f"{name} {each}" for each in command.commands)
        else:
            yield name


def test_every_command_has_its_operation() -> None:
    """In the description that is tested against the server; and no operation is described that no command uses."""
    described = {path.removeprefix("/v1/") for path in document()["paths"]}
    used = {name: OTHERWISE.get(name, (name,)) for name in set(names()) - WITHOUT}
    assert {name: ops for name, ops in used.items() if not described.issuperset(ops)} == {}
    assert described - {op for ops in used.values() for op in ops} == {"journal", "stop"}


def test_what_has_none_is_named_in_the_documents() -> None:
    """With the way in which a program does it."""
    text = (ROOT / "docs" / "spec" / "api.md").read_text(encoding="utf-8")
    section = text.split("## Without a node")[1].split("\n## ")[0]
    assert {name for name in names() if f"`tally {name}" in section} == WITHOUT


def test_the_description_names_no_modules() -> None:
    """Two kinds of arguments with one name would be told apart by where they live in the program."""
    assert [name for name in document()["components"]["schemas"] if "." in name] == []
