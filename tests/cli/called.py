"""`tally` as a test calls it: in this process, with what it printed, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tallystick.cli.main import main


class Called(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """Its result for programs."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """Its error for programs: the last line of stderr, since remarks may come before it."""
        error = json.loads(self.err.splitlines()[-1])["error"]
        assert isinstance(error, dict)
        return error


class Caller:
    """Calls `tally` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | Path) -> Called:
        self._capsys.readouterr()
        code = main([str(each) for each in args])
        out, err = self._capsys.readouterr()
        return Called(code, out, err)


def process(*args: str | Path, stdin: str | None = None, **environment: str) -> Called:
    """Run `tally` as a process, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "tallystick", *map(str, args)],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, **environment},
    )
    return Called(done.returncode, done.stdout, done.stderr)
