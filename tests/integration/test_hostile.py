"""A running node under attack by a program of its own, while an honest partner trades through it all the time.

Each limit of the protocol is broken once over real libp2p. What is looked at: the stated consequence, the memory of the
attacked process, and how long an honest entry takes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.node.intake import (
    ORPHAN_BYTES_MAX,
    ORPHANS_MAX,
    PENDING_BYTES_MAX,
    PENDING_PER_DEVICE_MAX,
)
from tallystick.node.net_links import STREAMS_MAX
from tallystick.node.sync import HINTED_MAX
from tallystick.node.transport import FRAME_BYTES_MAX, TransportLimits
from tallystick.protocol.block import ENTRIES_MAX
from tallystick.protocol.devices import DEVICES_MAX
from tallystick.protocol.votes import ROUNDS_AHEAD_MAX, VOTES_MAX
from tests.integration.attacked import Attacker, Customer
from tests.integration.computers import Computer, agree, charter, computers, gather, join, seal, until
from tests.integration.hostile import DEVICES_MORE
from tests.integration.hostile_attacks import ATTACKS
from tests.integration.hostile_member import HEAVY

#: Whoever does this is hung up on, and may come back.
HUNG_UP = ("frame_too_long", "wrong_ledger", "lying_heads", "gossip_too_long", "gossip_broken")
#: Whoever does this is hung up on, and left alone.
BLAMED = (
    "beyond_credit",
    "not_canonical",
    "too_deep",
    "before_hello",
    "header_too_long",
    "charter_too_long",
    "annex_too_long",
    "too_many_links",
    "body_too_deep",
    "forged_entry",
    "forged_vote",
)
#: These write entries of their own.
WRITERS = ("own_flood", "heavy_flood", "far_ahead", "votes_of_a_sealer", "branches")
#: What an honest node might do as well, if not as much of it: it may stay, and its share is bounded.
BOUNDED = (
    "votes_of_nobody",
    "orphans",
    "heavy_orphans",
    "slow_reader",
    "asks_again",
    "parts_without_end",
    "gossip_names",
    "gossip_flood",
    "gossip_of_others",
    *WRITERS,
)
#: Whoever is left alone has a name of its own, and so has who writes; all else is done by one and the same.
NAMES = {what: what if what in (*BLAMED, *WRITERS) else "guest" for what in ATTACKS}
LAST = ("votes_of_a_sealer", "branches")
#: Batches of one device that may be judged while the limit is reached, in entries and bytes.
JUDGED, JUDGED_BYTES = 4 * 64, 4 * FRAME_BYTES_MAX
#: What others write meanwhile.
OTHERS = 400
#: So many entries may be pending, or wait for their parents, while the one who has sent them is there. Of the others
#: none sends any, but what came before may not be sealed yet.
PENDING_MAX = {
    "own_flood": PENDING_PER_DEVICE_MAX + JUDGED,
    "far_ahead": 2 * PENDING_PER_DEVICE_MAX + ENTRIES_MAX + JUDGED,
    "heavy_flood": (PENDING_BYTES_MAX + JUDGED_BYTES) // HEAVY,
    "branches": PENDING_PER_DEVICE_MAX + JUDGED,
}
ORPHANS = {"orphans": ORPHANS_MAX, "heavy_orphans": ORPHAN_BYTES_MAX // HEAVY}
#: So much more than before the attacks, all together.
GROWTH_MIB_MAX = 96


#: Strangers who come at once.
STRANGERS = 40


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_node_under_attack_serves_the_honest_and_stays_small(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every breach has its consequence, memory is bounded, and what an honest partner writes arrives meanwhile."""
    assert {*HUNG_UP, *BLAMED, *BOUNDED} == {*ATTACKS}
    with computers(tmp_path, "Ana", "Bo", "Cy") as (ana, bo, cy):
        gather([ana, bo], charter("1s"))
        attacker = Attacker(ana.write("invite", uses=1000)["ticket"], tmp_path / "hostile.log")
        customer = Customer(bo, ana)

        def attack(what: str) -> None:
            answer = attacker.order(do="attack", what=what, name=NAMES[what])
            row = ana.status()
            answer |= attacker.order(do="leave")
            record_property(
                what,
                f"{answer}, {ana.memory_mib()} MiB, {row['pending']} pending, {row['orphans']} orphans, "
                f"block {row['height']}",
            )
            check_consequence(what, answer)
            check_room(what, row)

        try:
            for name in ("crowd", *dict.fromkeys(NAMES.values())):
                joined = attacker.order(do="join", name=name)["entry"]
                until(lambda joined=joined: ana.has(joined), "the newcomer is known")
                ana.write("admit", partner=joined)
            last = attacker.order(do="write", name="crowd", what="devices")["entry"]
            until(lambda: ana.has(last), "its devices are known")
            before, height = ana.memory_mib(), ana.status()["height"]
            with customer.trading():
                attacker.order(do="begin strangers", count=STRANGERS)
                for what in ATTACKS:
                    if what not in LAST:
                        attack(what)
                check_crowd(attacker, record_property)
            record_property("memory before and after", f"{before} and {ana.memory_mib()} MiB")
            # What was flooded is sealed by and by, and what is honest with it.
            row = agree([ana, bo], 180.0)
            assert row["height"] > height + 3
            become_sealer(attacker, "votes_of_a_sealer", [ana, bo])
            with customer.trading():
                for what in LAST:
                    attack(what)
            until(customer.is_done, "what is honest is sealed", 60.0)
            # The contradictions that it has signed are on the ledger.
            until(lambda: len(ana.status()["sealers"]) == 2, "the one who cheated seals no more", 60.0)
            # Blocks that are full to the brim come to whoever is new.
            join(cy, ana.write("invite")["ticket"])
            cy.start()
            until(lambda: cy.status()["height"] == ana.status()["height"], "a newcomer has every block", 60.0)
            record_property("honest entries, the slowest", f"{len(customer.took_s)}, {max(customer.took_s):.2f} s")
            record_property("blocks meanwhile", ana.status()["height"] - height)
        finally:
            attacker.end()
        assert ana.memory_mib() - before < GROWTH_MIB_MAX
        assert bo.memory_mib() < before + GROWTH_MIB_MAX
        assert customer.failed == []
        assert len(customer.took_s) > len(ATTACKS)
        for each in (ana, bo):
            said = each.log.read_text()
            assert "Traceback" not in said
            assert "mute" not in said
        # What it hears from others is nobody's fault who is honest.
        assert "hanging up" not in bo.log.read_text()


def check_consequence(what: str, answer: dict[str, Any]) -> None:
    """Whether the one who did it is where the specification wants it to be."""
    if what in BOUNDED:
        assert answer["back"], what
    else:
        assert (answer["ended"], answer["back"]) == (True, what in HUNG_UP), what
    # What has not been read is no more than this at any time.
    assert answer["credit"] <= TransportLimits().inbox_bytes, what
    assert answer.get("asked", 0) <= HINTED_MAX, what
    if what == "asks_again":
        assert answer["heads"] < 20 < answer["asked for heads"]
    if what == "votes_of_a_sealer":
        assert answer["ready"] == 1
        assert (0 < answer["votes"] <= VOTES_MAX, 0 < answer["rounds"] <= ROUNDS_AHEAD_MAX) == (True, True)


def check_room(what: str, row: dict[str, Any]) -> None:
    """Whether what it sent takes the room that it may have, and no more."""
    assert row["pending"] <= PENDING_MAX.get(what, max(PENDING_MAX.values())) + OTHERS, what
    if what in ORPHANS:
        assert 0.9 * ORPHANS[what] < row["orphans"] <= ORPHANS[what], what
    else:
        assert row["orphans"] <= ORPHANS_MAX, what


def check_crowd(attacker: Attacker, record_property: Callable[[str, object], None]) -> None:
    """Many at once: devices of one member, connections and streams of one key, strangers, and nobody at all."""
    limits = TransportLimits()
    devices = attacker.order(do="devices", name="crowd", floods=20)
    record_property("devices of one member", devices)
    assert (devices["in"], devices["refused"]) == (DEVICES_MAX, 1 + DEVICES_MORE - DEVICES_MAX)
    links = attacker.order(do="links", name="guest", count=12)
    assert links == {"opened": 12, "open": 1}
    streams = attacker.order(do="streams", name="guest", count=3 * STREAMS_MAX)
    record_property("streams of one connection", streams)
    assert 0 < streams["open"] < STREAMS_MAX
    strangers = attacker.order(do="end strangers")
    record_property("strangers", strangers)
    assert 0 < strangers["in"] <= limits.strangers_max
    assert attacker.order(do="stranger") == {"heard": 0}
    attacker.order(do="sockets", count=300)


def become_sealer(attacker: Attacker, name: str, everybody: list[Computer]) -> None:
    """The attacker seals with the others, as a partner may."""
    for each in everybody:
        each.write("admit", partner=name, sealer=True)
    entry = attacker.order(do="write", name=name, what="sealer")["entry"]
    until(lambda: all(each.has(entry) for each in everybody), "all know that it wants to seal")
    seal(everybody)
    assert len(everybody[0].status()["sealers"]) == len(everybody) + 1
