"""Entry kind `claim`: somebody says that it has done a small deed, or several, for which the charter gives points.

Source: docs/spec/charter.md#claims
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tallystick.protocol import budget, claims
from tallystick.protocol.act import INT_MAX, Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Code, Units
from tallystick.protocol.membership import asked
from tallystick.protocol.records_money import Claim as ClaimRow


class Claim(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "claim"
    SUSPENDED_MAY: ClassVar[bool] = False
    WORK_SCOPE: ClassVar[bool] = True

    contribution: Code
    count: Units

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, CAP, LIMIT, ALONE, POOL_EMPTY, BUDGET_EXHAUSTED, tried in that order. The last
        three only where nobody is there who could confirm it, since it is paid at once then.
        """
        rules = act.charter.contributions.get(self.contribution)
        if rules is None:
            raise EntryError(Reason.NOT_FOUND, f"no contribution {self.contribution}")
        claimed, who = f"claimed.{rules.id}", act.author_id.hex()
        # What has lapsed counts too: it could be claimed again and again until somebody does not look.
        if rules.cap and budget.counted(act, claimed, rules.period, who) + self.count > rules.cap:
            raise EntryError(Reason.CAP, f"contribution.{rules.id}.cap: {rules.cap}")
        if self.count * rules.points > INT_MAX:
            raise EntryError(Reason.LIMIT, f"{self.count} x {rules.points}")
        budget.count(act, claimed, rules.period, self.count, who)
        row = ClaimRow(
            author=act.author_id,
            contribution=rules.id,
            count=self.count,
            points=rules.points,
            attest=rules.attest,
            budget=rules.budget,
            period=rules.period,
            attested=(),
            due=None,
        )
        if asked(rules.attest, act.state, act.at, without=(act.author_id,)):
            due = act.wait(act.at + claims.LAPSE_MS, "claim.lapse", act.cause)
            act.state.claims.set(act.cause, msgspec.structs.replace(row, due=due))
        else:
            claims.pay_claim(act, row)
