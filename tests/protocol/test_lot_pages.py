"""Pages of lots: a payment changes no more of them in the thousandth year, and no rule can tell how they are spread."""

from __future__ import annotations

import random
from bisect import insort
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol import lots
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.lot_pages import HALF, LOTS_MAX
from tallystick.protocol.records import Member
from tallystick.protocol.records_deal import Lot, Taken, VestingTerms
from tallystick.protocol.state import State
from tests.support.builders import DAY_MS
from tests.support.charters import small_charter

WHO = bytes(32)
SLOW = VestingTerms(duration=1_000 * DAY_MS)
QUICK = VestingTerms(duration=10 * DAY_MS, leaver_bad="forfeit-all")
NOW = 10_000 * DAY_MS


class Acts:
    """One rule after the other, each in a block of its own."""

    def __init__(self) -> None:
        self.state = State()
        self.state.members.set(WHO, Member("partner", "active", WHO, None, 0, 0))
        self.height = 0

    def at(self, at: int, time_prev: int | None = None) -> Any:
        """What the functions of lots read of an act."""
        self.height += 1
        context = SimpleNamespace(time_prev=at if time_prev is None else time_prev, height=self.height)
        return SimpleNamespace(at=at, state=self.state, charter=small_charter(), context=context)

    def pay(self, count: int, since: int = NOW, terms: VestingTerms = SLOW, *, amount: int = 3) -> None:
        for at in range(since, since + count):
            lots.add(self.at(at), WHO, amount, terms)

    @property
    def pages(self) -> dict[int, tuple[Lot, ...]]:
        return {number: self.state.lots[WHO, number] for number in self.state.lots.numbers(WHO)}

    @property
    def sizes(self) -> dict[int, int]:
        return {number: len(page) for number, page in self.pages.items()}

    def check(self) -> None:
        """The oldest first, no page without a lot or with too many, the first one by the member's name."""
        every = self.state.lots.of(WHO)
        assert [lot.earned for lot in every] == sorted(lot.earned for lot in every)
        assert all(1 <= size <= LOTS_MAX for size in self.sizes.values())
        assert not every or 0 in self.pages
        assert all(lot.spent < lot.amount for lot in every)


def test_one_page_is_enough_for_nearly_everybody() -> None:
    """The row of the member holds all lots, as long as they are no more than a page; then the younger half goes on."""
    acts = Acts()
    acts.pay(LOTS_MAX)
    assert set(acts.state.rows()) == {f"lots/{WHO.hex()}", f"member/{WHO.hex()}"}
    acts.pay(1, NOW + LOTS_MAX)
    assert acts.sizes == {0: HALF, 1: LOTS_MAX + 1 - HALF}
    assert f"lots/{WHO.hex()}/1" in acts.state.rows()
    acts.check()


def test_a_payment_changes_no_more_pages_in_a_long_life() -> None:
    """After 3 000 payments one more writes what one more wrote after 600: one page, and seldom those beside it."""
    acts = Acts()
    written: list[int] = []
    for number in range(3_000):
        lots.add(acts.at(NOW + number), WHO, 3, SLOW)
        changed = acts.state.changed()
        written.append(sum(len(row or b"") for path, row in changed.items() if path.startswith("lots")))
        acts.state.commit()
    assert len(acts.state.lots.of(WHO)) == 3_000
    early, late = written[540:660], written[-120:]
    assert sum(late) <= sum(early) * 1.1
    assert max(written) <= max(written[:660]) + 20


def test_buying_reads_no_further_than_it_takes() -> None:
    """The oldest lots are spent first; pages that lose all their lots go, and the next one is the first then."""
    acts = Acts()
    acts.pay(10 * LOTS_MAX)
    acts.state.commit()
    youngest = max(acts.pages)
    before = acts.pages
    taken = lots.take_whole(acts.at(NOW + DAY_MS), WHO, 3 * LOTS_MAX + 2)
    assert sum(each.amount for each in taken) == 3 * LOTS_MAX + 2
    assert [each.lot.earned for each in taken] == list(range(NOW, NOW + LOTS_MAX + 1))
    assert acts.pages[0] == (Lot(3, NOW + LOTS_MAX, 2, SLOW), *before[2][1:])
    assert acts.pages == {0: acts.pages[0]} | {number: before[number] for number in range(3, youngest + 1)}
    acts.check()


def test_more_than_there_is_on_all_pages_cannot_be_taken() -> None:
    """A refusal comes before the first page is written: whoever tries may go on."""
    acts = Acts()
    acts.pay(3 * LOTS_MAX)
    acts.state.commit()
    with pytest.raises(EntryError) as caught:
        lots.take_whole(acts.at(NOW), WHO, 9 * LOTS_MAX + 1)
    assert caught.value.reason is Reason.BALANCE
    assert not acts.state.journal


def test_a_late_entry_finds_its_page() -> None:
    """Somebody was offline for long: the lot goes to those of its moment; a full page gives some to the next."""
    acts = Acts()
    acts.pay(10 * LOTS_MAX)
    sizes = acts.sizes
    lots.add(acts.at(NOW + 1, NOW + DAY_MS), WHO, 5, SLOW)
    assert acts.pages[0][:3] == (Lot(3, NOW, 0, SLOW), Lot(3, NOW + 1, 0, SLOW), Lot(5, NOW + 1, 0, SLOW))
    assert acts.sizes == sizes | {0: sizes[0] + 1}
    for _ in range(LOTS_MAX - sizes[0] - 1):
        lots.add(acts.at(NOW + 1, NOW + DAY_MS), WHO, 5, SLOW)
    assert acts.sizes == sizes | {0: LOTS_MAX}
    lots.add(acts.at(NOW + 1, NOW + DAY_MS), WHO, 5, SLOW)
    quarter = HALF // 2
    assert acts.sizes == sizes | {0: LOTS_MAX - quarter, 1: sizes[1] + quarter + 1}
    acts.check()


def test_what_comes_back_finds_its_lot_on_any_page() -> None:
    """Half of it into the lot that is still there, the others stand there again, whatever their page is called now."""
    acts = Acts()
    acts.pay(6 * LOTS_MAX)
    every = acts.state.lots.of(WHO)
    taken = lots.take_whole(acts.at(NOW + DAY_MS), WHO, 10 * LOTS_MAX + 1)
    assert lots.give_back(acts.at(NOW + DAY_MS), WHO, taken, 10 * LOTS_MAX + 1) == ()
    assert acts.state.lots.of(WHO) == every
    acts.check()


def test_two_deals_that_shared_a_lot_give_it_back_on_any_page() -> None:
    """It is there again by the first one, by then on a later page, and becomes whole by the second."""
    acts = Acts()
    acts.pay(6 * LOTS_MAX)
    every = acts.state.lots.of(WHO)
    first = lots.take_whole(acts.at(NOW + DAY_MS), WHO, 7 * LOTS_MAX + 1)
    second = lots.take_whole(acts.at(NOW + DAY_MS), WHO, 2 * LOTS_MAX)
    assert first[-1].lot.earned == second[0].lot.earned
    lots.give_back(acts.at(NOW + DAY_MS), WHO, first, 7 * LOTS_MAX + 1)
    assert second[0].lot not in acts.pages[0]
    lots.give_back(acts.at(NOW + DAY_MS), WHO, second, 2 * LOTS_MAX)
    assert acts.state.lots.of(WHO) == every
    acts.check()


def test_much_that_comes_back_finds_room_among_what_came_meanwhile() -> None:
    """Late lots of the same time fill pages of their own; each that returns goes between those of its moment."""
    acts = Acts()
    for number in range(6 * LOTS_MAX):
        acts.pay(1, NOW + 2 * number)
    every = acts.state.lots.of(WHO)
    taken = lots.take_whole(acts.at(NOW + DAY_MS), WHO, 3 * 5 * LOTS_MAX)
    late = [Lot(7, NOW + 2 * number + 1, 0, SLOW) for number in range(5 * LOTS_MAX)]
    for lot in late:
        lots.add(acts.at(lot.earned, NOW + DAY_MS), WHO, lot.amount, SLOW)
    assert len(acts.pages) > 5
    lots.give_back(acts.at(NOW + DAY_MS), WHO, taken, 3 * 5 * LOTS_MAX)
    assert acts.state.lots.of(WHO) == tuple(sorted([*every, *late], key=lambda lot: lot.earned))
    acts.check()


def test_lots_of_one_moment_may_fill_many_pages() -> None:
    """A batch that is paid in one millisecond stays in the order in which it was paid, also when it comes back."""
    acts = Acts()
    for amount in range(1, 4 * LOTS_MAX):
        lots.add(acts.at(NOW), WHO, amount, SLOW)
    every = acts.state.lots.of(WHO)
    assert [lot.amount for lot in every] == list(range(1, 4 * LOTS_MAX))
    part = (Taken(every[3 * LOTS_MAX], 1),)
    spent = Lot(every[3 * LOTS_MAX].amount, NOW, 1, SLOW)
    number, page = next((number, page) for number, page in acts.pages.items() if every[3 * LOTS_MAX] in page)
    acts.state.lots.set((WHO, number), tuple(spent if lot == every[3 * LOTS_MAX] else lot for lot in page))
    assert lots.give_back(acts.at(NOW), WHO, part, 1) == ()
    assert acts.state.lots.of(WHO) == every


def test_pages_that_ripened_long_ago_become_one() -> None:
    """Nothing reaches them any more but the turn of each page; after some payments hardly anything is left of them."""
    acts = Acts()
    acts.pay(40 * LOTS_MAX)
    many = len(acts.pages)
    later = NOW + 1_091 * DAY_MS
    acts.pay(3 * many, later)
    assert many > 40
    ripe = [lot for lot in acts.state.lots.of(WHO) if lot.earned < later]
    assert len(ripe) < HALF
    assert sum(map(lots.left, ripe)) == 3 * 40 * LOTS_MAX
    acts.check()


def test_lots_that_never_merge_do_not_keep_the_others_from_it() -> None:
    """The oldest pages are full of lots by turns of two kinds; those of one kind behind them are one all the same."""
    acts = Acts()
    for number in range(LOTS_MAX):
        acts.pay(1, NOW + 2 * number, SLOW)
        acts.pay(1, NOW + 2 * number + 1, QUICK)
    acts.pay(10 * LOTS_MAX, NOW + DAY_MS)
    later = NOW + 1_092 * DAY_MS
    acts.pay(LOTS_MAX, later)
    ripe = [lot for lot in acts.state.lots.of(WHO) if NOW + DAY_MS <= lot.earned < later]
    assert len(ripe) < HALF
    acts.check()


def test_leaving_treats_the_lots_of_every_page() -> None:
    """What is vested stays as it is wherever it stands, and nothing else."""
    acts = Acts()
    acts.pay(5 * LOTS_MAX, amount=1_000)
    half_time = NOW + 500 * DAY_MS
    vested = lots.vested_of(acts.state, WHO, half_time)
    lost = lots.depart(acts.at(half_time), WHO, good=True)
    assert lost == 1_000 * 5 * LOTS_MAX - vested
    assert {lot.terms for lot in acts.state.lots.of(WHO)} == {VestingTerms()}
    assert lots.vested_of(acts.state, WHO, half_time) == vested
    acts.check()
    lots.redeem(acts.at(half_time), WHO)
    assert not acts.state.lots


# -- beside one long list ----------------------------------------------------------------------------------------------


class OneList:
    """The same rules on one list of lots that are never merged."""

    def __init__(self) -> None:
        self.lots: list[Lot] = []

    def add(self, lot: Lot) -> None:
        insort(self.lots, lot, key=lambda each: each.earned)

    def take(self, amount: int, limit: Any) -> bool:
        parts = []
        for lot in self.lots:
            part = min(amount, limit(lot))
            amount -= part
            parts.append(Lot(lot.amount, lot.earned, lot.spent + part, lot.terms))
        if not amount:
            self.lots = [lot for lot in parts if lots.left(lot)]
        return not amount

    def vested(self, time: int) -> int:
        return sum(lots.vested(lot, time, 0) for lot in self.lots)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_no_rule_can_tell_how_lots_are_spread(seed: int) -> None:
    """Long lives drawn at random: at every moment the same is there, vested and taken as from one list."""
    chance, acts, plain, now = random.Random(seed), Acts(), OneList(), NOW
    for _ in range(chance.randint(1, 8)):
        now += chance.choice((0, DAY_MS, 20 * DAY_MS, 400 * DAY_MS))
        what = chance.choice(("pay", "pay", "pay", "late", "buy", "return", "give"))
        if what in ("pay", "late"):
            # What vests at once is merged at once, and a late lot cannot come between: here all vest for a while.
            terms = chance.choice((SLOW, QUICK))
            for _ in range(chance.randint(1, 2 * LOTS_MAX)):
                # Two lots of one moment and amount would be interchangeable, and a return cannot tell which it is of.
                now += 1
                at = now - chance.randint(0, 90 * DAY_MS) if what == "late" else now
                amount = chance.randint(1, 50)
                lots.add(acts.at(at, now), WHO, amount, terms)
                plain.add(Lot(amount, at, 0, terms))
        elif what == "give":
            amount = chance.randint(0, plain.vested(now))
            lots.take_vested(acts.at(now), WHO, amount)
            assert plain.take(amount, lambda lot, now=now: lots.vested(lot, now, 0))
        else:
            amount = chance.randint(0, sum(map(lots.left, plain.lots)))
            taken = lots.take_whole(acts.at(now), WHO, amount)
            assert sum(each.amount for each in taken) == amount
            if what == "return":
                while taken:
                    part = chance.randint(1, sum(each.amount for each in taken))
                    taken = lots.give_back(acts.at(now), WHO, taken, part)
            else:
                assert plain.take(amount, lots.left)
        acts.check()
        assert sum(map(lots.left, acts.state.lots.of(WHO))) == sum(map(lots.left, plain.lots))
        # Nobody can ask about a moment further back, and so nothing further back need be told apart.
        for time in (now, now + 7 * DAY_MS, now + 300 * DAY_MS, now + 2_000 * DAY_MS):
            assert lots.vested_of(acts.state, WHO, time) == plain.vested(time)
