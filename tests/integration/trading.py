"""Partners who trade with each other from many computers at once, and remember what was confirmed to them.

Each deal is four entries on two computers, each of which needs the one before it to have arrived: an offer, its
acceptance, a delivery, an approval. What a node has confirmed is counted here, by those who asked for it.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node.errors import NodeError
from tests.integration.computers import Computer

ENTRIES_PER_DEAL = 4
#: How often somebody looks whether what they wait for has arrived.
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done next in a deal, and the numbers of the two whose deal it is."""

    what: str
    seller: int
    buyer: int
    units: int
    ref: str = ""
    """The offer, then the deal."""
    is_in_doubt: bool = False
    """The node was killed before it answered: it may be done."""

    @property
    def whose(self) -> int:
        return self.seller if self.what in ("offer", "deliver") else self.buyer


class Market:
    """What there is to be done next, by whom; and what was confirmed."""

    def __init__(self, everybody: Sequence[Computer], deals: int, luck: random.Random) -> None:
        self.traders = [Trader(each, self) for each in everybody]
        self.confirmed: list[str] = []
        self.refused: list[str] = []
        self.deals = deals
        self.finished = 0
        self._lock = threading.Lock()
        count = len(everybody)
        for number in range(deals):
            # Everybody sells equally often; to whom is luck.
            seller = number % count
            self.hand(Job("offer", seller, (seller + luck.randrange(1, count)) % count, 1 + number % 3))

    @contextmanager
    def open(self) -> Iterator[None]:
        """Trade until all is done, or the block is left."""
        stop = threading.Event()
        threads = [threading.Thread(target=each.work, args=(stop,), name=each.computer.name) for each in self.traders]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            stop.set()
            for each in threads:
                each.join(60)

    @property
    def is_over(self) -> bool:
        return bool(self.refused) or self.finished == self.deals

    def hand(self, job: Job) -> None:
        self.traders[job.whose].jobs.append(job)

    def confirm(self, entry: str) -> None:
        with self._lock:
            self.confirmed.append(entry)

    def finish(self) -> None:
        with self._lock:
            self.finished += 1

    def where(self) -> str:
        """What is still to be done, for a failure."""
        waiting = {each.computer.name: [job.what for job in each.jobs][:3] for each in self.traders if each.jobs}
        return f"{self.finished} of {self.deals} deals, {len(self.confirmed)} entries, {waiting}, {self.refused}"


class Trader:
    """Somebody who does what is to be done next on one computer."""

    def __init__(self, computer: Computer, market: Market) -> None:
        self.computer = computer
        self.jobs: deque[Job] = deque()
        self._market = market
        self._client = Client(computer.home, Options())

    def work(self, stop: threading.Event) -> None:
        """Go through the jobs again and again; others put in more at the end meanwhile."""
        while not stop.wait(LOOK_S):
            for _ in range(len(self.jobs)):
                job = self.jobs.popleft()
                try:
                    self._do(job)
                except NodeError as error:
                    self.jobs.append(replace(job, is_in_doubt=True) if error.reason == "node-gone" else job)
                    if error.reason in ("no-node", "node-gone"):
                        break
                    # What it builds on is on its way.
                    if error.reason != "not-found":
                        self._market.refused.append(f"{self.computer.name}: {job}: {error.reason}: {error.message}")
                        return
                if stop.is_set():
                    return

    def _do(self, job: Job) -> None:
        """Do one thing, if what it builds on is here. Raises NodeError."""
        market = self._market
        match job.what:
            case "offer":
                # One in doubt is made again: of the other nobody hears, and it stays open.
                to = market.traders[job.buyer].computer.name
                offer = self._write("offer", step="roast", units=job.units, to=to)["entry"]
                market.hand(replace(job, what="accept", ref=offer, is_in_doubt=False))
            case "accept":
                deal = self._accepted(job) or self._write("accept", offer=job.ref)["deal"]
                market.hand(replace(job, what="deliver", ref=deal, is_in_doubt=False))
            case "deliver":
                if self._status(job) == "accepted":
                    self._write("deliver", deal=job.ref, units=job.units)
                market.hand(replace(job, what="approve", is_in_doubt=False))
            case _:
                status = self._status(job)
                if status == "delivered":
                    self._write("approve", deal=job.ref)
                if status == "accepted":
                    self.jobs.append(job)
                else:
                    market.finish()

    def _write(self, op: str, **args: Any) -> Any:
        answer = self._client.ask_node(op, args, self.computer.key)
        self._market.confirm(answer["entry"])
        return answer

    def _status(self, job: Job) -> str:
        """How far a deal has come, as this node sees it."""
        answer = self._client.ask_node("show", {"id": job.ref}, method="GET")
        status: str = answer["deal"]["status"]
        return status

    def _accepted(self, job: Job) -> str:
        """The deal that an offer has become, where that is in doubt."""
        if not job.is_in_doubt:
            return ""
        deals = self._client.ask_node("deals", {}, method="GET")
        return next((row["deal"] for row in deals if row["offer"] == job.ref), "")
