"""Two partners behind routers reach each other through the node of a third, and directly once a port is open.

Not part of `make test`, since it needs root and network namespaces; `make nat` runs it, and fails where it cannot.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.computers import CONFIG, gather, seal, until
from tests.nat.lab import PORT, Housed, Lab, lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

OUTSIDE = CONFIG.replace("/ip4/127.0.0.1/tcp/0", f"/ip4/0.0.0.0/tcp/{PORT}")
REACHED_S = 20.0


@pytest.fixture
def world() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
def partners(tmp_path: Path, world: Lab) -> Iterator[list[Housed]]:
    """Ana, Bo and Cy, partners of one ledger, each where they live; no node runs yet."""
    made = [Housed(tmp_path, name) for name in ("Ana", "Bo", "Cy")]
    try:
        for each in made:
            each.make()
        gather(made)
        for each in made:
            each.end()
            each.space = world.of(each.name.lower())
            (each.path / "config.toml").write_text(OUTSIDE, encoding="utf-8")
        yield made
    finally:
        for each in made:
            each.clear()


def seen(one: Housed, other: Housed) -> dict[str, Any]:
    """What `tally peers` on one computer says of another's."""
    return next((row for row in one.read("peers") if row["name"] == other.name), {})


def is_met(one: Housed, other: Housed, *, relayed: bool) -> bool:
    row = seen(one, other)
    # What came before its first word is not yet known.
    return bool(row) and row["height"] is not None and bool(row["connected"]) and row["relayed"] is relayed


def test_two_behind_routers_meet_through_a_third(world: Lab, partners: list[Housed]) -> None:
    """They know Bo's address alone. He goes and comes back; then Cy opens a port, and Bo is not needed any more."""
    ana, bo, cy = partners
    public = f"/ip4/10.77.0.2/tcp/{PORT}/p2p/{peer_id_of(bo)}"
    bo.start()
    assert public in bo.addresses
    ana.start("--peer", public)
    cy.start("--peer", public)
    for one, other in ((ana, cy), (cy, ana)):
        until(lambda one=one, other=other: is_met(one, other, relayed=True), "they meet through Bo", REACHED_S)
        row = seen(one, other)
        assert row["address"].endswith("/p2p-circuit") and row["behind"] == row["ahead"] == 0
        assert row["seen"] and row["clock_ms"] is not None and abs(row["clock_ms"]) < 5000
        assert is_met(one, bo, relayed=False)
    entry = ana.write("offer", step="roast", units=1)["entry"]
    until(lambda: cy.has(entry), "the offer reaches Cy")
    seal(partners)

    bo.end(signal.SIGKILL)
    until(lambda: not seen(ana, cy)["connected"] and not seen(cy, ana)["connected"], "both notice that Bo is gone")
    bo.start()
    until(lambda: is_met(ana, cy, relayed=True), "they meet through Bo again", REACHED_S)

    world.open_port("r2", PORT)
    cy.end()
    (cy.path / "config.toml").write_text(f'announce = ["/ip4/10.77.0.12/tcp/{PORT}"]\n{OUTSIDE}', encoding="utf-8")
    cy.start()
    until(lambda: is_met(ana, cy, relayed=False) and is_met(cy, ana, relayed=False), "they meet directly", REACHED_S)
    bo.end()
    entry = cy.write("offer", step="roast", units=2)["entry"]
    until(lambda: ana.has(entry), "the offer reaches Ana without Bo")


def test_two_in_one_network_meet_over_ipv6_and_by_multicast(world: Lab, partners: list[Housed]) -> None:
    """Where both have IPv6 it is listened on and dialled; nothing else is open between them."""
    ana, bo, _ = partners
    for each, space in ((ana, "r1"), (bo, "bo")):
        each.space = world.of(space)
        text = OUTSIDE.replace(f"/ip4/0.0.0.0/tcp/{PORT}", f"/ip6/::/tcp/{PORT}")
        (each.path / "config.toml").write_text(text, encoding="utf-8")
    bo.start()
    where = f"/ip6/fd77::2/tcp/{PORT}"
    assert f"{where}/p2p/{peer_id_of(bo)}" in bo.addresses
    ana.start("--peer", f"{where}/p2p/{peer_id_of(bo)}")
    until(lambda: is_met(ana, bo, relayed=False), "they meet", REACHED_S)
    assert seen(ana, bo)["address"] == f"{where}/p2p/{peer_id_of(bo)}"
    assert seen(bo, ana)["address"].startswith("/ip6/fd77::11/tcp/")

    # Both move, to IPv4 and another port, and nobody is told where: what they remember is wrong.
    for each in (ana, bo):
        each.end()
        text = OUTSIDE.replace("mdns = false", "mdns = true").replace(f"/tcp/{PORT}", f"/tcp/{PORT + 1}")
        (each.path / "config.toml").write_text(text, encoding="utf-8")
    ana.start()
    bo.start()
    until(lambda: is_met(ana, bo, relayed=False), "they find each other by multicast", REACHED_S)
    # Whoever of them dialled: what is shown is where the other listens.
    for here, there, number in ((ana, bo, 2), (bo, ana, 11)):
        place = f"/ip4/10.77.0.{number}/tcp/{PORT + 1}/p2p/{peer_id_of(there)}"
        until(lambda here=here, there=there, place=place: seen(here, there)["address"] == place, place)


def peer_id_of(each: Housed) -> str:
    from tallystick.node.identity import read_node_secret
    from tallystick.node.net_address import peer_id

    return peer_id(read_node_secret(each.home).public)
