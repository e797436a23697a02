"""What the tests of the command line share."""

from pathlib import Path

import pytest

from tests.cli.called import Caller


@pytest.fixture
def tally(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path) -> Caller:
    """`tally`, called in this process, with a home of its own and nobody at the keyboard."""
    monkeypatch.setenv("TALLY_HOME", str(home / "tally"))
    monkeypatch.setattr("tallystick.cli.ask.can_ask", lambda: False)
    return Caller(capsys)
