"""Entry kind `subscribe`: a member wants shares of a round. They are reserved until the money is there.

Source: docs/spec/charter.md#money
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from tallystick.protocol import money_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Code
from tallystick.protocol.records_money import Money
from tallystick.protocol.totals import shares_name, total


class Subscribe(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "subscribe"

    round: Code
    shares: Annotated[int, msgspec.Meta(ge=1, le=10**9)]

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, CAP, LIMIT, tried in that order."""
        rules = act.charter.rounds.get(self.round)
        if rules is None:
            raise EntryError(Reason.NOT_FOUND, f"no round {self.round}")
        taken = total(act.state, shares_name(rules.id)) + self.shares
        if rules.shares and taken > rules.shares:
            raise EntryError(Reason.CAP, f"round.{rules.id}.shares: {rules.shares}")
        mine = total(act.state, shares_name(rules.id, act.author_id)) + self.shares
        if rules.max_per_partner and mine > rules.max_per_partner:
            raise EntryError(Reason.CAP, f"round.{rules.id}.max-per-partner: {rules.max_per_partner}")
        row = Money(
            kind="subscribe",
            author=act.author_id,
            currency=rules.currency,
            amount=money_rules.product(self.shares, rules.price),
            at=act.at,
            due=None,
            word=rules.id,
            shares=self.shares,
            points=money_rules.product(self.shares, rules.points),
            voucher=money_rules.product(self.shares, rules.voucher),
        )
        money_rules.reserve(act, row, self.shares)
        money_rules.state_money(act, row)
