"""Any decodable entry under any valid charter: nothing ever fails, the books balance, everything comes to its end.

`make test` plays a few thousand histories; `HISTORIES=100000` (as `make sim` does) plays that many. A history is its
seed: the one that fails is named by the test.
"""

from __future__ import annotations

import os
import random
from typing import Final

import pytest

from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.merkle import StateTree
from tallystick.protocol.transition import Fold
from tests.support.builders import check_books
from tests.support.fuzz import DAY_MS, Fuzz, any_charter, stranger

HISTORIES: Final = int(os.environ.get("HISTORIES", "2000"))
CHUNK: Final = 500
ENTRIES: Final = 60
#: What an amendment may touch: what is in force or waits to be, what nobody has earned yet, who serves next; and the
#: founder's new roles.
MAY_CHANGE: Final = (
    "charter",
    "amendment",
    "acct/POINT/pool",
    "acct/POINT/issued",
    "duty",
    "total/duty",
    "due/",
    "rules",
)


def played(seed: int) -> Fuzz:
    """A whole history, with books that balance at its end."""
    fuzz = Fuzz(random.Random(seed))
    fuzz.run(ENTRIES)
    check_books(fuzz.state)
    return fuzz


@pytest.mark.parametrize("first", range(0, HISTORIES, CHUNK))
def test_no_history_fails(first: int) -> None:
    """The transition takes everything; once there is silence, every deal, claim and correction ends by itself."""
    for seed in range(first, min(first + CHUNK, HISTORIES)):
        try:
            fuzz = played(seed)
            fuzz.finish(500 * DAY_MS)
            check_books(fuzz.state)
            state = fuzz.state
            longest = max((row.due[0] for row in state.deals.values() if row.due is not None), default=0)
            # Reviews and windows of a hundred years are valid; whatever is due by now has happened.
            assert not state.deals or longest > fuzz.now
            assert not state.claims and not state.corrections
            assert all(row.due is None for row in state.money.values())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_the_histories_are_deep() -> None:
    """Every kind is written in them; most are refused in some and work in others."""
    worked: set[str] = set()
    void: set[str] = set()
    amended = sold = disputed = 0
    for seed in range(400):
        fuzz = played(seed)
        amended += fuzz.state.charter_row.version > 1
        sold += fuzz.state.course.sold
        disputed += any(deal.disputed for deal in fuzz.rehearsal.history.deals.values())
        worked |= fuzz.kinds_worked
        void |= fuzz.kinds_void
    assert amended > 5 and sold > 5 and disputed > 5
    # What only a device that nobody knows may write, and what needs keys or proofs that mean something: see below, and
    # `test_devices`, `test_people`, `test_evidence`, `test_refounding`.
    elsewhere = {"found", "join", "device.claim", "recover.request", "recover.approve", "admit", "refuse", "evidence"}
    elsewhere |= {"refound", "rejoin", "device.revoke", "device.retire", "recovery.change", "uninvite"}
    assert set(KINDS) - worked <= elsewhere
    # Their bodies hold a charter, or votes that contradict one another, which luck does not write.
    assert set(KINDS) - worked - void <= {"found", "evidence"}, "a kind that is never even tried"


@pytest.mark.parametrize("first", range(0, min(HISTORIES, 20_000) // 10, 50))
def test_an_amendment_changes_nothing_that_was_earned_or_agreed_before(first: int) -> None:
    """Another charter comes into force in the middle of any history: not a row of what was earned or agreed changes.

    And every deal that was open then ends as it would have under the old one, silence deciding the rest.
    """
    for seed in range(first, first + 50):
        changed, unchanged = played(seed), played(seed)
        before = changed.state.rows()
        changed.amend(any_charter(random.Random(-seed - 1)))
        after = changed.state.rows()
        founder = f"member/{changed.state.founding.founder.hex()}"
        differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert {path for path in differing if not path.startswith(MAY_CHANGE)} <= {founder}, f"seed {seed}"
        assert not {path for path in before if path.startswith("due/")} - set(after), "what was due stays due"
        open_deals = sorted(unchanged.state.deals)
        for fuzz in (changed, unchanged):
            fuzz.finish(500 * DAY_MS)
            check_books(fuzz.state)
        for deal_id in open_deals:
            ends = [fuzz.rehearsal.history.deals.get(deal_id) for fuzz in (changed, unchanged)]
            # How long a decision can be disputed is a matter of the charter of its day, so one may still be open.
            results = {(deal.status, deal.paid) for deal in ends if deal is not None}
            assert len(results) <= 1, f"seed {seed}"


def test_a_history_is_its_seed() -> None:
    """The same seed comes to the same root."""
    for seed in range(20):
        trees = []
        for _ in range(2):
            tree = StateTree()
            tree.update(dict(played(seed).state.rows()))
            trees.append(tree.root())
        assert trees[0] == trees[1]


def test_devices_that_nobody_knows_do_no_harm() -> None:
    """Entries of every kind by a stranger, in the middle of histories."""
    for seed in range(60):
        fuzz = played(seed)
        for number in range(40):
            body = fuzz.body()
            if body is None:
                continue
            device = bytes([number + 1]) * 32
            time = fuzz.now + 1
            fold = Fold(fuzz.state, fuzz.rehearsal._context(time, fuzz.now))
            result = fold.apply(stranger(fuzz, body, device, 10_000 + number), body, time)
            assert result.reason is not None or body.introduces(), body.KIND
            fold.finish()
            fuzz.rehearsal._commit(bytes(32), time)
        check_books(fuzz.state)


def test_a_closed_deal_leaves_the_live_state() -> None:
    """Nothing of it is left there once it has ended: no row, no escrow, no tick, no offer that it kept."""
    ended = 0
    for seed in range(200):
        fuzz = played(seed)
        fuzz.finish(90 * DAY_MS)
        state = fuzz.state
        for deal_id in fuzz.rehearsal.history.deals:
            ended += 1
            assert deal_id not in state.deals
            assert f"POINT/escrow/{deal_id.hex()}" not in state.accounts.rows
            assert not any(tick.ref == deal_id and tick.what.startswith("deal.") for tick in state.due.values())
            assert deal_id not in state.draws
    assert ended > 200
