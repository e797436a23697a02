"""A disk that runs full under a running node: said in words, nothing lost, and it goes on when there is room again."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tallystick.node.errors import NodeError
from tests.integration.computers import Computer, Said, agree, computers, establish, gather, seal, until

#: So much fits on the small disk: the reserve of the store, its files, and a little.
DISK_MIB = 24


class Disk(Protocol):
    """A disk that can be filled."""

    folder: Path

    def fill(self, computer: Computer) -> None:
        """From now on nothing more fits, or next to nothing."""
        ...

    def make_room(self, computer: Computer) -> None:
        """As it was before."""
        ...


class Limited:
    """The system's limit on the size of files in the place of a disk: the same refusals, on every machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, computer: Computer) -> None:
        assert computer.process is not None
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(computer.process.pid, resource.RLIMIT_FSIZE, (64 * 1024, hard))

    def make_room(self, computer: Computer) -> None:
        assert computer.process is not None
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(computer.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


class Small:
    """A small file system of its own, filled with a large file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, computer: Computer) -> None:
        with (self.folder / "film").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                # Not one page is left.
                assert os.statvfs(self.folder).f_bavail == 0

    def make_room(self, computer: Computer) -> None:
        (self.folder / "film").unlink()


def mount(folder: Path) -> bool:
    """Put a small file system there, where this user may."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A small file system; where this user may not mount one, the limit."""
    if os.geteuid() or not mount(folder):
        yield Limited(folder.parent)
        return
    try:
        yield Small(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def fill_until_refused(computer: Computer) -> tuple[list[str], NodeError]:
    """Write until the disk takes no more: what was confirmed, and the refusal."""
    confirmed = []
    for units in range(1, 2000):
        try:
            confirmed.append(computer.write("offer", step="roast", units=units, note="beans " * 300)["entry"])
        except NodeError as error:
            return confirmed, error
    raise AssertionError("the disk never runs full")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["limit", "disk"])
def test_node_on_a_full_disk_reads_waits_and_goes_on(tmp_path: Path, kind: str) -> None:
    """Writing ends with `disk-full` and exit 6; reading goes on; with room again so does writing, and all is there."""
    with ExitStack() as stack:
        disk: Disk = stack.enter_context(small_disk(tmp_path / "small")) if kind == "disk" else Limited(tmp_path)
        ana, bo = Computer(disk.folder, "Ana"), Computer(tmp_path, "Bo")
        for each in (ana, bo):
            stack.callback(each.clear)
            each.make()
        gather([ana, bo])
        disk.fill(ana)
        confirmed, refusal = fill_until_refused(ana)
        assert (refusal.reason, refusal.exit_code) == ("disk-full", 6)
        assert "full" in refusal.message
        assert "room" in refusal.hint

        # It reads, says why it does not write, and shows all that it has confirmed.
        until(lambda: ana.status()["read_only"], "the node says that it is read-only", 5.0)
        assert ana.process is not None
        assert ana.process.poll() is None
        assert all(ana.has(entry) for entry in confirmed)
        for args in (["offer", "roast", "1"], ["invite"]):
            said = ana.tally(*args)
            assert (said.code, said.error["code"]) == (6, "disk-full")
            assert "Traceback" not in said.err
        assert ana.done("points")["rows"]
        # Meanwhile the world goes on.
        meanwhile = bo.write("offer", step="roast", units=5)["entry"]

        disk.make_room(ana)
        until(lambda: not ana.status()["read_only"], "the node writes again", 15.0)
        entry = ana.write("offer", step="roast", units=7)["entry"]
        until(lambda: ana.has(meanwhile), "Ana hears what Bo wrote meanwhile")
        for each in (*confirmed, entry):
            until(lambda each=each: bo.has(each), f"{each[:8]} reaches Bo")
        seal([ana, bo])
        assert agree([ana, bo])["mute"] is False
        for each in (ana, bo):
            assert each.end() == 0
            assert each.done("verify")["ok"] is True


#: `tally` on a disk that takes no file larger than the first argument.
TALLY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from tallystick.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def limited(limit: int, computer: Computer, *args: str | Path) -> Said:
    """Run `tally` there."""
    done = subprocess.run(
        [sys.executable, "-c", TALLY, str(limit), "--home", str(computer.path), "--json", "-q", *map(str, args)],
        env={**os.environ, "TALLY_PASSPHRASE_FILE": str(computer.passphrase)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Said(done.returncode, done.stdout, done.stderr)


#: Nothing fits; the guard does not; the database does not; the reserve does not.
LIMITS = (10, 100, 3000, 9000, 100_000)


@pytest.mark.slow
def test_founding_on_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A ledger that does not fit is not founded: exit 6, no half ledger, and with room it works."""
    with computers(tmp_path, "Ana") as (ana,):
        rules = tmp_path / "cafe.toml"
        rules.write_text(ana.done("charter", "template", "cafe")["text"])
        for limit in LIMITS:
            said = limited(limit, ana, "found", rules, "--yes")
            assert (said.code, said.error["code"]) == (6, "disk-full"), (limit, said)
            assert ana.home.ledgers() == (), limit
        assert ana.done("found", rules, "--yes")["status"] == "sealed"
        assert ana.done("verify")["ok"] is True


@pytest.mark.slow
def test_joining_on_a_full_disk_can_be_tried_again(tmp_path: Path) -> None:
    """The ticket is not used up, no half ledger stands in the way, and with room it works."""
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        establish(ana)
        ana.start()
        ticket = ana.write("invite")["ticket"]
        for limit in (100, 100_000):
            said = limited(limit, bo, "join", ticket, "--yes")
            assert (said.code, said.error["code"]) == (6, "disk-full"), (limit, said)
            assert bo.home.ledgers() == (), limit
        assert not ana.member("Bo")
        assert bo.done("join", ticket, "--yes")["status"] == "pending"


@pytest.mark.slow
def test_writing_on_a_full_disk_without_a_node(tmp_path: Path) -> None:
    """The command ends with 6, the ledger reads as before, and nothing is half-written."""
    with computers(tmp_path, "Ana") as (ana,):
        establish(ana)
        before = ana.read("log")
        for limit in (10, 100, 130):
            said = limited(limit, ana, "offer", "roast", "1")
            assert (said.code, said.error["code"]) == (6, "disk-full"), (limit, said)
        assert ana.read("log") == before
        assert ana.done("offer", "roast", "1")["status"] == "sealed"
        assert ana.done("verify")["ok"] is True
