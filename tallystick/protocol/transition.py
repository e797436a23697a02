"""The transition: entries and ticks in their order, then the boundary, turn one state into the next.

It is total: whatever decoded either works wholly or is void with one reason. It is deterministic: the state, the
entries, their `at` and the context are all it sees.

Source: docs/spec/charter.md#time, docs/spec/blocks.md#applying
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tallystick.protocol.act import Act, Context, Posting
from tallystick.protocol.boundary import run_boundary
from tallystick.protocol.devices import is_cut_off, note_sign_of_life
from tallystick.protocol.disputes import draw_panels
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import DAY_MS, is_suspended
from tallystick.protocol.records import Device, Fork, Member
from tallystick.protocol.refounding import check_joined, check_untouched
from tallystick.protocol.ticks import TICKS

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.state import State

#: An entry cannot be dated back further than this before the previous block.
STALE_MS: Final = 90 * DAY_MS

_RANK: Final = {"observer": 0, "contributor": 1, "partner": 2}


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one entry."""

    entry_id: bytes
    at: int
    author: bytes
    """Member id; empty where the device was unknown."""
    reason: Reason | None
    """None: applied. Otherwise it is void."""
    detail: str
    postings: tuple[Posting, ...]


class TickResult(NamedTuple):
    """What one tick did, or one outcome at the end of the block; outcomes come last, numbered from 0."""

    time: int
    number: int
    what: str
    ref: bytes
    postings: tuple[Posting, ...]


class Fold:
    """One pass over entries and ticks on top of a state. Writes into `state`, above its journal."""

    __slots__ = ("context", "results", "state", "ticks")

    def __init__(self, state: State, context: Context) -> None:
        self.state = state
        self.context = context
        self.results: list[Result] = []
        self.ticks: list[TickResult] = []
        # The block before has an id now, and nothing of this one has seen the panels undrawn.
        draw_panels(state, context)

    def apply(self, entry: Entry, body: Body, at: int) -> Result:
        """Run what is due by `at`, then the entry; `at` never falls from one call to the next."""
        order = self.state.due.order
        if order and order[0][0] <= at and not body.STANDS_STILL:
            self.run_ticks(at)
        result = self._apply(entry, body, at)
        self.results.append(result)
        return result

    def run_ticks(self, until: int) -> None:
        """Run every tick due at or before `until`, also those that another one makes due."""
        order = self.state.due.order
        while order and order[0][0] <= until:
            key = order[0]
            tick = self.state.due[key]
            self.state.due.delete(key)
            act = Act(self.state, self.context, key[0], tick.ref)
            TICKS[tick.what](act, tick.ref)
            self.ticks.append(TickResult(key[0], key[1], tick.what, tick.ref, tuple(act.postings)))

    def finish(self) -> None:
        """The rest of the ticks up to the block time, then the boundary."""
        self.run_ticks(self.context.time)
        authors = {result.author for result in self.results}
        for number, outcome in enumerate(run_boundary(self.state, self.context, authors, STALE_MS)):
            self.ticks.append(TickResult(self.context.time, number, *outcome))

    def _apply(self, entry: Entry, body: Body, at: int) -> Result:
        state = self.state
        context = self.context
        device = state.devices.get(entry.device)
        if device is None:
            # Only the kinds that introduce a device are let through by the structural check, but a void `join`
            # leaves its device unknown, and what follows it is judged here.
            author_id, author = b"", None
        else:
            author_id = device.member
            author = state.members.rows[author_id]
            if (entry.prev or b"") != device.head:
                return self._forked(entry, device, at)
            state.devices.set(
                entry.device,
                Device(
                    author_id,
                    device.node_key,
                    device.scope,
                    device.status,
                    entry.seq,
                    entry.id,
                    device.since,
                    device.cut,
                ),
            )
            if state.recoveries.rows:
                note_sign_of_life(state, device, at)
        act = Act(state, context, at, entry.id, author_id, author, device, entry)
        mark = len(state.journal)
        try:
            if at < context.time_prev - STALE_MS:
                raise EntryError(Reason.STALE)
            if author is None or device is None:
                if not body.introduces():
                    raise EntryError(Reason.UNKNOWN_DEVICE)
            else:
                # Nearly every entry is one of an active device and an active partner, who may do everything.
                if device.status != "active" or device.scope == "work":
                    _check_device(device, entry, body)
                if (
                    author.status != "active"
                    or author.standing != "partner"
                    or author.suspended_until > at
                    or author.probation_until > at
                ):
                    check_author(author, body, at)
            if (course := state.courses.get("")) is not None and course.sold and not body.AFTER_SALE:
                raise EntryError(Reason.SOLD)
            if state.awaited.rows:
                check_joined(state, author_id, entry, body)
                here = len(state.journal)
                body.apply(act)
                # Founding anew once more moves what still rests, and takes nothing from anybody.
                if not body.STANDS_STILL:
                    check_untouched(state, here)
            else:
                body.apply(act)
        except EntryError as error:
            state.rollback(mark)
            return Result(entry.id, at, author_id, error.reason, error.detail, ())
        if not author_id and (introduced := state.devices.get(entry.device)) is not None:
            author_id = introduced.member
        return Result(entry.id, at, author_id, None, "", tuple(act.postings))

    def _forked(self, entry: Entry, device: Device, at: int) -> Result:
        """The first branch stands; the second is void, and the pair of entries is kept as evidence."""
        state = self.state
        if entry.device not in state.forks:
            state.forks.set(entry.device, Fork(entry.seq, device.head, entry.id))
            Act(state, self.context, at, entry.id).at_boundary("freeze", entry.device)
        return Result(entry.id, at, device.member, Reason.FORK, "", ())


def _check_device(device: Device, entry: Entry, body: Body) -> None:
    """Whether this device may sign this entry. What a revoked one signed before its cut still counts.

    Raises EntryError: DEVICE_FROZEN, REVOKED, SCOPE, tried in that order.
    """
    if device.status == "frozen":
        raise EntryError(Reason.DEVICE_FROZEN)
    if device.status != "active" and is_cut_off(device, entry.seq, entry.id):
        raise EntryError(Reason.REVOKED)
    if device.scope == "work" and not body.WORK_SCOPE:
        raise EntryError(Reason.SCOPE)


def check_author(author: Member, body: Body | type[Body], at: int) -> None:
    """Whether this author may send this kind at all.

    Raises EntryError: NOT_A_MEMBER, NOT_ACTIVE, NOT_A_PARTNER, NOT_ALLOWED.
    """
    status = author.status
    if status != "active":
        if status != "departed":
            raise EntryError(Reason.NOT_A_MEMBER)
        if not body.DEPARTED_MAY:
            raise EntryError(Reason.NOT_ACTIVE)
    if not body.SUSPENDED_MAY and is_suspended(author, at):
        raise EntryError(Reason.NOT_ACTIVE)
    if _RANK[author.standing] < _RANK[body.STANDING]:
        raise EntryError(Reason.NOT_A_PARTNER if body.STANDING == "partner" else Reason.NOT_ALLOWED)
    if body.FULL and (author.standing != "partner" or author.probation_until > at):
        raise EntryError(Reason.NOT_A_PARTNER)
