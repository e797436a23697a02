"""A fork, written into a file of the home: who signed both branches, with the proof, for whoever is shown it.

Source: docs/spec/finality.md#fork
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tallystick.node.desk import Desk
from tallystick.node.errors import HomeError, HomeReason
from tallystick.node.read_args import ReadArgs
from tallystick.node.reads_fork import fork

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.home import Home


def report_name(ledger: bytes, height: int) -> str:
    """The file's name in the home."""
    return f"fork-{ledger.hex()[:8]}-{height}.json"


def write_report(home: Home, core: NodeCore) -> None:
    """Write the report of a fork that was found, unless it is there. Raises HomeError."""
    found = core.watch.fork
    if found is None:
        return
    name = report_name(core.ledger.id, found.height)
    try:
        home.read_file(name)
    except HomeError as error:
        if error.reason != HomeReason.NOT_FOUND:
            raise
        report: dict[str, Any] = fork(Desk(core).view(core.now), ReadArgs())
        # Anybody can check these two signatures against the node key, without this program.
        report["evidence"] = [data.hex() for data in found.evidence]
        home.write_file(name, json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n")
