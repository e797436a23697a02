"""`tally demo`: one evening of a small studio, with four partners, four nodes, and what goes wrong on such evenings.

Nothing is played: every partner has a home with keys and a database of its own, every node is a process of its own that
reaches the others over libp2p, and everything a partner does goes through the command line, as a person would type it.

Source: docs/guide/demo.md
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli import output
from tallystick.cli.demo_evening import evening
from tallystick.cli.demo_stage import DemoError, Stage
from tallystick.node.errors import NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options


def run_demo(options: Options, *, keep: bool = False) -> int:
    """Play the evening. Returns 0 where everything is as it should be at its end, else 1."""
    folder = Path(tempfile.mkdtemp(prefix="tally-demo-"))
    # The ledger that a person has chosen for other commands is none of these.
    os.environ.pop("TALLY_LEDGER", None)
    stage = Stage(folder, quiet=options.quiet or options.json)
    facts: dict[str, Any] = {}
    failure = ""
    began = time.monotonic()
    with _left_clean(stage, folder, keep=keep):
        try:
            evening(stage, facts)
        except (DemoError, NodeError, subprocess.TimeoutExpired) as error:
            failure = str(error)
            facts["logs"] = stage.last_words()
    facts |= {"ok": not failure, "failure": failure or None, "seconds": round(time.monotonic() - began, 1)}
    facts["folder"] = str(folder) if keep else None
    if keep:
        (folder / "facts.json").write_text(output.to_json(facts) + "\n", encoding="utf-8")
    if options.json:
        output.result_json(facts)
    else:
        _say_how_it_ended(facts, keep=keep)
    return 1 if failure else 0


@contextmanager
def _left_clean(stage: Stage, folder: Path, *, keep: bool) -> Iterator[None]:
    """However it ends, no process is left, and no folder unless it is to be kept."""
    ends = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, _leave) for number in ends}
    try:
        yield
    finally:
        # Who presses Ctrl-C twice must not leave anything behind either.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        stage.end()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        for number, handler in {**before, signal.SIGINT: interrupt}.items():
            signal.signal(number, handler)


def _leave(number: int, frame: object) -> None:
    """Go the way of every other end, so that everything is cleaned up."""
    sys.exit(128 + number)


def _say_how_it_ended(facts: dict[str, Any], *, keep: bool) -> None:
    if facts["ok"]:
        output.result(
            f"\nAll is as it should be: four nodes, one ledger, height {facts['height']}, "
            f"state root {facts['state_root'][:16]}.\n"
            f"It took {facts['seconds']} s, from the first key to the last check."
        )
    else:
        output.result(f"\nNOT as it should be, after {facts['seconds']} s: {facts['failure']}")
        for name, words in facts["logs"].items():
            output.always(f"\nthe last the node of {name} said:\n{words}")
    if keep:
        output.result(f"The homes, logs and facts.json are kept: tally --home {facts['folder']}/ana status")
    elif not facts["ok"]:
        output.always("\n`tally demo --keep` keeps the homes and the logs of the nodes")
