"""What a program of its own does to a running node, for longer than the node puts up with it.

Entries whose parents never come wait for minutes, and whoever broke the protocol is left alone for minutes. The node's
clock is simulated (`hours`), so that they are over when the test says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tallystick.node.dialer import BLAME_MS_MIN
from tallystick.node.intake import (
    ORPHAN_BYTES_ALL_MAX,
    ORPHAN_BYTES_MAX,
    ORPHAN_MS,
    ORPHANS_MAX,
)
from tallystick.protocol.devices import DEVICES_MAX
from tests.integration.attacked import Attacker, Customer
from tests.integration.computers import Computer, agree, charter, gather, until
from tests.integration.hostile_member import HEAVY
from tests.integration.hours import Hours

#: Longer than it takes to hand them over; they still wait when so much less than their time is over.
MARGIN_S = 60
#: So much memory more than what may wait takes: frames that are read, and what honest work needs.
MORE_MIB_MAX = 48
MIB = 1024 * 1024


class Timed(Computer):
    """A computer whose clock is that of the test."""

    def __init__(self, folder: Path, name: str, hours: Hours) -> None:
        super().__init__(folder, name)
        self.hours = hours

    def program(self) -> list[str]:
        return [sys.executable, "-m", "tests.integration.hours", str(self.hours.path)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_orphans_are_few_and_wait_five_minutes_and_who_lies_is_let_in_again_after_ten(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """While their sender stays they wait so long and no longer; then there is room again. Together they are few too."""
    hours = Hours.begin(tmp_path / "hours", datetime.now(UTC), 1)
    ana, bo = everybody = [Timed(tmp_path, name, hours) for name in ("Ana", "Bo")]
    attacker = None
    try:
        for each in everybody:
            each.make()
        gather(everybody, charter("1s"))
        attacker = Attacker(ana.write("invite", uses=2)["ticket"], tmp_path / "hostile.log")
        customer = Customer(bo, ana)

        def serves() -> None:
            """Something that was begun just now has arrived: the node has looked at its clock since."""
            many = len(customer.took_s) + 2
            until(lambda: len(customer.took_s) >= many, "what is honest arrives")

        def waiting(what: str, answer: dict[str, Any]) -> int:
            serves()
            count: int = ana.status()["orphans"]
            record_property(what, f"{answer}, {count} orphans, {ana.memory_mib()} MiB")
            return count

        def lie(alone_min: int) -> None:
            """Whoever breaks the protocol is left alone for so many minutes, and is let in then."""
            attacker.order(do="attack", what="not_canonical", name="Liar")
            assert attacker.order(do="leave") == {"ended": True, "back": False}
            for minutes, back in ((alone_min - 1, False), (2, True)):
                hours.go_forward(minutes * 60)
                assert attacker.order(do="knock again", name="Liar") == {"back": back}, alone_min
            serves()

        def attack(what: str, most: int) -> None:
            """Bounded, and there until five minutes are over, though nobody goes."""
            answer = attacker.order(do="attack", what=what, name="Mal")
            count = waiting(what, answer)
            assert 0.9 * most < count <= most, what
            hours.go_forward(ORPHAN_MS // 1000 - MARGIN_S)
            assert waiting(f"{what}, four minutes later", {}) == count
            hours.go_forward(2 * MARGIN_S)
            assert waiting(f"{what}, six minutes later", {}) == 0
            assert attacker.order(do="leave") == {"ended": False, "back": True}

        for name in ("Mal", "Liar"):
            joined = attacker.order(do="join", name=name)["entry"]
            until(lambda joined=joined: ana.has(joined), "the newcomer is known")
            ana.write("admit", partner=joined)
        # What they sign now comes behind that, in whatever order the rest is sealed.
        agree(everybody)
        last = attacker.order(do="write", name="Mal", what="devices")["entry"]
        until(lambda: ana.has(last), "its devices are known")
        before = ana.memory_mib()
        with customer.trading():
            attack("heavy_orphans", ORPHAN_BYTES_MAX // HEAVY)
            first = ana.memory_mib()
            attack("orphans", ORPHANS_MAX)
            attack("heavy_orphans", ORPHAN_BYTES_MAX // HEAVY)
            # What has waited is given back: the second time takes no more than the first.
            assert ana.memory_mib() - first < ORPHAN_BYTES_MAX // MIB
            lie(BLAME_MS_MIN // 60_000)
            lie(2 * BLAME_MS_MIN // 60_000)
            answer = attacker.order(do="flood", name="Mal")
            assert answer == {"in": DEVICES_MAX}
            most = ORPHAN_BYTES_ALL_MAX // HEAVY
            assert most // 2 < waiting("of all its devices", answer) <= most
            attacker.order(do="end flood")
            until(lambda: ana.status()["orphans"] == 0, "what they left is dropped")
        until(customer.is_done, "what is honest is sealed", 60.0)
        record_property("memory before and after", f"{before} and {ana.memory_mib()} MiB")
        record_property("honest entries, the slowest", f"{len(customer.took_s)}, {max(customer.took_s):.2f} s")
        assert ana.memory_mib() - before < ORPHAN_BYTES_ALL_MAX // MIB + MORE_MIB_MAX
        assert customer.failed == []
        for each in everybody:
            assert "Traceback" not in each.log.read_text()
        assert "hanging up" not in bo.log.read_text()
    finally:
        if attacker is not None:
            attacker.end()
        for each in everybody:
            each.clear()
