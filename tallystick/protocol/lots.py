"""Lots: what a member holds, as payments that remember when and under which terms they were earned.

The account `partner/<id>` says how much a member has, its lots say since when; the remainders of the lots always add
up to the account. Postings are written by the callers.

Source: docs/spec/charter.md#vesting
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tallystick.protocol import lot_pages
from tallystick.protocol.act import POINT
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.lot_pages import Pages
from tallystick.protocol.objective import count_earned
from tallystick.protocol.records_deal import Lot, Taken, VestingTerms

if TYPE_CHECKING:
    from tallystick.protocol.act import Act
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.records import Member
    from tallystick.protocol.state import State


def terms_of(charter: Charter) -> VestingTerms:
    """Terms of a lot that is earned under this charter."""
    vesting = charter.vesting
    leaver = charter.leaver
    return VestingTerms(
        cliff=0 if vesting is None else vesting.cliff,
        duration=0 if vesting is None else vesting.duration,
        from_lot=vesting is not None and vesting.cliff_from == "lot",
        leaver_good=leaver.good,
        leaver_bad=leaver.bad,
        acceleration=charter.sale.acceleration,
    )


def left(lot: Lot) -> int:
    """What has not been spent of it."""
    return lot.amount - lot.spent


def vested(lot: Lot, time: int, joined: int) -> int:
    """Points of the lot that are vested and not spent at `time`, its holder having joined at `joined` (ms)."""
    return max(0, _ripe(lot, time, joined) - lot.spent)


def _ripe(lot: Lot, time: int, joined: int) -> int:
    terms = lot.terms
    if terms.duration == 0:
        return lot.amount
    if time < (lot.earned if terms.from_lot else joined) + terms.cliff:
        return 0
    return lot.amount * max(0, min(time - lot.earned, terms.duration)) // terms.duration


def is_forfeiting(member: Member) -> bool:
    """Whether the pool gets whatever still reaches this member: it was expelled under `forfeit-all`."""
    return member.status == "departed" and member.leaver == "forfeit-all"


def earn(act: Act, member_id: bytes, amount: int) -> None:
    """Add what a member has just earned as a new lot with the terms of the day, and count it for the objective."""
    if not is_forfeiting(act.state.members[member_id]):
        count_earned(act.state, amount)
    add(act, member_id, amount)


def add(act: Act, member_id: bytes, amount: int, terms: VestingTerms | None = None) -> None:
    """Add what was just posted to a member as a new lot. What reaches somebody who has departed is vested."""
    if not amount:
        return
    member = act.state.members[member_id]
    if is_forfeiting(member):
        _forfeit(act, member_id, amount)
        return
    if member.status == "departed":
        terms = VestingTerms()
    lot_pages.add(act, member_id, Lot(amount, act.at, 0, terms_of(act.charter) if terms is None else terms))


def take_whole(act: Act, member_id: bytes, amount: int) -> tuple[Taken, ...]:
    """Take `amount` from remainders, vested or not, oldest lot first, and say what came from where.

    Raises EntryError: BALANCE.
    """
    return tuple(_take(act, member_id, amount, left, "points"))


def take_vested(act: Act, member_id: bytes, amount: int) -> None:
    """Take `amount` from the vested parts of lots, oldest first.

    Raises EntryError: BALANCE.
    """
    joined = act.state.members[member_id].since
    _take(act, member_id, amount, lambda lot: vested(lot, act.at, joined), "vested points")


def _take(act: Act, member_id: bytes, amount: int, limit: Callable[[Lot], int], what: str) -> list[Taken]:
    """Take up to the limit of each lot, oldest first; no lot behind the last one that gives is looked at."""
    pages = Pages(act, member_id)
    taken: list[Taken] = []
    for page in pages.oldest_first():
        for index, lot in enumerate(page):
            if not amount:
                break
            if part := min(amount, limit(lot)):
                amount -= part
                taken.append(Taken(lot, part))
                page[index] = _with_spent(lot, lot.spent + part)
        if not amount:
            break
    if amount:
        raise EntryError(Reason.BALANCE, f"{amount} {what} too few")
    pages.write()
    return taken


def vested_of(state: State, member_id: bytes, time: int) -> int:
    """Points of a member that are vested and not spent at `time`."""
    joined = state.members[member_id].since
    return sum(vested(lot, time, joined) for lot in state.lots.of(member_id))


def redeemable(state: State, member_id: bytes, time: int) -> int:
    """What a complete sale redeems: whole remainders of lots that it accelerates, the vested part of the others."""
    joined = state.members[member_id].since
    return sum(_redeemable(lot, time, joined) for lot in state.lots.of(member_id))


def redeem(act: Act, member_id: bytes) -> None:
    """Take everything that `redeemable` counts."""
    joined = act.state.members[member_id].since
    pages = Pages(act, member_id)
    for page in pages.oldest_first():
        page[:] = [_with_spent(lot, lot.spent + _redeemable(lot, act.at, joined)) for lot in page]
    pages.write()


def _redeemable(lot: Lot, time: int, joined: int) -> int:
    return left(lot) if lot.terms.acceleration else vested(lot, time, joined)


def depart(act: Act, member_id: bytes, *, good: bool) -> int:
    """Deal with what a member holds when it leaves (`good`) or is expelled, each lot by its own terms.

    Lots run on (keep-all), or keep what is vested, from now on for good (keep-vested), or nothing (forfeit-all). Return
    how many points the member loses; the caller posts them.
    """
    joined = act.state.members[member_id].since
    lost = 0
    pages = Pages(act, member_id)
    for page in pages.oldest_first():
        kept: list[Lot] = []
        for lot in page:
            rule = lot.terms.leaver_good if good else lot.terms.leaver_bad
            if rule == "keep-all":
                kept.append(lot)
                continue
            part = 0 if rule == "forfeit-all" else vested(lot, act.at, joined)
            lost += left(lot) - part
            if part:
                kept.append(Lot(part, lot.earned, 0, VestingTerms()))
        page[:] = kept
    pages.write()
    return lost


def give_back(act: Act, member_id: bytes, taken: Iterable[Taken], amount: int) -> tuple[Taken, ...]:
    """Put `amount` back into the lots it was taken from, youngest first; return what is still taken."""
    rest = list(taken)
    departed = act.state.members[member_id].status == "departed"
    if is_forfeiting(act.state.members[member_id]):
        _forfeit(act, member_id, amount)
        return _without_youngest(rest, amount)
    pages = Pages(act, member_id)
    while amount and rest:
        last = rest.pop()
        part = min(amount, last.amount)
        amount -= part
        if part < last.amount:
            rest.append(Taken(last.lot, last.amount - part))
        if departed:
            pages.insert(Lot(part, act.at, 0, VestingTerms()))
        else:
            pages.put_back(last.lot, part)
    pages.write()
    return tuple(rest)


def pay_out(taken: Iterable[Taken], amount: int) -> tuple[Taken, ...]:
    """What is still taken after `amount` of it went to somebody else, oldest first."""
    rest: list[Taken] = []
    for each in taken:
        part = min(amount, each.amount)
        amount -= part
        if part < each.amount:
            rest.append(Taken(each.lot, each.amount - part))
    return tuple(rest)


def _without_youngest(taken: list[Taken], amount: int) -> tuple[Taken, ...]:
    while amount and taken:
        last = taken.pop()
        part = min(amount, last.amount)
        amount -= part
        if part < last.amount:
            taken.append(Taken(last.lot, last.amount - part))
    return tuple(taken)


def _forfeit(act: Act, member_id: bytes, amount: int) -> None:
    """What was just posted to the member goes on to the pool."""
    act.post(POINT, f"partner/{member_id.hex()}", "pool", amount, "leaver.bad", f"{amount} forfeited")


def _with_spent(lot: Lot, spent: int) -> Lot:
    return Lot(lot.amount, lot.earned, spent, lot.terms)
