"""A reading command from end to end: open the home, ask, show. One way, whoever read the arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli import output
from tallystick.cli.client import Client
from tallystick.node.clock import now_ms
from tallystick.node.home import Home, default_path
from tallystick.node.settings import named_ledger

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def open_home(options: Options) -> Home:
    """The home this command is about, with settings that make sense. Raises HomeError, ConfigError."""
    home = Home.open(home_path(options))
    named_ledger(home)
    return home


def home_path(options: Options) -> Path:
    return Path(options.home) if options.home else default_path()


def run(op: str, args: Mapping[str, Any], options: Options) -> int:
    """Ask and show; returns the exit code."""
    home = open_home(options)
    answer = Client(home, options).read(op, args)
    if options.json:
        output.result_json(answer)
        return 0
    from tallystick.cli.render import RENDER

    text = RENDER[op](answer, now_ms())
    if op == "status":
        from tallystick.cli.render_status import home_lines

        text = "\n".join((text, *home_lines(home)))
    output.result(text)
    return 0
