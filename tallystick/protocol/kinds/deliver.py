"""Entry kind `deliver`: the seller says that the work is done, and names the evidence by hash and size.

Source: docs/spec/charter.md#deliver
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

import msgspec

from tallystick.protocol import deal_rules
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Amount, Body, Bytes32, Units
from tallystick.protocol.records import Record

EVIDENCE_MAX: Final = 100


class Evidence(Record, frozen=True):
    """One file: SHA-256 of its bytes and how many they are. Its name stands in the annex."""

    sha256: Bytes32
    size: Amount


class Deliver(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "deliver"
    WORK_SCOPE: ClassVar[bool] = True

    deal: Bytes32
    units: Units
    evidence: Annotated[tuple[Evidence, ...], msgspec.Meta(max_length=EVIDENCE_MAX)] | None = None

    def refs(self) -> tuple[bytes, ...]:
        return (self.deal,)

    def check(self) -> None:
        if self.evidence == ():
            raise EntryError(Reason.MALFORMED, "evidence that is empty is left out")

    def to_map(self) -> dict[str, Any]:
        body = super().to_map()
        if self.evidence is not None:
            body["evidence"] = [list(msgspec.structs.astuple(each)) for each in self.evidence]
        return body

    def apply(self, act: Act) -> None:
        """Raises EntryError: DEAL_CLOSED, NOT_FOUND, NOT_ALLOWED, STATE, UNITS, tried in that order."""
        deal = deal_rules.read_deal(act, self.deal)
        deal_rules.check_side(act, deal, deal.seller, "seller")
        deal_rules.check_status(deal, "accepted")
        if self.units > deal.units:
            raise EntryError(Reason.UNITS, f"{deal.units} were agreed")
        away = act.state.members[deal.buyer].away_until - act.at
        longer = max(0, min(away, deal_rules.AWAY_MS_MAX - deal.away)) if away > 0 else 0
        deal_rules.wait(
            act,
            self.deal,
            deal,
            "deal.unreviewed",
            act.at + deal.terms.review + longer,
            status="delivered",
            delivered=self.units,
            delivered_at=act.at,
            away=deal.away + longer,
        )
