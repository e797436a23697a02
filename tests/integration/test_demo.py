"""The demo: what it promises, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.home import Home
from tests.integration.computers import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: Three times what is promised: this machine may have other things to do.
DEMO_S = 180

#: Whoever starts the tests in the background has them ignore Ctrl-C, and all that they start with them.
_WITH_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def demo(place: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Start `tally demo`, which makes its folder in this place; settings of the person must not matter to it."""
    environment = {
        **os.environ,
        "TMPDIR": str(place),
        "NO_COLOR": "1",
        "TALLY_HOME": str(place / "nowhere"),
        "TALLY_LEDGER": "ffff",
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _WITH_INTERRUPTS, sys.executable, "-m", "tallystick", "demo", *args],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        # When a test fails the demo still has to clean up after itself.
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def processes_in(place: Path, *ending: str) -> list[int]:
    """Processes that were started with something of this place, and with these last words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text(errors="replace").strip("\0").split("\0")
        except OSError:
            # It has just ended.
            continue
        if any(word.startswith(f"{place}/") for word in words) and words[len(words) - len(ending) :] == list(ending):
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of its own with a short name: the path of a socket must be short, and pytest's folders are deep."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        yield Path(folder)


def test_demo_is_as_it_says(place: Path) -> None:
    """Exit 0; four nodes with one root, the deals as they were told, in lines that fit, shown while it happens."""
    with demo(place, "--keep") as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(4)]
        assert process.poll() is None, "it is shown while it happens"
        out, err = process.communicate(timeout=DEMO_S)
    assert process.returncode == 0, (out, err)
    assert err == ""
    text = "".join(first) + out
    assert [line for line in text.splitlines()[:-1] if len(line) > 100] == []
    assert "\x1b" not in text
    for words in ("SIGKILL", "rework", "reject", "verify", "points", "explain Cy", "no network", "vote", "It took"):
        assert words in text, words
    (folder,) = place.iterdir()
    assert str(folder) in text
    facts = json.loads((folder / "facts.json").read_text())
    check_facts(facts)
    check_homes(folder, facts)
    assert processes_in(place) == []


def check_facts(facts: dict[str, Any]) -> None:
    """What it came to."""
    assert facts["ok"] is True
    assert facts["failure"] is None
    assert (facts["nodes"], facts["verified"]) == (4, 4)
    assert len(facts["blocks"]) == facts["height"] >= 6
    assert facts["blocks"][0] == {"height": 1, "entries": 1, "votes": 1}
    assert facts["blocks"][1]["entries"] >= 15, "they join, are admitted and trade before the first common block"
    assert facts["blocks"][-1]["votes"] >= 3
    assert sorted(facts["deals"].values()) == ["approved"] * 6 + ["rejected"]
    # Each began with 600; 900 came from the pool for a release; 60 lie in the escrow of the rejected script.
    assert set(facts["points"]) == {"Ana", "Bo", "Cy", "Di"}
    assert sum(facts["points"].values()) == 4 * 600 + 900 - 60


def check_homes(folder: Path, facts: dict[str, Any]) -> None:
    """The homes it has left say the same, and all of it was done by four devices."""
    for name in ("ana", "bo", "cy", "di"):
        home = Home.open(folder / name)
        status = Client(home, Options()).read("status", {})
        assert (status["height"], status["state_root"]) == (facts["height"], facts["state_root"])
        assert (status["pending"], len(status["sealers"])) == (0, 4)
        log = Client(home, Options()).read("log", {})
        assert len({row["member"] for row in log}) == 4
        assert {row["status"] for row in log} == {"sealed"}
        assert {"return", "reject", "vote", "admit", "approve"} <= {row["kind"] for row in log}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing_behind(place: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle: the nodes are stopped and the folder is gone; exit 130, or 143 for SIGTERM."""
    with demo(place) as process:
        assert process.stdout is not None
        line = ""
        while "join" not in line:
            line = process.stdout.readline()
            assert line, process.communicate()
        assert len(processes_in(place)) >= 1, "a node runs by now"
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert "Traceback" not in err
    assert list(place.iterdir()) == []
    until(lambda: not processes_in(place), "no process is left", 5.0)


def test_demo_that_fails_says_so(place: Path) -> None:
    """When a node is killed that should live, it ends with 1, says what is not so, and shows what the node said."""
    with demo(place, "--json") as process:
        until(lambda: any(place.glob("*/ana/run/node.sock")), "Ana's node answers", 60.0)
        (pid,) = processes_in(place, "node")
        os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=DEMO_S)
    assert process.returncode == 1, (out, err)
    facts = json.loads(out)
    assert facts["ok"] is False
    assert facts["failure"]
    assert set(facts["logs"]) == {"Ana", "Bo", "Cy", "Di"}
    assert list(place.iterdir()) == []
    until(lambda: not processes_in(place), "no process is left", 5.0)
