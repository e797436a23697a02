"""Peers and progress in words: what a person sees of how others are reached, and of how catching up goes."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest

from tallystick.cli import progress_line
from tallystick.cli.options import Options
from tallystick.cli.progress_line import ProgressLine, bar, slowly
from tallystick.cli.render_peers import peers
from tallystick.cli.render_status import status

NOW = 1_700_000_000_000
ROW: dict[str, Any] = {
    "peer": "ab" * 32,
    "partner": "cd" * 32,
    "name": "Bo",
    "address": "/ip4/192.0.2.1/tcp/4001",
    "connected": True,
    "relayed": False,
    "seen": NOW,
    "height": 7,
    "behind": 2,
    "ahead": 0,
    "clock_ms": 90_000,
    "error": None,
}
CATCHING_UP: dict[str, Any] = {
    "height": 120,
    "target": 300,
    "blocks": 180,
    "entries": 970,
    "rate": 800,
    "left_ms": 2000,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_peers_say_who_is_reached_how() -> None:
    """Directly, through another, or not and why; who lacks how much; whose clock is off."""
    behind_router = ROW | {"name": "Cy", "relayed": True, "behind": 0, "ahead": 3, "clock_ms": 500}
    gone = ROW | {"name": "Dora", "connected": False, "clock_ms": None, "seen": None, "error": "timeout: no answer"}
    new = ROW | {"partner": None, "name": None, "height": None, "behind": None, "ahead": None, "address": None}
    lines = peers([ROW, behind_router, gone, new], NOW).splitlines()
    assert len(lines) == 5
    bo, cy, dora = lines[1:4]
    assert "directly" in bo and "+90 s" in bo and "192.0.2.1" in bo
    assert "through another" in cy and "we, 3" in cy and "same" in cy
    assert " no " in dora and "never" in dora and "timeout: no answer" in dora
    full = peers([ROW | {"address": "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWabc"}], NOW)
    circuit = peers([ROW | {"address": "/p2p/12D3KooWabc/p2p-circuit"}], NOW)
    assert full.endswith("/tcp/4001") and circuit.endswith("/p2p/12D3KooWabc/p2p-circuit")
    assert peers([], NOW).startswith("no other node is known")


def test_status_says_how_catching_up_goes() -> None:
    """With rate and time; a standstill is called one."""
    answer: dict[str, Any] = {"ledger": "ab" * 32, "name": "Table", "height": 120, "catching_up": CATCHING_UP}
    assert "catching up: #120 of #300, about 970 entries to go, 800 a second, 2 s left" in status(answer, NOW)
    still = answer | {"catching_up": CATCHING_UP | {"left_ms": None, "entries": None, "rate": 0}}
    assert "catching up: #120 of #300, 0 a second, nothing comes just now" in status(still, NOW)
    assert "catching up" not in status(answer | {"catching_up": None}, NOW)


def test_bar_is_drawn_on_a_terminal_and_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line over itself, with a bar from where it began, and nothing of it is left."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with ProgressLine(Options()) as line:
        line.show(None)
        assert screen.getvalue() == ""
        line.show(CATCHING_UP)
        first = screen.getvalue()
        line.show(CATCHING_UP)
        assert screen.getvalue() == first
    assert "\n" not in screen.getvalue()
    assert f"{bar(0, 180)}  catching up: #120 of #300" in first
    assert screen.getvalue().endswith("\r\x1b[2K")


def test_elsewhere_it_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets whole lines and no signs for a terminal; `-q` gets nothing."""
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with ProgressLine(Options()) as line:
        line.show(CATCHING_UP)
        line.show(CATCHING_UP)
    assert log.getvalue() == "catching up: #120 of #300, about 970 entries to go, 800 a second, 2 s left\n"
    quiet = Options()
    quiet.quiet = True
    with ProgressLine(quiet) as line:
        line.show(CATCHING_UP)
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("done", "whole", "text"),
    [
        (0, 10, "[--------------------]   0 %"),
        (5, 10, "[##########----------]  50 %"),
        (10, 10, "[####################] 100 %"),
        (12, 10, "[####################] 100 %"),
        (-1, 10, "[--------------------]   0 %"),
        (0, 0, "[####################] 100 %"),
    ],
)
def test_bar_is_never_wider_than_itself(done: int, whole: int, text: str) -> None:
    """Whatever the numbers are."""
    assert bar(done, whole) == text


def test_what_takes_long_says_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, after a second, and nothing of it is left; a program is told nothing."""
    said = threading.Event()

    class Screen(Terminal):
        def write(self, text: str) -> int:
            if text.endswith("..."):
                said.set()
            return super().write(text)

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with slowly(Options(), "nobody waits long for this"):
        assert not said.is_set()
    assert "nobody waits" not in screen.getvalue()
    monkeypatch.setattr(progress_line, "_SLOW_S", 0.0)
    with slowly(Options(), "the others are asked for a block"):
        assert said.wait(10)
    assert screen.getvalue().endswith("the others are asked for a block ...\r\x1b[2K")
    quiet = Options()
    quiet.json = True
    before = screen.getvalue()
    with slowly(quiet, "for nobody"):
        assert screen.getvalue() == before
    assert screen.getvalue() == before
