"""Pages: how the lots of one member stand in the state, so that a payment costs the same however many there are.

`lots/<member>` holds the oldest lots, `lots/<member>/1`, `/2` ... the younger ones; nearly always there is only the
first. A rule that pays or takes writes the pages that it changes, and puts one other in order. What a lot means
is none of this module's business (see `lots`), but for when two of them can no longer be told apart.

Source: docs/spec/blocks.md#pages-of-lots
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tallystick.protocol.membership import DAY_MS
from tallystick.protocol.records_deal import Lot

if TYPE_CHECKING:
    from tallystick.protocol.act import Act

#: Most lots of a page. Two that together have no more than half of it become one.
LOTS_MAX: Final = 64
HALF: Final = LOTS_MAX // 2

#: No later entry is dated back further than this before the previous block, so what was ripe then stays ripe.
_BACK_MS_MAX: Final = 90 * DAY_MS


def add(act: Act, member: bytes, lot: Lot) -> None:
    """A member gets one more lot."""
    table = act.state.lots
    if len(table.numbers(member)) <= 1:
        page = table.get((member, 0)) or ()
        if not page or (len(page) < LOTS_MAX and page[-1].earned <= lot.earned):
            # Nearly every payment there is: nothing to look for, and no other page.
            table.set((member, 0), tuple(_merged(act, member, (*page, lot))))
            return
    pages = Pages(act, member)
    pages.insert(lot)
    pages.write()


class Pages:
    """The lots of one member while one rule changes them. Nothing is written before `write`."""

    __slots__ = ("_act", "_changed", "_member", "_numbers", "_table")

    def __init__(self, act: Act, member: bytes) -> None:
        self._act = act
        self._member = member
        self._table = act.state.lots
        self._numbers = self._table.numbers(member)
        """As they were before."""
        self._changed: dict[int, list[Lot]] = {}

    def oldest_first(self) -> Iterator[list[Lot]]:
        """The pages one after the other, each to be changed in place; a lot of which nothing is left goes by itself."""
        for number in self._numbers:
            yield self._page(number)

    def insert(self, lot: Lot) -> None:
        """By age, after those of the same moment: an entry of a later block may act at an earlier time."""
        numbers = self._numbers
        number = 0
        if len(numbers) > 1:
            # Nearly always it is the youngest of all.
            is_youngest = self._since(numbers[-1]) <= lot.earned
            at = len(numbers) if is_youngest else bisect_right(numbers, lot.earned, key=self._since)
            number = numbers[max(0, at - 1)]
        page = self._page(number)
        if not page or page[-1].earned <= lot.earned:
            page.append(lot)
        else:
            page.insert(bisect_right(page, lot.earned, key=_earned), lot)

    def put_back(self, origin: Lot, part: int) -> None:
        """Give `part` back to the lot that it was taken from; where there is none any more, it stands there again."""
        numbers = self._numbers
        first = max(0, bisect_left(numbers, origin.earned, key=self._since) - 1)
        for number in numbers[first:]:
            page = self._page(number)
            if page[0].earned > origin.earned:
                break
            for index, lot in enumerate(page):
                # Lots that agree in all three are interchangeable.
                same = lot.earned == origin.earned and lot.amount == origin.amount and lot.terms == origin.terms
                if same and lot.spent >= part:
                    page[index] = Lot(lot.amount, lot.earned, lot.spent - part, lot.terms)
                    return
        # It was spent and dropped, or has been merged with another one: what comes back stands beside it.
        self.insert(Lot(origin.amount, origin.earned, origin.amount - part, origin.terms))

    def write(self) -> None:
        """Store what has changed, and put one page in order, whose turn it is by the height of the block."""
        table, member, changed = self._table, self._member, self._changed
        if len(self._numbers) <= 1 and len(changed) == 1:
            # Nearly always there is no other page whose turn it could be.
            lots = _merged(self._act, self._member, changed[0])
            if len(lots) <= LOTS_MAX:
                self._set(0, lots)
                return
        # Some were only looked into.
        spread = [number for number in sorted(changed) if tuple(changed[number]) != table.get((member, number))]
        for number in spread:
            if number in changed:
                self._spread(number)
        numbers = table.numbers(member)
        if numbers and numbers[0]:
            # The oldest page is always called by the member alone.
            first = (member, numbers[0])
            oldest = table[first]
            table.delete(first)
            table.set((member, 0), oldest)
            numbers = table.numbers(member)
        if numbers:
            self._tidy(numbers, self._act.context.height % len(numbers))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _page(self, number: int) -> list[Lot]:
        page = self._changed.get(number)
        if page is None:
            page = self._changed[number] = list(self._table.get((self._member, number)) or ())
        return page

    def _since(self, number: int) -> int:
        """When the oldest lot of a page was earned."""
        return (self._changed.get(number) or self._table[self._member, number])[0].earned

    def _spread(self, number: int) -> None:
        """Store a page. What is too much for it begins the page of the next number, or goes to its front."""
        lots = _merged(self._act, self._member, self._changed.pop(number))
        while len(lots) > LOTS_MAX:
            younger = self._page(number + 1)
            # A page that is there takes a quarter without having too much itself: else every page would have to move.
            keep = LOTS_MAX - HALF // 2 if younger else HALF
            self._set(number, lots[:keep])
            number += 1
            lots = _merged(self._act, self._member, [*lots[keep:], *younger])
            del self._changed[number]
        self._set(number, lots)

    def _tidy(self, numbers: Sequence[int], index: int) -> None:
        """Put a page in order that nothing may have reached for years, and join it with the next if both are small."""
        table, member, number = self._table, self._member, numbers[index]
        lots = _merged(self._act, self._member, table[member, number])
        if index + 1 < len(numbers):
            after = numbers[index + 1]
            younger = table[member, after]
            if len(lots) + len(younger) <= HALF:
                lots = _merged(self._act, self._member, [*lots, *younger])
                table.delete((member, after))
        self._set(number, lots)

    def _set(self, number: int, lots: list[Lot]) -> None:
        table, key = self._table, (self._member, number)
        if not lots:
            table.delete(key)
        elif table.get(key) != (row := tuple(lots)):
            table.set(key, row)


def _merged(act: Act, member: bytes, lots: Iterable[Lot]) -> list[Lot]:
    """Without what is spent, and with neighbours as one that can no longer be told apart."""
    joined = act.state.members.rows[member].since
    ripe_at = act.context.time_prev - _BACK_MS_MAX
    kept: list[Lot] = []
    last: Lot | None = None
    """The last one that is kept, if it is ripe for good."""
    for lot in lots:
        amount, earned, spent, terms = lot.amount, lot.earned, lot.spent, lot.terms
        if amount == spent:
            continue
        if terms.duration and (
            ripe_at < earned + terms.duration or ripe_at < (earned if terms.from_lot else joined) + terms.cliff
        ):
            last = None
            kept.append(lot)
        elif last is not None and last.terms == terms:
            last = kept[-1] = Lot(last.amount - last.spent + amount - spent, last.earned, 0, terms)
        else:
            last = lot
            kept.append(lot)
    return kept


def _earned(lot: Lot) -> int:
    return lot.earned
