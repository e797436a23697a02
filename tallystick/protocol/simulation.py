"""A real history under a proposed charter: the same deeds, at the same times, judged as if it had always been in force.

What people signed stays, but for what only repeats the charter: an offer gets the terms that the proposed one has for
its step, and proposals to amend are taken as mere words, since the question is what *this* charter would have done.
Blocks keep their times and ids, so that draws are the same.

Source: docs/spec/charter.md#simulate
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tallystick.protocol.act import Context, Sealed
from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.deal_rules import open_terms, terms_of
from tallystick.protocol.entry import FOUNDING_KIND, REFOUNDING_KIND
from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.table import body_of
from tallystick.protocol.state import State
from tallystick.protocol.transition import Fold

if TYPE_CHECKING:
    from tallystick.protocol.act import History
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.kinds.base import Body
    from tallystick.protocol.records_deal import Deal


class PastBlock(NamedTuple):
    """A sealed block, as far as it is played again."""

    height: int
    time: int
    entries: Sequence[tuple[Entry, int]]
    """Each with the moment at which it acts."""


class Judged(NamedTuple):
    """What becomes of one entry under the proposed charter."""

    reason: Reason | None
    detail: str


class Simulation:
    """A history at work. `state` is that after the newest block."""

    def __init__(self, charter: Charter, ledger: bytes, history: History) -> None:
        self.charter = charter
        self.state = State()
        self.results: dict[bytes, Judged] = {}
        self.deals: dict[bytes, Deal] = {}
        """Deals that are closed by now."""
        self.left_out: list[bytes] = []
        """Proposals to amend."""
        self._ledger = ledger
        self._history = _History(history, self.deals)
        self._time = 0

    def play(self, blocks: Iterable[PastBlock]) -> Simulation:
        """Run all blocks, from the founding on."""
        for block in blocks:
            self._block(block)
        return self

    def deal(self, deal_id: bytes) -> Deal | None:
        """A deal of this history, open or closed."""
        return self.state.deals.get(deal_id) or self.deals.get(deal_id)

    def _block(self, block: PastBlock) -> None:
        if block.entries and block.entries[0][0].kind in (FOUNDING_KIND, REFOUNDING_KIND):
            self._ledger = block.entries[0][0].id
        if self.state.charters:
            row = self.state.charter_row
            charter, version = from_bytes(row.data), row.version
        else:
            charter, version = self.charter, 1
            self._time = block.entries[0][1]
        fold = Fold(
            self.state,
            Context(
                ledger=self._ledger,
                height=block.height,
                time=block.time,
                time_prev=self._time,
                charter=charter,
                charter_version=version,
                history=self._history,
            ),
        )
        for entry, at in block.entries:
            result = fold.apply(entry, self._body(entry), at)
            self.results[entry.id] = Judged(result.reason, result.detail)
        fold.finish()
        self.deals.update(self.state.closed.rows)
        self.state.commit()
        self._time = block.time

    def _body(self, entry: Entry) -> Body:
        """What an entry says, with the proposed charter where it repeats the one that was in force."""
        body = body_of(entry)
        if isinstance(body, Found):
            return msgspec.structs.replace(body, charter=self.charter.bytes)
        if isinstance(body, Propose) and body.type == "amend":
            self.left_out.append(entry.id)
            return Propose(type="text")
        if isinstance(body, Offer):
            return self._offer(body)
        return body

    def _offer(self, body: Offer) -> Offer:
        if body.step is None:
            rules = self.charter.open
            terms = body.terms if rules is None else open_terms(rules, body.terms.price, body.terms.payer)
        else:
            step = self.charter.steps.get(body.step)
            # Without such a step the offer is void, and says so by its terms.
            terms = body.terms if step is None else terms_of(step)
        return msgspec.structs.replace(body, terms=terms)


class _History:
    """The real chain of blocks, with the deals of this history."""

    def __init__(self, real: History, deals: dict[bytes, Deal]) -> None:
        self._real = real
        self._deals = deals

    def sealed(self, entry_id: bytes) -> Sealed | None:
        return self._real.sealed(entry_id)

    def block_id(self, height: int) -> bytes | None:
        return self._real.block_id(height)

    def block_time(self, height: int) -> int | None:
        return self._real.block_time(height)

    def charter_digest(self, height: int) -> bytes | None:
        return self._real.charter_digest(height)

    def added_device(self, entry_id: bytes) -> bytes | None:
        return self._real.added_device(entry_id)

    def closed_deal(self, deal_id: bytes) -> Deal | None:
        return self._deals.get(deal_id)
