"""`tally` as a test calls it: in this process, with what it printed, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
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


PASSPHRASE = "correct horse battery"

#: What everything that signs answers, and what every trial of it (docs/spec/cli.md).
OUTCOME = ("entry", "kind", "status", "reason", "deal", "height", "waits_for", "waits_for_least", "warnings")
TRIAL = (
    *("kind", "status", "reason", "detail", "postings", "waits_for", "waits_for_least", "deadline", "silence", "next"),
    *("remarks", "warnings"),
)


def found_ledger(path: Path) -> Path:
    """Make a home for Ana and found a cafe in it, with the real keys and the real store."""
    from importlib.resources import files

    from tallystick.crypto.keys import SecretKey
    from tallystick.node.founding import found
    from tallystick.node.home import Home
    from tallystick.node.identity import create_identity, unseal_device_key
    from tallystick.protocol.charter import read_charter, read_toml

    home = Home.create(path)
    create_identity(home, name="Ana", passphrase=PASSPHRASE)
    key: SecretKey = unseal_device_key(home, PASSPHRASE)
    text = files("tallystick.protocol.templates").joinpath("cafe.toml").read_text(encoding="utf-8")
    found(home, read_charter(read_toml(text)), key, time.time_ns() // 1_000_000)
    return path
