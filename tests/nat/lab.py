"""A small internet in network namespaces: one public network, and homes behind routers that translate addresses.

             public network 10.77.0.0/24 and fd77::/64
        bo 10.77.0.2        router 10.77.0.11       router 10.77.0.12
                                 |                       |
                          ana 192.168.1.2           cy 192.168.1.2

Both homes use the same private addresses, as homes do. A router lets answers in and nothing else, and gives each
connection a port by chance, so that nobody can guess where to dial.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.computers import Computer

_S = 20.0
PORT = 4001


class NoNamespacesError(Exception):
    """This machine lets nobody make network namespaces; the text says what is missing."""


def run(*words: str) -> str:
    """Run a command that has to work."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=_S)
    if done.returncode:
        raise NoNamespacesError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


class Lab:
    """The namespaces; `name` goes before theirs, so that two labs do not meet."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: list[str] = []

    def space(self, name: str) -> str:
        """Make a namespace with its loopback up."""
        full = f"{self._name}-{name}"
        run("ip", "netns", "add", full)
        self._made.append(full)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def of(self, name: str) -> str:
        return f"{self._name}-{name}"

    def cable(self, one: str, end: str, other: str, other_end: str) -> None:
        """Put a cable between two namespaces."""
        run("ip", "-n", one, "link", "add", end, "type", "veth", "peer", "name", other_end, "netns", other)
        run("ip", "-n", one, "link", "set", end, "up")
        run("ip", "-n", other, "link", "set", other_end, "up")

    def build(self) -> None:
        """Make everything. Raises NoNamespacesError."""
        net = self.space("net")
        run("ip", "-n", net, "link", "add", "hub", "type", "bridge")
        run("ip", "-n", net, "link", "set", "hub", "up")
        for name, number in (("bo", 2), ("r1", 11), ("r2", 12)):
            space = self.space(name)
            self.cable(space, "wan", net, f"to-{name}")
            run("ip", "-n", net, "link", "set", f"to-{name}", "master", "hub")
            run("ip", "-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "wan")
            run("ip", "-n", space, "addr", "add", f"fd77::{number}/64", "dev", "wan", "nodad")
        for name, router in (("ana", "r1"), ("cy", "r2")):
            space, gate = self.space(name), self.of(router)
            self.cable(space, "eth", gate, "lan")
            run("ip", "-n", gate, "addr", "add", "192.168.1.1/24", "dev", "lan")
            run("ip", "-n", space, "addr", "add", "192.168.1.2/24", "dev", "eth")
            run("ip", "-n", space, "route", "add", "default", "via", "192.168.1.1")
            run("ip", "netns", "exec", gate, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            self.rule(router, "-t", "nat", "-A", "POSTROUTING", "-o", "wan", "-j", "MASQUERADE", "--random")
            self.rule(router, "-P", "FORWARD", "DROP")
            self.rule(router, "-A", "FORWARD", "-i", "lan", "-j", "ACCEPT")
            self.rule(router, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT")

    def rule(self, router: str, *words: str) -> None:
        """Give a router a rule of iptables."""
        run("ip", "netns", "exec", self.of(router), "iptables", *words)

    def open_port(self, router: str, port: int) -> None:
        """What a person does in the menu of a router: pass one port on to the machine behind it."""
        self.rule(
            router, "-t", "nat", "-A", "PREROUTING", "-i", "wan", "-p", "tcp", "--dport", str(port),
            "-j", "DNAT", "--to", "192.168.1.2",
        )  # fmt: skip
        self.rule(router, "-I", "FORWARD", "-i", "wan", "-p", "tcp", "--dport", str(port), "-j", "ACCEPT")

    def remove(self) -> None:
        """Take down whatever was made; cables and rules go with it."""
        for name in reversed(self._made):
            subprocess.run(("ip", "netns", "del", name), capture_output=True, timeout=_S)


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab that is gone afterwards. Raises NoNamespacesError."""
    missing = [each for each in ("ip", "iptables") if shutil.which(each) is None]
    if missing or not sys.platform.startswith("linux"):
        raise NoNamespacesError(f"this needs Linux with {' and '.join(missing) or 'network namespaces'}")
    made = Lab(f"tally{os.getpid()}")
    try:
        made.build()
        yield made
    finally:
        made.remove()


class Housed(Computer):
    """A partner's computer inside a namespace."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self.space: str | None = None

    def program(self) -> list[str]:
        inside = ["ip", "netns", "exec", self.space] if self.space is not None else []
        return [*inside, *super().program()]
