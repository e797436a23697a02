"""What a payment costs a member that has been paid very often: its lots vest for years, so none of them can be merged.

One partner is paid for one small deed after the other, up to 10^3, 4 * 10^3 and 1.6 * 10^4 lots. At each number: the
preview of one more claim, and of a deal that is paid with one lot; one more claim sealed as a block of its own, and the
bytes of its lots that are stored with it; and what a claim costs that is taken in and sealed in blocks of 256. Also
what still grows, since it asks every lot: how much of them is vested. Times are processor time of the thread.

python -m benchmarks.bench_lots [numbers...]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench_growth import cpu_us
from benchmarks.ledgers import CHARTER, Writer, core_of, fill
from benchmarks.report import report
from tallystick.node.collector import collecting_rarely
from tallystick.node.core import NodeCore
from tallystick.node.store_leveldb import LevelStore
from tallystick.protocol.deal_rules import terms_of
from tallystick.protocol.entry import Entry
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.lots import vested_of

DEMAND = 1.3
ROUNDS = 41
#: Most entries of one device in a block.
BLOCK = 256
#: Claims at the end of each number of which the cost is taken.
WINDOW = 512
#: Deeds that nobody has to confirm, as many as somebody likes, and a step that is paid with what those brought.
VESTING: dict[str, Any] = CHARTER | {
    "vesting": {"cliff": "0s", "duration": "4y"},
    "contribution": [{"id": "deed", "points": 9, "attest": 0, "cap": 0, "budget": 10**12}],
    "step": [{"id": "help", "price": 9, "payer": "buyer", "max-open": 0}],
}


def claims(writer: Writer, count: int) -> Iterator[Entry]:
    """So many deeds of one partner, paid at once."""
    for _ in range(count):
        yield writer.sign(writer.authors[1], Claim(contribution="deed", count=1))


def lot_rows(core: NodeCore, member: bytes) -> dict[str, bytes]:
    """What the store has of a member's lots."""
    return dict(core.archive.state_rows(f"lots/{member.hex()}"))


def single(core: NodeCore, writer: Writer, member: bytes) -> dict[str, float]:
    """Medians of one claim: its preview, its block, and what that stores; and of the preview of one deal."""
    found: dict[str, list[float]] = {"preview_us": [], "block_us": [], "lots_bytes": [], "deal_preview_us": []}
    ledger = core.ledger
    for entry in list(claims(writer, ROUNDS)):
        now = writer.now
        before = lot_rows(core, member)
        ledger.view(now)
        body = core.intake.judge(entry)
        found["preview_us"].append(cpu_us(partial(ledger.try_out, entry, body, now)))
        found["block_us"].append(cpu_us(partial(fill, core, [entry], now)))
        stored = [row for path, row in lot_rows(core, member).items() if before.get(path) != row]
        found["lots_bytes"].append(sum(map(len, stored)))
    terms = terms_of(writer.charter.steps["help"])
    offer = writer.sign(writer.authors[0], Offer(side="sell", step="help", units=1, terms=terms))
    fill(core, [offer], writer.now)
    ends = writer.authors[1].seq, writer.authors[1].prev
    accept = writer.sign(writer.authors[1], Accept(offer=offer.id))
    # It is only tried out: the chain goes on with claims.
    writer.authors[1].seq, writer.authors[1].prev = ends
    body = core.intake.judge(accept)
    ledger.view(writer.now)
    for _ in range(ROUNDS):
        found["deal_preview_us"].append(cpu_us(partial(ledger.try_out, accept, body, writer.now)))
    asked = [cpu_us(partial(vested_of, ledger.state, member, writer.now)) for _ in range(ROUNDS)]
    return {name: statistics.median(figures) for name, figures in found.items()} | {
        "all_vested_us": statistics.median(asked)
    }


def main(numbers: list[int]) -> None:
    writer = Writer(2, charter=VESTING)
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, collecting_rarely():
        store = LevelStore.create(Path(folder))
        core = core_of(writer, store)
        fill(core, writer.joins(), writer.now)
        member = core.ledger.state.devices[writer.authors[1].secret.public].member
        for number in numbers:
            there = len(core.ledger.state.lots.of(member))
            more = number - there - WINDOW
            fill(core, list(claims(writer, more)), writer.now + more, block=BLOCK)
            last = list(claims(writer, WINDOW))
            begun = time.thread_time()
            fill(core, last, writer.now, block=BLOCK)
            us = (time.thread_time() - begun) * 1e6 / len(last)
            if len(core.ledger.state.lots.of(member)) != number:
                raise ValueError("not every claim is a lot")
            rows[str(number)] = single(core, writer, member) | {"taken_and_sealed_us": us}
        store.close()
    first, last_row = rows[str(numbers[0])], rows[str(numbers[-1])]
    report(
        "lots",
        rows,
        {
            "cost_of_a_payment": (last_row["taken_and_sealed_us"] / first["taken_and_sealed_us"], "<=", DEMAND),
            "preview_of_one": (last_row["preview_us"] / first["preview_us"], "<=", DEMAND),
            "preview_of_a_deal": (last_row["deal_preview_us"] / first["deal_preview_us"], "<=", DEMAND),
            "block_of_one": (last_row["block_us"] / first["block_us"], "<=", DEMAND),
            "stored_with_one": (last_row["lots_bytes"] / first["lots_bytes"], "<=", DEMAND),
        },
    )


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [1_000, 4_000, 16_000])
