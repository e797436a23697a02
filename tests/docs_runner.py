"""Runs the console sessions of a document as they are written there, and compares what is said.

    ```toml file=cafe.toml        a file that the session uses
    ```console                    `$ command`, then what it says, on both streams

All sessions of a document are one: a fresh folder, one environment, the real command line. A command that ends in `&`
goes on in the background, and stays until `kill %1` or the end.

Ids, tickets and words differ from run to run. The first time one stands in what is expected it takes the place of what
was really said, and means that from then on, in commands too. Times and sizes match any other; `...` matches the rest
of a line, and alone on a line any number of lines.

What is asked of a node may take a moment to arrive there. So a command that ends otherwise than written is repeated,
as long as it has changed nothing: it only reads, or was refused.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

WAIT_S: Final = 30.0
_STEP_S: Final = 0.05
_FENCE: Final = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What stands for something else in every run: ids, a ticket, six words.
_BOUND: Final = re.compile(
    r"\b(?:tally[dmr]?1[a-z0-9]{20,}|[0-9a-f]{64}|[0-9a-f]{8})\b|(?:(?<=words: )|(?<=voice: ))\w+(?: \w+){5}"
)
#: What may be anything of its kind.
_FREE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?|\(\d+ (?:s|min|h|days?)\)|\d+ bytes|\d+ signatures|\(in \d+ \w+\)"
    r"|/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+|\.\.\."
)
_KINDS: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), r"\d{4}-\d\d-\d\d \d\d:\d\d"),
    (re.compile(r"\d{4}-\d\d-\d\d"), r"\d{4}-\d\d-\d\d"),
    (re.compile(r"\(\d+ .*\)"), r"\(\d+ \w+\)|now"),
    (re.compile(r"\(in .*\)"), r"\(in \d+ \w+\)"),
    (re.compile(r"\d+ bytes"), r"\d+ bytes"),
    (re.compile(r"\d+ signatures"), r"\d+ signatures"),
    (re.compile(r"/ip4/.*"), r"/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+"),
    (re.compile(r"\.\.\."), r".*"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A file to be written, or a command with what it says."""

    file: str
    command: str
    text: str
    """What is in the file, or what is expected."""


def steps_of(document: str) -> list[Step]:
    """The steps of a document, in their order."""
    steps = []
    for kind, file, text in _FENCE.findall(document):
        if file:
            steps.append(Step(file, "", text))
        elif kind == "console":
            steps += [Step("", command, said) for command, said in _commands(text)]
    return steps


def _commands(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a session begins with a command, not with {parts[0]!r}"
    for part in parts[1:]:
        command, _, said = part.partition("\n")
        yield command, said


@dataclass
class Session:
    """One run of the steps of a document in a folder."""

    folder: Path
    bound: dict[str, str] = field(default_factory=dict)
    """What stands in the document -> what it was in this run."""
    environment: dict[str, str] = field(default_factory=dict)
    background: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        tools = self.folder / ".bin"
        tools.mkdir()
        tally = tools / "tally"
        root = Path(__file__).resolve().parent.parent
        # Whoever reads a guide stands in the repository.
        (self.folder / "examples").symlink_to(root / "examples")
        tally.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tallystick "$@"\n', encoding="utf-8")
        tally.chmod(0o755)
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_", "XDG_"))}
        self.environment = {
            **keep,
            "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(root),
            "COLUMNS": "120",
        }

    def run(self, document: str) -> int:
        """Run every step; AssertionError with the command where something else is said. Returns how many ran."""
        steps = steps_of(document)
        try:
            for step in steps:
                if step.file:
                    (self.folder / step.file).write_text(step.text, encoding="utf-8")
                elif step.command.startswith("export "):
                    name, _, value = step.command.removeprefix("export ").partition("=")
                    self.environment[name] = value.strip('"').replace("$PWD", str(self.folder))
                elif step.command.endswith("&"):
                    self._start(step)
                elif step.command.startswith("kill %"):
                    _stop(self.background[int(step.command.removeprefix("kill %")) - 1])
                else:
                    self._do(step)
        finally:
            self.close()
        return len(steps)

    def close(self) -> None:
        """Stop what was left running in the background, politely."""
        for process in self.background:
            _stop(process)
        self.background.clear()

    def _line(self, command: str) -> str:
        """The command with the ids of this run."""
        return _BOUND.sub(lambda found: self.bound.get(found[0], found[0]), command)

    def _do(self, step: Step) -> None:
        deadline = time.monotonic() + WAIT_S
        command = self._line(step.command)
        while True:
            done = subprocess.run(
                command,
                shell=True,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=2 * WAIT_S,
            )
            if self._agrees(step.text, done.stdout):
                return
            repeatable = done.returncode != 0 or _only_reads(command)
            if not repeatable or time.monotonic() > deadline:
                raise AssertionError(f"$ {command}\nexpected:\n{step.text}\nsaid:\n{done.stdout}")
            # Nothing tells when what another process does has arrived; the deadline bounds the looking.
            threading.Event().wait(_STEP_S)

    def _start(self, step: Step) -> None:
        words = shlex.split(self._line(step.command.removesuffix("&")))
        log = (self.folder / f"background-{len(self.background)}.log").open("w", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                [str(self.folder / ".bin" / words[0]), *words[1:]],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.background.append(process)
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in step.text.splitlines())
        assert self._agrees(step.text, said), f"$ {step.command}\nexpected:\n{step.text}\nsaid:\n{said}"

    def _agrees(self, expected: str, said: str) -> bool:
        """Whether this is what was expected; then ids that are new mean from now on what they meant here."""
        pattern, names = "", []
        for line in expected.rstrip().splitlines():
            if line.strip() == "...":
                pattern += r"(?:.*\n)*?"
                continue
            pattern += self._pattern(line.rstrip(), names) + r"[ ]*\n"
        match = re.fullmatch(pattern, said.rstrip() + "\n" if said.strip() else "")
        if match is None:
            return False
        self.bound |= {name: match[number] for number, name in enumerate(names, start=1)}
        return True

    def _pattern(self, line: str, names: list[str]) -> str:
        out, at = "", 0
        places = sorted([*_BOUND.finditer(line), *_FREE.finditer(line)], key=lambda found: found.start())
        for found in places:
            if found.start() < at:
                continue
            out += re.escape(line[at : found.start()])
            at = found.end()
            name = found[0]
            kind = next((kind for shape, kind in _KINDS if shape.fullmatch(name)), None)
            if kind is not None:
                out += f"(?:{kind})"
            elif name in self.bound:
                out += re.escape(self.bound[name])
            elif name in names:
                out += rf"\{names.index(name) + 1}"
            else:
                names.append(name)
                out += f"({_shape_of(name)})"
        return out + re.escape(line[at:])


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)
    if process.stdout is not None:
        process.stdout.close()


def _shape_of(name: str) -> str:
    if " " in name:
        return r"\w+(?: \w+){5}"
    return r"tally[dmr]?1[a-z0-9]+" if name.startswith("tally") else rf"[0-9a-f]{{{len(name)}}}"


_READS: Final = (
    "status",
    "points",
    "offers",
    "deals",
    "partners",
    "inbox",
    "log",
    "show",
    "blocks",
    "explain",
    "peers",
)


def _only_reads(command: str) -> bool:
    words = shlex.split(command)
    return words[0] == "tally" and any(word in _READS for word in words)
