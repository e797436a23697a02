"""A running node all of whose places are taken by a program of its own, while honest partners need them too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.node.crowding import WAITING_ALL_MAX
from tallystick.node.transport import TransportLimits
from tests.integration.attacked import Attacker, Customer
from tests.integration.computers import agree, charter, computers, gather, until

MIB = 1024 * 1024
PLACES = TransportLimits().connections_max
#: So much more than before they came, for their connections; what they let wait comes on top of that.
GROWTH_MIB_MAX = 96
#: Entries that are written while all places are taken.
ENTRIES = 5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crowd_takes_no_more_places_than_there_are_and_none_that_an_honest_one_needs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """More keys come than there are places. Who was there is served, and who comes anew gets the place of a crowd."""
    with computers(tmp_path, "Ana", "Bo") as (ana, bo):
        gather([ana, bo], charter("1s"))
        attacker = Attacker(ana.write("invite", uses=2)["ticket"], tmp_path / "hostile.log")
        customer = Customer(bo, ana)

        def serves(what: str) -> None:
            """An honest partner writes through the node, and all of it is sealed."""
            many, height = len(customer.took_s) + ENTRIES, ana.status()["height"]
            with customer.trading():
                until(lambda: len(customer.took_s) >= many, f"what is written arrives {what}", 60.0)
            until(customer.is_done, f"what is written is sealed {what}", 60.0)
            assert ana.status()["height"] > height

        def all_taken(what: str) -> None:
            until(lambda: ana.status()["peers"] == PLACES, f"all places are taken {what}")

        try:
            mal = attacker.order(do="join", name="Mal")["entry"]
            until(lambda: ana.has(mal), "the newcomer is known")
            ana.write("admit", partner=mal)
            # What it signs now comes behind that, in whatever order the rest is sealed.
            agree([ana, bo])
            last = attacker.order(do="write", name="Mal", what="puppets")["entry"]
            until(lambda: ana.has(last), "its puppets are known")
            agree([ana, bo])
            before = ana.memory_mib()
            came = attacker.order(do="come")
            all_taken("at first")
            record_property("who came", came)
            assert came["keys"] > came["in"] == PLACES - 1
            serves("while all places are taken")
            # Whoever loses its connection for a moment finds somebody else in its place.
            bo.end()
            all_taken("by the crowd alone")
            assert attacker.order(do="count")["in"] == PLACES
            bo.start()
            until(lambda: bo.status()["peers"] == 1, "an honest partner comes back")
            serves("after the partner came back")
            assert ana.memory_mib() - before < GROWTH_MIB_MAX
            begun = attacker.order(do="begin messages")
            record_property("messages begun", f"{begun}, {ana.memory_mib()} MiB")
            until(lambda: "others need the room" in ana.log.read_text(), "some of them have to go")
            all_taken("in the end")
            record_property("who was there in the end", attacker.order(do="count"))
            record_property("memory before and after", f"{before} and {ana.memory_mib()} MiB")
            record_property("honest entries, the slowest", f"{len(customer.took_s)}, {max(customer.took_s):.2f} s")
            attacker.order(do="go")
            until(lambda: ana.status()["peers"] == 1, "all places are free again", 60.0)
            serves("when the crowd has gone")
            assert attacker.order(do="join", name="Late")["entry"]
        finally:
            attacker.end()
        assert ana.memory_mib() - before < GROWTH_MIB_MAX + WAITING_ALL_MAX // MIB
        assert customer.failed == []
        for each in (ana, bo):
            assert "Traceback" not in each.log.read_text()
        assert "hanging up" not in bo.log.read_text()
