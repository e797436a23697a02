"""`tally` as a process: what it imports, how fast it starts, and how it ends whatever happens."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.node.home import Home
from tests.cli.called import Caller, process

SLOW = ("libp2p", "trio", "rich", "hypothesis")

IMPORTED = """
import sys
from tallystick.cli.main import main
code = main(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules} | set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def place(founded: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of Ana's home, where processes of this test find it."""
    shutil.copytree(founded, home / "tally")
    monkeypatch.setenv("TALLY_HOME", str(home / "tally"))
    return home / "tally"


def imported(*args: str) -> set[str]:
    """Modules that a command has imported at its end; it must have succeeded."""
    done = subprocess.run([sys.executable, "-c", IMPORTED, *args], capture_output=True, text=True, timeout=60)
    code, *names = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(names)


@pytest.mark.parametrize(
    "line",
    [
        "points",
        "status",
        "deals",
        "offers",
        "log",
        "inbox",
        "partners",
        "peers",
        "blocks",
        "explain Ana",
        "charter show",
        "charter template",
        "offer roast 3 --dry-run",
        "verify",
        "seal",
        "--help",
    ],
)
def test_what_stays_here_imports_no_network(place: Path, line: str) -> None:
    """libp2p takes half a second to import; whoever only looks must not wait for it."""
    assert imported(*line.split()) & set(SLOW) == set()


def test_points_imports_next_to_nothing(place: Path) -> None:
    """With nothing pending the sealed rows are read as they are: no click, no rules, nothing that is slow to import."""
    names = imported("points")
    assert names & {"click", "msgspec", "dataclasses", "inspect", "asyncio", "tallystick.protocol.ledger"} == set()
    assert "plyvel" in names


def test_settings_cost_points_nothing(place: Path) -> None:
    """Once read without a fault, they are only compared: what reads them takes longer to import than the answer."""
    (ledger,) = Home.open(place).ledgers()
    (place / "config.toml").write_text(f'mdns = false\nledger = "{ledger.hex()[:6]}"\n', encoding="utf-8")
    assert "tomllib" in imported("points")
    assert imported("points") & {"tomllib", "tallystick.node.config", "dataclasses"} == set()


def test_installed_command_is_the_module(place: Path) -> None:
    """`tally` and `python -m tallystick` say the same."""
    script = Path(sys.executable).with_name("tally")
    done = subprocess.run([script, "points", "--json"], capture_output=True, text=True, timeout=60)
    assert done.stdout == process("points", "--json").out


def test_nothing_is_coloured(place: Path) -> None:
    """NO_COLOR changes nothing, since there is no colour: what a person reads is what a pipe carries."""
    for line in (["status"], ["partners"], ["--help"], ["nonsense"]):
        plain, without = process(*line), process(*line, NO_COLOR="1")
        forced = process(*line, FORCE_COLOR="1", CLICOLOR_FORCE="1", TERM="xterm-256color")
        assert plain == without == forced
        assert "\x1b" not in plain.out + plain.err


@pytest.mark.parametrize(
    "line", [["log"], ["--help"], ["charter", "template", "cafe"], ["log", "--json"], ["charter", "show"]]
)
def test_reader_that_has_gone_is_no_error(place: Path, line: list[str]) -> None:
    """`tally log | head -1` ends in silence, and with 0 whichever command it was."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "tallystick", *line], stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", [["log"], ["points"], ["status", "--json"], ["--help"], ["nonsense"]])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_was_closed_is_no_fault(place: Path, line: list[str], closed: str) -> None:
    """A command may be started without any of them; it ends as ever, and with no traceback."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "tallystick", *line]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60)
    assert done.returncode == (2 if line == ["nonsense"] else 0)
    assert "Traceback" not in done.stdout + done.stderr


#: Ctrl-C while this module is being imported.
INTERRUPTED = """
import sys

wanted = sys.argv[1]

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
import runpy
sys.argv = ["tally", *sys.argv[2:]]
runpy.run_module("tallystick", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["tallystick.cli.main", "tallystick.cli.argv", "click", "tallystick.cli.reads"])
@pytest.mark.parametrize("line", [["points"], ["log", "--limit", "3"]])
def test_interruption_at_the_start_is_no_traceback(place: Path, module: str, line: list[str]) -> None:
    """Ctrl-C before the command has begun: 130 and at most a word, whatever was being imported."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, *line], capture_output=True, text=True, timeout=60
    )
    if module == "click" and line == ["points"]:
        assert done.returncode == 0, "which is never imported there"
    else:
        assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_interruption_ends_with_130(tally: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, wherever it strikes."""

    def interrupted(*args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tallystick.cli.reads.run", interrupted)
    for line in (["points"], ["log", "--limit", "3"]):
        called = tally(*line)
        assert (called.code, called.out) == (130, "")
        assert "Traceback" not in called.err


def test_interruption_inside_the_loop_ends_with_130(tally: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop bundles what its tasks raised, Ctrl-C too."""

    def interrupted(*args: object) -> int:
        raise BaseExceptionGroup("tasks", [KeyboardInterrupt()])

    monkeypatch.setattr("tallystick.cli.reads.run", interrupted)
    assert tally("points", "--json").error["code"] == "interrupted"
    assert tally("points").code == 130


def test_bug_is_a_sentence(tally: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, unless somebody wants one."""

    def broken(*args: object) -> int:
        raise ZeroDivisionError("of the program")

    monkeypatch.setattr("tallystick.cli.reads.run", broken)
    called = tally("points", "--json")
    assert (called.code, called.error["code"]) == (70, "internal-error")
    assert "TALLY_DEBUG=1" in called.error["hint"]
    monkeypatch.setenv("TALLY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        tally("points")


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [
        (["points", "Zed"], "not-found", 3),
        (["show", "abcdef"], "not-found", 3),
        (["show", "abc"], "not-found", 3),
        (["accept", "abcdef", "--dry-run"], "not-found", 3),
        (["offer", "dance", "3", "--dry-run"], "bad-argument", 2),
        (["offer", "roast", "3", "--deadline", "soon", "--dry-run"], "bad-time", 2),
        (["join", "tally1qqqqqqq"], "ticket-damaged", 7),
        (["join", "hello"], "ticket-damaged", 7),
        (["--ledger", "ffff", "points"], "not-found", 3),
        (["sync"], "no-peer", 5),
    ],
)
def test_bad_input_has_its_code(place: Path, line: list[str], code: str, exit_code: int) -> None:
    """Each mistake has a word, a sentence, a hint or a clear message, and the exit code of its family."""
    called = process(*line, "--json")
    assert called.error["code"] == code
    assert (called.code, called.out) == (exit_code, "")
    assert called.error["message"]
    assert "Traceback" not in called.err


def test_ambiguous_ledger_is_not_guessed(place: Path) -> None:
    """With several ledgers the person says which, by as many digits as it takes."""
    (ledger,) = Home.open(place).ledgers()
    (place / "ledgers" / ("ab" * 32)).mkdir(mode=0o700)
    called = process("points", "--json")
    assert (called.code, called.error["code"]) == (3, "ambiguous")
    assert "abababab" in called.error["message"]
    assert process("points", "--ledger", ledger.hex()[:6]).code == 0
    assert process("points", TALLY_LEDGER=ledger.hex()[:6]).code == 0


def test_second_node_on_one_home_is_refused(place: Path) -> None:
    """Another process is the node already; exit 6 and its number."""
    lock = Home.open(place).lock_run()
    try:
        called = process("node", "--json")
    finally:
        lock.release()
    assert (called.code, called.error["code"]) == (6, "home-in-use")
    assert str(os.getpid()) in called.error["message"]


def test_port_in_use_is_said(place: Path) -> None:
    """Exit 5, with the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        called = process("node", "--listen", f"/ip4/127.0.0.1/tcp/{port}", "--json")
    assert (called.code, called.error["code"]) == (5, "port-in-use")
    assert str(port) in called.error["message"]
    assert "--listen" in called.error["hint"]


def test_damaged_store_is_said(place: Path) -> None:
    """Exit 6, and nothing is created in its place."""
    (ledger,) = Home.open(place).ledgers()
    database = Home.open(place).ledger_path(ledger) / "db"
    shutil.rmtree(database)
    called = process("points", "--json")
    assert (called.code, called.error["code"]) == (6, "store-missing")
    # Its keys have signed what nobody can look up any more: only others bring it back.
    assert "`tally recover words`" in called.error["hint"]
    assert not database.exists()


def test_home_open_to_others_is_refused(place: Path) -> None:
    """Exit 6, with the command that closes it."""
    place.chmod(0o755)
    called = process("points", "--json")
    assert (called.code, called.error["code"]) == (6, "home-unsafe")
    assert "chmod 700" in called.error["hint"]
