"""A fork, or a block with another result, written into a file of the home, for whoever is shown it.

Of a fork: who signed both branches, with the proof. Of a block with another result: what its header says and what came
out here, and the rows of the state that it has changed here.

Source: docs/spec/finality.md#fork, docs/spec/finality.md#another-result
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tallystick.node.desk import Desk
from tallystick.node.errors import HomeError, HomeReason
from tallystick.node.read_args import ReadArgs
from tallystick.node.reads_fork import fork
from tallystick.protocol.block import Header

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.home import Home
    from tallystick.protocol.assembly import OtherResultError


def report_name(ledger: bytes, height: int) -> str:
    """The file's name in the home."""
    return f"fork-{ledger.hex()[:8]}-{height}.json"


def write_report(home: Home, core: NodeCore) -> None:
    """Write the report of what was found, unless it is there. Raises HomeError."""
    if core.disagreement is not None:
        error = core.disagreement
        name = f"disagreement-{core.ledger.id.hex()[:8]}-{error.header.height}.json"
        if not _is_there(home, name):
            _write(home, name, _both_results(error))
    found = core.watch.fork
    if found is None:
        return
    name = report_name(core.ledger.id, found.height)
    if not _is_there(home, name):
        report: dict[str, Any] = fork(Desk(core).view(core.now), ReadArgs())
        # Anybody can check these two signatures against the node key, without this program.
        report["evidence"] = [data.hex() for data in found.evidence]
        _write(home, name, report)


def _both_results(error: OtherResultError) -> dict[str, Any]:
    """The state of the others is not here: what it has in this row, whoever has it can look up."""
    return {
        "height": error.header.height,
        "sealed": _header_row(error.header),
        "computed": _header_row(error.made.header),
        "rows": [
            {"path": path, "row": None if data is None else data.hex()}
            for path, data in sorted(error.made.executed.rows.items())
        ],
    }


def _header_row(header: Header) -> dict[str, Any]:
    row = {name: getattr(header, name) for name in Header.__slots__}
    return {"block": header.id().hex()} | {
        name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()
    }


def _is_there(home: Home, name: str) -> bool:
    try:
        home.read_file(name)
    except HomeError as error:
        if error.reason != HomeReason.NOT_FOUND:
            raise
        return False
    return True


def _write(home: Home, name: str, report: dict[str, Any]) -> None:
    home.write_file(name, json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n")
