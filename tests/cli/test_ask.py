"""Questions: asked on stderr, answered on stdin, and not at all where nobody sits."""

from __future__ import annotations

import io
import sys

import pytest

from tallystick.cli import ask
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError


class Keyboard(io.StringIO):
    """Standard input with somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "YES\n", " y \n"])
def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    """The question is on stderr, since stdout belongs to results."""
    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    ask.confirm(Options(), "Really?")
    assert capsys.readouterr() == ("", "Really? [y/N] ")


@pytest.mark.parametrize("answer", ["\n", "n\n", "yess\n"])
def test_anything_else_does_not(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Exit 130, as Ctrl-C: no rule has refused anything. And nothing was done."""
    monkeypatch.setattr(sys, "stdin", Keyboard(answer))
    with pytest.raises(NodeError) as caught:
        ask.confirm(Options(), "Really?")
    assert (caught.value.reason, caught.value.exit_code) == ("declined", 130)


def test_yes_option_answers_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked then, terminal or not."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    options = Options()
    options.yes = True
    ask.confirm(options, "Really?")
    assert sys.stdin.read() == ""


def test_end_of_input_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D at a question is no answer."""
    monkeypatch.setattr(sys, "stdin", Keyboard(""))
    with pytest.raises(KeyboardInterrupt):
        ask.text("Name: ", "--name")


@pytest.mark.parametrize("stdin", [io.StringIO("Ana\n"), None])
def test_without_a_terminal_the_option_is_named(monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None) -> None:
    """What waits on a pipe is no answer either; a process may even have no stdin."""
    monkeypatch.setattr(sys, "stdin", stdin)
    for question in (
        lambda: ask.text("Name: ", "--name"),
        lambda: ask.secret("Passphrase: ", "--name"),
        lambda: ask.confirm(Options(), "Really?", "--name"),
    ):
        with pytest.raises(NodeError) as caught:
            question()
        assert (caught.value.reason, caught.value.exit_code) == ("not-a-terminal", 2)
        assert "--name" in caught.value.message
