"""Three laptops, one evening: one of them leaves at 21:00, and everything signed is sealed by 22:00.

Real processes in simulated hours: every node and every command is `tally` itself, with the clock of `hours`. The
charter is the template of a cafe, as it stands.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.computers import LISTEN, WAIT_S, Computer, Said, command, has_all, until
from tests.integration.disks import check_stores
from tests.integration.hours import Hours

BEGIN = datetime(2026, 3, 20, 18, 55, tzinfo=UTC)
#: While they gather, an hour takes three minutes.
GATHERING = 20
#: Then it takes eighteen seconds, and longer where the machine took longer than `GATHERED_S` to gather three partners.
FACTOR = 200
FACTOR_MIN = 36
GATHERED_S = 25
#: How often somebody looks whether it is so.
LOOK_S = 0.05
#: How many computers a block of three sealers needs.
QUORUM = 2
CONFIG = f'listen = ["{LISTEN}"]\nmdns = false\n'


class Laptop(Computer):
    """A computer whose clock is the evening's."""

    def __init__(self, folder: Path, name: str, hours: Hours) -> None:
        super().__init__(folder, name)
        self.hours = hours

    def program(self) -> list[str]:
        return [sys.executable, "-m", "tests.integration.hours", str(self.hours.path)]

    def tally(self, *args: str | Path) -> Said:
        environment = {"TALLY_PASSPHRASE_FILE": str(self.passphrase)}
        return command("--home", self.path, "--json", "-q", *args, program=self.program(), environment=environment)

    def unpack(self) -> None:
        """A new laptop gets its settings and its keys."""
        self.path.mkdir(mode=0o700)
        (self.path / "config.toml").write_text(CONFIG, encoding="utf-8")
        self.done("init", "--name", self.name, "--words-file", self.path.with_suffix(".words"))

    def shows(self, entry: str) -> dict[str, Any]:
        row: dict[str, Any] = self.read("show", id=entry)
        return row

    def deal(self, deal: str) -> str:
        """How far a deal has come, as seen here; empty where it is not known."""
        status: str = self.shows(deal)["deal"]["status"] if self.has(deal) else ""
        return status

    def close_lid(self) -> None:
        """The process stands still, in the middle of whatever it does; the others hear no goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def open_lid(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@dataclass
class Evening:
    """The partners, the time, and everything that a command has said was signed."""

    hours: Hours
    everybody: list[Laptop]
    signed: list[str] = field(default_factory=list)

    def types(self, laptop: Laptop, *args: str) -> dict[str, Any]:
        """A partner types a command that signs something."""
        answer: dict[str, Any] = laptop.done(*args)
        assert answer["status"] in ("pending", "sealed"), (laptop.name, args, answer)
        self.signed.append(answer["entry"])
        return answer

    def waits(self, is_so: Callable[[], Any], what: str | Callable[[], str], moment: int) -> Any:
        """Look until something is so; it must be before a time of the evening."""
        said = what if callable(what) else lambda: what
        by = self.hours.said(moment)
        found = until(is_so, lambda: f"{said()}, by {by}", self.hours.seconds_until(moment), LOOK_S)
        assert self.hours.now_ms() < moment, f"{said()}, but only at {self.hours.said()}, not by {by}"
        return found

    def idles(self, moment: int) -> None:
        """Nobody does anything until then."""
        until(lambda: self.hours.now_ms() >= moment, "time passes", self.hours.seconds_until(moment) + WAIT_S)

    def soon(self) -> int:
        """The time until which somebody waits at the table for what the other has just typed."""
        return self.hours.now_ms() + round(WAIT_S * 1000) * self.hours.factor

    def meets(self, sponsor: Laptop, newcomer: Laptop) -> None:
        name = newcomer.name
        self.waits(lambda: sponsor.member(name), f"{sponsor.name} hears of {name}", self.soon())

    def hears(self, laptop: Laptop, deal: str, status: str) -> None:
        self.waits(lambda: laptop.deal(deal) == status, f"{laptop.name} sees {deal[:8]} as {status}", self.soon())

    def agree(self, seller: Laptop, buyer: Laptop, units: int) -> str:
        """One offers, the other accepts; the deal."""
        offer = self.types(seller, "offer", "roast", str(units), "--to", buyer.name)["entry"]
        self.waits(lambda: buyer.has(offer), f"the offer reaches {buyer.name}", self.soon())
        deal: str = self.types(buyer, "accept", offer)["deal"]
        self.hears(seller, deal, "accepted")
        return deal

    def trade(self, seller: Laptop, buyer: Laptop, units: int) -> None:
        """A deal from its offer to its approval."""
        deal = self.agree(seller, buyer, units)
        self.types(seller, "deliver", deal, str(units))
        self.hears(buyer, deal, "delivered")
        self.types(buyer, "approve", deal)

    def unsealed(self, at: Sequence[Laptop], entries: Iterable[str]) -> list[str]:
        """What is not sealed at all of them, and how it stands there."""
        logs = {each.name: {row["entry"]: row for row in each.read("log")} for each in at}
        unknown = {"kind": "something", "status": "unknown", "reason": None}
        rows = [(name, entry, log.get(entry, unknown)) for entry in entries for name, log in logs.items()]
        return [
            f"{row['kind']} {entry[:8]} is {row['status']} at {name} {row['reason'] or ''}"
            for name, entry, row in rows
            if row["status"] != "sealed"
        ]


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    """It is nearly seven, and three laptops lie on the table."""
    hours = Hours.begin(tmp_path / "hours", BEGIN, GATHERING)
    everybody = [Laptop(tmp_path, name, hours) for name in ("Ana", "Bo", "Cy")]
    try:
        yield Evening(hours, everybody)
    finally:
        for each in everybody:
            each.clear()


def at_once(work: Iterable[Callable[[], Any]]) -> list[Any]:
    """Several people do something at the same time."""
    jobs = list(work)
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [job.result() for job in [pool.submit(each) for each in jobs]]


def gather(evening: Evening, charter: Path) -> None:
    """Ana founds, the others join by tickets, and all three seal."""
    everybody = evening.everybody
    ana, *others = everybody
    at_once(each.unpack for each in everybody)
    assert ana.done("found", charter, "--yes")["status"] == "sealed"
    ana.start()
    tickets = [evening.types(ana, "invite")["ticket"] for _ in others]
    for newcomer, ticket in zip(others, tickets, strict=True):
        newcomer.done("join", ticket, "--yes")
        newcomer.launch()
    for newcomer in others:
        newcomer.ready()
    # From here on nobody is asked for a passphrase, so that a command takes no longer than it has to.
    at_once(lambda each=each: each.done("unlock", "--for", "6h") for each in everybody)
    partners = [ana]
    for newcomer in others:
        # Three should vouch, but never more than half of those who are there plus one: here one, then two.
        for sponsor in partners:
            evening.meets(sponsor, newcomer)
            evening.types(sponsor, "admit", newcomer.name, "--sealer", "--yes")
        partners.append(newcomer)
    for each in everybody:
        evening.waits(lambda each=each: has_all(each, everybody), f"{each.name} sees all three", evening.soon())
    # More than half of those who seal must agree to one more, whoever of the two is the first.
    evening.types(everybody[2], "admit", everybody[1].name, "--sealer", "--yes")
    at_once(lambda each=each: evening.types(each, "sealer", "on") for each in others)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_leaves_at_21_and_everything_signed_is_sealed_by_22(
    evening: Evening, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A lid closes in the middle of it all; the two that stay seal what all three have signed, within the hour."""
    hours, everybody = evening.hours, evening.everybody
    ana, bo, cy = everybody
    both = ana, bo
    pairs = (ana, bo), (bo, cy), (cy, ana)
    leaving, leaves, last_words, over = map(hours.moment, ("20:45", "21:00", "21:40", "22:00"))
    rounds = [hours.moment(each) for each in ("19:00", "19:30", "20:00", "20:30")]
    later = [hours.moment(each) for each in ("21:05", "21:15", "21:25", "21:35")]

    charter = tmp_path / "cafe.toml"
    charter.write_text(command("charter", "template", "cafe").out, encoding="utf-8")
    began = time.monotonic()
    gather(evening, charter)
    took_s = time.monotonic() - began
    record_property("three partners at", hours.said())
    # What the vote waits for are hours of this clock, and what a machine can do in one is up to the machine.
    hours.go_on(max(FACTOR_MIN, min(FACTOR, round(FACTOR * GATHERED_S / took_s))))
    record_property("times faster than real", hours.factor)
    for units, moment in enumerate(rounds, 1):
        evening.idles(moment)
        if hours.now_ms() < leaving:
            at_once(lambda pair=pair, units=units: evening.trade(*pair, units) for pair in pairs)
    evening.waits(lambda: len(ana.status()["sealers"]) == 3, "all three seal", leaves)
    assert ana.status()["quorum"] == QUORUM

    # One has work to hand over before it goes, and is late.
    evening.idles(leaving)
    for_ana, for_bo = at_once([lambda: evening.agree(cy, ana, 7), lambda: evening.agree(cy, bo, 8)])
    evening.idles(leaves)
    evening.types(cy, "deliver", for_ana, "7")
    evening.hears(ana, for_ana, "delivered")
    last_words_of_cy = [
        evening.types(cy, "deliver", for_bo, "8")["entry"],
        evening.types(cy, "offer", "bake", "3", "--to", "Ana")["entry"],
    ]
    cy.close_lid()
    record_property("the lid closed at", hours.said())
    left_at = ana.status()["height"]

    # The two that stay go on for forty minutes; there is an hour to seal it all.
    evening.types(ana, "approve", for_ana)
    for moment in later:
        evening.idles(moment)
        if hours.now_ms() < last_words:
            evening.trade(ana, bo, 1)
            evening.trade(bo, ana, 1)
    evening.idles(last_words)
    evening.types(bo, "offer", "roast", "2", "--to", "Cy")
    record_property("the last was signed at", hours.said())
    here = [entry for entry in evening.signed if any(each.has(entry) for each in both)]
    assert set(evening.signed) - set(here) <= set(last_words_of_cy), "only what was in the lid as it closed is missing"
    evening.waits(
        lambda: not evening.unsealed(both, here), lambda: f"all is sealed: {evening.unsealed(both, here)}", over
    )
    record_property("all of it was sealed at", hours.said())
    record_property("entries", f"{len(here)}, {len(evening.signed) - len(here)} went with the lid")
    record_property("blocks", f"{left_at} before the lid closed, {ana.status()['height'] - left_at} after it")
    check_blocks(ana, cy, left_at)

    # They go home. In the night one lid is opened where there is no network, and then the battery is empty.
    assert [each.end() for each in both] == [0, 0]
    hours.set_forward("23:30")
    cy.open_lid()
    alone = evening.types(cy, "offer", "roast", "1", "--to", "Bo")
    evening.waits(lambda: cy.status()["peers"] == 0, "Cy sees that nobody is there", evening.soon())
    assert cy.shows(alone["entry"])["status"] == "pending", "one of three seals nothing"
    assert cy.end(signal.SIGKILL) == -signal.SIGKILL

    # In the morning all three come back to one ledger, with whatever was signed in it.
    hours.set_forward("08:00")
    breakfast = hours.moment("09:00")
    ana.start()
    for each in (bo, cy):
        each.start("--peer", ana.addresses[0])
    evening.waits(
        lambda: not evening.unsealed(everybody, evening.signed),
        lambda: f"all is sealed everywhere: {evening.unsealed(everybody, evening.signed)}",
        breakfast,
    )
    rows = [each.status() for each in everybody]
    record_property("the one that left had everything at", hours.said())
    assert [row["pending"] for row in rows] == [0, 0, 0]
    assert len(ana.status()["sealers"]) == 3, "for one evening nobody is benched"
    assert [each.end() for each in everybody] == [0, 0, 0]
    check_stores(everybody, evening.signed)
    answers = at_once(lambda each=each: each.done("verify") for each in everybody)
    assert [answer["ok"] for answer in answers] == [True] * 3
    assert {answer["state_root"] for answer in answers} == {rows[0]["state_root"]}, "the same ledger for all three"
    for each in everybody:
        said = each.log.read_text(encoding="utf-8")
        assert not [word for word in ("Traceback", "contradiction", "mute") if word in said], each.name


def check_blocks(laptop: Laptop, left: Laptop, left_at: int) -> None:
    """Who left has no part in what was sealed after it; where it was its turn to propose, somebody else did."""
    names = [row["name"] for row in laptop.status()["sealers"]]
    turn = names.index(left.name)
    # The two after that may have been on their way.
    rows = [row for row in laptop.read("blocks") if row["height"] > left_at + 2]
    assert [row["votes"] for row in rows] == [QUORUM] * len(rows)
    assert [row["readys"] for row in rows] == [QUORUM] * len(rows)
    passed = [row for row in rows if row["height"] % len(names) == turn]
    assert passed, "it was the turn of who had left at least once"
    assert all(row["proposer"] != turn and row["round"] > 0 for row in passed)
