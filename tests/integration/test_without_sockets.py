"""A machine without Unix sockets: the same commands, over loopback TCP, between real processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.computers import COMMAND_S, Computer, Said, establish, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

#: Libraries of this system expect sockets that the other one does not have, so they are imported before.
PROGRAM = """
import functools, runpy, socket, sys
import psutil
socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)
del socket.AF_UNIX
socket.__all__.remove("AF_UNIX")
runpy.run_module("tallystick", run_name="__main__", alter_sys=True)
"""


class Bare(Computer):
    """A computer whose Python has no Unix sockets."""

    def program(self) -> list[str]:
        return [sys.executable, "-c", PROGRAM]

    def tally(self, *args: str | Path) -> Said:
        done = subprocess.run(
            [*self.program(), "--home", str(self.path), "--json", "-q", *map(str, args)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            env={**os.environ, "TALLY_PASSPHRASE_FILE": str(self.passphrase)},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    @property
    def api(self) -> Path:
        return self.path / "run" / "api.json"


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Bare]:
    made = Bare(tmp_path, "Ana")
    made.make()
    establish(made)
    try:
        yield made
    finally:
        made.clear()


def test_a_person_notices_no_difference(ana: Bare) -> None:
    """Reading, signing with the passphrase, unlocking, locking, sealing, and a second node that is refused."""
    ana.start()
    assert not (ana.path / "run" / "node.sock").exists()
    assert ana.api.stat().st_mode & 0o777 == 0o600
    assert ana.done("status")["node_running"] is True
    first = ana.done("offer", "roast", "1")
    assert first["status"] == "pending"
    assert ana.done("unlock")["node"] is True
    # The node holds the key now, so that none travels at all.
    second = ana.done("offer", "roast", "2")
    ana.done("lock")
    ana.done("seal")
    assert {ana.done("show", row["entry"])["status"] for row in (first, second)} == {"sealed"}
    refused = ana.tally("offer", "roast", "0")
    assert refused.code == 2
    assert ana.tally("node").error["code"] == "node-running"
    ana.end()
    assert not ana.api.exists()
    assert ana.done("status")["node_running"] is False


def test_whoever_took_the_port_of_a_killed_node_is_not_believed(ana: Bare) -> None:
    """The command does its work by itself; the other process sees neither a key nor anything it could use."""
    ana.start()
    row = json.loads(ana.api.read_text())
    process = ana.process
    assert process is not None
    process.kill()
    process.wait(10)
    assert ana.api.exists()
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", row["port"])) as listener:

        def answer() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                with stream:
                    heard.append(stream.recv(65536))
                    stream.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"entry":"00","kind":1}')

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert ana.done("status")["node_running"] is False
        assert ana.done("offer", "roast", "1")["status"] == "sealed"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert heard
    assert all(b"Sealed-Key" not in each and ana.key.seed.hex().encode() not in each for each in heard)
    # The next node has other secrets.
    ana.start()
    assert json.loads(ana.api.read_text())["seal"] != row["seal"]


def test_a_disk_without_sockets_is_no_obstacle(tmp_path: Path) -> None:
    """Where the socket cannot be made, though the system has such, the node opens the other door and says so."""
    bo = Computer(tmp_path, "Bo").make()
    establish(bo)
    try:
        # In the place of a disk that refuses: no socket can be made where a folder is.
        (bo.path / "run" / "node.sock").mkdir(parents=True)
        bo.start()
        assert "no Unix socket" in bo.tail()
        assert bo.done("status")["node_running"] is True
        assert bo.done("offer", "roast", "1")["status"] == "pending"
        until(lambda: bo.status()["pending"] == 1, "it is there")
    finally:
        bo.clear()
