"""Care: is everything as it should be, what is wrong, and a show of it all."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from tallystick.cli.command import command

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def _demo(options: Options) -> int:
    return int(import_module("tallystick.cli.demo").run_demo(options) or 0)


demo: Final = command("demo", "See it work: several nodes on this machine, a few minutes of a venture's life.")(_demo)
